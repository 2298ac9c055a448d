# SPDX-License-Identifier: BSD-3-Clause
"""Fourier shell correlation against its definition and against pairs whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from spectra import coloured, pair, radius, snr

from cryolith.errors import InputError
from cryolith.metrics import Fsc, fsc
from cryolith.metrics.fsc import half_bit


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
def test_a_known_signal_to_noise_ratio_gives_its_curve_within_the_stated_errors(seed):
    a, b = pair((48, 40, 44), np.random.default_rng(seed))
    found = fsc(a, b)
    expected = snr(found.frequency) / (1 + snr(found.frequency))
    deviation = (found.correlation - expected) / found.sigma_correlation
    assert np.abs(deviation).max() < 4.5
    # 24 shells: chi-square over its mean scatters by sqrt(2 / 24) = 0.29.
    assert 0.4 < np.mean(deviation**2) < 1.9


@pytest.mark.parametrize("threshold", [0.5, 0.143])
def test_the_resolution_is_where_the_known_curve_crosses_within_its_error(threshold):
    level = threshold / (1 - threshold)
    crossing = 0.16 * np.sqrt(np.log(8.0 / level))
    deviations = []
    for seed in range(12):
        found = fsc(*pair((40, 40, 40), np.random.default_rng(seed)), pixel_size=3.36)
        assert found.resolution(threshold) == pytest.approx(3.36 / crossing, rel=0.05)
        deviations.append(
            (found.resolution(threshold) - 3.36 / crossing) / found.sigma_resolution(threshold)
        )
    # 12 draws of unit variance: the mean square scatters by sqrt(2 / 12) = 0.41.
    assert 0.2 < np.mean(np.square(deviations)) < 2.2


def test_resolution_is_linear_between_shells():
    curve = Fsc(
        frequency=np.array([0.1, 0.2, 0.3, 0.4]),
        correlation=np.array([1.0, 0.8, 0.4, 0.0]),
        sigma_correlation=np.full(4, 0.1),
        count=np.array([1, 2, 3, 4]),
        effective_count=np.array([1.0, 2.0, 3.0, 4.0]),
        pixel_size=33.6,
    )
    assert curve.resolution(0.5) == pytest.approx(33.6 / 0.275)
    assert curve.sigma_resolution(0.5) == pytest.approx(33.6 / 0.275**2 * 0.1 / 4.0)
    assert np.isnan(curve.resolution(-0.5))
    assert np.isnan(curve.resolution(1.5))
    with pytest.raises(InputError, match="threshold: found 'bit'"):
        curve.resolution("bit")


def test_half_bit_threshold():
    """Limit of many terms: SNR 0.2071 of each half gives 0.2071 / 1.2071; few terms ask for more."""
    assert half_bit(np.array([1e12]))[0] == pytest.approx(0.2071 / 1.2071, abs=1e-5)
    assert half_bit(np.array([100.0]))[0] == pytest.approx((0.2071 + 0.19102) / (1.2071 + 0.09102))
    found = fsc(*pair((40, 40, 40), np.random.default_rng(1)))
    assert (np.diff(found.half_bit) < 0).all()
    assert found.resolution(0.143) <= found.resolution("half-bit") <= found.resolution(0.5)


def ball(n, soft):
    grid = np.indices((n, n, n)) - (n - 1) / 2
    return np.clip((0.3 * n - np.sqrt((grid**2).sum(0))) / soft + 0.5, 0, 1)


@pytest.mark.parametrize(
    "mask", [ball(32, 1.0), ball(32, 8.0), ball(32, 4.0)[16]], ids=["sharp", "soft", "2d"]
)
def test_a_mask_widens_the_errors_of_noise_as_stated(mask):
    curves = []
    for seed in range(40 if mask.ndim == 3 else 160):
        a, b = np.random.default_rng(seed).standard_normal((2, *mask.shape))
        found = fsc(a, b, mask=mask)
        curves.append(found.masked)
    outer = slice(4, None)
    scatter = np.sqrt(np.mean(np.square(curves), axis=0))[outer]
    stated = 1 / np.sqrt(2 * found.effective_count[outer])
    # 12 shells and 40 draws, related by the mask: the mean scatters by about 5 %.
    assert np.mean(scatter / stated) == pytest.approx(1.0, abs=0.15)
    assert scatter.mean() > 1.2 / np.sqrt(2 * found.count[outer]).mean()


def test_few_strong_terms_widen_the_errors(rng):
    """A streak along one axis, as the cut end of a specimen makes it, decides over its shells alone."""
    n = 32
    gain = np.ones((n, n, n // 2 + 1))
    gain[:2, :, :2] = gain[-1:, :, :2] = 30.0
    draws = [[coloured((n,) * 3, gain, rng) for _ in range(2)] for _ in range(60)]
    found = [fsc(a, b) for a, b in draws]
    outer = slice(5, None)
    scatter = np.sqrt(np.mean([f.correlation[outer] ** 2 for f in found], axis=0))
    stated = np.sqrt(np.mean([f.sigma_correlation[outer] ** 2 for f in found], axis=0))
    assert 0.7 < np.mean(scatter / stated) < 1.3
    # As if all terms counted, the errors would be several times too small.
    assert (scatter * np.sqrt(2 * found[0].count[outer])).min() > 3.0


def test_the_correction_takes_off_what_a_sharp_mask_adds():
    """Strong slow signal, cut sharply: its edge correlates far beyond the true resolution."""
    rng = np.random.default_rng(3)
    n = 48
    signal = 3.0 + np.cos(2 * np.pi * np.arange(n) / n)[:, None, None]
    a, b = signal + rng.standard_normal((2, n, n, n))
    found = fsc(a, b, mask=ball(n, 1.0), randomise_beyond=0.1)
    beyond = found.frequency > 0.2
    assert found.masked[beyond].mean() > 0.1
    assert abs(found.correlation[beyond].mean()) < 0.02
    deviation = found.correlation[beyond] / found.sigma_correlation[beyond]
    assert np.abs(deviation).max() < 4.5
    # What is below the start of the random phases is left alone.
    start = found.frequency < 0.1
    assert np.array_equal(found.correlation[start], found.masked[start])
    assert np.abs(found.unmasked[beyond]).max() < 0.1


def test_a_mask_around_the_specimen_gives_the_curve_of_the_specimen():
    """Noise outside the specimen lowers the plain curve; masked and corrected, that of the specimen is left."""
    n, mask = 64, ball(64, 8.0)
    rng = np.random.default_rng(5)
    shape = (n, n, n)
    signal = np.fft.irfftn(
        np.fft.rfftn(rng.standard_normal(shape)) * np.sqrt(snr(radius(shape))), shape, axes=range(3)
    )
    a, b = (signal * (mask > 0) + rng.standard_normal(shape) for _ in range(2))
    found = fsc(a, b, mask=mask)
    expected = snr(found.frequency) / (1 + snr(found.frequency))
    middle = slice(4, -2)
    assert np.abs(found.correlation - expected)[middle].mean() < 0.05
    assert np.abs((found.correlation - expected) / found.sigma_correlation)[middle].max() < 4.5
    assert (found.unmasked - expected)[middle].min() < -0.3
    again = fsc(a, b, mask=mask)
    assert np.array_equal(again.correlation, found.correlation)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda v: fsc(v, np.ones((4, 4, 5))), "b: found"),
        (lambda v: fsc(np.ones(4), np.ones(4)), "a: found"),
        (lambda v: fsc(v, np.full_like(v, np.nan)), "b: found NaN"),
        (lambda v: fsc(v, v, mask=np.zeros_like(v)), "mask: found nothing"),
        (lambda v: fsc(v, v, mask=np.ones((4, 4))), "mask: found"),
        (lambda v: fsc(v, v, pixel_size=0.0), "pixel_size: found"),
        (lambda v: fsc(v, v, mask=v, randomise_beyond=0.6), "randomise_beyond: found"),
    ],
)
def test_what_does_not_fit_is_refused(call, word):
    with pytest.raises(InputError, match=word):
        call(np.ones((4, 4, 4)))
