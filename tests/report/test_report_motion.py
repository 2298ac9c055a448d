# SPDX-License-Identifier: BSD-3-Clause
"""Numbers and pictures of the motion report."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cryolith.report.motion_figures import power_of, radial, spectra_picture


@pytest.mark.parametrize("shape", [(48, 48), (49, 61), (64, 33)])
def test_the_power_is_that_of_the_whole_plane(shape, rng):
    image = rng.normal(5, 1, shape).astype(np.float32)
    n = min(shape)
    window = np.outer(np.hanning(n + 2)[1:-1], np.hanning(n + 2)[1:-1])
    starts = [
        np.unique(np.linspace(0, size - n, max(1, 2 * size // n - 1)).astype(int)) for size in shape
    ]
    expected, count = np.zeros((n, n)), 0
    for row in starts[0]:
        for column in starts[1]:
            tile = image[row : row + n, column : column + n].astype(float)
            expected += np.abs(np.fft.fft2((tile - tile.mean()) * window)) ** 2
            count += 1
    expected = np.fft.fftshift(expected) / count / (window**2).sum()
    np.testing.assert_allclose(power_of(image), expected, rtol=1e-9, atol=1e-9)


def test_white_noise_has_its_variance_at_every_frequency(rng):
    image = rng.poisson(30, (1024, 1024)).astype(np.float32)
    frequency, power = radial(power_of(image))
    assert frequency[0] == 1 / 512
    assert frequency[-1] == 0.5
    # A ring of k coefficients, nine tiles that overlap by half, a window that couples neighbours: 2 pi k are free.
    spread = 1 / np.sqrt(2 * np.pi * 512 * frequency)
    assert (np.abs(power / 30 - 1) < 5 * spread).all()
    assert np.average(power, weights=frequency) == pytest.approx(30, rel=0.01)


def test_the_picture_shows_what_motion_takes_away(rng):
    n = 256
    fy = np.fft.fftfreq(n)[:, None]
    noise = np.fft.rfft2(rng.normal(size=(n, n)))
    after = np.fft.irfft2(noise, s=(n, n)).astype(np.float32)
    before = np.fft.irfft2(noise * np.sinc(4 * fy), s=(n, n)).astype(np.float32)
    picture = np.asarray(Image.open(io.BytesIO(spectra_picture(before, after))), float)
    assert picture.shape == (n, 2 * n + 4)
    left, right = picture[:, :n], picture[:, -n:]
    middle = slice(n // 2 - 8, n // 2 + 8)
    # Blurred along the rows' direction: dark where ky is at the zero of the sinc, as bright as before along kx.
    zero = slice(n // 2 + 60, n // 2 + 68)
    assert left[zero, middle].mean() < 0.3 * right[zero, middle].mean()
    assert left[middle, zero].mean() == pytest.approx(right[middle, zero].mean(), rel=0.1)


def test_images_without_signal_make_a_picture_too():
    flat = np.zeros((32, 32), np.float32)
    assert Image.open(io.BytesIO(spectra_picture(flat, flat))).size == (68, 32)
