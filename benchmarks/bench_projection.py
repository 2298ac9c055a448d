# SPDX-License-Identifier: BSD-3-Clause
"""The projector pair: voxel updates per second and core beside the machine's bound; results are checked too.

``pytest benchmarks/bench_projection.py --benchmark-only``; ``CRYOLITH_BENCH_LARGE=1`` adds M and L. For AVX2 on a
newer processor set ``CRYOLITH_ISA=x86-64-v3``. Calls go from plain arrays to plain arrays that were written before.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import cases
import numpy as np
import numpy.typing as npt
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from roofline import Bound, Roofline

from cryolith import _core
from cryolith.projection import Geometry, rotation_matrix
from cryolith.projection.operators import make_plan

Float32 = npt.NDArray[np.float32]

AXES = [0.0, 90.0, 92.8]
# Relative rms error against float32 (benchmark images: uniform noise); see backproject's docstring.
FIXED16_ERROR = 1e-4


class Case:
    """Arrays and plan of one size and geometry, written before they are timed."""

    def __init__(self, case: cases.TiltCase, geometry: Geometry) -> None:
        image = (case.ny, case.nx)
        rng = np.random.default_rng(0)
        self.stack = rng.random((case.n_tilts, *image), dtype=np.float32)
        self.volume = rng.random(case.shape, dtype=np.float32)
        self.plan = make_plan(geometry, case.shape, image)
        self.updates = case.updates
        self.images = np.zeros_like(self.stack)
        self.back = np.zeros_like(self.volume)

    def project(self, threads: int = 1) -> Float32:
        self.plan.project(self.volume, self.images, threads, None)
        return self.images

    def backproject(self, threads: int = 1) -> Float32:
        self.plan.backproject(self.stack, self.back, threads, None)
        return self.back

    def backproject_fixed16(self, threads: int = 1) -> Float32:
        self.plan.backproject(self.stack, self.back, threads, None, fixed16=True)
        return self.back


def adjoint_error(case: Case) -> float:
    """|<Ax, y> - <x, A'y>| / |Ax||y|."""
    a, y = case.project().astype(np.float64).ravel(), case.stack.astype(np.float64).ravel()
    x, b = case.volume.astype(np.float64).ravel(), case.backproject().astype(np.float64).ravel()
    return float(abs(a @ y - x @ b) / (np.linalg.norm(a) * np.linalg.norm(y)))


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Bound:
    roofline = Roofline(tmp_path_factory.mktemp("roofline"))
    roofline.measure()
    return roofline.best


def timed_run(
    benchmark: BenchmarkFixture, case: Case, operation: str, threads: int
) -> tuple[Float32, float]:
    """Return the result and G updates/s/core of an operation."""
    run: Callable[[int], Float32] = getattr(case, operation)
    seconds = []

    def timed() -> Float32:
        start = time.process_time()
        out = run(threads)
        seconds.append(time.process_time() - start)
        return out

    out = benchmark.pedantic(timed, rounds=5, warmup_rounds=1)
    rate = case.updates / 1e9 / min(seconds)  # CPU time of all threads: per core
    benchmark.extra_info["G updates/s/core"] = round(rate, 2)
    benchmark.extra_info["isa"] = _core.isa()
    return out, rate


@pytest.mark.benchmark(group="projection")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("size", cases.PROJECTION, ids=str)
@pytest.mark.parametrize("operation", ["backproject", "backproject_fixed16", "project"])
def test_projection(
    benchmark: BenchmarkFixture,
    machine: Bound,
    operation: str,
    size: cases.TiltCase,
    axis: float,
    threads: int,
) -> None:
    case = Case(size, Geometry.single_axis(size.angles_deg, tilt_axis_deg=axis))
    out, rate = timed_run(benchmark, case, operation, threads)
    benchmark.extra_info["share of multiply-adds"] = round(rate / machine.multiply_add, 2)
    benchmark.extra_info["share of multiply-adds with a load each"] = round(
        rate / machine.with_load, 2
    )
    if operation == "backproject_fixed16":
        fixed = out.copy()
        exact = case.backproject()
        assert np.linalg.norm(fixed - exact) < FIXED16_ERROR * np.linalg.norm(exact)
    else:
        assert adjoint_error(case) < 1e-6


def free_geometry(kind: str, case: cases.TiltCase) -> Geometry:
    """As many views as the case has tilts, whose rays cross the volume's y."""
    if kind == "x-tilt":
        return Geometry.single_axis(case.angles_deg, tilt_axis_deg=2.8, x_tilts_deg=5.0)
    if kind == "cone":
        return Geometry.conical(np.arange(case.n_tilts) * 360 / case.n_tilts, 55.0)
    first, second = (Geometry.single_axis(case.angles_deg[i::2]) for i in (0, 1))
    return Geometry.joined(first, second.oriented(rotation_matrix(z_deg=90.5)))


@pytest.mark.benchmark(group="projection of free poses")
@pytest.mark.parametrize("kind", ["x-tilt", "dual", "cone"])
@pytest.mark.parametrize("size", cases.PROJECTION, ids=str)
@pytest.mark.parametrize("operation", ["backproject", "project"])
def test_free_projection(
    benchmark: BenchmarkFixture, operation: str, size: cases.TiltCase, kind: str
) -> None:
    case = Case(size, free_geometry(kind, size))
    assert isinstance(case.plan, _core.FreePlan)
    timed_run(benchmark, case, operation, 1)
    assert adjoint_error(case) < 1e-6
