# SPDX-License-Identifier: BSD-3-Clause
"""The projector pair on other devices is the CPU's; cards that are not there are refused with a reason."""

from __future__ import annotations

import numpy as np
import pytest
from on_devices import CARDS, on_devices

import cryolith
from cryolith import _core
from cryolith.projection import Geometry, backproject, plan_slabs, project


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


@pytest.fixture
def tall():
    """Volume rows for three slabs, whose edges see common pixels."""
    rng = np.random.default_rng(5)
    geometry = Geometry.single_axis([-50.0, 3.0, 60.0], tilt_axis_deg=2.0)
    volume = rng.normal(size=(5, 140, 12)).astype(np.float32)
    stack = rng.normal(size=(3, 142, 18)).astype(np.float32)
    return geometry, volume, stack


@on_devices
def test_arrays_on_a_device_stay_there(device, tall):
    geometry, volume, stack = tall
    there, images = cryolith.to_device(volume, device), cryolith.to_device(stack, device)
    out = cryolith.to_device(np.full_like(stack, np.nan), device)
    assert project(there, geometry, stack.shape[1:], out=out) is out
    wanted = project(volume, geometry, stack.shape[1:], device=device)
    np.testing.assert_array_equal(out.numpy(), wanted)
    back = backproject(images, geometry, volume.shape, device=device)
    assert isinstance(back, cryolith.DeviceArray)
    assert back.device == cryolith.to_device(0.0, device).device
    wanted = backproject(stack, geometry, volume.shape, device=device)
    np.testing.assert_array_equal(back.numpy(), wanted)
    np.testing.assert_array_equal(there.numpy(), volume)
    np.testing.assert_array_equal(images.numpy(), stack)


def test_an_array_of_another_library_goes_in_as_it_lies(tall):
    geometry, volume, stack = tall
    volume.flags.writeable = False
    images = project(cryolith.from_dlpack(volume), geometry, stack.shape[1:])
    wanted = project(volume, geometry, stack.shape[1:], device="emulated")
    np.testing.assert_array_equal(np.from_dlpack(images), wanted)
    with pytest.raises(cryolith.InputError, match="images: the array is read-only"):
        project(images, geometry, stack.shape[1:], out=cryolith.from_dlpack(readonly(stack)))


def readonly(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def test_arrays_on_a_device_are_refused_where_they_do_not_fit(tall):
    geometry, volume, stack = tall
    there = cryolith.to_device(volume, "emulated")
    refused = [
        ({"device": "cpu"}, "expected the one that they all lie on"),
        ({"device": "emulated:1"}, "expected the one that they all lie on"),
        ({"device": "emulated,emulated:1"}, "expected the one that they all lie on"),
        ({"out": np.empty_like(stack)}, "expected a float32 DeviceArray"),
        ({"out": cryolith.to_device(stack[:, 1:], "emulated")}, "expected a float32 DeviceArray"),
        ({"out": cryolith.to_device(stack, "emulated:1")}, "lie on"),
        ({"max_memory": 10**6}, "max_memory: found one for a DeviceArray"),
    ]
    for given, match in refused:
        with pytest.raises(cryolith.InputError, match=match):
            project(there, geometry, stack.shape[1:], **given)
    with pytest.raises(cryolith.InputError, match="float64 elements, expected float32"):
        project(cryolith.to_device(volume.astype(float), "emulated"), geometry, stack.shape[1:])
    with pytest.raises(cryolith.InputError, match="2 axes"):
        project(cryolith.to_device(volume[0], "emulated"), geometry, stack.shape[1:])
    with pytest.raises(cryolith.InputError, match="stack: found another shape"):
        backproject(cryolith.to_device(stack[1:], "emulated"), geometry, volume.shape)
    with pytest.raises(cryolith.InputError, match="out: found"):
        project(volume, geometry, stack.shape[1:], out=cryolith.to_device(stack, "emulated"))


def test_slabs_are_planned_and_give_the_whole(tall):
    geometry, volume, stack = tall
    image_shape = stack.shape[1:]
    whole = plan_slabs(geometry, volume.shape, image_shape, device="emulated")
    assert (whole.rows, whole.slabs, whole.at_once) == (140, 1, 1)
    limit = whole.device_bytes - 1
    slabs = plan_slabs(geometry, volume.shape, image_shape, device="emulated", max_memory=limit)
    assert slabs.slabs == 3
    assert slabs.device_bytes <= limit
    back = backproject(stack, geometry, volume.shape, device="emulated")
    images = project(volume, geometry, image_shape, device="emulated")
    in_slabs = {"device": "emulated", "max_memory": limit}
    np.testing.assert_array_equal(backproject(stack, geometry, volume.shape, **in_slabs), back)
    parts = project(volume, geometry, image_shape, **in_slabs)
    assert np.linalg.norm(parts - images) < 5e-7 * np.linalg.norm(images)
    # Whoever takes which slab, the sums are in one order.
    for devices in ("emulated:2,emulated", ["emulated", "emulated:1", "emulated:2"]):
        shared = project(volume, geometry, image_shape, device=devices, max_memory=limit)
        assert plan_slabs(
            geometry, volume.shape, image_shape, device=devices, max_memory=limit
        ).slabs in (2, 3)
        assert np.linalg.norm(shared - images) < 5e-7 * np.linalg.norm(images)
        np.testing.assert_array_equal(
            backproject(stack, geometry, volume.shape, device=devices), back
        )


def test_short_memory_makes_smaller_slabs_and_then_says_what_would_fit(tall):
    geometry, volume, stack = tall
    whole = plan_slabs(geometry, volume.shape, stack.shape[1:], device="emulated:3")
    try:
        _core.emulated_memory(3, whole.device_bytes)
        less = plan_slabs(geometry, volume.shape, stack.shape[1:], device="emulated:3")
        assert less.slabs == 3
        back = backproject(stack, geometry, volume.shape, device="emulated:3")
        _core.emulated_memory(3, 1000)
        with pytest.raises(cryolith.errors.DeviceError, match="use the CPU"):
            backproject(stack, geometry, volume.shape, device="emulated:3")
        there = cryolith.to_device(stack, "emulated:4")
        _core.emulated_memory(4, whole.device_bytes - 1)
        with pytest.raises(cryolith.errors.DeviceError, match="go through in slabs"):
            backproject(there, geometry, volume.shape, out=cryolith.to_device(volume, "emulated:4"))
    finally:
        _core.emulated_memory(3, 2**40)
        _core.emulated_memory(4, 2**40)
    np.testing.assert_array_equal(
        back, backproject(stack, geometry, volume.shape, device="emulated")
    )
    with pytest.raises(cryolith.errors.DeviceError, match="use the CPU"):
        project(volume, geometry, stack.shape[1:], device="emulated", max_memory=1000)


def test_a_lost_device_is_an_error_and_is_not_used_again(tall):
    geometry, volume, stack = tall
    _core.lose_emulated_after(9, 12)
    with pytest.raises(cryolith.errors.DeviceError, match="lost"):
        project(volume, geometry, stack.shape[1:], device="emulated:9")
    with pytest.raises(cryolith.errors.DeviceError, match="start a new process"):
        project(volume, geometry, stack.shape[1:], device="emulated:10,emulated:9")
    project(volume, geometry, stack.shape[1:], device="emulated:10")


def test_odd_devices_and_memory_are_refused(tall):
    geometry, volume, stack = tall
    for given, match in [
        ({"device": "emulated,emulated:0"}, "twice"),
        ({"device": "cpu,emulated"}, "device: found 'cpu'"),
        ({"device": []}, "found none"),
        ({"device": "emulated:99"}, "expected at most"),
        ({"device": "emulated", "max_memory": 0}, "max_memory: found 0"),
        ({"device": "cpu", "max_memory": 10**9}, "max_memory: found one for the CPU"),
    ]:
        with pytest.raises(cryolith.InputError, match=match):
            project(volume, geometry, stack.shape[1:], **given)
    with pytest.raises(cryolith.InputError, match="device: found 'cpu'"):
        plan_slabs(geometry, volume.shape, stack.shape[1:], device="cpu")


def test_cancelled_slabs_end(tall):
    geometry, volume, stack = tall
    token = cryolith.CancelToken()
    token.cancel()
    with pytest.raises(cryolith.Cancelled):
        backproject(stack, geometry, volume.shape, device="emulated", cancel=token)
