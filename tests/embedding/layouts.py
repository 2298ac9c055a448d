# SPDX-License-Identifier: BSD-3-Clause
"""The ways in which the same three-axis array may lie in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def unaligned(a: Array) -> Array:
    raw = np.zeros(a.nbytes + 1, np.uint8)[1:]
    out = raw.view(a.dtype) if a.dtype.itemsize == 1 else np.frombuffer(raw.data, a.dtype)
    out = out.reshape(a.shape)
    out[...] = a
    return out


def read_only(a: Array) -> Array:
    out = a.copy()
    out.flags.writeable = False
    return out


def record_field(a: Array) -> Array:
    out = np.zeros(a.shape, np.dtype([("pad", "u1"), ("value", a.dtype)]))["value"]
    out[...] = a
    return out


def padded(a: Array) -> Array:
    out = np.zeros(tuple(2 * n + 1 for n in a.shape), a.dtype)[
        tuple(slice(1, None, 2) for _ in a.shape)
    ]
    out[...] = a
    return out


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": lambda a: a.copy(order="C"),
    "Fortran": lambda a: a.copy(order="F"),
    "every second": padded,
    "backwards": lambda a: a[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
    "transposed": lambda a: a.transpose(2, 0, 1).copy().transpose(1, 2, 0),
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder()),
    "read-only": read_only,
    "unaligned": unaligned,
    "a field of records": record_field,
    "zero stride": lambda a: np.broadcast_to(a[:1, :1, :1], a.shape),
    "a memory view": lambda a: np.asarray(memoryview(a.copy())),
}
