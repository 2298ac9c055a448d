# SPDX-License-Identifier: BSD-3-Clause
"""What stands between a volume's plan and the images: voxels and detector pixels of different size, local shifts."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import InputError
from .geometry import Geometry
from .local import Straightener

__all__ = ["DetectorPlan", "reduced"]

Float32 = npt.NDArray[np.float32]
AxisMap = tuple[Float32, npt.NDArray[np.int64]]

# Pixels per voxel up to which the projector's own kernel interpolates between voxels without a visible comb.
LARGEST_SCALE = 1.1
# Largest ratio of magnifications that one reduced detector serves.
LARGEST_RATIO = 1.5
# The kernel of design/003-projector.md: windowed sinc, 8 taps, Kaiser-Bessel with this beta.
TAPS, BETA = 8, 6.0
MARGIN = TAPS // 2


class Detector:
    """Images reduced to pixels ``factor`` times as wide, about the same centre, and the transpose of that.

    Each reduced pixel is the image low-passed to its band, by the projector's kernel stretched by ``factor``; weights
    sum to 1. A margin of half a kernel sees what of the image lies within reach.
    """

    def __init__(self, image_shape: tuple[int, int], factor: float) -> None:
        self.factor = factor
        self.image_shape = image_shape
        self.shape = tuple(math.ceil(n / factor) + 2 * MARGIN for n in image_shape)
        maps = [_kernel(n, m, factor) for n, m in zip(image_shape, self.shape, strict=True)]
        self._down = [_axis_map(weights) for weights in maps]
        self._up = [_axis_map(weights.T) for weights in maps]

    def reduce(self, stack: Float32, threads: int, cancel: _core.CancelToken | None) -> Float32:
        """Return the reduced images."""
        out = np.empty((len(stack), *self.shape), np.float32)
        _core.reduce_images(stack, *self._down[0], *self._down[1], out, threads, cancel)
        return out

    def spread(self, stack: Float32, threads: int, cancel: _core.CancelToken | None) -> Float32:
        """Return reduced images spread over the detector: the transpose of :meth:`reduce`."""
        out = np.empty((len(stack), *self.image_shape), np.float32)
        _core.reduce_images(stack, *self._up[0], *self._up[1], out, threads, cancel)
        return out


class DetectorPlan:
    """A projector pair behind a detector: ``bend(spread(weights A x))`` and its transpose.

    That is ``A' weights reduce(straighten(y))``. ``weights`` (n_tilts,) is what a voxel adds to the sum of an image.
    Holds one stack of reduced images, and one of straight ones, besides what ``plan`` holds.
    """

    def __init__(
        self,
        plan: _core.ProjectionPlan | _core.FreePlan,
        detector: Detector | None,
        weights: Float32,
        pixels: tuple[int, int],
        local: Straightener | None,
    ) -> None:
        self.plan = plan
        self.detector = detector
        self.local = local
        self.weights = weights[:, None, None]
        self._pixels = (len(weights), *pixels)

    def project(
        self,
        volume: Float32,
        out: Float32,
        threads: int = 0,
        cancel: _core.CancelToken | None = None,
        add: bool = False,
    ) -> None:
        """Set ``out`` (n_tilts, height, width) to the projections of ``volume``, or add them to it."""
        images = np.empty(self._pixels, np.float32)
        self.plan.project(volume, images, threads, cancel)
        images *= self.weights
        if self.detector is not None:
            images = self.detector.spread(images, threads, cancel)
        if self.local is not None:
            images = self.local.bend(images, threads, cancel)
        if add:
            out += images
        else:
            out[:] = images

    def backproject(
        self,
        stack: Float32,
        out: Float32,
        threads: int = 0,
        cancel: _core.CancelToken | None = None,
        fixed16: bool = False,
    ) -> None:
        """Set ``out`` (nz, ny, nx) to the back-projection of ``stack``."""
        images = self.seen(stack, threads, cancel)
        # The caller's own images are not written into; a second copy of others is not needed.
        images = np.multiply(images, self.weights, out=None if images is stack else images)
        self.plan.backproject(images, out, threads, cancel, fixed16)

    def seen(self, stack: Float32, threads: int, cancel: _core.CancelToken | None) -> Float32:
        """Return the images that ``plan`` sees, before their weights: straight and reduced."""
        if self.local is not None:
            stack = self.local.straighten(stack, threads, cancel)
        return stack if self.detector is None else self.detector.reduce(stack, threads, cancel)


def reduced(
    geometry: Geometry, image_shape: tuple[int, ...], among: Geometry
) -> tuple[Detector | None, Geometry, tuple[int, int]]:
    """Return the detector that brings the images to about one pixel per voxel, the geometry there, and its shape.

    No detector where the voxels are not larger than the pixels. One serves all views ``among`` which these are, so
    that a view is projected alike in whatever subset.
    """
    shape = (int(image_shape[0]), int(image_shape[1]))
    scales = among.sampling * among.magnifications
    factor = float(scales.max())
    if factor <= LARGEST_SCALE:
        return None, geometry, shape
    if factor > LARGEST_RATIO * scales.min():
        raise InputError(
            f"magnifications: found {among.magnifications.min():g} to {among.magnifications.max():g} with voxels "
            f"larger than the pixels, expected a ratio of at most {LARGEST_RATIO:g}; bin the images first"
        )
    detector = Detector(shape, factor)
    seen = geometry.moved_to_shifts()
    seen = replace(
        seen,
        shifts_px=seen.shifts_px / factor,
        magnifications=geometry.magnifications / factor,
    )
    return detector, seen, (detector.shape[0], detector.shape[1])


def _kernel(n: int, m: int, factor: float) -> npt.NDArray[np.float64]:
    """Weights (m, n) of the pixels in each reduced pixel; rows that lie inside sum to 1."""
    at = (n - 1) / 2 + (np.arange(m) - (m - 1) / 2) * factor
    reach = math.ceil(TAPS / 2 * factor)
    taps = np.arange(-reach, reach + 1)
    source = np.floor(at).astype(np.int64)[:, None] + taps
    distance = (source - at[:, None]) / factor
    inside = np.abs(distance) < TAPS / 2
    window = np.i0(BETA * np.sqrt(np.where(inside, 1 - (2 * distance / TAPS) ** 2, 0))) / np.i0(
        BETA
    )
    weights = np.where(inside, np.sinc(distance) * window, 0)
    weights /= weights.sum(axis=1, keepdims=True)
    out = np.zeros((m, n))
    exists = (source >= 0) & (source < n)
    rows = np.broadcast_to(np.arange(m)[:, None], source.shape)
    out[rows[exists], source[exists]] = weights[exists]
    return out


def _axis_map(weights: npt.NDArray[np.float64]) -> AxisMap:
    """Weights and sources (outputs, taps) of the outputs of one axis, as ``reduce_images`` takes them."""
    outputs, inputs = weights.shape
    used = weights != 0
    first = np.where(used.any(1), used.argmax(1), 0)
    last = np.where(used.any(1), inputs - used[:, ::-1].argmax(1), 1)
    taps = int((last - first).max())
    source = np.minimum(first, inputs - taps)[:, None] + np.arange(taps)
    rows = np.arange(outputs)[:, None]
    return weights[rows, source].astype(np.float32), np.ascontiguousarray(source)
