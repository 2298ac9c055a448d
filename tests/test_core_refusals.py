# SPDX-License-Identifier: BSD-3-Clause
"""Odd arguments to the compiled core are refused or harmless: none crashes, hangs or takes the machine's memory."""

from __future__ import annotations

import numpy as np
import pytest

from cryolith import InputError, _core


def plan(**changed):
    pose = {"cos": 1.0, "sin": 0.0, "axis_cos": 1.0, "axis_sin": 0.0, "row": 0.0, "column": 0.0}
    values = [*{**pose, **changed}.values(), 0.0, 1.0]
    return _core.ProjectionPlan(np.array([values]), (4, 4, 4), (4, 4))


@pytest.mark.parametrize("tilt", [-1, 1, 10**12])
def test_a_plan_knows_only_its_own_tilts(tilt):
    with pytest.raises(InputError, match="expected 0 to 0"):
        plan().spacing(tilt)


@pytest.mark.parametrize(
    "pose",
    [
        {"cos": np.nan},
        {"cos": 0.0},
        {"sin": 1e300},
        {"axis_cos": 1e12},
        {"row": np.nan},
        {"column": 1e30},
    ],
    ids=str,
)
def test_a_plan_needs_angles_and_finite_shifts(pose):
    with pytest.raises(InputError, match="poses"):
        plan(**pose)


@pytest.mark.parametrize("count", [-1, 0, 2**62])
def test_a_filter_has_a_length(count):
    with pytest.raises(InputError, match="filter_length"):
        _core.filter_length(count)


def test_a_filter_of_no_length_is_refused():
    image = np.zeros((1, 4, 4), np.float32)
    with pytest.raises(InputError, match="length of 0"):
        _core.filter_stack(image, np.zeros((1, 1), np.float32), 0, image.copy())


def test_a_mistyped_number_of_threads_is_refused():
    labels = np.zeros((3, 3, 3), np.uint8)
    nothing = _core.RegionColumns(None, None, None, None, None)
    with pytest.raises(InputError, match="1 to 4096"):
        _core.region_sums(labels, 0, None, nothing, False, 10**9)


@pytest.mark.parametrize("shape", [(0, 3, 3), (3, 0, 3), (3, 3, 0)])
def test_a_volume_without_voxels_has_no_components(shape):
    with pytest.raises(InputError, match="expected at least one voxel"):
        _core.Components(shape, 26, (False,) * 5, False, None, 0.0)


def test_unaligned_pixels_are_refused():
    stack = np.frombuffer(bytes(401), np.uint8)[1:].view(np.float32)
    with pytest.raises(InputError, match="unaligned"):
        _core.count_missing(stack)


def test_an_output_may_not_be_an_input():
    a, b = np.ones((2, 3, 4), np.float32), np.ones((2, 3, 4), np.float32)
    with pytest.raises(InputError, match="shares memory"):
        _core.residual_step(a, b, None, a)
    with pytest.raises(InputError, match="shares memory"):
        _core.update_step(a, b, 1.0, 0.0, 1.0, a)
