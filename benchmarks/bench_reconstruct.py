# SPDX-License-Identifier: BSD-3-Clause
"""wbp and sirt, from plain images to a plain volume; the error against the specimen is checked in the timed test.

``pytest benchmarks/bench_reconstruct.py --benchmark-only``; ``CRYOLITH_BENCH_LARGE=1`` adds S and M.
"""

from __future__ import annotations

import cases
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from cryolith.projection import Geometry, project
from cryolith.reconstruct import sirt, wbp

N_ITER = 10
# Twice the error of XS, without noise and over the half circle; a wrong sign or centre gives 0.5 and more.
LIMITS = {"wbp": 0.24, "sirt": 0.32}


def phantom(case: cases.TiltCase) -> np.ndarray:
    """A smooth-edged disk along y with a dense and a hollow insert, density 1, 1.5 and 0.3."""
    z, x = np.indices((case.nz, case.nx)) - (np.array([case.nz, case.nx]) - 1)[:, None, None] / 2

    def disk(cx: float, cz: float, r: float) -> np.ndarray:
        edge = case.nz
        return np.clip(r * edge - np.hypot(x - cx * edge, z - cz * edge) + 0.5, 0, 1)

    plane = disk(0, 0, 0.4) + 0.5 * disk(0.12, -0.08, 0.1) - 0.7 * disk(-0.16, 0.07, 0.08)
    return np.repeat(plane[:, None], case.ny, 1).astype(np.float32)


@pytest.mark.benchmark(group="reconstruct")
@pytest.mark.parametrize("case", cases.RECONSTRUCT, ids=str)
@pytest.mark.parametrize("method", ["wbp", "sirt"])
def test_reconstruct(benchmark: BenchmarkFixture, method: str, case: cases.TiltCase) -> None:
    truth = phantom(case)
    geometry = Geometry.single_axis(np.arange(case.n_tilts) * 180.0 / case.n_tilts)
    stack = project(truth, geometry, (case.ny, case.nx))

    def run() -> np.ndarray:
        if method == "wbp":
            return wbp(stack, geometry, shape=truth.shape)
        return sirt(stack, geometry, shape=truth.shape, n_iter=N_ITER)

    volume = benchmark.pedantic(run, rounds=2, warmup_rounds=1)
    error = float(np.linalg.norm(volume - truth) / np.linalg.norm(truth))
    passes = 1 if method == "wbp" else 2 * N_ITER + 2  # the normalisation takes two
    benchmark.extra_info["G updates/s"] = round(
        passes * case.updates / 1e9 / benchmark.stats["min"], 2
    )
    benchmark.extra_info["relative error"] = round(error, 4)
    assert error < LIMITS[method]
