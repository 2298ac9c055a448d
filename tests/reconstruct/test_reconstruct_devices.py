# SPDX-License-Identifier: BSD-3-Clause
"""Solvers on other devices find what they find on the CPU; what a device does not take is refused."""

from __future__ import annotations

import numpy as np
import pytest
from on_devices import CARDS, on_devices

import cryolith
from cryolith import reconstruct
from cryolith.projection import Geometry, project

SHAPE = (8, 18, 20)

# Each with the options that lead through all of its steps.
SOLVERS = {
    "wbp": {"filter": "hamming"},
    "sirt": {"n_iter": 3, "mask": True},
    "sart": {"n_iter": 1, "upper": 1.5},
    "cgls": {"n_iter": 3},
    "cgls, bounded": {"n_iter": 3, "lower": 0.0, "upper": 1.2, "mask": True},
    "lsqr": {"n_iter": 2, "damp": 0.5, "smooth": 0.4, "lower": 0.0},
    "mlem": {"n_iter": 2, "subsets": 2, "mask": True},
    "tv": {"n_iter": 3, "huber": 0.05, "mask": True},
}
# Projector pairs differ by 5e-7 of their result's norm (test_projection_devices.py) and steps not at all, so each
# iteration adds so much; a ratio (mlem) divides by expectations down to 1e-3 of the mean.
BOUNDS = {name: 5e-6 for name in SOLVERS} | {"mlem": 1e-4}


def series(axis: float) -> tuple[np.ndarray, Geometry]:
    """Return noisy images with a short gap and a missing image border, and how they look at the specimen."""
    rng = np.random.default_rng(41)
    volume = np.zeros(SHAPE, np.float32)
    volume[2:6, 4:14, 5:15] = 0.5 + rng.random((4, 10, 10))
    geometry = Geometry.single_axis(np.linspace(-60, 60, 5), tilt_axis_deg=axis)
    stack = project(volume, geometry, (24, 26))
    stack += rng.normal(0, 0.05, stack.shape).astype(np.float32)
    stack[2, 4, 5:7] = np.nan
    stack[1, :2] = np.nan
    return stack, geometry


def solved(name: str, device: str, axis: float) -> np.ndarray:
    """Return what a solver finds on a device."""
    stack, geometry = series(axis)
    options = dict(SOLVERS[name])
    if options.pop("mask", False):
        mask = np.ones(SHAPE)
        mask[:, :2] = 0
        options["mask"] = mask
    solve = getattr(reconstruct, name.split(",")[0])
    return solve(stack, geometry, shape=SHAPE, device=device, **options)


@pytest.mark.parametrize(
    ("name", "axis"), [*((name, 0.0) for name in SOLVERS), ("wbp", 31.0), ("cgls", 31.0)]
)
@on_devices
def test_solvers_find_what_they_find_on_the_cpu(device, name, axis):
    wanted, found = solved(name, "cpu", axis), solved(name, device, axis)
    assert np.linalg.norm(found - wanted) < BOUNDS[name] * np.linalg.norm(wanted)
    if name != "wbp":
        assert found.history == pytest.approx(wanted.history, rel=BOUNDS[name])
        assert found.stopped == "iterations"


@on_devices
def test_results_callbacks_and_halves_are_arrays_in_memory(device):
    stack, geometry = series(0.0)
    out, seen = np.empty(SHAPE, np.float32), []

    def look(iteration: int, state: reconstruct.State) -> bool:
        seen.append(state.volume.copy())
        return iteration == 1

    found = reconstruct.sirt(stack, geometry, shape=SHAPE, out=out, device=device, callback=look)
    assert np.shares_memory(found, out)
    assert (found.stopped, found.iterations) == ("callback", 1)
    assert np.array_equal(found, seen[0])
    assert found.any()
    halves = reconstruct.sirt(stack, geometry, shape=SHAPE, n_iter=1, halves="tilts", device=device)
    wanted = reconstruct.sirt(stack, geometry, shape=SHAPE, n_iter=1, halves="tilts")
    for name in ("first", "second", "full"):
        on_device, here = getattr(halves, name), getattr(wanted, name)
        assert np.linalg.norm(on_device - here) < 5e-6 * np.linalg.norm(here)


def test_inputs_are_not_written_into():
    stack, geometry = series(0.0)
    stack[np.isnan(stack)] = 0.0
    stack.flags.writeable = False
    before = stack.copy()
    init = np.full(SHAPE, 0.1, np.float32)
    reconstruct.cgls(stack, geometry, shape=SHAPE, n_iter=1, init=init, device="emulated")
    assert np.array_equal(stack, before)
    assert (init == np.float32(0.1)).all()


def test_auto_takes_a_card_where_there_is_one():
    stack, geometry = series(0.0)
    found = reconstruct.sirt(stack, geometry, shape=SHAPE, n_iter=1, device="auto")
    wanted = reconstruct.sirt(stack, geometry, shape=SHAPE, n_iter=1)
    assert np.allclose(found, wanted, rtol=0, atol=1e-5) if CARDS else np.array_equal(found, wanted)
    crossing = Geometry.single_axis(np.linspace(-60, 60, 5), x_tilts_deg=5.0)
    reconstruct.sirt(stack, crossing, shape=SHAPE, n_iter=1, device="auto")  # on the CPU


@pytest.mark.parametrize("solve", [reconstruct.sirt, reconstruct.wbp])
def test_what_a_device_does_not_take_is_refused(solve):
    stack, geometry = series(0.0)
    crossing = Geometry.single_axis(np.linspace(-60, 60, 5), x_tilts_deg=5.0)
    with pytest.raises(cryolith.InputError, match="free poses"):
        solve(stack, crossing, shape=SHAPE, device="emulated")
    with pytest.raises(cryolith.InputError, match="device: found 'gpu'"):
        solve(stack, geometry, shape=SHAPE, device="gpu")


def test_methods_without_device_code_are_refused():
    stack, geometry = series(0.0)
    with pytest.raises(cryolith.InputError, match="for dart"):
        reconstruct.dart(stack, geometry, shape=SHAPE, device="emulated")
    with pytest.raises(cryolith.InputError, match="fixed16"):
        reconstruct.wbp(stack, geometry, shape=SHAPE, device="emulated", precision="fixed16")
