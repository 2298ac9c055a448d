# SPDX-License-Identifier: BSD-3-Clause
"""Tubes of columns in noise behind a wedge of +-60 degrees: is the count right, and does its margin say when it is not?

    python benchmarks/validate_columns.py                 # noise 2, 4 and 6 times the density of a column
    python benchmarks/validate_columns.py 3 --seeds 20 --first 100

Each seed draws the number of columns (10 to 16), the direction, the elongation (1 to 1.15) and the noise.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from cryolith.detect import count_columns, cross_section, tube_axis

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests" / "detect"))
from tube_phantoms import tube

COUNTS = range(8, 19)


def one(seed: int, noise: float) -> tuple[int, int, float, float, float]:
    """Return the true number, the one found, margin over its error, error of the spacing, of the axis over its own."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(10, 17))
    direction = (rng.uniform(-0.05, 0.05), 1.0, rng.uniform(-0.3, 0.3))
    data, truth = tube(
        n,
        shape=(44, 136, 84),
        direction=direction,
        centre_px=(21.5 + rng.uniform(-1, 1), 67.5, 41.5 + rng.uniform(-1, 1)),
        elongation=rng.uniform(1.0, 1.15),
        noise=noise,
        tilt_deg=60,
        seed=seed,
    )
    axis = tube_axis(data, radius_px=18)
    off = np.degrees(np.arccos(min(1.0, float(axis.direction @ truth["direction"]))))
    section = cross_section(data, axis, radius_px=18)
    found = count_columns(section, COUNTS, radius_px=truth["radius_px"], tilts_deg=(-60, 60))
    spacing = (found.spacing - truth["spacing_px"]) / found.sigma_spacing
    return n, found.best, found.margin / found.sigma_margin, spacing, off / axis.sigma_direction_deg


def main() -> None:
    """Print a line for each noise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("noise", nargs="*", type=float, default=[2.0, 4.0, 6.0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=500)
    asked = parser.parse_args()
    for noise in asked.noise:
        rows = np.array([one(asked.first + i, noise) for i in range(asked.seeds)])
        right = rows[:, 0] == rows[:, 1]
        sure = rows[:, 2] > 3
        spacing = rows[right, 3]
        sys.stdout.write(
            f"noise {noise:g}: {right.sum()} of {len(rows)} right; margin above 3 of its errors: {sure.sum()}, "
            f"of those right {np.count_nonzero(right & sure)}; none found {np.count_nonzero(rows[:, 1] == 0)}; "
            f"spacing over its sigma rms {np.sqrt((spacing**2).mean()) if len(spacing) else np.nan:.2f}; "
            f"axis over its sigma rms {np.sqrt((rows[:, 4] ** 2).mean()):.2f}\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
