# SPDX-License-Identifier: BSD-3-Clause
"""Work cut into parts on disk gives the bytes of work on the whole."""

import functools
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cryolith
from cryolith import InputError, _core
from cryolith import reconstruct as r
from cryolith._fields import MemoryField, scratch_field
from cryolith.projection import Geometry
from cryolith.reconstruct.cut import Cut, Pair

SOLVERS = {
    "sirt": (r.sirt, {"n_iter": 3}),
    "sart": (r.sart, {"n_iter": 2, "subsets": 3}),
    "mlem": (r.mlem, {"n_iter": 2, "subsets": 2}),
    "cgls": (r.cgls, {"n_iter": 3}),
    "cgls within bounds": (r.cgls, {"n_iter": 3, "lower": 0.0, "upper": 0.1}),
    "lsqr": (r.lsqr, {"n_iter": 3}),
    "tv": (r.tv, {"n_iter": 4}),
}
AXES = [0.0, 2.8, 92.8, 180.0]


def case(axis, seed=0, n=7):
    rng = np.random.default_rng([seed, 20261127])
    geometry = Geometry.single_axis(
        np.linspace(-60, 60, n), tilt_axis_deg=axis, shifts_px=rng.normal(0, 2, (n, 2))
    )
    stack = rng.random((n, 75, 40)).astype("f4")
    stack[2, 5, 7] = np.nan
    shape = geometry.volume_shape((75, 40), 12)
    options = {"shape": shape, "mask": rng.random(shape) > 0.1, "weights": rng.random(stack.shape)}
    return stack, geometry, options


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver(solver, axis):
    solve, how = SOLVERS[solver]
    stack, geometry, options = case(axis)
    whole = solve(stack, geometry, **options, **how)
    for rows, layers in [(16, 1), (48, 3)]:
        cut = Cut(rows=rows, layers=layers, turned=axis == 92.8)
        parts = solve(stack, geometry, **options, **how, cut=cut, threads=1)
        assert parts.tobytes() == whole.tobytes()
        assert parts.history == whole.history


@pytest.mark.parametrize("solver", SOLVERS)
def test_cancelling_keeps_every_slab_at_the_last_whole_iteration(solver, monkeypatch):
    """Wherever the token is set: before any call of the projector pair of the iterations."""
    solve, how = SOLVERS[solver]
    stack, geometry, options = case(92.8)
    how = {**how, "n_iter": 3}
    whole = [solve(stack, geometry, **options, **{**how, "n_iter": n}) for n in (1, 2)]
    calls, stop, token = [], [math.inf], [cryolith.CancelToken()]
    for name in ("backproject", "add_projections"):

        def counted(pair, *args, real):
            calls.append(real)
            if len(calls) == stop[0]:
                token[0].cancel()
            return real(pair, *args)

        monkeypatch.setattr(Pair, name, functools.partialmethod(counted, real=getattr(Pair, name)))

    def run(n_iter):
        calls.clear()
        token[0] = cryolith.CancelToken()
        cut = Cut(rows=16, layers=2, turned=True)
        given = {**how, "n_iter": n_iter, "cut": cut, "threads": 1, "cancel": token[0]}
        return solve(stack, geometry, **options, **given), len(calls)

    first, last = run(1)[1], run(2)[1]
    reached = []
    for stop[0] in range(first + 1, last + 1):
        found, _ = run(3)
        assert found.stopped == "cancelled"
        assert found.history == whole[found.iterations - 1].history
        assert found.tobytes() == whole[found.iterations - 1].tobytes()
        reached.append(found.iterations)
    assert reached == [1] * len(reached)
    assert len(reached) > 5


def test_start_volume_and_output_may_lie_anywhere(tmp_path):
    stack, geometry, options = case(0.0)
    init = np.random.default_rng(1).random(options["shape"]).astype("f4")
    whole = r.sirt(stack, geometry, n_iter=2, init=init, **options)
    mapped = np.memmap(tmp_path / "volume", "f4", "w+", shape=options["shape"])
    cut = Cut(rows=16, layers=2, folder=tmp_path)
    found = r.sirt(stack, geometry, n_iter=2, init=init, out=mapped, cut=cut, **options)
    assert np.shares_memory(found, mapped)
    assert mapped.tobytes() == whole.tobytes()
    assert [p.name for p in tmp_path.iterdir()] == ["volume"]


def test_what_cannot_be_cut_says_so():
    stack, geometry, options = case(0.0)
    cut = Cut(rows=16, layers=2)
    with pytest.raises(InputError, match="dart works on the whole volume"):
        r.dart(stack, geometry, cut=cut, **options)
    with pytest.raises(InputError, match="differences cannot be cut"):
        r.lsqr(stack, geometry, smooth=1.0, cut=cut, **options)


WINDOWS = st.tuples(*[st.integers(0, 7)] * 4)


@given(windows=st.lists(WINDOWS, max_size=6), turned=st.booleans(), seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_a_field_on_disk_is_one_in_memory(windows, turned, seed):
    shape, rng = (3, 9, 8), np.random.default_rng(seed)
    memory, disk = MemoryField(np.zeros(shape, "f4")), scratch_field(shape, None, turned=turned)
    for a, b, c, d in windows:
        window = (min(a, b), max(a, b) + 1, min(c, d), max(c, d) + 1)
        part = rng.random((3, window[1] - window[0], window[3] - window[2])).astype("f4")
        layer = rng.random((1, 9, 8)).astype("f4")
        for field in (memory, disk):
            field.put_window(window, part)
            field.put_layers(a % 3, layer)
            field.put_window(window, field.window(window) + np.float32(1))
        assert disk.window(window).tobytes() == memory.window(window).tobytes()
        into = np.full(part.shape, np.nan, "f4")
        assert disk.window(window, into).tobytes() == memory.window(window, into).tobytes()
        assert disk.layers(1, 3).tobytes() == memory.layers(1, 3).tobytes()
    assert np.array_equal(disk.whole(), memory.whole())


@given(
    rows=st.integers(1, 6),
    cuts=st.lists(st.integers(1, 5), max_size=3),
    values=st.lists(st.floats(-(2.0**60), 2.0**60, width=32), min_size=6, max_size=6),
)
@settings(max_examples=100, deadline=None)
def test_sums_of_pieces_are_those_of_the_whole(rows, cuts, values):
    array = np.resize(np.array(values, "f4"), (2, rows, 3))
    ones = np.ones_like(array)
    whole = float(_core.square_step(ones, array))
    total = _core.ExactSum()
    edges = [0, *sorted({c for c in cuts if c < rows}), rows]
    for first, last in itertools.pairwise(edges):
        part = np.ascontiguousarray(array[:, first:last])
        total = _core.square_step(np.ones_like(part), part) + total
    assert float(total) == whole
    lines = [
        sum(float(np.float64(v * np.float32(1)) * v) for v in line) for line in array.reshape(-1, 3)
    ]
    assert whole == pytest.approx(math.fsum(lines), rel=1e-15)
