# SPDX-License-Identifier: BSD-3-Clause
"""Images that are turned, magnified or stretched: found from anywhere, with honest errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from reference import transforms as reference
from turned_blobs import Blobs, turn

from cryolith import _core
from cryolith.align import register
from cryolith.errors import InputError

EPS = np.finfo(np.float32).eps


def away(degrees: float) -> float:
    return (degrees + 180) % 360 - 180


@pytest.mark.parametrize("degrees", [-170.0, 90.0, 33.3])
def test_sign_and_value_of_a_known_transform(degrees: float) -> None:
    scene = Blobs(1, 96)
    matrix, shift = turn(degrees, 0.8), np.array([9.0, -13.0])
    found = register(scene.plain, scene.view(matrix, shift), model="similarity")
    # Without noise what is left is the interpolation's: over 20 seeds at most 0.06 px, 0.08 deg, 0.0012.
    np.testing.assert_allclose(found.shift_px, shift, atol=0.12)
    assert abs(away(float(found.rotation_deg) - degrees)) < 0.16
    assert abs(found.magnification - 0.8) < 0.0024
    np.testing.assert_allclose(found.matrix, matrix, atol=0.004)
    assert found.peak > 0.95


@pytest.mark.parametrize(
    ("model", "dose"), [("rigid", 5.0), ("similarity", 20.0), ("affine", 200.0)]
)
def test_errors_are_as_large_as_stated(model: Any, dose: float) -> None:
    z = []
    for seed in range(12):
        rng = np.random.default_rng([seed, int(dose)])
        scene = Blobs(seed, 96)
        matrix = turn(rng.uniform(-180, 180), 1 if model == "rigid" else rng.uniform(0.9, 1.1))
        if model == "affine":
            matrix = matrix @ (np.eye(2) + rng.normal(0, 0.01, (2, 2)))
        shift = rng.uniform(-12, 12, 2)
        a, b = scene.counts(matrix, shift, dose, rng)
        found = register(a, b, model=model, threads=1)
        # Seen from the first image, where errors are small displacements whatever the rotation; whitened, so that
        # what a model ties together counts once.
        back = np.linalg.inv(matrix)
        error = (back @ np.column_stack([found.shift_px - shift, found.matrix - matrix])).ravel()
        pull = np.kron(back, np.eye(3))
        values, vectors = np.linalg.eigh(pull @ found.covariance @ pull.T / np.outer(SCALE, SCALE))
        used = values > 1e-9 * values.max()
        z.append((vectors.T @ (error / SCALE))[used] / np.sqrt(values[used]))
    rms = float(np.sqrt(np.mean(np.square(z))))
    # 36 to 72 samples: the root mean square of true normals lies in 0.65 to 1.4 (3 to 4 sigma).
    assert 0.65 < rms < 1.4


# Shifts in px beside matrix entries that move the border by as much.
SCALE = np.array([1, 1 / 48, 1 / 48] * 2)


def test_a_model_that_leaves_out_the_rotation_is_unity_there() -> None:
    scene = Blobs(2, 64)
    a, b = (scene.view(np.eye(2), np.array(s)) for s in ((0.0, 0.0), (2.0, 1.0)))
    shifted, turned = register(a, b), register(a, b, model="rigid")
    np.testing.assert_array_equal(shifted.matrix, np.eye(2))
    assert (shifted.rotation_deg, shifted.magnification, shifted.sigma_magnification) == (0, 1, 0)
    np.testing.assert_array_equal(shifted.covariance[::3, ::3], shifted.covariance_px2)
    np.testing.assert_allclose(turned.shift_px, [2, 1], atol=0.02)
    assert turned.sigma_magnification < 1e-9


def test_missing_pixels_that_stay_in_place_do_not_hold_the_rotation() -> None:
    rng = np.random.default_rng(3)
    scene = Blobs(3, 128)
    matrix, shift = turn(7.0), np.array([4.0, -6.0])
    a, b = scene.counts(matrix, shift, 100, rng)
    for image in (a, b):
        image[50:66, 20:90] = np.nan
    masks = np.isfinite(a), np.isfinite(b)
    found = register(a, b, model="rigid")
    assert abs(float(found.rotation_deg) - 7) < 4 * found.sigma_rotation_deg < 0.6
    assert (np.abs(found.shift_px - shift) < 4 * found.sigma_px).all()
    masked = register(
        np.where(masks[0], a, 9e4),
        np.where(masks[1], b, 0),
        model="rigid",
        mask_a=masks[0],
        mask_b=masks[1],
    )
    np.testing.assert_array_equal(masked.matrix, found.matrix)


def test_a_crystal_tells_where_else_it_fits() -> None:
    y, x = np.mgrid[:128, :128] - 63.5
    rng = np.random.default_rng(4)
    images = []
    for degrees in (0.0, 10.0):
        v, u = np.einsum("ij,jyx->iyx", np.linalg.inv(turn(degrees)), np.array([y, x]))
        lattice = 20 + 8 * (np.cos(2 * np.pi * v / 16) + np.cos(2 * np.pi * u / 16))
        images.append(rng.poisson(lattice).astype(float))
    found = register(*images, model="rigid")
    assert found.runner_up > 0.7
    # A square lattice fits every quarter turn.
    quarters = (float(found.rotation_deg) - 10) / 90
    assert abs(quarters - round(quarters)) < 0.01
    assert (
        len(found.candidates_px)
        == len(found.candidate_heights)
        == len(found.candidate_matrices)
        == 3
    )


def test_inputs_are_left_alone_and_threads_change_no_bit() -> None:
    scene = Blobs(5, 64)
    a, b = (scene.view(turn(t), np.zeros(2)) for t in (0.0, 12.0))
    before = a.tobytes(), b.tobytes()
    one, three = (register(a, b, model="affine", threads=n) for n in (1, 3))
    assert (a.tobytes(), b.tobytes()) == before
    np.testing.assert_array_equal(one.covariance, three.covariance)
    np.testing.assert_array_equal(one.matrix, three.matrix)


@pytest.mark.parametrize("images", ["flat", "strangers"])
def test_images_that_have_nothing_in_common_have_no_error_bar(images: str) -> None:
    rng = np.random.default_rng(6)
    a, b = (np.ones((48, 48)) if images == "flat" else rng.normal(size=(48, 48)) for _ in range(2))
    found = register(a, b, model="rigid")
    assert np.isinf(found.sigma_px).all()
    assert np.isinf([found.sigma_rotation_deg, found.sigma_magnification]).all()


def test_along_fringes_the_error_says_that_nothing_is_known() -> None:
    rng = np.random.default_rng(10)
    fringes = 50 + 20 * np.sin(np.arange(96) * 2 * np.pi / 11)
    a, b = (
        rng.poisson(np.broadcast_to(f, (96, 96))).astype(float)
        for f in (fringes, np.roll(fringes, 2))
    )
    found = register(a, b, model="rigid", max_shift=5)
    assert found.sigma_px[1] < 0.5
    assert found.sigma_px[0] > 10 * found.sigma_px[1]


def test_an_image_fits_itself() -> None:
    noise = np.random.default_rng(11).normal(size=(40, 56))
    found = register(noise, noise, model="affine")
    np.testing.assert_allclose(found.matrix, np.eye(2), atol=1e-4)
    assert (found.sigma_px < 0.01).all()


def test_an_unknown_model_and_a_tiny_image_are_refused() -> None:
    with pytest.raises(InputError, match=r"model: found 'ridgid', expected one of shift, rigid"):
        register(np.ones((32, 32)), np.ones((32, 32)), model="ridgid")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least 16 x 16 for model='rigid'"):
        register(np.ones((15, 32)), np.ones((15, 32)), model="rigid")


@pytest.mark.parametrize("shape", [(7, 9), (5, 6, 11)])
def test_warping_equals_the_definition(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(shape))
    d = len(shape)
    values = rng.normal(size=[n + 5 for n in shape]).astype(np.float32)
    affine = np.column_stack([np.eye(d) + rng.normal(0, 0.3, (d, d)), rng.normal(2, 2, d)])
    out = np.full(shape, np.nan, np.float32)
    (_core.warp_image if d == 2 else _core.warp_volume)(values, affine, out, 1)
    expected = reference.warped(values.astype(float), affine, shape)
    # Tabulated weights differ by 1.6e-6 (sampling.hpp) along each axis, of taps whose absolute sum is below 1.9.
    bound = (d * 1.6e-6 * 8 + 8 * d * EPS) * 1.9**d * np.abs(values).max()
    np.testing.assert_allclose(out, expected, atol=bound)


def test_log_polar_samples_equal_the_definition() -> None:
    power = np.random.default_rng(7).random((20, 13)).astype(np.float32)
    out = np.empty((11, 9), np.float32)
    _core.log_polar(power, 24, 0.05, 0.45, out, 1)
    expected = reference.log_polar(power.astype(float), 24, 0.05, 0.45, out.shape)
    np.testing.assert_allclose(out, expected, atol=8 * EPS)


@pytest.mark.parametrize("shape", [(1, 37, 21), (5, 9, 19)])
def test_displacement_sums_equal_the_definition(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(8)
    d = 2 if shape[0] == 1 else 3
    a, b = (rng.normal(size=(1 + d, *shape)).astype(np.float32) for _ in range(2))
    axes = np.column_stack([rng.normal(-10, 1, d), rng.uniform(1, 2, d)])
    sums = [np.empty(d * (1 + d) + d * (d + 1) // 2 * (1 + d) * (2 + d) // 2) for _ in range(2)]
    for out, threads in zip(sums, (1, 3), strict=True):
        _core.displacement_sums(a, b, axes, out, threads)
    np.testing.assert_array_equal(*sums)
    expected = reference.displacement_sums(a.astype(float), b.astype(float), axes)
    # Terms of either sign, coordinates up to 40, partial sums of a row in float32.
    size = reference.displacement_sums(
        np.abs(a).astype(float), np.abs(b).astype(float) * [[[[1]]]], np.abs(axes)
    )
    bound = 8 * EPS * np.abs(size).max()
    np.testing.assert_allclose(sums[0], expected, atol=bound)
