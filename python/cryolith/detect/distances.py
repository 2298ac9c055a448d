# SPDX-License-Identifier: BSD-3-Clause
"""Exact Euclidean distance in masks and label volumes, at once or in slabs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core, as_output
from ..errors import Cancelled, InputError
from ._inputs import AXES, Float32, Mask
from ._spacing import Spacing, as_spacing

__all__ = ["DistanceSlabs", "depth_of", "distance"]

_LONGEST = 65534  # distances along an axis are counted in 16 bits


def distance(
    labels: npt.ArrayLike,
    *,
    spacing: Spacing = None,
    signed: bool = False,
    border: bool = False,
    out: Float32 | None = None,
    device: str = "cpu",
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float32:
    """Measure how far each voxel is from the nearest voxel with another label.

    Parameters
    ----------
    labels : (nz, ny, nx) bool or integer
        A mask (bool; foreground is one label) or labels; 0 or False is background.
    spacing : float, three floats or Volume, optional
        Edges of a voxel along z, y, x in any unit; a Volume gives them in nm. Default 1: distances in px.
    signed : bool, default False
        Background gets minus its distance to the nearest labelled voxel in place of 0.
    border : bool, default False
        What lies outside of the volume is background, beginning one voxel behind the last. By default
        it holds nothing that a voxel could be near to.
    out : (nz, ny, nx) float32, optional
        Where to write: memory that has been used before saves its first touch, which takes as long as the rest.
    device : str, default "cpu"
        "cuda" or "cuda:1" for a GPU, "emulated" for its code on the CPU, slowly, with every access checked
        (:func:`cryolith.devices`): the same bytes. The volume has to fit into the device's memory as a whole.
    threads : int, default 0
        0 uses all processors the process may use. The result does not depend on it.
    cancel : CancelToken, optional
        Stops the work from another thread; on a device other than the CPU before it begins.

    Returns
    -------
    (nz, ny, nx) float32
        From centre to centre, in the unit of ``spacing``; 1 (and -1 if signed) for voxels that share a face
        with another label, so the boundary itself lies half a voxel nearer. Infinity where there is no other label.

    Raises
    ------
    InputError
        Fractional or complex values, labels beyond 32 bits, not three axes, more than 65534 voxels along one of
        them, lengths that are none, an ``out`` of another form.
    DeviceError
        There is no such device, or it failed its self-test or this call.

    Notes
    -----
    Where the squares of the edges' ratios are whole numbers, squared distances are exact (below 2^24 of the smallest
    edge's square) and the result is their float32 root. Else it is within 2.5e-7 of the distance.

    References
    ----------
    Felzenszwalb & Huttenlocher, Theory of Computing 8 (2012) 415, eq. 3: one axis after the other,
    D(p) = min over q of (p - q)^2 + f(q); here by search that skips blocks which cannot hold the minimum
    (design/020-distance.md).
    """
    values = _as_values(labels)
    result = _output(out, values.shape)
    edges = as_spacing(spacing)
    if device == "cpu":
        _core.distance(values, edges, border, signed, result, threads, cancel)
        return result
    if cancel is not None and cancel.cancelled:
        raise Cancelled("cancelled before the distances were begun")
    _core.device_distance(values, edges, border, signed, result, device)
    return result


def depth_of(
    phase: Mask,
    edges: tuple[float, float, float],
    border: bool,
    threads: int,
    cancel: _core.CancelToken | None,
) -> Float32:
    """Measure the distances inside of a phase for what cannot do with infinite ones."""
    if phase.all() and not border:
        raise InputError(
            "mask: found no background voxel, expected one to measure from; "
            "crop less tightly, or say border=True"
        )
    return distance(phase, spacing=edges, border=border, threads=threads, cancel=cancel)


class DistanceSlabs:
    """:func:`distance` of a volume that is larger than memory: scan all slabs in any order, then finish each.

    A slab is a run of slices that begins at a multiple of 16 and ends at one or at the end of the volume. Between
    the two passes 0.25 bytes are kept for each voxel of a mask, 0.75 for each voxel of labels.

    Parameters
    ----------
    shape : (nz, ny, nx)
        Of the whole volume.
    mask : bool, default True
        Whether slabs are masks (bool) or labels (integers).
    spacing, signed, border
        As for :func:`distance`; the results are the same to the byte.

    Examples
    --------
    >>> import numpy as np
    >>> from cryolith import detect
    >>> mask = np.ones((40, 8, 8), bool)
    >>> mask[20, 4, 4] = False
    >>> slabs = detect.DistanceSlabs(mask.shape)
    >>> for first in (0, 32):
    ...     slabs.scan(first, mask[first : first + 32])
    >>> parts = [slabs.finish(first, mask[first : first + 32]) for first in (0, 32)]
    >>> bool((np.concatenate(parts) == detect.distance(mask)).all())
    True
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        mask: bool = True,
        spacing: Spacing = None,
        signed: bool = False,
        border: bool = False,
    ) -> None:
        _check_extents(tuple(shape), "shape")
        self._mask = mask
        kind = _core.MaskDistanceSlabs if mask else _core.LabelDistanceSlabs
        self._slabs = kind(tuple(shape), as_spacing(spacing), border, signed)

    def scan(
        self,
        first: int,
        slab: npt.ArrayLike,
        *,
        threads: int = 0,
        cancel: _core.CancelToken | None = None,
    ) -> None:
        """Take note of the slab that begins with slice ``first``; each slab once."""
        self._slabs.scan(first, self._values(slab), threads, cancel)

    def finish(
        self,
        first: int,
        slab: npt.ArrayLike,
        *,
        out: Float32 | None = None,
        threads: int = 0,
        cancel: _core.CancelToken | None = None,
    ) -> Float32:
        """Return the distances of a slab, after all were scanned."""
        values = self._values(slab)
        result = _output(out, values.shape)
        self._slabs.finish(first, values, result, threads, cancel)
        return result

    def _values(self, slab: npt.ArrayLike) -> npt.NDArray[Any]:
        values = np.asarray(slab)
        if (values.dtype == np.bool_) != self._mask:
            expected = (
                "bool, as mask=True was given"
                if self._mask
                else "integers, as mask=False was given"
            )
            raise InputError(f"slab: found dtype {values.dtype}, expected {expected}")
        return _as_values(values, "slab")


def _as_values(labels: npt.ArrayLike, name: str = "labels") -> npt.NDArray[Any]:
    """Return uint8 for masks and int32 for labels, as the core takes them."""
    a = np.asarray(labels)
    if a.dtype.kind not in "biu":
        raise InputError(
            f"{name}: found dtype {a.dtype}, expected bool or integers; "
            "compare the values with a threshold first"
        )
    if a.dtype.kind != "b" and a.size and np.iinfo(a.dtype).bits >= 32 and a.dtype != np.int32:
        low, high = int(a.min()), int(a.max())
        if low < -(2**31) or high >= 2**31:
            raise InputError(f"{name}: found labels from {low} to {high}, expected 32-bit integers")
    values = as_core(a, name, AXES, np.bool_ if a.dtype.kind == "b" else np.int32)
    _check_extents(values.shape, name)
    return values.view(np.uint8) if values.dtype == np.bool_ else values


def _check_extents(shape: tuple[int, ...], name: str) -> None:
    if len(shape) != 3 or not all(0 < n <= _LONGEST for n in shape):
        raise InputError(f"{name}: found {shape}, expected three axes of 1 to {_LONGEST} voxels")


def _output(out: Float32 | None, shape: tuple[int, ...]) -> Float32:
    """Check what the caller brings, or make it; without zeros, as the core writes every voxel."""
    return np.empty(shape, np.float32) if out is None else as_output(out, shape)
