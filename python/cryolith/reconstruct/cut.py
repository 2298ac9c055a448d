# SPDX-License-Identifier: BSD-3-Clause
"""How a reconstruction is cut into parts that fit into memory, and the projector pair over them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _core
from .._fields import Field, MemoryField, Shape3, Window, fresh, scratch_field
from ..errors import InputError
from ..projection import Geometry
from ..projection.operators import ProjectorPair, make_plan
from .device import CPU, DeviceField, Devices
from .inputs import Float32

__all__ = ["PIECES", "WHOLE", "Cut", "Pair", "Part", "streamed_rows"]


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The parts that are in memory at once. Results do not depend on it, to the bit.

    Attributes
    ----------
    rows : int
        Rows of the volume, along the tilt axis; a multiple of the plan's ``slab_rows``. 0: all.
    layers : int
        Images. 0: all.
    turned : bool
        The tilt axis lies nearer to the images' rows than to their columns.
    folder : path, optional
        Where the rest lies, when the work is cut; default the system's folder for temporary files.
    steps : _core.DeviceSteps, optional
        Of the device in whose memory all fields lie; default the host's memory.
    devices : Devices
        Through which the projector pair takes fields that lie in the host's memory, or on disk, in slabs.
    """

    rows: int = 0
    layers: int = 0
    turned: bool = False
    folder: str | os.PathLike[str] | None = None
    steps: _core.DeviceSteps | None = None
    devices: Devices = CPU

    @property
    def on_disk(self) -> bool:
        """Whether the work is cut."""
        return self.rows > 0

    def volume(self, shape: Shape3) -> Field:
        """Return a field of zeros for a volume."""
        if self.steps is not None:
            return DeviceField.zeros(shape, self.steps)
        if self.on_disk:
            return scratch_field(shape, self.folder)
        return MemoryField(np.zeros(shape, np.float32))

    def stack(self, shape: Shape3) -> Field:
        """Return a field of zeros for images."""
        if self.steps is not None:
            return DeviceField.zeros(shape, self.steps)
        if self.on_disk:
            return scratch_field(shape, self.folder, turned=self.turned)
        return MemoryField(np.zeros(shape, np.float32))

    def row_parts(self, ny: int) -> list[tuple[int, int]]:
        """Return first and last row of each slab of a volume."""
        return _parts(ny, self.rows)

    def layer_parts(self, count: int) -> list[tuple[int, int]]:
        """Return first and last image of each part of a stack."""
        return _parts(count, self.layers)


WHOLE = Cut()
SLABS = 8  # of a volume that memory would hold
STEP = 16  # rows that every plan may be cut at
PIECES = 8  # of a slab of weights, which is never in memory as a whole: the slabs of the volume can be thicker for it


def streamed_rows(ny: int) -> int:
    """Return rows of a slab of work that is not cut: few slabs, yet little left to write when the last is made."""
    return -(-ny // (SLABS * STEP)) * STEP


def _parts(count: int, size: int) -> list[tuple[int, int]]:
    step = size or count
    return [(first, min(count, first + step)) for first in range(0, count, step)]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A slab of the volume's rows.

    Attributes
    ----------
    first, last : int
        Its rows.
    shape : (nz, last - first, nx)
    """

    first: int
    last: int
    shape: Shape3

    def rows_of(self, volume: Field, space: Float32 | None = None) -> Float32:
        """Return this slab of a volume; what is read from a file goes into part of ``space``."""
        into = None if space is None else self.cut_from(space)
        return volume.window((self.first, self.last, 0, self.shape[2]), into)

    def pieces(
        self, volume: Field, space: Float32 | None, *slabs: Float32
    ) -> Iterator[tuple[Float32, ...]]:
        """Give layers of this slab of a volume that is only read, as many as ``space`` has, and the same of ``slabs``.

        Without ``space`` all of them as they are: they may lie on a device.
        """
        nz, rows, nx = self.shape
        if space is None:
            yield self.rows_of(volume), *slabs
            return
        for first in range(0, nz, len(space)):
            count = min(len(space), nz - first)
            into = space.reshape(-1)[: count * rows * nx].reshape(count, rows, nx)
            read = volume.piece(first, (self.first, self.last, 0, nx), into)
            yield read, *(slab[first : first + count] for slab in slabs)

    def cut_from(self, space: Float32) -> Float32:
        """Return as much of an array for the largest slab as this one needs."""
        if tuple(space.shape) == self.shape:
            return space
        nz, ny, nx = self.shape
        return space.reshape(-1)[: nz * ny * nx].reshape(self.shape)

    def copy_rows(self, source: Field, target: Field, on: Any) -> None:
        """Copy this slab of a volume to another, with the threads or steps of :attr:`Setup.on`."""
        rows = self.rows_of(target)
        _core.copy_step(self.rows_of(source), rows, on)
        self.put_rows(target, rows)

    def put_rows(self, volume: Field, rows: Float32) -> None:
        """Write this slab of a volume."""
        volume.put_window((self.first, self.last, 0, self.shape[2]), rows)


class Pair:
    """The projector pair of some views, over fields.

    Parameters
    ----------
    geometry : Geometry
    shape : (nz, ny, nx)
    image_shape : (height, width)
    cut : Cut
    among : Geometry
        All views, which ``geometry`` has some of.
    """

    def __init__(
        self,
        geometry: Geometry,
        shape: Shape3,
        image_shape: tuple[int, int],
        cut: Cut,
        among: Geometry,
    ) -> None:
        plan = make_plan(geometry, shape, image_shape, among)
        self.host_plan = plan
        self.plan: ProjectorPair | _core.DevicePlan = plan
        devices = cut.devices if cut.steps is None else Devices(names=(cut.steps.device,))
        if devices.names:
            if not isinstance(plan, _core.ProjectionPlan):
                raise AssertionError("chosen_devices lets no other geometry through")
            self.plan = devices.pair(plan)
        self._cut = cut
        self.unit = np.float32(among.weights().mean())  # of one ray through one voxel
        nz, ny, nx = shape
        self.parts = [
            Part(first=first, last=last, shape=(nz, last - first, nx))
            for first, last in cut.row_parts(ny)
        ]
        if len(self.parts) > 1 and not isinstance(plan, _core.ProjectionPlan):
            raise InputError(
                "max_memory: found views whose rays cross the rows of the volume, pixels that are not voxels, or local "
                "shifts, expected a common tilt axis and one scale: this cannot be cut; allow more memory"
            )

    def share_memory(self, other: Pair) -> None:
        """Have slabs on devices in the memory of another pair's."""
        if isinstance(self.plan, _core.DevicePlan) and isinstance(other.plan, _core.DevicePlan):
            self.plan.share_memory(other.plan)

    def slab(self, part: Part) -> _core.ProjectionPlan | _core.DevicePlan:
        """Return the plan of a part: made when it is used, for its tables are as large as those of the whole."""
        if not isinstance(self.plan, _core.ProjectionPlan | _core.DevicePlan):
            raise AssertionError("only single-axis plans are cut")
        return self.plan.slab(part.first, part.last)

    def invert_columns(self, sums: Float32, on: Any) -> None:
        """Set column sums of A to their inverse, 0 where less than half a ray meets a voxel."""
        _core.divide_step(self.unit, sums, on)
        _core.invert_step(sums, on)
        _core.divide_step(self.unit, sums, on)

    def project(
        self,
        volume: Field,
        out: Field,
        threads: int,
        cancel: _core.CancelToken | None,
        space: Float32 | None = None,
    ) -> None:
        """Set ``out`` to the projections of ``volume``, whose slabs are read into ``space``."""
        if len(self.parts) == 1:
            whole = self.parts[0]
            images = out.layers(0, out.shape[0])
            self.plan.project(whole.rows_of(volume), images, threads, cancel)
            out.put_layers(0, images)
            return
        self.clear(out)
        for part in self.parts:
            self.add_projections(part, part.rows_of(volume, space), out, threads, cancel)

    @staticmethod
    def clear(images: Field) -> None:
        """Set all images to 0, for :meth:`add_projections`."""
        zero = fresh((1, *images.shape[1:]))
        for layer in range(images.shape[0]):
            images.put_layers(layer, zero)

    def add_projections(
        self, part: Part, rows: Float32, out: Field, threads: int, cancel: _core.CancelToken | None
    ) -> None:
        """Add the projections of a slab, ``rows``, to ``out``: of all slabs, in order, they are those of the volume."""
        plan = self.slab(part)
        window = _window(plan)
        images = out.window(window)
        plan.project(rows, images, threads, cancel, True)
        out.put_window(window, images)

    def backproject(
        self, part: Part, stack: Field, out: Float32, threads: int, cancel: _core.CancelToken | None
    ) -> None:
        """Set ``out``, a slab, to the back-projection of ``stack`` there."""
        if len(self.parts) == 1:
            self.plan.backproject(stack.layers(0, stack.shape[0]), out, threads, cancel)
            return
        plan = self.slab(part)
        plan.backproject(stack.window(_window(plan)), out, threads, cancel)

    def scratch(self) -> Float32:
        """Return an array for the largest slab; :meth:`Part.cut_from` cuts it for the others."""
        whole = self.parts[0].shape
        if self._cut.steps is None:
            return fresh(whole)
        return self.parts[0].rows_of(self._cut.volume(whole))

    def piece_space(self) -> Float32 | None:
        """Return an array for some layers of a slab (:meth:`Part.pieces`); None where the only slab is the volume."""
        nz, rows, nx = self.parts[0].shape
        return fresh((-(-nz // PIECES), rows, nx)) if len(self.parts) > 1 else None

    def space(self) -> Float32 | None:
        """Return an array that slabs of a volume are read into; None where the only slab is the volume itself."""
        return self.scratch() if len(self.parts) > 1 else None


def _window(plan: _core.ProjectionPlan | _core.DevicePlan) -> Window:
    top, bottom, left, right = plan.window
    return top, bottom, left, right
