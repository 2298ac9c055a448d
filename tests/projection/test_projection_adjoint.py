# SPDX-License-Identifier: BSD-3-Clause
"""project and backproject are transposes of each other and equal their definition."""

from __future__ import annotations

import sys
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from cryolith.projection import Geometry, backproject, project

sys.path.insert(0, str(Path(__file__).parents[1]))
from reference import projection as reference

EPS = np.finfo("f4").eps


@st.composite
def cases(draw, largest=40, tilts=7):
    """A geometry and shapes: odd sizes, one tilt, +-90 and beyond, any axis, shifts beyond the image."""
    size = st.integers(1, largest)
    n = draw(st.integers(1, tilts))
    special = st.sampled_from([0.0, 45.0, -45.0, 90.0, -90.0, 180.0, 89.999])
    angle = special | st.floats(-180, 180)
    axis = st.sampled_from([0.0, 90.0, -90.0, 180.0, 45.0]) | st.floats(-360, 360)
    shift = st.sampled_from([0.0, 0.5, -1.0, 300.0]) | st.floats(-60, 60)
    geometry = Geometry.single_axis(
        draw(st.lists(angle, min_size=n, max_size=n)),
        tilt_axis_deg=draw(axis),
        shifts_px=draw(st.lists(st.tuples(shift, shift), min_size=n, max_size=n)),
        rotations_deg=draw(st.lists(st.floats(-3, 3) | st.just(0.0), min_size=n, max_size=n)),
        axis_offset_px=draw(st.floats(-5, 5)),
    )
    shape = (draw(size), draw(size), draw(size))
    return geometry, shape, (draw(size), draw(size)), draw(st.integers(0, 2**31))


def dot(a, b):
    return float(np.vdot(a.astype("f8"), b.astype("f8")))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(case=cases())
def test_adjoint(case):
    geometry, shape, image_shape, seed = case
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape).astype("f4")
    y = rng.normal(size=(len(geometry), *image_shape)).astype("f4")
    ax, aty = project(x, geometry, image_shape), backproject(y, geometry, shape)
    scale = np.sqrt(dot(ax, ax) * dot(y, y)) + np.sqrt(dot(x, x) * dot(aty, aty))
    assert abs(dot(ax, y) - dot(x, aty)) <= 1e-6 * scale


def test_adjoint_of_planes_that_are_projected_in_parts():
    """Lines beyond 16 MB for eight rows are copied in parts: 96, 96 and 38 planes here."""
    geometry = Geometry.single_axis([-75.0, -60.0, 10.3, 80.0], shifts_px=np.full((4, 2), 0.3))
    shape, image_shape = (230, 3, 2800), (5, 2900)
    rng = np.random.default_rng(11)
    y = rng.normal(size=(4, *image_shape)).astype("f4")
    aty = backproject(y, geometry, shape)
    for planes in (slice(None), slice(0, 96), slice(96, 192), slice(192, 230)):
        x = np.zeros(shape, "f4")
        x[planes] = rng.normal(size=x[planes].shape)
        ax = project(x, geometry, image_shape)
        scale = np.sqrt(dot(ax, ax) * dot(y, y)) + np.sqrt(dot(x, x) * dot(aty, aty))
        assert abs(dot(ax, y) - dot(x, aty)) <= 1e-6 * scale


def assert_equals_the_definition(geometry, shape, image_shape, seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, size=shape).astype("f4")
    y = rng.uniform(-1, 1, size=(len(geometry), *image_shape)).astype("f4")
    a = reference.matrix(geometry.poses(), shape, image_shape)
    a *= geometry.weights().reshape(-1, 1, 1, 1, 1, 1)
    # One rounding per addition, and per entry the error of the tabulated weights: 1.7e-6 for row and column each.
    roundings, table = (64 + 2 * sum(shape)) * EPS, 2 * 1.7e-6
    for got, want, axes in (
        (project(x, geometry, image_shape), np.einsum("thwzyx,zyx->thw", a, x), (3, 4, 5)),
        (backproject(y, geometry, shape), np.einsum("thwzyx,thw->zyx", a, y), (0, 1, 2)),
    ):
        bound = roundings * np.abs(a).sum(axes) + table * np.count_nonzero(a, axis=axes)
        assert (np.abs(got - want) <= bound).all()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(case=cases(largest=9, tilts=3))
def test_equals_the_definition(case):
    assert_equals_the_definition(*case)


@pytest.mark.parametrize("axis", [0.0, 90.0, 180.0, 270.0, 2.8, 97.1, 175.3, 264.0, 7.2])
@pytest.mark.parametrize("shift", [0.0, -0.37])
def test_axes_along_and_near_an_image_axis_equal_the_definition(axis, shift):
    """They take other paths than those between: images smaller and larger than the volume, pixels and voxels alike."""
    geometry = Geometry.single_axis(
        [33.0, -45.0, 90.0],
        tilt_axis_deg=axis,
        shifts_px=[[shift, 0.0], [1.0, shift], [shift, 2.0]],
        magnifications=[1.0, 1.0, 1.0 if shift == 0 else 1.06],
    )
    assert_equals_the_definition(geometry, (4, 11, 6), (9, 7), 1)
    assert_equals_the_definition(geometry, (3, 5, 8), (13, 9), 2)


@pytest.mark.parametrize("axis", [0.0, 90.0, 33.0])
@pytest.mark.parametrize("sampling", [0.3, 0.05])
def test_voxels_finer_than_pixels_equal_the_definition(axis, sampling):
    """Many samples fall on one pixel."""
    geometry = Geometry.single_axis(
        [33.0, -50.0, 0.0], tilt_axis_deg=axis, shifts_px=[[0.3, -0.2]] * 3
    )
    assert_equals_the_definition(geometry.for_volume(sampling=sampling), (6, 11, 9), (7, 8), 3)


@pytest.mark.parametrize("axis", [-90.0, 3.0, 30.0])
def test_slabs_of_stretched_rows_meet(axis):
    """More rows than project() keeps at once (kSlabBytes): their shares of an image line add up, in one order."""
    geometry = Geometry.single_axis(
        np.linspace(-60, 60, 160), tilt_axis_deg=axis, shifts_px=np.full((160, 2), 0.3)
    )
    shape, image_shape = (2, 280, 400), (290, 400) if axis != -90.0 else (400, 290)
    rng = np.random.default_rng(4)
    x = rng.normal(size=shape).astype("f4")
    y = rng.normal(size=(160, *image_shape)).astype("f4")
    ax, aty = project(x, geometry, image_shape, threads=1), backproject(y, geometry, shape)
    scale = np.sqrt(dot(ax, ax) * dot(y, y)) + np.sqrt(dot(x, x) * dot(aty, aty))
    assert abs(dot(ax, y) - dot(x, aty)) <= 1e-6 * scale
    assert np.array_equal(ax, project(x, geometry, image_shape, threads=2))
