# SPDX-License-Identifier: BSD-3-Clause
"""Aligned images to look at; reconstructions need none, the projector applies the alignment itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..datamodel import Alignment, TiltSeries
from ..errors import InputError
from .coarse import frame
from .images import chunks, clean, reduce_images, resample_images

__all__ = ["aligned_images"]


def aligned_images(
    series: TiltSeries | npt.NDArray[Any],
    alignment: Alignment,
    *,
    binning: int = 1,
    upright: bool = False,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> npt.NDArray[np.float32]:
    """Resample images so that the specimen stands still but for its tilting: for animations and checks.

    Parameters
    ----------
    series : TiltSeries or (n_tilts, ny, nx) array
    alignment : Alignment
        Of the same images.
    binning : int, default 1
        Pixels low-passed and binned along each edge before resampling.
    upright : bool, default False
        Turn the tilt axis to the vertical: rows are v, columns u. Otherwise only the shifts and the rotation of
        each image are undone and the axis stays as recorded.
    threads, cancel
        As everywhere.

    Returns
    -------
    (n_tilts, ny // binning, nx // binning) float32
        With ``upright`` a nearly horizontal axis exchanges the two edges. Bilinear; outside an image its median.

    Raises
    ------
    InputError
        A wrong number of images or binning.
    """
    images = series.images if isinstance(series, TiltSeries) else np.asarray(series)
    n = len(alignment.angles_deg)
    if images.ndim != 3 or len(images) != n:
        raise InputError(
            f"series: found shape {images.shape}, expected ({n}, ny, nx) as in the alignment"
        )
    if not 1 <= binning <= min(images.shape[1:]):
        raise InputError(f"binning: found {binning}, expected 1 to {min(images.shape[1:])}")
    small = np.concatenate(
        [
            reduce_images(clean(images[part], threads, cancel)[0], binning, threads, cancel)
            for part in chunks(images, cancel)
        ]
    )
    rotations = np.zeros(n) if alignment.rotations_deg is None else alignment.rotations_deg
    axis = alignment.tilt_axis_deg
    magnification = np.ones(n) if alignment.magnifications is None else alignment.magnifications
    scale = magnification[:, None]
    matrix = scale[:, None] * np.stack(
        [frame(axis + r) if upright else frame(r) for r in rotations]
    )
    offset = np.array([0.0, alignment.axis_offset_px])
    shifts = alignment.shifts_px + scale * np.stack([frame(axis + r) @ offset for r in rotations])
    height, width = small.shape[1:]
    swap = upright and abs(np.sin(np.deg2rad(axis))) > np.sqrt(0.5)
    shape = (width, height) if swap else (height, width)
    fill = np.median(small, axis=(1, 2))
    return resample_images(small, matrix, shifts / binning, shape, fill, threads, cancel)
