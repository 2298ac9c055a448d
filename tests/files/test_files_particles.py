# SPDX-License-Identifier: BSD-3-Clause
"""Particle lists as STAR files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryolith.errors import FileFormatError, InputError
from cryolith.files import read_particles, write_particles

TABLE = {
    "label": np.array([1, 2]),
    "z_nm": np.array([-1.5, 0.25]),
    "z_px": np.array([1.25, 5.0]),
    "y_px": np.array([0.1, 6.0]),
    "x_px": np.array([7.0, 3.5], "f4"),
    "sigma_x_px": np.array([0.1, np.nan], "f4"),
    "touches_border": np.array([True, False]),
    "kind": np.array(["a pore", "#2"]),
}
SHAPE, PIXEL = (10, 13, 16), 7.88


def test_round_trip(tmp_path: Path) -> None:
    write_particles(tmp_path / "p.star", TABLE, shape=SHAPE, pixel_size=PIXEL, tomogram="TS 1")
    got, pixel = read_particles(tmp_path / "p.star")
    assert pixel == PIXEL
    assert list(got) == list(TABLE)
    for name, column in TABLE.items():
        same = got[name].astype(column.dtype)
        assert np.array_equal(same, column, equal_nan=column.dtype.kind == "f")


def test_relions_coordinates(tmp_path: Path) -> None:
    """The voxel int(n / 2) is RELION's centre, pixels count from 0."""
    middle = {f"{a}_px": np.array([float(n // 2)]) for a, n in zip("zyx", SHAPE, strict=True)}
    write_particles(tmp_path / "p.star", middle, shape=SHAPE, pixel_size=PIXEL)
    text = (tmp_path / "p.star").read_text()
    row = text.splitlines()[-2].split()
    heads = [
        line.split()[0] for line in text.split("data_particles")[1].splitlines() if "#" in line
    ]
    cells = dict(zip(heads, row, strict=True))
    assert [cells[f"_rlnCoordinate{a}"] for a in "XYZ"] == ["8.0", "6.0", "5.0"]
    assert [float(cells[f"_rlnCenteredCoordinate{a}Angst"]) for a in "XYZ"] == [0.0] * 3
    write_particles(tmp_path / "p.star", TABLE, shape=SHAPE, pixel_size=PIXEL)
    row = (tmp_path / "p.star").read_text().splitlines()[-3].split()
    assert float(row[heads.index("_rlnCenteredCoordinateZAngst")]) == (1.25 - 5) * PIXEL


def test_no_particles(tmp_path: Path) -> None:
    none = {name: column[:0] for name, column in TABLE.items()}
    write_particles(tmp_path / "p.star", none, shape=SHAPE, pixel_size=PIXEL)
    got, _ = read_particles(tmp_path / "p.star")
    assert list(got) == list(TABLE)
    assert {len(column) for column in got.values()} == {0}


def test_a_list_of_relion(tmp_path: Path) -> None:
    (tmp_path / "p.star").write_text(
        "data_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnTomoTiltSeriesPixelSize #2\n1 2.5\n\n"
        "data_particles\n\nloop_\n_rlnTomoName #1\n_rlnCoordinateX #2\n_rlnCoordinateY #3\n"
        "_rlnCoordinateZ #4\nTS_01 1.0 2.0 3.0\n"
    )
    got, pixel = read_particles(tmp_path / "p.star")
    assert pixel == 2.5
    assert {name: column.tolist() for name, column in got.items()} == {
        "z_px": [3.0], "y_px": [2.0], "x_px": [1.0],
    }  # fmt: skip


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("no places", {"table": {"label": [1]}}, "no column 'z_px'"),
    ("NaN", {"table": {a: [0.0, np.nan] for a in ("z_px", "y_px", "x_px")}}, "in row 1"),
    ("shape", {"shape": (3, 4)}, "shape: found (3, 4)"),
    ("pixel", {"pixel_size": 0.0}, "pixel_size: found 0.0"),
]


@pytest.mark.parametrize(("name", "more", "words"), BAD, ids=[b[0] for b in BAD])
def test_bad_input(tmp_path: Path, name: str, more: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"table": TABLE, "shape": SHAPE, "pixel_size": PIXEL} | more
    with pytest.raises(InputError) as caught:
        write_particles(tmp_path / "p.star", **given)
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("data_particles", "data_others"), "data_particles: found no such block"),
        (("_rlnCoordinateY", "_other"), "rlnCoordinateY"),
        (("_rlnTomoTiltSeriesPixelSize", "_other"), "rlnTomoTiltSeriesPixelSize"),
        (("7.88", "-7.88"), "expected one positive length"),
    ],
)
def test_bad_files(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    table = {name: TABLE[name] for name in ("z_px", "y_px", "x_px")}
    write_particles(tmp_path / "p.star", table, shape=SHAPE, pixel_size=PIXEL)
    path = tmp_path / "p.star"
    path.write_text(path.read_text().replace(*change).replace("cryolith_y_px", "cryolith_other"))
    with pytest.raises(FileFormatError) as caught:
        read_particles(path)
    assert words in str(caught.value)


@pytest.mark.peers
def test_starfile_reads_it(tmp_path: Path) -> None:
    starfile = pytest.importorskip("starfile")
    write_particles(tmp_path / "p.star", TABLE, shape=SHAPE, pixel_size=PIXEL)
    got = starfile.read(tmp_path / "p.star")
    assert got["optics"]["rlnTomoTiltSeriesPixelSize"].iloc[0] == PIXEL
    assert got["particles"]["rlnCoordinateZ"].tolist() == [1.25, 5.0]
    assert np.allclose(
        got["particles"]["rlnCenteredCoordinateXAngst"], (np.array([7, 3.5]) - 8) * PIXEL
    )
