# SPDX-License-Identifier: BSD-3-Clause
"""The series before and after alignment: small frames, thumbnails and one line of the sinogram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .._arrays import let_go
from ..datamodel import Alignment, TiltSeries
from .pictures import Window, reduce

__all__ = ["Movie", "make_movie"]

Float32 = npt.NDArray[np.float32]

# All frames of one side together: 77 frames keep 256 px, 300 frames 140 px, and the page stays
# below 5 MB.
PIXELS_OF_ALL_FRAMES = 77 * 256 * 256


@dataclass(frozen=True, eq=False)
class Movie:
    """Reduced frames in order of tilt.

    Attributes
    ----------
    order : (n,) int
        Index in the series of each frame.
    before, after : (n, ny, nx) uint8
        Raw, and with shift and rotation undone in the frame of the raw image: there, points of the
        specimen move only across the tilt axis.
    sinogram_before, sinogram_after : (n, n_u) float32
        Grey values along the line through the centre across the tilt axis.
    mean : (n_tilts,) float64
        Mean grey value of each image, in the order of the series; NaN where no pixel is finite.
    """

    order: npt.NDArray[np.int64]
    before: npt.NDArray[np.uint8]
    after: npt.NDArray[np.uint8]
    sinogram_before: Float32
    sinogram_after: Float32
    mean: npt.NDArray[np.float64]


def make_movie(series: TiltSeries, alignment: Alignment, side: int = 256) -> Movie:
    """Read the series once, image by image, and reduce it to frames of at most ``side`` pixels."""
    n = len(series)
    side = int(min(side, max(32, np.sqrt(PIXELS_OF_ALL_FRAMES / n))))
    mean = np.full(n, np.nan)
    small = []
    for i in range(n):
        image = np.asarray(series.images[i], np.float32)
        finite = np.isfinite(image)
        if finite.any():
            mean[i] = float(np.mean(image[finite], dtype=np.float64))
        small.append(reduce(image, side))
        let_go(series.images)
    frames = np.stack(small)
    scale = max(series.images.shape[1:]) / max(frames.shape[1:])
    order = np.argsort(alignment.angles_deg, kind="stable")
    window = Window.of(frames)
    after = [_undo(frames[i], alignment, int(i), scale) for i in order]
    lines = [_line(frames[i], alignment, int(i), scale) for i in order]
    return Movie(
        order=order,
        before=window.bytes_of(frames[order]),
        after=window.bytes_of(np.stack(after)),
        sinogram_before=np.stack([a for a, _ in lines]),
        sinogram_after=np.stack([b for _, b in lines]),
        mean=mean,
    )


def _axes(alignment: Alignment, index: int) -> tuple[float, float, float, float]:
    """Turn [rad] of image ``index`` against the axis, the axis angle as (cos, sin), and the magnification."""
    turn = 0.0 if alignment.rotations_deg is None else float(alignment.rotations_deg[index])
    m = 1.0 if alignment.magnifications is None else float(alignment.magnifications[index])
    psi = np.deg2rad(alignment.tilt_axis_deg)
    return float(np.deg2rad(turn)), float(np.cos(psi)), float(np.sin(psi)), m


def _undo(image: Float32, alignment: Alignment, index: int, scale: float) -> Float32:
    """Resample so that the point (x, y, z) = (x, y, 0) of tilt 0 stays where psi puts it."""
    turn, cos, sin, m = _axes(alignment, index)
    ny, nx = image.shape
    row, column = np.meshgrid(
        np.arange(ny) - (ny - 1) / 2, np.arange(nx) - (nx - 1) / 2, indexing="ij"
    )
    offset = alignment.axis_offset_px / scale
    row, column = m * (row + offset * sin), m * (column + offset * cos)
    c, s = np.cos(turn), np.sin(turn)
    shift = alignment.shifts_px[index] / scale
    return _sample(image, column * s + row * c + shift[0], column * c - row * s + shift[1])


def _line(
    image: Float32, alignment: Alignment, index: int, scale: float
) -> tuple[Float32, Float32]:
    """Sample the line v = 0 across the axis, without and with the alignment of this image."""
    turn, cos, sin, m = _axes(alignment, index)
    ny, nx = image.shape
    half = int(np.ceil((abs(cos) * (nx - 1) + abs(sin) * (ny - 1)) / 2))
    u = np.arange(-half, half + 1, dtype=float)
    before = _sample(image, u * sin, u * cos)
    u = m * (u + alignment.axis_offset_px / scale)
    psi = np.arctan2(sin, cos) + turn
    shift = alignment.shifts_px[index] / scale
    return before, _sample(image, u * np.sin(psi) + shift[0], u * np.cos(psi) + shift[1])


def _sample(
    image: Float32, row: npt.NDArray[np.float64], column: npt.NDArray[np.float64]
) -> Float32:
    """Bilinear values at positions [px from the centre]; NaN more than half a pixel outside."""
    ny, nx = image.shape
    row, column = row + (ny - 1) / 2, column + (nx - 1) / 2
    outside = (row < -0.5) | (row > ny - 0.5) | (column < -0.5) | (column > nx - 0.5)
    r, c = np.clip(row, 0, ny - 1), np.clip(column, 0, nx - 1)
    r0, c0 = np.floor(r).astype(np.int64), np.floor(c).astype(np.int64)
    r1, c1 = np.minimum(r0 + 1, ny - 1), np.minimum(c0 + 1, nx - 1)
    fr, fc = r - r0, c - c0
    top = image[r0, c0] * (1 - fc) + image[r0, c1] * fc
    bottom = image[r1, c0] * (1 - fc) + image[r1, c1] * fc
    return np.where(outside, np.nan, top * (1 - fr) + bottom * fr).astype(np.float32)
