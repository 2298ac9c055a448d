# SPDX-License-Identifier: BSD-3-Clause
"""The core's Fourier transform beside numpy's and scipy's, on one thread; the result is checked in the timed test.

``pytest benchmarks/bench_fft.py --benchmark-only``; ``CRYOLITH_BENCH_LARGE=1`` adds camera-sized images.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.fft
from pytest_benchmark.fixture import BenchmarkFixture

from cryolith import _core

CASES = [
    ((1024, 1024), 2),
    ((256, 64, 64), 2),
    ((96, 96, 96), 3),
    ((900, 509), 2),
    ((512, 4096), 1),
]
if os.environ.get("CRYOLITH_BENCH_LARGE"):
    CASES += [((4096, 4096), 2), ((3838, 3710), 2), ((3840, 3750), 2), ((256, 256, 256), 3)]

Array = npt.NDArray[Any]
Run = Callable[[], Array]


def case_id(case: tuple[tuple[int, ...], int]) -> str:
    return "x".join(map(str, case[0])) + f"-{case[1]}D"


def runs(path: str, shape: tuple[int, ...], axes: int, x: Array, half: Array) -> dict[str, Run]:
    """Forward and inverse of one library, into memory that is there already where it allows that."""
    last = tuple(range(-axes, 0))
    size = shape[-axes:]
    if path == "numpy":
        return {
            "rfft": lambda: np.fft.rfftn(x, axes=last),
            "irfft": lambda: np.fft.irfftn(half, s=size, axes=last),
        }
    if path == "scipy":
        return {
            "rfft": lambda: scipy.fft.rfftn(x, axes=last),
            "irfft": lambda: scipy.fft.irfftn(half, s=size, axes=last),
        }
    plan = _core.FftPlan(shape, axes)
    out, back = np.empty_like(half), np.empty_like(x)

    def forward() -> Array:
        plan.rfft(x, out, threads=1)
        return out

    def inverse() -> Array:
        plan.irfft(half, back, 1 / plan.count, threads=1)
        return back

    return {"rfft": forward, "irfft": inverse}


# CPU time, so that a busy machine does not blur the comparison.
@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("path", ["cryolith", "scipy", "numpy"])
@pytest.mark.parametrize("direction", ["rfft", "irfft"])
@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_fft(
    benchmark: BenchmarkFixture, case: tuple[tuple[int, ...], int], direction: str, path: str
) -> None:
    shape, axes = case
    benchmark.group = f"{direction} {case_id(case)}"
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    half = scipy.fft.rfftn(x, axes=tuple(range(-axes, 0)))
    got = benchmark(runs(path, shape, axes, x, half)[direction])
    expected = half if direction == "rfft" else x
    error = np.sqrt((np.abs(got - expected) ** 2).mean() / (np.abs(expected) ** 2).mean())
    assert error <= 1e-6  # both sides are within 5e-7 of the truth
