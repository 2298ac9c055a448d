# SPDX-License-Identifier: BSD-3-Clause
"""The operators as part of other programs: bits, threads, inputs, cancelling, the GIL."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import cryolith
from cryolith import _core
from cryolith.projection import Geometry, backproject, project
from cryolith.reconstruct import filter_projections

sys.path.insert(0, str(Path(__file__).parents[1]))
from reference import projection as reference

GEOMETRY = Geometry.single_axis(
    np.linspace(-80, 80, 9), tilt_axis_deg=86.0, shifts_px=np.full((9, 2), 0.7)
)
EPS = np.finfo("f4").eps
SHAPE, IMAGE = (20, 70, 33), (40, 66)


def arrays(seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=SHAPE).astype("f4"), rng.normal(size=(9, *IMAGE)).astype("f4")


def test_same_bits_for_any_number_of_threads():
    volume, stack = arrays()
    one = (
        project(volume, GEOMETRY, IMAGE, threads=1),
        backproject(stack, GEOMETRY, SHAPE, threads=1),
    )
    for threads in (2, 3, 0):
        assert np.array_equal(one[0], project(volume, GEOMETRY, IMAGE, threads=threads))
        assert np.array_equal(one[1], backproject(stack, GEOMETRY, SHAPE, threads=threads))


def test_alternating_calls_do_not_disturb_each_other():
    volume, stack = arrays()
    first = project(volume, GEOMETRY, IMAGE), backproject(stack, GEOMETRY, SHAPE)
    assert np.array_equal(first[0], project(volume, GEOMETRY, IMAGE))
    assert np.array_equal(first[1], backproject(stack, GEOMETRY, SHAPE))


def test_linear():
    (a, p), (b, q) = arrays(1), arrays(2)
    for f, x, y in (
        (lambda v: project(v, GEOMETRY, IMAGE), a, b),
        (lambda s: backproject(s, GEOMETRY, SHAPE), p, q),
    ):
        left, right = f(2 * x - y), 2 * f(x) - f(y)
        assert np.abs(left - right).max() <= 1e-5 * np.abs(right).max()


def test_any_real_input_gives_the_same_bits_and_is_not_written():
    _, stack = arrays()
    stack = np.round(stack * 100)
    want = backproject(stack, GEOMETRY, SHAPE)
    strided = np.zeros((9, IMAGE[0], 2 * IMAGE[1]), "f4")[:, :, ::2]
    strided[:] = stack
    for variant in (
        stack.astype("i2"),
        stack.astype(">f4"),
        stack.astype("f8"),
        strided,
        np.asfortranarray(stack),
    ):
        variant.flags.writeable = False
        before = variant.copy()
        assert np.array_equal(want, backproject(variant, GEOMETRY, SHAPE))
        assert np.array_equal(before, variant)


def test_missing_pixels_contribute_nothing():
    _, stack = arrays()
    holes = stack.copy()
    holes[2, 5, 7], holes[4, :, 3], holes[8, 0, 0] = np.nan, np.inf, -np.inf
    zeros = np.where(np.isfinite(holes), holes, 0)
    assert np.array_equal(backproject(holes, GEOMETRY, SHAPE), backproject(zeros, GEOMETRY, SHAPE))


def test_out_is_overwritten_and_returned():
    volume, stack = arrays()
    out = np.full((9, *IMAGE), np.nan, "f4")
    assert project(volume, GEOMETRY, IMAGE, out=out) is out
    assert np.array_equal(out, project(volume, GEOMETRY, IMAGE))
    back = np.full(SHAPE, np.nan, "f4")
    backproject(stack, GEOMETRY, SHAPE, out=back)
    assert np.array_equal(back, backproject(stack, GEOMETRY, SHAPE))


def test_the_core_refuses_what_it_would_have_to_convert():
    plan = _core.ProjectionPlan(GEOMETRY.poses(), SHAPE, IMAGE)
    volume, stack = arrays()
    with pytest.raises(TypeError):
        plan.project(volume.astype("f8"), stack, 1, None)
    with pytest.raises(TypeError):
        plan.backproject(stack, np.asfortranarray(volume), 1, None)
    square = _core.ProjectionPlan(Geometry.single_axis([0.0]).poses(), (1, 8, 8), (8, 8))
    same = np.zeros((1, 8, 8), "f4")
    with pytest.raises(cryolith.InputError, match="shares memory"):
        square.project(same, same, 1, None)


def test_fixed_point_is_as_close_as_it_says(rng):
    """Rows are rounded to 1/64000 of the largest sample, weights to 1/4096 (twice a half unit of 2^-11)."""
    stack = rng.normal(size=(61, 40, 48)).astype("f4")
    for axis in (0.0, 84.0):
        geometry = Geometry.single_axis(np.linspace(-75, 75, 61), tilt_axis_deg=axis)
        exact = backproject(stack, geometry, (30, 20, 44))
        fixed = backproject(stack, geometry, (30, 20, 44), precision="fixed16")
        error = fixed - exact
        largest = 1.6**2 * np.abs(stack).max()  # sums of |weight| reach 1.595 along each image axis
        assert np.abs(error).max() <= 61 * largest * (1 / 64000 + 2 / 4096)
        assert np.linalg.norm(error) <= 4e-4 * np.linalg.norm(exact)
        assert np.linalg.norm(error) > 0
        for threads in (1, 2, 3):
            again = backproject(stack, geometry, (30, 20, 44), precision="fixed16", threads=threads)
            assert np.array_equal(again, fixed)
    silent = np.zeros_like(stack)
    assert not backproject(silent, geometry, (30, 20, 44), precision="fixed16").any()
    with pytest.raises(cryolith.InputError, match="precision: found 'half'"):
        backproject(stack, geometry, (3, 4, 5), precision="half")


LARGE = Geometry.single_axis(np.linspace(-60, 60, 61), tilt_axis_deg=30.0)


def test_cancel_ends_within_a_second():
    geometry = Geometry.single_axis(np.linspace(-60, 60, 1200), tilt_axis_deg=30.0)
    stack = np.zeros((1200, 100, 100), "f4")
    token, cancelled = cryolith.CancelToken(), []

    def cancel():
        cancelled.append(time.perf_counter())
        token.cancel()

    threading.Timer(0.1, cancel).start()
    with pytest.raises(cryolith.Cancelled):
        backproject(stack, geometry, (100, 400, 100), cancel=token)
    assert time.perf_counter() - cancelled[0] < 1.0


def test_the_gil_is_free_and_two_python_threads_get_the_same_bits():
    stack = np.random.default_rng(0).random((61, 160, 160), dtype="f4")
    results = [None, None]

    def work(i):
        results[i] = backproject(stack, LARGE, (100, 160, 160), threads=1)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for w in workers:
        w.start()
    count = 0
    while any(w.is_alive() for w in workers):
        count += 1
        time.sleep(0.001)
    for w in workers:
        w.join()
    assert count > 20
    assert np.array_equal(results[0], results[1])


_CHILD = """
import sys, numpy as np
from cryolith import _core
from cryolith.projection import Geometry, backproject, project
from cryolith.reconstruct import filter_projections
volume, stack = (np.load(f)["a"] for f in sys.argv[1:3])
g = Geometry.single_axis([0.0, 38.0, -70.0], tilt_axis_deg=12.0, shifts_px=[[0, 0], [0.4, -1.3], [2, 0.5]])
np.savez(sys.argv[3], isa=_core.isa(), forward=project(volume, g, stack.shape[1:]),
         back=backproject(stack, g, volume.shape),
         fixed=backproject(stack, g, volume.shape, precision="fixed16"),
         filtered=filter_projections(stack, g.angles_deg))
"""


def run_with(isa, folder, volume, stack):
    """What a process computes that may use only the instructions of ``isa``."""
    names = [folder / f"{name}.npz" for name in ("volume", "stack", isa)]
    np.savez(names[0], a=volume)
    np.savez(names[1], a=stack)
    env = {**os.environ, "CRYOLITH_ISA": isa, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", _CHILD, *map(str, names)], env=env, check=True)
    return np.load(names[2])


def test_every_instruction_set_equals_the_definition(tmp_path):
    rng = np.random.default_rng(5)
    shape, image = (9, 11, 14), (12, 13)
    volume = rng.uniform(-1, 1, shape).astype("f4")
    stack = rng.uniform(-1, 1, (3, *image)).astype("f4")
    geometry = Geometry.single_axis(
        [0.0, 38.0, -70.0], tilt_axis_deg=12.0, shifts_px=[[0, 0], [0.4, -1.3], [2, 0.5]]
    )
    a = reference.matrix(geometry.poses(), shape, image)
    forward, back = np.einsum("thwzyx,zyx->thw", a, volume), np.einsum("thwzyx,thw->zyx", a, stack)
    filtered = filter_projections(stack, geometry.angles_deg)
    seen = set()
    for isa in ("baseline", "x86-64-v3", "x86-64-v4"):
        got = run_with(isa, tmp_path, volume, stack)
        seen.add(str(got["isa"]))
        for name, want, axes in (("forward", forward, (3, 4, 5)), ("back", back, (0, 1, 2))):
            bound = 130 * EPS * np.abs(a).sum(axes) + 3.4e-6 * np.count_nonzero(a, axis=axes)
            assert (np.abs(got[name] - want) <= bound).all()  # as in test_equals_the_definition
        assert np.linalg.norm(got["fixed"] - back) <= 4e-4 * np.linalg.norm(back)
        # two transforms of 25 samples, each pass rounding a few times
        assert np.abs(got["filtered"] - filtered).max() < 64 * EPS * np.abs(filtered).max()
    assert "baseline" in seen


@pytest.mark.parametrize("floats", [0, 1, 4, 13])
@pytest.mark.parametrize("nx", [272, 16])
def test_a_large_volume_has_the_same_bytes_wherever_it_lies(floats, nx):
    """Large volumes are written past the caches, in whole cache lines: rows may begin anywhere in one."""
    shape = (70, 4_300_000 // (70 * nx), nx)
    angles = [-58.0, 3.0, 20.0]
    images = np.random.default_rng(5).random((3, 40, nx), dtype=np.float32)
    geometry = Geometry.single_axis(angles)
    expected = backproject(images, geometry, (70, 40, nx))
    room = np.full(np.prod(shape) + 64, np.nan, np.float32)
    start = -room.ctypes.data % 64 // 4 + floats
    out = room[start : start + np.prod(shape)].reshape(shape)
    tall = np.zeros((3, shape[1], nx), np.float32)
    middle = slice(shape[1] // 2 // 8 * 8, shape[1] // 2 // 8 * 8 + 40)
    tall[:, middle] = images
    backproject(tall, geometry, shape, out=out)
    assert np.array_equal(out[:, middle], expected)
    assert not out[:, : middle.start].any()
    assert not out[:, middle.stop :].any()
    assert np.isnan(room[:start]).all()
    assert np.isnan(room[start + out.size :]).all()
