# SPDX-License-Identifier: BSD-3-Clause
"""Porous bodies of known porosity: do the errors of ``detect.segment`` hold the truth?

    python benchmarks/validate_segmentation.py blobs spheres  # white noise, 0.2 and 0.6 of the contrast
    python benchmarks/validate_segmentation.py objects        # volume, surface and place of single balls
    python benchmarks/validate_segmentation.py wbp            # 71 counted images over +-70 degrees, with poses drawn
    python benchmarks/validate_segmentation.py blobs --seeds 60 --first 7000 --edge 64

``blobs`` are a smoothed normal field above a level, ``spheres`` balls that overlap. Coverage is the share of bodies
whose porosity lies within 1.96 sigma, with Wilson's 95 % interval; ``hard`` is the share of voxels beyond Otsu's
threshold of the same smoothed volume, as a viewer counts.
"""

from __future__ import annotations

import argparse
import functools
import math
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "detect"))
from pore_phantoms import balls
from tables import wilson

from cryolith.detect import draw_alignments, otsu, segment
from cryolith.detect._smooth import smooth
from cryolith.projection import Geometry, project
from cryolith.reconstruct import wbp

SOURCES = ("threshold", "halves", "alignment", "imaging")


def say(line: str) -> None:
    """Write a line now."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def blobs_of(rng, edge, width, share):
    field = smooth(
        rng.standard_normal((edge + 8 * math.ceil(width),) * 3).astype(np.float32), width
    )
    inner = slice(4 * math.ceil(width), 4 * math.ceil(width) + edge)
    field = field[inner, inner, inner]
    return field > np.quantile(field, 1 - share)


def body(kind, rng, edge):
    """Return a mask of pores: 10 to 40 % of it, 3 to 6 px wide."""
    share, width = rng.uniform(0.1, 0.4), rng.uniform(3.0, 6.0)
    if kind == "blobs":
        return blobs_of(rng, edge, width, share)
    return balls(rng, (edge,) * 3, (1, 1, 1), 1.5 * width, share)


def percent(hits, count):
    low, high = wilson(hits, count)
    return f"{100 * hits / count:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def tell(name, rows, seconds):
    """``rows``: truth, value, sigma, hard."""
    truth, value, sigma, hard = np.array(rows).T
    z = (value - truth) / sigma
    relative = 100 * (value / truth - 1)
    say(
        f"{name}: {len(z)} bodies, coverage {percent(int((np.abs(z) < 1.96).sum()), len(z))}, z mean {z.mean():.2f} "
        f"sd {z.std():.2f}; porosity off by {relative.mean():+.2f} % sd {relative.std():.2f} %, stated "
        f"{100 * np.median(sigma / truth):.2f} %; hard threshold off by {100 * np.mean(hard / truth - 1):+.1f} %; "
        f"{seconds / len(z):.1f} CPU s each"
    )


def noisy(kind, seeds, edge):
    for noise in (0.2, 0.6):
        rows, start = [], time.process_time()
        for seed in seeds:
            rng = np.random.default_rng(seed)
            pores = body(kind, rng, edge)
            solid = smooth((~pores).astype(np.float32), 0.7)
            each = noise / math.sqrt(2)
            halves = [
                (solid / 2 + each * rng.standard_normal(solid.shape)).astype(np.float32)
                for _ in "ab"
            ]
            found = segment(None, halves=halves, phase="dark", draws=8, seed=seed, threads=1)
            value, sigma = found.total("volume_fraction")
            even = smooth(halves[0] + halves[1], 1.0)
            rows.append((pores.mean(), value, sigma, (even < otsu(even)[0]).mean()))
        tell(f"{kind}, noise {noise}", rows, time.process_time() - start)


def objects(seeds, edge):
    """One ball in each cell of 24^3 voxels, in noise of 0.4 of the contrast."""
    names = ("volume_px3", "diameter_px", "z_px", "y_px", "x_px")
    z = {n: [] for n in names}
    for seed in seeds:
        rng = np.random.default_rng(seed)
        count = edge // 24
        solid = np.zeros((24 * count,) * 3, np.float32)
        cells = [c for c in np.ndindex(count, count, count)]
        truth = []
        for c in cells:
            radius = rng.uniform(4.5, 7.0)
            centre = np.array(c) * 24 + 11.5 + rng.uniform(-2.5, 2.5, 3)
            at = [
                (np.arange(k * 24 * 4, (k + 1) * 24 * 4) + 0.5) / 4 - 0.5 - p
                for k, p in zip(c, centre, strict=True)
            ]
            a, b, d = np.ix_(*at)
            ball = (a**2 + b**2 + d**2 <= radius**2).astype(np.float32)
            window = tuple(slice(24 * k, 24 * k + 24) for k in c)
            solid[window] = ball.reshape(24, 4, 24, 4, 24, 4).mean(axis=(1, 3, 5))
            truth.append((4 / 3 * math.pi * radius**3, 2 * radius, *centre))
        solid = smooth(solid, 0.8)
        each = 0.4 / math.sqrt(2)
        halves = [
            (solid / 2 + each * rng.standard_normal(solid.shape)).astype(np.float32) for _ in "ab"
        ]
        table = segment(None, halves=halves, draws=16, seed=seed, threads=1).objects
        places = np.array(truth)[:, 2:]
        for i in range(len(table["label"])):
            here = np.array([table[n][i] for n in names[2:]])
            which = int(np.argmin(((places - here) ** 2).sum(axis=1)))
            for k, n in enumerate(names):
                sigma = table[f"sigma_{n}"][i] if f"sigma_{n}" in table else np.nan
                z[n].append((table[n][i] - truth[which][k]) / sigma)
    for n in names:
        values = np.array(z[n])
        values = values[np.isfinite(values)]
        if len(values):
            say(
                f"objects, {n}: {len(values)}, coverage {percent(int((np.abs(values) < 1.96).sum()), len(values))}, "
                f"z mean {values.mean():.2f} sd {values.std():.2f}"
            )


def seen(geometry, solve, model):
    """Return what the reconstruction shows of a volume."""
    return solve(project(model, geometry, image_shape=model.shape[1:], threads=1), geometry)


def tilted(seeds, edge):
    """A porous ball in vacuum, 71 counted images over +-70 degrees whose shifts are known to 0.3 px."""
    from cryolith import Alignment, Covariance

    angles = np.linspace(-70, 70, 71)
    grid = np.indices((edge,) * 3) - (edge - 1) / 2
    inside = (grid**2).sum(axis=0) < (0.42 * edge) ** 2
    core = (grid**2).sum(axis=0) < (0.34 * edge) ** 2
    names = tuple(f"{k}[{i}]" for i in range(71) for k in ("shift_row_px", "shift_column_px"))
    rows, start = {"spheres": [], "blobs": []}, time.process_time()
    parts = []
    for seed in seeds:
        for kind, got in rows.items():
            rng = np.random.default_rng((seed, len(kind)))
            pores = body(kind, rng, edge)
            solid = (inside & ~pores).astype(np.float32)
            shifts = 0.3 * rng.standard_normal((71, 2))
            geometry = Geometry.single_axis(angles, shifts_px=shifts)
            images = project(solid, geometry, image_shape=(edge, edge), threads=1)
            dose = 3000.0  # electrons a pixel; the thickest part stops a third
            counts = rng.poisson(dose * np.exp(-0.4 * images / edge))
            images = (-np.log(np.maximum(counts, 1) / dose) * edge / 0.4).astype(np.float32)
            # What an alignment would have found: shifts of 0, with errors of 0.3 px.
            aligned = Alignment(
                angles_deg=angles,
                tilt_axis_deg=0.0,
                shifts_px=np.zeros((71, 2)),
                covariance=Covariance(names=names, matrix=0.09 * np.eye(142)),
            )
            solve = functools.partial(wbp, shape=(edge,) * 3, filter="hamming", threads=1)
            halves = solve(images, Geometry.from_alignment(aligned), halves="tilts")
            poses = draw_alignments(aligned, 6, seed=seed)
            found = segment(
                halves.full,
                halves=halves,
                where=core,
                phase="dark",
                imaging=functools.partial(seen, Geometry.from_alignment(aligned), solve),
                realisations=(solve(images, Geometry.from_alignment(p)) for p in poses),
                draws=8,
                seed=seed,
                threads=1,
            )
            value, sigma = found.total("volume_fraction")
            parts.append([found.totals[f"sigma_{s}"][0] for s in SOURCES])
            even = smooth(halves.full, 1.0)[core]
            got.append((pores[core].mean(), value, sigma, (even < otsu(even)[0]).mean()))
    for kind, got in rows.items():
        tell(f"wbp +-70, {kind}", got, (time.process_time() - start) / 2)
    say(
        f"wbp: sigma from {', '.join(SOURCES)}: "
        + ", ".join(f"{p:.4f}" for p in np.median(parts, axis=0))
    )


CASES = {
    "blobs": functools.partial(noisy, "blobs"),
    "spheres": functools.partial(noisy, "spheres"),
    "objects": objects,
    "wbp": tilted,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("cases", nargs="+", choices=CASES)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=9000)
    parser.add_argument("--edge", type=int, default=96)
    chosen = parser.parse_args()
    for name in chosen.cases:
        CASES[name](range(chosen.first, chosen.first + chosen.seeds), chosen.edge)


if __name__ == "__main__":
    main()
