# SPDX-License-Identifier: BSD-3-Clause
"""Random alignments for the converters, and where they put points: docs/conventions.md, written out once more."""

from __future__ import annotations

from typing import Any

import numpy as np

from cryolith import Alignment, Source


def random_alignment(
    seed: int,
    *,
    magnification: bool = True,
    rotation: bool = True,
    x_tilt: str = "none",
    excluded: int = 2,
    axis_deg: float | None = None,
    shape: tuple[int, int] | None = None,
) -> Alignment:
    """An alignment of some tilts in any order; ``x_tilt`` is none, one (for all) or each."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(excluded + 3, 16))
    angles = rng.permutation(np.linspace(-66, 66, n) + rng.uniform(-1, 1, n))
    x_tilts = {"none": None, "one": np.full(n, rng.uniform(-9, 9)), "each": rng.normal(0, 3, n)}
    flagged = rng.choice(n, excluded, replace=False)
    return Alignment(
        angles_deg=angles,
        tilt_axis_deg=rng.uniform(-180, 180) if axis_deg is None else axis_deg,
        axis_offset_px=rng.normal(0, 10),
        shifts_px=rng.normal(0, 150, (n, 2)),
        rotations_deg=rng.normal(0, 1, n) if rotation else None,
        x_tilts_deg=x_tilts[x_tilt],
        magnifications=rng.uniform(0.9, 1.1, n) if magnification else None,
        image_shape=shape or (int(rng.integers(500, 4100)), int(rng.integers(500, 4100))),
        pixel_size=float(rng.uniform(0.4, 12)),
        flags={int(i): "blank" for i in sorted(flagged)},
        source=Source(path="series.mrc"),
    )


def each(values: Any, n: int, neutral: float) -> Any:
    return np.full(n, neutral) if values is None else values


def seen_at(alignment: Alignment, points: Any) -> Any:
    """(n_tilts, n_points, 2) [px]: (row, column) from (n - 1) / 2 of specimen points (x, y, z)."""
    n = len(alignment.angles_deg)
    x, y, z = np.asarray(points).T
    out = []
    for i in range(n):
        theta = np.radians(alignment.angles_deg[i])
        psi = np.radians(alignment.tilt_axis_deg + each(alignment.rotations_deg, n, 0.0)[i])
        alpha = np.radians(each(alignment.x_tilts_deg, n, 0.0)[i])
        m = each(alignment.magnifications, n, 1.0)[i]
        v = y * np.cos(alpha) - z * np.sin(alpha)
        z_tilted = y * np.sin(alpha) + z * np.cos(alpha)
        u = x * np.cos(theta) + z_tilted * np.sin(theta) + alignment.axis_offset_px
        row = m * (u * np.sin(psi) + v * np.cos(psi)) + alignment.shifts_px[i, 0]
        column = m * (u * np.cos(psi) - v * np.sin(psi)) + alignment.shifts_px[i, 1]
        out.append(np.stack([row, column], axis=1))
    return np.array(out)


def turned(alignment: Alignment) -> Any:
    """(n_tilts,) [deg]: psi."""
    return alignment.tilt_axis_deg + each(alignment.rotations_deg, len(alignment.angles_deg), 0.0)


def apart(a: Any, b: Any) -> float:
    """Largest difference [deg] of angles on the circle."""
    return float(np.abs((np.asarray(a) - b + 180) % 360 - 180).max())
