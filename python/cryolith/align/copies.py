# SPDX-License-Identifier: BSD-3-Clause
"""Alignment within a limit of memory: how much it takes, the copy of averaged pixels, and the way back from it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import let_go
from ..covariance import Covariance
from ..datamodel import Alignment, Beads, TiltSeries
from ..errors import Cancelled
from .images import CHUNK_BYTES, clean
from .settings import AlignSettings

__all__ = ["AlignNeeds", "align_needs", "averaged_series", "in_full_pixels", "settings_of_copy"]

# px, edge of the last reduced images: what isolated specimens tell about their shifts is there
# (design/013-joint-alignment.md), and a round of refinement takes a second.
FINE_EDGE = 128
# Measured with benchmarks/memory.py. Bytes a pixel of what is read at a time: the images as read, cleaned, in float64.
_READ = 30
_BEADS = 60  # bytes a pixel of one image that beads are looked for in
_REDUCED = 150  # bytes a pixel of all reduced images: residuals and steps of the joint refinement
_DENSITY = 64  # bytes a voxel of a cube as wide as a reduced image: densities of the same
_LEAST_EDGE = 64  # px of images that are still worth aligning


@dataclass(frozen=True)
class AlignNeeds:
    """Needs of an alignment.

    Attributes
    ----------
    bytes_memory : int
        At its peak.
    binned : int
        How many pixels along each edge are averaged before anything else; 1: none.
    chunk_bytes : int
        Images that are read at a time, as float32.
    """

    bytes_memory: int
    binned: int = 1
    chunk_bytes: int = CHUNK_BYTES


def align_needs(
    shape: tuple[int, int, int], settings: AlignSettings, max_memory: int | None = None
) -> AlignNeeds:
    """Plan the alignment of images of ``shape``: first fewer images at a time, then a copy of averaged pixels.

    Fewer images at a time give the same bits. The copy is as fine as ``max_memory`` allows, by the shape and that
    alone; where nothing suffices the coarsest copy says what it takes.
    """
    n, height, width = shape
    whole = _needs(shape, settings, 1, CHUNK_BYTES)
    # A file's pages count as the process's own until they are let go, which only the limited run does.
    in_one = replace(whole, bytes_memory=whole.bytes_memory + 4 * n * height * width)
    if max_memory is None or in_one.bytes_memory <= max_memory:
        return in_one
    found = whole
    for factor in range(1, max(1, min(height, width) // _LEAST_EDGE) + 1):
        image = 4 * (height // factor) * (width // factor)
        found = _needs(shape, settings, factor, image)
        if found.bytes_memory <= max_memory:
            break
    return found


def _needs(
    shape: tuple[int, int, int], settings: AlignSettings, factor: int, chunk: int
) -> AlignNeeds:
    n, height, width = shape
    image = (height // factor) * (width // factor)
    fine = max(1, settings.binning // factor) if settings.binning else 0
    fine = fine or max(1, round(max(height, width) / factor / FINE_EDGE))
    read = _READ * max(image, min(chunk // 4, n * image))
    copy = 4 * n * image + 3 * 4 * height * width if factor > 1 else 0
    beads = _BEADS * image if settings.beads != "no" else 0
    edge = max(height, width) // factor // fine
    reduced = _REDUCED * n * image // fine**2 + _DENSITY * edge**3
    memory = copy + max(read, beads) + reduced
    return AlignNeeds(bytes_memory=memory, binned=factor, chunk_bytes=chunk)


def averaged_series(
    series: TiltSeries, factor: int, threads: int, cancel: _core.CancelToken | None
) -> TiltSeries:
    """Return a series of means over ``factor`` x ``factor`` pixels, read image by image, in memory.

    Hot and missing pixels are replaced before, as nothing could tell them from the others behind. Pixels left over at
    the end of rows and columns are dropped.
    """
    n, (height, width) = len(series), (m // factor for m in series.images.shape[1:])
    out = np.empty((n, height, width), np.float32)
    for i in range(n):
        if cancel is not None and cancel.cancelled:
            raise Cancelled("cancelled by the caller")
        image = clean(np.asarray(series.images[i])[None], threads, cancel)[0][0]
        cut = image[: height * factor, : width * factor]
        cut.reshape(height, factor, width, factor).mean((1, 3), out=out[i])
        let_go(series.images)
    pixel = None if series.pixel_size is None else series.pixel_size * factor
    return replace(series, images=out, pixel_size=pixel)


def settings_of_copy(settings: AlignSettings, factor: int) -> AlignSettings:
    """Return settings whose lengths in pixels are those of the copy."""
    return replace(
        settings,
        binning=max(1, round(settings.binning / factor)) if settings.binning else 0,
        max_shift=None if settings.max_shift is None else max(1.0, settings.max_shift / factor),
    )


def in_full_pixels(found: Alignment, factor: int, series: TiltSeries) -> Alignment:
    """Return the alignment of a copy as one of the series it was made from.

    Pixel centres sit on integers: the middle of the copy lies (n % factor) / 2 before that of the image along each
    edge, and shifts are counted from it. What is counted from a shift (local shifts, beads) only grows.
    """
    left = np.array([m % factor for m in series.images.shape[1:]])
    beads, slab = found.beads, found.slab
    grown = {
        name: None if value is None else value * factor
        for name, value in (
            ("axis_offset_px", found.axis_offset_px),
            ("sigma_axis_offset_px", found.sigma_axis_offset_px),
            ("sigma_shifts_px", found.sigma_shifts_px),
        )
    }
    method = (
        *found.method,
        f"memory: aligned on a copy of {factor} x {factor} pixels averaged; lengths in px above are of the copy",
    )
    return replace(
        found,
        shifts_px=found.shifts_px * factor - left / 2,
        covariance=None if found.covariance is None else _grown(found.covariance, factor),
        local=None if found.local is None else found.local.scaled(factor),
        beads=None if beads is None else _beads(beads, factor),
        slab=None
        if slab is None
        else replace(
            slab,
            thickness_px=slab.thickness_px * factor,
            sigma_thickness_px=slab.sigma_thickness_px * factor,
        ),
        pixel_size=None if found.pixel_size is None else series.pixel_size,
        image_shape=None
        if found.image_shape is None
        else (series.images.shape[1], series.images.shape[2]),
        method=method,
        **grown,  # type: ignore[arg-type]
    )


def _beads(beads: Beads, factor: int) -> Beads:
    return replace(
        beads,
        points_px=beads.points_px * factor,
        residuals_px=beads.residuals_px * factor,
        left_out_px=beads.left_out_px * factor,
        diameter_px=beads.diameter_px * factor,
    )


def _grown(covariance: Covariance, factor: int) -> Covariance:
    scale: npt.NDArray[np.float64] = np.array(
        [float(factor) if name.startswith("shift_") else 1.0 for name in covariance.names]
    )
    return Covariance(names=covariance.names, matrix=covariance.matrix * np.outer(scale, scale))
