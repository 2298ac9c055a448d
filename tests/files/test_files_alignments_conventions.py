# SPDX-License-Identifier: BSD-3-Clause
"""Each program's own formula, written out here, applied to its file and to simulated images of known geometry.

A file is right when the program that reads it finds the tilt axis where it expects it. The formulas are those of the
programs' sources and manuals (docs/interchange.md), and share no line with the converters.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from cryolith import Alignment, LocalShifts, simulate
from cryolith.files import Known, write_alignment
from cryolith.simulate.solids import Phantom, ellipsoid

pytestmark = pytest.mark.filterwarnings("ignore::cryolith.errors.CryolithWarning")

THETA = np.array([-50.0, -20.0, 0.0, 35.0, 60.0])
# Specimen points (z, y, x): on the axis, and off it along each direction.
BALLS = ((0.0, 9.0, 0.0), (7.0, -5.0, 4.0), (-6.0, 3.0, -8.0))
PIXEL = 3.5
SHAPES = [(72, 70), (71, 70), (72, 69), (71, 69)]


@dataclass(frozen=True)
class Scene:
    """Images of one ball each, and the alignment that is true of them."""

    stacks: tuple[Any, ...]
    truth: Alignment


@cache
def scene(
    shape: tuple[int, int], axis: float = 78.0, m: bool = False, x_tilt: str = "none"
) -> Scene:
    rng = np.random.default_rng(20)
    n = len(THETA)
    rotations = rng.normal(0, 2, n) if x_tilt != "plain" else None
    x_tilts = {"each": rng.uniform(-12, 12, n), "one": np.full(n, 8.0)}.get(x_tilt)
    shifts, sizes = rng.uniform(-4, 4, (n, 2)), rng.uniform(0.95, 1.05, n)
    stacks = []
    for at in BALLS:
        ball = Phantom(shape=(60, 60, 60), solids=(ellipsoid(1.0, at, (5.0, 5.0, 5.0)),))
        series, truth = simulate.tilt_series(
            ball, THETA, tilt_axis_deg=axis, rotations_deg=rotations, shifts_px=shifts,
            axis_offset_px=1.75, x_tilts_deg=x_tilts, image_shape=shape, pixel_size=PIXEL,
            magnifications=sizes if m else None,
        )  # fmt: skip
        stacks.append(np.asarray(series.images, float))
    return Scene(tuple(stacks), truth)


def known(shape: tuple[int, int]) -> Known:
    return Known(image_shape=shape, pixel_size=PIXEL, name="ts")


def centroid(image: Any) -> Any:
    """(row, column), pixel 0 at 0."""
    return (np.indices(image.shape) * image).sum((1, 2)) / image.sum()


def resampled(image: Any, matrix: Any, at: Any) -> Any:
    """out[p] = image[matrix p + at], cubic; (row, column)."""
    return ndimage.affine_transform(image, matrix, at, order=3)


def expected_upright(at: tuple[float, ...], i: int, truth: Alignment) -> Any:
    """(row, column) from the middle in an aligned image: v, and x cos + z' sin."""
    z, y, x = at
    a = np.radians(0.0 if truth.x_tilts_deg is None else truth.x_tilts_deg[i])
    t = np.radians(THETA[i])
    return np.array(
        [y * np.cos(a) - z * np.sin(a),
         x * np.cos(t) + (y * np.sin(a) + z * np.cos(a)) * np.sin(t)]
    )  # fmt: skip


# Cubic interpolation of a ball of 5 px, and its two rays a pixel.
CLOSE = 0.03


def check_upright(image: Any, at: tuple[float, ...], i: int, truth: Alignment) -> None:
    middle = (np.array(image.shape) - 1) / 2
    np.testing.assert_allclose(centroid(image) - middle, expected_upright(at, i, truth), atol=CLOSE)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axis", [78.0, -100.0, 4.0])
@pytest.mark.parametrize("name", ["ts.xf", "ts.prexg"])
def test_imod(shape: tuple[int, int], axis: float, name: str, tmp_path: Path) -> None:
    """newstack: X' = A (X - Xc) + D + Xc with Xc the centre, pixel i at i + 0.5; then tilt with .tlt and .xtilt."""
    made = scene(shape, axis, m=True, x_tilt="each")
    write_alignment(tmp_path / name, made.truth)
    table = np.loadtxt(tmp_path / name)
    turn = np.radians(axis) if name.endswith("g") else 0.0  # before alignment the axis stays
    back = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    if name.endswith(".xf"):
        np.testing.assert_allclose(np.loadtxt(tmp_path / "ts.tlt"), THETA, atol=1e-9)
        # tilt.f90: alpha of the file; xproj = xx cb + (yy sa + zz ca) sb, yproj = yy ca - zz sa.
        np.testing.assert_allclose(np.loadtxt(tmp_path / "ts.xtilt"), made.truth.x_tilts_deg, atol=1e-9)  # fmt: skip
    centre = np.array([shape[1], shape[0]]) / 2  # (x, y), edges of pixels at whole numbers
    for at, stack in zip(BALLS, made.stacks, strict=True):
        for i, image in enumerate(stack):
            a, d = back @ table[i, :4].reshape(2, 2), back @ table[i, 4:]
            # For each output pixel the input: X = A^-1 (X' - Xc - D) + Xc.
            inverse = np.linalg.inv(a)
            half = np.array([0.5, 0.5])
            start = inverse @ (half - centre - d) + centre - half
            swap = inverse[::-1, ::-1]
            check_upright(resampled(image, swap, start[::-1]), at, i, made.truth)


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_imods_tilt(shape: tuple[int, int], tmp_path: Path) -> None:
    """tilt.f90: cb = cos, sb = -sin of .tlt; ca = cos, sa = -sin of .xtilt; the volume before trimvol -rx.

    xproj = xx cb + yy sa sb + zz ca sb, yproj = yy ca - zz sa; trimvol -rx makes y of the slices (yy), z of -zz.
    """
    made = scene(shape, 78.0, m=True, x_tilt="each")
    write_alignment(tmp_path / "ts.xf", made.truth)
    theta, alpha = (np.radians(np.loadtxt(tmp_path / f"ts{s}")) for s in (".tlt", ".xtilt"))
    table = np.loadtxt(tmp_path / "ts.xf")
    centre = (np.array(shape[::-1]) - 1) / 2
    for (z, y, x), stack in zip(BALLS, made.stacks, strict=True):
        for i, image in enumerate(stack):
            cb, sb, ca, sa = (
                np.cos(theta[i]),
                -np.sin(theta[i]),
                np.cos(alpha[i]),
                -np.sin(alpha[i]),
            )
            xx, yy, zz = x, y, -z
            xproj, yproj = xx * cb + yy * sa * sb + zz * ca * sb, yy * ca - zz * sa
            raw = centroid(image)[::-1] - centre
            aligned = table[i, :4].reshape(2, 2) @ raw + table[i, 4:]
            np.testing.assert_allclose(aligned, [xproj, yproj], atol=CLOSE)


@pytest.mark.parametrize("shape", SHAPES)
def test_imod_prexf(shape: tuple[int, int], tmp_path: Path) -> None:
    """f maps a section to the one before it: g_i = g_(i-1) f_i; a ball on the axis stands still in the end."""
    made = scene(shape, 78.0, m=True)
    write_alignment(tmp_path / "ts.prexf", made.truth)
    table = np.loadtxt(tmp_path / "ts.prexf")
    np.testing.assert_allclose(table[0], [1, 0, 0, 1, 0, 0], atol=1e-9)
    centre = (np.array(shape[::-1]) - 1) / 2
    g, h, places = np.eye(2), np.zeros(2), []
    for i, image in enumerate(made.stacks[0]):
        a, d = table[i, :4].reshape(2, 2), table[i, 4:]
        g, h = g @ a, g @ d + h
        places.append(g @ (centroid(image)[::-1] - centre) + h)
    assert np.abs(np.array(places) - places[0]).max() < CLOSE


@pytest.mark.parametrize("shape", SHAPES)
def test_tilt_com(shape: tuple[int, int], tmp_path: Path) -> None:
    """tilt takes TILTFILE + OFFSET, XTILTFILE - XAXISTILT, and leaves out EXCLUDELIST2, counted from 1."""
    made = scene(shape, 78.0, m=True, x_tilt="each")

    flagged = replace(made.truth, flags={0: "blank", 3: "blank", 4: "blank"})
    write_alignment(tmp_path / "tilt.com", flagged, known=known(shape))
    text = (tmp_path / "tilt.com").read_text()
    said = dict(re.findall(r"^([A-Z]\w+) (.+)$", text, re.MULTILINE))
    assert said["EXCLUDELIST2"] == "1,4-5"
    assert float(said["OFFSET"]) == float(said["XAXISTILT"]) == 0.0
    np.testing.assert_allclose(np.loadtxt(tmp_path / said["TILTFILE"]), THETA)
    np.testing.assert_allclose(np.loadtxt(tmp_path / said["XTILTFILE"]), made.truth.x_tilts_deg)
    assert (tmp_path / "ts.xf").exists()


def aretomo_rows(path: Path) -> tuple[Any, Any]:
    lines = [ln.split() for ln in path.read_text().splitlines() if not ln.startswith("#")]
    rows = np.array([ln for ln in lines if len(ln) == 10], float)
    return rows, np.array([ln for ln in lines if len(ln) == 7], float)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("axis", [78.0, -100.0])
def test_aretomo(shape: tuple[int, int], local: bool, axis: float, tmp_path: Path) -> None:
    """GCorrPatchShift.cu: a pixel of the output, from its centre, turned by ROT, plus the local shift there, plus T."""

    made = scene(shape, axis)
    truth = made.truth
    n = len(THETA)
    if local:  # half of each shift told as a local one, the same at all points
        part = truth.shifts_px / 2
        table = LocalShifts(
            points_px=np.random.default_rng(1).normal(0, 30, (n, 6, 2)),
            shifts_px=np.repeat(part[:, None], 6, axis=1),
            good=np.ones((n, 6), bool),
        )
        truth = replace(truth, shifts_px=truth.shifts_px - part, local=table)
    write_alignment(tmp_path / "a.aln", truth, known=known(shape))
    rows, patches = aretomo_rows(tmp_path / "a.aln")
    np.testing.assert_allclose(rows[:, 0], np.arange(1, n + 1))  # AreTomo3 counts from 1
    np.testing.assert_allclose(rows[:, 9], THETA, atol=1e-5)
    middle = np.array([shape[1], shape[0]]) * 0.5
    for at, stack in zip(BALLS, made.stacks, strict=True):
        for i, image in enumerate(stack):
            r = np.radians(rows[i, 1])
            turn = np.array([[np.cos(r), -np.sin(r)], [np.sin(r), np.cos(r)]])
            shift = rows[i, 3:5].copy()
            if local:
                mine = patches[patches[:, 0] == i]
                where = turn @ (np.array(expected_upright(at, i, made.truth))[::-1])
                reach = ((where - mine[:, 2:4]) / middle / 2) ** 2
                weight = np.exp(-100 * reach.sum(axis=1)) * mine[:, 6]
                shift += (weight[:, None] * mine[:, 4:6]).sum(axis=0) / weight.sum()
            # Pixel i at i + 0.5 from the left edge, both ways.
            start = turn @ (0.5 - middle) + shift + middle - 0.5
            check_upright(resampled(image, turn[::-1, ::-1], start[::-1]), at, i, made.truth)


def star_table(path: Path) -> dict[str, list[str]]:
    lines = path.read_text().splitlines()
    names = [ln.split()[0][1:] for ln in lines if ln.startswith("_")]
    rows = [
        ln.split() for ln in lines if ln and ln[0] not in "_#" and len(ln.split()) == len(names)
    ]
    return {name: [row[k] for row in rows] for k, name in enumerate(names)}


def about(axis: str, degrees: float) -> Any:
    """Right-handed rotation of (x, y, z)."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return {
        "x": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
        "y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
        "z": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
    }[axis]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axis", [78.0, -100.0])
def test_relion(shape: tuple[int, int], axis: float, tmp_path: Path) -> None:
    """projectionMatrix = S(int(n / 2)) S(shift / pixel) Rz Ry Rx S(-volume centre), in pixels counted from 0."""
    made = scene(shape, axis, x_tilt="each")
    write_alignment(tmp_path / "ts.star", made.truth, known=known(shape))
    total = star_table(tmp_path / "ts.star")
    assert float(total["rlnTomoTiltSeriesPixelSize"][0]) == PIXEL
    table = star_table(tmp_path / total["rlnTomoTiltSeriesStarFile"][0])
    for at, stack in zip(BALLS, made.stacks, strict=True):
        for i, image in enumerate(stack):
            x, y, z, dx, dy = (
                float(table[f"rlnTomo{c}"][i])
                for c in ("XTilt", "YTilt", "ZRot", "XShiftAngst", "YShiftAngst")
            )
            turned = about("z", z) @ about("y", y) @ about("x", x) @ np.array(at[::-1])
            column = shape[1] // 2 + dx / PIXEL + turned[0]
            row = shape[0] // 2 + dy / PIXEL + turned[1]
            np.testing.assert_allclose(centroid(image), [row, column], atol=CLOSE)


def warp_euler(tilt: float, psi: float) -> Any:
    """Matrix3.Euler(0, tilt, psi) of WarpLib, angles in degrees."""
    cb, sb, cg, sg = (f(np.radians(v)) for v in (tilt, psi) for f in (np.cos, np.sin))
    return np.array([[cg * cb, sg, -cg * sb], [-sg * cb, cg, sg * sb], [sb, 0, cb]])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axis", [78.0, -100.0])
@pytest.mark.parametrize("name", ["ts.xml", "ts.tomostar"])
def test_warp(shape: tuple[int, int], axis: float, name: str, tmp_path: Path) -> None:
    """GetPositionsInOneTilt, in angstrom; pixel i at i times its size."""
    made = scene(shape, axis, x_tilt="one" if name.endswith("xml") else "none")
    write_alignment(tmp_path / name, made.truth, known=known(shape))
    level = 0.0
    if name.endswith("xml"):
        root = ET.parse(tmp_path / name).getroot()
        level = float(root.get("LevelAngleX", "nan"))
        assert float(root.get("LevelAngleY", "nan")) == 0.0
        columns = [
            [float(v) for v in (root.findtext(k) or "").split()]
            for k in ("Angles", "AxisAngle", "AxisOffsetX", "AxisOffsetY")
        ]
    else:
        table = star_table(tmp_path / name)
        names = ("AngleTilt", "AxisAngle", "AxisOffsetX", "AxisOffsetY")
        columns = [[float(v) for v in table[f"wrp{k}"]] for k in names]
    for at, stack in zip(BALLS, made.stacks, strict=True):
        for i, image in enumerate(stack):
            angle, psi, dx, dy = (c[i] for c in columns)
            turned = warp_euler(angle, -psi) @ about("x", level) @ (PIXEL * np.array(at[::-1]))
            place = turned[:2] + np.array([dx, dy]) + PIXEL * np.array(shape[::-1]) / 2
            np.testing.assert_allclose(centroid(image), place[::-1] / PIXEL, atol=CLOSE)


@pytest.mark.parametrize("shape", SHAPES[1:3])
def test_grids_of_warp(shape: tuple[int, int], tmp_path: Path) -> None:
    """The same, with a part of each shift in GridMovement: the same at all nodes, which span the image."""
    made = scene(shape, 78.0, x_tilt="one")
    n, (height, width) = len(THETA), shape
    psi = np.radians(78.0 + np.array(made.truth.rotations_deg))
    part = np.random.default_rng(2).normal(0, 3, (n, 2))
    left = made.truth.shifts_px - part
    folded = left + 1.75 * np.stack([np.sin(psi), np.cos(psi)], axis=1)
    nodes = [(fy * height, fx * width) for fy in (0.0, 0.5, 1.0) for fx in (0.0, 1.0)]
    # A node at pixel q is a point at q - (n - 1) / 2 before the shift of the image.
    points = np.array(nodes) - (np.array(shape) - 1) / 2 - folded[:, None]
    table = LocalShifts(
        points_px=points,
        shifts_px=np.repeat(part[:, None], 6, axis=1),
        good=np.ones((n, 6), bool),
    )
    told = replace(made.truth, shifts_px=left, local=table)
    write_alignment(tmp_path / "ts.xml", told, known=known(shape))
    root = ET.parse(tmp_path / "ts.xml").getroot()
    level = float(root.get("LevelAngleX", "nan"))
    names = ("Angles", "AxisAngle", "AxisOffsetX", "AxisOffsetY")
    columns = [[float(v) for v in (root.findtext(k) or "").split()] for k in names]
    moves = np.full((n, 2), np.nan)
    for k, c in enumerate("XY"):
        grid = root.find(f"GridMovement{c}")
        assert grid is not None
        assert [grid.get(s) for s in ("Width", "Height", "Depth")] == ["2", "3", str(n)]
        for node in grid:
            i, value = int(node.get("Z", "")), float(node.get("Value", ""))
            assert np.isnan(moves[i, k]) or abs(value - moves[i, k]) < 1e-6
            moves[i, k] = value
    for at, stack in zip(BALLS, made.stacks, strict=True):
        for i, image in enumerate(stack):
            angle, axis, dx, dy = (c[i] for c in columns)
            pose = warp_euler(angle, -axis) @ about("x", level) @ (PIXEL * np.array(at[::-1]))
            place = pose[:2] + np.array([dx, dy]) + PIXEL * np.array(shape[::-1]) / 2 - moves[i]
            np.testing.assert_allclose(centroid(image), place[::-1] / PIXEL, atol=CLOSE)


def test_the_formula_of_warp_is_warps_own() -> None:
    """Positions that Warp itself has printed (warpylib, testdata/TS_1.xml and TS_1.star), to the 8 A of its own grids.

    Tilts 1, 21 and 41: Angle, AxisOffsetX, AxisOffsetY; LevelAngle X 1.457031, Y -5.920115, AxisAngle -85.6005.
    """
    tilts = [(40.01, 12.05431, -51.868156), (0.02, 0.7896657, 23.369444), (-39.98, 49.980087, -60.133255)]  # fmt: skip
    said = {
        (-500.0, -500.0, -500.0): [(-482.8435, 36.3911), (-526.1406, 535.1489), (-487.3140, 624.4175)],
        (0.0, -500.0, -500.0): [(-454.4413, -376.0240), (-487.8604, 38.1882), (-460.7838, 277.3782)],
        (500.0, -500.0, -500.0): [(-423.4655, -789.1733), (-449.7937, -458.6653), (-435.8420, -69.4843)],
    }  # fmt: skip
    for point, places in said.items():
        for (angle, dx, dy), place in zip(tilts, places, strict=True):
            pose = warp_euler(angle - 5.920115, 85.6005) @ about("x", 1.457031)
            got = (pose @ np.array(point))[:2] + np.array([dx, dy])
            np.testing.assert_allclose(got, place, atol=10)
            # The other sign of the tilt would be hundreds of angstrom away.
            wrong = warp_euler(5.920115 - angle, 85.6005) @ about("x", 1.457031) @ np.array(point)
            if abs(angle) > 1:
                assert np.abs(wrong[:2] + np.array([dx, dy]) - place).max() > 100


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axis", [-90.0, 90.0])
def test_etspy(shape: tuple[int, int], axis: float, tmp_path: Path) -> None:
    """Images moved by (y, x) have the axis in the middle row; rows fall as x cos + z sin rises."""
    made = scene(shape, axis, x_tilt="plain")
    write_alignment(tmp_path / "a.tsv", made.truth, format="etspy")
    table = np.loadtxt(tmp_path / "a.tsv")
    # An axis at +90 is one at -90 of the specimen turned by 180 degrees about z, at negated tilts.
    sign = 1.0 if axis < 0 else -1.0
    np.testing.assert_allclose(table[:, 0], sign * THETA, atol=1e-9)
    for at, stack in zip(BALLS, made.stacks, strict=True):
        z, y, x = at[0], sign * at[1], sign * at[2]
        for (theta, *move), image in zip(table, stack, strict=True):
            t = np.radians(theta)
            moved = ndimage.shift(image, move, order=3)
            from_middle = centroid(moved) - (np.array(shape) - 1) / 2
            expected = [-(x * np.cos(t) + z * np.sin(t)), y]
            np.testing.assert_allclose(from_middle, expected, atol=CLOSE)


@pytest.mark.parametrize("name", ["a.tsv", "a.npy"])
def test_hyperspy(name: str, tmp_path: Path) -> None:
    """align2D moves each image by the negative of its shift; a ball on the axis then stands still."""
    made = scene((72, 70), 78.0, x_tilt="plain")
    write_alignment(tmp_path / name, made.truth, format="hyperspy")
    shifts = (
        np.load(tmp_path / name) if name.endswith("npy") else np.loadtxt(tmp_path / name)[:, 1:]
    )
    for shift, image in zip(shifts, made.stacks[0], strict=True):
        p = np.radians(78.0)
        expected = 9.0 * np.array([np.cos(p), -np.sin(p)]) + np.array([35.5, 34.5])
        moved = ndimage.shift(image, -shift, order=3)
        np.testing.assert_allclose(centroid(moved), expected, atol=CLOSE)
