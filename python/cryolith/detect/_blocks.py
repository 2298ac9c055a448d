# SPDX-License-Identifier: BSD-3-Clause
"""Standard errors of shares of a volume, from how they differ between its parts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ._inputs import Float64

__all__ = ["PARTS", "block_counts", "share_of_blocks"]

# Along each axis. Fewer parts are larger, so that neighbours know less of each other; more give a steadier variance.
PARTS = 4


def block_counts(bins: npt.NDArray[np.integer], count: int) -> Float64:
    """Count the voxels of each bin (0 to count - 1; others are left out) in PARTS^3 parts of a volume.

    Returns
    -------
    (z parts, y parts, x parts, count) float64
        Axes shorter than PARTS are not parted.
    """
    cuts = [np.array_split(np.arange(n), PARTS if n >= PARTS else 1) for n in bins.shape]
    out = np.empty((*(len(cut) for cut in cuts), count))
    for place in np.ndindex(out.shape[:3]):
        ranges = [cut[i] for cut, i in zip(cuts, place, strict=True)]
        part = bins[tuple(slice(r[0], r[-1] + 1) for r in ranges)].ravel()
        out[place] = np.bincount(part[(part >= 0) & (part < count)], minlength=count)
    return out


def share_of_blocks(parts: Float64, whole: Float64) -> tuple[Float64, Float64]:
    """Return sum(parts) / sum(whole) over blocks, and its standard error as of a ratio of means.

    Parameters
    ----------
    parts : (z, y, x, n)
    whole : (z, y, x)

    References
    ----------
    Cochran, Sampling Techniques, 3rd ed. (1977), eq. 6.13. Neighbours share structure where they touch: their products
    count with Bartlett's weights (half a step aside along an axis), Newey & West, Econometrica 55 (1987) 703, eq. 5.
    """
    total = whole.sum()
    nothing = np.full(parts.shape[-1], np.nan)
    if total == 0:
        return nothing, nothing
    share = parts.sum(axis=(0, 1, 2)) / total
    if whole.size < 2:
        return share, nothing
    residual = parts - share * whole[..., None]
    mixed, ones = residual, np.ones(whole.shape)
    for axis in range(3):
        mixed, ones = _with_neighbours(mixed, axis), _with_neighbours(ones, axis)
    # Residuals from the common share add up to zero, which costs as many blocks as the weights of one add up to.
    freedom = 1 - ones.mean() / whole.size
    variance = (residual * mixed).sum(axis=(0, 1, 2)) / total**2 / freedom
    return share, np.sqrt(np.maximum(variance, 0.0))


def _with_neighbours(values: Float64, axis: int) -> Float64:
    out = values.copy()
    lower = [slice(None)] * values.ndim
    upper = [slice(None)] * values.ndim
    lower[axis], upper[axis] = slice(None, -1), slice(1, None)
    out[tuple(lower)] += 0.5 * values[tuple(upper)]
    out[tuple(upper)] += 0.5 * values[tuple(lower)]
    return out
