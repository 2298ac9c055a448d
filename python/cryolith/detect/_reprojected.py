# SPDX-License-Identifier: BSD-3-Clause
"""An iterative volume as the back-projection of its own projections, in a larger box."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..projection import Geometry, project
from ..reconstruct import Halves, cgls, lsqr, sart, sirt, split_tilts, wbp
from ._inputs import Float32

__all__ = ["Reprojected", "reprojects"]

_SOLVERS = (sirt, sart, cgls, lsqr)
_BY_IMAGE = ("frames", "tilts")  # halves whose images are known from their index alone


class Reprojected:
    """A solver whose volume is projected as the images were, and those projections back-projected into a larger box.

    Iterations put what the images hold into the box, so its projections hold it too, as far as iterations have come.
    In the volume itself rays that are short in the box count more (sirt), the noise has fine spokes, and streaks end at
    the faces: one spectrum describes it less well than a weighted back-projection, which goes on by ``pad`` beyond the
    faces along z and x. If ``solve`` is linear, so is this: what is shown of a blob goes the same way.
    """

    def __init__(self, solve: Any, pad: int) -> None:
        self.solve, self.pad = solve, pad

    def __call__(
        self, images: Float32, geometry: Geometry, *, shape: tuple[int, int, int], **how: Any
    ) -> Float32 | Halves:
        """Reconstruct into ``shape``, that of the larger box."""
        inner = (shape[0] - 2 * self.pad, shape[1], shape[2] - 2 * self.pad)
        found = self.solve(images, geometry, shape=inner, **how)
        threads, cancel = how.get("threads", 0), how.get("cancel")
        volume, halves = self.of(found, geometry, images.shape[1:], threads=threads, cancel=cancel)
        if halves is not None:
            return halves
        assert volume is not None
        return volume

    def of(
        self, found: Any, geometry: Any, image_shape: Any, **how: Any
    ) -> tuple[Float32 | None, Halves | None]:
        """Return what it makes of a volume, or of halves, that ``solve`` made: one of them, the other None."""
        nz, ny, nx = (found.first if isinstance(found, Halves) else found).shape
        shape = (nz + 2 * self.pad, ny, nx + 2 * self.pad)
        back: Any = functools.partial(wbp, angles_deg=geometry, filter="ramp", shape=shape, **how)

        def images(volume: Float32) -> Float32:
            ready = np.ascontiguousarray(volume, np.float32)
            return project(ready, geometry, image_shape, **how)

        if not isinstance(found, Halves):
            return back(images(found)), None
        if found.split == "frames":
            pair = images(found.first), images(found.second)
            return None, back(pair, halves="frames", whole=False)
        stack = np.empty((len(geometry), *image_shape), np.float32)
        for half, index in zip((found.first, found.second), found.index, strict=True):
            stack[index] = images(half)[index]
        return None, back(stack, halves="tilts", whole=False)


def reprojects(solve: Callable[..., Any] | None, geometry: Geometry | None, halves: Any) -> bool:
    """Return whether a volume can be searched as what :class:`Reprojected` makes of it."""
    solver = solve.func if isinstance(solve, functools.partial) else solve
    if geometry is None or not any(solver is one for one in _SOLVERS):
        return False
    if halves is None:
        return True
    if not isinstance(halves, Halves) or halves.split not in _BY_IMAGE:
        return False
    if halves.split == "frames":
        return True
    each = zip(halves.index, split_tilts(geometry.angles_deg), strict=True)
    return all(np.array_equal(mine, own) for mine, own in each)
