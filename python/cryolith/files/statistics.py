# SPDX-License-Identifier: BSD-3-Clause
"""Statistics of voxels in one pass: of pieces they add up to those of the whole, however it is cut."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core

__all__ = ["Statistics"]


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Of the finite values of some voxels.

    Attributes
    ----------
    low, high : float
        Infinities, ``low`` above ``high``, where no value is finite.
    count : int
    sum, squares : tuple of float
        Numbers that add up to the exact sums of the values and of their squares.
    """

    low: float = math.inf
    high: float = -math.inf
    count: int = 0
    sum: tuple[float, ...] = ()
    squares: tuple[float, ...] = ()

    @classmethod
    def of(cls, data: npt.NDArray[Any], *, threads: int = 1) -> Statistics:
        """Return those of (nz, ny, nx) values that float32 holds exactly; whole rows (x) of a volume."""
        if data.flags.c_contiguous and data.dtype == np.float32:
            low, high, count, total, squares = _core.statistics(data, threads)
            sums = {"sum": tuple(total.parts), "squares": tuple(squares.parts)}
            return cls(low=low, high=high, count=count, **sums)
        sections = (np.ascontiguousarray(section, np.float32)[None] for section in data)
        return cls.merged(cls.of(section, threads=threads) for section in sections)

    @classmethod
    def merged(cls, pieces: Iterable[Statistics]) -> Statistics:
        """Return those of all pieces together; their order does not matter."""
        low, high, count = math.inf, -math.inf, 0
        total, squares = _core.ExactSum(), _core.ExactSum()
        for piece in pieces:
            low, high, count = min(low, piece.low), max(high, piece.high), count + piece.count
            total += _core.ExactSum(piece.sum)
            squares += _core.ExactSum(piece.squares)
        return cls(
            low=low,
            high=high,
            count=count,
            sum=tuple(total.parts),
            squares=tuple(squares.parts),
        )

    @property
    def mean(self) -> float:
        """Of the values; 0 where there is none."""
        return float(self._moments()[0])

    @property
    def rms(self) -> float:
        """Deviation from the mean."""
        mean, square = self._moments()
        return math.sqrt(max(Fraction(0), square - mean * mean))

    def _moments(self) -> tuple[Fraction, Fraction]:
        # As fractions: the difference of two large numbers would lose the digits.
        count = max(1, self.count)
        return sum(map(Fraction, self.sum), Fraction(0)) / count, sum(
            map(Fraction, self.squares), Fraction(0)
        ) / count

    def to_mapping(self) -> dict[str, Any]:
        """Return it as what JSON can hold, to the last bit."""
        return {
            "low": self.low.hex(),
            "high": self.high.hex(),
            "count": self.count,
            "sum": [part.hex() for part in self.sum],
            "squares": [part.hex() for part in self.squares],
        }

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Statistics:
        """Return what :meth:`to_mapping` was given."""
        return cls(
            low=float.fromhex(values["low"]),
            high=float.fromhex(values["high"]),
            count=int(values["count"]),
            sum=tuple(map(float.fromhex, values["sum"])),
            squares=tuple(map(float.fromhex, values["squares"])),
        )
