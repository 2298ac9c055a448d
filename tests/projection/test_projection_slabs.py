# SPDX-License-Identifier: BSD-3-Clause
"""A plan cut into slabs of volume rows gives the bytes of the whole, on part of the images."""

import numpy as np
import pytest

import cryolith
from cryolith import _core
from cryolith.projection import Geometry

AXES = [0.0, 90.0, 2.8, 92.8, -137.0]


def case(axis, seed):
    rng = np.random.default_rng([seed, 20261127])
    n, shape = (
        int(rng.integers(1, 6)),
        tuple(int(v) for v in rng.integers([1, 33, 9], [30, 90, 60])),
    )
    image = tuple(int(v) for v in rng.integers(20, 90, 2))
    geometry = Geometry.single_axis(
        rng.uniform(-90, 90, n),
        tilt_axis_deg=axis,
        shifts_px=rng.normal(0, 4, (n, 2)),
        rotations_deg=rng.normal(0, 0.5, n),
        axis_offset_px=rng.normal(),
    )
    plan = _core.ProjectionPlan(geometry.poses(), shape, image)
    stack = rng.standard_normal((n, *image)).astype("f4")
    return plan, stack, rng.standard_normal(shape).astype("f4")


def slabs(plan, ny, rows=32):
    return [(a, min(ny, a + rows), plan.slab(a, min(ny, a + rows))) for a in range(0, ny, rows)]


def cut(stack, slab):
    r0, r1, c0, c1 = slab.window
    return np.ascontiguousarray(stack[:, r0:r1, c0:c1])


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("seed", range(6))
def test_backprojection(axis, seed):
    plan, stack, like = case(axis, seed)
    whole = np.empty_like(like)
    plan.backproject(stack, whole)
    for a, b, slab in slabs(plan, like.shape[1]):
        out = np.empty((like.shape[0], b - a, like.shape[2]), "f4")
        slab.backproject(cut(stack, slab), out)
        assert out.tobytes() == whole[:, a:b].tobytes()


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("seed", range(6))
def test_weighted_backprojection(axis, seed):
    plan, stack, like = case(axis, seed)
    lengths = _core.filter_lengths(plan)
    gains = np.random.default_rng(seed).random((len(stack), max(lengths) // 2 + 1), dtype="f4")
    whole = np.empty_like(like)
    _core.wbp(plan, stack, gains, lengths, whole)
    for a, b, slab in slabs(plan, like.shape[1]):
        out = np.empty((like.shape[0], b - a, like.shape[2]), "f4")
        _core.wbp(slab, cut(stack, slab), gains, lengths, out)
        assert out.tobytes() == whole[:, a:b].tobytes()


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("seed", range(6))
def test_projections_of_slabs_add_up_in_order(axis, seed):
    plan, stack, volume = case(axis, seed)
    whole, total = np.empty_like(stack), np.zeros_like(stack)
    plan.project(volume, whole)
    for a, b, slab in slabs(plan, volume.shape[1]):
        r0, r1, c0, c1 = slab.window
        part = cut(total, slab)
        slab.project(np.ascontiguousarray(volume[:, a:b]), part, add=True)
        total[:, r0:r1, c0:c1] = part
    assert total.tobytes() == whole.tobytes()


def test_a_slab_of_a_slab_is_the_slab():
    plan, stack, like = case(2.8, 1)
    first, again = plan.slab(16, 48), plan.slab(0, 64).slab(16, 48)
    assert first.window == again.window
    out = np.empty((2, like.shape[0], 32, like.shape[2]), "f4")
    first.backproject(cut(stack, first), out[0])
    again.backproject(cut(stack, again), out[1])
    assert out[0].tobytes() == out[1].tobytes()


def test_a_slab_sees_few_rows_of_the_images():
    geometry = Geometry.single_axis(np.linspace(-60, 60, 7), shifts_px=np.full((7, 2), 0.5))
    window = _core.ProjectionPlan(geometry.poses(), (16, 512, 64), (512, 64)).slab(256, 272).window
    assert tuple(window) == (256 - 3, 272 + 4, 0, 64)


@pytest.mark.parametrize(
    ("first", "last", "what"),
    [
        (8, 16, "multiples of 16"),
        (0, 24, "multiples of 16"),
        (16, 16, "part of"),
        (0, 99, "part of"),
    ],
)
def test_slabs_that_would_change_the_result_are_refused(first, last, what):
    plan = _core.ProjectionPlan(Geometry.single_axis([0.0]).poses(), (1, 40, 8), (40, 8))
    assert _core.ProjectionPlan.slab_rows == 16
    with pytest.raises(cryolith.InputError, match=what):
        plan.slab(first, last)
