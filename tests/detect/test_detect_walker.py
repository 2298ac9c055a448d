# SPDX-License-Identifier: BSD-3-Clause
"""The random walker solves its equations; local thresholds and those of two strengths are their definition."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage as ndi
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import detect as reference

from cryolith import Cancelled, CancelToken, InputError
from cryolith.detect import hysteresis, local_threshold, random_walker

SHAPES = [(4, 5, 6), (1, 7, 5), (9, 1, 3), (3, 3, 9), (1, 1, 12)]


def case(shape, seed, missing=0.0, labels=2):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(shape).astype(np.float32)
    values[rng.random(shape) < missing] = np.nan
    seeds = np.where(rng.random(shape) < 0.15, rng.integers(1, labels + 1, shape), 0)
    finite = np.argwhere(np.isfinite(values))
    for k in range(labels):  # at least one seed of each
        seeds[tuple(finite[k])] = k + 1
    return values, seeds


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("beta", [0.0, 1.0, 8.0])
def test_chances_are_those_of_the_dense_equations(shape, beta):
    for seed, missing, labels in ((0, 0.0, 2), (1, 0.2, 3)):
        values, seeds = case(shape, seed, missing, labels)
        spread = np.nanstd(values.astype(float))
        expected = reference.walker_chances(values.astype(float), seeds, beta / spread**2)
        found = random_walker(values, seeds, beta=beta, tolerance=1e-9, chances=True, threads=1)
        # Rounding to 2^-24 beside steps of 1e-6: where a voxel has no other step, chances may move by as much as that.
        np.testing.assert_allclose(found, expected, atol=2.0**-24 / 1e-6 / 10)
        assert np.abs(found - expected).mean() < 1e-4
        clear = np.sort(expected, axis=0)
        clear = clear[-1] - clear[-2] > 0.01
        best = np.unique(seeds[seeds > 0])[expected.argmax(axis=0)]
        labelled = random_walker(values, seeds, beta=beta, tolerance=1e-9, threads=1)
        np.testing.assert_array_equal(labelled[clear], best[clear])


def test_equal_steps_lead_to_the_nearer_end():
    values, seeds = np.zeros((1, 1, 11), np.float32), np.zeros((1, 1, 11), int)
    seeds[0, 0, 0], seeds[0, 0, 10] = 1, 7
    found = random_walker(values, seeds, chances=True, threads=1)
    np.testing.assert_allclose(found[1, 0, 0], np.arange(11) / 10, atol=1e-4)
    assert random_walker(values, seeds, threads=1)[0, 0].tolist()[:5] == [1] * 5
    assert random_walker(values, seeds, threads=1)[0, 0].tolist()[6:] == [7] * 5


def test_what_no_seed_reaches_has_no_label():
    values, seeds = np.zeros((6, 6, 9), np.float32), np.zeros((6, 6, 9), int)
    values[:, :, 4] = np.nan
    seeds[0, 0, 0], seeds[5, 5, 3] = 1, 2
    found = random_walker(values, seeds, threads=1)
    assert not found[:, :, 4:].any()
    assert (found[:, :, :4] > 0).all()


def test_threads_do_not_change_a_byte_and_the_input_stays():
    values, seeds = case((30, 31, 33), 5, missing=0.05)
    before = values.copy(), seeds.copy()
    first, second = (random_walker(values, seeds, chances=True, threads=t) for t in (1, 3))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(values, before[0])
    np.testing.assert_array_equal(seeds, before[1])


def test_a_weak_edge_is_followed_where_a_threshold_leaks():
    rng = np.random.default_rng(6)
    truth = np.zeros((30, 30, 30), bool)
    truth[8:22, 8:22, 8:22] = True
    values = ndi.gaussian_filter(truth + 0.5 * rng.standard_normal(truth.shape), 1.0)
    seeds = np.zeros(truth.shape, int)
    seeds[12:18, 12:18, 12:18] = 2
    seeds[[0, -1]] = 1
    found = random_walker(values, seeds, threads=1) == 2
    assert (found != truth).mean() < 0.7 * ((values > 0.5) != truth).mean()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"volume": np.full((3, 3, 3), np.inf)}, "infinite"),
        ({"seeds": np.zeros((3, 3, 3), int)}, "found 0 labels"),
        ({"seeds": np.zeros((3, 3, 2), int)}, "seeds: found"),
        ({"seeds": np.zeros((3, 3, 3))}, "seeds: found float64"),
        ({"seeds": -np.ones((3, 3, 3), int)}, "seeds: found -1"),
        ({"beta": -1.0}, "beta: found"),
        ({"tolerance": 0.0}, "tolerance: found"),
    ],
    ids=str,
)
def test_bad_input_is_named(change, word):
    seeds = np.zeros((3, 3, 3), int)
    seeds[0, 0, 0], seeds[2, 2, 2] = 1, 2
    with pytest.raises(InputError, match=word):
        random_walker(**({"volume": np.zeros((3, 3, 3)), "seeds": seeds} | change))


def test_it_can_be_cancelled():
    token = CancelToken()
    token.cancel()
    values, seeds = case((8, 8, 8), 1)
    with pytest.raises(Cancelled):
        random_walker(values, seeds, cancel=token)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 6), st.integers(1, 6)),
    radius=st.integers(1, 5),
    method=st.sampled_from(["mean", "niblack", "sauvola"]),
    seed=st.integers(0, 99),
)
def test_local_thresholds_are_their_definition(shape, radius, method, seed):
    rng = np.random.default_rng(seed)
    values = (1000 + rng.standard_normal(shape)).astype(np.float32)
    values[rng.random(shape) < 0.2] = np.nan
    k, spread = {"mean": (0.0, None), "niblack": (-0.2, None), "sauvola": (0.3, 2.0)}[method]
    options = {} if method == "mean" else {"k": k}
    if spread is not None:
        options["spread"] = spread
    expected = reference.local_threshold(values, radius, method, k, spread)
    # Variances are differences of sums of float64: 1e-15 of n squares, under a root; the rest is float32.
    np.testing.assert_allclose(
        local_threshold(values, radius, method, **options), expected, rtol=2e-7, atol=1e-6
    )


def test_hysteresis_keeps_what_reaches_the_higher_threshold():
    rng = np.random.default_rng(7)
    field = ndi.gaussian_filter(rng.standard_normal((30, 30, 30)), 1.5)
    field /= field.std()
    labels, _ = ndi.label(field > 1, np.ones((3, 3, 3)))
    kept = np.unique(labels[field > 2.5])
    expected = np.isin(labels, kept[kept > 0])
    np.testing.assert_array_equal(hysteresis(field, 1, 2.5, threads=2), expected)
    assert 0 < expected.sum() < (field > 1).sum()
    field[field > 2.5] = np.nan
    assert not hysteresis(field, 1, 2.5).any()


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda v: hysteresis(v, 2, 1), "low, high"),
        (lambda v: hysteresis(v, 0, np.inf), "low, high"),
        (lambda v: local_threshold(v, 0), "radius"),
        (lambda v: local_threshold(v, 2, "magic"), "method"),
        (lambda v: local_threshold(v, 2, k=1.0), "k, spread"),
        (lambda v: local_threshold(v / 0.0, 2), "infinite"),
    ],
)
def test_bad_thresholds_are_named(call, word):
    with np.errstate(divide="ignore"), pytest.raises(InputError, match=word):
        call(np.ones((4, 4, 4)))
