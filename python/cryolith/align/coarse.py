# SPDX-License-Identifier: BSD-3-Clause
"""First shifts: each image against the running mean of those of lower tilt."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .. import _core
from .images import resample_images
from .registration import register_pairs

__all__ = ["across_along", "correlate_outward", "frame"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

# The running mean forgets: tilts far away look different. 0.7 keeps about the last three images.
_MEMORY = 0.7


def frame(axis_deg: float) -> Float64:
    """Return the matrix that turns (v, u) along and across the axis into (row, column)."""
    psi = np.deg2rad(axis_deg)
    c, s = np.cos(psi), np.sin(psi)
    return np.array([[c, s], [-s, c]])


def across_along(shifts: Float64, axis_deg: float) -> Float64:
    """Return (row, column) shifts (n, 2) as (v, u): along and across the axis."""
    return np.asarray(shifts @ frame(axis_deg))


def correlate_outward(
    images: Float32,
    angles_deg: Float64,
    axis_deg: float | None,
    max_shift: float,
    threads: int,
    cancel: _core.CancelToken | None,
) -> tuple[Float64, Float64]:
    """Shift of each image [px] against the lowest tilt, walking outward on both sides.

    With ``axis_deg`` images are stretched by 1 / cos(tilt) across the axis (Guckenberger 1982): right where
    the specimen is a slab. Returns shifts (n, 2) and the correlation of each step (n,).
    """
    n, shape = len(images), (images.shape[1], images.shape[2])
    order = np.argsort(angles_deg, kind="stable")
    start = int(np.argmin(np.abs(angles_deg[order])))
    shifts, peaks = np.zeros((n, 2)), np.ones(n)
    turn = np.eye(2) if axis_deg is None else frame(axis_deg)

    def squeeze(i: int) -> Float64:
        """Matrix from the stretched frame to image ``i``."""
        if axis_deg is None:
            return np.eye(2)
        cosine = max(np.cos(np.deg2rad(angles_deg[i])), 0.2)
        lowest = max(np.cos(np.deg2rad(angles_deg[order[start]])), 0.2)
        return np.asarray(turn @ np.diag([1.0, cosine / lowest]) @ turn.T)

    def seen(i: int, shift: Float64) -> Float32:
        fill = float(np.median(images[i])) if axis_deg is not None else 0.0
        one = images[i][None]
        out = resample_images(one, squeeze(i)[None], shift[None], shape, fill, threads, cancel)
        return np.asarray(out[0])

    reference = {side: images[order[start]].copy() for side in (-1, 1)}
    last = {side: np.zeros(2) for side in (-1, 1)}
    for k in range(1, n):
        sides = [s for s in (-1, 1) if 0 <= start + s * k < n]
        if not sides:
            break
        steps = [int(order[start + s * k]) for s in sides]
        # A stretched image is cut at its edges: bring it to where the last one was before stretching.
        before = [last[s] if axis_deg is not None else np.zeros(2) for s in sides]
        moving = np.stack([seen(i, b) for i, b in zip(steps, before, strict=True)])
        found = register_pairs(
            np.stack([reference[s] for s in sides]),
            moving,
            max_shift=max_shift,
            threads=threads,
            cancel=cancel,
        )
        for s, i, b, row in zip(sides, steps, before, found, strict=True):
            shifts[i] = b + squeeze(i) @ row[:2]
            peaks[i] = row[5]
            last[s] = shifts[i]
            reference[s] = np.float32(_MEMORY) * reference[s] + np.float32(1 - _MEMORY) * seen(
                i, shifts[i]
            )
    return shifts, peaks
