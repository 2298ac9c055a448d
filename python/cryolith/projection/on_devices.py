# SPDX-License-Identifier: BSD-3-Clause
"""The projector pair on other devices than the CPU: which, and in what parts arrays go through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .. import _core
from .._device_arrays import DeviceArray
from ..errors import InputError
from .detector import DetectorPlan

__all__ = ["Devices", "Pair", "SlabPlan", "checked_limit", "device_of", "pair_on", "there"]

Devices = str | Sequence[str] | None
Pair = _core.ProjectionPlan | _core.FreePlan | DetectorPlan


@dataclass(frozen=True, kw_only=True)
class SlabPlan:
    """How arrays in the host's memory go through devices, in slabs of the volume's rows.

    Attributes
    ----------
    rows : int
        Volume rows of a slab; the last may have fewer.
    slabs : int
    at_once : int
        Slabs that each device holds: two where copies pass while kernels run.
    device_bytes : int
        Memory taken on each device.
    pinned_bytes : int
        Memory of the host that is locked for each device meanwhile.
    """

    rows: int
    slabs: int
    at_once: int
    device_bytes: int
    pinned_bytes: int

    @classmethod
    def of(cls, cut: _core.SlabCut) -> SlabPlan:
        """Return what the core says."""
        return cls(
            rows=cut.rows,
            slabs=cut.slabs,
            at_once=cut.slots,
            device_bytes=cut.device_bytes,
            pinned_bytes=cut.pinned_bytes,
        )


def device_of(device: Devices, *arrays: object) -> list[str]:
    """Return the names of the devices that are asked for or, where none is, that arrays lie on; ["cpu"] else."""
    lies_on = {a.device for a in arrays if isinstance(a, DeviceArray)}
    if device is None:
        names = sorted(lies_on) or ["cpu"]
    elif isinstance(device, str):
        names = [name.strip() for name in device.split(",")]
    else:
        names = [str(name) for name in device]
    if not lies_on:
        return names
    if len(names) != 1 or names[0] == "cpu" or {_core.device_name(names[0])} != lies_on:
        raise InputError(
            f"device: found {', '.join(names)} for arrays on {', '.join(sorted(lies_on))}, expected the one that they "
            "all lie on, or none; use .numpy() or cryolith.to_device"
        )
    return names


def pair_on(names: list[str], plan: Pair, max_memory: int | None) -> Pair | _core.DevicePlan:
    """Return the pair on devices; others than the CPU take the fast path only."""
    limit = checked_limit(names, max_memory)
    if names == ["cpu"]:
        return plan
    if not isinstance(plan, _core.ProjectionPlan):
        raise InputError(
            f"device: found {', '.join(names)!r} for views at free poses, voxels of another size than pixels, or local "
            "shifts, expected 'cpu': other devices take single-axis geometries only"
        )
    return _core.DevicePlan(plan, names, limit)


def checked_limit(names: list[str], max_memory: int | None) -> int:
    """Return the limit to the memory of devices, 0 for what is free, or refuse it."""
    if max_memory is not None and max_memory < 1:
        raise InputError(f"max_memory: found {max_memory} bytes, expected at least 1")
    if max_memory is not None and names == ["cpu"]:
        raise InputError(
            "max_memory: found one for the CPU, expected one for other devices only: what of the host's memory is "
            "taken, the reconstruct functions are told by cut (cryolith.reconstruct.plan)"
        )
    return max_memory or 0


def there(array: object, name: str, other: DeviceArray, shape: tuple[int, ...]) -> DeviceArray:
    """Return an array for results on the device of another, or check the one that the caller brings."""
    if array is None:
        return DeviceArray(_core.empty_on(other.device, list(shape)))
    if not isinstance(array, DeviceArray) or array.shape != shape or array.dtype != "f4":
        found = f"{getattr(array, 'dtype', type(array))} {getattr(array, 'shape', '')}"
        raise InputError(
            f"{name}: found {found}, expected a float32 DeviceArray {shape} on {other.device}"
        )
    return array
