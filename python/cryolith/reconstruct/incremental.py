# SPDX-License-Identifier: BSD-3-Clause
"""Weighted back-projection of a series that is still being recorded: views are added one at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core
from ..errors import InputError
from ..projection import Geometry
from ..projection.operators import make_plan
from .filters import Filter, Window
from .inputs import Chosen, Float32
from .missing import fill_missing
from .settings import ITERATIONS
from .wbp_slabs import row_gains

__all__ = ["GrowingWbp"]


class GrowingWbp:
    """A volume that equals :func:`wbp` of the views it has been given, to rounding, in any order.

    Back-projection is linear in the filtered images, and of a new view only its own filter and those of its neighbours
    in angle change (:func:`tilt_weights`): one back-projection of these, filtered with what their filters change by, is
    added. The first views, and ``sirt-like``, change the filters of all.

    Parameters
    ----------
    shape : (int, int, int)
        (nz, ny, nx) of the volume.
    image_shape : (int, int) [px]
        (height, width) of the images.
    tilt_axis_deg : float [deg]
        As in :meth:`Geometry.single_axis`.
    filter, n_iter, cutoff, order
        As in :func:`wbp`.
    threads : int, default 0
        0 uses all processors of this process.

    Attributes
    ----------
    volume : (nz, ny, nx) float32
        Zero until there is a view. Changed in place by :meth:`add`.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        image_shape: tuple[int, int],
        *,
        tilt_axis_deg: float = 0.0,
        filter: Filter = "hamming",
        n_iter: int = ITERATIONS["wbp"],
        cutoff: float = 0.25,
        order: int = 4,
        threads: int = 0,
    ) -> None:
        if len(shape) != 3 or min(shape) < 1:
            raise InputError(f"shape: found {shape}, expected three positive numbers of voxels")
        self.window = Window(filter=filter, n_iter=n_iter, cutoff=cutoff, order=order)
        self.image_shape, self.tilt_axis_deg, self.threads = image_shape, tilt_axis_deg, threads
        self.volume: Float32 = np.zeros(shape, np.float32)
        self._scratch: Float32 = np.empty(shape, np.float32)
        self._images: Float32 = np.empty((0, *image_shape), np.float32)
        self._angles = np.empty(0)
        self._shifts = np.empty((0, 2))
        self._gains: Float32 = np.zeros((0, 1), np.float32)

    def __len__(self) -> int:
        return len(self._angles)

    @property
    def geometry(self) -> Geometry:
        """Of the views so far, in the order in which they came; refused while there is none."""
        return Geometry.single_axis(
            self._angles, tilt_axis_deg=self.tilt_axis_deg, shifts_px=self._shifts
        )

    def add(
        self,
        images: npt.ArrayLike,
        angles_deg: npt.ArrayLike,
        shifts_px: npt.ArrayLike | None = None,
    ) -> int:
        """Add views, at the cost of one back-projection of the views whose filters change.

        Parameters
        ----------
        images : (n, height, width)
            Background subtracted; NaN is a missing pixel. Kept, as float32.
        angles_deg : (n,) [deg]
        shifts_px : (n, 2) [px], optional
            (row, column) of each image.

        Returns
        -------
        int
            How many views were back-projected.

        Raises
        ------
        InputError
            A wrong shape or number, by name.
        """
        new = as_core(images, "images", ("n", "height", "width"))
        if new.shape[1:] != self.image_shape:
            raise InputError(f"images: found {new.shape[1:]}, expected {self.image_shape}")
        geometry = Geometry.single_axis(
            angles_deg, tilt_axis_deg=self.tilt_axis_deg, shifts_px=shifts_px
        )
        if len(geometry) != len(new):
            raise InputError(f"angles_deg: found {len(geometry)}, expected {len(new)}, one a view")
        filled = fill_missing(new, geometry, self.threads, None)
        self._images = np.concatenate([self._images, filled])
        self._angles = np.concatenate([self._angles, geometry.angles_deg])
        self._shifts = np.concatenate([self._shifts, geometry.shifts_px])
        return self._update()

    def _update(self) -> int:
        """Back-project what the filters of all views have changed by."""
        views, shape = Chosen.all(self.geometry), self.volume.shape
        plan = make_plan(views.geometry, shape, self.image_shape)
        if not isinstance(plan, _core.ProjectionPlan):
            raise AssertionError("views about one axis, of voxels as wide as pixels")
        gains, lengths = row_gains(plan, views, self.volume.shape, self.window)
        change = gains.copy()
        # A view keeps the length of its transform, which its own pose decides; another view's may be longer.
        change[: len(self._gains), : self._gains.shape[1]] -= self._gains
        changed = np.flatnonzero(change.any(axis=1))
        self._gains = gains
        if len(changed) == len(views.index):
            # The first few views stand for far more of the half circle than later: begun anew, nothing cancels.
            _core.wbp(plan, self._images, gains, lengths, self.volume, self.threads)
        elif len(changed):
            self._add_change(changed, change, lengths, views.geometry)
        return len(changed)

    def _add_change(
        self,
        changed: npt.NDArray[np.int64],
        change: Float32,
        lengths: list[int],
        geometry: Geometry,
    ) -> None:
        part = make_plan(
            geometry.subset(changed), self.volume.shape, self.image_shape, among=geometry
        )
        chosen = [lengths[i] for i in changed]
        columns = max(chosen) // 2 + 1
        some = np.ascontiguousarray(change[changed, :columns])
        assert isinstance(part, _core.ProjectionPlan)  # as the plan of all views
        _core.wbp(part, self._images[changed], some, chosen, self._scratch, self.threads)
        self.volume += self._scratch
