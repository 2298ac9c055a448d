# SPDX-License-Identifier: BSD-3-Clause
"""What a geometry can see, against analytic geometry."""

from __future__ import annotations

import numpy as np
import pytest

from cryolith.errors import InputError
from cryolith.metrics import coverage, point_spread, sampled_fraction, transfer_function
from cryolith.projection import Geometry

LIMITED, FULL = np.arange(-60, 61, 2.0), np.arange(-90, 90, 2.0)


@pytest.mark.parametrize("axis", [0.0, 90.0, 27.0])
def test_coverage_counts_the_views_whose_image_holds_the_voxel(axis, rng):
    shape, image = (24, 10, 64), (30, 30) if axis == 27.0 else (10, 64) if axis == 0 else (64, 10)
    shifts = rng.uniform(-9, 9, (len(LIMITED), 2))
    geometry = Geometry.single_axis(LIMITED, tilt_axis_deg=axis, shifts_px=shifts, axis_offset_px=3)
    found = coverage(geometry, shape, image)
    z, y, x = (g - (n - 1) / 2 for g, n in zip(np.indices(shape), shape, strict=True))
    c, s = np.cos(np.deg2rad(axis)), np.sin(np.deg2rad(axis))
    count, unsure = np.zeros(shape), np.zeros(shape)
    for theta, shift in zip(np.deg2rad(LIMITED), shifts, strict=True):
        u = x * np.cos(theta) + z * np.sin(theta) + 3
        row, column = u * s + y * c + shift[0], u * c - y * s + shift[1]
        beyond = np.maximum(np.abs(row) - image[0] / 2, np.abs(column) - image[1] / 2)
        count += beyond <= 0
        # Corners of an image are round: there the interpolation along rows and columns multiplies.
        corner = (np.abs(np.abs(row) - image[0] / 2) < 3) & (
            np.abs(np.abs(column) - image[1] / 2) < 3
        )
        unsure += (np.abs(beyond) < 0.6) | (corner & (axis == 27.0))
    assert (np.abs(found - count) <= unsure).all()
    assert (found == count).mean() > 0.8
    assert found.max() > found.min()


def test_coverage_of_a_slab_is_full_in_the_parallelogram_that_all_tilts_see():
    found = coverage(Geometry.single_axis(LIMITED), (20, 4, 100), (4, 100))
    z, x = np.abs(np.indices((20, 100)) - np.array([9.5, 49.5])[:, None, None])
    inside = x + z * np.tan(np.deg2rad(60)) < 100 / 2 - 1
    assert (found[:, 2][inside] == len(LIMITED)).all()


def test_missing_pixels_and_images_are_not_counted():
    geometry = Geometry.single_axis(LIMITED)
    seen = np.ones((len(LIMITED), 8, 20), bool)
    seen[7] = False
    seen[:, 4, :] = False
    found = coverage(geometry, (6, 8, 12), (8, 20), seen=seen)
    assert (found[:, 4] == 0).all()
    assert (found[:, [0, 1, 2, 3, 5, 6, 7], 5:7] == len(LIMITED) - 1).all()
    out = np.full((6, 8, 12), 9, "f4")
    assert coverage(geometry, (6, 8, 12), (8, 20), seen=seen, out=out) is out
    assert np.array_equal(out, found)
    with pytest.raises(InputError, match="seen: found shape"):
        coverage(geometry, (6, 8, 12), (8, 21), seen=seen)


def sectors(n):
    kz, kx = np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None]
    return np.hypot(kz, kx), np.abs(np.rad2deg(np.arctan2(kz, kx)))


@pytest.mark.parametrize("tilts", [LIMITED, FULL], ids=["60 degrees", "full"])
def test_the_transfer_function_is_one_where_tilts_are_and_nothing_in_the_wedge(tilts):
    n = 64
    found = transfer_function(Geometry.single_axis(tilts), (n, 6, n), (6, n))
    radius, angle = sectors(n)
    low = (radius > 0.05) & (radius < 0.15)
    # Linear sums of the pair pass 1 - (pi f)^2 / 3 twice over; at 0.1 cycles/px that is 0.94.
    assert found[:, 0][low & (angle < 52)].mean() == pytest.approx(0.94, abs=0.02)
    beyond = found[:, 0][low & (angle > 68)]
    if tilts is FULL:
        assert beyond.mean() == pytest.approx(0.94, abs=0.02)
    else:
        assert abs(beyond.mean()) < 0.02
        assert np.abs(beyond).max() < 0.12
    # The axis runs along y: every plane of that frequency looks the same.
    assert np.abs(found - found[:, :1]).max() < 1e-4


def test_the_area_of_the_transfer_function_is_the_sampled_fraction():
    n = 64
    radius, _ = sectors(n)
    plane = transfer_function(Geometry.single_axis(LIMITED), (n, 1, n), (1, n))[:, 0]
    ring = (radius > 0.05) & (radius < 0.2)
    weights = np.where(np.arange(n // 2 + 1) % (n // 2) == 0, 1.0, 2.0) * ring
    share = (weights * (plane > 0.45)).sum() / weights.sum()
    assert share == pytest.approx(sampled_fraction(LIMITED, n), abs=0.03)


def test_the_point_is_longer_across_the_wedge():
    spread = point_spread(Geometry.single_axis(LIMITED), (33, 5, 33), (5, 33))[:, 2]
    assert np.unravel_index(spread.argmax(), spread.shape) == (16, 16)
    along_z, along_x = spread[:, 16] / spread[16, 16], spread[16] / spread[16, 16]
    assert along_z[17] > 1.3 * along_x[17]
    hamming = point_spread(Geometry.single_axis(LIMITED), (33, 5, 33), (5, 33), filter="hamming")
    assert hamming.max() < spread.max()


def test_sampled_fraction_becomes_the_angular_range():
    assert abs(sampled_fraction(np.arange(-90, 90, 0.1), 100.0) - 1.0) < 1e-6
    # Dense tilts over +-60: two thirds, and a little for the thickness of the outermost planes.
    assert 2 / 3 < sampled_fraction(np.arange(-60, 60.05, 0.1), 1000.0) < 2 / 3 + 0.005
    sparse = sampled_fraction([0.0], 200.0)
    assert sparse < 0.02
    assert sampled_fraction([-180.0, 0.0, 180.0, 360.0], 200.0) == pytest.approx(sparse)
    fine, coarse = np.arange(-76, 77, 2.0), np.arange(-76, 77, 4.0)
    assert sampled_fraction(fine, 80.0) > sampled_fraction(coarse, 80.0)
    for bad in ([0.0, np.nan], 10.0), ([0.0], np.nan):
        with pytest.raises(InputError, match="found"):
            sampled_fraction(*bad)
