# SPDX-License-Identifier: BSD-3-Clause
"""Checks that the adapters share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError

__all__ = ["Array", "Float64", "as_view"]

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]


def as_view(array: npt.ArrayLike, name: str, *axes: tuple[str, ...]) -> Array:
    """Return ``array`` as it is, if its number of axes is that of one of ``axes``."""
    a = np.asarray(array)
    if a.ndim not in {len(names) for names in axes}:
        orders = " or ".join(f"({', '.join(names)})" for names in axes)
        raise InputError(f"{name}: found shape {a.shape}, expected {orders}")
    return a
