# SPDX-License-Identifier: BSD-3-Clause
"""A straight tube: its axis, and its cross-section averaged along it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..datamodel import Volume
from ..errors import InputError
from ._inputs import Float32, Float64, as_volume, unit_of
from ._smooth import smooth
from .components import label, regions
from .thresholds import otsu

__all__ = ["CrossSection", "TubeAxis", "cross_section", "tube_axis"]

_ROUNDS = 12
_STRETCHES = 8
_BLURS = (3.0, 1.5)  # px: from a tube half a wall off its axis to one on it


@dataclass(frozen=True, kw_only=True, eq=False)
class TubeAxis:
    """A straight line through a volume.

    Attributes
    ----------
    point_px, sigma_point_px : (3,) float64 [px]
        (z, y, x) array index of a point on it, midway through the volume, and its error.
    direction : (3,) float64
        Unit vector (z, y, x), its largest component positive.
    sigma_direction_deg : float [deg]
        Larger of the errors of the direction in the two planes through it.
    """

    point_px: Float64
    sigma_point_px: Float64
    direction: Float64
    sigma_direction_deg: float

    @property
    def across(self) -> tuple[Float64, Float64]:
        """Two unit vectors (z, y, x) across it, at right angles: for a tube along y they are +z and +x."""
        start = np.eye(3)[0 if abs(self.direction[0]) < 0.9 else 1]
        first: Float64 = start - self.direction * (start @ self.direction)
        first /= np.linalg.norm(first)
        second: Float64 = np.cross(first, self.direction)
        return first, second


@dataclass(frozen=True, kw_only=True, eq=False)
class CrossSection:
    """What a tube looks like along its axis.

    Attributes
    ----------
    stretches : (k, n, n) float64
        Mean over each of k stretches of the tube, one after the other; n is odd, the axis in the middle.
    axis : TubeAxis
        Rows run along ``axis.across[0]``, columns along ``axis.across[1]``.
    length_px : float [px]
        Of the tube that was averaged.
    shape : (nz, ny, nx)
        Of the volume.
    pixel_size : float or None [angstrom]
        Edge of a pixel, which is that of a voxel.
    """

    stretches: Float64
    axis: TubeAxis
    length_px: float
    shape: tuple[int, int, int]
    pixel_size: float | None

    @property
    def image(self) -> Float64:
        """(n, n) mean over all of it."""
        out: Float64 = self.stretches.mean(axis=0)
        return out

    def unrolled(self, radii_px: npt.ArrayLike, n_angles: int = 360) -> Float64:
        """Return (n_radii, n_angles): the section by radius [px] and angle, from rows towards columns, from 0."""
        radii = np.atleast_1d(np.asarray(radii_px, np.float64))
        middle = self.stretches.shape[1] // 2
        if n_angles < 1 or radii.ndim != 1 or not ((radii >= 0) & (radii <= middle)).all():
            raise InputError(
                f"radii_px: found {radii.tolist()}, expected lengths from 0 to {middle} and n_angles of 1 or more"
            )
        turn = 2 * math.pi * np.arange(n_angles) / n_angles
        rows = middle + radii[:, None] * np.cos(turn)
        columns = middle + radii[:, None] * np.sin(turn)
        places = np.stack([np.zeros_like(rows), rows, columns], axis=-1)
        return sample(self.image[None], places)

    def lines(self, places_px: npt.ArrayLike) -> list[Float64]:
        """Return the lines along the tube through (m, 2) places (row, column) [px] from the middle of the section.

        Each has two points (z, y, x) from the centre of the volume, in nm (px without a pixel size).
        """
        places = np.asarray(places_px, np.float64).reshape(-1, 2)
        first, second = self.axis.across
        middle = self.axis.point_px - (np.array(self.shape) - 1) / 2
        ends = np.array([[-0.5], [0.5]]) * self.length_px * self.axis.direction
        _, pixel = unit_of(self.pixel_size)
        return [(middle + row * first + column * second + ends) * pixel for row, column in places]

    def power_by_tilt(self, step_deg: float = 5.0) -> tuple[Float64, Float64]:
        """Return (n,) tilts [deg] and (n,) power of the section's frequencies that an image at each tilt holds.

        A missing wedge shows as tilts without power. Geometric mean over frequencies from 0.05 to 0.45 per pixel.
        """
        frequencies, values = self.spectrum()
        size = np.linalg.norm(frequencies, axis=1)
        used = (size > 0.05) & (size < 0.45)
        tilts = self.tilts_of(frequencies[used])
        edges = np.arange(-90.0, 90.0 + step_deg / 2, step_deg)
        place = np.clip(np.digitize(tilts, edges) - 1, 0, len(edges) - 2)
        power = np.log((np.abs(values[:, used]) ** 2).mean(axis=0) + 1e-300)
        count = np.bincount(place, minlength=len(edges) - 1)
        total = np.bincount(place, power, minlength=len(edges) - 1)
        with np.errstate(invalid="ignore"):
            mean: Float64 = np.exp(total / count)
        return (edges[1:] + edges[:-1]) / 2, mean

    def tilts_of(self, frequencies: Float64) -> Float64:
        """Return the tilt [deg] of the image that holds each frequency (row, column) of the section.

        A projection at tilt theta holds the plane of y and (z, x) = (sin theta, cos theta): docs/conventions.md.
        """
        first, second = self.axis.across
        k = frequencies[:, :1] * first + frequencies[:, 1:] * second
        out: Float64 = np.rad2deg(
            np.arctan2(k[:, 0] * np.sign(k[:, 2] + (k[:, 2] == 0)), np.abs(k[:, 2]))
        )
        return out

    def spectrum(self) -> tuple[Float64, npt.NDArray[np.complex128]]:
        """Return the half plane of frequencies (m, 2) [1/px] and the transform of each stretch there (k, m).

        Values are taken against the surroundings, the rim of the round window; the phase origin is the axis.
        """
        n = self.stretches.shape[1]
        middle = n // 2
        row, column = np.indices((n, n)) - middle
        radius = np.hypot(row, column)
        window: Float64 = np.clip((middle + 0.5 - radius) / 2, 0, 1)
        rim = (radius > middle - 2.5) & (radius <= middle)
        flat = self.stretches - self.stretches[:, rim].mean(axis=1)[:, None, None]
        full = np.fft.fft2(np.fft.ifftshift(flat * window, axes=(1, 2)))
        k = np.fft.fftfreq(n)
        rows, columns = np.meshgrid(k, k, indexing="ij")
        half = (columns > 0) | ((columns == 0) & (rows > 0))
        return np.stack([rows[half], columns[half]], axis=1), full[:, half]


def sample(volume: npt.NDArray[np.floating], places: Float64) -> Float64:
    """Return trilinear values at (..., 3) places (z, y, x) [px]; NaN outside of the volume."""
    shape = np.array(volume.shape)
    inside = ((places >= 0) & (places <= shape - 1)).all(axis=-1)
    at = np.clip(places, 0, shape - 1)
    low = np.minimum(at.astype(np.int64), np.maximum(shape - 2, 0))
    share = at - low
    flat = volume.reshape(-1)
    strides = np.array([shape[1] * shape[2], shape[2], 1]) * (shape > 1)
    first = low @ np.array([shape[1] * shape[2], shape[2], 1])
    out = np.zeros(places.shape[:-1])
    for corner in np.ndindex(2, 2, 2):
        weight = np.where(corner, share, 1 - share).prod(axis=-1)
        out += weight * flat[first + np.array(corner) @ strides]
    out[~inside] = np.nan
    return out


def tube_axis(
    volume: Volume | npt.ArrayLike, *, blur_px: float = 3.0, radius_px: int = 16
) -> TubeAxis:
    """Find the axis of the one straight, bright tube or rod that a volume holds.

    Parameters
    ----------
    volume : (nz, ny, nx) real, or Volume
        NaN is refused.
    blur_px : float, default 3 [px]
        Standard deviation of the Gaussian that closes the tube before Otsu's threshold.
    radius_px : int, default 16 [px]
        What lies further from the axis is not looked at while it is refined; a little more than the tube's own.

    Returns
    -------
    TubeAxis
        Errors from how eight stretches of the tube scatter about a straight line, its curvature included.

    Raises
    ------
    InputError
        NaN, nothing found, a tube shorter than 16 voxels, lengths that are none.

    Notes
    -----
    The long axis of the second moments of the largest bright component (:func:`regions`), then rounds of
    Lucas-Kanade: cross-sections of eight stretches against their mean, a line through their shifts, and the middle of
    the mean against itself turned by 180 degrees.

    References
    ----------
    Lucas & Kanade, Proc. IJCAI (1981) 674, eq. 9.
    """
    data, _ = as_volume(volume, None)
    if not blur_px > 0 or radius_px < 4:
        raise InputError(
            f"blur_px, radius_px: found {blur_px} and {radius_px}, expected more than 0 and 4 or more"
        )
    axis = _by_moments(data, blur_px)
    for blur in _BLURS:
        for _ in range(_ROUNDS):
            axis, moved = _refined(data, axis, blur, radius_px)
            if moved < 1e-3:
                break
    return axis


def _by_moments(data: Float32, blur_px: float) -> TubeAxis:
    blurred = smooth(data, blur_px)
    cut, _ = otsu(blurred)
    table = regions(label(blurred, above=cut)[0], measure=("axes",))
    if not len(table["voxels"]):
        raise InputError(
            "volume: found nothing bright, expected a tube; crop to it or invert the values"
        )
    largest = int(table["voxels"].argmax())
    point = np.array([table[f"{a}_px"][largest] for a in "zyx"])
    direction = np.array([table[f"axis1_{a}"][largest] for a in "zyx"])
    return TubeAxis(
        point_px=point,
        sigma_point_px=np.full(3, np.nan),
        direction=direction,
        sigma_direction_deg=math.nan,
    )


def _refined(data: Float32, axis: TubeAxis, blur: float, radius: int) -> tuple[TubeAxis, float]:
    """Return the axis after one round, and how far its ends moved [px]."""
    found = cross_section(data, axis, radius_px=radius, stretches=_STRETCHES)
    planes = np.stack([smooth(s.astype(np.float32), blur) for s in found.stretches]).astype(
        np.float64
    )
    places = (np.arange(_STRETCHES) - (_STRETCHES - 1) / 2) * found.length_px / _STRETCHES
    mean = planes.mean(axis=0)
    shifts = _shifts(mean, planes)
    slope = places @ shifts / (places @ places)
    middle = -_shifts(mean, mean[::-1, ::-1][None])[0] / 2
    left = shifts - shifts.mean(axis=0) - places[:, None] * slope
    spread = np.sqrt((left**2).sum(axis=0) / (_STRETCHES - 2))
    first, second = axis.across
    direction = axis.direction + slope[0] * first + slope[1] * second
    direction /= np.linalg.norm(direction)
    direction *= np.sign(direction[np.abs(direction).argmax()])
    point = _midway(data.shape, axis.point_px + middle[0] * first + middle[1] * second, direction)
    errors = spread / math.sqrt(_STRETCHES)
    turned = TubeAxis(
        point_px=point,
        sigma_point_px=np.hypot(errors[0] * first, errors[1] * second),
        direction=direction,
        sigma_direction_deg=math.degrees(math.atan(spread.max() / math.sqrt(places @ places))),
    )
    return turned, float(np.abs(slope).max() * found.length_px / 2 + np.abs(middle).max())


def _shifts(mean: Float64, planes: Float64) -> Float64:
    """Return (k, 2): how far each plane shows what the mean shows, further along rows and columns [px]."""
    slopes = -np.stack(tuple(np.gradient(mean)), axis=-1)[1:-1, 1:-1].reshape(-1, 2)
    change = (planes - mean)[:, 1:-1, 1:-1].reshape(len(planes), -1)
    out: Float64 = np.linalg.lstsq(slopes, change.T, rcond=None)[0].T
    return np.clip(out, -2, 2)  # beyond, the first-order step means nothing


def _reach(shape: tuple[int, ...], point: Float64, direction: Float64) -> tuple[float, float]:
    """Return where a line enters and leaves the volume, as lengths along it from ``point``."""
    with np.errstate(divide="ignore"):
        ends = np.stack([-point, np.array(shape) - 1 - point]) / direction
    ends = ends[:, np.abs(direction) > 1e-12]
    return float(ends.min(axis=0).max()), float(ends.max(axis=0).min())


def _midway(shape: tuple[int, ...], point: Float64, direction: Float64) -> Float64:
    low, high = _reach(shape, point, direction)
    out: Float64 = point + (low + high) / 2 * direction
    return out


def cross_section(
    volume: Volume | npt.ArrayLike,
    axis: TubeAxis,
    *,
    radius_px: int = 16,
    stretches: int = 6,
) -> CrossSection:
    """Average a volume along a line, in stretches.

    Parameters
    ----------
    volume : (nz, ny, nx) real, or Volume
        NaN is refused.
    axis : TubeAxis
    radius_px : int, default 16 [px]
        The section is ``2 radius_px + 1`` pixels wide.
    stretches : int, default 6
        Parts of equal length; how they differ tells the noise.

    Returns
    -------
    CrossSection

    Raises
    ------
    InputError
        NaN, a line that has fewer than two voxels for each stretch inside of the volume.
    """
    data, pixel_size = as_volume(volume, None)
    if radius_px < 2 or stretches < 1:
        raise InputError(
            f"radius_px, stretches: found {radius_px} and {stretches}, expected 2 or more and 1 or more"
        )
    low, high = _reach(data.shape, axis.point_px, axis.direction)
    each = int((high - low) // stretches) if high > low else 0
    if each < 2:
        raise InputError(
            f"axis: found {max(high - low, 0):.3g} voxels of it in the volume, expected at least {2 * stretches}"
        )
    steps = (np.arange(each * stretches) - (each * stretches - 1) / 2) + (low + high) / 2
    across = np.arange(-radius_px, radius_px + 1.0)
    first, second = axis.across
    plane = axis.point_px + across[:, None, None] * first + across[:, None] * second
    planes = []
    for part in steps.reshape(stretches, each):
        values = sample(data, plane + part[:, None, None, None] * axis.direction)
        known = np.isfinite(values)
        total, count = np.where(known, values, 0).sum(axis=0), known.sum(axis=0)
        mean = total / np.maximum(count, 1)
        planes.append(np.where(count > 0, mean, mean[count > 0].mean()))
    return CrossSection(
        stretches=np.stack(planes),
        axis=axis,
        length_px=float(each * stretches),
        shape=data.shape,
        pixel_size=pixel_size,
    )
