# SPDX-License-Identifier: BSD-3-Clause
"""The kernels for tubes and sheets against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from reference import oriented as reference

from cryolith import _core
from cryolith.detect._oriented_bank import packed
from cryolith.detect._sphere import Sphere, frames, half_sphere
from cryolith.errors import InputError

SHAPES = [(11, 12, 13), (12, 10, 14)]


def matrices(rng: np.random.Generator, count: int) -> np.ndarray:
    """Covariances of 0.7 to 2 px, turned at random."""
    turns = np.linalg.qr(rng.standard_normal((count, 3, 3)))[0]
    return np.einsum("nij,nj,nkj->nik", turns, rng.uniform(0.5, 4.0, (count, 3)), turns)


@pytest.mark.parametrize("shape", SHAPES)
def test_maxima_are_those_of_all_fields(
    shape: tuple[int, int, int], rng: np.random.Generator
) -> None:
    base = np.fft.rfftn(rng.standard_normal(shape)).astype(np.complex64)
    shapes, gains = packed(matrices(rng, 5)), rng.uniform(1, 3, 5)
    fields = np.stack(
        [reference.field(base, shape, s, g) for s, g in zip(shapes, gains, strict=True)]
    )
    value, which = np.empty(shape, np.float32), np.empty(shape, np.int32)
    _core.oriented_maxima(base, shape[2], shapes, gains, value, which)
    best = np.abs(fields).argmax(axis=0)
    # Float32 transforms of 2000 terms of order 1: 1e-6 of the largest value; Gaussians end at exp(-25).
    np.testing.assert_allclose(
        value, np.take_along_axis(fields, best[None], 0)[0], atol=2e-6 * np.abs(fields).max()
    )
    assert (which == best).mean() > 0.995  # ties within rounding


@pytest.mark.parametrize("shape", SHAPES)
def test_sums_equal_the_definition(shape: tuple[int, int, int], rng: np.random.Generator) -> None:
    # A real, even weight: the power of a random volume.
    weight = (np.abs(np.fft.rfftn(rng.standard_normal(shape))) ** 2).astype(np.float32)
    shapes, axes = packed(matrices(rng, 3)), half_sphere(3)
    sums, plain, by = np.empty((3, 28)), np.empty((3, 1)), np.empty((3, 12))
    for across in (False, True):
        _core.oriented_sums(weight, shape[2], shapes, axes, across, 2.0, sums, by)
        for i in range(3):
            np.testing.assert_allclose(
                by[i],
                reference.profile(weight, shape[2], shapes[i], axes[i], across, 2.0, 12),
                rtol=1e-6,
                atol=1e-9 * sums[i, 0],
            )
    for i in range(3):
        expected = reference.sums(weight, shape[2], shapes[i])
        np.testing.assert_allclose(sums[i], expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max())
    _core.oriented_sums(weight, shape[2], shapes, axes, False, 2.0, plain, by, threads=3)
    assert plain[:, 0].tobytes() == sums[:, 0].tobytes()


def test_samples_equal_the_definition(rng: np.random.Generator) -> None:
    values = rng.standard_normal((9, 14, 11)).astype(np.float32)
    places = np.array([[4.2, 6.9, 5.5], [0.1, 13.8, -0.4], [8.9, 0.0, 10.3]])
    covariances, samples = matrices(rng, 3), np.empty(3)
    _core.oriented_samples(values, places, packed(covariances), samples)
    expected = [reference.sample(values, p, m) for p, m in zip(places, covariances, strict=True)]
    np.testing.assert_allclose(samples, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_spline_samples_equal_the_definition_and_the_voxels_between_them(
    shape: tuple[int, int, int], rng: np.random.Generator
) -> None:
    field = rng.standard_normal(shape).astype(np.float32)
    terms = np.fft.fftn(field)
    for axis, n in enumerate(shape):
        k = 2 * np.pi * np.fft.fftfreq(n)
        terms = np.moveaxis(np.moveaxis(terms, axis, -1) * 3 / (2 + np.cos(k)), -1, axis)
    coefficients = np.ascontiguousarray(np.fft.ifftn(terms).real, np.float32)
    voxels = np.ascontiguousarray(np.argwhere(np.ones(shape, bool)), float)
    samples = np.empty(len(voxels))
    _core.spline_samples(coefficients, voxels, samples, threads=3)
    # Coefficients are up to 27 times as large as the field, each rounded to 6e-8 of itself.
    np.testing.assert_allclose(samples, field.ravel(), atol=1e-5)
    places = np.array([[4.2, 6.9, 5.5], [0.1, 9.8, -0.4], [10.9, -7.3, 30.3]])
    between = np.empty(3)
    _core.spline_samples(coefficients, places, between)
    expected = [reference.spline_sample(coefficients, p) for p in places]
    np.testing.assert_allclose(between, expected, rtol=1e-12, atol=1e-12)


def test_the_same_bytes_for_any_threads(rng: np.random.Generator) -> None:
    shape = (20, 18, 40)
    base = np.fft.rfftn(rng.standard_normal(shape)).astype(np.complex64)
    shapes, found = packed(matrices(rng, 6)), []
    for threads in (1, 3):
        value, which = np.empty(shape, np.float32), np.empty(shape, np.int32)
        _core.oriented_maxima(base, 40, shapes, np.ones(6), value, which, threads)
        peaks = _core.volume_extrema(value, 2, 0.01, threads)
        found.append((value.tobytes(), which.tobytes(), peaks.tobytes()))
        assert len(peaks) > 5
    assert found[0] == found[1]


def test_kernels_refuse_what_does_not_fit() -> None:
    base, value = np.zeros((8, 8, 5), np.complex64), np.zeros((8, 8, 8), np.float32)
    which, good = np.zeros((8, 8, 8), np.int32), np.array([[1.0, 1, 1, 0, 0, 0]])
    for shapes in (good * -1, np.array([[1.0, 1, 1, 2, 0, 0]])):
        with pytest.raises(InputError, match="shapes: row 0 is not positive definite"):
            _core.oriented_maxima(base, 8, shapes, np.ones(1), value, which)
    with pytest.raises(InputError, match="gains: found 2"):
        _core.oriented_maxima(base, 8, good, np.ones(2), value, which)
    with pytest.raises(InputError, match="base: found 5 terms"):
        _core.oriented_maxima(base, 12, good, np.ones(1), value, which)
    with pytest.raises(InputError, match="places: found"):
        _core.oriented_samples(value, np.full((1, 3), np.inf), good, np.empty(1))
    with pytest.raises(InputError, match="samples: found 2 rows"):
        _core.spline_samples(value, np.zeros((1, 3)), np.empty(2))


def test_functions_on_the_sphere_are_interpolated_through_their_values(
    rng: np.random.Generator,
) -> None:
    sphere = Sphere(half_sphere(88))
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]

    def smooth(axes: np.ndarray) -> np.ndarray:
        z = axes @ turn
        return (1 + z[:, :1] ** 2 + 0.3 * z[:, 1:2] ** 4).astype(float)

    np.testing.assert_allclose(
        sphere.interpolate(smooth(sphere.axes), -sphere.axes), smooth(sphere.axes), rtol=1e-7
    )
    axes = rng.standard_normal((200, 3))
    axes /= np.linalg.norm(axes, axis=1)[:, None]
    np.testing.assert_allclose(
        sphere.interpolate(smooth(sphere.axes), axes), smooth(axes), rtol=5e-3
    )
    first, second = frames(axes)
    for a, b in ((axes, first), (axes, second), (first, second)):
        np.testing.assert_allclose((a * b).sum(axis=1), 0, atol=1e-12)
