# SPDX-License-Identifier: BSD-3-Clause
"""Specimens and tilt series whose truth is known exactly.

A phantom is a sum of convex solids; its voxels and its projections are both computed from the same
equations (:mod:`cryolith.simulate.solids`), so neither depends on the projector that it is used to test.
"""

from __future__ import annotations

from .phantoms import chiral, needle, particle, slab
from .series import tilt_series
from .solids import Phantom, Solid, box, cylinder, ellipsoid, layer

__all__ = [
    "Phantom",
    "Solid",
    "box",
    "chiral",
    "cylinder",
    "ellipsoid",
    "layer",
    "needle",
    "particle",
    "slab",
    "tilt_series",
]
