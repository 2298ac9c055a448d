# SPDX-License-Identifier: BSD-3-Clause
"""The pair for free poses: transposes of each other, equal to their definition, same bits for any number of threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import cryolith
from cryolith import _core
from cryolith.projection import Geometry, backproject, project, rotation_matrix

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from poses import kinds
from reference import free_projection as reference

EPS = np.finfo("f4").eps


@st.composite
def cases(draw, largest=40, views=7):
    """Poses of every kind, steep and edge-on beams among them, and shapes: odd sizes, one voxel, one pixel."""
    size = st.integers(1, largest)
    n = draw(st.integers(1, views))
    angle = st.sampled_from([0.0, 45.0, -52.4, 90.0, -90.0, 180.0]) | st.floats(-180, 180)
    shift = st.sampled_from([0.0, 0.5, 300.0]) | st.floats(-20, 20)
    triples = draw(st.lists(st.tuples(angle, angle, angle), min_size=n, max_size=n))
    geometry = Geometry.from_poses(
        np.array([rotation_matrix(x_deg=x, y_deg=y, z_deg=z) for x, y, z in triples]),
        shifts_px=draw(st.lists(st.tuples(shift, shift), min_size=n, max_size=n)),
    )
    shape = (draw(size), draw(size), draw(size))
    return geometry, shape, (draw(size), draw(size)), draw(st.integers(0, 2**31))


def pair(geometry, shape, image_shape, x, y, threads=0):
    plan = _core.FreePlan(geometry.matrices(), shape, image_shape)
    ax, aty = np.empty_like(y), np.empty_like(x)
    plan.project(x, ax, threads, None)
    plan.backproject(y, aty, threads, None)
    return ax, aty


def dot(a, b):
    return float(np.vdot(a.astype("f8"), b.astype("f8")))


def adjoint_error(x, y, ax, aty):
    scale = np.sqrt(dot(ax, ax) * dot(y, y)) + np.sqrt(dot(x, x) * dot(aty, aty))
    return abs(dot(ax, y) - dot(x, aty)) / max(scale, 1e-30)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(case=cases())
def test_adjoint(case):
    geometry, shape, image_shape, seed = case
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape).astype("f4")
    y = rng.normal(size=(len(geometry), *image_shape)).astype("f4")
    assert adjoint_error(x, y, *pair(geometry, shape, image_shape, x, y)) <= 1e-6


@pytest.mark.parametrize("kind", kinds())
def test_adjoint_of_every_geometry(kind, rng):
    geometry, shape, image_shape = kinds()[kind], (33, 41, 70), (61, 53)
    x = rng.normal(size=shape).astype("f4")
    y = rng.normal(size=(len(geometry), *image_shape)).astype("f4")
    ax, aty = project(x, geometry, image_shape), backproject(y, geometry, shape)
    assert adjoint_error(x, y, ax, aty) <= 1e-6


@settings(max_examples=20, deadline=None, derandomize=True)
@given(case=cases(largest=8, views=2))
def test_equals_the_definition(case):
    geometry, shape, image_shape, seed = case
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, size=shape).astype("f4")
    y = rng.uniform(-1, 1, size=(len(geometry), *image_shape)).astype("f4")
    a = reference.matrix(geometry.matrices(), shape, image_shape)
    got = pair(geometry, shape, image_shape, x, y)
    want = np.einsum("thwzyx,zyx->thw", a, x), np.einsum("thwzyx,thw->zyx", a, y)
    for g, w, axes in zip(got, want, ((3, 4, 5), (0, 1, 2)), strict=True):
        assert (np.abs(g - w) <= bound(a, shape, axes)).all()


def bound(a, shape, axes):
    """One rounding per addition, and per entry the error of the tabulated weights: 1.7e-6 for row and column each."""
    return (64 + 2 * sum(shape)) * EPS * np.abs(a).sum(axes) + 3.4e-6 * np.count_nonzero(
        a, axis=axes
    )


def test_same_bits_for_any_number_of_threads(rng):
    geometry, shape, image_shape = kinds()["free"], (70, 90, 130), (100, 77)
    x = rng.normal(size=shape).astype("f4")
    y = rng.normal(size=(len(geometry), *image_shape)).astype("f4")
    one = pair(geometry, shape, image_shape, x, y, threads=1)
    for threads in (2, 3, 0):
        for a, b in zip(one, pair(geometry, shape, image_shape, x, y, threads), strict=True):
            assert np.array_equal(a, b)


def test_many_views_in_several_groups_are_those_of_one(rng):
    """Sheets of 520 x 1060 samples: 128 MiB hold about 58 views; the rest are other groups."""
    geometry = Geometry.conical(np.linspace(0, 360, 150), 20.0)
    shape, image_shape = (2, 480, 990), (9, 8)
    y = rng.normal(size=(150, *image_shape)).astype("f4")
    x = np.zeros(shape, "f4")
    x[:, 230:250, 480:510] = rng.normal(size=(2, 20, 30))
    ax, aty = pair(geometry, shape, image_shape, x, y)
    assert adjoint_error(x, y, ax, aty) <= 1e-6
    parts = [
        pair(geometry.subset(part), shape, image_shape, x, y[part])
        for part in (slice(0, 70), slice(70, 150))
    ]
    assert np.array_equal(ax, np.concatenate([p[0] for p in parts]))
    assert np.abs(aty - parts[0][1] - parts[1][1]).max() <= 150 * EPS * np.abs(aty).max()


def test_projections_are_added_when_asked(rng):
    geometry = kinds()["conical"]
    x = rng.normal(size=(9, 12, 11)).astype("f4")
    plan = _core.FreePlan(geometry.matrices(), x.shape, (14, 13))
    once, twice = np.empty((2, len(geometry), 14, 13), "f4")
    plan.project(x, once)
    twice[:] = once
    plan.project(x, twice, add=True)
    assert np.abs(twice - 2 * once).max() < 1e-5 * np.abs(once).max()


def test_cancel_ends_within_a_second():
    geometry = Geometry.conical(np.linspace(0, 360, 200), 40.0)
    stack = np.zeros((200, 100, 100), "f4")
    token, cancelled = cryolith.CancelToken(), []

    def cancel():
        cancelled.append(time.perf_counter())
        token.cancel()

    threading.Timer(0.1, cancel).start()
    with pytest.raises(cryolith.Cancelled):
        backproject(
            stack, geometry, (400, 400, 300), cancel=token
        )  # 10^10 updates: a second or more
    assert time.perf_counter() - cancelled[0] < 1.0


_CHILD = """
import sys, numpy as np
from cryolith import _core
data = np.load(sys.argv[1])
plan = _core.FreePlan(data["poses"], data["x"].shape, data["y"].shape[1:])
ax, aty = np.empty_like(data["y"]), np.empty_like(data["x"])
plan.project(data["x"], ax)
plan.backproject(data["y"], aty)
np.savez(sys.argv[2], isa=_core.isa(), ax=ax, aty=aty)
"""


def test_every_instruction_set_equals_the_definition(tmp_path, rng):
    poses = kinds()["free"].subset(slice(0, 3)).matrices()
    shape, image_shape = (9, 11, 14), (12, 13)
    x = rng.uniform(-1, 1, shape).astype("f4")
    y = rng.uniform(-1, 1, (3, *image_shape)).astype("f4")
    np.savez(tmp_path / "in.npz", poses=poses, x=x, y=y)
    a = reference.matrix(poses, shape, image_shape)
    seen = set()
    for isa in ("baseline", "x86-64-v3", "x86-64-v4"):
        env = {**os.environ, "CRYOLITH_ISA": isa, "PYTHONPATH": os.pathsep.join(sys.path)}
        files = [str(tmp_path / f"{name}.npz") for name in ("in", isa)]
        subprocess.run([sys.executable, "-c", _CHILD, *files], env=env, check=True)
        got = np.load(files[1])
        seen.add(str(got["isa"]))
        want = np.einsum("thwzyx,zyx->thw", a, x)
        assert (np.abs(got["ax"] - want) <= bound(a, shape, (3, 4, 5))).all()
        want = np.einsum("thwzyx,thw->zyx", a, y)
        assert (np.abs(got["aty"] - want) <= bound(a, shape, (0, 1, 2))).all()
    assert "baseline" in seen


_MEASURE = """
import sys, numpy as np
from cryolith import _core
from cryolith.projection import Geometry
def memory(name):  # kB
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if name in line)
geometry = Geometry.conical(np.linspace(0, 360, 40), 30.0)
x, y = np.ones((64, 256, 256), "f4"), np.ones((40, 256, 256), "f4")
plan = _core.FreePlan(geometry.matrices(), x.shape, y.shape[1:])
before = memory("VmRSS")
getattr(plan, sys.argv[1])(*((x, y) if sys.argv[1] == "project" else (y, x)), 1)
print(memory("VmHWM") - before, plan.scratch_bytes(1))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("operation", ["project", "backproject"])
def test_memory_is_what_the_plan_says(operation):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _MEASURE, operation]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    used, said = map(int, done.stdout.split())
    assert 0.8 * said < used < 1.02 * said + 2e6


@pytest.mark.parametrize(
    ("poses", "message"),
    [
        (np.zeros((1, 2, 4)), "scale of 0"),
        (np.full((1, 2, 4), np.nan), "scale of nan"),
        (np.array([[[0, 1.0, 0, 0], [0, 0.5, 0.5, 0]]]), "shears or scales unequally"),
        (np.array([[[0, 1.0, 0, 1e9], [0, 0, 1.0, 0]]]), "shift of 1e\\+09"),
        (np.array([[[0, 3.0, 0, 0], [0, 0, 3.0, 0]]]), "scale of 3"),
        (np.zeros((1, 3, 4)), "expected 2 x 4"),
        (np.zeros((0, 2, 4)), "no views"),
    ],
)
def test_the_core_refuses_what_is_no_pose(poses, message):
    with pytest.raises(cryolith.InputError, match=message):
        _core.FreePlan(poses, (4, 4, 4), (4, 4))


def blobs_and_noise(rng, image_shape, smallest=1.2, largest=4.0, count=60):
    """A function (rows, columns) -> values: Gaussian blobs, of which the narrowest reach 0.4 cycles/px."""
    at = rng.uniform(0, 1, (count, 2)) * np.array(image_shape)
    width, height = rng.uniform(smallest, largest, count), rng.normal(size=count)

    def value(rows, columns):
        out = np.zeros(np.shape(rows))
        for (r, c), w, h in zip(at, width, height, strict=True):
            out += h * np.exp(-((rows - r) ** 2 + (columns - c) ** 2) / (2 * w * w))
        return out

    return value


def bilinear(image, rows, columns):
    r, c = np.floor(rows).astype(int), np.floor(columns).astype(int)
    fr, fc = rows - r, columns - c
    return (1 - fr) * ((1 - fc) * image[r, c] + fc * image[r, c + 1]) + fr * (
        (1 - fc) * image[r + 1, c] + fc * image[r + 1, c + 1]
    )


@pytest.mark.parametrize("kind", ["conical", "laminography", "free", "dual"])
def test_error_against_a_smooth_truth_is_below_linear_interpolation(kind):
    """The table of design/009-general-geometry.md; run with -rP."""
    geometry, shape, image_shape = kinds()[kind], (40, 36, 44), (96, 96)
    rng = np.random.default_rng(11)
    grid = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij")
    points = np.stack([*grid, np.ones(shape)])
    pixels = np.indices(image_shape)
    stack, truth, linear = np.empty((len(geometry), *image_shape), "f4"), 0.0, 0.0
    for i, m in enumerate(geometry.matrices()):
        value = blobs_and_noise(rng, image_shape)
        stack[i] = value(*pixels)
        rows, columns = (
            np.tensordot(m, points, axes=1) + (np.array(image_shape) - 1)[:, None, None, None] / 2
        )
        truth = truth + value(rows, columns)
        linear = linear + bilinear(stack[i], rows, columns)
    got = backproject(stack, geometry, shape)
    ours, theirs = (np.linalg.norm(v - truth) / np.linalg.norm(truth) for v in (got, linear))
    print(f"{kind}: {ours:.4f}, linear on the detector {theirs:.4f}")  # noqa: T201
    assert ours < theirs
