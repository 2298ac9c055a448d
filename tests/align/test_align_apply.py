# SPDX-License-Identifier: BSD-3-Clause
"""Aligned images of series whose images differ in magnification."""

from __future__ import annotations

import numpy as np

from cryolith import simulate
from cryolith.align import aligned_images
from cryolith.simulate.solids import Phantom, ellipsoid


def test_a_ball_on_the_axis_stands_still_at_every_magnification() -> None:
    ball = Phantom(shape=(60, 60, 60), solids=(ellipsoid(1.0, (0.0, 9.0, 0.0), (6.0, 6.0, 6.0)),))
    m = np.array([0.9, 1.0, 1.1])
    series, truth = simulate.tilt_series(
        ball,
        [-30.0, 0.0, 40.0],
        tilt_axis_deg=25.0,
        rotations_deg=[1.0, 0.0, -2.0],
        shifts_px=[[1.5, -2.0], [0.0, 0.0], [-3.0, 1.0]],
        axis_offset_px=2.0,
        magnifications=m,
        image_shape=(81, 80),
    )
    still = aligned_images(series, truth, upright=True).astype(float)
    row, column = np.indices(still.shape[1:])
    for image in still:
        centre = np.array([(row * image).sum(), (column * image).sum()]) / image.sum()
        # v = 9 and u = 0 from the middle; bilinear resampling moves a centre of mass by less than this.
        np.testing.assert_allclose(centre - (np.array(image.shape) - 1) / 2, [9.0, 0.0], atol=0.03)
        # The same size at every magnification, so the same sum.
        np.testing.assert_allclose(image.sum(), still[1].sum(), rtol=0.01)
