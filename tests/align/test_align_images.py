# SPDX-License-Identifier: BSD-3-Clause
"""Cleaning, background, reduction and resampling of images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from cryolith.align import estimate_background
from cryolith.align.images import clean, reduce_images, resample_images
from cryolith.align.specimen import prepare
from cryolith.errors import InputError


def disc(n: int, level: float, bright: float) -> np.ndarray:
    y, x = np.mgrid[:n, :n] - (n - 1) / 2
    return level + bright * np.clip(1 - (y * y + x * x) / (0.3 * n) ** 2, 0, None)


def test_hot_pixels_go_and_noise_stays() -> None:
    rng = np.random.default_rng(0)
    image = rng.poisson(disc(64, 20, 100)).astype(np.float32)
    spoilt = image.copy()
    spoilt[10, 12], spoilt[40, 33], spoilt[0, 0] = 5000, 9000, 4000
    out, replaced = clean(spoilt[None])
    assert replaced.tolist() == [3]
    untouched = np.ones((64, 64), bool)
    untouched[[10, 40, 0], [12, 33, 0]] = False
    np.testing.assert_array_equal(out[0][untouched], image[untouched])
    assert out[0, 10, 12] < 60


@pytest.mark.parametrize("dose", [0.2, 3.0, 300.0])
def test_counting_noise_is_no_hot_pixel(dose: float) -> None:
    rng = np.random.default_rng(1)
    images = rng.poisson(dose, (8, 64, 64)).astype(np.float32)
    # Tail of the Poisson law beyond 8 sigma: at most about one pixel in 1e4 at 0.2 counts, none above.
    assert clean(images)[1].sum() <= 1e-3 * images.size


def test_missing_pixels_are_filled_from_around() -> None:
    image = np.add.outer(np.arange(32.0), np.zeros(32)).astype(np.float32)
    image[10:14, 5:9] = np.nan
    out, replaced = clean(image[None])
    assert replaced.tolist() == [16]
    assert np.isfinite(out).all()
    assert np.abs(out[0, 10:14, 5:9] - 11.5).max() < 4
    nothing, _ = clean(np.full((1, 8, 8), np.nan))
    np.testing.assert_array_equal(nothing, 0)


@pytest.mark.parametrize("dose", [0.5, 10.0, 1000.0])
def test_background_is_the_level_of_the_vacuum(dose: float) -> None:
    rng = np.random.default_rng(2)
    levels = dose * np.array([1.0, 1.1, 0.9])
    images = np.stack([rng.poisson(disc(128, level, 20 * dose)) for level in levels])
    found = estimate_background(images)
    # Noise of the mean over the vacuum's pixels (about 8000), and its mode's bias: a fifth of a block's noise.
    block = np.sqrt(levels / 16)
    assert (np.abs(found - levels) < 0.6 * block).all()
    np.testing.assert_array_equal(found, estimate_background(images, threads=1))


def test_background_without_vacuum_stays_below_the_specimen() -> None:
    rng = np.random.default_rng(3)
    ramp = np.add.outer(np.linspace(100, 200, 64), np.linspace(0, 50, 64))
    found = estimate_background(rng.poisson(ramp)[None])
    assert 90 < found[0] < 130


def test_background_refuses_one_image() -> None:
    with pytest.raises(InputError, match="image\\[None\\]"):
        estimate_background(np.ones((8, 8)))


@pytest.mark.parametrize("shape", [(64, 64), (65, 63), (50, 81)])
@pytest.mark.parametrize("binning", [1, 2, 3, 4])
def test_reduction_keeps_the_centre_and_the_mean(shape: tuple[int, int], binning: int) -> None:
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    blob = np.exp(-((y[:, None] - 3.0) ** 2 + (x[None] + 5.0) ** 2) / (2 * 6.0**2)).astype(
        np.float32
    )
    out = reduce_images(blob[None], binning)[0].astype(np.float64)
    assert out.shape == (shape[0] // binning, shape[1] // binning)
    v, u = (np.arange(n) - (n - 1) / 2 for n in out.shape)
    centre = np.array([(out.sum(1) * v).sum(), (out.sum(0) * u).sum()]) / out.sum() * binning
    np.testing.assert_allclose(centre, [3.0, -5.0], atol=0.02)
    np.testing.assert_allclose(
        reduce_images(np.ones((1, *shape), np.float32), binning), 1, rtol=1e-6
    )


def test_resampling_equals_its_definition() -> None:
    rng = np.random.default_rng(4)
    image = rng.normal(size=(1, 17, 22)).astype(np.float32)
    angle = np.deg2rad(25)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    shift = np.array([[1.3, -2.4]])
    out = resample_images(image, matrix, shift, (9, 11), fill=-7.0)
    for r in range(9):
        for c in range(11):
            y, x = matrix @ (np.array([r, c]) - [4, 5]) + [8 + 1.3, 10.5 - 2.4]
            if 0 <= y <= 16 and 0 <= x <= 21:
                i, j = min(int(y), 15), min(int(x), 20)
                f, g = y - i, x - j
                square = image[0, i : i + 2, j : j + 2].astype(float)
                want = np.array([1 - f, f]) @ square @ np.array([1 - g, g])
            else:
                want = -7.0
            assert out[0, r, c] == pytest.approx(want, abs=1e-5)


def test_a_film_that_fills_the_images_is_no_vacuum() -> None:
    """Its level rises with the path through it; that of a vacuum does not, and a particle outweighs a thin support."""
    rng = np.random.default_rng(6)
    angles = np.arange(-60.0, 61.0, 10.0)
    path = 1 / np.cos(np.deg2rad(angles))
    y, x = np.mgrid[:96, :96] - 47.5
    particle = 40.0 * (np.hypot(y, x) < 12)

    def isolated(level: npt.NDArray[np.float64]) -> bool:
        images = rng.poisson(level[:, None, None] + particle).astype(np.float32)
        return prepare(images, angles, 1, "auto", 1, None).isolated

    assert not isolated(20.0 * path)
    assert isolated(1.5 * path)
    assert isolated(20.0 * rng.uniform(0.9, 1.1, len(angles)))
