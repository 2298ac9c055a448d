# SPDX-License-Identifier: BSD-3-Clause
"""Shifts that depend on the place in the image: what stands between the images and a projector of whole ones."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .. import _core
from ..datamodel import LocalShifts
from .views import Float64

__all__ = ["Straightener", "local_nodes"]

Float32 = npt.NDArray[np.float32]

# Nodes a shift is given at, at most, along an image's longer edge, and the least distance between them [px]. A wave of
# 5 px and 500 px length is then met to 0.01 px, between nodes 32 px apart (4096 px images) to 0.1 px.
NODES, SPACING = 128, 8


class Straightener:
    """Images sampled where local shifts say that they would lie without them, and the transpose of that.

    ``nodes`` (n_tilts, 2, rows, columns) [px] as :func:`local_nodes` makes them.
    """

    def __init__(self, nodes: Float32, spacing: int) -> None:
        self.nodes, self.spacing = nodes, spacing

    def straighten(self, stack: Float32, threads: int, cancel: _core.CancelToken | None) -> Float32:
        """Return the straight images (n_tilts, height, width)."""
        out = np.empty(stack.shape, np.float32)
        _core.straighten(stack, self.nodes, self.spacing, out, threads, cancel)
        return out

    def bend(self, stack: Float32, threads: int, cancel: _core.CancelToken | None) -> Float32:
        """Return what straight images leave in the images that were taken: the transpose of :meth:`straighten`."""
        out = np.empty(stack.shape, np.float32)
        _core.bend(stack, self.nodes, self.spacing, out, threads, cancel)
        return out

    def scratch_bytes(self, image_shape: tuple[int, int], threads: int) -> int:
        """Return the memory that either takes besides the images it returns."""
        return _core.local_scratch_bytes(*image_shape, threads) + self.nodes.nbytes


def local_nodes(
    local: LocalShifts, shifts_px: Float64, image_shape: tuple[int, int]
) -> tuple[Float32, int]:
    """Return the displacement of each pixel of each image, at nodes of a square grid, and their distance.

    Parameters
    ----------
    local : LocalShifts
        Its good points count; an image without any has no local shifts.
    shifts_px : (n_tilts, 2) [px]
        Shift of each whole image.
    image_shape : (int, int)
        (height, width) of the images.

    Returns
    -------
    nodes : (n_tilts, 2, rows, columns) float32 [px]
        (row, column), the first node at pixel (0, 0).
    spacing : int [px]

    Notes
    -----
    The surface of least bending through the good points (thin-plate spline: Duchon, RAIRO Anal. Numer. 10 (1976) 5;
    Meinguet, ZAMP 30 (1979) 292); beyond the box around them that of the nearest place in it.
    """
    spacing = max(SPACING, math.ceil(max(image_shape) / NODES))
    counts = [math.ceil((n - 1) / spacing) + 1 for n in image_shape]
    pixels = np.stack(np.meshgrid(*[spacing * np.arange(n) for n in counts], indexing="ij"), -1)
    centred = pixels.reshape(-1, 2) - (np.array(image_shape) - 1) / 2
    nodes = np.zeros((len(local.good), 2, *counts), np.float32)
    for i, good in enumerate(local.good):
        points, values = local.points_px[i, good], local.shifts_px[i, good]
        if len(points):
            places = np.clip(centred - shifts_px[i], points.min(0), points.max(0))
            nodes[i] = _thin_plate(points, values, places).T.reshape(2, *counts)
    return nodes, spacing


def _thin_plate(points: Float64, values: Float64, places: Float64) -> Float64:
    """Return the spline through ``values`` (k, 2) at ``points`` (k, 2) at ``places`` (m, 2); a plane, line or constant
    where the points determine no more."""
    unit = max(1.0, float(np.ptp(points, axis=0).max()))  # so that both blocks are of one size
    points, places = points / unit, places / unit
    k = len(points)
    system = np.zeros((k + 3, k + 3))
    system[:k, :k] = _bending(points, points)
    system[:k, k], system[:k, k + 1 :] = 1.0, points
    system[k:, :k] = system[:k, k:].T
    solved = np.linalg.lstsq(system, np.vstack([values, np.zeros((3, 2))]), rcond=None)[0]
    return np.asarray(_bending(places, points) @ solved[:k] + solved[k] + places @ solved[k + 1 :])


def _bending(a: Float64, b: Float64) -> Float64:
    """Return r^2 log r^2 between all places of ``a`` (m, 2) and ``b`` (k, 2)."""
    square = ((a[:, None] - b[None]) ** 2).sum(-1)
    return np.asarray(square * np.log(np.where(square > 0, square, 1.0)))
