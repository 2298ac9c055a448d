# SPDX-License-Identifier: BSD-3-Clause
"""What the solvers accept, made into one form: float32 images and their geometry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from .._arrays import as_angles, as_core
from .._fields import fresh, side_by_side
from ..datamodel import Alignment, TiltSeries
from ..errors import InputError
from ..projection import Geometry

__all__ = [
    "Chosen",
    "Float32",
    "Images",
    "Int64",
    "Problem",
    "ProjectionsLike",
    "ViewsLike",
    "as_problem",
]

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Chosen:
    """Some views among others, which decide the projector's detector and the weights of :func:`wbp`.

    Attributes
    ----------
    among : Geometry
    index : (n_tilts,) int
        Of these views.
    """

    among: Geometry
    index: Int64

    @classmethod
    def all(cls, geometry: Geometry) -> Chosen:
        """Return all views."""
        return cls(among=geometry, index=np.arange(len(geometry)))

    @property
    def geometry(self) -> Geometry:
        """Of these views alone."""
        whole = len(self.index) == len(self.among)
        return self.among if whole else self.among.subset(self.index)


ProjectionsLike = npt.ArrayLike | TiltSeries
ViewsLike = npt.ArrayLike | Geometry | Alignment | None


class Images:
    """Images as float32 less their background, converted when they are indexed by a slice or by numbers.

    Parameters
    ----------
    source : (n, height, width)
        Real numbers; an array or anything that gives one for an index, such as a memory map.
    index : (n_tilts,) int
        Which of them, in this order.
    level : (n_tilts,) float32, optional
        Subtracted from each.
    factor : float, default 1
        To what is left.
    """

    dtype = np.dtype(np.float32)

    def __init__(
        self,
        source: Any,
        index: Int64,
        level: npt.NDArray[np.float32] | None,
        factor: float = 1.0,
    ) -> None:
        self._source, self._index, self._level, self._factor = source, index, level, factor
        height, width = source.shape[1:]
        self.shape: tuple[int, int, int] = (len(index), int(height), int(width))

    def __getitem__(self, key: slice | Int64) -> Float32:
        """Return images; may be the caller's own array, so never write into it."""
        index = self._index[key]
        neighbours = len(index) and (np.diff(index) == 1).all()
        part = self._source[index[0] : index[-1] + 1] if neighbours else self._source[index]
        stack: Float32 = as_core(part, "stack", ("n_tilts", "height", "width"))
        if self._level is not None:
            stack = self._less(stack, self._level[key])
        return stack if self._factor == 1.0 else stack * np.float32(self._factor)

    @staticmethod
    def _less(stack: Float32, level: npt.NDArray[np.float32]) -> Float32:
        out = fresh(stack.shape)

        def subtract(some: range) -> None:
            for k in some:
                np.subtract(stack[k], level[k], out=out[k])

        side_by_side(subtract, len(stack), out.nbytes)
        return out

    def chosen(self, index: Int64) -> Images:
        """Return some of the images."""
        level = None if self._level is None else self._level[index]
        return Images(self._source, self._index[index], level, self._factor)

    def times(self, factor: float) -> Images:
        """Return the images multiplied."""
        return Images(self._source, self._index, self._level, factor * self._factor)


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """Images that belong together with how they look at the specimen.

    Attributes
    ----------
    images : Images
    views : Chosen
    shape : (int, int, int)
        (nz, ny, nx) of the volume.
    index : (n_tilts,) int
        Which of the given images these are: flagged tilts of an alignment are left out.
    """

    images: Images
    views: Chosen
    shape: tuple[int, int, int]
    index: Int64

    @cached_property
    def geometry(self) -> Geometry:
        """Of these images."""
        return self.views.geometry

    @cached_property
    def stack(self) -> Float32:
        """(n_tilts, height, width) float32, all of them; may hold NaN and be the caller's own array."""
        return self.images[:]


def as_problem(
    data: ProjectionsLike,
    views: ViewsLike | Chosen,
    *,
    thickness: int | None,
    shape: tuple[int, int, int] | None,
    background: npt.ArrayLike | None = None,
) -> Problem:
    """Return the problem that a stack or tilt series with angles, geometry or alignment describes.

    Parameters
    ----------
    data : (n_tilts, height, width) array_like or TiltSeries
    views : (n_tilts,) angles [deg], Geometry, Alignment or None
        None takes angles and axis from the tilt series.
    thickness, shape
        Of the volume [px]; ``shape`` wins. Without either the volume is as thick as it is wide.
    background : (n_tilts,), optional
        Subtracted from each image.
    """
    source: Any = data.images if isinstance(data, TiltSeries) else data
    if not (hasattr(source, "shape") and hasattr(source, "dtype")):
        source = np.asarray(source)
    count = int(source.shape[0]) if len(source.shape) else 0
    # One image tells what is wrong with all of them; the others are converted when they are needed.
    as_core(source[:1] if count else source, "stack", ("n_tilts", "height", "width"))
    chosen, index = _views(data, views, count)
    geometry = chosen.geometry
    if len(index) != len(geometry):
        raise InputError(f"stack: found {len(index)} images, expected {len(geometry)}, one a tilt")
    images = Images(source, index, _level(background, index, count))
    if shape is None:
        height, width = images.shape[1:]
        nx = geometry.volume_shape((height, width), 1)[2]
        shape = geometry.volume_shape((height, width), nx if thickness is None else thickness)
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(f"shape: found {shape}, expected three positive numbers of voxels")
    return Problem(images=images, views=chosen, shape=shape, index=index)


def _level(
    background: npt.ArrayLike | None, index: Int64, count: int
) -> npt.NDArray[np.float32] | None:
    if background is None:
        return None
    level = as_angles(background, "background")
    if len(level) != len(index):
        if len(level) != count:
            raise InputError(f"background: found {len(level)} values, expected {count}")
        level = level[index]
    return level.astype(np.float32)


def _views(data: ProjectionsLike, views: ViewsLike | Chosen, count: int) -> tuple[Chosen, Int64]:
    if isinstance(views, Chosen):
        return views, np.arange(count)
    geometry, index = _geometry(data, views, count)
    return Chosen.all(geometry), index


def _geometry(data: ProjectionsLike, views: ViewsLike, count: int) -> tuple[Geometry, Int64]:
    index = np.arange(count)
    if isinstance(views, Geometry):
        return views, index
    if isinstance(views, Alignment):
        if len(views.angles_deg) != count:
            raise InputError(
                f"alignment: found {len(views.angles_deg)} tilts, expected {count}, one per image"
            )
        return Geometry.from_alignment(views), index[views.kept]
    if views is not None:
        return Geometry.single_axis(as_angles(views, "angles_deg", count)), index
    if isinstance(data, TiltSeries):
        axis = data.tilt_axis_deg or 0.0
        return Geometry.single_axis(data.angles_deg, tilt_axis_deg=axis), index
    raise InputError("angles_deg: found None, expected one angle per image, or a Geometry")
