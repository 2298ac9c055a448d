# SPDX-License-Identifier: BSD-3-Clause
"""Binned images of a series, made when they are looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._arrays import let_go
from .._fields import fresh, side_by_side
from ..errors import InputError
from .inputs import Float32

__all__ = ["BinnedImages"]


class BinnedImages:
    """Chosen images as float32, averaged over ``binning`` x ``binning`` pixels, made when they are indexed.

    Pixels left over at the end of rows and columns are dropped. A NaN makes its bin NaN.
    """

    dtype = np.dtype(np.float32)
    ndim = 3

    def __init__(
        self, source: npt.NDArray[Any], index: npt.NDArray[np.int64], binning: int
    ) -> None:
        height, width = (n // binning for n in source.shape[1:])
        if not (height and width):
            raise InputError(f"binning: found {binning}, expected at most {min(source.shape[1:])}")
        self._source, self._index, self._binning = source, index, binning
        self.shape = (len(index), height, width)

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, key: Any) -> Float32:
        index = np.atleast_1d(self._index[key])
        out = fresh((len(index), *self.shape[1:]))

        def read(some: range) -> None:
            for k in some:
                self._read(int(index[k]), out[k])

        side_by_side(read, len(index), out.nbytes)
        return out if np.ndim(self._index[key]) else out[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self[:].astype(self.dtype if dtype is None else dtype, copy=False)

    def _read(self, i: int, out: Float32) -> None:
        b, (_, height, width) = self._binning, self.shape
        source = self._source[i][: height * b, : width * b]
        if b > 1:
            image = fresh((1, *source.shape))
            image[0] = source
            image.reshape(height, b, width, b).mean((1, 3), out=out)
        else:
            out[:] = source
        let_go(self._source)
