# SPDX-License-Identifier: BSD-3-Clause
"""Tubes and cracks in tilt series that this package aligns and reconstructs: lengths and areas against the truth.

    python benchmarks/validate_cracks.py [--seeds 10] [--first 7000]

An endless film of 60 px, with 12 beads on its faces to align by, holds four rods (4 x 4 px across) and four open cracks
(plates of 4 x 20 x 20 px without matter), each turned by about 5 degrees at random. 41 images of 128 x 128 px over
+-65 degrees wander by some pixels about an axis that is off by some degrees; their counts are drawn. Nothing of that is
told to the alignment. Intervals are 95 %.

1000 detected electrons a pixel, over the series: 100 electrons per square angstrom on pixels of 1 nm, of which a
detector at high angles takes a tenth.
"""

from __future__ import annotations

import argparse
import functools
import math
import sys
import time
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from tables import share_of

from cryolith import Alignment, TiltSeries, align, simulate
from cryolith.detect import FoundSheets, FoundTubes, sheets, tubes
from cryolith.projection import Geometry
from cryolith.reconstruct import wbp
from cryolith.simulate.solids import Phantom, Solid, box, ellipsoid, layer

SHAPE, IMAGES = (80, 128, 128), (128, 128)
ANGLES = np.linspace(-65.0, 65.0, 41)
FILM, MATTER, ROD = 60.0, 0.3, 0.6  # px; density of the film, and what a rod adds
ACROSS, EDGE = 4.0, 20.0  # px: of rods and cracks, and of the square that a crack is
BEADS, BEAD, GOLD = 12, 4.0, 3.0  # their number, radius [px] and density
WIDTH = 1.2  # px: standard deviation of what is looked for; that of 4 px is 1.15
KINDS = ("tubes", "sheets")
R = math.sqrt(0.5)
RODS = {  # direction z, y, x and length
    "along y": ((0.0, 1.0, 0.0), 50.0),
    "along x": ((0.0, 0.0, 1.0), 50.0),
    "oblique": ((0.4, 0.6, 0.69), 44.0),
    "xz 45": ((R, 0.0, R), 36.0),
}
CRACKS = {"x": (0.0, 0.0, 1.0), "y": (0.0, 1.0, 0.0), "xy 45": (0.0, R, R), "xz 45": (R, 0.0, R)}


class Planted(NamedTuple):
    """A rod or crack: its middle from the centre of the volume [px], and its direction or normal."""

    place: np.ndarray
    axis: np.ndarray
    size: float


def specimen(rng: np.random.Generator) -> tuple[Phantom, dict[str, Planted], dict[str, Planted]]:
    """Return a film with rods and cracks, and where they are."""
    corners = [(z, y, x) for z in (-12, 12) for y in (-30, 30) for x in (-30, 30)]
    order = [corners[i] for i in rng.permutation(len(corners))]
    solids: list[Solid] = [layer(MATTER, (0, 0, 0), (1, 0, 0), FILM)]
    rods, cracks = {}, {}
    wanted = [
        *((n, a, s, rods) for n, (a, s) in RODS.items()),
        *((n, a, EDGE, cracks) for n, a in CRACKS.items()),
    ]
    for (name, direction, size, kind), corner in zip(wanted, order, strict=True):
        axis = np.array(direction) + rng.normal(0, math.radians(5), 3)
        axis /= np.linalg.norm(axis)
        place = np.array(corner) + rng.uniform(-2, 2, 3)
        first = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
        first /= np.linalg.norm(first)
        frame = np.stack([axis, first, np.cross(axis, first)])
        edges, value = (
            ((size, ACROSS, ACROSS), ROD) if kind is rods else ((ACROSS, size, size), -MATTER)
        )
        solids.append(box(value, place, edges, frame))
        kind[name] = Planted(place, axis, size if kind is rods else size**2)
    for i in range(BEADS):
        face = (FILM / 2 + BEAD) * (-1) ** i
        spot = (face, *rng.uniform(-58, 58, 2))
        solids.append(ellipsoid(GOLD, spot, (BEAD,) * 3))
    return Phantom(shape=SHAPE, solids=tuple(solids)), rods, cracks


def series_of(
    phantom: Phantom, dose: float, rng: np.random.Generator
) -> tuple[TiltSeries, Alignment]:
    """Return counted images that wander by 1.5 px from tilt to tilt."""
    walk = np.cumsum(rng.normal(0.0, 1.5, (len(ANGLES), 2)), axis=0)
    return simulate.tilt_series(
        phantom,
        ANGLES,
        tilt_axis_deg=rng.uniform(-5.0, 5.0),
        shifts_px=walk - walk[len(ANGLES) // 2],
        image_shape=IMAGES,
        dose_per_pixel=dose / len(ANGLES),
        seed=int(rng.integers(1 << 30)),
    )


def placed(alignment: Alignment, truth: Alignment) -> Alignment:
    """Move the specimen of an alignment, which may lie anywhere, to where that of the truth lies."""
    turn, t = np.deg2rad(alignment.tilt_axis_deg), np.deg2rad(alignment.angles_deg)
    cosine, sine = np.cos(turn), np.sin(turn)
    frame = np.array([[cosine, -sine], [sine, cosine]])  # (row, column) to along the axis, across
    along, across = frame @ (truth.shifts_px - alignment.shifts_px).T
    basis = np.stack([np.cos(t), np.sin(t)], axis=1)
    good = alignment.kept
    moved = basis @ np.linalg.lstsq(basis[good], across[good], rcond=None)[0]
    shifts = (
        alignment.shifts_px + (frame.T @ np.stack([np.full(len(t), along[good].mean()), moved])).T
    )
    return replace(alignment, shifts_px=shifts, beads=None)


def look(
    series: TiltSeries, alignment: Alignment, truth: Alignment, kinds: tuple[str, ...]
) -> dict[str, FoundTubes | FoundSheets]:
    """Reconstruct and search."""
    solve = functools.partial(wbp, filter="ramp")
    if alignment.beads is not None:
        series = align.remove_beads(series, alignment)
    alignment = placed(alignment, truth)
    geometry = Geometry.from_alignment(alignment)
    kept = np.asarray(series.images)[alignment.kept]
    kept = kept - np.median(kept, axis=(1, 2), keepdims=True)  # the film has no edge in any image
    halves: Any = solve(kept, geometry, shape=SHAPE, halves="tilts", threads=1)
    how: dict[str, Any] = {"widths": WIDTH, "length": 6.0, "halves": halves, "geometry": geometry,
                           "image_shape": IMAGES, "solve": solve, "margin": 8, "threads": 1}  # fmt: skip
    return {kind: {"tubes": tubes, "sheets": sheets}[kind](None, **how) for kind in kinds}


def measured(
    found: FoundTubes | FoundSheets, planted: Planted, sign: int
) -> tuple[float, float] | None:
    """Return size and stated error of the most significant row of a sign within 12 px and 20 degrees of an object."""
    table = found.table
    if isinstance(found, FoundTubes):
        drawn, axis, name = found.lines, "direction", "length_px"
    else:
        drawn, axis, name = found.surfaces, "normal", "area_px2"
    middle = (np.array(SHAPE) - 1) / 2 + planted.place
    for i, nodes in enumerate(drawn):
        way = abs(sum(table[f"{axis}_{a}"][i] * planted.axis[j] for j, a in enumerate("zyx")))
        near = np.linalg.norm(nodes.mean(axis=0) - middle) < 12
        if table["sign"][i] == sign and way > math.cos(math.radians(20)) and near:
            return float(table[name][i]), float(table[f"sigma_{name}"][i])
    return None


def told(name: str, sizes: list[tuple[float, float] | None], truth: list[float]) -> str:
    """Return how often an object was found, and how wrong its size is."""
    got = [(s[0] / t - 1, s[1] / t) for s, t in zip(sizes, truth, strict=True) if s is not None]
    line = f"  {name}: found {share_of(len(got), len(sizes))}"
    if not got:
        return line
    error, sigma = np.array(got).T
    mean = 1.96 * error.std() / math.sqrt(max(len(got) - 1, 1))
    inside = share_of(int((np.abs(error) < 1.96 * sigma).sum()), len(got))
    return (
        f"{line}; error {100 * error.mean():+.1f} +- {100 * mean:.1f} %, "
        f"{100 * np.abs(error).max():.1f} % at most; inside its 95 % interval {inside}"
    )


def main() -> None:
    """Simulate, align, reconstruct, find, measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=7000)
    parser.add_argument(
        "--dose", type=float, default=1000.0, help="detected electrons a pixel, over the series"
    )
    parser.add_argument("--true-poses", action="store_true", help="do not align")
    parser.add_argument("--only", choices=KINDS, help="look for one kind")
    a = parser.parse_args()
    rows: dict[str, tuple[list[tuple[float, float] | None], list[float]]] = {}
    for seed in range(a.first, a.first + a.seeds):
        rng = np.random.default_rng([seed, 22])
        phantom, rods, cracks = specimen(rng)
        series, truth = series_of(phantom, a.dose, rng)
        begin = time.process_time()
        alignment = truth if a.true_poses else align.align_tilt_series(series, threads=1)
        results = look(series, alignment, truth, (a.only,) if a.only else KINDS)
        axis = abs((alignment.tilt_axis_deg - truth.tilt_axis_deg + 90) % 180 - 90)
        line = f"seed {seed}: axis off by {axis:.2f} deg, {alignment.kept.sum()} tilts"
        for kind, found in results.items():
            rod = kind == "tubes"
            new = {
                ("rod " if rod else "crack ") + name: (measured(found, one, 1 if rod else -1), one)
                for name, one in (rods if rod else cracks).items()
            }
            for name, (size, one) in new.items():
                sizes, true = rows.setdefault(name, ([], []))
                sizes.append(size)
                true.append(one.size)
            told_of = [size and round(size[0] / one.size - 1, 3) for size, one in new.values()]
            check = f"null {found.null.observed[0]} of {found.null.expected[0]:.0f}"
            line += f"; {len(found.table['sign'])} {kind}, {check}: {told_of}"
        sys.stderr.write(f"{line}, {time.process_time() - begin:.0f} CPU s\n")
    sys.stdout.write(f"seeds {a.first} to {a.first + a.seeds - 1}, {a.dose:g} electrons a pixel\n")
    for name, (sizes, true) in rows.items():
        sys.stdout.write(told(name, sizes, true) + "\n")


if __name__ == "__main__":
    main()
