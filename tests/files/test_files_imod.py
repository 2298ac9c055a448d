# SPDX-License-Identifier: BSD-3-Clause
"""IMOD's .xf and .tlt: the same points, whichever form an alignment has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from make_files import write

from cryolith import Alignment
from cryolith.errors import CryolithWarning, FileFormatError
from cryolith.files import read_alignment, read_imod, write_alignment, write_imod


def example(offset: float = 0.0) -> Alignment:
    rng = np.random.default_rng(4)
    return Alignment(
        angles_deg=np.linspace(-60, 60, 7),
        tilt_axis_deg=84.25,
        axis_offset_px=offset,
        shifts_px=rng.normal(0, 40, (7, 2)),
        rotations_deg=rng.normal(0, 0.5, 7),
    )


def raw_point(a: Alignment, i: int, point: np.ndarray) -> np.ndarray:
    """(column, row) from the image's centre of the specimen point (x, y, z): datamodel.Alignment."""
    x, y, z = point
    theta = np.radians(a.angles_deg[i])
    psi = np.radians(a.tilt_axis_deg + (0 if a.rotations_deg is None else a.rotations_deg[i]))
    u = x * np.cos(theta) + z * np.sin(theta) + a.axis_offset_px
    column, row = u * np.cos(psi) - y * np.sin(psi), u * np.sin(psi) + y * np.cos(psi)
    return np.array([column + a.shifts_px[i, 1], row + a.shifts_px[i, 0]])


@pytest.mark.parametrize("offset", [0.0, 3.75])
def test_the_transform_brings_points_to_the_aligned_image(tmp_path: Path, offset: float) -> None:
    """In IMOD's aligned image the axis is vertical: x' = x cos + z sin, y' = y about the centre."""
    alignment = example(offset)
    write_imod(tmp_path / "a.xf", alignment)
    rows = np.loadtxt(tmp_path / "a.xf")
    for i, angle in enumerate(np.radians(alignment.angles_deg)):
        for point in np.random.default_rng(i).normal(0, 500, (5, 3)):
            matrix, d = rows[i, :4].reshape(2, 2), rows[i, 4:]
            got = matrix @ raw_point(alignment, i, point) + d
            x, y, z = point
            expected = [x * np.cos(angle) + z * np.sin(angle), y]
            # 5e-10 of a cosine times a position of 2000 px, and 5e-7 px of d.
            assert np.abs(got - expected).max() < 5e-6


def test_round_trip(tmp_path: Path) -> None:
    alignment = example(3.75)
    write_imod(tmp_path / "a.xf", alignment)
    got = read_imod(tmp_path / "a.xf")
    assert got.angles_deg.tolist() == alignment.angles_deg.tolist()
    for i in range(7):
        for point in np.random.default_rng(i).normal(0, 500, (5, 3)):
            assert np.abs(raw_point(got, i, point) - raw_point(alignment, i, point)).max() < 5e-6
    first = (tmp_path / "a.xf").read_bytes()
    write_imod(tmp_path / "a.xf", alignment)
    assert (tmp_path / "a.xf").read_bytes() == first


def test_the_suffix_chooses_the_form(tmp_path: Path) -> None:
    write_alignment(tmp_path / "a.xf", example())
    got = read_alignment(tmp_path / "a.xf")
    assert got.method == ("read from IMOD",)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tlt", "a.xf"]


def test_the_mean_axis_lies_on_the_circle(tmp_path: Path) -> None:
    rows = []
    for degrees in (179.0, -179.0):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        rows.append(f"{c:.12f} {s:.12f} {-s:.12f} {c:.12f} 0 0")
    write(tmp_path / "a.xf", "\n".join(rows).encode())
    write(tmp_path / "a.tlt", b"0\n30\n")
    got = read_imod(tmp_path / "a.xf")
    assert abs(abs(got.tilt_axis_deg) - 180) < 1e-9
    assert got.rotations_deg is not None
    assert np.abs(np.abs(got.rotations_deg) - 1).max() < 1e-9


def test_imods_own_solution(shared_data: Path) -> None:
    folder = shared_data / "metadata" / "imod" / "convert" / "imod_1"
    got = read_imod(folder / "tilt_1.xf")
    assert len(got.angles_deg) == 59
    assert -101 < got.tilt_axis_deg < -100


GOOD = b"1 0 0 1 5 -3\n0.98 0.199 -0.199 0.98 0 0\n"
BAD = [
    ("empty", b"", b"0\n3\n", "file size"),
    ("blank", b"\n\n", b"0\n3\n", "transforms: found none"),
    ("five numbers", b"1 0 0 1 5\n", b"0\n", "line 1: found '1 0 0 1 5', expected six"),
    ("seven numbers", b"1 0 0 1 5 6 7\n", b"0\n", "expected six"),
    ("a word", GOOD + b"1 0 0 one 5 6\n", b"0\n3\n6\n", "line 3"),
    ("NaN", b"1 0 0 1 nan 6\n", b"0\n", "line 1"),
    ("singular", b"1 1 1 1 0 0\n", b"0\n", "without inverse"),
    ("too few angles", GOOD, b"0\n", "2 transforms and 1 angles in a.tlt"),
    ("no angles", GOOD, None, "no such file"),
    ("binary", b"\0" * 60, b"0\n", "binary"),
]


@pytest.mark.parametrize(("name", "xf", "tlt", "words"), BAD, ids=[b[0] for b in BAD])
def test_bad_files(tmp_path: Path, name: str, xf: bytes, tlt: bytes | None, words: str) -> None:
    write(tmp_path / "a.xf", xf)
    if tlt is not None:
        write(tmp_path / "a.tlt", tlt)
    with pytest.raises(FileFormatError) as caught:
        read_imod(tmp_path / "a.xf")
    assert words in str(caught.value)


def test_magnification_is_kept(tmp_path: Path) -> None:
    write(tmp_path / "a.xf", b"1.01 0 0 1.01 0 0\n1 0 0 1 2 3\n")
    write(tmp_path / "a.tlt", b"0\n3\n")
    got = read_imod(tmp_path / "a.xf")
    assert got.magnifications is not None
    # IMOD's matrix brings the raw image to the common size; a magnification made it what it was.
    assert np.abs(got.magnifications - [1 / 1.01, 1]).max() < 1e-12


def test_few_digits_are_no_magnification(tmp_path: Path) -> None:
    """AreTomo's %9.3f: cos 84.4445 and sin to three digits have a norm of 1.0004."""
    r = np.radians(84.4445)
    c, s = np.cos(r), np.sin(r)
    shift = np.array([13.382, 21.802])
    d = -np.array([[c, s], [-s, c]]) @ shift
    line = f"{c:9.3f} {s:9.3f} {-s:9.3f} {c:9.3f} {d[0]:9.2f} {d[1]:9.2f}\n"
    write(tmp_path / "a.xf", line.encode())
    write(tmp_path / "a.tlt", b"0\n")
    got = read_imod(tmp_path / "a.xf")
    assert got.magnifications is None
    assert abs(got.tilt_axis_deg - 84.4445) < 0.04
    assert np.abs(got.shifts_px[0, ::-1] - shift).max() < 0.02
    # One digit more than they have is one.
    write(tmp_path / "a.xf", b"1.0010 0.0 0.0 1.0010 0 0\n")
    assert read_imod(tmp_path / "a.xf").magnifications is not None


def test_stretch_draws_a_warning_and_a_mirror_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a.tlt", b"0\n")
    write(tmp_path / "a.xf", b"1 0.02 0 1 0 0\n")
    with pytest.warns(CryolithWarning, match=r"stretch or shear \(0.0100 at view 0\)"):
        read_imod(tmp_path / "a.xf")
    write(tmp_path / "a.xf", b"1 0 0 -1 0 0\n")
    with pytest.raises(FileFormatError, match="a mirror at view 0"):
        read_imod(tmp_path / "a.xf")


def test_shifts_that_are_not_known(tmp_path: Path) -> None:
    shifts = np.zeros((2, 2))
    shifts[1, 0] = np.nan
    lost = Alignment(angles_deg=np.array([0.0, 3.0]), tilt_axis_deg=0.0, shifts_px=shifts)
    with pytest.raises(FileFormatError, match="not finite at tilt 1"):
        write_imod(tmp_path / "a.xf", lost)
    assert list(tmp_path.iterdir()) == []
