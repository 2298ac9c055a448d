# SPDX-License-Identifier: BSD-3-Clause
"""Profiles across a surface: of a volume, of what a reconstruction shows of bodies that it bounds, and of noise."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._edges import SHARPEST, normal_cdf
from ._imaging import Imaging, Projected
from ._inputs import Float32, Float64
from ._spectrum import Spectra

__all__ = [
    "KERNEL",
    "Library",
    "Patches",
    "Response",
    "body",
    "make_library",
    "profile_covariances",
    "ridged",
    "seen_share",
    "spline_coefficients",
    "spline_values",
]

KERNEL = (
    0.8  # px, the Gaussian that volumes are smoothed by before they are looked at between voxels
)
_NODE = 4.0  # px between the offsets that are projected
_BLOCK = 4096  # points that are looked at together
_FINE = 0.5  # px between the samples of a library's profiles
_RIDGE = 2e-3
_OVERSAMPLING = (
    8  # of the noise's autocovariance: linear means are then right to 1e-3 of the variance
)


class Response:
    """What the volume shows of a body, as a detector's pixels have it."""

    def __init__(self, imaging: Imaging) -> None:
        self.imaging = imaging
        self.projected = isinstance(imaging, Projected)

    def show(self, volume: Float32) -> Float32:
        """Return what the volume shows: the body itself, or projected and reconstructed as the data were."""
        return self.imaging.show(volume).both

    def pixel_gain(self, spectra: Spectra) -> Float32 | None:
        """Return by what waves of a projected volume are to be multiplied to be those that a detector's pixels record.

        Linear means in the projector take sinc^2(k / 2) of waves across the tilt axis, and voxels of a body about
        exp(-k^2 / 24); pixels as wide as a voxel average over their width, sinc(k / 2). (Along the axis voxels and
        pixels are alike.)
        """
        if not self.projected:
            return None
        z, _, x = spectra.axes()
        k = np.sqrt(z**2 + x**2)
        gain = np.exp(k**2 / 24) / np.maximum(np.sinc(k / (2 * np.pi)), 0.5)
        out: Float32 = gain.astype(np.float32)
        return out


@dataclass(frozen=True)
class Patches:
    """Groups of points on a surface whose profiles are averaged.

    Attributes
    ----------
    points, normals : (n, 3) float64 [voxels]
        Places on the surface, and the way out.
    weights : (n,) float64
        Of each point in its patch's mean; they add up to 1 in each patch.
    owner : (n,) int64
        The patch of each point, ascending.
    count : int
    """

    points: Float64
    normals: Float64
    weights: Float64
    owner: npt.NDArray[np.int64]
    count: int

    def profiles(
        self, spectra: Spectra, volume: Float32, at: Float64, gain: Float32 | None = None
    ) -> Float64:
        """Return (count, len(at)) means of the smoothed ``volume`` at distances ``at`` [px] along the normals."""
        table = spline_coefficients(spectra, volume, gain)
        values = np.empty((len(self.points), len(at)))
        for first in range(0, len(values), _BLOCK):
            part = slice(first, first + _BLOCK)
            places = self.points[part, None] + at[None, :, None] * self.normals[part, None]
            values[part] = spline_values(table, places) * self.weights[part, None]
        starts = np.searchsorted(self.owner, np.arange(self.count))
        out: Float64 = np.add.reduceat(values, starts, axis=0)
        return out


def body(level: Float32, offset: float, blur: float) -> Float32:
    """Return how much of each voxel lies below ``offset`` of a signed distance, blurred by ``blur`` [px].

    A voxel's own extent has the variance 1/12 in every direction.
    """
    width = math.hypot(SHARPEST, blur)
    out = (level < offset).astype(np.float32)
    near = np.abs(level - offset) < 5 * width
    out[near] = normal_cdf((offset - level[near].astype(np.float64)) / width)
    return out


@dataclass(frozen=True)
class Library:
    """Profiles of what the reconstruction shows of the body below each offset.

    In the frame of the moving edge they change slowly with the offset, so a few offsets are projected and polynomials
    go through them.

    Attributes
    ----------
    nodes : (n_nodes,) float64 [px]
    fine : (n_fine,) float64 [px]
        Distances from the edge.
    shown : (n_nodes, n_patches, n_fine) float64
    """

    nodes: Float64
    fine: Float64
    shown: Float64

    def at(self, offset: float, distances: Float64) -> Float64:
        """Return (n_patches, len(distances)) profiles of the body below ``offset``."""
        weights = _lagrange(self.nodes, offset)
        table = np.tensordot(weights, self.shown, axes=1)
        return _cubic(table, (distances - offset - self.fine[0]) / _FINE)


def _lagrange(nodes: Float64, x: float) -> Float64:
    """Return the weights of the polynomial through all nodes at ``x``."""
    out = np.ones(len(nodes))
    for i, node in enumerate(nodes):
        others = np.delete(nodes, i)
        out[i] = np.prod((x - others) / (node - others))
    return out


def _cubic(table: Float64, at: Float64) -> Float64:
    """Interpolate the last axis at fractional indices: the cubic through four samples."""
    base = np.clip(np.floor(at).astype(np.int64), 1, table.shape[-1] - 3)
    f = at - base
    weights = (
        -f * (f - 1) * (f - 2) / 6,
        (f + 1) * (f - 1) * (f - 2) / 2,
        -(f + 1) * f * (f - 2) / 2,
        (f + 1) * f * (f - 1) / 6,
    )
    out: Float64 = sum(w * table[..., base + i - 1] for i, w in enumerate(weights))  # type: ignore[assignment]
    return out


def make_library(
    spectra: Spectra,
    response: Response,
    level: Float32,
    patches: Patches,
    window: float,
    reach: float,
    blur: float,
) -> Library:
    """Project and reconstruct bodies at offsets up to ``reach`` [px], seen up to ``window`` [px] from the surface."""
    half = max(1, math.ceil(reach / _NODE - 1e-9))
    nodes = np.linspace(-reach, reach, 2 * half + 1)
    fine = np.arange(-window - reach - 1.0, window + reach + 1.0 + 1e-9, _FINE)
    shown = []
    for node in nodes:
        solid = body(level, float(node), blur)
        seen = response.show(solid)
        shown.append(patches.profiles(spectra, seen, fine + node, response.pixel_gain(spectra)))
    return Library(nodes, fine, np.array(shown))


def seen_share(library: Library, at: Float64) -> Float64:
    """Return the share of the profile of a layer of 1 px that the volume shows, background taken off both."""
    shown = library.at(0.5, at) - library.at(-0.5, at)
    width = math.hypot(KERNEL, 1 / math.sqrt(6))
    own = np.exp(-0.5 * (at / width) ** 2) / (width * math.sqrt(2 * math.pi))
    own = own - own.mean()
    out: Float64 = (shown @ own) / (own @ own)
    return np.clip(out, 0, 1)


def profile_covariances(spectra: Spectra, power: Float32, patches: Patches, at: Float64) -> Float64:
    """Return (n_patches, n, n) covariances of the profiles of stationary noise with the spectrum ``power``.

    Means over pairs of points of a patch of the autocovariance of the smoothed noise. The spectrum is taken as
    P(kz, kx) q(ky), the form of a single tilt axis along y.
    """
    section, along = _autocovariance(spectra, power)
    out = np.empty((patches.count, len(at), len(at)))
    starts = np.append(np.searchsorted(patches.owner, np.arange(patches.count)), len(patches.owner))
    for p in range(patches.count):
        mine = slice(starts[p], starts[p + 1])
        places = patches.points[mine, None] + at[None, :, None] * patches.normals[mine, None]
        out[p] = _mean_over_pairs(section, along, places, patches.weights[mine])
    return out


def ridged(covariance: Float64) -> Float64:
    """Return covariances with a little of their mean variance added: nothing is trusted beyond that."""
    n = covariance.shape[-1]
    level = np.einsum("pii->p", covariance) / n
    out: Float64 = covariance + _RIDGE * level[:, None, None] * np.eye(n)
    return out


def _mean_over_pairs(
    section: Float32, along: Float32, places: Float64, weights: Float64
) -> Float64:
    n = places.shape[1]
    total = np.zeros((n, n))
    middle = np.array([section.shape[0] // 2, along.shape[0] // 2, section.shape[1] // 2])
    places = places * _OVERSAMPLING
    for i in range(len(places)):  # one point against it and those after it
        lag = places[i][None, :, None, :] - places[i:, None, :, :] + middle
        value = bilinear(section, lag[..., 0], lag[..., 2]) * linear(along, lag[..., 1])
        share = weights[i] * weights[i:].copy()
        share[1:] *= 2
        total += np.einsum("k,kab->ab", share, value)
    return (total + total.T) / 2


def _autocovariance(spectra: Spectra, power: Float32) -> tuple[Float32, Float32]:
    """Return the autocovariance of smoothed noise as c(z, x) d(y), oversampled; lag 0 is at n // 2 of each axis."""
    nz, ny, nx = spectra.shape
    section, along = separated(power, nx)
    z, y, x = (k.ravel() for k in spectra.axes())
    section = section * np.exp(-(KERNEL**2) * z**2)[:, None] * np.exp(-(KERNEL**2) * x**2)[None]
    along = along * np.exp(-(KERNEL**2) * y**2)
    full = np.zeros((nz * _OVERSAMPLING, nx * _OVERSAMPLING // 2 + 1))
    rows = np.rint(z * nz / (2 * np.pi)).astype(int) % len(full)
    full[np.ix_(rows, np.arange(len(x)))] = section
    covariance = np.fft.irfft2(full, (nz * _OVERSAMPLING, nx * _OVERSAMPLING)) * _OVERSAMPLING**2
    line = np.zeros(ny * _OVERSAMPLING)
    line[np.rint(y * ny / (2 * np.pi)).astype(int) % len(line)] = along
    other = np.fft.ifft(line).real * _OVERSAMPLING
    return np.fft.fftshift(covariance).astype(np.float32), np.fft.fftshift(other).astype(np.float32)


def separated(power: Float32, nx: int) -> tuple[Float64, Float64]:
    """Return P(kz, kx) (nz, nx // 2 + 1) and q(ky) of mean 1 whose product is nearest to a spectrum."""
    section = power.mean(axis=1, dtype=np.float64)
    counts = np.full(power.shape[2], 2.0)
    counts[0] = 1.0
    if nx % 2 == 0:
        counts[-1] = 1.0
    along = (power * counts.astype(np.float32)).sum(axis=(0, 2), dtype=np.float64)
    return section, along / along.mean()


def linear(table: Float32, at: Float64) -> Float64:
    """Return values at fractional indices, which must lie inside."""
    base = np.clip(at.astype(np.int64), 0, len(table) - 2)
    f = at - base
    out: Float64 = table[base] * (1 - f) + table[base + 1] * f
    return out


def bilinear(table: Float32, row: Float64, column: Float64) -> Float64:
    """Return values at fractional indices, which must lie inside."""
    j = np.clip(row.astype(np.int64), 0, table.shape[0] - 2)
    i = np.clip(column.astype(np.int64), 0, table.shape[1] - 2)
    fj, fi = row - j, column - i
    flat, first = table.ravel(), j * table.shape[1] + i
    top = flat[first] * (1 - fi) + flat[first + 1] * fi
    first += table.shape[1]
    out: Float64 = top * (1 - fj) + (flat[first] * (1 - fi) + flat[first + 1] * fi) * fj
    return out


def spline_coefficients(
    spectra: Spectra, volume: Float32, more: Float32 | None = None, width: float = KERNEL
) -> Float32:
    """Return what :func:`spline_values` samples: the volume smoothed by a Gaussian of ``width``, as cubic B-splines.

    Their coefficients come from the transform, so that waves pass by the Gaussian alone wherever a place falls between
    voxels (to 5 % at 2 rad/px), times ``more`` (nz, ny, nx // 2 + 1) if given.
    """
    terms = spectra.forward(volume)
    terms *= spectra.gaussian(width**2)
    if more is not None:
        terms *= more
    for k in spectra.axes():
        terms /= ((2 + np.cos(k)) / 3).astype(np.float32)  # the B-spline's own transform
    return spectra.inverse(terms)


def spline_values(table: Float32, at: Float64) -> Float64:
    """Return the sum of the cubic B-splines at places (..., 3) [voxels]; they repeat beyond the faces."""
    base = np.floor(at).astype(np.int64)
    f: Float32 = (at - base).astype(np.float32)
    weights, index = [], []
    for axis, (n, stride) in enumerate(zip(table.shape, table.strides, strict=True)):
        w = _spline_weights(f[..., axis])
        weights.append(w)
        index.append([((base[..., axis] + i) % n) * (stride // 4) for i in (-1, 0, 1, 2)])
    flat = table.ravel()
    out = np.zeros(at.shape[:-1], np.float32)
    for a, b, c in itertools.product(range(4), repeat=3):
        value = flat[index[0][a] + index[1][b] + index[2][c]]
        out += value * (weights[0][a] * weights[1][b] * weights[2][c])
    return out.astype(np.float64)


def _spline_weights(f: Float32) -> tuple[Float32, ...]:
    """Return the cubic B-spline's weights of the four voxels about a place ``f`` beyond the second of them."""
    g = 1 - f
    four = (g**3 / 6, 2 / 3 - f * f * (1 - f / 2), 2 / 3 - g * g * (1 - g / 2), f**3 / 6)
    return tuple(w.astype(np.float32) for w in four)
