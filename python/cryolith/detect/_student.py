# SPDX-License-Identifier: BSD-3-Clause
"""How much wider an interval has to be where few numbers say how they scatter."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ._inputs import Float64

__all__ = ["student"]

# 0.975 quantiles of Student's t over 1.96, by degrees of freedom: 1.96 of the widened sigmas then hold 95 %.
_NORMAL = 1.959964
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


def student(freedom: npt.ArrayLike) -> Float64:
    """Return by how much a standard deviation of so many degrees of freedom is to be widened; infinite below 1.

    Between whole numbers linear in 1 / freedom, which is up to 2 % too wide between 2 and 3, 19 % between 1 and 2.
    """
    inverse = 1 / np.maximum(np.asarray(freedom, np.float64), 1e-9)
    known = 1 / np.arange(len(_STUDENT), 0, -1.0)
    table = np.interp(inverse, known, np.array(_STUDENT[::-1]) / _NORMAL)
    # Above 10 the quantile is its expansion in 1 / freedom (Abramowitz & Stegun, 26.7.5), right to 1e-4.
    x = _NORMAL
    first, second = (x**2 + 1) / 4, (5 * x**4 + 16 * x**2 + 3) / 96
    third = (3 * x**6 + 19 * x**4 + 17 * x**2 - 15) / 384
    series = 1 + inverse * (first + inverse * (second + inverse * third))
    out: Float64 = np.where(inverse < known[0], series, table)
    out[inverse > 1] = np.inf
    return out
