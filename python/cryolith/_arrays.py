# SPDX-License-Identifier: BSD-3-Clause
"""The gate between a user's arrays and the core: converted once, visibly, never written into."""

from __future__ import annotations

import logging
import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InputError

__all__ = ["as_angles", "as_core", "as_output", "let_go"]

_log = logging.getLogger("cryolith")


def as_core(
    array: npt.ArrayLike,
    name: str,
    axes: Sequence[str],
    dtype: npt.DTypeLike = np.float32,
) -> npt.NDArray[Any]:
    """Return ``array`` C-contiguous, aligned and of ``dtype``; copy only when it is not.

    Parameters
    ----------
    array : array_like
        Real numbers (bool, integer or floating) of any byte order, stride or writeability.
    name : str
        What to call it in an error.
    axes : sequence of str
        The names of the expected axes, slowest first, for example ``("n_tilts", "ny", "nx")``.
    dtype : dtype, default float32
        What the core computes with.

    Raises
    ------
    InputError
        Complex, object, text, structured or masked values; wrong number of axes; an empty axis;
        finite values that ``dtype`` cannot hold.
    """
    if isinstance(array, np.ma.MaskedArray):  # asarray would use what lies under the mask
        raise InputError(f"{name}: found a mask, expected a plain array; use .filled(numpy.nan)")
    try:
        a = np.asarray(array)
    except ValueError as error:  # rows of different lengths
        raise InputError(f"{name}: found no array ({error}), expected real numbers") from None
    if a.dtype.kind not in "biuf":
        raise InputError(f"{name}: found dtype {a.dtype}, expected real numbers; convert it first")
    if a.ndim != len(axes):
        raise InputError(
            f"{name}: found shape {a.shape}, expected {len(axes)} axes ({', '.join(axes)})"
        )
    if 0 in a.shape:
        raise InputError(f"{name}: found shape {a.shape}, expected at least one element per axis")
    try:
        with np.errstate(over="raise"):
            out = np.require(a, dtype=dtype, requirements=["C", "A"])
    except FloatingPointError:
        largest = np.finfo(dtype).max
        raise InputError(
            f"{name}: found values too large for {np.dtype(dtype)}, expected at most {largest:.3g}"
        ) from None
    if out is not a and out.nbytes > 2**26:
        _log.info("%s: %s %s copied to %s", name, a.dtype, a.shape, out.dtype)
    return out


def as_angles(
    angles: npt.ArrayLike, name: str, count: int | None = None
) -> npt.NDArray[np.float64]:
    """Return angles [deg] as (n,) float64; refuse non-finite ones and a wrong count."""
    out: npt.NDArray[np.float64] = as_core(angles, name, ("n_tilts",), np.float64)
    bad = np.flatnonzero(~np.isfinite(out))
    if bad.size:
        raise InputError(f"{name}: found {out[bad[0]]} at index {bad[0]}, expected finite degrees")
    if count is not None and len(out) != count:
        raise InputError(f"{name}: found {len(out)} angles, expected {count}, one per image")
    return out


def as_output(
    out: npt.NDArray[Any] | None, shape: tuple[int, ...], name: str = "out"
) -> npt.NDArray[np.float32]:
    """Return a zeroed float32 array of ``shape``, or check the one the caller brings."""
    if out is None:
        return np.zeros(shape, np.float32)
    good = (
        isinstance(out, np.ndarray)
        and out.dtype == np.float32
        and out.dtype.isnative
        and out.shape == shape
        and out.flags.c_contiguous
        and out.flags.aligned
        and out.flags.writeable
    )
    if not good:
        found = f"{getattr(out, 'dtype', type(out))} {getattr(out, 'shape', '')}"
        raise InputError(f"{name}: found {found}, expected writeable C-order float32 {shape}")
    return out


def let_go(array: Any) -> None:
    """Stop counting a memory-mapped file as this process's memory; it is read again when it is looked at.

    Arrays that are no map of a file shared with others, or that wrap one in a way unknown here, stay as they are.
    """
    base = getattr(array, "stored", array)  # what a lazily decoded stack reads from
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    # A private map that was written to would lose it: only what is read-only.
    readonly = isinstance(base, mmap.mmap) and memoryview(base).readonly
    if readonly and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
