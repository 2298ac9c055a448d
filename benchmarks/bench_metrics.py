# SPDX-License-Identifier: BSD-3-Clause
"""What it costs to know how good a result is; each result is checked in the timed test.

``pytest benchmarks/bench_metrics.py --benchmark-only``; ``CRYOLITH_BENCH_LARGE=1`` adds S and M.
"""

from __future__ import annotations

import time

import cases
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from cryolith import metrics
from cryolith.projection import Geometry
from cryolith.reconstruct import wbp


def cpu_seconds(call: object, rounds: int = 7) -> float:
    """Return the least CPU time of some calls."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        call()  # type: ignore[operator]
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.benchmark(group="halves")
@pytest.mark.parametrize("case", cases.RECONSTRUCT, ids=str)
def test_halves(benchmark: BenchmarkFixture, case: cases.TiltCase) -> None:
    stack = np.random.default_rng(0).standard_normal((case.n_tilts, case.ny, case.nx), np.float32)
    geometry = Geometry.single_axis(case.angles_deg)

    def both() -> object:
        return wbp(stack, geometry, shape=case.shape, halves="tilts", threads=1)

    found = benchmark.pedantic(both, rounds=3, warmup_rounds=1)
    one = cpu_seconds(lambda: wbp(stack, geometry, shape=case.shape, threads=1))
    benchmark.extra_info["CPU time, one wbp = 1"] = round(cpu_seconds(both) / one, 2)
    assert np.array_equal(found.first + found.second, found.full)


@pytest.mark.benchmark(group="metrics")
@pytest.mark.parametrize("case", cases.RECONSTRUCT, ids=str)
@pytest.mark.parametrize("what", ["coverage", "noise_variance", "fsc", "fsc, mask"])
def test_metrics(benchmark: BenchmarkFixture, what: str, case: cases.TiltCase) -> None:
    geometry, images = Geometry.single_axis(case.angles_deg), (case.ny, case.nx)
    a, b = np.random.default_rng(0).standard_normal((2, *case.shape))
    calls = {
        "coverage": lambda: metrics.coverage(geometry, case.shape, images),
        "noise_variance": lambda: metrics.noise_variance(geometry, case.shape, images, 1.0),
        "fsc": lambda: metrics.fsc(a, b).correlation,
        "fsc, mask": lambda: metrics.fsc(a, b, mask=np.ones(case.shape)).correlation,
    }
    found = benchmark.pedantic(calls[what], rounds=2, warmup_rounds=1)
    if what == "coverage":
        assert found.max() == case.n_tilts
    elif what == "noise_variance":
        assert found.min() >= 0.0
        assert found.max() < 1.0
    else:
        assert np.abs(found[case.nx // 4 :]).max() < 0.1
