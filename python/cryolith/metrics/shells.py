# SPDX-License-Identifier: BSD-3-Clause
"""Sums over shells of a half spectrum."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .._arrays import as_core
from ..errors import InputError

__all__ = ["Complex128", "Float64", "Shells", "as_pair"]

Float64 = npt.NDArray[np.float64]
Complex128 = npt.NDArray[np.complex128]


def as_pair(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[Float64, Float64]:
    """Return two volumes or images of equal shape as finite float64.

    Double precision, because a single-precision transform leaves the same rounding in both: it would correlate.
    """
    axes = ("nz", "ny", "nx")[-np.ndim(a) :] if np.ndim(a) in (2, 3) else ("nz", "ny", "nx")
    first, second = as_core(a, "a", axes, np.float64), as_core(b, "b", axes, np.float64)
    if first.shape != second.shape:
        raise InputError(f"b: found shape {second.shape}, expected that of a, {first.shape}")
    for name, value in (("a", first), ("b", second)):
        if not np.isfinite(value).all():
            raise InputError(f"{name}: found NaN or infinity, expected finite values; set them")
    return first, second


class Shells:
    """Shells one Fourier pixel of the longest extent wide, 1 to longest/2, of the half spectrum of a shape.

    Attributes
    ----------
    components : tuple of arrays
        Frequency along each axis [cycles/px], to be broadcast.
    radius : array of the half spectrum's shape [cycles/px]
    weights : array of the half spectrum's shape
        2 where a stored term also stands for its conjugate, else 1.
    frequency : (n_shells,) [cycles/px]
        Mean radius.
    count : (n_shells,) int64
        Independent terms: a term and its conjugate count once.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        grids = [np.fft.fftfreq(n) for n in shape[:-1]] + [np.fft.rfftfreq(shape[-1])]
        self.components = tuple(np.meshgrid(*grids, indexing="ij", sparse=True))
        self.radius: Float64 = np.sqrt(sum((g**2 for g in self.components), start=np.zeros(())))
        longest = max(shape)
        self._shell = np.rint(self.radius * longest).astype(np.int64)
        self._last = longest // 2
        columns = np.full(shape[-1] // 2 + 1, 2.0)
        columns[0] = 1.0
        if shape[-1] % 2 == 0:
            columns[-1] = 1.0
        self.weights: Float64 = np.broadcast_to(columns, self.radius.shape)
        terms = self.total(np.ones(self.radius.shape))
        with np.errstate(invalid="ignore"):
            self.frequency = self.total(self.radius) / terms
        self.count = np.ceil(terms / 2.0).astype(np.int64)

    def total(self, values: Float64, where: npt.NDArray[np.bool_] | None = None) -> Float64:
        """Return the sum over all terms of each shell, conjugates included."""
        weighted, shell = values * self.weights, self._shell
        if where is not None:
            weighted, shell = weighted[where], shell[where]
        sums = np.bincount(shell.ravel(), weighted.ravel(), self._last + 1)
        return np.asarray(sums, np.float64)[1 : self._last + 1]

    def correlation(
        self, fa: Complex128, fb: Complex128, where: npt.NDArray[np.bool_] | None = None
    ) -> Float64:
        """Return the correlation of two spectra in each shell; NaN where one has no signal."""
        power = self.total(np.abs(fa) ** 2, where) * self.total(np.abs(fb) ** 2, where)
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.total((fa * fb.conj()).real, where) / np.sqrt(power)

    def evenness(
        self, fa: Complex128, fb: Complex128, where: npt.NDArray[np.bool_] | None = None
    ) -> Float64:
        """Return the part of each shell's terms that counts, 1 where all have the same power.

        The variance of a sum of products is the sum of p_a p_b, that of a correlation this over the product of the
        sums: few strong terms, as the edge of a volume makes them, decide alone. Taken from the terms themselves,
        whose mean product of powers is 1 + c^2 times too large when the two correlate by c.
        """
        a, b = np.abs(fa) ** 2, np.abs(fb) ** 2
        terms = self.total(np.ones(self.radius.shape), where)
        correlation = self.correlation(fa, fb, where)
        with np.errstate(invalid="ignore", divide="ignore"):
            even = self.total(a, where) * self.total(b, where) / (terms * self.total(a * b, where))
        return np.nan_to_num(np.minimum(1.0, even * (1.0 + correlation**2)), nan=1.0)
