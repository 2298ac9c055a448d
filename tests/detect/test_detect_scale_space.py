# SPDX-License-Identifier: BSD-3-Clause
"""The scale-space kernels against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from reference import scale_space as reference

from cryolith import _core
from cryolith.errors import InputError

SHAPES = [(11, 12, 13), (12, 10, 14)]
DECAYS = np.array([0.4, 1.0, 2.2])


def scratch(shape: tuple[int, int, int], scales: int) -> np.ndarray:
    return np.empty((scales, *shape[:2], 2 * (shape[2] // 2 + 1)), np.float32)


def spectrum(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    return np.fft.rfftn(rng.standard_normal(shape)).astype(np.complex64)


@pytest.mark.parametrize("shape", SHAPES)
def test_extrema_are_those_of_the_definition(
    shape: tuple[int, int, int], rng: np.random.Generator
) -> None:
    base, gains = spectrum(shape, rng), np.array([3.0, 5.0, 9.0])
    fields = np.stack(
        [reference.field(base, shape, d, g) for d, g in zip(DECAYS, gains, strict=True)]
    )
    expected = reference.extrema(fields, 2, 0.5)
    assert len(expected) > 10
    peaks, share = _core.scale_space_maxima(
        base, shape[2], DECAYS, gains, scratch(shape, 3), 2, 0.5, 0.3
    )
    assert len(peaks) == len(expected)
    for peak, (s, *at) in zip(peaks, expected, strict=True):
        # The quadratic moves an extremum by a cell at most.
        assert np.abs(peak[1:] - [s, *at]).max() <= 1.0
        assert np.sign(peak[0]) == np.sign(fields[(s, *at)])
        assert abs(peak[0]) >= abs(fields[(s, *at)]) - 1e-5
    inner = np.abs(fields[:, 2:-2, 2:-2, 2:-2]) < 0.3
    np.testing.assert_allclose(share, inner.mean(axis=(1, 2, 3)), atol=1.5 / inner[0].size)


def test_extrema_have_the_same_bytes_for_any_threads(rng: np.random.Generator) -> None:
    shape = (20, 18, 40)
    base, gains = spectrum(shape, rng), np.array([3.0, 5.0, 9.0])
    one, three = (
        _core.scale_space_maxima(base, 40, DECAYS, gains, scratch(shape, 3), 1, 0.5, 0.3, threads=t)
        for t in (1, 3)
    )
    assert one[0].tobytes() == three[0].tobytes()
    assert one[1].tobytes() == three[1].tobytes()


def test_a_quadratic_is_refined_exactly() -> None:
    # cos waves are quadratic near their crest up to fourth order: (0.3)^4 / 24 of it with these wavelengths.
    n, at = 48, np.array([20.3, 22.8, 25.1])
    k = 2 * np.pi / n
    waves = [np.cos(k * (np.arange(n) - c)) for c in at]
    volume = waves[0][:, None, None] + waves[1][:, None] + waves[2]
    base = np.fft.rfftn(volume).astype(np.complex64)
    fields = scratch((n, n, n), 1)
    peaks, _ = _core.scale_space_maxima(base, n, np.array([0.1]), np.ones(1), fields, 8, 2.9, 0.1)
    assert len(peaks) == 1
    np.testing.assert_allclose(peaks[0, 2:], at, atol=2e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_spectrum_sums_equal_the_definition(
    shape: tuple[int, int, int], rng: np.random.Generator
) -> None:
    # A real, even weight: the power of a random volume.
    weight = (np.abs(np.fft.rfftn(rng.standard_normal(shape))) ** 2).astype(np.float32)
    expected = reference.spectrum_sums(weight, shape[2], 40)
    sums, plain = np.empty((40, 7)), np.empty((40, 1))
    _core.spectrum_sums(weight, shape[2], sums)
    _core.spectrum_sums(weight, shape[2], plain, threads=3)
    np.testing.assert_allclose(sums, expected, rtol=1e-6, atol=1e-4 * np.abs(expected).max())
    assert plain[:, 0].tobytes() == sums[:, 0].tobytes()


def test_a_weighted_model_is_subtracted_in_place(rng: np.random.Generator) -> None:
    shape = (7, 6, 9)
    base, model = spectrum(shape, rng), spectrum(shape, rng)
    weight = rng.standard_normal(base.shape).astype(np.float32)
    one, three = model.copy(), model.copy()
    _core.subtract_weighted(base, weight, one)
    _core.subtract_weighted(base, weight, three, threads=3)
    assert one.tobytes() == three.tobytes()
    product = model.astype(np.complex128) * weight
    bound = 1.2e-7 * (np.abs(base) + np.abs(product))  # a rounding each
    assert (np.abs(one - (base - product)) <= bound).all()
    with pytest.raises(InputError, match="base, weight: found 7 and 5 along axis 0, expected 7"):
        _core.subtract_weighted(base, weight[:5].copy(), one)


def test_gaussian_samples_equal_the_definition(rng: np.random.Generator) -> None:
    values = rng.standard_normal((9, 14, 11)).astype(np.float32)
    places = np.array([[4.2, 6.9, 5.5], [0.1, 13.8, -0.4], [8.9, 0.0, 10.3]])
    widths = np.array([0.8, 1.3, 1.7])
    found, padded = np.empty((3, 7)), np.empty((3, 7))
    _core.gaussian_samples(values, 11, places, widths, found)
    _core.gaussian_samples(
        np.pad(values, ((0, 0), (0, 0), (0, 3)), constant_values=np.nan), 11, places, widths, padded
    )
    assert found.tobytes() == padded.tobytes()
    for row, place, width in zip(found, places, widths, strict=True):
        np.testing.assert_allclose(row, reference.gaussian_sample(values, place, width), atol=1e-12)


def test_gaussians_are_added_in_place() -> None:
    volume = np.ones((20, 22, 24), np.float32)
    place, width = np.array([[9.3, 10.6, 2.1]]), np.array([1.4])
    _core.add_gaussians(place, width, np.array([-2.0]), volume, 24, threads=3)
    z, y, x = np.ogrid[:20, :22, :24]
    square = (z - 9.3) ** 2 + (y - 10.6) ** 2 + (x - 2.1) ** 2
    # Cut at five standard deviations: exp(-12.5) of the height.
    np.testing.assert_allclose(volume, 1 - 2 * np.exp(-square / (2 * 1.4**2)), atol=1e-5)


def test_wrong_shapes_are_refused_by_name(rng: np.random.Generator) -> None:
    base, fields = spectrum((8, 8, 8), rng), scratch((8, 8, 8), 3)
    with pytest.raises(InputError, match="margin: found 4"):
        _core.scale_space_maxima(base, 8, DECAYS, np.ones(3), fields, 4, 1.0, 0.3)
    with pytest.raises(InputError, match="gains, share: found 2"):
        _core.scale_space_maxima(base, 8, DECAYS, np.ones(2), fields, 2, 1.0, 0.3)
    with pytest.raises(InputError, match="base: found 5 terms"):
        _core.scale_space_maxima(base, 12, DECAYS, np.ones(3), fields, 2, 1.0, 0.3)
    with pytest.raises(InputError, match="fields: found 2 along axis 0, expected 3"):
        _core.scale_space_maxima(base, 8, DECAYS, np.ones(3), fields[:2], 2, 1.0, 0.3)
    with pytest.raises(InputError, match="nx: found 9, expected 1 to 8"):
        _core.add_gaussians(
            np.zeros((1, 3)), np.ones(1), np.ones(1), np.zeros((8, 8, 8), np.float32), 9
        )
    with pytest.raises(InputError, match="sums: found"):
        _core.spectrum_sums(np.ones((8, 8, 5), np.float32), 8, np.empty((4, 3)))
    with pytest.raises(InputError, match="widths: found -1"):
        _core.gaussian_samples(
            np.ones((8, 8, 8), np.float32), 8, np.zeros((1, 3)), -np.ones(1), np.empty((1, 7))
        )
