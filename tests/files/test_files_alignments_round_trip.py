# SPDX-License-Identifier: BSD-3-Clause
"""Round trips through the files of each program: 1e-3 px and 1e-4 degrees, and what is lost is said."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alignment_cases import apart, each, random_alignment, seen_at, turned
from hypothesis import given, settings
from hypothesis import strategies as st

from cryolith import Alignment, LocalShifts
from cryolith.errors import CryolithWarning, FileFormatError
from cryolith.files import Known, read_alignment, write_alignment


@dataclass(frozen=True)
class Case:
    """A form, its file's name, and what it can carry."""

    format: str
    name: str
    magnification: bool = False
    rotation: bool = True
    x_tilt: str = "none"
    excluded: bool = False
    near: float | None = None  # the tilt axis that it is for

    def make(self, seed: int) -> Alignment:
        return random_alignment(
            seed,
            magnification=self.magnification,
            rotation=self.rotation,
            x_tilt=self.x_tilt,
            excluded=2 if self.excluded else 0,
            axis_deg=self.near,
        )


CASES = [
    Case("imod", "a.xf", magnification=True, x_tilt="each"),
    Case("imod-com", "tilt.com", magnification=True, x_tilt="each", excluded=True),
    Case("imod-pre", "a.prexg", magnification=True),
    Case("aretomo3", "a.aln", magnification=True, excluded=True),
    Case("aretomo2", "b.aln", magnification=True, excluded=True),
    Case("relion5", "a.star", x_tilt="each", excluded=True),
    Case("warp", "a.xml", x_tilt="one", excluded=True),
    Case("tomostar", "a.tomostar"),
    Case("etspy", "a.tsv", rotation=False, near=-90.0),
    Case("etspy", "a.npy", rotation=False, near=-90.0),
    Case("hyperspy", "a.tsv", rotation=False),
]
IDS = [f"{c.format} {c.name}" for c in CASES]


def known_of(alignment: Alignment) -> Known:
    """What a user knows of the series: not the alignment."""
    return Known(
        n_tilts=len(alignment.angles_deg),
        angles_deg=alignment.angles_deg,
        image_shape=alignment.image_shape,
        pixel_size=alignment.pixel_size,
        tilt_axis_deg=alignment.tilt_axis_deg,
    )


def there_and_back(case: Case, alignment: Alignment, folder: Path) -> Alignment:
    path = folder / case.name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryolithWarning)
        written = write_alignment(path, alignment, format=case.format)
        assert written[-1] == path
        first = [p.read_bytes() for p in written]
        known = known_of(alignment)
        if case.format not in ("imod-pre", "hyperspy"):
            known = replace(known, tilt_axis_deg=None)
        got = read_alignment(path, format=case.format, known=known)
        write_alignment(path, alignment, format=case.format)
    assert [p.read_bytes() for p in written] == first
    return got


def errors(got: Alignment, alignment: Alignment) -> tuple[float, float]:
    """Largest difference of a position [px], and of an angle [deg], over the tilts that are kept."""
    n, kept = len(alignment.angles_deg), alignment.kept
    assert got.kept.tolist() == kept.tolist()
    m, expected = (each(a.magnifications, n, 1.0)[kept] for a in (got, alignment))
    assert np.abs(m - expected).max() < 1e-6
    # A thousand pixels around the origin; the corners of the largest camera add 2 px per 1e-3 of them.
    points = np.random.default_rng(0).uniform(-500, 500, (20, 3))
    off = np.abs(seen_at(got, points) - seen_at(alignment, points))[kept]
    x_tilts = (each(a.x_tilts_deg, n, 0.0)[kept] for a in (got, alignment))
    angle = max(
        apart(got.angles_deg[kept], alignment.angles_deg[kept]),
        apart(turned(got)[kept], turned(alignment)[kept]),
        apart(*x_tilts),
    )
    return float(off.max()), angle


def assert_same(got: Alignment, alignment: Alignment) -> None:
    px, deg = errors(got, alignment)
    assert px < 1e-3
    assert deg < 1e-4


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_everything_that_a_form_holds_comes_back(case: Case, tmp_path: Path) -> None:
    """``pytest -rP -k comes_back`` prints the largest errors (design/011-converters.md)."""
    found = []
    for seed in range(30):
        alignment = case.make(seed)
        found.append(errors(there_and_back(case, alignment, tmp_path), alignment))
    px, deg = np.max(found, axis=0)
    sys.stdout.write(f"{case.format:10} {case.name:12} {px:.1e} px {deg:.1e} deg\n")
    assert px < 1e-3
    assert deg < 1e-4


@given(seed=st.integers(0, 2**32 - 1), case=st.sampled_from(CASES))
@settings(max_examples=60, deadline=None)
def test_over_random_alignments(seed: int, case: Case, tmp_path_factory: Any) -> None:
    alignment = case.make(seed)
    got = there_and_back(case, alignment, tmp_path_factory.mktemp("a"))
    assert_same(got, alignment)


@pytest.mark.parametrize("shape", [(511, 600), (512, 601)])
@pytest.mark.parametrize("first", [c for c in CASES if c.near is None and c.rotation])
@pytest.mark.parametrize("second", [c for c in CASES if c.near is None and c.rotation])
def test_from_program_to_program(
    first: Case, second: Case, shape: tuple[int, int], tmp_path: Path
) -> None:
    """Odd and even images: the half pixels of each convention cancel or not, but never stay."""
    alignment = random_alignment(11, magnification=False, excluded=0, shape=shape)
    once = there_and_back(first, alignment, tmp_path)
    once = replace(once, image_shape=shape, pixel_size=alignment.pixel_size)
    twice = there_and_back(second, once, tmp_path)
    assert_same(twice, alignment)


@pytest.mark.parametrize("seed", range(4))
def test_prexf_keeps_how_neighbours_relate(seed: int, tmp_path: Path) -> None:
    """What it cannot hold is one turn, one magnification and one shift of all images."""
    alignment = random_alignment(seed, excluded=0)
    with pytest.warns(CryolithWarning) as told:
        write_alignment(tmp_path / "a.prexf", alignment)
    assert any("common to all sections" in str(w.message) for w in told)
    assert any("tilt axis" in str(w.message) for w in told)
    got = read_alignment(tmp_path / "a.prexf", known=Known(tilt_axis_deg=33.0))
    # Where both see any two points, the images of one are those of the other under one similarity.
    points = np.random.default_rng(seed).uniform(-500, 500, (6, 3))
    zero = replace(alignment, angles_deg=np.zeros_like(alignment.angles_deg))
    flat = seen_at(zero, points)  # untilted, so that only the plane's transforms speak
    again = seen_at(replace(got, angles_deg=np.zeros_like(got.angles_deg)), points)
    as_complex = [p[..., 1] + 1j * p[..., 0] for p in (flat, again)]
    design = np.stack([as_complex[1].ravel(), np.ones(as_complex[1].size)], axis=1)
    for i in range(len(flat)):
        rows = slice(i * 6, i * 6 + 6)
        fit, *_ = np.linalg.lstsq(design[rows], as_complex[0][i], rcond=None)
        assert np.abs(design[rows] @ fit - as_complex[0][i]).max() < 1e-3
    reference = int(np.argmin(np.abs(alignment.angles_deg)))
    assert np.abs(got.shifts_px[reference]).max() < 1e-9
    assert abs(turned(got)[reference] - 33.0) < 1e-9


def aretomo_table(alignment: Alignment, seed: int) -> LocalShifts:
    rng = np.random.default_rng(seed)
    n = len(alignment.angles_deg)
    good = rng.random((n, 9)) > 0.2
    points, shifts = rng.normal(0, 700, (n, 9, 2)), rng.normal(0, 20, (n, 9, 2))
    return LocalShifts(points_px=points, shifts_px=shifts, good=good)


@pytest.mark.parametrize("format", ["aretomo2", "aretomo3"])
@pytest.mark.parametrize("seed", range(3))
def test_local_tables_of_aretomo_come_back(format: str, seed: int, tmp_path: Path) -> None:
    alignment = random_alignment(seed, magnification=False)
    alignment = replace(alignment, local=aretomo_table(alignment, seed))
    assert alignment.local is not None
    write_alignment(tmp_path / "a.aln", alignment, format=format)
    got = read_alignment(tmp_path / "a.aln").local
    assert got is not None
    kept = alignment.kept
    assert np.array_equal(got.good[kept], alignment.local.good[kept])
    assert np.abs(got.points_px - alignment.local.points_px)[kept].max() < 1e-3
    assert np.abs(got.shifts_px - alignment.local.shifts_px)[kept].max() < 1e-3
    assert np.isnan(got.shifts_px[~kept]).all()
    assert not got.good[~kept].any()


@pytest.mark.parametrize("nodes", [(3, 4), (1, 5), (2, 2)])
def test_grids_of_warp_come_back(nodes: tuple[int, int], tmp_path: Path) -> None:
    alignment = random_alignment(5, magnification=False, excluded=1)
    n, (height, width) = len(alignment.angles_deg), alignment.image_shape or (0, 0)
    axes = [
        np.linspace(-0.5, 0.5, k) * size if k > 1 else np.zeros(1)
        for k, size in zip(nodes, (height, width), strict=True)
    ]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    offset = alignment.axis_offset_px
    psi = np.radians(turned(alignment))
    folded = alignment.shifts_px + offset * np.stack([np.sin(psi), np.cos(psi)], axis=1)
    # The grid's place counts from n / 2 with the shift: (n - 1) / 2 + p + shift = n / 2 + grid.
    points = grid[None] + 0.5 - folded[:, None]
    shifts = np.random.default_rng(1).normal(0, 5, points.shape)
    local = LocalShifts(points_px=points, shifts_px=shifts, good=np.ones(points.shape[:2], bool))
    alignment = replace(alignment, local=local, image_names=tuple(f"{i}.tif" for i in range(n)))
    known = replace(known_of(alignment), pre_exposure=np.arange(n) * 2.0)
    write_alignment(tmp_path / "a.xml", alignment, known=known)
    got = read_alignment(tmp_path / "a.xml", known=Known(pixel_size=alignment.pixel_size))
    assert got.image_names == alignment.image_names
    assert got.image_shape == alignment.image_shape
    assert got.local is not None
    assert np.abs(got.local.shifts_px - shifts).max() < 1e-3
    assert np.abs(got.local.points_px - points).max() < 1e-3
    assert_same(got, alignment)
    # Points that lie on no such grid are lost, and that is said.
    lost = replace(alignment, local=aretomo_table(alignment, 1))
    with pytest.warns(CryolithWarning, match="local shifts: found 9 points a tilt"):
        write_alignment(tmp_path / "b.xml", lost, known=known)


MOST = {"magnification", "local shifts", "excluded tilts", "x-tilt"}
LOST = [
    ("imod", "a.xf", {"excluded tilts", "local shifts"}),
    ("imod-com", "tilt.com", {"local shifts", "THICKNESS"}),
    ("imod-pre", "a.prexg", {"excluded tilts", "local shifts", "x-tilt", "tilt axis"}),
    ("angles", "a.tlt", {"shifts"}),
    ("aretomo3", "a.aln", {"x-tilt", "GMAG"}),
    ("relion5", "a.star", {*MOST - {"x-tilt"}, "optics", "rlnMicrographName"}),
    ("warp", "a.xml", {*MOST - {"excluded tilts"}, "Dose", "MoviePath"}),
    ("tomostar", "a.tomostar", {*MOST, "wrpDose", "wrpMovieName"}),
    ("etspy", "a.npy", {*MOST, "rotation of each tilt", "angles"}),
    ("hyperspy", "a.tsv", {*MOST, "rotation of each tilt", "tilt axis"}),
]


@pytest.mark.parametrize(("format", "name", "lost"), LOST, ids=[c[0] for c in LOST])
def test_what_a_form_cannot_hold_is_named(
    format: str, name: str, lost: set[str], tmp_path: Path
) -> None:
    full = random_alignment(3, x_tilt="each", axis_deg=-90.0)
    full = replace(full, local=aretomo_table(full, 3))
    with pytest.warns(CryolithWarning) as told:
        write_alignment(tmp_path / name, full, format=format)
    fields = {str(w.message).split(": ")[1] for w in told}
    assert fields == lost


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.format not in ("imod-pre", "hyperspy")], ids=lambda c: c.name
)
def test_what_a_form_holds_draws_no_warning(case: Case, tmp_path: Path) -> None:
    alignment = random_alignment(
        1, magnification=case.magnification and "aln" not in case.name, rotation=case.rotation,
        x_tilt=case.x_tilt, excluded=2 if case.excluded and case.format != "relion5" else 0,
        axis_deg=case.near,
    )  # fmt: skip
    n = len(alignment.angles_deg)
    alignment = replace(alignment, image_names=tuple(f"{i}.mrc" for i in range(n)))
    known = replace(known_of(alignment), pre_exposure=np.arange(n) * 1.0)
    told_always = {"a.star": "optics", "tilt.com": "THICKNESS", "a.npy": "angles"}
    if case.name in told_always:
        with pytest.warns(CryolithWarning, match=told_always[case.name]) as told:
            write_alignment(tmp_path / case.name, alignment, format=case.format, known=known)
        assert len(told) == 1
    else:
        write_alignment(tmp_path / case.name, alignment, format=case.format, known=known)
    got = read_alignment(tmp_path / case.name, format=case.format, known=known)
    assert got.source.warnings == ()


def test_files_that_are_there_stay_where_they_may_not_be_replaced(tmp_path: Path) -> None:
    alignment = random_alignment(1, excluded=0)
    (tmp_path / "a.tlt").write_text("mine")
    with pytest.raises(FileFormatError, match=r"a.tlt: file: found one of this name"):
        write_alignment(tmp_path / "a.xf", alignment, overwrite=False)
    assert [p.name for p in tmp_path.iterdir()] == ["a.tlt"]
    assert (tmp_path / "a.tlt").read_text() == "mine"
