# SPDX-License-Identifier: BSD-3-Clause
"""Shells of equal frequency of a half spectrum, in two and three dimensions, and what each is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import _core

__all__ = ["MOST_COHERENT", "Shells", "Spectra", "Weights", "crop"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Complex64 = npt.NDArray[np.complex64]

# As in weights.cpp: the mean over neighbours, what stands out, and what counts as noise where nothing but leak is left.
_NEIGHBOURS, _SIGNIFICANT, MOST_COHERENT, _NOISE_FLOOR = 0.15, 3.0, 0.9999, 1e-4
_TOP = 0.45
# The crops' grids are a little finer than Nyquist's: products of two filtered arrays are summed over them.
_ROOM = 1.15


class Shells:
    """The shell of each coefficient, round(|f| longest), 0 beyond 0.45 cycles/px, and sums over shells.

    Parameters
    ----------
    shape : tuple of int
        Of the real array.
    coverage : half spectrum of float32, optional
        How much of each frequency both arrays hold, 0 to 1.
    """

    def __init__(self, shape: tuple[int, ...], coverage: Float32 | None = None) -> None:
        self.shape = shape
        self.longest = max(shape)
        self.frequencies = [np.fft.fftfreq(n) for n in shape[:-1]] + [np.fft.rfftfreq(shape[-1])]
        squares: Float32 = np.zeros((), np.float32)
        for axis, f in enumerate(self.frequencies):
            squares = squares + self._along(axis, np.square(f).astype(np.float32))
        distance = np.sqrt(squares)
        self.of = np.where(distance <= _TOP, np.rint(distance * self.longest), 0).astype(np.int32)
        self.count = int(self.of.max()) + 1
        times = np.full(shape[-1] // 2 + 1, 2, np.float32)
        times[0] = 1
        if shape[-1] % 2 == 0:
            times[-1] = 1
        self.times = np.broadcast_to(times, self.of.shape)
        if coverage is not None:
            self.times = times * coverage
        self.coverage = coverage
        self.counts = self.sums(np.ones((), np.float32))

    def _along(self, axis: int, values: Float32) -> Float32:
        return values.reshape([-1 if k == axis else 1 for k in range(len(self.shape))])

    def sums(self, values: Float32) -> Float64:
        """Sum ``values`` over each shell of the whole spectrum; shell 0 stays empty."""
        weights = np.broadcast_to(values * self.times, self.of.shape)
        out = np.bincount(self.of.ravel(), weights.ravel(), self.count).astype(np.float64)
        out[0] = 0
        return out

    def means(self, sums: Float64) -> Float64:
        """Return means over the shells within 15 % in frequency: one alone is too noisy to weigh with."""
        above, below = (self.neighbours(v) for v in (sums, self.counts))
        return np.asarray(np.divide(above, below, out=np.zeros_like(above), where=below > 0))

    def neighbours(self, sums: Float64) -> Float64:
        upto = np.concatenate([[0], np.cumsum(sums)])
        shell = np.arange(self.count)
        reach = np.maximum(1, (_NEIGHBOURS * shell).astype(int))
        first, last = np.maximum(1, shell - reach), np.minimum(self.count, shell + reach + 1)
        out = upto[last] - upto[np.minimum(first, last)]
        out[0] = 0
        return np.asarray(out)

    def tensors(self) -> Float64:
        """Return the sums of (2 pi)^2 f f^T over each shell, (count, d, d)."""
        d = len(self.shape)
        out = np.empty((self.count, d, d))
        axes = [
            self._along(k, (2 * np.pi * f).astype(np.float32))
            for k, f in enumerate(self.frequencies)
        ]
        # Off the diagonal the halves at +-f of the axes before the last cancel, but for the last axis alone.
        for i in range(d):
            for j in range(i, d):
                out[:, i, j] = out[:, j, i] = self.sums(axes[i] * axes[j])
        return out


@dataclass(frozen=True)
class Spectra:
    """Mean power of two arrays in each shell and of what they share, per coefficient; smoothed."""

    aa: Float64
    bb: Float64
    ab: Float64
    sums: tuple[Float64, Float64, Float64]

    @staticmethod
    def of(shells: Shells, a: Complex64, b: Complex64) -> Spectra:
        sums = tuple(
            shells.sums(v)
            for v in (
                a.real * a.real + a.imag * a.imag,
                b.real * b.real + b.imag * b.imag,
                a.real * b.real + a.imag * b.imag,
            )
        )
        aa, bb, ab = (shells.means(v) for v in sums)
        return Spectra(aa, bb, ab, (sums[0], sums[1], sums[2]))


@dataclass(frozen=True)
class Weights:
    """What each shell is worth: r / (N (1 + 2 r)) (design/012-registration.md, eq. 3)."""

    weight: Float64
    top: int  # the highest shell of any weight, 0: none
    certain: (
        float  # part of the correlation's bend that is signal: weights follow the noise a little
    )
    peak: float  # normalised correlation, weighted
    evidence: float  # log of how much likelier one scene is than two

    @staticmethod
    def of(shells: Shells, spectra: Spectra, independent: float) -> Weights:
        """``independent``: the part of the coefficients that windows leave independent."""
        power = np.sqrt(np.maximum(spectra.aa * spectra.bb, 0))
        power = power + _NOISE_FLOOR * power.max()
        counts = shells.neighbours(shells.counts)
        coherence = np.minimum(MOST_COHERENT, spectra.ab / np.maximum(power, 1e-300))
        noise = 1 / np.sqrt(np.maximum(1.0, counts * independent))
        used = (coherence > _SIGNIFICANT * noise) & (counts > 0) & (power > 0)
        used[0] = False
        ratio = np.where(used, coherence / (1 - coherence), 0)
        weight = np.where(
            used, ratio / (np.maximum(power, 1e-300) * (1 - coherence) * (1 + 2 * ratio)), 0
        )
        shell = np.arange(shells.count)
        worth = shells.counts * shell**2 * ratio**2 / (1 + 2 * ratio)
        certain = 1.0
        if worth.sum() > 0:
            part = noise[used] ** 2 / coherence[used] ** 2
            certain = float((worth[used] * (1 - part)).sum() / worth.sum())
        aa, bb, ab = ((weight * v).sum() for v in spectra.sums)
        peak = float(ab / np.sqrt(aa * bb)) if aa > 0 and bb > 0 else 0.0
        gain = -0.5 * independent * (shells.counts * np.log1p(-np.square(coherence)))[used].sum()
        return Weights(weight, int(shell[used].max(initial=0)), certain, peak, float(gain))


def crop(half: Complex64, shape: tuple[int, ...], top: float) -> tuple[Complex64, tuple[int, ...]]:
    """Return the coefficients below ``top`` cycles/px of a half spectrum, and the shape of the grid that holds them."""
    reach = [min(int(np.ceil(top * n)), (n - 1) // 2) for n in shape]
    sizes = tuple(
        min(n, _core.fft_good_size(int(_ROOM * (2 * k + 2))))
        for n, k in zip(shape, reach, strict=True)
    )
    out = np.zeros((*sizes[:-1], sizes[-1] // 2 + 1), np.complex64)
    ends = [(slice(0, k + 1), slice(-k, None)) for k in reach[:-1]]
    for corner in np.ndindex(*(2,) * len(ends)):
        at = (*(ends[d][c] for d, c in enumerate(corner)), slice(0, reach[-1] + 1))
        out[at] = half[at]
    return out, sizes
