# SPDX-License-Identifier: BSD-3-Clause
"""wbp and sirt, from a plain stack to a plain volume; the error against the phantom is checked in the timed test.

``pytest benchmarks/bench_reconstruct.py --benchmark-only``; ``CRYOLITH_BENCH_LARGE=1`` adds M.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from cryolith.projection import Geometry, project
from cryolith.reconstruct import sirt, wbp

# n_tilts, edge across the axis, rows along it
CASES = {"XS": (61, 128, 64)}
if os.environ.get("CRYOLITH_BENCH_LARGE"):
    CASES |= {"S": (61, 256, 256), "M": (61, 512, 512)}


def phantom(edge: int, rows: int) -> np.ndarray:
    """A smooth-edged disk along y with a dense and a hollow insert, density 1, 1.5 and 0.3."""
    z, x = np.indices((edge, edge)) - (edge - 1) / 2

    def disk(cx: float, cz: float, r: float) -> np.ndarray:
        return np.clip(r * edge - np.hypot(x - cx * edge, z - cz * edge) + 0.5, 0, 1)

    plane = disk(0, 0, 0.4) + 0.5 * disk(0.12, -0.08, 0.1) - 0.7 * disk(-0.16, 0.07, 0.08)
    return np.repeat(plane[:, None], rows, 1).astype(np.float32)


@pytest.mark.benchmark(group="reconstruct")
@pytest.mark.parametrize("size", list(CASES))
@pytest.mark.parametrize("method", ["wbp", "sirt 10"])
def test_reconstruct(benchmark: BenchmarkFixture, method: str, size: str) -> None:
    n, edge, rows = CASES[size]
    truth = phantom(edge, rows)
    geometry = Geometry.single_axis(np.arange(n) * 180.0 / n)
    stack = project(truth, geometry, (rows, edge))

    def run() -> np.ndarray:
        if method == "wbp":
            return wbp(stack, geometry, shape=truth.shape)
        return sirt(stack, geometry, shape=truth.shape, n_iter=10)

    volume = benchmark.pedantic(run, rounds=2, warmup_rounds=1)
    error = float(np.linalg.norm(volume - truth) / np.linalg.norm(truth))
    passes = 1 if method == "wbp" else 22  # two each iteration, two for the normalisation
    benchmark.extra_info["G updates/s"] = round(
        passes * truth.size * n / 1e9 / benchmark.stats["min"], 2
    )
    benchmark.extra_info["relative error"] = round(error, 4)
    assert error < (0.15 if method == "wbp" else 0.25)
