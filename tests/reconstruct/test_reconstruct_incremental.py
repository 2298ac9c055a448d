# SPDX-License-Identifier: BSD-3-Clause
"""A volume that views are added to one at a time is the volume of all of them."""

from __future__ import annotations

import numpy as np
import pytest

from cryolith.errors import InputError
from cryolith.projection import Geometry
from cryolith.reconstruct import GrowingWbp, wbp

SHAPE, IMAGE = (24, 40, 36), (40, 36)


def orders():
    angles = np.arange(-60.0, 61.0, 6.0)
    dose_symmetric = angles[np.lexsort((-angles, np.abs(angles)))]
    shuffled = np.random.default_rng(5).permutation(angles)
    twice = np.concatenate([angles[:6], angles[3:4], angles[6:]])
    full = np.arange(0.0, 180.0, 12.0)
    return {
        "ascending": angles,
        "descending": angles[::-1],
        "dose-symmetric": dose_symmetric,
        "shuffled": shuffled,
        "one tilt twice": twice,
        "half circle": full,
    }


def views(angles, rng):
    images = rng.normal(1, 1, (len(angles), *IMAGE)).astype(np.float32)
    return images, rng.normal(0, 3, (len(angles), 2))


def close(got, expected, views_so_far):
    """Within the rounding of one sum over the views for each view that was added."""
    bound = 4 * views_so_far * np.finfo(np.float32).eps * np.abs(expected).max()
    return np.abs(got - expected).max() <= bound


@pytest.mark.parametrize("order", orders())
@pytest.mark.parametrize("axis", [0.0, 84.7])
def test_equals_wbp_at_every_number_of_views(order, axis, rng):
    angles = orders()[order]
    images, shifts = views(angles, rng)
    growing = GrowingWbp(SHAPE, IMAGE, tilt_axis_deg=axis)
    cost = []
    for i in range(len(angles)):
        cost.append(growing.add(images[i : i + 1], angles[i : i + 1], shifts[i : i + 1]))
        so_far = slice(0, i + 1)
        geometry = Geometry.single_axis(
            angles[so_far], tilt_axis_deg=axis, shifts_px=shifts[so_far]
        )
        assert close(growing.volume, wbp(images[so_far], geometry, shape=SHAPE), i + 1)
    if order in ("ascending", "descending", "dose-symmetric"):
        assert max(cost) <= 3


@pytest.mark.parametrize("filter", ["ramp", "hann", "butterworth", "sirt-like"])
def test_every_filter_and_views_added_together(filter, rng):
    angles = orders()["dose-symmetric"]
    images, shifts = views(angles, rng)
    growing = GrowingWbp(SHAPE, IMAGE, filter=filter)
    for part in (slice(0, 9), slice(9, 10), slice(10, None)):
        growing.add(images[part], angles[part], shifts[part])
    geometry = Geometry.single_axis(angles, shifts_px=shifts)
    assert close(growing.volume, wbp(images, geometry, shape=SHAPE, filter=filter), len(angles))


def test_missing_pixels_are_filled_as_in_wbp(rng):
    angles = np.array([0.0, 20.0, -20.0])
    images, _ = views(angles, rng)
    images[1, 4:9, 3:30] = np.nan
    growing = GrowingWbp(SHAPE, IMAGE)
    for image, angle in zip(images, angles, strict=True):
        growing.add(image[None], [angle])
    assert close(growing.volume, wbp(images, angles, shape=SHAPE), 3)


def test_refuses_by_name(rng):
    growing = GrowingWbp(SHAPE, IMAGE)
    with pytest.raises(InputError, match="images: found"):
        growing.add(np.zeros((1, 4, 4), np.float32), [0.0])
    with pytest.raises(InputError, match="angles_deg: found 2"):
        growing.add(np.zeros((1, *IMAGE), np.float32), [0.0, 1.0])
    with pytest.raises(InputError, match="shape: found"):
        GrowingWbp((0, 4, 4), IMAGE)
    assert len(growing) == 0
    assert not growing.volume.any()
