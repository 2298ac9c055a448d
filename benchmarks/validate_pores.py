# SPDX-License-Identifier: BSD-3-Clause
"""Do errors of porosity, sizes and tortuosity cover the truth? Porous media made anew for each seed.

    python benchmarks/validate_pores.py balls fields lattice                # media of our own
    peers/bin/python benchmarks/validate_pores.py blobs spheres polydisperse  # porespy's generators
    ... [--seeds 10] [--first 7000] [--edges 48 80]

Truth: the porosity of balls by formula; all else is the mean over six volumes of 128^3 of the same medium, with its own
error. porespy gives each image the porosity asked for, so volumes are cut from the middle of images of 160^3, which
leave it free. Pores are counted by sizes from a diameter on that about half of them reach. "covered" counts results
within 1.96 sigma (the truth's own error included), with its Wilson 95 % interval; "not said" are infinite sigmas, and
volumes that the margin for the largest ball uses up. Neither is counted as covered.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "detect"))
from pore_phantoms import voxel_balls
from tables import mean_error, wilson, write_machine, write_table

from cryolith import InputError, detect

Mask = npt.NDArray[np.bool_]
LARGE, IMAGE, COUNT = (
    128,
    160,
    6,
)  # edges of the volumes that give the truth and of porespy's images; how many
WHAT = ("porosity", "share of large pores", "tortuosity")


def balls(seed: int) -> Mask:
    """Return the pores between balls of radius 4 about voxels, each one with the same chance, of known share."""
    return ~voxel_balls(np.random.default_rng(seed), IMAGE, 4, 0.5)


def fields(seed: int) -> Mask:
    """Return smoothed noise above 0: a porosity of one half, for any smoothing."""
    k = np.fft.fftfreq(IMAGE)
    square = k[:, None, None] ** 2 + k[:, None] ** 2 + np.fft.rfftfreq(IMAGE) ** 2
    noise = np.random.default_rng(seed).standard_normal((IMAGE,) * 3)
    spectrum = np.fft.rfftn(noise) * np.exp(-2 * (np.pi * 2.5) ** 2 * square)
    return np.fft.irfftn(spectrum, (IMAGE,) * 3, axes=(0, 1, 2)) > 0


def of_porespy(name: str, **settings: Any) -> Callable[[int], Mask]:
    """Return a generator of porespy, True where there is a pore."""

    def make(seed: int) -> Mask:
        import porespy

        porespy.settings.tqdm["disable"] = True
        image = getattr(porespy.generators, name)(shape=[IMAGE] * 3, seed=seed, **settings)
        return np.asarray(image, bool)

    return make


def polydisperse(seed: int) -> Mask:
    """Return the pores between overlapping spheres of five radii about 5."""
    import scipy.stats

    spread = scipy.stats.norm(loc=5, scale=1)
    return of_porespy("polydisperse_spheres", porosity=0.5, dist=spread, nbins=5, r_min=3)(seed)


# Each medium, and the diameter from which on a pore counts as large.
MEDIA: dict[str, tuple[Callable[[int], Mask], float]] = {
    "balls": (balls, 7.0),
    "fields": (fields, 9.0),
    "blobs": (of_porespy("blobs", porosity=0.5, blobiness=IMAGE / (40 * 2.5)), 9.0),
    "spheres": (of_porespy("overlapping_spheres", porosity=0.5, r=4), 7.0),
    "polydisperse": (polydisperse, 8.0),
}


def middle(mask: Mask, edge: int) -> Mask:
    low = (IMAGE - edge) // 2
    return np.ascontiguousarray(mask[(slice(low, low + edge),) * 3])


def measure(mask: Mask, large: float) -> list[tuple[float, float]]:
    """Return (value, sigma) of porosity, share of large pores, tortuosity."""
    try:
        sizes = detect.size_distribution(detect.local_thickness(mask), [0, large, 1000])
        share = float(sizes["share"][1]), float(sizes["sigma_share"][1])
    except InputError:  # the margin leaves nothing
        share = np.nan, np.inf
    flow = detect.tortuosity(mask, "z", sampling=True, tolerance=1e-3)
    return [detect.volume_fraction(mask), share, (flow.tortuosity, flow.sigma)]


def counted(hits: int, count: int) -> str:
    low, high = wilson(hits, count)
    return f"{hits} of {count} ({low:.2f} to {high:.2f})"


def rows_of(name: str, seeds: range, edges: list[int]) -> list[list[str]]:
    make, large = MEDIA[name]
    wide = np.array([measure(middle(make(9_000_000 + i), LARGE), large) for i in range(COUNT)])
    truth, own = wide[..., 0].mean(axis=0), wide[..., 0].std(axis=0, ddof=1) / np.sqrt(COUNT)
    if name in ("balls", "fields"):
        truth[0], own[0] = 0.5, 0.0
    found: dict[int, list[list[tuple[float, float]]]] = {edge: [] for edge in edges}
    for seed in seeds:
        image = make(seed)
        for edge in edges:
            found[edge].append(measure(middle(image, edge), large))
    rows = []
    for edge, i in ((edge, i) for edge in edges for i in range(len(WHAT))):
        value, sigma = np.array(found[edge])[:, i].T
        said = np.isfinite(sigma)
        hits = np.abs(value[said] - truth[i]) < 1.96 * np.hypot(sigma[said], own[i])
        rows.append(
            [
                f"{name}, {edge}³",
                f"{WHAT[i]}{f' ({large:g} px on)' if i == 1 else ''}",
                f"{truth[i]:.4f} ± {own[i]:.4f}",
                mean_error(value[said], 4),
                f"{np.median(sigma[said]):.4f}",
                f"{value[said].std(ddof=1):.4f}",
                counted(int(hits.sum()), int(said.sum())),
                str(int((~said).sum())),
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
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("media", nargs="+", choices=(*MEDIA, "lattice"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=7000)
    parser.add_argument("--edges", type=int, nargs="+", default=[48, 80])
    chosen = parser.parse_args()
    write_machine()
    head = ["medium", "what", "truth", "found", "median sigma", "scatter", "covered", "not said"]
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    rows = [row for m in chosen.media if m in MEDIA for row in rows_of(m, seeds, chosen.edges)]
    if rows:
        write_table(f"{chosen.seeds} seeds from {chosen.first}", head, rows)
    if "lattice" in chosen.media:
        head = ["period", "tortuosity", "Maxwell", "diameter", "true"]
        write_table("Lattice of balls", head, lattice_rows())


if __name__ == "__main__":
    main()
