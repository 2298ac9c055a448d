# SPDX-License-Identifier: BSD-3-Clause
"""Standard errors of shares of a volume, from how they differ between its parts."""

from __future__ import annotations

import itertools

import numpy as np

from ._inputs import Float64

__all__ = [
    "PARTS",
    "block_ranges",
    "residual_of_blocks",
    "share_of_blocks",
    "sigma_of_blocks",
]

# Along each axis. Fewer parts are larger, so that neighbours know less of each other; more give a steadier variance.
PARTS = 4


def block_ranges(n: int) -> list[tuple[int, int]]:
    """Return where the parts of an axis of n voxels begin and end; one shorter than PARTS is not parted."""
    parts = PARTS if n >= PARTS else 1
    each, more = divmod(n, parts)
    bounds = [each * i + min(i, more) for i in range(parts + 1)]
    return list(itertools.pairwise(bounds))


def share_of_blocks(parts: Float64, whole: Float64) -> tuple[Float64, Float64]:
    """Return sum(parts) / sum(whole) over blocks, and its standard error as of a ratio of means.

    Parameters
    ----------
    parts : (z, y, x, n)
    whole : (z, y, x) or (z, y, x, n)

    References
    ----------
    Cochran, Sampling Techniques, 3rd ed. (1977), eq. 6.13.
    """
    share, residual = residual_of_blocks(parts, whole)
    return share, sigma_of_blocks(residual)


def residual_of_blocks(parts: Float64, whole: Float64) -> tuple[Float64, Float64]:
    """Return the shares, and (z, y, x, n) by how much each block moves them; NaN where the whole is nothing."""
    whole = whole[..., None] if whole.ndim == 3 else whole
    total = whole.sum(axis=(0, 1, 2))
    total = np.where(total == 0, np.nan, total)
    share: Float64 = parts.sum(axis=(0, 1, 2)) / total
    return share, (parts - share * whole) / total


def sigma_of_blocks(residual: Float64) -> Float64:
    """Return (n,) standard errors of what the blocks' residuals, which add up to zero, belong to.

    NaN for a single block.

    References
    ----------
    Neighbours share structure where they touch: their products count with Bartlett's weights (half a step aside along
    an axis), Newey & West, Econometrica 55 (1987) 703, eq. 5.
    """
    ones = np.ones(residual.shape[:3])
    if ones.size < 2:
        return np.full(residual.shape[3], np.nan)
    mixed = residual
    for axis in range(3):
        mixed, ones = _with_neighbours(mixed, axis), _with_neighbours(ones, axis)
    # Residuals from the common share add up to zero, which costs as many blocks as the weights of one add up to.
    freedom = 1 - ones.mean() / ones.size
    variance = (residual * mixed).sum(axis=(0, 1, 2)) / freedom
    out: Float64 = np.sqrt(np.maximum(variance, 0.0))
    return out


def _with_neighbours(values: Float64, axis: int) -> Float64:
    out = values.copy()
    lower = [slice(None)] * values.ndim
    upper = [slice(None)] * values.ndim
    lower[axis], upper[axis] = slice(None, -1), slice(1, None)
    out[tuple(lower)] += 0.5 * values[tuple(upper)]
    out[tuple(upper)] += 0.5 * values[tuple(lower)]
    return out
