# SPDX-License-Identifier: BSD-3-Clause
"""Filters for tubes and sheets over directions and widths: their noise, their response, and what noise alone makes.

All filters are one spectrum, ``weight``, times an anisotropic Gaussian exp(-k^T A k / 2). So is what a reconstruction
shows of a Gaussian tube or sheet: ``reference``, that of a small round blob, times one. A = C - r^2, C the covariance
of the Gaussian and r the blob's size: for a tube along u C = w^2 + (L^2 - w^2) u u^T, for a sheet of normal u
L^2 + (w^2 - L^2) u u^T.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np

from .. import _core
from ._filter_bank import blob_spectrum, matched_weight, reference_spectrum
from ._imaging import Imaging
from ._inputs import Float32, Float64
from ._oriented_null import Null, make_null
from ._spectrum import Complex64, Spectra
from ._sphere import Sphere, half_sphere

__all__ = ["Kind", "OrientedBank", "Response", "packed"]

Kind = Literal["tubes", "sheets"]
REFERENCE = 0.7  # size of the reference blob over the smallest sought width
_BINS = 256
_REACH = 6.0  # rad: of k times the filter's length, beyond which its Gaussian holds nothing
_VAGUE = 0.5  # px: what tracing may add to a radius, all around, without any noise
_LEAST = 0.05
_LOSS = 0.1  # of a filter's response that the coarseness of directions may cost


class Response(NamedTuple):
    """The largest magnitude over all filters at each voxel, with its sign, and the index of the filter."""

    value: Float32
    which: np.ndarray


class OrientedBank:
    """Filters for ``kind`` of ``widths`` and one ``length`` [px], divided by the standard deviation of their noise.

    Attributes
    ----------
    axes : (n, 3) float64
        Directions of tubes or normals of sheets, z, y, x, on the half sphere z >= 0.
    weight : (nz, ny, nx // 2 + 1) float32
    transfer : (nz, ny, nx // 2 + 1) complex64
        From the specimen to the filtered volume, as if a small blob had the same image wherever it is.
    """

    def __init__(
        self,
        spectra: Spectra,
        imaging: Imaging,
        kind: Kind,
        widths: Float64,
        length: float,
        power: Float32,
        directions: int | None,
    ) -> None:
        self.spectra, self.kind, self.widths, self.length = spectra, kind, widths, length
        self.reference_size = REFERENCE * float(widths[0])
        reference = reference_spectrum(spectra, imaging, self.reference_size)
        self.weight = matched_weight(spectra, reference, power, length)
        self.bead_terms = (self.weight * reference).astype(np.complex64)
        self.transfer = self.bead_terms / blob_spectrum(spectra, self.reference_size)
        self._overlaps: dict[tuple[float, float], Float32] = {}
        self.axes = half_sphere(directions or enough_directions(float(widths[0]), length))
        self.sphere = Sphere(self.axes)
        self._sums(reference, power)

    def shapes(self, axes: Float64, width: float | Float64) -> Float64:
        """Return (n, 3, 3) A of filters along (n, 3) axes."""
        width = np.broadcast_to(np.asarray(width, float), len(axes))[:, None, None]
        across, along = (width, self.length) if self.kind == "tubes" else (self.length, width)
        outer = axes[:, :, None] * axes[:, None, :]
        out: Float64 = (across**2 - self.reference_size**2) * np.eye(3) + (
            along**2 - across**2
        ) * outer
        return out

    def beads(self, axes: Float64, width: float) -> Float64:
        """Return (n, 3, 3) A of what a line or plane of beads of ``width`` is made of."""
        size = width**2 - self.reference_size**2
        return np.repeat(size * np.eye(3)[None], len(axes), axis=0)

    def bead_signal(self, field: Float32, width: float) -> Float32:
        """Return spline coefficients of what a filter for beads of ``width`` makes of a volume, filtered already."""
        return self._of_beads(self.spectra.forward(field), (width,))

    def bead_overlap(self, width: float, other: float) -> Float32:
        """Return spline coefficients of what that filter makes of another bead of peak 1 at the first voxel."""
        pair = min(width, other), max(width, other)
        if pair not in self._overlaps:
            self._overlaps[pair] = self._of_beads(self.bead_terms, pair)
        return self._overlaps[pair]

    def precision(self) -> Float32:
        """Return one over the noise's variance per voxel, of each Fourier term, 0 where nothing is seen of a bead."""
        seen = self.bead_terms.real
        out = np.zeros_like(self.weight)
        np.divide(self.weight**2, seen, out=out, where=seen > 1e-6 * seen.max())
        return out

    def _of_beads(self, terms: Complex64, widths: tuple[float, ...]) -> Float32:
        base = self.reference_size
        factor = self.spectra.gaussian(sum(w**2 - base**2 for w in widths))
        for k in self.spectra.axes():
            factor *= (3 / (2 + np.cos(k))).astype(np.float32)
        factor *= np.float32(math.prod(w / base for w in widths) ** 3)
        return self.spectra.inverse(terms * factor)

    def _sums(self, reference: Float32, power: Float32) -> None:
        n, spectra = self.spectra.voxels, self.spectra
        noise = self.weight**2 * power / np.float32(n)
        response = self.weight * reference / np.float32(n)
        whole = blob_spectrum(spectra, self.reference_size)
        held = np.clip(reference, 0, whole) ** 2
        null: list[Null] = []
        self.sd = np.empty((len(self.widths), len(self.axes)))
        self.coverages = np.empty_like(self.sd)
        self.noise_profiles = np.empty((*self.sd.shape, _BINS))
        self.bead_profiles = np.empty_like(self.noise_profiles)
        for i, width in enumerate(self.widths):
            shapes = self.shapes(self.axes, width)
            moments, self.noise_profiles[i] = self.integrals(noise, 2 * shapes, 28)
            self.sd[i] = np.sqrt(moments[:, 0])
            null.append(make_null(self.axes, self.kind, moments, width, self.length))
            _, beads = self.integrals(response, shapes + self.beads(self.axes, width), 1)
            self.bead_profiles[i] = beads * (width / self.reference_size) ** 3
            seen, all_ = (self.integrals(w, 2 * shapes, 1)[0][:, 0] for w in (held, whole**2))
            self.coverages[i] = seen / all_
        self.null = null

    def integrals(self, weight: Float32, shapes: Float64, columns: int) -> tuple[Float64, Float64]:
        """Return sums over Fourier space of weight exp(-k^T A k / 2), and the same by k along a tube or in a sheet."""
        sums = np.empty((len(self.axes), columns))
        profile = np.empty((len(self.axes), _BINS))
        _core.oriented_sums(
            weight,
            self.spectra.shape[2],
            packed(shapes),
            self.axes,
            self.kind == "sheets",
            _REACH / self.length,
            sums,
            profile,
            self.spectra.threads,
            self.spectra.cancel,
        )
        return sums, profile

    def metric_at(self, axis: Float64, width: float) -> tuple[Float64, float]:
        """Return the metrics (3, 3) of place and of angle at the bank's nearest axis and width."""
        null = self.null[int(np.abs(np.log(self.widths / width)).argmin())]
        near = int(np.abs(self.axes @ axis).argmax())
        return null.spatial[near], float(np.linalg.eigvalsh(null.direction[near, :2, :2])[0])

    @property
    def frequencies(self) -> Float64:
        """Return k [rad/px] of the bins of profiles."""
        width = _REACH / self.length / _BINS
        return np.linspace(0.5 * width, (_BINS - 0.5) * width, _BINS)

    @property
    def wide_response(self) -> Float64:
        """Return (n_widths, n_directions) responses to a long tube or wide sheet of amplitude 1.

        Of a wide sheet in the missing wedge there may be nothing to see, less than nothing where waves are left out: it
        is taken for a twentieth of the largest, so that amplitudes stay finite.
        """
        extent = 8 * self.length if self.kind == "tubes" else np.pi * (4 * self.length) ** 2
        found = self.response(extent)
        return np.asarray(np.maximum(found, _LEAST * found.max()))

    def response(self, extent: float, offset: float = 0.0) -> Float64:
        """Return (n_widths, n_directions) responses to amplitude 1 at ``offset`` [px] from the middle along it.

        ``extent`` is the length of a straight tube [px], or the area of a round flat sheet [px^2].
        """
        k = self.frequencies
        spread = extent_spectrum(self.kind, k, extent)
        spread = spread * (np.cos(k * offset) if self.kind == "tubes" else bessel(0, k * offset))
        norm: Float64 = np.sqrt(2 * np.pi) * self.widths[:, None] * self.sd
        if self.kind == "sheets":
            norm = norm * np.sqrt(2 * np.pi) * self.widths[:, None]
        out: Float64 = self.bead_profiles @ spread / norm
        return out

    def inverted_area(
        self, normal: Float64, width: float, measured: float, plateau: float, share: float = 0.5
    ) -> tuple[float, float]:
        """Return the area of the round sheet that is ``measured`` wide at a share of its response, and the error."""
        near = int(np.abs(self.axes @ normal).argmax())
        at = int(np.abs(self.widths - width).argmin())
        radius = np.linspace(0.0, 8 * self.length, 257)
        trial = self.length * np.exp(np.linspace(math.log(0.25), math.log(8), 60))  # diameters
        k = self.frequencies
        spectra = np.stack(
            [extent_spectrum("sheets", k, float(np.pi * (t / 2) ** 2)) for t in trial]
        )
        fall = spectra @ (bessel(0, np.outer(radius, k)) * self.bead_profiles[at, near]).T
        fall /= fall[:, :1]
        first = (fall < share).argmax(axis=1)
        rows = np.arange(len(trial))
        before, after = fall[rows, first - 1], fall[rows, first]
        slope = (before - after) / (radius[1] - radius[0])
        half = radius[first - 1] + (before - share) / slope
        size = 2 * math.sqrt(measured / np.pi)
        wide = np.maximum.accumulate(2 * half) + 1e-6 * rows
        if size >= wide[-1]:
            found, rate, steep = size, 1.0, slope[-1]
        else:
            found = float(np.interp(size, wide, trial))
            rate = float(np.interp(size, wide, np.gradient(trial, wide)))
            steep = float(np.interp(size, wide, slope))
        end = min(rate, 4.0) / (plateau * steep)  # of the radius at one place
        rim = math.pi * found
        free = max(rim / (2 * math.sqrt(math.pi) * self.length), 1.0)
        return math.pi * (found / 2) ** 2, rim * math.sqrt(end**2 / free + _VAGUE**2)

    def filtered(self, volume: Float32) -> Complex64:
        """Return the spectrum of a volume times ``weight``."""
        base = self.spectra.forward(volume)
        base *= self.weight
        return base

    def respond(self, base: Complex64) -> Response:
        """Return the largest response over directions and widths of a filtered spectrum."""
        value = np.empty(self.spectra.shape, np.float32)
        which = np.empty(self.spectra.shape, np.int32)
        shapes = np.concatenate([packed(self.shapes(self.axes, w)) for w in self.widths])
        _core.oriented_maxima(
            base,
            self.spectra.shape[2],
            shapes,
            1 / self.sd.ravel(),
            value,
            which,
            self.spectra.threads,
            self.spectra.cancel,
        )
        return Response(value, which)

    def sample(self, field: Float32, places: Float64, axes: Float64, width: Float64) -> Float64:
        """Return the response (n,) at free places, axes and widths; ``field`` is the inverse of :meth:`filtered`."""
        out = np.empty(len(places))
        _core.oriented_samples(
            field,
            np.ascontiguousarray(places),
            packed(self.shapes(axes, width)),
            out,
            self.spectra.threads,
            self.spectra.cancel,
        )
        return out / self.at(self.sd, axes, width)

    def at(self, table: Float64, axes: Float64, width: Float64) -> Float64:
        """Interpolate a positive (n_widths, n_directions) table to axes and widths."""
        logs = self.sphere.interpolate(np.log(table).T, axes)
        if len(self.widths) == 1:
            return np.exp(logs[:, 0])
        t, x = np.log(self.widths), np.log(np.broadcast_to(width, len(axes)))
        low = np.clip(np.searchsorted(t, x) - 1, 0, len(t) - 2)
        share = (x - t[low]) / (t[low + 1] - t[low])
        rows = np.arange(len(axes))
        out: Float64 = np.exp((1 - share) * logs[rows, low] + share * logs[rows, low + 1])
        return out


def extent_spectrum(kind: Kind, k: Float64, extent: float) -> Float64:
    """Return the transform of a line of a length or of a disc of an area, by k along it."""
    if kind == "tubes":
        return extent * np.sinc(k * extent / (2 * np.pi))
    radius = math.sqrt(extent / np.pi)
    out: Float64 = 2 * np.pi * radius * bessel(1, k * radius) / k
    return out


def bessel(order: int, x: Float64) -> Float64:
    """Return the Bessel function J of order 0 or 1: the mean of cos(order t - x sin t) over half a turn."""
    span = float(np.max(np.abs(x), initial=0.0))
    t = (np.arange(32 + math.ceil(span)) + 0.5) * (np.pi / (32 + math.ceil(span)))
    out: Float64 = np.cos(order * t - np.multiply.outer(x, np.sin(t))).mean(axis=-1)
    return out


def enough_directions(width: float, length: float) -> int:
    """Return how many directions on the half sphere lose at most ``_LOSS`` of a response in white noise.

    Two filters at an angle have the correlation (1 + sin^2 (L^2 - w^2)^2 / (4 w^2 L^2))^(-1/2) or more; of n directions
    the nearest is at most about (2 x 2 pi / (sqrt(27) n))^(1/2) away, the corner of a triangle of neighbours.
    """
    stretch = (length**2 - width**2) / (2 * width * length)
    sine = math.sqrt((1 - _LOSS) ** -2 - 1) / stretch
    return max(13, math.ceil(4 * math.pi / (math.sqrt(27) * math.asin(min(sine, 1.0)) ** 2) * 1.5))


def packed(matrices: Float64) -> Float64:
    """Return (n, 3, 3) symmetric matrices as (n, 6): zz, yy, xx, zy, zx, yx."""
    pairs = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
    return np.ascontiguousarray(np.stack([matrices[:, i, j] for i, j in pairs], axis=1))
