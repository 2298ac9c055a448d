# SPDX-License-Identifier: BSD-3-Clause
"""What every iterative solver promises: bounds, support, missing rays, start, stops, threads, and what it returns."""

from __future__ import annotations

import pickle
import threading
import time

import numpy as np
import pytest

import cryolith
from cryolith.errors import InputError
from cryolith.projection import Geometry, project
from cryolith.reconstruct import Reconstruction, cgls, dart, lsqr, mlem, sart, sirt, tv

N, NY = 48, 5
ANGLES = np.arange(-70, 71, 4.0)
GEOMETRY = Geometry.single_axis(ANGLES, tilt_axis_deg=90.0)
IMAGE = (N, NY)
SHAPE = (N, NY, N)
Z, X = np.indices((N, N)) - (N - 1) / 2


def specimen():
    """Two grey levels beside empty space, asymmetric."""
    plane = np.where(np.hypot(X, Z) < 15, 1.0, 0.0) + np.where(np.hypot(X - 5, Z + 4) < 5, 1.0, 0.0)
    return np.repeat(plane[:, None], NY, 1).astype("f4")


TRUTH = specimen()
STACK = project(TRUTH, GEOMETRY, IMAGE)

SOLVERS = {
    "sirt": lambda s, g, n=16, **k: sirt(s, g, n_iter=n, **k),
    "sart": lambda s, g, n=3, **k: sart(s, g, n_iter=n, **k),
    "os-sirt": lambda s, g, n=6, **k: sart(s, g, n_iter=n, subsets=4, relaxation=1.0, **k),
    "cgls": lambda s, g, n=8, **k: cgls(s, g, n_iter=n, **k),
    "lsqr": lambda s, g, n=8, **k: lsqr(s, g, n_iter=n, damp=0.5, smooth=0.5, **k),
    "mlem": lambda s, g, n=12, **k: mlem(s, g, n_iter=n, **k),
    "osem": lambda s, g, n=4, **k: mlem(s, g, n_iter=n, subsets=4, **k),
    "tv": lambda s, g, n=40, **k: tv(s, g, n_iter=n, strength=0.01, **k),
    "dart": lambda s, g, n=3, **k: dart(s, g, n_iter=n, levels=[0, 1, 2], first=15, inner=5, **k),
}
every_solver = pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)


def psnr(got):
    return 10 * np.log10(4 / (np.mean((np.asarray(got, "f8") - TRUTH) ** 2) + 1e-9))


@every_solver
def test_converges_to_the_specimen(solve):
    got = solve(STACK, GEOMETRY, shape=SHAPE)
    assert got.shape == SHAPE
    assert got.dtype == np.float32
    assert psnr(got) > 22
    assert got.history[-1] < 0.05
    assert len(got.history) == got.iterations + 1
    residual = np.linalg.norm(STACK - project(got, GEOMETRY, IMAGE)) / np.linalg.norm(STACK)
    exact = solve not in (SOLVERS["sart"], SOLVERS["os-sirt"], SOLVERS["osem"])
    assert got.history[-1] == pytest.approx(residual, rel=1e-3 if exact else 0.3)


@every_solver
def test_more_iterations_fit_better(solve):
    history = solve(STACK, GEOMETRY, shape=SHAPE).history
    if solve is SOLVERS["dart"]:  # the draw of free voxels may take a step back
        assert history[-1] < history[0]
    else:
        steps = np.diff(history)
        rise = (
            0.1 if solve is SOLVERS["tv"] else 0.0
        )  # of the objective, not of the residual, does tv's theory speak
        assert (steps < rise * np.array(history[1:])).all()


@every_solver
def test_bounds_and_mask(solve):
    mask = np.broadcast_to(np.hypot(X, Z)[:, None] < 20, SHAPE)
    got = np.asarray(solve(STACK, GEOMETRY, shape=SHAPE, mask=mask, lower=0.25, upper=1.5))
    assert not got[~mask].any()
    inside = got[mask]
    if solve is SOLVERS["dart"]:
        assert set(np.unique(inside)) <= {0.0, 1.0, 2.0}  # the levels themselves
    else:
        assert inside.min() == np.float32(0.25)
        assert inside.max() == np.float32(1.5)


@every_solver
def test_one_missing_pixel_costs_less_than_a_tenth_of_a_decibel(solve):
    clean = psnr(solve(STACK, GEOMETRY, shape=SHAPE))
    stack = STACK.copy()
    stack[17, 22, 2] = np.nan
    got = psnr(solve(stack, GEOMETRY, shape=SHAPE))
    if solve in (
        SOLVERS["cgls"],
        SOLVERS["lsqr"],
    ):  # the ray takes the directions a little of the way: they lag behind
        assert psnr(solve(STACK, GEOMETRY, shape=SHAPE, n=7)) < got < clean + 0.1
        assert psnr(solve(stack, GEOMETRY, shape=SHAPE, n=9)) > clean
    else:
        assert got > clean - 0.1
    weights = np.ones_like(stack)
    weights[17, 22, 2] = 0
    spoiled = np.where(np.isfinite(stack), stack, 1e6)
    got = solve(spoiled, GEOMETRY, shape=SHAPE, weights=weights)
    assert np.array_equal(got, solve(stack, GEOMETRY, shape=SHAPE))


@every_solver
def test_a_tilt_of_weight_zero_is_not_there(solve):
    spoiled = STACK.copy()
    spoiled[9] = 1e3
    weights = np.full(len(STACK), 3.0)
    weights[9] = 0
    keep = weights > 0
    got = solve(spoiled, GEOMETRY, shape=SHAPE, weights=weights)
    want = solve(STACK[keep], GEOMETRY.subset(keep), shape=SHAPE)
    if solve in (SOLVERS["sirt"], SOLVERS["cgls"], SOLVERS["lsqr"], SOLVERS["mlem"], SOLVERS["tv"]):
        assert np.abs(got - want).max() < 1e-3
    else:  # the other tilts come in other subsets, or other voxels change sides
        assert psnr(got) > psnr(want) - 1


@every_solver
def test_the_start_volume_counts(solve):
    got = solve(STACK, GEOMETRY, shape=SHAPE, init=TRUTH, n=1)
    assert psnr(got) > 40
    if solve is not SOLVERS["dart"]:  # whose history begins after the first segmentation
        assert got.history[0] < 1e-5


@every_solver
def test_same_bits_for_any_number_of_threads_and_inputs_stay(solve):
    stack = STACK.copy()
    stack[3, 10:12, 2] = np.nan
    stack.flags.writeable = False
    before = stack.copy()
    one = solve(stack, GEOMETRY, shape=SHAPE, threads=1, lower=0.1)
    two = solve(stack, GEOMETRY, shape=SHAPE, threads=2, lower=0.1)
    assert np.array_equal(one, two)
    assert one.history == two.history
    assert np.array_equal(before, stack, equal_nan=True)


@every_solver
def test_out_is_filled(solve):
    out = np.full(SHAPE, np.nan, "f4")
    got = solve(STACK, GEOMETRY, shape=SHAPE, out=out, n=2)
    assert np.shares_memory(got, out)
    assert np.array_equal(out, solve(STACK, GEOMETRY, shape=SHAPE, n=2))


@every_solver
def test_stops_by_callback(solve):
    seen = []

    def callback(iteration, state):
        assert not state.volume.flags.writeable
        seen.append((iteration, state.residual))
        return iteration == 2

    got = solve(STACK, GEOMETRY, shape=SHAPE, n=50, callback=callback)
    assert [i for i, _ in seen] == [1, 2]
    assert got.stopped == "callback"
    assert got.history[1:] == tuple(residual for _, residual in seen)
    assert np.array_equal(got, solve(STACK, GEOMETRY, shape=SHAPE, n=2))


@every_solver
def test_stops_at_the_noise_and_at_a_tolerance(solve):
    rng = np.random.default_rng(5)
    noisy = (STACK + rng.normal(0, 1.5, STACK.shape)).astype("f4")
    got = solve(noisy, GEOMETRY, shape=SHAPE, n=100, noise=1.6)
    rms = np.sqrt(np.mean((noisy - project(got, GEOMETRY, IMAGE)).astype("f8") ** 2))
    assert got.stopped == "noise"
    assert rms < 1.6 * 1.05  # that of the subsets is from before their own turn
    assert 0 < got.iterations < 100 or solve is SOLVERS["dart"]
    weighted = solve(noisy, GEOMETRY, shape=SHAPE, n=100, noise=3.2, weights=np.full(36, 4.0))
    assert np.array_equal(
        got, weighted
    )  # a ray of weight 4 has half the deviation of one of weight 1
    assert solve(STACK, GEOMETRY, shape=SHAPE, n=100, tol=0.1).stopped == "tolerance"


@every_solver
def test_cancelling_keeps_the_last_whole_iteration(solve):
    token = cryolith.CancelToken()
    whole = []

    def callback(iteration, state):
        whole.append(state.volume.copy())
        if iteration == 2:
            token.cancel()

    got = solve(STACK, GEOMETRY, shape=SHAPE, n=50, callback=callback, cancel=token)
    assert got.stopped == "cancelled"
    assert got.iterations == 2
    assert np.array_equal(got, whole[-1])
    never = solve(STACK, GEOMETRY, shape=SHAPE, cancel=token)
    assert (never.stopped, never.iterations) == ("cancelled", 0)
    assert not np.asarray(never).any()


def test_cancelling_takes_less_than_a_second_and_progress_is_told():
    stack = np.zeros((61, 200, 200), "f4")
    token = cryolith.CancelToken()
    threading.Timer(0.2, token.cancel).start()
    start = time.perf_counter()
    got = sirt(stack, np.linspace(-60, 60, 61), n_iter=1000, cancel=token)
    assert time.perf_counter() - start < 2.0
    assert got.stopped == "cancelled"
    fractions = []
    sirt(stack[:3, :8, :8], [0, 1, 2], n_iter=4, progress=fractions.append)
    assert fractions == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("axis", [0.0, 33.0, 90.0])
def test_the_objective_of_tv_falls(axis):
    geometry = Geometry.single_axis(ANGLES, tilt_axis_deg=axis)
    stack = project(TRUTH, geometry, (60, 60))
    level = (stack.astype("f8") ** 2).sum() / np.abs(stack.astype("f8")).sum()
    values = []

    def objective(iteration, state):
        gradient = np.stack(
            [np.diff(state.volume, axis=i, append=state.volume.take([-1], i)) for i in range(3)]
        )
        variation = np.sqrt((gradient.astype("f8") ** 2).sum(0)).sum()
        misfit = (state.sigma**2 * stack.size) / 2
        values.append(misfit + 0.02 * level * variation)

    tv(stack, geometry, shape=SHAPE, n_iter=80, strength=0.02, callback=objective)
    # FISTA is no descent method: momentum may overshoot by little before it is given up.
    assert (np.diff(values) < 0.01 * np.array(values[1:])).all()
    assert values[-1] < 1.02 * min(values)
    assert values[-1] < 0.2 * values[0]


def test_tv_and_dart_fill_the_wedge():
    narrow = np.abs(ANGLES) <= 50
    data, geometry = STACK[narrow], GEOMETRY.subset(narrow)
    plain = psnr(sirt(data, geometry, shape=SHAPE, n_iter=100))
    assert psnr(tv(data, geometry, shape=SHAPE, n_iter=200, strength=0.02)) > plain + 3
    assert psnr(dart(data, geometry, shape=SHAPE, levels=[0, 1, 2])) > plain + 3


def test_dart_finds_its_levels():
    got = dart(STACK, GEOMETRY, shape=SHAPE, levels=3)
    assert np.unique(got) == pytest.approx([0, 1, 2], abs=0.03)


def test_the_likelihood_of_mlem_rises():
    counts = np.random.default_rng(3).poisson(5 * STACK.clip(0)).astype("f4")
    values = []

    def likelihood(iteration, state):
        expected = np.maximum(project(state.volume, GEOMETRY, IMAGE), 1e-3)
        values.append(float((counts * np.log(expected) - expected).sum()))

    got = mlem(counts, GEOMETRY, shape=SHAPE, n_iter=25, callback=likelihood)
    assert (np.diff(values) > 0).all()
    assert project(got, GEOMETRY, IMAGE).sum() == pytest.approx(counts.sum(), rel=2e-3)


@pytest.mark.parametrize("subsets", [1, 2])
def test_mlem_lives_with_images_wider_than_the_volume(subsets):
    # Rays past a thin volume, or through its corner, measure what no voxel can explain.
    counts = np.random.default_rng(0).random((7, 32, 40), dtype="f4")
    got = mlem(counts, np.linspace(-60, 60, 7), thickness=5, n_iter=8, subsets=subsets)
    assert (np.diff(got.history) < 0).all()
    assert got.max() < 1.0


def test_damping_makes_smaller_and_smoothing_smoother():
    def roughness(v):
        return sum(float((np.diff(v, axis=i) ** 2).sum()) for i in range(3))

    free = lsqr(STACK, GEOMETRY, shape=SHAPE, damp=0.0)
    assert np.linalg.norm(lsqr(STACK, GEOMETRY, shape=SHAPE, damp=3.0)) < np.linalg.norm(free)
    smoothed = lsqr(STACK, GEOMETRY, shape=SHAPE, damp=0.0, smooth=3.0)
    assert roughness(smoothed) < 0.8 * roughness(free)


@pytest.mark.parametrize("solve", [cgls, lsqr])
def test_bounded_gradients_fit_better_the_longer_they_run(solve):
    history = solve(STACK, GEOMETRY, shape=SHAPE, n_iter=40, lower=0.0, upper=2.0).history
    assert history[-1] < 0.01
    if solve is cgls:
        assert (np.diff(history) <= 0).all()


def test_a_reconstruction_is_an_array():
    got = sirt(STACK, GEOMETRY, shape=SHAPE, n_iter=2)
    assert isinstance(got, Reconstruction)
    assert type(got * 2) is np.ndarray
    assert isinstance(got.sum(), np.float32)
    assert got[2:4].history == got.history
    again = pickle.loads(pickle.dumps(got))
    assert np.array_equal(again, got)
    assert (again.history, again.iterations, again.stopped) == (got.history, 2, "iterations")


@every_solver
def test_data_that_say_nothing(solve):
    nothing = np.full((5, *IMAGE), np.nan, "f4")
    got = solve(nothing, GEOMETRY.subset(slice(5)), shape=SHAPE)
    assert not np.asarray(got).any()
    assert np.isfinite(got.history).all()
    zero = solve(np.zeros((5, *IMAGE), "f4"), GEOMETRY.subset(slice(5)), shape=SHAPE)
    assert not np.asarray(zero).any()


REFUSED = [
    ({"n": 0}, "n_iter: found 0"),
    ({"mask": np.ones((2, 2, 2))}, "mask: found shape"),
    ({"mask": np.zeros(SHAPE)}, "mask: found no voxel"),
    ({"init": np.full(SHAPE, np.nan)}, "init: found NaN"),
    ({"weights": [1.0]}, "weights: found shape"),
    ({"weights": -np.ones(36)}, "weights: found a negative"),
    ({"background": [1.0]}, "background"),
    ({"shape": (0, 4, 6)}, "shape"),
    ({"out": np.zeros((6, 4, 5), "f4")}, "out"),
    ({"lower": 2.0, "upper": 1.0}, "upper: found 1"),
    ({"lower": np.nan}, "lower: found nan"),
    ({"tol": -0.1}, "tol: found -0.1"),
    ({"noise": np.inf}, "noise: found inf"),
]


@every_solver
def test_bad_options_are_refused_by_name(solve):
    for options, words in REFUSED:
        with pytest.raises(InputError, match=words):
            solve(STACK, GEOMETRY, **{"shape": SHAPE, **options})
    with pytest.raises(TypeError, match="did you mean 'weights'"):
        solve(STACK, GEOMETRY, shape=SHAPE, weight=1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sirt(STACK, GEOMETRY, relaxation=2.1), "relaxation: found 2.1"),
        (lambda: sart(STACK, GEOMETRY, subsets=37), "subsets: found 37, expected at most 36"),
        (lambda: mlem(STACK, GEOMETRY, subsets=0), "subsets: found 0"),
        (lambda: mlem(STACK, GEOMETRY, lower=-1.0), "lower: found -1"),
        (lambda: mlem(STACK, GEOMETRY, shape=SHAPE, init=np.zeros(SHAPE)), "init: found no voxel"),
        (lambda: lsqr(STACK, GEOMETRY, damp=-1.0), "damp: found -1"),
        (lambda: lsqr(STACK, GEOMETRY, smooth=np.nan), "smooth: found nan"),
        (lambda: tv(STACK, GEOMETRY, strength=0.0), "strength: found 0"),
        (lambda: tv(STACK, GEOMETRY, huber=-1.0), "huber: found -1"),
        (lambda: tv(STACK, GEOMETRY, axis_weights=(1, 1)), "axis_weights: found"),
        (lambda: tv(STACK, GEOMETRY, axis_weights=(1, -1, 1)), "axis_weights: found"),
        (lambda: dart(STACK, GEOMETRY, levels=1), "levels: found 1"),
        (lambda: dart(STACK, GEOMETRY, levels=[1.0, 1.0]), "levels: found"),
        (lambda: dart(STACK, GEOMETRY, chance=1.5), "chance: found 1.5"),
        (lambda: dart(STACK, GEOMETRY, seed=-1), "seed: found -1"),
    ],
)
def test_bad_arguments_of_one_solver_are_refused_by_name(call, words):
    with pytest.raises(InputError, match=words):
        call()
