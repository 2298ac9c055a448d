# SPDX-License-Identifier: BSD-3-Clause
"""Registration of images, and a whole tilt series; the shifts are checked in the timed test.

``pytest benchmarks/bench_align.py --benchmark-only``; ``CRYOLITH_BENCH_LARGE=1`` adds camera-sized images.
"""

from __future__ import annotations

import time

import cases
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from cryolith import align, simulate


@pytest.mark.benchmark(group="register", timer=time.process_time)
@pytest.mark.parametrize("edge", cases.ALIGN_IMAGES)
def test_register(benchmark: BenchmarkFixture, edge: int) -> None:
    """Two noisy images of one scene, moved in Fourier space by a known part of a pixel."""
    rng = np.random.default_rng(edge)
    fy, fx = np.fft.fftfreq(edge)[:, None], np.fft.rfftfreq(edge)
    scene = np.fft.rfft2(rng.standard_normal((edge, edge))) * np.exp(-60 * (fy**2 + fx**2))
    shift = (3.3, -5.7)
    moved = scene * np.exp(-2j * np.pi * (fy * shift[0] + fx * shift[1]))
    first, second = (np.fft.irfft2(f, s=(edge, edge)) for f in (scene, moved))
    noise = 0.3 * first.std() * rng.standard_normal((2, edge, edge))
    found = benchmark(align.register, first + noise[0], second + noise[1], threads=1)
    error = np.abs(found.shift_px - shift).max()
    benchmark.extra_info["error px"] = round(float(error), 4)
    assert error < 0.05  # five times what the noise leaves


@pytest.mark.benchmark(group="align")
def test_align_tilt_series(benchmark: BenchmarkFixture) -> None:
    phantom = simulate.particle((48, 48, 48), seed=1)
    angles = np.arange(-60.0, 61.0, 6.0)
    walk = np.cumsum(np.random.default_rng(2).normal(0, 1.0, (len(angles), 2)), axis=0)
    series, truth = simulate.tilt_series(
        phantom, angles, shifts_px=walk, dose_per_pixel=200.0, background=0.5, seed=3
    )
    found = benchmark.pedantic(align.align_tilt_series, (series,), rounds=1)
    # Along the axis moving the specimen adds a constant only.
    along = found.shifts_px[:, 0] - truth.shifts_px[:, 0]
    benchmark.extra_info["rms along px"] = round(float(along.std()), 4)
    assert along.std() < 0.2
