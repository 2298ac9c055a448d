# SPDX-License-Identifier: BSD-3-Clause
"""Fourier shell correlation, residual and coverage against cases with a known answer."""

from __future__ import annotations

import numpy as np
import pytest

import cryolith
from cryolith.metrics import coverage, fsc, residual


@pytest.mark.parametrize("shape", [(16, 16, 16), (15, 17, 13), (24, 31), (12, 20, 16)])
def test_fsc_of_equals_is_one_and_of_opposites_minus_one(shape, rng):
    a = rng.standard_normal(shape)
    np.testing.assert_allclose(fsc(a, a).correlation, 1.0, rtol=1e-12)
    np.testing.assert_allclose(fsc(a, 5.0 - 2.0 * a).correlation, -1.0, rtol=1e-12)


@pytest.mark.parametrize("shape", [(15, 14, 13), (14, 15, 16)])
def test_fsc_equals_its_definition(shape, rng):
    a, b = rng.standard_normal((2, *shape))
    fa, fb = np.fft.fftn(a), np.fft.fftn(b)
    f = np.meshgrid(*(np.fft.fftfreq(n) for n in shape), indexing="ij")
    shell = np.rint(np.sqrt(f[0] ** 2 + f[1] ** 2 + f[2] ** 2) * max(shape))
    found = fsc(a, b)
    for i, value in enumerate(found.correlation, start=1):
        s = shell == i
        power = (np.abs(fa[s]) ** 2).sum() * (np.abs(fb[s]) ** 2).sum()
        assert abs(value - (fa[s] * fb[s].conj()).sum().real / np.sqrt(power)) < 1e-12
        assert found.count[i - 1] == -(-s.sum() // 2)
    assert len(found.correlation) == max(shape) // 2


@pytest.mark.parametrize("seed", range(3))
def test_fsc_of_unrelated_noise_stays_inside_its_own_error(seed):
    a, b = np.random.default_rng(seed).standard_normal((2, 32, 32, 32))
    found = fsc(a, b)
    # The correlation of n independent complex terms has the standard deviation 1 / sqrt(2 n).
    assert (np.abs(found.correlation) * np.sqrt(2.0 * found.count) < 4.5).all()


def test_resolution_is_where_the_curve_crosses():
    frequency = np.array([0.1, 0.2, 0.3, 0.4])
    curve = cryolith.metrics.Fsc(
        frequency=frequency,
        correlation=np.array([1.0, 0.8, 0.4, 0.0]),
        count=np.array([1, 2, 3, 4]),
    )
    assert abs(curve.resolution(0.5) - 1.0 / 0.275) < 1e-12
    assert abs(curve.resolution(0.5, pixel_size=33.6) - 33.6 / 0.275) < 1e-9
    assert np.isnan(curve.resolution(-0.5))
    assert np.isnan(curve.resolution(1.5))


def test_residual_of_each_image():
    measured = np.ones((4, 3, 3))
    measured[1, 0, 0] = np.nan
    measured[3] = 0.0
    predicted = np.stack([np.zeros((3, 3)), np.ones((3, 3)), np.full((3, 3), 1.5), np.ones((3, 3))])
    np.testing.assert_allclose(residual(measured, predicted), [1.0, 0.0, 0.5, np.nan])


def test_coverage_becomes_the_angular_range():
    assert abs(coverage(np.arange(-90, 90, 0.1), 100.0) - 1.0) < 1e-6
    # Dense tilts over +-60: two thirds, and a little for the thickness of the outermost planes.
    assert 2 / 3 < coverage(np.arange(-60, 60.05, 0.1), 1000.0) < 2 / 3 + 0.005
    sparse = coverage([0.0], 200.0)
    assert sparse < 0.02
    assert coverage([-180.0, 0.0, 180.0, 360.0], 200.0) == pytest.approx(sparse)
    assert coverage(np.arange(-76, 77, 2.0), 80.0) > coverage(np.arange(-76, 77, 4.0), 80.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: fsc(np.ones((4, 4, 4)), np.ones((4, 4, 5))),
        lambda: fsc(np.ones(4), np.ones(4)),
        lambda: residual(np.ones((2, 3, 3)), np.ones((3, 3, 3))),
        lambda: coverage([0.0, np.nan], 10.0),
        lambda: coverage([0.0], np.nan),
    ],
)
def test_what_does_not_fit_is_refused(call):
    with pytest.raises(cryolith.InputError, match="found"):
        call()
