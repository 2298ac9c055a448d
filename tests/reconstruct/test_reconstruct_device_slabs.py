# SPDX-License-Identifier: BSD-3-Clause
"""Reconstructions that no device holds go through devices in slabs of rows, and find what they find on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
from on_devices import on_devices

import cryolith
from cryolith import _core, reconstruct
from cryolith.projection import Geometry, plan_slabs, project
from cryolith.reconstruct.cut import Cut

SHAPE = (5, 140, 12)  # rows for three slabs
IMAGE = (144, 18)

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
    volume[1:4, 4:120, 3:9] = 0.5 + rng.random((3, 116, 6))
    geometry = Geometry.single_axis([-50.0, 3.0, 40.0], tilt_axis_deg=axis)
    stack = project(volume, geometry, IMAGE)
    stack += rng.normal(0, 0.05, stack.shape).astype(np.float32)
    stack[2, 4, 5:7] = np.nan
    return stack, geometry


def solved(name: str, axis: float, **how) -> np.ndarray:
    """Return what a solver finds."""
    stack, geometry = series(axis)
    options = dict(SOLVERS[name])
    if options.pop("mask", False):
        mask = np.ones(SHAPE)
        mask[:, :2] = 0
        options["mask"] = mask
    return getattr(reconstruct, name)(stack, geometry, shape=SHAPE, **how, **options)


def too_little(axis: float, tilts: int = 3) -> int:
    """Return bytes that do not hold the whole of a projector pair of some tilts."""
    _, geometry = series(axis)
    some = geometry.subset(slice(tilts))
    return plan_slabs(some, SHAPE, IMAGE, device="emulated").device_bytes - 1


@pytest.mark.parametrize("name", SOLVERS)
@on_devices
def test_rows_along_an_image_axis_have_the_same_bits_in_slabs(device, name):
    wanted, whole = solved(name, 0.0, device="cpu"), solved(name, 0.0, device=device)
    parts = solved(name, 0.0, device=device, max_memory=too_little(0.0))
    assert np.linalg.norm(parts - wanted) < BOUNDS[name] * np.linalg.norm(wanted)
    np.testing.assert_array_equal(parts, whole)
    if name != "wbp":
        assert parts.history == whole.history


@pytest.mark.parametrize("name", ["wbp", "sirt", "cgls", "tv"])
@on_devices
def test_slabs_that_share_pixels_find_what_is_found_on_the_cpu(device, name):
    wanted = solved(name, 2.0, device="cpu")
    parts = solved(name, 2.0, device=device, max_memory=too_little(2.0))
    assert np.linalg.norm(parts - wanted) < BOUNDS[name] * np.linalg.norm(wanted)
    shared = solved(name, 2.0, device="emulated:1,emulated,emulated:2", max_memory=too_little(2.0))
    # Whoever takes which slab, projections are added in one order.
    assert np.linalg.norm(shared - wanted) < BOUNDS[name] * np.linalg.norm(wanted)


@pytest.mark.parametrize("name", ["wbp", "cgls", "sart"])
def test_what_fits_neither_the_host_nor_the_device_is_cut_for_both(name):
    whole = solved(name, 0.0, device="emulated")
    cut = Cut(rows=80, layers=2)
    parts = solved(name, 0.0, device="emulated:1", max_memory=too_little(0.0), cut=cut)
    np.testing.assert_array_equal(parts, whole)


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
