# SPDX-License-Identifier: BSD-3-Clause
"""The whole job, from a file to a report: time of each stage and peak memory; the layers are checked.

``pytest benchmarks/bench_pipeline.py --benchmark-only``; ``CRYOLITH_BENCH_LARGE=1`` adds the real series of the demo.
"""

from __future__ import annotations

from pathlib import Path

import cases
import mrcfile
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from cryolith import files, pipeline, simulate
from cryolith.config import job_from_mapping


class Clock(pipeline.Listener):
    """Keeps what the run says about itself."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.peak = 0

    def finished(self, stage: str, seconds: float, peak_bytes: int) -> None:
        self.seconds[stage] = round(seconds, 2)
        self.peak = max(self.peak, peak_bytes)


def small_series(folder: Path) -> Path:
    phantom = simulate.needle((40, 64, 40), seed=7)
    angles = np.arange(-70.0, 71.0, 10.0)
    shifts = np.random.default_rng(8).normal(0, 1.5, (len(angles), 2))
    series, _ = simulate.tilt_series(
        phantom, angles, tilt_axis_deg=4.0, shifts_px=shifts, dose_per_pixel=300.0, seed=9
    )
    path = folder / "small.mrc"
    with mrcfile.new(path) as mrc:
        mrc.set_data(np.asarray(series.images, np.float32))
        mrc.voxel_size = 20.0
    np.savetxt(path.with_suffix(".rawtlt"), angles, fmt="%.2f")
    return path


@pytest.mark.benchmark(group="pipeline")
@pytest.mark.parametrize("name", ["small", "demo"] if cases.LARGE else ["small"])
def test_run(benchmark: BenchmarkFixture, tmp_path: Path, name: str) -> None:
    path = files.sample_path() if name == "demo" else small_series(tmp_path)
    job = job_from_mapping({"series": {"path": str(path)}, "output": str(tmp_path / "out")})
    clock = Clock()
    result = benchmark.pedantic(pipeline.run, (job,), {"listener": clock}, rounds=1)
    benchmark.extra_info |= {f"{stage} s": s for stage, s in clock.seconds.items()}
    benchmark.extra_info["peak MiB of the process"] = clock.peak // 2**20
    assert set(clock.seconds) == set(pipeline.STAGES)
    assert np.asarray(result.defects.layers["complete"]).sum() >= 3
