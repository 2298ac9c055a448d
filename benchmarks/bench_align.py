# SPDX-License-Identifier: BSD-3-Clause
"""Registration of pairs and alignment of a simulated particle; the result is checked in the timed test.

``pytest benchmarks/bench_align.py --benchmark-only``
"""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from cryolith.align import align_tilt_series, register


def smooth_noise(size: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    spectrum = np.fft.rfft2(rng.normal(size=(size, size))) * np.exp(-80 * f * f)
    return np.fft.irfft2(spectrum, s=(size, size))


@pytest.mark.parametrize("size", [128, 256, 512])
def test_register(benchmark: BenchmarkFixture, size: int) -> None:
    scene = smooth_noise(2 * size, 0)
    a, b = scene[:size, :size], scene[5 : size + 5, 3 : size + 3]
    found = benchmark(register, a, b)
    np.testing.assert_allclose(found.shift_px, [-5, -3], atol=0.05)


def balls(n: int, angles_deg: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Projections of 40 balls in a sphere, tilt axis along y."""
    rng = np.random.default_rng(1)
    centres = rng.normal(0, 0.09 * n, (40, 3))
    radii = rng.uniform(0.03, 0.07, 40) * n
    y, x = np.mgrid[:n, :n] - (n - 1) / 2
    images = np.zeros((len(angles_deg), n, n), np.float32)
    for image, t, (dy, dx) in zip(images, np.deg2rad(angles_deg), shifts, strict=True):
        u = centres[:, 0] * np.cos(t) + centres[:, 2] * np.sin(t) + dx
        for k in range(len(radii)):
            inside = radii[k] ** 2 - (x - u[k]) ** 2 - (y - centres[k, 1] - dy) ** 2
            image += 2 * np.sqrt(np.clip(inside, 0, None)).astype(np.float32)
    return images


def test_align_tilt_series(benchmark: BenchmarkFixture) -> None:
    n, angles = 128, np.linspace(-60, 60, 41)
    truth = np.random.default_rng(2).normal(0, 3, (41, 2))
    images = balls(n, angles, truth) + np.random.default_rng(3).normal(0, 1, (41, n, n))
    found = benchmark.pedantic(align_tilt_series, (images, angles), rounds=1)
    t = np.deg2rad(angles)
    basis = np.c_[np.cos(t), np.sin(t)]
    across = found.shifts_px[:, 1] - truth[:, 1]
    across -= basis @ np.linalg.lstsq(basis, across, rcond=None)[0]
    along = found.shifts_px[:, 0] - truth[:, 0]
    error = float(np.sqrt(np.mean(across**2 + (along - along.mean()) ** 2)))
    benchmark.extra_info["rms_px"] = error
    assert error < 0.5
