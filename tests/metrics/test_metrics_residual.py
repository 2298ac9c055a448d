# SPDX-License-Identifier: BSD-3-Clause
"""Residuals of images against predictions and against reconstructions."""

from __future__ import annotations

import numpy as np
import pytest

from cryolith.errors import InputError
from cryolith.metrics import residual, tilt_residuals
from cryolith.projection import Geometry, project


def test_residual_of_each_image():
    measured = np.ones((4, 3, 3))
    measured[1, 0, 0] = np.nan
    measured[3] = 0.0
    predicted = np.stack([np.zeros((3, 3)), np.ones((3, 3)), np.full((3, 3), 1.5), np.ones((3, 3))])
    np.testing.assert_allclose(residual(measured, predicted), [1.0, 0.0, 0.5, np.nan])


def test_residuals_of_a_volume_are_the_noise_of_its_data(rng):
    volume = rng.random((9, 12, 20)).astype("f4")
    geometry = Geometry.single_axis([-50.0, 0.0, 20.0], tilt_axis_deg=12.0)
    clean = project(volume, geometry, (14, 22))
    assert tilt_residuals(volume, clean, geometry).max() == 0.0
    lifted = clean + np.array([1.0, 2.0, 3.0], "f4")[:, None, None]
    assert tilt_residuals(volume, lifted, geometry, background=[1, 2, 3]).max() < 1e-6
    noise = 0.3 * rng.standard_normal(clean.shape)
    found = tilt_residuals(volume, clean + noise, geometry)
    expected = np.linalg.norm(noise, axis=(1, 2)) / np.linalg.norm(clean + noise, axis=(1, 2))
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "call",
    [
        lambda: residual(np.ones((2, 3, 3)), np.ones((3, 3, 3))),
        lambda: tilt_residuals(np.ones((2, 3, 3)), np.ones((3, 3, 3)), [0.0, 1.0]),
        lambda: tilt_residuals(np.ones((3, 3)), np.ones((3, 3, 3)), [0.0, 1.0, 2.0]),
    ],
)
def test_what_does_not_fit_is_refused(call):
    with pytest.raises(InputError, match="found"):
        call()
