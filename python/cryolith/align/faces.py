# SPDX-License-Identifier: BSD-3-Clause
"""How a slab lies in a reconstruction: its two faces, from where its structure is; from its mass; from beads on it.

A slab is flat in the frame p where its faces are planes of constant z. In the frame of the reconstruction it is turned
by ``rotation_matrix(x_deg=x_tilt, y_deg=tilt_offset)``, so that a face is z = height - tan(tilt_offset) x +
tan(x_tilt) / cos(tilt_offset) y.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Estimate", "Faces", "find_faces", "growth_offset", "through_points"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

_SLOW_PX = 4.0  # structure wider than that has no depth in a missing wedge
_BLOCK = 4  # columns of so many px are one: their slopes are known much better than that
_BINS = 2  # heights to a pixel
_STEPS = (0.05, 0.025, 0.0125, 0.006, 0.003)  # of the slopes
_AGAIN = 2  # a resampled slab is looked for from this step on
_TILES, _SAMPLES, _SEED = 6, 24, 20261127
_LEAST_PX, _EDGE = (
    4,
    0.06,
)  # thinnest slab; share of the depth at either end that no face may lie in
_LEAST_RATIO = 1.3  # of structure within the faces over that beyond
_OFFSETS = np.arange(-25.0, 25.01, 0.1)
_POINT_ROUNDS = 20
_TWO_FACES = (
    0.25  # of the scatter about one plane (0.5 by chance): with less about two, points lie on both
)


@dataclass(frozen=True)
class Estimate:
    """A number and its standard deviation."""

    value: float
    sigma: float

    def agrees(self, other: Estimate) -> bool:
        """Whether the two differ by less than two standard deviations of their difference."""
        return abs(self.value - other.value) < 2 * float(np.hypot(self.sigma, other.sigma))

    def with_(self, other: Estimate) -> Estimate:
        """Return the mean of both, each by its variance."""
        w, v = 1 / self.sigma**2, 1 / other.sigma**2
        mean = (w * self.value + v * other.value) / (w + v)
        return Estimate(float(mean), float(1 / np.sqrt(w + v)))


@dataclass(frozen=True, kw_only=True)
class Faces:
    """How a slab lies: angles [deg], thickness between its faces and height of its middle along its normal [px]."""

    tilt_offset: Estimate
    x_tilt: Estimate
    thickness: Estimate
    height: Estimate


@dataclass(frozen=True)
class _Columns:
    """Structure (nz, n) of n columns at (y, x) [px] from the middle, and the tile that each is in."""

    power: Float64
    places: Float64
    tile: npt.NDArray[np.int64]


def find_faces(density: Float32, radius: float) -> tuple[Faces | None, str]:
    """Find the faces of a slab in the disc of this radius [px] about the volume's middle.

    Between two parallel planes the power of the fine structure is one number, beyond them another: those planes are
    taken that make this likeliest for a Gaussian texture (sum of n log(mean power) least). Errors are those of slabs
    put together from tiles drawn with replacement, so that they hold that structure is not spread evenly; the
    values are means over these slabs.

    Parameters
    ----------
    density : (nz, ny, nx) float32
    radius : float [px]

    Returns
    -------
    Faces or None, and a line that says why none were found.
    """
    columns = _columns(density, radius)
    weights = np.ones(columns.power.shape[1])
    if not columns.power.any():
        return None, "the reconstruction is empty"
    slopes, fit = _steepest(columns, weights, np.zeros(2), _STEPS)
    nz = len(density)
    if fit.ratio < _LEAST_RATIO:
        return None, f"structure within is {fit.ratio:.2f} times that beyond"
    if min(fit.low, nz - fit.high) < _EDGE * nz:
        return None, "it has no end within the reconstruction's depth"
    rng = np.random.default_rng(_SEED)
    tiles = np.unique(columns.tile)
    found = []
    for _ in range(_SAMPLES):
        count = np.bincount(rng.choice(tiles, len(tiles)), minlength=int(tiles[-1]) + 1)
        at, one = _steepest(columns, count[columns.tile].astype(float), slopes, _STEPS[_AGAIN:])
        found.append(_angles(at, one, nz))
    means, sigmas = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
    # Slopes are known to a step at best.
    least = np.array([np.rad2deg(_STEPS[-1]) / 2] * 2 + [0.5 / _BINS] * 2)
    tilt, x_tilt, thickness, height = (
        Estimate(float(m), float(s)) for m, s in zip(means, np.hypot(sigmas, least), strict=True)
    )
    return Faces(tilt_offset=tilt, x_tilt=x_tilt, thickness=thickness, height=height), ""


def _angles(slopes: Float64, fit: _Box, nz: int) -> tuple[float, float, float, float]:
    """Tilt offset and x-tilt [deg], thickness and height along the normal [px]."""
    tilt = -np.arctan(slopes[0])
    x_tilt = np.arctan(slopes[1] * np.cos(tilt))
    across = np.cos(tilt) * np.cos(x_tilt)  # of the normal along z
    thickness, height = (fit.high - fit.low) * across, ((fit.high + fit.low - nz) / 2) * across
    return float(np.rad2deg(tilt)), float(np.rad2deg(x_tilt)), float(thickness), float(height)


def _columns(density: Float32, radius: float) -> _Columns:
    """Power of what changes faster than ``_SLOW_PX`` in the plane, in blocks of columns of a disc."""
    nz, ny, nx = density.shape
    shape = (ny, nx)
    spectrum = np.fft.rfft2(density)
    f = np.hypot(np.fft.fftfreq(ny)[:, None], np.fft.rfftfreq(nx))
    spectrum *= 1 - np.exp(-2 * (np.pi * _SLOW_PX * f) ** 2)
    power = np.square(np.fft.irfft2(spectrum, s=shape))
    my, mx = ny // _BLOCK, nx // _BLOCK
    first = [(n - m * _BLOCK) // 2 for n, m in zip(shape, (my, mx), strict=True)]
    cut = power[:, first[0] : first[0] + my * _BLOCK, first[1] : first[1] + mx * _BLOCK]
    means = cut.reshape(nz, my, _BLOCK, mx, _BLOCK).mean(axis=(2, 4))
    y, x = (
        (np.arange(m) + 0.5) * _BLOCK + start - n / 2
        for m, start, n in zip((my, mx), first, shape, strict=True)
    )
    places = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)
    inside = np.linalg.norm(places, axis=1) < radius
    places = places[inside]
    cell = np.clip(((places + radius) / (2 * radius) * _TILES).astype(np.int64), 0, _TILES - 1)
    return _Columns(means.reshape(nz, -1)[:, inside], places, cell[:, 0] * _TILES + cell[:, 1])


@dataclass(frozen=True)
class _Box:
    """Where a slab begins and ends along z, from the first voxel's lower side [px]."""

    cost: float
    low: float
    high: float
    ratio: float


def _steepest(
    columns: _Columns, weights: Float64, slopes: Float64, steps: tuple[float, ...]
) -> tuple[Float64, _Box]:
    """Slopes (along x, along y) of the likeliest slab, from coarse steps to fine."""
    best = _box(columns, weights, slopes)
    for step in steps:
        moved = True
        while moved:
            moved = False
            for turn in ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)):
                other = slopes + step * np.array(turn)
                one = _box(columns, weights, other)
                if one.cost < best.cost:
                    best, chosen, moved = one, other, True
            if moved:
                slopes = chosen
    return slopes, best


def _box(columns: _Columns, weights: Float64, slopes: Float64) -> _Box:
    """The likeliest interval of heights of a slab of these slopes."""
    nz = len(columns.power)
    rise = slopes[0] * columns.places[:, 1] + slopes[1] * columns.places[:, 0]
    height = (np.arange(nz)[:, None] + 0.5 - rise) * _BINS - 0.5
    below = np.floor(height).astype(np.int64)
    part = height - below
    inside = (below >= 0) & (below + 1 < nz * _BINS)
    whole = np.broadcast_to(weights, columns.power.shape)
    sums = []
    for values in (whole, columns.power * whole):
        at, share, v = below[inside], part[inside], values[inside]
        bins = np.bincount(at, v * (1 - share), nz * _BINS)
        bins += np.bincount(at + 1, v * share, nz * _BINS)
        sums.append(np.concatenate([[0], np.cumsum(bins)]))
    n, e = sums
    i, j = np.triu_indices(nz * _BINS + 1, _LEAST_PX * _BINS)
    n_in, e_in = n[j] - n[i], e[j] - e[i]
    n_out, e_out = n[-1] - n_in, e[-1] - e_in
    tiny = 1e-9 * e[-1] / max(n[-1], 1e-30) + 1e-300
    mean_in = e_in / np.maximum(n_in, 1e-9) + tiny
    mean_out = e_out / np.maximum(n_out, 1e-9) + tiny
    # Volumes differ in how many voxels a slope keeps: costs are counted from that of no slab at all.
    cost = n_in * np.log(mean_in) + n_out * np.log(mean_out) - n[-1] * np.log(e[-1] / n[-1] + tiny)
    cost[(n_out < 0.05 * n[-1]) | (mean_in <= mean_out)] = np.inf
    k = int(np.argmin(cost))
    return _Box(float(cost[k] / n[-1]), i[k] / _BINS, j[k] / _BINS, float(mean_in[k] / mean_out[k]))


def growth_offset(means: Float64, angles_deg: Float64) -> Estimate | None:
    """Tilt offset from how the mass in view grows: c + k / cos(tilt + offset) through the images' means.

    None where it does not grow. The error grows with what neighbours have in common of the residuals.
    """
    n = len(means)
    cosine = np.cos(np.deg2rad(angles_deg + _OFFSETS[:, None]))
    path = 1 / np.maximum(cosine, 0.1)
    path -= path.mean(axis=1, keepdims=True)
    rise = means - means.mean()
    slope = np.einsum("kn,n->k", path, rise) / (path**2).sum(axis=1)
    left = ((rise - slope[:, None] * path) ** 2).sum(axis=1)
    k = int(np.argmin(left))
    if not 0 < k < len(left) - 1 or slope[k] <= 0 or n < 5:
        return None
    residual = rise - slope[k] * path[k]
    bend = (left[k - 1] - 2 * left[k] + left[k + 1]) / (_OFFSETS[1] - _OFFSETS[0]) ** 2
    alike = float(np.clip((residual[1:] * residual[:-1]).sum() / max(left[k], 1e-300), 0, 0.95))
    noise = left[k] / (n - 3) * (1 + alike) / (1 - alike)
    return Estimate(float(_OFFSETS[k]), float(np.hypot(np.sqrt(2 * noise / bend), 0.05)))


def through_points(points: Float64, start: tuple[float, float]) -> tuple[Faces | None, str]:
    """Faces from points (m, 3) in (z, y, x) [px] on one or both of them, near angles that are about right [deg].

    The thickness is 0, and its error infinite, where they lie on one face.
    """
    m = len(points)
    if m < 5:
        return None, f"{m} beads, at least 5 are needed"
    z, y, x = points.T
    tilt, x_tilt = np.deg2rad(start)
    plane = np.array([0.0, -np.tan(tilt), np.tan(x_tilt) / np.cos(tilt)])
    basis: Float64 = np.stack([np.ones(m), x, y], axis=1)
    one = _planes(z, basis, plane, two=False)
    two = _planes(z, basis, plane, two=True)
    fit = two if two.scatter < _TWO_FACES * one.scatter else one
    if not np.isfinite(fit.covariance).all():
        return None, "the beads lie on a line"
    slopes = fit.values[1:3]
    errors = np.sqrt(np.diag(fit.covariance))
    gap = fit.values[3] if fit is two else 0.0
    low = fit.values[0]
    at = _angles(slopes, _Box(0.0, low, low + gap, 0.0), 0)
    thick = float(errors[3]) if fit is two else float("inf")
    known = (*np.rad2deg(errors[1:3]), thick, float(errors[0]))
    tilt_, x_, thickness, height = (Estimate(v, float(s)) for v, s in zip(at, known, strict=True))
    return Faces(tilt_offset=tilt_, x_tilt=x_, thickness=thickness, height=height), ""


@dataclass(frozen=True)
class _Planes:
    values: Float64
    covariance: Float64
    scatter: float


def _planes(z: Float64, basis: Float64, start: Float64, *, two: bool) -> _Planes:
    """Least squares through one plane, or two parallel ones whose points are told apart on the way."""
    values: Float64 = start.copy()
    columns = basis
    for _ in range(_POINT_ROUNDS if two else 1):
        if two:
            above = z - basis[:, 1:] @ values[1:3]
            ordered = np.sort(above)
            gap = int(np.argmax(np.diff(ordered)))
            columns = np.c_[basis, above > (ordered[gap] + ordered[gap + 1]) / 2]
        values = np.linalg.lstsq(columns, z, rcond=None)[0].astype(np.float64)
    free = max(len(z) - columns.shape[1], 1)
    scatter = float(np.sqrt(((z - columns @ values) ** 2).sum() / free))
    size = columns.T @ columns
    sound = np.linalg.cond(size) < 1e10
    inverse = np.linalg.inv(size) if sound else np.full(size.shape, np.inf)
    covariance = np.asarray(max(scatter, 1e-9) ** 2 * inverse, np.float64)
    return _Planes(values, covariance, scatter)
