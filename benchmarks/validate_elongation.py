# SPDX-License-Identifier: BSD-3-Clause
"""Ellipsoids of random axes and orientations through a missing wedge: axes, volumes and directions freed from it.

    python benchmarks/validate_elongation.py --seeds 10 [--method wbp]

27 ellipsoids of 8 to 18 px in 128^3 voxels, 61 tilts over +-60 degrees, noise of 1 a pixel, found by `detect`.
"""

from __future__ import annotations

import argparse
import itertools
import sys

import numpy as np
from tables import share_of

from cryolith import Volume, detect, reconstruct, simulate
from cryolith.projection import Geometry, project

SIDE, TILTS = 128, Geometry.single_axis(np.arange(-60, 61, 2.0))


def rows_of(seed: int, method: str) -> np.ndarray:
    """Return, per body: seen and freed axes over the truth, sigmas, volumes, turns of the longest axis, coverage."""
    rng = np.random.default_rng(seed)
    solids, truth = [], []
    for corner in itertools.product((-40, 0, 40), repeat=3):
        turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        half = np.sort(rng.uniform(4, 9, 3))[::-1]
        place = np.array(corner) + rng.uniform(-1, 1, 3)
        solids.append(simulate.ellipsoid(1.0, place, half, rotation=turn.T))
        truth.append((place, half, turn[:, 0]))
    volume = simulate.Phantom(shape=(SIDE,) * 3, solids=tuple(solids)).volume.astype(np.float32)
    images = project(volume, TILTS, (SIDE, 184), threads=1)
    images += rng.normal(0, 1.0, images.shape).astype(np.float32)
    shown = getattr(reconstruct, method)(images, TILTS, shape=volume.shape, threads=1)
    settings = detect.DetectSettings(layers=False, voids=False, particle_threshold=0.45)
    how = reconstruct.ReconstructSettings(method=method)
    table = detect.detect(
        Volume(data=np.asarray(shown)), settings, geometry=TILTS, reconstruction=how, threads=1
    ).particles
    at = np.stack([table[f"{a}_px"] for a in "zyx"], 1) - (SIDE - 1) / 2
    rows = []
    for place, half, longest in truth:
        i = np.linalg.norm(at - place, axis=1).argmin()
        lengths = [[table[f"{n}axis{k}_px"][i] for k in (1, 2, 3)] / (2 * half)
                   for n in ("", "true_", "sigma_true_")]  # fmt: skip
        whole = 4 / 3 * np.pi * half.prod()
        sizes = [table[f"{n}volume_px3"][i] / whole for n in ("", "true_", "sigma_true_")]
        turns = [abs(longest @ [table[f"{n}axis1_{a}"][i] for a in "zyx"]) for n in ("", "true_")]
        turns = np.rad2deg(np.arccos(np.minimum(turns, 1)))
        rows.append([*np.concatenate(lengths), *sizes, *turns, table["coverage"][i]])
    return np.array(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--method", choices=("wbp", "sirt"), default="wbp")
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.seeds)
    every = np.concatenate([rows_of(seed, asked.method) for seed in seeds])
    good = every[np.isfinite(every[:, 3])]
    rms = lambda x: np.sqrt((x**2).mean(axis=0)).round(3)  # noqa: E731
    error, sigma = good[:, 3:6] - 1, good[:, 6:9]
    inside = np.abs(error) < 1.96 * sigma
    held = np.abs(good[:, 10] - 1) < 1.96 * good[:, 11]
    say = sys.stdout.write
    say(
        f"{len(good)} of {len(every)} freed; coverage {good[:, 14].min():.2f} to {good[:, 14].max():.2f}\n"
    )
    say(f"lengths, rms: seen {rms(good[:, :3] - 1)}, freed {rms(error)}, stated {rms(sigma)}\n")
    say(
        f"  bias {error.mean(axis=0).round(3)}, in 1.96 sigma {share_of(int(inside.sum()), inside.size)}\n"
    )
    say(
        f"volumes, rms: seen {rms(good[:, 9] - 1)}, freed {rms(good[:, 10] - 1)}, stated {rms(good[:, 11])}\n"
    )
    say(f"  in 1.96 sigma {share_of(int(held.sum()), len(held))}\n")
    before, after = np.median(good[:, 12]), np.median(good[:, 13])
    say(f"longest axis, median: off by {before:.1f} degrees as seen, {after:.1f} freed\n")


if __name__ == "__main__":
    main()
