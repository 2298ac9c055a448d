# SPDX-License-Identifier: BSD-3-Clause
"""Beads in one image: found by matched filters, placed by least squares with errors from the noise.

A bead is a spot whose brightness depends on the distance from its middle only, all of one size and contrast. Its
profile starts as a soft disc and is then measured on the beads themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .beads_profile import REACH, STEP, Noise, Profile

__all__ = [
    "Fits",
    "Padded",
    "ProfileSums",
    "Spots",
    "fit_spots",
    "maxima",
    "robust_scale",
    "spots",
]

Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

_RIM = 1.2  # radii: where a bead ends
_LEAST_SEEN = 0.6  # of a window that is fitted
_EMPTY = (
    0.3  # of the noise around a bead: no pixel is taken to be quieter, however low the fitted model
)
FIT_ROUNDS = 5
_BEND = 0.03  # second difference of a profile's samples to be expected (0.06 at the rim of an opaque bead)
_APART = 1.2  # radii: maxima closer than this are one


@dataclass(frozen=True, eq=False)
class Spots:
    """Maxima of a filter: (k, 2) places (row, column) [px], and about how bright the middle of each is, signed."""

    places: Float64
    amplitudes: Float64


def _filter(profile: Profile) -> tuple[Float64, Float64, float]:
    """The profile less its mean in a round window, of norm 1; the window; the response to the profile itself."""
    k = profile.reach
    y, x = np.mgrid[-k : k + 1, -k : k + 1]
    r = np.hypot(y, x)
    window = (r <= REACH * profile.radius_px).astype(np.float64)
    shape = profile.at(r) * window
    shape -= window * shape.sum() / window.sum()
    norm = float(np.sqrt((shape**2).sum()))
    return shape / norm, window, norm


class Padded:
    """An image, mirrored at its edges, with the transforms that all filters share."""

    def __init__(self, image: npt.NDArray[np.float32], reach: int) -> None:
        a = image.astype(np.float64)
        a = a - a.mean()
        self.reach, self.shape = reach, a.shape
        wide = np.pad(a, reach, mode="symmetric")
        self.size = wide.shape
        self.plain, self.square = np.fft.rfft2(wide), np.fft.rfft2(wide**2)

    def _with(self, kernel: Float64, spectrum: npt.NDArray[np.complex128]) -> Float64:
        k = kernel.shape[0] // 2
        wide = np.zeros(self.size)
        wide[: kernel.shape[0], : kernel.shape[1]] = kernel
        wide = np.roll(wide, (-k, -k), (0, 1))
        out = np.fft.irfft2(np.conj(np.fft.rfft2(wide)) * spectrum, self.size)
        return np.asarray(out[self.reach : -self.reach, self.reach : -self.reach])

    def filtered(self, profile: Profile) -> tuple[Float64, Float64]:
        """Response to the profile, in units of the image, and its correlation with each window, -1 to 1."""
        shape, window, _ = _filter(profile)
        count = window.sum()
        response = self._with(shape, self.plain)
        mean = self._with(window, self.plain) / count
        power = self._with(window, self.square) - count * mean**2
        least = 1e-6 * max(float(power.max()), 1e-30)
        return response, response / np.sqrt(np.maximum(power, least))


def robust_scale(response: Float64) -> float:
    """Standard deviation of a filter's response where there is no bead: noise and specimen."""
    return 1.4826 * float(np.median(np.abs(response - np.median(response)))) + 1e-30


def maxima(values: Float64, least: float) -> npt.NDArray[np.int64]:
    """(k, 2) places of the pixels above ``least`` and above their eight neighbours."""
    inner = values[1:-1, 1:-1]
    top = inner > least
    for dy in (0, 1, 2):
        for dx in (0, 1, 2):
            if (dy, dx) != (1, 1):
                other = values[dy : dy + inner.shape[0], dx : dx + inner.shape[1]]
                top &= inner >= other if (dy, dx) < (1, 1) else inner > other
    return np.argwhere(top) + 1


def spots(padded: Padded, profile: Profile, sign: int, least: float, most: int) -> Spots:
    """Find the strongest spots of one sign, at most ``most``, none nearer to a stronger one than a radius.

    Parameters
    ----------
    padded : Padded
    profile : Profile
    sign : int
        1: brighter than around; -1: darker.
    least : float
        Height in robust standard deviations of the response.
    most : int
    """
    response, likeness = padded.filtered(profile)
    height = sign * response / robust_scale(response)
    at = maxima(height, least)
    heights, like = height[at[:, 0], at[:, 1]], sign * likeness[at[:, 0], at[:, 1]]
    at = at[np.argsort(-heights * like, kind="stable")]
    kept: list[int] = []
    for i in range(len(at)):
        if len(kept) == most:
            break
        near = np.linalg.norm(at[kept] - at[i], axis=1) if kept else np.array([np.inf])
        if near.min() > _APART * profile.radius_px:
            kept.append(i)
    at = at[kept]
    return Spots(at.astype(np.float64), response[at[:, 0], at[:, 1]] / _filter(profile)[2])


@dataclass(frozen=True, eq=False)
class Fits:
    """Beads fitted to an image, an entry each.

    ``places`` (k, 2) [px], ``sigma`` (k,) [px] of each coordinate, ``amplitude`` and ``sigma_amplitude`` (k,) in
    units of the image, ``plane`` (k, 3) below it: level and slopes per radius, ``misfit`` (k,) variance of the
    residual over that of the noise, ``shape`` (k, 3): growth of the radius and the two components of a stretch, 0
    for a bead, ``sigma_shape`` (k, 3).
    """

    places: Float64
    sigma: Float64
    amplitude: Float64
    sigma_amplitude: Float64
    plane: Float64
    misfit: Float64
    shape: Float64
    sigma_shape: Float64


def fit_spots(
    image: npt.NDArray[np.float32],
    start: Float64,
    profile: Profile,
    noise: Noise,
    rounds: int = FIT_ROUNDS,
    others: Float64 | None = None,
) -> Fits:
    """Fit a bead on a plane to the window around each place, weighted by the noise of the fitted model.

    The error is that of the weighted least squares (Fisher information for known noise). Where a fit leaves its
    window, or little of that is seen, sigma is infinite. Pixels of ``others`` (k, m, 2), the beads beside each (NaN
    where there is none), are not looked at: where two overlap they do not add up, whatever is opaque.
    """
    corner, dy, dx, data = _windows(image, start, profile, others)
    seen, count = np.isfinite(data), len(start)
    data = np.where(seen, data, 0.0)
    offset = start - corner
    ring = seen & (np.hypot(dy, dx) > _RIM * profile.radius_px)
    usual = (data * ring).sum(1) / np.maximum(ring.sum(1), 1)
    quiet = noise.variance(usual)[:, None]
    coefficients = np.zeros((count, 4))
    coefficients[:, 1] = usual
    for _ in range(rounds):
        design = _columns(profile, offset, dy, dx, coefficients[:, 0])[..., :6]
        model = np.einsum("kpc,kc->kp", design[..., :4], coefficients)
        variance = np.maximum(noise.variance(model), _EMPTY * quiet)
        change, _ = _weighted(design, data - model, seen / variance)
        coefficients = coefficients + change[:, :4]
        offset = offset + np.clip(np.nan_to_num(change[:, 4:]), -0.5, 0.5)
    amplitude = coefficients[:, 0]
    design = _columns(profile, offset, dy, dx, amplitude)
    model = np.einsum("kpc,kc->kp", design[..., :4], coefficients)
    weight, residual = seen / variance, data - model
    inverse = _weighted(design[..., :6], residual, weight)[1]
    change, spread = _weighted(design, residual, weight)
    lost = np.abs(offset).max(axis=1) > max(2.0, 0.7 * profile.radius_px)
    sigma = np.sqrt((inverse[:, 4, 4] + inverse[:, 5, 5]) / 2)
    return Fits(
        places=corner + offset,
        sigma=np.where(
            lost | (seen.mean(axis=1) < _LEAST_SEEN) | ~np.isfinite(sigma), np.inf, sigma
        ),
        amplitude=amplitude,
        sigma_amplitude=np.sqrt(inverse[:, 0, 0]),
        plane=coefficients[:, 1:4],
        misfit=(weight * residual**2).sum(1) / np.maximum(seen.sum(1) - 6, 1),
        shape=change[:, 6:],
        sigma_shape=np.sqrt(np.maximum(np.diagonal(spread, axis1=1, axis2=2)[:, 6:], 0)),
    )


def _windows(
    image: npt.NDArray[np.float32],
    places: Float64,
    profile: Profile,
    others: Float64 | None = None,
) -> tuple[npt.NDArray[np.int64], Float64, Float64, Float64]:
    """Nearest pixels (k, 2) of places, offsets of the pixels of a round window, and their values (k, pixels).

    What is not seen is NaN: beyond the image, and the pixels of ``others``.
    """
    k = profile.reach
    wide = np.pad(image.astype(np.float64), k + 1, constant_values=np.nan)
    dy, dx = np.mgrid[-k : k + 1, -k : k + 1]
    window = np.hypot(dy, dx) <= REACH * profile.radius_px
    dy, dx = dy[window], dx[window]
    corner = np.clip(np.rint(places).astype(np.int64), 0, np.array(image.shape) - 1)
    data = wide[corner[:, :1] + dy + k + 1, corner[:, 1:] + dx + k + 1]
    if others is not None:
        away = others - corner[:, None]
        near = np.hypot(away[..., :1] - dy, away[..., 1:] - dx) < _RIM * profile.radius_px
        data[near.any(axis=1)] = np.nan
    return corner, dy.astype(np.float64), dx.astype(np.float64), data


class ProfileSums:
    """Sums over many beads, from which their common profile follows by least squares."""

    def __init__(self, profile: Profile, noise: Noise) -> None:
        self.profile, self.noise = profile, noise
        n = len(profile.values)
        self.normal, self.right = np.zeros((n, n)), np.zeros(n)

    def add(self, image: npt.NDArray[np.float32], fits: Fits, use: Bool) -> None:
        """Add the beads ``use`` (k,) of an image."""
        corner, dy, dx, data = _windows(image, fits.places[use], self.profile)
        offset = fits.places[use] - corner
        r = np.hypot(dy - offset[:, :1], dx - offset[:, 1:])
        amplitude = fits.amplitude[use, None]
        plane = fits.plane[use]
        radius = self.profile.radius_px
        base = (
            plane[:, :1]
            + plane[:, 1:2] * (dy - offset[:, :1]) / radius
            + plane[:, 2:] * (dx - offset[:, 1:]) / radius
        )
        good = np.isfinite(data)
        value = np.where(good, data - base, 0.0) / amplitude
        middle = self.noise.variance(plane[:, :1] + amplitude / 2)
        weight = (good * amplitude**2 / middle).ravel()
        at = r.ravel() / STEP
        low = np.minimum(at.astype(np.int64), len(self.right) - 2)
        part = at - low
        part = np.clip(part, 0, 1)
        for one, share in ((low, 1 - part), (low + 1, part)):
            np.add.at(self.right, one, weight * share * value.ravel())
            np.add.at(self.normal, (one, one), weight * share**2)
        cross = weight * part * (1 - part)
        np.add.at(self.normal, (low, low + 1), cross)
        np.add.at(self.normal, (low + 1, low), cross)

    def solved(self) -> Profile:
        """The profile, a little smooth, 0 outside and 1 in the middle; as it was where no bead has told any."""
        if not self.normal.any():
            return self.profile
        n = len(self.right)
        bend = np.diff(np.eye(n), 2, axis=0)
        values = np.linalg.solve(
            self.normal + bend.T @ bend / _BEND**2 + 1e-3 * np.eye(n), self.right
        )
        r = np.arange(n) * STEP
        radius = self.profile.radius_px
        outside = (r > 1.2 * radius) & (r < REACH * radius)
        values = np.where(r > 1.4 * radius, 0.0, values - values[outside].mean())
        middle = values[r < 0.25 * radius].mean()
        return Profile(radius, values / middle)


def _columns(
    profile: Profile, offset: Float64, dy: Float64, dx: Float64, amplitude: Float64
) -> Float64:
    """Derivatives (k, pixels, 9) for amplitude, plane (3), place (2), growth and stretch (2)."""
    y, x = dy - offset[:, :1], dx - offset[:, 1:]
    r = np.hypot(y, x)
    safe = np.maximum(r, 1e-9)
    slope = profile.slope(r) * amplitude[:, None]
    radius = profile.radius_px
    return np.stack(
        [
            profile.at(r),
            np.ones_like(r),
            y / radius,
            x / radius,
            -slope * y / safe,
            -slope * x / safe,
            -slope * r,
            -slope * (x**2 - y**2) / safe,
            -slope * 2 * x * y / safe,
        ],
        axis=-1,
    )


def _weighted(design: Float64, data: Float64, weight: Float64) -> tuple[Float64, Float64]:
    """Weighted least squares of every window at once: solutions (k, c), covariances (k, c, c)."""
    weighted = design * weight[..., None]
    normal = np.einsum("kpc,kpd->kcd", weighted, design)
    size = np.sqrt(np.maximum(np.diagonal(normal, axis1=1, axis2=2), 1e-30))
    scaled = normal / (size[:, :, None] * size[:, None, :])
    scaled += 1e-9 * np.eye(design.shape[-1])
    inverse = np.linalg.inv(scaled) / (size[:, :, None] * size[:, None, :])
    right = np.einsum("kpc,kp->kc", weighted, data)
    return np.einsum("kcd,kd->kc", inverse, right), inverse
