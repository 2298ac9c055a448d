# SPDX-License-Identifier: BSD-3-Clause
"""Weighted back-projection of slabs of the volume's rows, each by itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .. import _core
from .._fields import Field, MemoryField, fresh
from ..errors import InputError
from ..projection import Geometry
from .cut import Cut, Pair, Part
from .filters import Window, filter_gains, sirt_steps
from .inputs import Chosen, Float32, Problem
from .missing import fill_missing
from .weights import tilt_weights

__all__ = ["WbpSlabs", "row_gains"]


class WbpSlabs:
    """The volume slab by slab, from images that lie on disk, or in memory where the work is not cut.

    Parameters
    ----------
    problem : Problem
    window : Window
        Filters the rows.
    cut : Cut
        What is in memory at once.
    fixed16 : bool
        Back-project in fixed point.
    """

    def __init__(self, problem: Problem, window: Window, cut: Cut, fixed16: bool = False) -> None:
        height, width = problem.images.shape[1:]
        self.problem, self.fixed16 = problem, fixed16
        views = problem.views
        self.pair = Pair(problem.geometry, problem.shape, (height, width), cut, views.among)
        plan = self.pair.host_plan
        if not isinstance(plan, _core.ProjectionPlan):
            raise InputError(
                "cut: found views without a common tilt axis and scale, expected all in memory"
            )
        self.gains, self.lengths = row_gains(plan, views, problem.shape, window)
        self.cut = cut
        self.images: Field = MemoryField(np.empty((0, height, width), np.float32))

    def take_images(self, threads: int, cancel: _core.CancelToken | None) -> None:
        """Put all images where slabs read them, with gaps filled; before the first slab."""
        if not self.cut.on_disk:
            stack = fill_missing(self.problem.stack, self.problem.geometry, threads, cancel)
            self.images = MemoryField(stack)
            return
        self.images = self.cut.stack(self.problem.images.shape)
        for i in range(self.images.shape[0]):
            self._take_image(i, threads, cancel)

    def part(self, first: int, last: int) -> Part:
        """Return the slab of these rows; the first a multiple of the plan's ``slab_rows``."""
        nz, _, nx = self.problem.shape
        return Part(first=first, last=last, shape=(nz, last - first, nx))

    def rows(self, part: Part, threads: int, cancel: _core.CancelToken | None) -> Float32:
        """Return the rows of a slab."""
        plan = self.pair.slab(part)
        top, bottom, left, right = plan.window
        images = self.images.window((top, bottom, left, right))
        rows = fresh(part.shape)
        how = (threads, cancel, self.fixed16)
        _core.wbp(plan, images, self.gains, self.lengths, rows, *how)
        return rows

    # In a function of its own, so that one image is let go before the next is read.
    def _take_image(self, i: int, threads: int, cancel: _core.CancelToken | None) -> None:
        image, view = self.problem.images[i : i + 1], self.problem.geometry.subset([i])
        self.images.put_layers(i, fill_missing(image, view, threads, cancel))


def row_gains(
    plan: _core.ProjectionPlan,
    views: Chosen,
    shape: tuple[int, int, int],
    window: Window,
    factor: float = 1.0,
) -> tuple[Float32, list[int]]:
    """Return the spectra that filter the stretched rows of each tilt, as :func:`filter_gains`, and their lengths.

    ``factor`` is the width of the pixels that the plan sees, in pixels of the detector.
    """
    lengths = _core.filter_lengths(plan)
    spacings = np.array([plan.spacing(i) for i in range(len(views.index))])
    weights, steps = _weights_and_steps(views.among, shape)
    seen = views.geometry.magnifications / factor  # pixels of the plan per pixel of the specimen
    of_tilt = weights[views.index] * seen
    return filter_gains(spacings, of_tilt, lengths, window, steps[views.index] * seen), lengths


def _weights_and_steps(
    geometry: Geometry, shape: tuple[int, int, int]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return what :func:`tilt_weights` and :func:`sirt_steps` say of all views."""
    poses = geometry.poses()
    turned = geometry.x_tilts_deg.any()
    angles = np.rad2deg(np.arctan2(poses[:, 1], poses[:, 0])) if turned else geometry.angles_deg
    edges = [float(n) * geometry.sampling for n in (shape[0], shape[2])]
    return tilt_weights(angles), sirt_steps(angles, *edges)
