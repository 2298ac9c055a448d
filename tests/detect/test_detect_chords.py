# SPDX-License-Identifier: BSD-3-Clause
"""chord_lengths equals its definition, and its errors cover the truth of Boolean models."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pore_phantoms import balls, surface_of_balls
from reference import pores as reference

from cryolith import InputError
from cryolith.detect import chord_lengths
from cryolith.detect._crofton import DIRECTIONS, direction_shares

EDGES = [(1.0, 1.0, 1.0), (0.3, 0.3, 0.3), (2.0, 1.0, 1.0), (1.3, 0.7, 0.45)]


@settings(max_examples=60, deadline=None)
@given(
    mask=hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, max_side=8)),
    edges=st.sampled_from(EDGES),
    border=st.booleans(),
)
def test_chords_are_those_met_voxel_after_voxel(mask, edges, border):
    steps = np.linalg.norm(np.array(DIRECTIONS) * edges, axis=1)
    expected = [reference.chords(mask, way, border) for way in DIRECTIONS]
    assume(any(expected))
    bounds = [0, 1.1, 2.9, 30]
    found = chord_lengths(mask, bounds, spacing=edges, border=border)
    weights, lengths, shares = [], [], []
    for i, (step, chords) in enumerate(zip(steps, expected, strict=True)):
        weight = np.array([1 / room for _, room in chords])
        length = np.array([n * step for n, _ in chords])
        assert found.by_direction["count"][i] == len(chords)
        if chords:
            mean = (weight * length).sum() / weight.sum()
            np.testing.assert_allclose(found.by_direction["mean"][i], mean, rtol=1e-13)
        else:
            assert np.isnan(found.by_direction["mean"][i])
        weights.extend(weight * direction_shares(edges)[i] / step)
        lengths.extend(length)
    weights = np.array(weights)
    np.testing.assert_allclose(found.mean, np.average(lengths, weights=weights), rtol=1e-13)
    shares = np.histogram(lengths, bounds, weights=weights)[0] / weights.sum()
    np.testing.assert_allclose(found.distribution["share"], shares, rtol=1e-12, atol=1e-15)


def test_chords_across_layers_are_as_long_as_the_layers_are_thick():
    # One layer in each of the four parts along z that errors come from.
    mask = (np.arange(60) % 15 // 4 == 1)[:, None, None] & np.ones((60, 40, 40), bool)
    table = chord_lengths(mask, spacing=(2, 1, 1)).by_direction
    along = [DIRECTIONS.index(d) for d in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    np.testing.assert_allclose(table["mean"][along], [8, np.nan, np.nan])
    assert table["sigma_mean"][along[0]] < 1e-14
    everything = chord_lengths(mask, spacing=(2, 1, 1), border=True).by_direction
    np.testing.assert_allclose(everything["mean"][along], [8, 40, 40])


def test_chords_of_a_checkerboard_are_single_voxels_or_go_on():
    mask = np.indices((12, 13, 14)).sum(axis=0) % 2 == 0
    table = chord_lengths(mask).by_direction
    odd = np.abs(DIRECTIONS).sum(axis=1) % 2 == 1
    np.testing.assert_allclose(table["mean"][odd], np.linalg.norm(DIRECTIONS, axis=1)[odd])
    assert (table["count"][~odd] == 0).all()


def test_the_errors_of_chord_lengths_cover_the_truth_between_balls():
    rng = np.random.default_rng(6)
    radius, share, runs = 3.0, 0.4, 40
    steps = np.linalg.norm(DIRECTIONS, axis=1)
    # A line of n points stays between the balls with (1 - share)^(1 + (n - 1) m), m what a step adds to a ball, in
    # balls: numbers of voxels are distributed geometrically.
    part = steps / (2 * radius)
    go_on = (1 - share) ** (1.5 * part - 0.5 * part**3)
    truth = steps / (1 - go_on)
    # Chords per length of line: how often a point between the balls is the first one.
    number = direction_shares((1.0, 1.0, 1.0)) * (1 - go_on) / steps
    mean = (number * truth).sum() / number.sum()
    limit = 8
    below = (number * (1 - go_on ** np.floor(limit / steps))).sum() / number.sum()
    pulls = []
    for _ in range(runs):
        pores = ~balls(rng, (56,) * 3, (1, 1, 1), radius, share)
        found = chord_lengths(pores, [0, limit + 1e-9, 1000])
        table = found.by_direction
        pulls.append(
            [
                *(table["mean"] - truth) / table["sigma_mean"],
                (found.mean - mean) / found.sigma_mean,
                (found.distribution["share"][0] - below) / found.distribution["sigma_share"][0],
            ]
        )
    # 40 draws of a normal distribution: mean within 3 / sqrt(40), scatter within 3 / sqrt(80) of 1.
    assert np.abs(np.mean(pulls, axis=0)).max() < 3 / np.sqrt(runs)
    assert np.abs(np.std(pulls, axis=0) - 1).max() < 3 / np.sqrt(2 * runs)


def test_mean_chords_are_four_volumes_over_the_surface():
    rng = np.random.default_rng(7)
    found = chord_lengths(balls(rng, (80,) * 3, (1, 1, 1), 4, 0.5))
    truth = 4 * 0.5 / surface_of_balls(4, 0.5)
    # Up to 9 % long, as told.
    assert truth - 3 * found.sigma_mean < found.mean < 1.09 * truth + 3 * found.sigma_mean
    assert found.sigma_mean < 0.03 * truth


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: chord_lengths(np.zeros((3, 3, 3))), "mask: found dtype float64"),
        (lambda: chord_lengths(np.zeros((3, 3), bool)), "mask: .*nz, ny, nx"),
        (lambda: chord_lengths(np.zeros((3, 3, 3), bool)), "no chord"),
        (lambda: chord_lengths(np.ones((3, 3, 3), bool)), "border=True"),
        (lambda: chord_lengths(np.eye(5)[None] > 0, [0, 0.5], border=True), "to hold all chords"),
        (lambda: chord_lengths(np.eye(5)[None] > 0, [1, 0], border=True), "increasing"),
        (lambda: chord_lengths(np.eye(5)[None] > 0, spacing=-1, border=True), "spacing: found -1"),
    ],
)
def test_chord_lengths_refuses(call, message):
    with pytest.raises(InputError, match=message):
        call()
