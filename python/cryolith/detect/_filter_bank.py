# SPDX-License-Identifier: BSD-3-Clause
"""A ladder of filters over blob size: their noise, their response to a blob, and what noise alone makes of them.

All filters are one spectrum, ``weight``, times a Gaussian exp(-decay |k|^2 / 2); what a blob of any size looks like is
one spectrum, ``reference``, times a Gaussian too. So every variance, response and roughness below is a sum over bins of
|k|, made once. A bank for tubes or sheets is the same with one weight for each direction.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from .. import _core
from ._gaussian_blobs import Blobs
from ._imaging import Imaging, Plain
from ._inputs import Float32, Float64, Margins, inside
from ._spectrum import Complex64, Spectra, bin_centres, floored, own_share, radial_sums

__all__ = [
    "FLOOR",
    "FilterBank",
    "blob_reference",
    "blob_spectrum",
    "make_bank",
    "matched_weight",
    "reference_spectrum",
]

Method = Literal["matched", "log"]
FLOOR = 3.7  # standard deviations: lower extrema are not looked at
_SLACK = 0.3  # how much the quadratic through the neighbours may lift an extremum
_MIDDLE = 0.6744898  # half of Gaussian noise lies within this of 0
_REFERENCE = 0.7  # size of the reference blob over the smallest sought one
_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
_FINE = 0.02  # step of log size in tables
# Places over which a response is averaged, rows between them over the blob's size, and how far from the middle they
# reach over an axis' length: about as far as places inside the margin.
_PLACES, _ROW_GAP, _SPREAD = 16, 8.0, 0.42


class FilterBank:
    """Filters for blobs of ``sizes`` [px], each divided by the standard deviation of its noise.

    Attributes
    ----------
    sizes : (n_scales,) float64 [px]
    weight, reference : (nz, ny, nx // 2 + 1) float32
        The filters' common spectrum U; that of a blob of size ``reference_size`` and peak 1, R.
    sd : (n_scales,) float64
        Of the noise behind each filter.
    """

    def __init__(
        self,
        spectra: Spectra,
        sizes: Float64,
        weight: Float32,
        reference: Float32,
        power: Float32,
        method: Method,
    ) -> None:
        self.spectra, self.sizes, self.weight, self.method = spectra, sizes, weight, method
        self.reference = reference
        self.reference_size = _REFERENCE * float(sizes[0])
        n = spectra.voxels
        self.levels = np.ones(1)  # of the noise, at places that stand for equal parts of the volume
        self.k2 = bin_centres() ** 2
        self._fields = np.empty((min(3, len(sizes)), *spectra.padded().shape), np.float32)
        work = self._fields.ravel()[: weight.size].reshape(weight.shape)  # fresh pages cost time
        whole = blob_spectrum(spectra, self.reference_size)
        # What a reconstruction adds beyond the blob itself holds nothing more of it.
        np.square(np.clip(reference, 0, whole, out=work), out=work)
        self.held_sums = radial_sums(spectra, work)[:, 0]
        self.whole_sums = radial_sums(spectra, np.square(whole, out=work))[:, 0]
        np.multiply(np.square(weight, out=work), power, out=work)
        self.noise_sums = radial_sums(spectra, work, 7) / n
        self.response_sums = radial_sums(spectra, np.multiply(weight, reference, out=work), 7) / n
        self.log_sizes = np.log(sizes)
        self.decays = self.decay_of(sizes)
        self.sd = np.sqrt(self.noise(2 * self.decays))
        self.fine = np.exp(np.arange(math.log(0.85 * sizes[0]), math.log(1.3 * sizes[-1]), _FINE))
        self._roughness, self._change = self._null()

    def held(self) -> Float32:
        """Return the share of each Fourier term of a blob that the reconstruction shows, the mean over places."""
        whole = blob_spectrum(self.spectra, self.reference_size)
        out: Float32 = (self.reference / np.maximum(whole, np.finfo(np.float32).tiny)).astype(
            np.float32
        )
        return out

    def decay_of(self, sizes: Float64) -> Float64:
        """Return the Gaussian factor's decay for filters of ``sizes``."""
        base = self.reference_size**2 if self.method == "matched" else 0.0
        out: Float64 = sizes**2 - base
        return out

    def noise(self, decay: Float64) -> Float64:
        """Return sums of U^2 P exp(-decay k^2 / 2): covariances between filters."""
        out: Float64 = np.exp(-0.5 * np.multiply.outer(decay, self.k2)) @ self.noise_sums[:, 0]
        return out

    def response(self, scales: Float64, sizes: Float64) -> Float64:
        """Return (n_scales, n_sizes): the noise-normalised peak that a blob of peak 1 makes at its centre."""
        decay = self.decay_of(scales)
        grown = sizes**2 - self.reference_size**2
        total = np.add.outer(decay, grown)
        sums = np.exp(-0.5 * np.multiply.outer(total, self.k2)) @ self.response_sums[:, 0]
        factor = (sizes / self.reference_size) ** 3
        sd = np.sqrt(self.noise(2 * decay))
        out: Float64 = sums * factor / sd[:, None]
        return out

    def coverage(self, sizes: Float64) -> Float64:
        """Return the share of the power of blobs that the data hold."""
        blob = np.exp(-np.multiply.outer(sizes**2 - self.reference_size**2, self.k2))
        out: Float64 = (blob @ self.held_sums) / (blob @ self.whole_sums)
        return out

    def tensor(self, sums: Float64, decay: float) -> Float64:
        """Return the (3, 3) sum of weight k k^T exp(-decay k^2 / 2), axes z, y, x."""
        six = np.exp(-0.5 * decay * self.k2) @ sums[:, 1:]
        out = np.empty((3, 3))
        for (i, j), value in zip(_PAIRS, six, strict=True):
            out[i, j] = out[j, i] = value
        return out

    def _null(self) -> tuple[Float64, Float64]:
        """Return the root of the roughness determinant of each scale, and the rate of change between scales."""
        rough = [
            np.linalg.det(self.tensor(self.noise_sums, 2 * d) / s**2)
            for d, s in zip(self.decays, self.sd, strict=True)
        ]
        both = self.noise(self.decays[1:] + self.decays[:-1])
        correlation = both / (self.sd[1:] * self.sd[:-1])
        change = np.sqrt(np.maximum(2 * (1 - correlation), 0))
        return np.sqrt(np.maximum(rough, 0)), change

    def expected_maxima(self, level: Float64, voxels: int) -> Float64:
        """Return how many extrema of either sign beyond ``level`` noise alone makes in ``voxels``."""
        out: Float64 = np.exp(self.log_expected_by_size(level, voxels)).sum(axis=-1)
        return out

    def log_expected_by_size(self, level: Float64, voxels: int) -> Float64:
        """Return (..., n_scales) logs of how many extrema beyond ``level`` noise makes about each scale in ``voxels``.

        The expected Euler characteristic of a Gaussian field over place and log size t (Siegmund & Worsley, Ann. Stat.
        23 (1995) 608). With D(t) the root of the roughness determinant, l(t) the variance of the slope along t and
        q = -(d ln D / dt) / l^(1/2) it is V exp(-u^2 / 2) / (2 pi)^(5/2) times

            int D l^(1/2) [u^3 - 3 u - 2/3 q^2 u] dt
            + D(t_0) [(pi / 2)^(1/2) (u^2 - 1) + q u] + D(t_1) [(pi / 2)^(1/2) (u^2 - 1) - q u].

        The terms with q are the curvature of scale space and of its ends, whose filters become smoother as t grows:
        Lipschitz-Killing curvatures of dx^2 / s^2 + l dt^2, hyperbolic with -q^2 / 9 (Adler & Taylor, Random Fields
        and Geometry, 2007, 12.4.1). A scale has the halves of the integral next to it, the first and the last one the
        ends' terms. Where the noise is stronger in one place than in another, it is the mean over ``levels``.
        """
        over = np.divide.outer(np.asarray(level, dtype=np.float64), self.levels)
        u = np.maximum(over, math.sqrt(3))[..., None]
        rough, change = self._roughness, self._change
        q = -np.diff(np.log(rough)) / change
        across = 0.5 * change * (u**3 - 3 * u - q**2 * u * 2 / 3)
        density = np.zeros((*u.shape[:-1], len(rough)))
        density[..., :-1] += rough[:-1] * across
        density[..., 1:] += rough[1:] * across
        for end, bend in ((0, q[0]), (-1, -q[-1])):
            flat = math.sqrt(math.pi / 2) * (u[..., 0] ** 2 - 1)
            density[..., end] += rough[end] * (flat + bend * u[..., 0])
        density = np.maximum(density, np.finfo(np.float64).tiny)
        each = np.log(2 * voxels * (2 * np.pi) ** -2.5 * density) - u**2 / 2
        out: Float64 = np.logaddexp.reduce(each, axis=-2) - math.log(len(self.levels))
        return out

    def finest(self, volume: Float32, margins: Margins) -> Float32:
        """Return what is behind the first filter, inside the margins, over its expected noise."""
        spectrum = self.spectra.forward(volume)
        spectrum *= self.weight * self.spectra.gaussian(float(self.decays[0]))
        inner = self.spectra.inverse(spectrum)[inside(margins)]
        out: Float32 = inner / np.float32(self.sd[0])
        return out

    def settle(self, noise: Float32, margins: Margins) -> None:
        """Take the noise for as strong as that of a volume is inside the margins, behind the finest filter.

        ``noise`` is what the spectrum was measured from. That is one of the whole volume: 2 % of the noise's sd are a
        quarter of its extrema beyond 4.
        """
        # The mean magnitude: what is no noise moves it less than the mean square.
        factor = math.sqrt(math.pi / 2) * float(
            np.abs(self.finest(noise, margins)).mean(dtype=np.float64)
        )
        factor *= 1 + own_share(noise.shape)
        self.noise_sums *= factor**2
        self.sd *= factor

    def scratch(self) -> Complex64:
        """Return memory for one half spectrum, which the next :meth:`extrema` takes again: fresh pages cost time."""
        out: Complex64 = self._fields[0].view(np.complex64)
        return out

    def extrema(self, base: Complex64, margins: Margins) -> tuple[Float64, Float64]:
        """Return (n, 5) extrema beyond ``FLOOR`` (height, log size, z, y, x) and each scale's robust sd.

        ``base`` is a spectrum times ``weight``. The sd is 1 where the noise is as expected.
        """
        spectra, gains = self.spectra, 1 / self.sd
        search = (min(margins), FLOOR - _SLACK, _MIDDLE)
        if spectra.device == "cpu":
            peaks, share = _core.scale_space_maxima(
                base,
                spectra.shape[2],
                self.decays,
                gains,
                self._fields,
                *search,
                spectra.threads,
                spectra.cancel,
            )
        else:
            peaks, share = _core.scale_space_maxima_on(
                spectra.device, base, spectra.shape[2], self.decays, gains, *search
            )
        peaks = peaks[np.abs(peaks[:, 0]) > FLOOR]
        for axis, (margin, n) in enumerate(zip(margins, spectra.shape, strict=True)):
            if margin > min(margins):
                peaks = peaks[np.abs(peaks[:, 2 + axis] - (n - 1) / 2) < n / 2 - margin]
        peaks[:, 1] = self._log_size_at(peaks[:, 1])
        # Near 0 the share within m is proportional to 1 / sd.
        return peaks, 0.5 / np.maximum(share, 1e-6)

    def _log_size_at(self, index: Float64) -> Float64:
        """Return log size at fractional scale indices: the parabola through three scales."""
        t, n = self.log_sizes, len(self.log_sizes)
        if n < 3:
            return np.interp(index, np.arange(n), t)
        middle = np.clip(np.rint(index).astype(int), 1, n - 2)
        d = index - middle
        up, down = t[middle + 1] - t[middle], t[middle] - t[middle - 1]
        out: Float64 = t[middle] + d * (up + down) / 2 + d * d * (up - down) / 2
        return out

    def inversion(self) -> tuple[Float64, Float64]:
        """Return, for blobs of ``fine`` sizes, the log size at which they peak and the height for a peak value of 1."""
        table = self.response(self.sizes, self.fine)
        at = table.argmax(axis=0)
        where, height = self.log_sizes[at].copy(), table.max(axis=0)
        inner = np.flatnonzero((at > 0) & (at < len(self.sizes) - 1))
        if len(inner):
            low, mid, high = (table[at[inner] + i, inner] for i in (-1, 0, 1))
            slope, bend = (high - low) / 2, high + low - 2 * mid
            step = np.clip(-slope / bend, -1, 1)
            where[inner] = self._log_size_at(at[inner] + step)
            height[inner] = mid + 0.5 * slope * step
        return where, height

    def measure(self, peaks: Float64) -> tuple[Float64, Float64]:
        """Return sizes [px] and peak values of blobs that make ``peaks``, by inverting the response."""
        where, height = self.inversion()
        rising = np.maximum.accumulate(where)
        size = np.interp(peaks[:, 1], rising + 1e-9 * np.arange(len(rising)), self.fine)
        return size, peaks[:, 0] / np.interp(size, self.fine, height)


def make_bank(
    spectra: Spectra, reference: Float32, sizes: Float64, power: Float32, method: Method
) -> FilterBank:
    """Return the bank of a method: ``matched`` to ``reference`` and noise of ``power``, or Laplacian of Gaussian.

    ``reference`` is what :func:`blob_reference` gives for ``sizes``.
    """
    if method == "log":
        return FilterBank(spectra, sizes, spectra.squared_frequency(), reference, power, method)
    weight = matched_weight(spectra, reference, power, float(sizes[-1]))
    return FilterBank(spectra, sizes, weight, reference, power, method)


def blob_reference(spectra: Spectra, imaging: Imaging, sizes: Float64, method: Method) -> Float32:
    """Return the reference of a bank: that of a blob of 0.7 of the smallest size."""
    return reference_spectrum(spectra, imaging, _REFERENCE * float(sizes[0]), method)


def reference_spectrum(
    spectra: Spectra, imaging: Imaging, size: float, method: Method = "matched"
) -> Float32:
    """Return the transform of what the reconstruction shows of a blob of ``size`` and peak 1 about voxel 0."""
    if isinstance(imaging, Plain) or method == "log":
        # Analytic: a blob of less than a pixel's width is sampled too coarsely to be transformed.
        reference = blob_spectrum(spectra, size)
        held = imaging.held() if method == "matched" else None
        if held is not None:
            reference *= held
        return reference
    return _mean_response(spectra, imaging, size)


def matched_weight(spectra: Spectra, reference: Float32, power: Float32, largest: float) -> Float32:
    """Return R / (P (1 + (k0 / k)^4)), 0 at k = 0.

    A slow background is one more noise: as strong as the noise itself for waves 4 pi times as long as the largest
    sought size, and rising as k^-4.
    """
    corner = (0.5 / largest) ** 2
    weight = spectra.squared_frequency()
    weight[0, 0, 0] = np.inf
    np.divide(np.float32(corner), weight, out=weight)
    weight *= weight
    weight += 1
    weight *= floored(power)
    np.divide(reference, weight, out=weight)
    weight[0, 0, 0] = 0.0
    return weight


def blob_spectrum(spectra: Spectra, size: float) -> Float32:
    """Return the transform of a blob of peak 1 about voxel 0."""
    out = spectra.gaussian(size**2)
    out *= np.float32((2 * np.pi) ** 1.5 * size**3)
    return out


def _mean_response(spectra: Spectra, imaging: Imaging, size: float) -> Float32:
    """Return the transform of what is shown of a blob about voxel 0, the mean over places of the section (z, x).

    In the middle all views' rays meet the voxels alike, and no streak is cut by a face before the others: templates of
    that place alone are 2 % too strong elsewhere. Rows apart do not see each other where rays are across y; where they
    are not, one place off the middle has to do.
    """
    nz, ny, nx = spectra.shape
    gap = math.ceil(_ROW_GAP * size)
    count = min(_PLACES, ny // gap) if imaging.rows_apart() else 1
    # A golden lattice: as many places in any part of the section, its corners too, as its area says.
    turn = np.arange(count)
    across, along = (turn + 0.5) / count - 0.5, (turn + 0.5) * (math.sqrt(5) - 1) / 2 % 1 - 0.5
    z = np.rint(nz // 2 + 2 * _SPREAD * nz * across).astype(np.intp)
    x = np.rint(nx // 2 + 2 * _SPREAD * nx * along).astype(np.intp)
    y = (ny - gap * count + gap) // 2 + gap * turn if count > 1 else np.array([ny // 2])
    places = np.stack([z, y, x], axis=1).astype(np.float64)
    shown = spectra.padded()
    imaging.draw(Blobs(places=places, sizes=np.full(count, size), heights=np.ones(count)), shown)
    rows = np.arange(-(gap // 2), gap - gap // 2) if count > 1 else np.arange(ny) - ny // 2
    mean = np.zeros(spectra.shape, np.float32)
    for place in zip(z, y, x, strict=True):
        slab = shown[:, place[1] + rows, :nx]
        mean[:, rows] += np.roll(slab, (-place[0], -place[2]), axis=(0, 2)) / np.float32(count)
    # Real, as the response of each view is even.
    return np.ascontiguousarray(spectra.forward(mean).real)
