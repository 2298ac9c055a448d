# SPDX-License-Identifier: BSD-3-Clause
"""Reconstructions that no device holds go through devices in slabs of rows, and find what they find on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
from on_devices import on_devices

import cryolith
from cryolith import _core, reconstruct
from cryolith.projection import Geometry, plan_slabs, project
from cryolith.projection.on_devices import SlabPlan
from cryolith.reconstruct import plan
from cryolith.reconstruct.cut import Cut

SHAPE = (3, 80, 8)  # rows for two slabs
IMAGE = (82, 12)
ANGLES = [-40.0, 30.0]

SOLVERS = {
    "wbp": {"filter": "hamming"},
    "sirt": {"n_iter": 2, "mask": True},
    "sart": {"n_iter": 1, "subsets": 2, "upper": 1.5},
    "cgls": {"n_iter": 2},
    "lsqr": {"n_iter": 2, "damp": 0.5, "smooth": 0.4, "lower": 0.0},
    "mlem": {"n_iter": 1, "mask": True},
    "tv": {"n_iter": 2, "huber": 0.05},
}
# As of devices that hold all (test_reconstruct_devices.py).
BOUNDS = {name: 5e-6 for name in SOLVERS} | {"mlem": 1e-4}


def series(axis: float) -> tuple[np.ndarray, Geometry]:
    """Return noisy images with a short gap, and how they look at the specimen."""
    rng = np.random.default_rng(43)
    volume = np.zeros(SHAPE, np.float32)
    volume[:, 4:72, 2:7] = 0.5 + rng.random((3, 68, 5))
    geometry = Geometry.single_axis(ANGLES, tilt_axis_deg=axis)
    stack = project(volume, geometry, IMAGE)
    stack += rng.normal(0, 0.05, stack.shape).astype(np.float32)
    stack[1, 4, 5:7] = np.nan
    return stack, geometry


def edge_mask() -> np.ndarray:
    mask = np.ones(SHAPE)
    mask[:, :2] = 0
    return mask


def solved(name: str, axis: float, **how) -> np.ndarray:
    """Return what a solver finds."""
    stack, geometry = series(axis)
    options = dict(SOLVERS[name])
    if options.pop("mask", False):
        options["mask"] = edge_mask()
    return getattr(reconstruct, name)(stack, geometry, shape=SHAPE, **how, **options)


def too_little(axis: float) -> int:
    """Return bytes that hold two slabs of a projector pair, and not all of it."""
    _, geometry = series(axis)
    limit = plan_slabs(geometry, SHAPE, IMAGE, device="emulated").device_bytes - 1
    assert plan_slabs(geometry, SHAPE, IMAGE, device="emulated", max_memory=limit).slabs == 2
    return limit


@pytest.mark.parametrize("name", SOLVERS)
@on_devices
def test_rows_along_an_image_axis_have_the_same_bits_in_slabs(device, name):
    wanted, whole = solved(name, 0.0, device="cpu"), solved(name, 0.0, device=device)
    parts = solved(name, 0.0, device=device, max_memory=too_little(0.0))
    assert np.linalg.norm(parts - wanted) < BOUNDS[name] * np.linalg.norm(wanted)
    np.testing.assert_array_equal(parts, whole)
    if name != "wbp":
        assert parts.history == whole.history


@pytest.mark.parametrize("name", ["wbp", "sirt", "cgls"])
@on_devices
def test_slabs_that_share_pixels_find_what_is_found_on_the_cpu(device, name):
    wanted = solved(name, 2.0, device="cpu")
    parts = solved(name, 2.0, device=device, max_memory=too_little(2.0))
    assert np.linalg.norm(parts - wanted) < BOUNDS[name] * np.linalg.norm(wanted)
    shared = solved(name, 2.0, device="emulated:1,emulated", max_memory=too_little(2.0))
    # Whoever takes which slab, projections are added in one order.
    assert np.linalg.norm(shared - wanted) < BOUNDS[name] * np.linalg.norm(wanted)


@pytest.mark.parametrize("name", ["wbp", "cgls", "sart"])
def test_what_fits_neither_the_host_nor_the_device_is_cut_for_both(name):
    whole = solved(name, 0.0, device="emulated")
    cut = Cut(rows=48, layers=1)
    parts = solved(name, 0.0, device="emulated:1", max_memory=too_little(0.0), cut=cut)
    np.testing.assert_array_equal(parts, whole)


def settings(name: str, device: str) -> reconstruct.ReconstructSettings:
    options = {k: v for k, v in SOLVERS[name].items() if k not in ("mask", "huber", "smooth")}
    return reconstruct.ReconstructSettings(method=name, device=device, **options)


@pytest.mark.parametrize("name", ["sirt", "sart", "lsqr", "mlem"])
def test_a_device_holds_what_is_planned_for_it_and_takes_more_in_slabs(name):
    _, geometry = series(0.0)

    def planned() -> SlabPlan:
        how = {"volume_shape": SHAPE, "geometry": geometry}
        return plan(IMAGE, 2, settings(name, "emulated:11"), **how).device

    whole = planned()
    assert (whole.rows, whole.slabs, whole.pinned_bytes) == (80, 1, 0)
    mask = np.ones(SHAPE, np.float32).nbytes if "mask" in SOLVERS[name] else 0
    smooth = 2 * mask if "smooth" in SOLVERS[name] else 0
    free = (whole.device_bytes + mask + smooth) * 10 // 9 + 10  # a tenth is left
    wanted = solved(name, 0.0, device="emulated")
    try:
        _core.emulated_memory(11, free)
        np.testing.assert_array_equal(solved(name, 0.0, device="emulated:11"), wanted)
        _core.emulated_memory(11, whole.device_bytes)
        less = planned()
        assert less.pinned_bytes > 0
        assert less.device_bytes <= whole.device_bytes
    finally:
        _core.emulated_memory(11, 2**40)


def test_short_memory_makes_slabs_and_then_says_what_would_fit():
    whole = solved("sirt", 0.0, device="emulated")
    try:
        _core.emulated_memory(11, too_little(0.0))
        np.testing.assert_array_equal(solved("sirt", 0.0, device="emulated:11"), whole)
        _core.emulated_memory(11, 1000)
        with pytest.raises(cryolith.errors.DeviceError, match="use the CPU"):
            solved("sirt", 0.0, device="emulated:11")
    finally:
        _core.emulated_memory(11, 2**40)


@pytest.mark.parametrize(("name", "operations"), [("wbp", 40), ("sirt", 40), ("cgls", 90)])
def test_a_device_that_is_lost_ends_the_work(name, operations):
    number = {"wbp": 6, "sirt": 7, "cgls": 8}[name]
    how = {"device": f"emulated:{number}", "max_memory": too_little(0.0)}
    whole = solved(name, 0.0, device="emulated:1", max_memory=too_little(0.0))
    _core.lose_emulated_after(number, operations)
    with pytest.raises(cryolith.errors.DeviceError, match="lost"):
        solved(name, 0.0, **how)
    with pytest.raises(cryolith.errors.DeviceError, match="start a new process"):
        solved(name, 0.0, **how)
    np.testing.assert_array_equal(solved(name, 0.0, device="emulated:1"), whole)


@pytest.mark.parametrize("name", ["sirt", "tv"])
def test_cancelled_slabs_leave_the_last_whole_iteration(name):
    token = cryolith.CancelToken()
    limit = too_little(0.0)

    def stop(iteration: int, state: reconstruct.State) -> None:
        if iteration == 1:
            token.cancel()

    how = {"device": "emulated", "max_memory": limit}
    found = solved(name, 0.0, callback=stop, cancel=token, **how)
    assert (found.stopped, found.iterations) == ("cancelled", 1)
    stack, geometry = series(0.0)
    options = {k: v for k, v in SOLVERS[name].items() if k not in ("mask", "n_iter")}
    if name == "sirt":
        options["mask"] = edge_mask()
    solve = getattr(reconstruct, name)
    wanted = solve(stack, geometry, shape=SHAPE, n_iter=1, **options, **how)
    np.testing.assert_array_equal(found, wanted)


def test_the_stage_takes_one_limit_for_the_host_and_its_devices(tmp_path):
    rng = np.random.default_rng(4)
    images = rng.random((2, 80, 40)).astype(np.float32)
    angles = np.array(ANGLES)
    tilts = cryolith.datamodel.TiltSeries(images=images, angles_deg=angles, pixel_size=10.0)
    alignment = cryolith.datamodel.Alignment(
        angles_deg=angles, tilt_axis_deg=0.0, shifts_px=np.zeros((2, 2))
    )
    how = {"method": "cgls", "n_iter": 1, "thickness": 600.0, "background": "none"}
    here = reconstruct.ReconstructSettings(**how)
    there = reconstruct.ReconstructSettings(device="emulated:1", **how)
    shape = (60, 80, 40)
    geometry = Geometry.from_alignment(alignment)
    plans = {"volume_shape": shape, "geometry": geometry, "threads": 1}
    limit = int(0.7 * plan(images.shape[1:], 2, here, **plans).bytes_peak)
    needs = plan(images.shape[1:], 2, there, max_memory=limit, **plans)
    assert needs.device.device_bytes <= limit
    assert needs.bytes_peak <= limit
    assert needs.cut.on_disk
    wanted = reconstruct.reconstruct(tilts, alignment, here).data
    found = reconstruct.reconstruct(
        tilts, alignment, there, max_memory=limit, workspace=tmp_path, threads=1
    ).data
    assert np.linalg.norm(found - wanted) < 5e-6 * np.linalg.norm(wanted)


@pytest.mark.parametrize("name", ["wbp", "sirt"])
def test_odd_devices_and_memory_are_refused(name):
    for given, match in [
        ({"device": "emulated,emulated:0"}, "twice"),
        ({"device": "cpu,emulated"}, "device: found 'cpu'"),
        ({"device": []}, "found none"),
        ({"device": "emulated", "max_memory": 0}, "max_memory: found 0"),
        ({"device": "cpu", "max_memory": 10**9}, "max_memory: found one for the CPU"),
    ]:
        with pytest.raises(cryolith.InputError, match=match):
            solved(name, 0.0, **given)
