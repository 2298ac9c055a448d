# SPDX-License-Identifier: BSD-3-Clause
"""The edges of a voxel, from what a caller brings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..datamodel import Volume
from ..errors import InputError

__all__ = ["Spacing", "as_spacing"]

Spacing = float | Sequence[float] | Volume | None


def as_spacing(spacing: Spacing, name: str = "spacing") -> tuple[float, float, float]:
    """Return the edges of a voxel along z, y, x: 1 for None, nm for a Volume, else in the caller's unit."""
    if spacing is None:
        return (1.0, 1.0, 1.0)
    if isinstance(spacing, Volume):
        if spacing.pixel_size is None:
            raise InputError(
                f"{name}: found a Volume without a pixel size, expected one that knows it; "
                "set it or pass the edges of a voxel"
            )
        spacing = spacing.pixel_size / 10.0
    try:
        edges = np.asarray(spacing, np.float64)
    except (TypeError, ValueError):
        edges = np.empty((0,))
    if edges.ndim == 0:
        edges = np.repeat(edges, 3)
    if edges.shape != (3,) or not (np.isfinite(edges).all() and (edges > 0).all()):
        raise InputError(
            f"{name}: found {spacing!r}, expected one positive length or three, along z, y, x"
        )
    z, y, x = (float(edge) for edge in edges)
    return z, y, x
