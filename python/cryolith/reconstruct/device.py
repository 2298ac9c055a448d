# SPDX-License-Identifier: BSD-3-Clause
"""Devices of a reconstruction, and fields in the memory of one: solvers work on them as on arrays in memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from .. import _core
from .._devices import devices
from .._fields import Shape3, Window
from ..errors import InputError
from ..projection import Geometry
from ..projection.detector import reduced
from ..projection.on_devices import Devices as Names
from ..projection.on_devices import SlabPlan, checked_limit, device_of
from .inputs import Float32

__all__ = [
    "CPU",
    "Arrays",
    "DeviceField",
    "Devices",
    "chosen_devices",
    "held",
    "largest_of",
    "on_host",
    "require_devices",
]

# For sums of groups of rows, at most 256 (steps_cuda.cuh), and for what is as small: values in gaps, for instance.
SUMS = 1 << 14


class DeviceField:
    """A field on a device, handed out whole.

    What :meth:`window` and :meth:`layers` return is a :class:`_core.DeviceTensor`, which the steps and the projector
    pair take in place of an array; for the type checker it passes as one.

    Parameters
    ----------
    array : _core.DeviceTensor
    steps : _core.DeviceSteps
        Of its device.
    source : array, optional
        What it was made from and still equals.
    """

    def __init__(
        self, array: _core.DeviceTensor, steps: _core.DeviceSteps, source: Float32 | None = None
    ) -> None:
        self._array, self._steps, self._source = array, steps, source

    @classmethod
    def of(cls, array: Float32, steps: _core.DeviceSteps) -> DeviceField:
        """Return a copy of an array that nobody changes."""
        there = _core.to_device(np.ascontiguousarray(array, np.float32), steps.device)
        return cls(there, steps, array)

    @classmethod
    def zeros(cls, shape: Shape3, steps: _core.DeviceSteps) -> DeviceField:
        """Return a field of zeros."""
        there = steps.empty(shape)
        _core.fill_step(0.0, there, steps)
        return cls(there, steps)

    @property
    def shape(self) -> Shape3:
        """(layers, rows, columns)."""
        layers, rows, columns = self._array.shape
        return layers, rows, columns

    def window(self, window: Window, into: Float32 | None = None) -> Float32:
        """Return the array itself: all rows and columns."""
        _, rows, columns = self.shape
        if window != (0, rows, 0, columns):
            raise AssertionError("a field on a device is handed out whole")
        return cast(Float32, self._array)

    def piece(self, first: int, window: Window, into: Float32) -> Float32:
        """Never asked for: a field on a device is handed out whole."""
        raise AssertionError("a field on a device is handed out whole")

    def put_window(self, window: Window, part: Float32) -> None:
        """Do nothing: what was handed out is the array itself."""

    def layers(self, first: int, last: int) -> Float32:
        """Return the array itself: all layers."""
        if (first, last) != (0, self.shape[0]):
            raise AssertionError("a field on a device is handed out whole")
        return cast(Float32, self._array)

    def put_layers(self, first: int, part: Float32) -> None:
        """Do nothing: what was handed out is the array itself."""

    def whole(self) -> Float32:
        """Return a copy in the host's memory."""
        return cast(Float32, self._array.numpy())

    def read_into(self, out: Float32) -> None:
        """Copy it into an array in the host's memory."""
        _core.read_into(self._array, out)

    def fill(self, array: Float32) -> None:
        """Set it to an array in the host's memory."""
        there = _core.to_device(np.ascontiguousarray(array, np.float32), self._steps.device)
        _core.copy_step(there, self._array, self._steps)

    def chosen(self, index: npt.NDArray[np.int64]) -> DeviceField:
        """Return some of the layers of a field that was made from an array."""
        if self._source is None:
            raise AssertionError("only fields made from an array are divided")
        return DeviceField.of(self._source[index], self._steps)

    def take(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return the elements at some flat indices."""
        found = self._steps.empty((1, 1, len(places)))
        _core.take_step(self._there(places), self._array, found, self._steps)
        return cast(Float32, found.numpy()).reshape(-1).astype(np.float64)

    def put(self, places: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> None:
        """Set the elements at some flat indices, all different."""
        there = _core.to_device(values.astype(np.float32).reshape(1, 1, -1), self._steps.device)
        _core.put_step(self._there(places), there, self._array, self._steps)

    def _there(self, places: npt.NDArray[np.int64]) -> _core.DeviceTensor:
        return _core.to_device(places, self._steps.device)


def on_host(part: Float32) -> Float32:
    """Return what a field handed out as an array in the host's memory."""
    held: object = part
    return cast(Float32, held.numpy()) if isinstance(held, _core.DeviceTensor) else part


def largest_of(part: Float32) -> float:
    """Return the largest element of what a field handed out."""
    return float(on_host(part).max())


@dataclass(frozen=True, kw_only=True)
class Devices:
    """What a reconstruction works on.

    Attributes
    ----------
    names : tuple of str
        None of them: the CPU.
    max_memory : int [bytes]
        Of each device. 0: what is free.
    """

    names: tuple[str, ...] = ()
    max_memory: int = 0

    def pair(self, plan: _core.ProjectionPlan) -> _core.DevicePlan:
        """Return the projector pair of a plan on these devices."""
        return _core.DevicePlan(plan, list(self.names), self.max_memory)

    def plan(self, pair: _core.DevicePlan, arrays: Arrays, *, whole: bool = True) -> SlabPlan:
        """Return how the arrays of a solver lie on these devices, or go through them.

        ``pair`` is that of the largest subset. Where there is one device that holds all, and ``whole``, they are one
        slab without pinned memory.
        """
        need = arrays.bytes_there(pair)
        # A tenth is left to others, as in slabs.
        room = pair.free_bytes() // 10 * 9 + pair.table_bytes
        if self.max_memory:
            room = min(room, self.max_memory)
        if whole and len(self.names) == 1 and need <= room:
            return SlabPlan(
                rows=arrays.shape[1], slabs=1, at_once=1, device_bytes=need, pinned_bytes=0
            )
        return SlabPlan.of(pair.slabs((arrays.subsets - 1) * pair.table_bytes))


CPU = Devices()


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """What a solver works on.

    Attributes
    ----------
    images, shape : (int, int, int)
        Of the stack and of the volume.
    stacks, volumes : int
        How many of either are held at once.
    subsets : int
        Whose projector pairs take turns.
    """

    images: Shape3
    shape: Shape3
    stacks: int
    volumes: int
    subsets: int

    @classmethod
    def of(
        cls, method: str, images: Shape3, shape: Shape3, *, subsets: int = 1, more: int = 0
    ) -> Arrays:
        """Return those of a method, and ``more`` volumes."""
        stacks, volumes = held(method, subsets)
        return cls(
            images=images, shape=shape, stacks=stacks, volumes=volumes + more, subsets=subsets
        )

    def bytes_there(self, pair: _core.DevicePlan) -> int:
        """Return what a device takes that holds all of it; ``pair`` is that of the largest subset."""
        rows = max(self.images[0] * self.images[1], self.shape[0] * self.shape[1])
        arrays = 4 * (self.stacks * math.prod(self.images) + self.volumes * math.prod(self.shape))
        # Sums of rows are two numbers each.
        return arrays + self.subsets * pair.table_bytes + pair.scratch_bytes + 16 * rows + SUMS


def held(method: str, subsets: int) -> tuple[int, int]:
    """Return how many arrays of the size of the images and of the volume an iterative method holds at once."""
    split = 0 if subsets == 1 else 2  # images and weights in the subsets' order
    needs = {
        "sirt": (4 + split, 3),  # images, weights, rays, projected; volume, its weights, correction
        "cgls": (4, 3),  # images, weights, residual, projected; volume, descent, direction
        "mlem": (3 + split, 2 + subsets),  # the weights of the voxels for each subset
        "tv": (4, 8),  # volume, the one before, with momentum, gradient step, metric, dual (3)
    }
    return needs[{"sart": "sirt", "lsqr": "cgls"}.get(method, method)]


def require_devices(device: Names) -> None:
    """Refuse what names no devices, whether or not they are there."""
    names = device_of(device)
    if names not in (["cpu"], ["auto"]):
        _core.device_names(names)


def chosen_devices(
    device: Names,
    max_memory: int | None,
    geometry: Geometry,
    image_shape: tuple[int, int],
    among: Geometry,
) -> Devices:
    """Return the devices that are asked for.

    For ``auto`` that is a card, where there is one that takes these views, else the CPU.

    Refuses others than the CPU that do not take the views, and a limit to the memory of no device.
    """
    names = device_of(device)
    limit = checked_limit(names, max_memory)
    detector, _, _ = reduced(geometry, image_shape, among)
    plain = detector is None and among.local is None and bool((among.weights() == 1.0).all())
    takes = plain and not among.crosses_y
    if names == ["cpu"]:
        return CPU
    if names == ["auto"]:
        cards = [d.name for d in devices() if d.usable and d.name.startswith("cuda")]
        if not (cards and takes):
            return CPU
        names = cards[:1]
    elif not takes:
        raise InputError(
            f"device: found {', '.join(names)!r} for views at free poses, voxels of another size than pixels, or local "
            "shifts, expected 'cpu' or 'auto': other devices take single-axis geometries only"
        )
    return Devices(names=tuple(_core.device_names(names)), max_memory=limit)
