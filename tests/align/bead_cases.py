# SPDX-License-Identifier: BSD-3-Clause
"""Small tilt series with beads, bright on dark and dark on bright, of known geometry."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from specimens import ellipsoids, projections

from cryolith import Alignment, TiltSeries
from cryolith.align import align_tilt_series

Float64 = npt.NDArray[np.float64]

ANGLES = np.linspace(-60.0, 60.0, 21)
EDGE, DIAMETER, AXIS = 160, 10.0, 7.0


@dataclass(frozen=True)
class BeadCase:
    """Images, shifts, beads (x, y, z) [px], and the expected images without noise and without beads."""

    images: npt.NDArray[np.float32]
    shifts_px: Float64
    beads: Float64
    bare: Float64


@functools.cache
def bead_case(kind: str, *, count: int = 8, dose: float = 2000.0, seed: int = 0) -> BeadCase:
    """A particle (dark field, beads on a film below it) or a faint slab (bright field) with ``count`` beads."""
    rng = np.random.default_rng([seed, 7])
    shape, n = (EDGE, EDGE), len(ANGLES)
    specimen = ellipsoids(kind, EDGE, rng)
    shifts = np.cumsum(rng.normal(0, 2, (n, 2)), axis=0)
    shifts -= shifts[n // 2]
    beads = np.zeros((0, 3))
    while len(beads) < count:  # apart from each other, so that each is seen alone at most tilts
        one = rng.uniform(-0.42, 0.42, 3) * EDGE * [1, 1, 0.3]
        if np.linalg.norm(beads - one, axis=1).min(initial=np.inf) > 3 * DIAMETER:
            beads = np.vstack([beads, one])
    spheres = (
        beads,
        np.broadcast_to(np.eye(3) * (2 / DIAMETER) ** 2, (count, 3, 3)),
        np.ones(count),
    )
    matter = projections(specimen, shape, ANGLES, AXIS, shifts)
    gold = projections(spheres, shape, ANGLES, AXIS, shifts) / DIAMETER
    per_tilt = dose / n
    if kind == "slab":
        bare = per_tilt * np.exp(-0.02 / matter.mean() * matter)
        expected = bare * np.exp(-3 * gold)
    else:
        bare = per_tilt * (0.03 + matter / matter.max())
        expected = bare + per_tilt * 2 * gold
    images = rng.poisson(expected).astype(np.float32)
    return BeadCase(images, shifts, beads, bare)


@functools.cache
def aligned(kind: str) -> tuple[BeadCase, Alignment]:
    """Return a case and its alignment, no option set."""
    case = bead_case(kind)
    series = TiltSeries(images=case.images, angles_deg=ANGLES, tilt_axis_deg=AXIS, pixel_size=5.0)
    return case, align_tilt_series(series, threads=1)
