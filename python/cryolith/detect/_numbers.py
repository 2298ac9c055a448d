# SPDX-License-Identifier: BSD-3-Clause
"""Statistics of many numbers: of an array, or of parts that come one after the other, with the same bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ._inputs import Float32, Float64

__all__ = ["InParts", "Numbers", "Together"]

_AT_ONCE = 1 << 20
# NumPy adds up float32 as float64 in stretches of this many: its buffer. A mean in other stretches differs in the last
# bit, which tests/detect/test_detect_numbers.py would show.
_STRETCH = 8192


class Numbers(Protocol):
    """What thresholds ask of finite float32 values."""

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """Return quantiles as ``np.quantile`` does."""

    def ends(self) -> tuple[float, float]:
        """Return the smallest and the largest."""

    def histogram(
        self, low: float, high: float, bins: int
    ) -> tuple[npt.NDArray[np.int64], Float64]:
        """Return counts and edges, values beyond the ends counted at them."""

    def median(self) -> float:
        """Return the median as ``np.median`` does."""

    def upto(self, cut: float) -> Numbers:
        """Return those that are no more than ``cut``."""


class Together:
    """Numbers of an array."""

    def __init__(self, values: npt.NDArray[Any]) -> None:
        self._values = values

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """Return quantiles."""
        return [float(v) for v in np.quantile(self._values, tuple(shares))]

    def ends(self) -> tuple[float, float]:
        """Return the smallest and the largest."""
        return float(self._values.min()), float(self._values.max())

    def histogram(
        self, low: float, high: float, bins: int
    ) -> tuple[npt.NDArray[np.int64], Float64]:
        """Return counts and edges."""
        counts, edges = np.histogram(np.clip(self._values, low, high), bins=bins, range=(low, high))
        return counts.astype(np.int64), edges

    def median(self) -> float:
        """Return the median."""
        return float(np.median(self._values))

    def upto(self, cut: float) -> Numbers:
        """Return those that are no more than ``cut``."""
        return Together(self._values[self._values <= cut])


class InParts:
    """float32 numbers whose parts are made anew each time they are gone through, in the same order.

    Order statistics come from two passes of counting, over the upper and the lower half of the bits of each number.
    """

    def __init__(self, parts: Callable[[], Iterator[Float32]]) -> None:
        self._parts = parts
        self._upper: npt.NDArray[np.int64] | None = None
        self._ends = (np.inf, -np.inf)

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self._counted().sum())

    def ends(self) -> tuple[float, float]:
        """Return the smallest and the largest."""
        self._counted()
        return self._ends

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """Return quantiles."""
        places = [share * (self.count - 1) for share in shares]
        low = [int(np.floor(p)) for p in places]
        ranks = [r for at in low for r in (at, min(at + 1, self.count - 1))]
        found = self._at(ranks)
        return [
            # As np.quantile goes between two neighbours, down to the types.
            float(np.quantile(np.array([found[a], found[min(a + 1, self.count - 1)]], np.float32), (p - a,))[0])
            for a, p in zip(low, places, strict=True)
        ]  # fmt: skip

    def median(self) -> float:
        """Return the median."""
        ranks = sorted({(self.count - 1) // 2, self.count // 2})
        found = self._at(ranks)
        return float(np.median(np.array([found[r] for r in ranks], np.float32)))

    def histogram(
        self, low: float, high: float, bins: int
    ) -> tuple[npt.NDArray[np.int64], Float64]:
        """Return counts and edges."""
        total = np.zeros(bins, np.int64)
        for part in self._pieces():
            counts, edges = np.histogram(np.clip(part, low, high), bins=bins, range=(low, high))
            total += counts
        return total, edges

    def upto(self, cut: float) -> Numbers:
        """Return those that are no more than ``cut``."""
        return InParts(lambda: (part[part <= cut] for part in self._parts()))

    def mean(self) -> float:
        """Return the mean as ``np.mean(dtype=np.float64)`` does of all in one array."""
        total, count = np.float64(0), 0
        rest = np.empty(0, np.float32)
        for part in self._pieces():
            rest = np.concatenate([rest, part])
            whole = len(rest) // _STRETCH * _STRETCH
            for at in range(0, whole, _STRETCH):
                total += np.add.reduce(rest[at : at + _STRETCH].astype(np.float64))
            count += whole
            rest = rest[whole:]
        if len(rest):
            total += np.add.reduce(rest.astype(np.float64))
        return float(total / (count + len(rest)))

    def _pieces(self) -> Iterator[Float32]:
        for part in self._parts():
            flat = part.reshape(-1)
            for at in range(0, len(flat), _AT_ONCE):
                yield flat[at : at + _AT_ONCE]

    def _counted(self) -> npt.NDArray[np.int64]:
        """Return how many numbers share each upper half of the bits; also finds the ends."""
        if self._upper is None:
            self._upper = np.zeros(1 << 16, np.int64)
            low, high = np.inf, -np.inf
            for part in self._pieces():
                self._upper += np.bincount(_keys(part) >> np.uint32(16), minlength=1 << 16)
                low, high = min(low, float(part.min())), max(high, float(part.max()))
            self._ends = (low, high)
        return self._upper

    def _at(self, ranks: Sequence[int]) -> dict[int, np.float32]:
        """Return the numbers at these places of the sorted row."""
        upper = self._counted()
        before = np.cumsum(upper) - upper
        halves = {r: int(np.searchsorted(before + upper, r, "right")) for r in ranks}
        lower = {half: np.zeros(1 << 16, np.int64) for half in halves.values()}
        for part in self._pieces():
            keys = _keys(part)
            for half, counts in lower.items():
                near = keys[keys >> np.uint32(16) == half] & np.uint32(0xFFFF)
                counts += np.bincount(near, minlength=1 << 16)
        out = {}
        for rank, half in halves.items():
            inner = int(np.searchsorted(np.cumsum(lower[half]), rank - before[half], "right"))
            out[rank] = _value((half << 16) | inner)
        return out


def _keys(values: Float32) -> npt.NDArray[np.uint32]:
    """Return whole numbers in the order of the values; the zero has one sign."""
    bits = (values + np.float32(0)).view(np.uint32)
    negative = bits >> np.uint32(31) == 1
    return np.where(negative, ~bits, bits | np.uint32(0x80000000))


def _value(key: int) -> np.float32:
    bits = key & 0x7FFFFFFF if key >> 31 else ~key & 0xFFFFFFFF
    return np.array([bits], np.uint32).view(np.float32)[0]  # type: ignore[no-any-return]
