# SPDX-License-Identifier: BSD-3-Clause
"""Predicted noise against many drawn reconstructions; measured noise against spectra that are known."""

from __future__ import annotations

import numpy as np
import pytest
from spectra import coloured, radius

from cryolith.errors import InputError
from cryolith.metrics import noise_power, noise_variance
from cryolith.projection import Geometry
from cryolith.reconstruct import wbp

TILTS = np.arange(-60, 61, 4.0)
DRAWS = 200


@pytest.mark.parametrize("filter", ["ramp", "hamming"])
@pytest.mark.parametrize(
    ("axis", "shape", "image"), [(0.0, (20, 8, 48), (8, 48)), (17.0, (20, 24, 48), (44, 48))]
)
def test_predicted_variance_is_that_of_many_draws(axis, shape, image, filter):
    rng = np.random.default_rng(1)
    shifts = rng.uniform(-0.9, 0.9, (len(TILTS), 2))
    geometry = Geometry.single_axis(TILTS, tilt_axis_deg=axis, shifts_px=shifts)
    variance = np.ones((len(TILTS), *image), "f4")
    variance[..., image[1] // 2 :] = 4.0
    predicted = noise_variance(geometry, shape, image, variance, filter=filter)
    drawn = np.zeros(shape)
    for _ in range(DRAWS):
        noise = np.sqrt(variance) * rng.standard_normal(variance.shape, dtype=np.float32)
        drawn += wbp(noise, geometry, shape=shape, filter=filter).astype("f8") ** 2 / DRAWS
    # Turned images meet each row between pixels otherwise: of all rows but those at the ends.
    middle = (slice(4, -4), slice(3, -3) if axis == 0.0 else slice(6, -6), slice(12, -12))
    ratio = predicted[middle] / drawn[middle]
    # The place of a voxel between the samples is averaged over: 3 % and, of the voxel itself, up to 10 %.
    assert ratio.mean() == pytest.approx(1.0, abs=0.05)
    assert np.std(ratio) < np.hypot(np.sqrt(2 / DRAWS), 0.1)
    quiet, loud = predicted[..., 12:16].mean(), predicted[..., -16:-12].mean()
    assert loud > 1.8 * quiet


def test_variances_scale_and_add():
    geometry, shape = Geometry.single_axis(TILTS), (6, 4, 20)
    one = noise_variance(geometry, shape, (4, 20), 1.0)
    assert noise_variance(geometry, shape, (4, 20), 9.0) == pytest.approx(9 * one, rel=1e-5)
    per_tilt = np.where(TILTS < 0, 1.0, 0.0)
    parts = [noise_variance(geometry, shape, (4, 20), v) for v in (per_tilt, 1 - per_tilt)]
    assert parts[0] + parts[1] == pytest.approx(one, rel=1e-4, abs=1e-9)
    out = np.empty(shape, "f4")
    assert noise_variance(geometry, shape, (4, 20), 1.0, out=out) is out
    # A smoother filter lets less noise through.
    assert one.mean() < noise_variance(geometry, shape, (4, 20), 1.0, filter="ramp").mean() / 2


@pytest.mark.parametrize("bad", [-1.0, [1.0, 2.0], np.nan])
def test_bad_variances_are_refused(bad):
    with pytest.raises(InputError, match="variance: found"):
        noise_variance(Geometry.single_axis(TILTS), (6, 4, 20), (4, 20), bad)


@pytest.mark.parametrize("shape", [(24, 20, 22), (64, 60)])
def test_the_power_of_white_and_coloured_noise(shape, rng):
    specimen = 50 * rng.random(shape)
    first, second = specimen + 0.5 * rng.standard_normal((2, *shape))
    found = noise_power(first, second)
    deviation = (found.power - 0.5) / found.sigma_power
    assert np.abs(deviation).max() < 4.5
    colour = 1.0 / (0.1 + radius(shape))
    first, second = (specimen + coloured(shape, colour, rng) for _ in range(2))
    found = noise_power(first, second)
    expected = 2.0 / (0.1 + found.frequency) ** 2
    assert (np.abs(found.power - expected) < 4.5 * found.sigma_power)[2:].all()


def test_the_noise_of_back_projection_rises_with_frequency():
    """White noise, n tilts over half a circle: power variance pi / n f, what the ramp leaves of 1 / f."""
    n, tilts = 128, np.arange(0, 180, 1.0)
    rng = np.random.default_rng(2)
    frames = 3.0 * rng.standard_normal((2, len(tilts), 64, n)).astype("f4")
    halves = wbp(frames, tilts, shape=(n, 64, n), halves="frames", filter="ramp")
    cut = (slice(32, 96), slice(None), slice(32, 96))
    first, second = (h[cut].swapaxes(0, 1) for h in (halves.first, halves.second))
    planes = [noise_power(a, b) for a, b in zip(first, second, strict=True)]
    power = np.mean([p.power for p in planes], axis=0)
    f = planes[0].frequency
    ideal = 2 * 9.0 * np.pi / len(tilts) * f
    # Linear interpolation between rows passes 2/3 + cos(2 pi f) / 3 of the power.
    expected = ideal * (2 / 3 + np.cos(2 * np.pi * f) / 3)
    middle = (f > 0.08) & (f < 0.3)
    assert power[middle] == pytest.approx(expected[middle], rel=0.12)
