# SPDX-License-Identifier: BSD-3-Clause
"""Objects of one moment, who is near whom, and the chances of chi-squared."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ._inputs import Float64

__all__ = [
    "Moment",
    "TableLike",
    "as_moments",
    "chance_above",
    "height_of",
    "near_pairs",
    "scatter_of",
]

Int64 = npt.NDArray[np.int64]
TableLike = Mapping[str, npt.ArrayLike]


def chance_above(chi2: float, dof: int) -> float:
    """Return the chance of a chi-squared beyond ``chi2``: finite sums (Abramowitz & Stegun 1964, 26.4.4, 26.4.5)."""
    if dof < 1:
        return math.nan
    half = max(chi2, 0.0) / 2
    if dof % 2 == 0:
        term, total = math.exp(-half), math.exp(-half)
        for i in range(1, dof // 2):
            term *= half / i
            total += term
        return min(1.0, total)
    total, term = math.erfc(math.sqrt(half)), math.exp(-half) * math.sqrt(half / math.pi) * 2
    for i in range(1, (dof - 1) // 2 + 1):
        total += term
        term *= half / (i + 0.5)
    return min(1.0, total)


def height_of(chance: float, dof: int) -> float:
    """Return the chi-squared that is exceeded with this chance, to 1e-9."""
    low, high = 0.0, 1000.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if chance_above(middle, dof) > chance else (low, middle)
    return high


def scatter_of(squares: Float64, known: Float64, scale: Float64) -> float:
    """Return v, 0 or more, for which squares / (known + v scale) are like chi-squared of 1 degree of freedom.

    Their mean, what lies beyond 9 counted as 9, is then 0.9950: as good as a variance, and the few wrong pairs among
    many right ones count for little.
    """

    def excess(v: float) -> float:
        return float(np.minimum(squares / (known + v * scale), 9.0).mean()) - 0.99502

    if not len(squares) or excess(0.0) <= 0:
        return 0.0
    low, high = 0.0, float((squares / scale).max()) + 1e-300
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return high


@dataclass(frozen=True)
class Moment:
    """Objects of one frame, in the order of their places: who links to whom must not depend on the order of rows."""

    place: Float64  # (n, 3)
    variance: Float64  # (n, 3)
    size: Float64  # (n,), NaN where there is none
    size_variance: Float64  # (n,)
    row: Int64  # (n,) of the table

    def __len__(self) -> int:
        return len(self.row)

    def only(self, index: Int64) -> Moment:
        """Return some of them."""
        size, error, row = self.size[index], self.size_variance[index], self.row[index]
        return Moment(self.place[index], self.variance[index], size, error, row)


def as_moments(
    frames: Any, size: str | None, sigma: float | None
) -> tuple[list[Moment], str, str | None]:
    """Return the objects of each table, the unit of lengths, and the name of the column of sizes, if any."""
    tables: list[TableLike] = list(frames)
    if not tables or not all(isinstance(t, Mapping) for t in tables):
        raise InputError("frames: found no list of tables, expected one dict of columns per frame")
    filled = [t for t in tables if t and len(np.atleast_1d(next(iter(t.values()))))]
    unit = "nm" if all("z_nm" in t for t in filled) else "px"
    column = None
    if size is not None:
        names = [f"{size}_{unit}3", f"{size}_{unit}", size]
        column = next((n for n in names if filled and all(n in t for t in filled)), None)
    if size not in (None, "volume") and filled and column is None:
        raise InputError(f"size: found {size!r}, expected a column that all tables have")
    if sigma is not None and not (math.isfinite(sigma) and sigma > 0):
        raise InputError(f"sigma: found {sigma}, expected a length above 0")
    moments = [_moment(t, i, unit, column, sigma) for i, t in enumerate(tables)]
    return moments, unit, column


def _moment(table: TableLike, i: int, unit: str, column: str | None, sigma: float | None) -> Moment:
    names = [f"{axis}_{unit}" for axis in "zyx"]
    if not table or not len(np.atleast_1d(next(iter(table.values())))):
        none = np.zeros(0)
        return Moment(np.zeros((0, 3)), np.zeros((0, 3)), none, none, np.zeros(0, np.int64))
    place = np.stack([_column(table, n, i) for n in names], axis=1)
    spread = []
    for name in names:
        if f"sigma_{name}" in table:
            spread.append(_column(table, f"sigma_{name}", i))
        elif sigma is not None:
            spread.append(np.full(len(place), sigma))
        else:
            raise InputError(
                f"frames: found no column sigma_{name} in table {i}, expected errors of places; give sigma="
            )
    variance = np.stack(spread, axis=1) ** 2
    if not (np.isfinite(place).all() and np.isfinite(variance).all() and (variance > 0).all()):
        raise InputError(
            f"frames: found places or errors in table {i} that are no finite numbers (errors above 0), "
            "expected them; leave such rows out"
        )
    amount = np.full(len(place), np.nan) if column is None else _column(table, column, i)
    error = amount * np.nan
    if column is not None and f"sigma_{column}" in table:
        error = _column(table, f"sigma_{column}", i) ** 2
    order = np.lexsort((amount, place[:, 2], place[:, 1], place[:, 0]))
    return Moment(place[order], variance[order], amount[order], error[order], order)


def _column(table: TableLike, name: str, i: int) -> Float64:
    if name not in table:
        raise InputError(f"frames: found no column {name} in table {i}, expected one")
    values = np.asarray(table[name])
    count = len(np.atleast_1d(next(iter(table.values()))))
    if values.dtype.kind not in "biuf" or values.shape != (count,):
        raise InputError(
            f"frames: found {values.dtype} {values.shape} for {name} in table {i}, expected ({count},) real numbers"
        )
    return values.astype(np.float64)


def near_pairs(a: Float64, b: Float64, radius: float) -> tuple[Int64, Int64]:
    """Return the pairs of points of ``a`` and ``b`` (n, 3) within ``radius``, in order: a grid of cells that wide."""
    none = np.zeros(0, np.int64)
    if not len(a) or not len(b):
        return none, none
    origin = np.minimum(a.min(axis=0), b.min(axis=0)) - radius
    span = np.maximum(a.max(axis=0), b.max(axis=0)) - origin
    edge = max(radius, float(span.max()) / 2**19)  # cells are numbered in 60 bits
    cells_a, cells_b = (np.floor((p - origin) / edge).astype(np.int64) for p in (a, b))
    step = np.array([1 << 40, 1 << 20, 1])
    codes = cells_b @ step
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    first, second = [none], [none]
    for offset in itertools.product((-1, 0, 1), repeat=2):
        # Cells along the last axis have consecutive numbers: three of them are one stretch.
        wanted = (cells_a + np.array([*offset, 0])) @ step
        begin = np.searchsorted(ordered, wanted - 1, "left")
        count = np.searchsorted(ordered, wanted + 1, "right") - begin
        rows = np.repeat(np.arange(len(a)), count)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
        columns = order[np.repeat(begin, count) + within]
        close = ((a[rows] - b[columns]) ** 2).sum(axis=1) <= radius**2
        first.append(rows[close])
        second.append(columns[close])
    rows, columns = np.concatenate(first), np.concatenate(second)
    sort = np.lexsort((columns, rows))
    return rows[sort], columns[sort]
