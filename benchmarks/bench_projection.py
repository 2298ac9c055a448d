# SPDX-License-Identifier: BSD-3-Clause
"""The projector pair: voxel updates per second and core; the result is checked in the timed test.

``pytest benchmarks/bench_projection.py --benchmark-only``; ``CRYOLITH_BENCH_LARGE=1`` adds M and L.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import cases
import numpy as np
import numpy.typing as npt
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from cryolith import _core
from cryolith.projection import Geometry

Float32 = npt.NDArray[np.float32]

AXES = [0.0, 90.0, 92.8]


class Case:
    """Arrays and plan of one size and axis angle, written before they are timed."""

    def __init__(self, case: cases.TiltCase, axis: float) -> None:
        image = (case.ny, case.nx)
        rng = np.random.default_rng(0)
        self.stack = rng.random((case.n_tilts, *image), dtype=np.float32)
        self.volume = rng.random(case.shape, dtype=np.float32)
        geometry = Geometry.single_axis(case.angles_deg, tilt_axis_deg=axis)
        self.plan = _core.ProjectionPlan(geometry.poses(), case.shape, image)
        self.updates = case.updates

    def project(self) -> Float32:
        out = np.empty_like(self.stack)
        self.plan.project(self.volume, out, 1, None)
        return out

    def backproject(self) -> Float32:
        out = np.empty_like(self.volume)
        self.plan.backproject(self.stack, out, 1, None)
        return out


def adjoint_error(case: Case, forward: Float32, back: Float32) -> float:
    """|<Ax, y> - <x, A'y>| / |Ax||y|."""
    a, y = forward.astype(np.float64).ravel(), case.stack.astype(np.float64).ravel()
    x, b = case.volume.astype(np.float64).ravel(), back.astype(np.float64).ravel()
    return float(abs(a @ y - x @ b) / (np.linalg.norm(a) * np.linalg.norm(y)))


@pytest.mark.benchmark(group="projection")
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("size", cases.PROJECTION, ids=str)
@pytest.mark.parametrize("operation", ["backproject", "project"])
def test_projection(
    benchmark: BenchmarkFixture, operation: str, size: cases.TiltCase, axis: float
) -> None:
    case = Case(size, axis)
    run: Callable[[], Float32] = getattr(case, operation)
    seconds = []

    def timed() -> Float32:
        start = time.process_time()
        out = run()
        seconds.append(time.process_time() - start)
        return out

    out = benchmark.pedantic(timed, rounds=3, warmup_rounds=1)
    benchmark.extra_info["G updates/s/core"] = round(case.updates / 1e9 / min(seconds), 2)
    benchmark.extra_info["isa"] = _core.isa()
    forward = out if operation == "project" else case.project()
    back = out if operation == "backproject" else case.backproject()
    assert adjoint_error(case, forward, back) < 1e-6
