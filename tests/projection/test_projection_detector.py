# SPDX-License-Identifier: BSD-3-Clause
"""Voxels wider than pixels, views of unequal magnification: one detector for all views and each subset of them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from cryolith.projection import Geometry, backproject, project
from cryolith.projection.operators import make_plan
from cryolith.reconstruct import sart, wbp

sys.path.insert(0, str(Path(__file__).parents[1]))
from reference import detector as reference

EPS = np.finfo("f4").eps
TILTS = np.array([-60.0, -20.0, 10.0, 55.0])
MAGNIFICATIONS = np.array([0.8, 1.1, 0.9, 1.0])
SAMPLING = 2.0
SHAPE, IMAGE = (5, 4, 6), (11, 14)
SUBSET = [0, 2]  # the largest magnification is not in it


def geometry(axis=3.0):
    shifts = np.random.default_rng(1).normal(size=(4, 2))
    views = Geometry.single_axis(
        TILTS, tilt_axis_deg=axis, shifts_px=shifts, magnifications=MAGNIFICATIONS
    )
    return views.for_volume(sampling=SAMPLING, centre_px=(1.0, -0.5, 2.0))


@pytest.mark.parametrize("axis", [0.0, 3.0, 90.0, 33.0])
@pytest.mark.parametrize("index", [slice(None), SUBSET])
def test_the_pair_is_its_definition_in_any_subset(axis, index, rng):
    whole = geometry(axis)
    a = reference.matrix(whole, SHAPE, IMAGE, SAMPLING * MAGNIFICATIONS.max())[index]
    plan = make_plan(whole.subset(index), SHAPE, IMAGE, whole)
    x, y = rng.normal(size=SHAPE).astype("f4"), rng.normal(size=(len(a), *IMAGE)).astype("f4")
    ax, aty = np.empty_like(y), np.empty_like(x)
    plan.project(x, ax)
    plan.backproject(y, aty)
    # Each value passes five sums (shear, two of the stretch, two of the detector) of at most 24 taps.
    bound = 5 * 24 * EPS
    size = np.einsum("thwzyx,zyx->thw", abs(a), abs(x))
    assert (abs(ax - np.einsum("thwzyx,zyx->thw", a, x)) <= bound * size.max()).all()
    size = np.einsum("thwzyx,thw->zyx", abs(a), abs(y))
    assert (abs(aty - np.einsum("thwzyx,thw->zyx", a, y)) <= bound * size.max()).all()


def test_a_geometry_of_its_own_has_a_detector_of_its_own(rng):
    alone = geometry().subset(SUBSET)
    a = reference.matrix(alone, SHAPE, IMAGE, SAMPLING * MAGNIFICATIONS[SUBSET].max())
    x = rng.normal(size=SHAPE).astype("f4")
    size = np.einsum("thwzyx,zyx->thw", abs(a), abs(x))
    want = np.einsum("thwzyx,zyx->thw", a, x)
    assert (abs(project(x, alone, IMAGE) - want) <= 5 * 24 * EPS * size.max()).all()


def specimen():
    """A blob at 13 tilts whose magnification grows, seen by voxels of two pixels."""
    views = Geometry.single_axis(
        np.linspace(-60, 60, 13), tilt_axis_deg=3.0, magnifications=np.linspace(0.8, 1.1, 13)
    ).for_volume(sampling=2.0)
    z, y, x = np.indices((24, 24, 24)) - 11.5
    blob = np.exp(-(z**2 + y**2 + x**2) / 40).astype("f4")
    return views, blob, project(blob, views, (48, 48))


@pytest.mark.parametrize("filter", ["ramp", "sirt-like"])
def test_halves_of_unequal_magnifications_add_up(filter):
    views, blob, images = specimen()
    how = {"shape": blob.shape, "filter": filter}
    whole = wbp(images, views, **how)
    found = wbp(images, views, halves="tilts", **how)
    bound = len(views) * EPS * np.abs(whole).max()
    assert np.abs(found.full - whole).max() < bound
    muted = images.copy()
    muted[found.index[1]] = 0
    assert np.abs(found.first - wbp(muted, views, **how)).max() < bound


def test_a_consistent_volume_stays_in_ordered_subsets():
    """What one detector for all views has projected, no subset corrects."""
    views, blob, images = specimen()
    found = sart(images, views, shape=blob.shape, subsets=4, n_iter=1, init=blob)
    assert found.history[-1] < 1e-6
    assert np.abs(found - blob).max() < 1e-5


def test_the_adjoint_of_all_views_is_the_sum_over_subsets(rng):
    views = geometry()
    y = rng.normal(size=(4, *IMAGE)).astype("f4")
    total = np.zeros(SHAPE, "f4")
    for index in ([0, 2], [1, 3]):
        part = np.empty(SHAPE, "f4")
        make_plan(views.subset(index), SHAPE, IMAGE, views).backproject(y[index], part)
        total += part
    want = backproject(y, views, SHAPE)
    assert np.abs(total - want).max() < 8 * EPS * np.abs(want).max()


def test_a_tilt_near_an_image_axis_is_turned_where_another_of_its_series_is(rng):
    """Subsets are projected as the series is, to rounding of positions (2^-32 px) and of sums."""
    views = Geometry.single_axis(TILTS, tilt_axis_deg=5.0, rotations_deg=[0.0, 4.0, 0.0, 4.0])
    x, shape = rng.normal(size=SHAPE).astype("f4"), (len(SUBSET), *IMAGE)
    whole, alone, among = (
        project(x, views, IMAGE)[SUBSET],
        np.empty(shape, "f4"),
        np.empty(shape, "f4"),
    )
    make_plan(views.subset(SUBSET), SHAPE, IMAGE).project(x, alone)
    make_plan(views.subset(SUBSET), SHAPE, IMAGE, views).project(x, among)
    assert np.abs(among - whole).max() < 8 * EPS * np.abs(whole).max()
    assert np.abs(alone - whole).max() > 1e-3 * np.abs(whole).max()  # strips, not turns
