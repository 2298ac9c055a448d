# SPDX-License-Identifier: BSD-3-Clause
"""Fourier terms of a volume, and the power spectrum of its noise: measured, planned or fitted."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import InputError
from ..metrics import NoisePower
from ._inputs import Float32, Float64, Mask

__all__ = [
    "BINS",
    "Complex64",
    "Spectra",
    "as_noise",
    "bin_centres",
    "fading",
    "fitted_noise",
    "floored",
    "measured_noise",
    "noise_scale",
    "own_share",
    "radial_sums",
]

Complex64 = npt.NDArray[np.complex64]
BINS = 2048  # of |k|: 2.7e-3 rad/px wide, 1e-5 of a Gaussian of 8 px at its steepest
# Least share of the mean power that any term is taken to have: in a missing wedge both noise and specimen vanish, and
# what is left of either is rounding and leakage.
_FLOOR = 1e-3
# |k| s beyond which a blob of sd s has exp(-9) of its power.
_SEEN_BY_NOTHING = 3.0
# Weight of each neighbour in smoothed spectra, on either side. Iterative solvers leave fine spokes: with even weights
# over 3 x 3 neighbours blobs through sirt were 1.4 % (1.4 px) to 4 % (4.7 px) less significant.
_BESIDE = 1 / 6
_WHITE = 0.02  # deviations of the radial spectrum below this are called white


class Spectra:
    """Transforms of volumes of one shape."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        threads: int,
        cancel: _core.CancelToken | None,
        device: str = "cpu",
    ) -> None:
        self.shape, self.threads, self.cancel, self.device = shape, threads, cancel, device
        self.plan = _core.FftPlan(list(shape), 3)
        self.terms: tuple[int, int, int] = (shape[0], shape[1], shape[2] // 2 + 1)
        self.voxels = math.prod(shape)

    def forward(self, volume: Float32) -> Complex64:
        """Return the half spectrum, not normalised: in place where rows have room for it (:meth:`padded`)."""
        if volume.shape[2] == 2 * self.terms[2]:
            out = volume.view(np.complex64)
            volume = volume[..., : self.shape[2]]
        else:
            out = np.empty(self.terms, np.complex64)
        self.plan.rfft(volume, out, self.threads, self.cancel)
        return out

    def inverse(self, spectrum: Complex64) -> Float32:
        """Return the volume."""
        out = np.empty(self.shape, np.float32)
        self.plan.irfft(spectrum, out, 1.0 / self.voxels, self.threads, self.cancel)
        return out

    def inverse_in_place(self, spectrum: Complex64) -> Float32:
        """Return the volume in the spectrum's own memory, in rows as those of :meth:`padded`."""
        out: Float32 = spectrum.view(np.float32)
        voxels = out[..., : self.shape[2]]
        self.plan.irfft(spectrum, voxels, 1.0 / self.voxels, self.threads, self.cancel)
        return out

    def padded(self) -> Float32:
        """Return an empty volume whose rows have room for their half spectrum: fresh pages cost time."""
        return np.empty((*self.terms[:2], 2 * self.terms[2]), np.float32)

    def axes(self) -> tuple[Float64, Float64, Float64]:
        """Return k [rad/px] along z, y and x, ready to be broadcast."""
        nz, ny, nx = self.shape
        z = np.asarray(2 * np.pi * np.fft.fftfreq(nz), np.float64)
        y = np.asarray(2 * np.pi * np.fft.fftfreq(ny), np.float64)
        x = np.asarray(2 * np.pi * np.fft.rfftfreq(nx), np.float64)
        return z[:, None, None], y[None, :, None], x[None, None, :]

    def squared_frequency(self) -> Float32:
        """Return |k|^2 [rad^2/px^2]."""
        z, y, x = ((k**2).astype(np.float32) for k in self.axes())
        out: Float32 = z + y + x
        return out

    def gaussian(self, decay: float) -> Float32:
        """Return exp(-decay |k|^2 / 2)."""
        z, y, x = (np.exp(-0.5 * decay * k**2).astype(np.float32) for k in self.axes())
        out: Float32 = z * y * x
        return out


def bin_centres() -> Float64:
    """Return |k| [rad/px] of the bins of :func:`radial_sums`."""
    width = math.sqrt(3) * math.pi / BINS
    return np.linspace(0.5 * width, (BINS - 0.5) * width, BINS)


def radial_sums(spectra: Spectra, weight: Float32, columns: Literal[1, 7] = 1) -> Float64:
    """Return (BINS, columns) sums of ``weight``, and of weight times k k^T, in bins of |k|."""
    sums = np.empty((BINS, columns))
    _core.spectrum_sums(weight, spectra.shape[2], sums, spectra.threads, spectra.cancel)
    return sums


def squared(spectrum: Complex64) -> Float32:
    """Return the squared magnitude of each term."""
    parts = spectrum.view(np.float32).reshape(*spectrum.shape, 2)
    out: Float32 = np.einsum("zyxc,zyxc->zyx", parts, parts)
    return out


class Fit(NamedTuple):
    """A noise spectrum and what to say about it."""

    power: Float32
    note: str


def fading(n: int, reach: float) -> Float64:
    """Return 1, and within ``reach`` of either end the rise of a squared sine."""
    depth = np.minimum(np.arange(n), np.arange(n)[::-1]) + 0.5
    out: Float64 = np.sin(np.pi / 2 * np.minimum(depth / reach, 1)) ** 2
    return out


def measured_noise(spectra: Spectra, noise: Float32, fade: float = 0) -> Float32:
    """Return the power spectrum (variance per voxel) of one volume of noise, as P(kz, kx) q(ky).

    A single term has a relative error of 1; the mean over ky and near neighbours has 6 % for 128 voxels. The form is
    that of a single tilt axis along y. Within ``fade`` voxels of the faces along z and x the noise is faded out: it
    does not go on from one face to the other, and that jump is power at low frequencies and in the wedge.
    """
    if fade:
        z, x = (fading(n, fade) for n in (noise.shape[0], noise.shape[2]))
        window = np.multiply.outer(z, x)[:, None]
        noise = noise * (window / np.sqrt((window**2).mean())).astype(np.float32)
    power = squared(spectra.forward(noise)) / np.float32(spectra.voxels)
    section = power.mean(axis=1, dtype=np.float64)
    nx = spectra.shape[2]
    full = np.concatenate(
        [section, np.roll(section[::-1], 1, axis=0)[:, 1 : nx - nx // 2][:, ::-1]], axis=1
    )
    even = _near_mean(full)
    # The mean fills what is hollow (wedge, between views) from beside it: what it does to its own result is undone.
    even *= _near_mean(full / np.maximum(even, np.finfo(np.float64).tiny))
    section = even[:, : spectra.terms[2]]
    counts = np.full(spectra.terms[2], 2.0)
    counts[0] = 1.0
    if nx % 2 == 0:
        counts[-1] = 1.0
    along = (power.astype(np.float64) * counts).sum(axis=(0, 2)) / (section * counts).sum()
    along = (along + np.roll(along[::-1], 1)) / 2
    along = np.average([np.roll(along, i) for i in range(-2, 3)], axis=0, weights=[1, 2, 3, 2, 1])
    out: Float32 = (section[:, None, :] * along[None, :, None]).astype(np.float32)
    return out


def _near_mean(section: Float64) -> Float64:
    for axis in (0, 1):
        beside = np.roll(section, 1, axis) + np.roll(section, -1, axis)
        section = (1 - 2 * _BESIDE) * section + _BESIDE * beside
    return section


def own_share(shape: tuple[int, ...]) -> float:
    """Return the share that each term of a volume's transform has in what :func:`measured_noise` says of it.

    Behind a filter that divides by that, the volume is weaker by as much, in standard deviations, than other noise of
    the same kind: a term that happens to be strong gets less weight.
    """
    once, twice = (1 - 2 * _BESIDE) ** 2, ((1 - 2 * _BESIDE) ** 2 + 2 * _BESIDE**2) ** 2
    return (2 * once - twice) / shape[1]


def floored(power: Float32) -> Float32:
    """Return ``power`` without terms that have next to none."""
    out: Float32 = np.maximum(power, np.float32(_FLOOR * power.mean(dtype=np.float64)))
    return out


def fine_bins(smallest: float) -> Mask:
    """Return the bins of |k| that hold nothing of a blob as large as ``smallest`` or larger."""
    k = bin_centres()
    out: Mask = (k > min(_SEEN_BY_NOTHING / smallest, 0.75 * np.pi)) & (k < np.pi)
    return out


def noise_scale(spectra: Spectra, volume: Float32, noise: Float32, smallest: float) -> float:
    """Return the power of a volume's finest terms over that of a volume of noise."""
    used = fine_bins(smallest)
    power = (squared(spectra.forward(v)) for v in (volume, noise))
    mine, theirs = (radial_sums(spectra, p)[used, 0].sum() for p in power)
    return float(mine / theirs)


def fitted_noise(
    spectra: Spectra, spectrum: Complex64, smallest: float, held: Float32 | None
) -> Fit:
    """Fit the noise of a volume from its own finest terms, which hold no object as large as the sought ones.

    White noise where those terms are level; else log power = a + b log k + c k^2 over them. ``held``: share of each
    term that the data hold; terms below a half are left out.
    """
    power = squared(spectrum)
    power /= np.float32(spectra.voxels)
    there = np.ones(spectra.terms, np.float32) if held is None else (held > 0.5).astype(np.float32)
    power *= there
    k = bin_centres()
    total, count = (radial_sums(spectra, w)[:, 0] for w in (power, there))
    used = fine_bins(smallest) & (count > 0)
    if count[used].sum() < 1000:
        raise InputError(
            f"volume: found {int(count[used].sum())} Fourier terms to fit the noise to, expected 1000 or more; "
            "give halves= or noise="
        )
    if not total[used].any():
        raise InputError(
            "volume: found nothing in its finest terms, expected noise; give halves= or noise="
        )
    level = total[used].sum() / count[used].sum()
    groups = [g for g in np.array_split(np.flatnonzero(used), 16) if count[g].sum() > 0]
    means = np.array([total[g].sum() / count[g].sum() for g in groups])
    weights = np.array([count[g].sum() for g in groups])
    spread = np.maximum(np.abs(means / level - 1) - 3 / np.sqrt(weights), 0)
    if spread.max() < _WHITE:
        return Fit(np.full(spectra.terms, np.float32(level)), "noise: white, from the finest terms")
    middle = np.array([np.average(k[g], weights=count[g]) for g in groups])
    design = np.stack([np.ones(len(groups)), np.log(middle), middle**2], axis=1)
    root = np.sqrt(weights)
    a, b, c = np.linalg.lstsq(design * root[:, None], np.log(means) * root, rcond=None)[0]
    square = np.maximum(
        spectra.squared_frequency(), np.float32((2 * np.pi / max(spectra.shape)) ** 2)
    )
    fitted = np.exp(a + 0.5 * b * np.log(square) + c * square).astype(np.float32)
    note = f"noise: coloured, fitted to the finest terms (power goes as k^{b:.2f} at low k); halves= would measure it"
    return Fit(fitted, note)


def as_noise(spectra: Spectra, noise: NoisePower | npt.ArrayLike) -> Float32:
    """Return the half spectrum that a caller's ``noise`` means: a standard deviation, shells, or all terms."""
    if isinstance(noise, NoisePower):
        k = np.sqrt(spectra.squared_frequency()) / (2 * np.pi)
        good = np.isfinite(noise.power)
        shells = np.interp(k, noise.frequency[good], noise.power[good])
        out: Float32 = shells.astype(np.float32)
        return out
    given = np.asarray(noise, dtype=np.float32)
    if given.ndim == 0:
        if not (np.isfinite(given) and given > 0):
            raise InputError(f"noise: found {given}, expected a standard deviation above 0")
        return np.full(spectra.terms, given**2)
    if (
        given.shape != spectra.terms
        or not np.isfinite(given).all()
        or given.min() < 0
        or not given.any()
    ):
        raise InputError(
            f"noise: found an array of shape {given.shape}, expected variances per voxel, 0 or more, of shape "
            f"{spectra.terms} in the order of numpy.fft.rfftn"
        )
    return given
