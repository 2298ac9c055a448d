# SPDX-License-Identifier: BSD-3-Clause
"""An image stack that is decoded only where it is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["OffsetStack"]


class OffsetStack:
    """uint16 counts that were stored as int16 minus 32768; decoded where they are indexed.

    It has what a tilt series needs of an array: ``shape``, ``dtype``, ``ndim``, ``len``, indexing,
    iteration and ``np.asarray``. It never writes to the file.

    Parameters
    ----------
    stored : (n_tilts, ny, nx) int16 of any byte order
        Usually a read-only memory map.
    """

    dtype = np.dtype(np.uint16)

    def __init__(self, stored: npt.NDArray[np.int16]) -> None:
        self.stored = stored

    @property
    def shape(self) -> tuple[int, ...]:
        """Axes as stored."""
        return self.stored.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.stored.ndim

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.stored.size

    @property
    def nbytes(self) -> int:
        """Bytes of the whole stack, decoded."""
        return self.stored.nbytes

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, key: Any) -> Any:
        part = np.asarray(self.stored[key])
        # In two's complement, adding 32768 and reading as unsigned is flipping the highest bit.
        return np.bitwise_xor(part.astype("=i2", copy=False).view(np.uint16), np.uint16(0x8000))

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("OffsetStack is decoded when read; it cannot be shared without a copy")
        whole = np.empty(self.shape, self.dtype if dtype is None else dtype)
        for i in range(len(self)):  # image by image: little extra memory, and Ctrl-C gets through
            whole[i] = self[i]
        return whole

    def __repr__(self) -> str:
        return f"OffsetStack(shape={self.shape}, dtype=uint16, stored=int16 - 32768)"
