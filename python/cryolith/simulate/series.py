# SPDX-License-Identifier: BSD-3-Clause
"""A tilt series of a phantom or of any volume, with the alignment that is true of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .._arrays import as_angles, as_core
from ..datamodel import Alignment, Source, TiltSeries
from ..errors import InputError
from .solids import Phantom

__all__ = ["tilt_series"]

Float64 = npt.NDArray[np.float64]
Rays = Callable[[Float64, Float64], Float64]


def tilt_series(
    volume: Phantom | npt.ArrayLike,
    angles_deg: npt.ArrayLike,
    *,
    tilt_axis_deg: float = 0.0,
    shifts_px: npt.ArrayLike | None = None,
    rotations_deg: npt.ArrayLike | None = None,
    axis_offset_px: float = 0.0,
    x_tilts_deg: npt.ArrayLike | None = None,
    magnifications: npt.ArrayLike | None = None,
    image_shape: tuple[int, int] | None = None,
    dose_per_pixel: float | None = None,
    background: float = 0.0,
    seed: int = 0,
    pixel_size: float | None = 10.0,
) -> tuple[TiltSeries, Alignment]:
    """Project a specimen as docs/conventions.md says; return the series and its true alignment.

    A :class:`Phantom` is projected exactly (2 x 2 rays a pixel through its solids). An array is sampled
    trilinearly at half-pixel steps along each ray. Neither uses :mod:`cryolith.projection`.

    Parameters
    ----------
    volume : Phantom or (nz, ny, nx) array_like
        Density per pixel of length; zero outside.
    angles_deg : (n_tilts,) [deg]
        Tilt of each image.
    tilt_axis_deg : float [deg]
        In-plane angle psi of the tilt axis, counter-clockwise from the image's +y.
    shifts_px : (n_tilts, 2) [px], optional
        (row, column) by which each image is displaced.
    rotations_deg : (n_tilts,) [deg], optional
        In-plane rotation of each image on top of ``tilt_axis_deg``.
    axis_offset_px : float [px]
        Offset of the axis across itself.
    x_tilts_deg : (n_tilts,) [deg], optional
        Rotation of the specimen about +x before each tilt.
    magnifications : (n_tilts,), optional
        Pixels of each image per pixel of the specimen.
    image_shape : (ny, nx), optional
        Default: the volume's (ny, nx).
    dose_per_pixel : float [electrons], optional
        Mean number of detected electrons in a pixel, over the series; each pixel is then drawn from a
        Poisson distribution and scaled back, so that its expected value stays the noiseless one.
    background : float
        Added to every pixel before the noise.
    seed : int
        Of the noise.
    pixel_size : float or None [angstrom]

    Returns
    -------
    series : TiltSeries
        Images float32; ``tilt_axis_deg`` is left None, for that is what alignment must find.
    alignment : Alignment
        The truth; all sigmas are 0.

    Raises
    ------
    InputError
        Shapes that do not match the number of angles; a dose without a positive expected signal.
    """
    angles = as_angles(angles_deg, "angles_deg")
    n = len(angles)
    shifts = np.zeros((n, 2)) if shifts_px is None else np.array(shifts_px, np.float64)
    rotations = np.zeros(n) if rotations_deg is None else np.array(rotations_deg, np.float64)
    truth = Alignment(
        angles_deg=angles,
        tilt_axis_deg=tilt_axis_deg,
        sigma_tilt_axis_deg=0.0,
        axis_offset_px=axis_offset_px,
        sigma_axis_offset_px=0.0,
        shifts_px=shifts,
        sigma_shifts_px=np.zeros((n, 2)),
        rotations_deg=rotations,
        sigma_rotations_deg=np.zeros(n),
        x_tilts_deg=None if x_tilts_deg is None else np.array(x_tilts_deg, np.float64),
        magnifications=None if magnifications is None else np.array(magnifications, np.float64),
        method=("truth of a simulation",),
    )
    project, shape = _projector(volume)
    images = np.empty((n, *(image_shape or shape[1:])))
    for i in range(n):
        images[i] = project(*_rays(truth, i, images.shape[1:]))
    images += background
    if dose_per_pixel is not None:
        images = _with_noise(images, dose_per_pixel, seed)
    source = Source(facts={"angles": "simulation", "pixel_size": "simulation"})
    series = TiltSeries(
        images=images.astype(np.float32), angles_deg=angles, pixel_size=pixel_size, source=source
    )
    return series, truth


def _rays(truth: Alignment, i: int, shape: tuple[int, ...]) -> tuple[Float64, Float64]:
    """Return a point (z, y, x) on the ray of each pixel of image ``i``, and the beam's direction."""

    def of_image(values: Float64 | None, neutral: float) -> float:
        return neutral if values is None else float(values[i])

    theta = np.deg2rad(truth.angles_deg[i])
    psi = np.deg2rad(truth.tilt_axis_deg + of_image(truth.rotations_deg, 0.0))
    alpha = np.deg2rad(of_image(truth.x_tilts_deg, 0.0))
    m = of_image(truth.magnifications, 1.0)
    row = (np.arange(shape[0])[:, None] - (shape[0] - 1) / 2.0 - truth.shifts_px[i, 0]) / m
    column = (np.arange(shape[1])[None, :] - (shape[1] - 1) / 2.0 - truth.shifts_px[i, 1]) / m
    u = column * np.cos(psi) + row * np.sin(psi) - truth.axis_offset_px
    v = row * np.cos(psi) - column * np.sin(psi)
    # Back through the tilt, then through the x-tilt: (z', y', x) to (z, y, x).
    undo = np.array([[np.cos(alpha), -np.sin(alpha)], [np.sin(alpha), np.cos(alpha)]])
    z, y = np.tensordot(undo, np.stack([u * np.sin(theta), v]), axes=1)
    beam = np.cos(theta) * undo[:, 0]
    return np.stack([z, y, u * np.cos(theta)]), np.array([*beam, -np.sin(theta)])


def _projector(volume: Phantom | npt.ArrayLike) -> tuple[Rays, tuple[int, ...]]:
    if isinstance(volume, Phantom):
        return volume.project, volume.shape
    data = as_core(volume, "volume", ("nz", "ny", "nx"), np.float64)
    return lambda points, beam: _sampled(data, points, beam), data.shape


def _sampled(data: Float64, points: Float64, beam: Float64) -> Float64:
    """Sum trilinear samples every half pixel along each ray, times that step."""
    step = 0.5
    padded = np.pad(data, 1)  # zero outside: a ray fades out over the last half voxel
    limit = np.array(padded.shape)
    strides = np.array([limit[1] * limit[2], limit[2], 1])
    flat = padded.ravel()
    centre = (limit - 1) / 2.0
    count = int(np.ceil(np.abs(beam) @ (np.array(data.shape) + 2) / step / 2.0))
    out = np.zeros(points.shape[1:])
    for k in range(-count, count + 1):
        at = points + (k * step * beam + centre)[:, None, None]
        low = np.floor(at).astype(np.int64)
        inside = ((low >= 0) & (low < (limit - 1)[:, None, None])).all(axis=0)
        fraction = at[:, inside] - low[:, inside]
        base = strides @ low[:, inside]
        value = np.zeros(base.shape)
        for corner in range(8):
            bits = np.array([corner >> 2 & 1, corner >> 1 & 1, corner & 1])
            weight = np.where(bits[:, None] == 1, fraction, 1.0 - fraction).prod(axis=0)
            value += weight * flat[base + strides @ bits]
        out[inside] += value * step
    return out


def _with_noise(images: Float64, dose_per_pixel: float, seed: int) -> Float64:
    mean = float(images.mean())
    if not (dose_per_pixel > 0.0 and mean > 0.0 and images.min() >= 0.0):
        raise InputError(
            f"dose_per_pixel: found {dose_per_pixel} for images of mean {mean:.4g} and minimum "
            f"{images.min():.4g}, expected a positive dose and no negative signal; add a background"
        )
    gain = dose_per_pixel / mean
    counts = np.random.default_rng(seed).poisson(images * gain)
    return np.asarray(counts / gain)
