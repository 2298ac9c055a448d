# SPDX-License-Identifier: BSD-3-Clause
"""Do errors of porosity, sizes and tortuosity cover the truth? Porous media made anew for each seed.

    python benchmarks/validate_pores.py [--seeds 10] [--first 1000] [--edge 60]

Truth: porosity by formula; sizes and tortuosity by larger volumes of the same medium, with their own error. "covered"
counts results within 1.96 sigma (the truth's own error included), with its Wilson 95 % interval.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from tables import mean_error, wilson, write_machine, write_table

from cryolith import detect

Mask = npt.NDArray[np.bool_]
Rng = np.random.Generator
LARGE = 96  # edge of the volumes that give the truth
RADIUS = 4


def overlapping_balls(rng: Rng, edge: int, solid: float = 0.5) -> Mask:
    """Return the pores between balls of radius 4 about voxels, each one with the same chance, of known share."""
    reach = np.arange(-RADIUS, RADIUS + 1)
    ball = reach[:, None, None] ** 2 + reach[:, None] ** 2 + reach**2 <= RADIUS**2
    chance = 1 - (1 - solid) ** (1 / int(ball.sum()))
    centres = rng.random((edge + 2 * RADIUS,) * 3) < chance
    inner = slice(RADIUS, -RADIUS)
    return detect.distance(~centres)[inner, inner, inner] > RADIUS


def blobs(rng: Rng, edge: int) -> Mask:
    """Return smoothed noise above 0: a porosity of one half, for any smoothing."""
    room = edge + 16
    k = np.fft.fftfreq(room)
    square = k[:, None, None] ** 2 + k[:, None] ** 2 + np.fft.rfftfreq(room) ** 2
    spectrum = np.fft.rfftn(rng.standard_normal((room,) * 3)) * np.exp(
        -2 * (np.pi * 2.5) ** 2 * square
    )
    return np.fft.irfftn(spectrum, (room,) * 3, axes=(0, 1, 2))[8:-8, 8:-8, 8:-8] > 0


def measure(mask: Mask) -> list[tuple[float, float]]:
    """Return (value, sigma) of porosity, mean size, share of large pores, tortuosity."""
    thick = detect.local_thickness(mask)
    sizes = detect.size_distribution(thick, [0, 8, 1000], margin=12)
    flow = detect.tortuosity(mask, "z", sampling=True, tolerance=1e-3)
    return [
        detect.volume_fraction(mask),
        (float(sizes["share"][1]), float(sizes["sigma_share"][1])),
        (flow.tortuosity, flow.sigma),
    ]


def counted(hits: int, count: int) -> str:
    low, high = wilson(hits, count)
    return f"{hits} of {count} ({low:.2f} to {high:.2f})"


def rows_of(
    name: str, make: Callable[[Rng, int], Mask], seeds: range, edge: int
) -> list[list[str]]:
    large = np.array(
        [
            [v for v, _ in measure(make(np.random.default_rng(9_000_000 + i), LARGE))]
            for i in range(3)
        ]
    )
    truth, own = large.mean(axis=0), large.std(axis=0, ddof=1) / np.sqrt(len(large))
    truth[0], own[0] = 0.5, 0.0
    found = np.array([measure(make(np.random.default_rng(seed), edge)) for seed in seeds])
    rows = []
    for i, what in enumerate(("porosity", "share of pores from 8 px on", "tortuosity")):
        pull = (found[:, i, 0] - truth[i]) / np.hypot(found[:, i, 1], own[i])
        rows.append(
            [
                name,
                what,
                f"{truth[i]:.4f} ± {own[i]:.4f}",
                mean_error(found[:, i, 0], 4),
                f"{found[:, i, 1].mean():.4f}",
                f"{found[:, i, 0].std(ddof=1):.4f}",
                counted(int((np.abs(pull) < 1.96).sum()), len(seeds)),
            ]
        )
    return rows


def lattice_rows() -> list[list[str]]:
    """A cubic lattice of balls that touch nothing: Maxwell's tortuosity, and the balls' own diameter as pores."""
    rows = []
    for edge in (24, 48):
        grid = np.indices((edge,) * 3) - (edge - 1) / 2
        radius = 0.2875 * edge
        solid = (grid**2).sum(axis=0) < radius**2
        tau = detect.tortuosity(~solid, "z").tortuosity
        size = float(detect.local_thickness(solid).max())
        rows.append(
            [
                f"{edge}",
                f"{tau:.4f}",
                f"{1 + solid.mean() / 2:.4f}",
                f"{size:.2f}",
                f"{2 * radius:.2f}",
            ]
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--edge", type=int, default=60)
    chosen = parser.parse_args()
    write_machine()
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    head = ["medium", "what", "truth", "found", "stated sigma", "scatter", "covered"]
    for name, make in (("balls", overlapping_balls), ("blobs", blobs)):
        title = f"{name}: {chosen.edge}^3 voxels, {chosen.seeds} seeds from {chosen.first}"
        write_table(title, head, rows_of(name, make, seeds, chosen.edge))
    head = ["period", "tortuosity", "Maxwell", "diameter", "true"]
    write_table("Lattice of balls", head, lattice_rows())


if __name__ == "__main__":
    main()
