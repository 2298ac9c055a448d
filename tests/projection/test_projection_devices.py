# SPDX-License-Identifier: BSD-3-Clause
"""The projector pair on other devices is the CPU's; cards that are not there are refused with a reason."""

from __future__ import annotations

import numpy as np
import pytest
from on_devices import CARDS, on_devices

import cryolith
from cryolith.projection import Geometry, backproject, project


@on_devices
@pytest.mark.parametrize("axis", [0.0, 4.0, 31.0, 90.0])
def test_the_pair_equals_that_of_the_cpu(device, axis):
    rng = np.random.default_rng(int(axis))
    shifts = rng.normal(size=(5, 2))
    geometry = Geometry.single_axis(np.linspace(-62, 62, 5), tilt_axis_deg=axis, shifts_px=shifts)
    volume = rng.normal(size=(14, 33, 29)).astype(np.float32)
    stack = rng.normal(size=(5, 36, 31)).astype(np.float32)
    images = project(volume, geometry, (36, 31))
    back = backproject(stack, geometry, volume.shape)
    on_device = project(volume, geometry, (36, 31), device=device)
    back_on_device = backproject(stack, geometry, volume.shape, device=device)
    # float32 sums of some tens of terms in another order.
    assert np.linalg.norm(on_device - images) < 5e-7 * np.linalg.norm(images)
    assert np.linalg.norm(back_on_device - back) < 5e-7 * np.linalg.norm(back)
    forth = np.vdot(on_device.astype(float), stack)
    assert forth == pytest.approx(
        np.vdot(back_on_device.astype(float), volume), abs=1e-6 * float(np.sum(volume**2))
    )


def test_what_a_device_does_not_take_is_refused():
    volume = np.ones((6, 8, 8), np.float32)
    crossing = Geometry.single_axis([0.0, 10.0], x_tilts_deg=5.0)
    with pytest.raises(cryolith.InputError, match="free poses"):
        project(volume, crossing, (8, 8), device="emulated")
    straight = Geometry.single_axis([0.0, 10.0])
    with pytest.raises(cryolith.InputError, match="fixed16"):
        backproject(np.ones((2, 8, 8)), straight, (6, 8, 8), precision="fixed16", device="emulated")
    for name in ("gpu", "cuda:", "cuda:x", "cuda:-1", ""):
        with pytest.raises(cryolith.InputError, match="device: found"):
            project(volume, straight, (8, 8), device=name)


@pytest.mark.skipif(bool(CARDS), reason="there is a card")
def test_a_card_that_is_not_there_is_refused_with_the_reason():
    straight = Geometry.single_axis([0.0])
    (cuda,) = [d for d in cryolith.devices() if d.name == "cuda"]
    reason = cuda.description.split(";")[0]
    with pytest.raises(cryolith.errors.DeviceError) as error:
        project(np.ones((6, 8, 8), np.float32), straight, (8, 8), device="cuda")
    assert reason in str(error.value)
