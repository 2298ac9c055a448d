# SPDX-License-Identifier: BSD-3-Clause
"""Fields in the memory of a device: solvers work on them in the same words as on arrays in memory."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt

from .. import _core
from .._devices import devices
from .._fields import Shape3, Window
from ..errors import InputError
from ..projection import Geometry
from ..projection.detector import reduced
from .inputs import Float32

__all__ = ["DeviceField", "chosen_device", "largest_of", "steps_on"]


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


def largest_of(part: Float32) -> float:
    """Return the largest element of what a field handed out."""
    held: object = part
    here = held.numpy() if isinstance(held, _core.DeviceTensor) else part
    return float(here.max())


def steps_on(device: str) -> _core.DeviceSteps | None:
    """Return what runs the steps of solvers on a device; None for the CPU."""
    return None if device == "cpu" else _core.DeviceSteps(device)


def chosen_device(
    device: str, geometry: Geometry, image_shape: tuple[int, int], among: Geometry
) -> str:
    """Return the device for ``auto``: a card where one is usable and takes these views, else the CPU.

    Any other name is returned as it is, unless it is not the CPU and does not take these views.
    """
    detector, _, _ = reduced(geometry, image_shape, among)
    plain = detector is None and among.local is None and bool((among.weights() == 1.0).all())
    takes = plain and not among.crosses_y
    if device == "auto":
        cards = [d.name for d in devices() if d.usable and d.name.startswith("cuda")]
        return cards[0] if cards and takes else "cpu"
    if device != "cpu" and not takes:
        raise InputError(
            f"device: found {device!r} for views at free poses, voxels of another size than pixels, or local shifts, "
            "expected 'cpu' or 'auto': other devices take single-axis geometries only"
        )
    return device
