# SPDX-License-Identifier: BSD-3-Clause
"""Fourier shell correlation, its errors, thresholds and correction for a mask."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from .._arrays import as_core
from ..errors import InputError
from .shells import Complex128, Float64, Shells, as_pair

__all__ = ["Fsc", "Threshold", "crossing", "fsc", "half_bit", "standard_error"]

Threshold = float | Literal["half-bit"]
# Phases are randomised from where the unmasked curve falls below this, and trusted two shells later (Chen et al.).
RANDOMISE_BELOW, MARGIN = 0.8, 2
BINS_PER_PIXEL = 4  # the waves of a distance have periods of 1 px and more


@dataclass(frozen=True, kw_only=True, eq=False)
class Fsc:
    """Fourier shell (or ring) correlation.

    Attributes
    ----------
    frequency : (n_shells,) float64 [cycles/px]
        Mean radius of each shell.
    correlation, sigma_correlation : (n_shells,) float64
        From -1 to 1; NaN where one of the two has no signal. With a mask: corrected for what the mask adds.
    count : (n_shells,) int64
        Independent Fourier terms in the shell: a term and its conjugate count once.
    effective_count : (n_shells,) float64
        The same, less what a mask and uneven powers within the shell make of them.
    pixel_size : float
        Edge of a voxel, in the unit in which resolutions are wanted.
    masked, randomised, unmasked : (n_shells,) float64 or None
        With a mask: the curve of the masked volumes, that of masked volumes with random phases, and that
        without a mask.
    """

    frequency: Float64
    correlation: Float64
    sigma_correlation: Float64
    count: npt.NDArray[np.int64]
    effective_count: Float64
    pixel_size: float = 1.0
    masked: Float64 | None = None
    randomised: Float64 | None = None
    unmasked: Float64 | None = None

    @property
    def half_bit(self) -> Float64:
        """(n_shells,): the half-bit threshold of van Heel & Schatz."""
        return half_bit(self.effective_count)

    def resolution(self, threshold: Threshold = 0.143) -> float:
        """Return the period at which the curve first falls below ``threshold``, in the unit of ``pixel_size``.

        Linear between shells; NaN when the curve never falls below, or starts there.

        Parameters
        ----------
        threshold : float or "half-bit"
            0.143 and 0.5 are in use for halves of the data; ``half-bit`` is the curve :attr:`half_bit`.
        """
        return (
            self.pixel_size / crossing(self.frequency, self.correlation, self._curve(threshold))[0]
        )

    def sigma_resolution(self, threshold: Threshold = 0.143) -> float:
        """Return the standard deviation of :meth:`resolution` that the scatter of the two shells makes."""
        frequency, slope, i = crossing(self.frequency, self.correlation, self._curve(threshold))
        if not math.isfinite(frequency):
            return math.nan
        sigma = float(np.sqrt(np.mean(self.sigma_correlation[i - 1 : i + 1] ** 2)))
        return self.pixel_size / frequency**2 * sigma / abs(slope)

    def _curve(self, threshold: Threshold) -> Float64:
        if threshold == "half-bit":
            return self.half_bit
        if isinstance(threshold, str):
            raise InputError(f"threshold: found {threshold!r}, expected a number or 'half-bit'")
        return np.full(len(self.frequency), float(threshold))


def fsc(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    mask: npt.ArrayLike | None = None,
    pixel_size: float = 1.0,
    randomise_beyond: float | None = None,
    seed: int = 0,
) -> Fsc:
    """Correlate two volumes (or images) shell by shell in Fourier space.

    Parameters
    ----------
    a, b : (nz, ny, nx) or (ny, nx) array_like
        Of equal shape, for example the halves of :func:`cryolith.reconstruct.wbp`; extents may differ, frequencies
        are in cycles per pixel.
    mask : same shape, optional
        0 to 1, soft edges: both are multiplied with it. The same sharp edge in both correlates by itself; that part
        is measured on the same volumes with random phases and taken off.
    pixel_size : float, default 1
    randomise_beyond : float, optional [cycles/px]
        With a mask: where the random phases start; default where the unmasked curve falls below 0.8.
    seed : int, default 0
        Of the random phases.

    Returns
    -------
    Fsc
        Shells one Fourier pixel of the longest extent wide, from the first up to 0.5 cycles/px. The mean
        value (frequency 0) is left out.

    Raises
    ------
    InputError
        Shapes that differ, values that are not finite, an empty mask.

    References
    ----------
    Harauz & van Heel (1986), Optik 73, 146, eq. 2. Thresholds: van Heel & Schatz (2005), J. Struct. Biol. 151,
    250, eq. 17 (half-bit); Rosenthal & Henderson (2003), J. Mol. Biol. 333, 721 (0.143). Correction for the mask:
    Chen et al. (2013), Ultramicroscopy 135, 24, eq. 4.
    """
    first, second = as_pair(a, b)
    if not (math.isfinite(pixel_size) and pixel_size > 0):
        raise InputError(f"pixel_size: found {pixel_size}, expected a length above 0")
    shells = Shells(first.shape)
    spectra = np.fft.rfftn(first), np.fft.rfftn(second)
    plain = shells.correlation(*spectra)
    if mask is None:
        effective = shells.count * shells.evenness(*spectra)
        curves = {"correlation": plain, "sigma_correlation": standard_error(plain, effective)}
    else:
        m = _as_mask(mask, first.shape)
        inside = np.fft.rfftn(first * m), np.fft.rfftn(second * m)
        effective = _effective_count(m, shells) * shells.evenness(*inside)
        masked = shells.correlation(*inside)
        start = _first_random_shell(shells, plain, randomise_beyond)
        noise = _noise_correlation(spectra, shells, start, m, seed)
        corrected, sigma = _correct(masked, noise, effective, start + MARGIN)
        curves = {"correlation": corrected, "sigma_correlation": sigma}
        curves |= {"masked": masked, "randomised": noise, "unmasked": plain}
    return Fsc(
        frequency=shells.frequency,
        count=shells.count,
        effective_count=effective,
        pixel_size=float(pixel_size),
        **curves,
    )


def half_bit(count: Float64) -> Float64:
    """Return the half-bit threshold for shells of ``count`` independent terms (van Heel & Schatz 2005, eq. 17)."""
    root = np.sqrt(np.maximum(count, 1.0))
    return np.asarray((0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root))


def standard_error(correlation: Float64, count: Float64) -> Float64:
    """Return the standard deviation of a correlation of ``count`` complex pairs: (1 - c^2) / sqrt(2 count)."""
    return np.asarray((1.0 - correlation**2) / np.sqrt(2.0 * np.maximum(count, 1.0)))


def crossing(
    frequency: Float64, correlation: Float64, threshold: Float64
) -> tuple[float, float, int]:
    """Return frequency, slope against the threshold, and shell of the first fall below it; NaN, NaN, 0 if none."""
    above = correlation - threshold
    below = np.flatnonzero(above < 0)
    if below.size == 0 or below[0] == 0:
        return math.nan, math.nan, 0
    i = int(below[0])
    slope = (above[i] - above[i - 1]) / (frequency[i] - frequency[i - 1])
    return float(frequency[i - 1] - above[i - 1] / slope), float(slope), i


def _as_mask(mask: npt.ArrayLike, shape: tuple[int, ...]) -> Float64:
    m: Float64 = as_core(mask, "mask", ("nz", "ny", "nx")[-len(shape) :], np.float64)
    if m.shape != shape:
        raise InputError(f"mask: found shape {m.shape}, expected that of a, {shape}")
    if not (np.isfinite(m).all() and m.any()):
        raise InputError("mask: found nothing but 0, or NaN, expected 1 where the specimen is")
    return m


def _effective_count(mask: Float64, shells: Shells) -> Float64:
    """Return how many independent terms each shell has left when white noise is multiplied with ``mask``.

    Terms within the width of the mask's transform repeat each other. With the covariance C(k - k') of two terms, the
    transform of the squared mask, the n terms of a shell count as (n C(0))^2 / sum |C(k - k')|^2. Written in real
    space that is 1 over the mean of (sin x / x)^2, x = 2 pi k r (J0^2 in an image), over the distances r between all
    pairs of points in the squared mask, times the same for the thickness of the shell.
    """
    pairs = np.fft.irfftn(np.abs(np.fft.rfftn(mask**2)) ** 2, mask.shape, axes=range(mask.ndim))
    axes = np.meshgrid(*(np.fft.fftfreq(n) * n for n in mask.shape), indexing="ij", sparse=True)
    distance = np.sqrt(sum((g**2 for g in axes), start=np.zeros(())))
    bins = np.rint(distance * BINS_PER_PIXEL).astype(np.int64)
    weight = np.bincount(bins.ravel(), pairs.ravel())
    r = np.arange(len(weight)) / BINS_PER_PIXEL
    thickness = np.sinc(r / max(mask.shape)) ** 2
    out = np.empty(len(shells.frequency))
    for i, k in enumerate(shells.frequency):
        if mask.ndim == 3:
            wave = np.sinc(2.0 * k * r)
        else:  # J0 as the mean over directions
            turns = np.cos(np.pi * (np.arange(256) + 0.5) / 256)
            wave = np.cos(2.0 * np.pi * k * r[:, None] * turns).mean(axis=1)
        out[i] = weight.sum() / (weight * wave**2 * thickness).sum() / 2.0
    return np.minimum(out, shells.count)


def _first_random_shell(shells: Shells, plain: Float64, beyond: float | None) -> int:
    if beyond is not None:
        if not 0.0 < beyond < 0.5:
            raise InputError(f"randomise_beyond: found {beyond}, expected 0 to 0.5 cycles/px")
        return int(np.searchsorted(shells.frequency, beyond))
    low = np.flatnonzero(plain < RANDOMISE_BELOW)
    return int(low[0]) if low.size else len(plain)


def _noise_correlation(
    spectra: tuple[Complex128, Complex128], shells: Shells, start: int, mask: Float64, seed: int
) -> Float64:
    """Return the correlation that the mask alone makes: of the volumes with random phases from shell ``start`` on."""
    rng, axes = np.random.default_rng(seed), range(mask.ndim)
    beyond = shells.radius * max(mask.shape) > start + 0.5
    alike = []
    for spectrum in spectra:
        noise = np.fft.rfftn(rng.standard_normal(mask.shape))
        phases = noise / np.maximum(np.abs(noise), 1e-300)
        mixed = np.where(beyond, np.abs(spectrum) * phases, spectrum)
        alike.append(np.fft.rfftn(np.fft.irfftn(mixed, mask.shape, axes=axes) * mask))
    return shells.correlation(alike[0], alike[1])


def _correct(
    masked: Float64, noise: Float64, effective: Float64, start: int
) -> tuple[Float64, Float64]:
    """Return (masked - noise) / (1 - noise) from shell ``start`` on, and the error of both curves together."""
    sigma = standard_error(masked, effective)
    rest = np.maximum(1.0 - noise, 1e-6)
    both = np.hypot(sigma / rest, standard_error(noise, effective) * (1.0 - masked) / rest**2)
    beyond = np.arange(len(masked)) >= start
    return np.where(beyond, (masked - noise) / rest, masked), np.where(beyond, both, sigma)
