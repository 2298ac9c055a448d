# SPDX-License-Identifier: BSD-3-Clause
"""Standard errors of a volume's shares as a sample of a larger, alike medium: the integral of their covariance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ._inputs import Float64
from ._student import student

__all__ = ["Sampling", "cell_counts"]

# Along each axis. What hangs together within a cell need not be known better: the sums of neighbours are enough.
_CELLS = 32


def _cell_edge(n: int) -> int:
    return -(-n // _CELLS)


def cell_counts(bins: npt.NDArray[np.integer], count: int) -> npt.NDArray[np.int64]:
    """Count the voxels of each bin (0 to count - 1; others are left out) in cells of a volume.

    Returns
    -------
    (z cells, y cells, x cells, count) int64
        At most 32 along each axis, the last of an axis may be smaller.
    """
    depth, *edges = (_cell_edge(n) for n in bins.shape)
    rows, columns = (np.arange(n) // edge for n, edge in zip(bins.shape[1:], edges, strict=True))
    section = (int(rows[-1]) + 1, int(columns[-1]) + 1)
    place = (rows[:, None] * section[1] + columns) * (count + 1)
    out = []
    for first in range(0, bins.shape[0], depth):
        kinds = bins[first : first + depth].astype(np.int64)
        kinds[(kinds < 0) | (kinds >= count)] = count
        kinds += place
        found = np.bincount(kinds.ravel(), minlength=section[0] * section[1] * (count + 1))
        out.append(found.reshape(*section, count + 1)[..., :count])
    return np.stack(out)


class Sampling:
    """Errors of sums over one volume, each from how much its parts know of each other.

    The variance of a sum is that of all pairs of its voxels. Far pairs know nothing of each other and are left out:
    what counts lies within ``reach`` times the radius at which a ball would hold as many voxels as the structure takes
    to say one thing (integral range), found together with it. Deviations from a share found in the same volume add up
    to 0, which costs the share W of pairs that count: 1 / (1 - W). 1 / W are degrees of freedom, by which sigma is
    widened (Student's t). Too few structures to say: infinite.

    Parameters
    ----------
    shape : (3,) tuple of int
    edges : (3,) tuple of float
        Of a voxel; only their ratios count.
    reach : float

    References
    ----------
    Variance and integral range: Lantuejoul, J. Microsc. 161 (1991) 387. The window that is a multiple of
    what it finds: Madras & Sokal, J. Stat. Phys. 50 (1988) 109, appendix C. Degrees of freedom: Priestley, Spectral
    Analysis and Time Series (1981), section 6.2.4.
    """

    def __init__(
        self, shape: tuple[int, ...], edges: tuple[float, float, float], reach: float
    ) -> None:
        self.voxels, self.reach = int(np.prod(shape)), reach
        sizes = [np.add.reduceat(np.ones(n), np.arange(0, n, _cell_edge(n))) for n in shape]
        steps = [_cell_edge(n) * edge for n, edge in zip(shape, edges, strict=True)]
        width = max(
            (step for step, size in zip(steps, sizes, strict=True) if len(size) > 1),
            default=1.0,
        )
        lags = [np.fft.fftfreq(2 * len(size), 1 / (2 * len(size))) for size in sizes]
        z, y, x = (lag * step / width for lag, step in zip(lags, steps, strict=True))
        self._far = np.rint(np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)).astype(np.intp)
        pairs = self._within(np.einsum("i,j,k", *sizes) / self.voxels)
        self._pairs = pairs[pairs < 1 - 1e-9]
        self._radius = 0.5 + np.arange(len(self._pairs))

    def shares(
        self, parts: npt.NDArray[np.integer], whole: npt.NDArray[np.integer]
    ) -> tuple[Float64, Float64]:
        """Return shares of voxels and their standard errors, (n,) each; an error of 0 where all or none are.

        Parameters
        ----------
        parts : (z cells, y cells, x cells, n)
            Of :func:`cell_counts`.
        whole : (z cells, y cells, x cells)
            Voxels that the shares are of.
        """
        total = float(whole.sum())
        share: Float64 = parts.sum(axis=(0, 1, 2)) / total
        sigma = np.zeros(len(share))
        for i in np.flatnonzero((share > 0) & (share < 1)):
            residual = (parts[..., i] - share[i] * whole) / total
            sigma[i] = self._sigma(residual, share[i] * (1 - share[i]) / total)
        return share, sigma

    def _sigma(self, residual: Float64, squares: float) -> float:
        """Return the standard error of a sum, by the cells' deviations and the sum of the voxels' squared ones."""
        pairs, radius = self._pairs, self._radius
        variance = np.maximum(self._within(residual)[: len(pairs)] / (1 - pairs), 0)
        # The radius at which a ball has the share of the volume that says one thing.
        alike = variance / squares / self.voxels
        single = np.interp(alike, np.append(0.0, pairs), np.append(0.0, radius))
        # Neighbours count in any case: what lies in both of two cells is one structure.
        fits = np.flatnonzero(radius[1:] >= self.reach * single[1:]) + 1
        if not len(fits):
            return float(np.inf)
        variance, pairs = variance[fits[0]], pairs[fits[0]]
        return float(np.sqrt(variance) * student(1 / pairs))

    def _within(self, cells: Float64) -> Float64:
        """Return the sums of products of all pairs of cells up to each distance."""
        power = np.abs(np.fft.rfftn(cells, self._far.shape, axes=(0, 1, 2))) ** 2
        products = np.fft.irfftn(power, self._far.shape, axes=(0, 1, 2))
        return np.cumsum(np.bincount(self._far.ravel(), products.ravel()))
