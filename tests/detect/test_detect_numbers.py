# SPDX-License-Identifier: BSD-3-Clause
"""Statistics of numbers that come in parts: the bits of NumPy's of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from cryolith.detect._numbers import InParts, Together
from cryolith.detect._support import vacuum_threshold
from cryolith.detect.thresholds import otsu, otsu_of

KINDS = ("normal", "rounded", "skew", "one value", "signed zeros", "wide")


def numbers(kind: str, n: int, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    made = {
        "normal": lambda: rng.normal(3, 2, n),
        "rounded": lambda: rng.integers(-3, 4, n),
        "skew": lambda: rng.exponential(1e-3, n),
        "one value": lambda: np.full(n, 2.5),
        "signed zeros": lambda: np.where(rng.random(n) < 0.5, -0.0, 0.0),
        "wide": lambda: rng.normal(size=n) * 10.0 ** rng.uniform(-30, 30, n),
    }
    return made[kind]().astype(np.float32)


def parts_of(values: Any, seed: int) -> InParts:
    rng = np.random.default_rng(seed)
    cuts = np.sort(rng.integers(0, len(values) + 1, 7))

    def parts() -> Iterator[Any]:
        yield from np.split(values, cuts)

    return InParts(parts)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 2, 9, 1000, 30_001])
def test_order_means_and_counts_have_the_bits_of_numpy(kind: str, n: int) -> None:
    values = numbers(kind, n, n)
    found, shares = parts_of(values, 1), (0.001, 0.25, 0.5, 0.7, 0.999)
    assert found.count == n
    assert found.ends() == (values.min(), values.max())
    assert found.quantiles(shares) == [float(v) for v in np.quantile(values, shares)]
    assert found.median() == float(np.median(values))
    assert found.mean() == values.mean(dtype=np.float64)
    reach = 1.0 + float(np.abs(values).max())
    low, high = -reach / 2, reach
    ours, edges = found.histogram(low, high, 64)
    counts, expected = Together(values).histogram(low, high, 64)
    assert (ours == counts).all()
    assert (edges == expected).all()
    cut = float(np.median(values))
    assert found.upto(cut).median() == Together(values).upto(cut).median()


@pytest.mark.parametrize("seed", range(5))
def test_thresholds_are_those_of_one_array(seed: int) -> None:
    rng = np.random.default_rng(seed)
    share, apart = rng.uniform(0.05, 0.95), rng.uniform(0, 8)
    values = (rng.normal(size=20_000) + apart * (rng.random(20_000) < share)).astype(np.float32)
    assert otsu_of(parts_of(values, seed)) == otsu(values)
    assert vacuum_threshold(parts_of(values, seed)) == vacuum_threshold(Together(values))
