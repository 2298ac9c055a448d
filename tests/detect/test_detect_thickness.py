# SPDX-License-Identifier: BSD-3-Clause
"""local_thickness equals its definition; shares of a volume have errors that cover the truth."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage as ndi
import scipy.stats as stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pore_phantoms import voxel_balls
from reference import detect as reference
from reference import pores

from cryolith import Cancelled, CancelToken, InputError
from cryolith.detect import distance, local_thickness, size_distribution, volume_fraction
from cryolith.detect._student import student

EDGES = [(1.0, 1.0, 1.0), (0.3, 0.3, 0.3), (2.0, 1.0, 1.0), (1.3, 0.7, 0.45)]
ROUNDING = 4 * 2.0**-24  # of distance


@settings(max_examples=60, deadline=None)
@given(
    mask=hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, max_side=7)),
    edges=st.sampled_from(EDGES),
    border=st.booleans(),
)
def test_local_thickness_is_that_of_all_balls(mask, edges, border):
    mask[0, 0, 0] = False
    expected = reference.local_thickness(mask, edges, border)
    found = local_thickness(mask, spacing=edges, border=border, threads=2)
    np.testing.assert_allclose(found, expected, rtol=ROUNDING, atol=0)


@pytest.mark.parametrize("edges", EDGES, ids=str)
def test_local_thickness_of_blobs_is_that_of_all_balls(edges):
    rng = np.random.default_rng(8)
    for blur in (1.0, 2.0, 4.0):
        mask = ndi.gaussian_filter(rng.standard_normal((14, 12, 15)), blur) > -0.02
        mask[3, 4, 5] = False
        expected = reference.local_thickness(mask, edges)
        for threads in (1, 3):
            found = local_thickness(mask, spacing=edges, threads=threads)
            np.testing.assert_allclose(found, expected, rtol=ROUNDING, atol=0)


def test_a_ball_is_as_thick_as_its_diameter_and_a_plate_as_its_width():
    grid = np.indices((60, 60, 60)) - 29.5
    ball = (grid**2).sum(axis=0) < 20**2
    thickness = local_thickness(ball)
    assert thickness.max() == 2 * distance(ball).max()
    # All but the corners that no ball reaches.
    assert (thickness[ball] == thickness.max()).mean() > 0.93
    for width in (5, 6):
        plate = np.zeros((30, 20, 40), bool)
        plate[10 : 10 + width] = True
        expected = width + 1 if width % 2 else width
        assert (local_thickness(plate)[plate] == expected).all()


@pytest.mark.parametrize("shape", [(11, 12, 9), (1, 15, 14), (3, 20, 6)])
def test_the_error_of_a_porosity_is_that_of_all_pairs(shape):
    rng = np.random.default_rng(6)
    known = 0
    for blur in (0.0, 0.7, 1.5, 5.0):
        mask = ndi.gaussian_filter(rng.standard_normal(shape), blur, mode="nearest") > 0
        share, sigma = volume_fraction(mask)
        expected = pores.sampling_sigma((mask - mask.mean()) / mask.size, 2, student)
        assert share == mask.mean()
        if expected is None:
            assert sigma == np.inf
        else:
            known += 1
            np.testing.assert_allclose(sigma, expected, rtol=1e-9)
    assert known >= 2


def test_the_error_of_a_porosity_covers_the_truth():
    rng = np.random.default_rng(9)
    for edge, radius, solid in ((24, 4, 0.5), (48, 3, 0.2), (48, 4, 0.6), (100, 2, 0.4)):
        pulls = []
        for _ in range(60):
            share, sigma = volume_fraction(~voxel_balls(rng, edge, radius, solid))
            pulls.append((share - 1 + solid) / sigma)
        # 60 draws of a normal distribution: mean within 3 / sqrt(60), scatter within 3 / sqrt(120) of 1.
        assert abs(np.mean(pulls)) < 3 / np.sqrt(60)
        assert abs(np.std(pulls) - 1) < 3 / np.sqrt(120)


def test_a_volume_too_small_to_say_has_no_finite_error():
    half = np.zeros((12, 12, 12), bool)
    half[:6] = True
    for mask in (half, np.zeros((4, 5, 6), bool), np.ones((4, 5, 6), bool)):
        share, sigma = volume_fraction(mask)
        assert share == mask.mean()
        assert sigma == np.inf


def test_student_widens_as_the_quantiles_of_t():
    freedom = np.array([1, 2, 3, 7, 10, 11, 14, 25, 300, 0.9])
    expected = stats.t.ppf(0.975, freedom) / stats.norm.ppf(0.975)
    np.testing.assert_allclose(student(freedom)[:-1], expected[:-1], rtol=3e-4)
    assert student(freedom)[-1] == np.inf
    between = np.linspace(1, 12, 111)
    excess = student(between) / (stats.t.ppf(0.975, between) / stats.norm.ppf(0.975))
    assert excess.min() > 1 - 3e-4
    assert excess[between < 2].max() < 1.2
    assert excess[between >= 2].max() < 1.025


def test_the_errors_of_a_size_distribution_cover_that_of_a_larger_volume():
    rng = np.random.default_rng(10)
    edges = [0, 6, 100]  # balls of two sizes, one in each bin

    def draw(edge):
        small, large = (voxel_balls(rng, edge, radius, 0.15) for radius in (2, 4))
        thickness = local_thickness(small | large)
        return size_distribution(thickness, edges, margin=14)  # none is thicker

    truth = np.mean([draw(128)["share"] for _ in range(3)], axis=0)
    pulls = []
    for _ in range(30):
        table = draw(92)
        pulls.append((table["share"] - truth) / table["sigma_share"])
    # 30 draws of a normal distribution, about a truth from 3 volumes of inner edge 100 where these have 64: within 3
    # standard errors of 0 and 1.
    error = np.sqrt(1 / 30 + 64**3 / (3 * 100**3))
    assert np.abs(np.mean(pulls, axis=0)).max() < 3 * error
    assert np.abs(np.std(pulls, axis=0) - 1).max() < 3 / np.sqrt(60)


def test_a_size_distribution_adds_up():
    thickness = np.zeros((8, 8, 8), np.float32)
    thickness[:2] = 3.0
    thickness[2:3] = 7.0
    table = size_distribution(thickness, [0, 3, 5, 8], margin=0)
    np.testing.assert_allclose(table["share"], [0, 2 / 3, 1 / 3])
    np.testing.assert_allclose(table["above"], [1, 1, 1 / 3])
    assert table["sigma_above"][0] == 0
    assert size_distribution(thickness, 7, margin=0)["share"].sum() == pytest.approx(1)
    assert size_distribution(thickness, 7, margin=0)["high"][-1] > 7


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: local_thickness(np.ones((3, 3, 3), bool)), "no background voxel"),
        (lambda: local_thickness(np.zeros((3, 3, 3))), "found dtype float64"),
        (lambda: size_distribution(np.zeros((3, 3, 3))), "no voxel above 0"),
        (lambda: size_distribution(np.full((3, 3, 3), np.nan)), "infinite"),
        (lambda: size_distribution(np.ones((3, 3))), r"\(nz, ny, nx\)"),
        (lambda: size_distribution(np.ones((3, 3, 3)), [0, 1], margin=0), "to hold all values"),
        (lambda: size_distribution(np.ones((3, 3, 3)), [1, 0]), "increasing"),
        (lambda: size_distribution(np.ones((3, 3, 3)), 0), "at least one bin"),
        (lambda: size_distribution(np.ones((3, 3, 3)), margin=-1), "at least 0"),
        (lambda: size_distribution(np.full((3, 3, 3), 2.0)), "leaves some"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_token_that_is_set_stops_it():
    token = CancelToken()
    token.cancel()
    mask = np.ones((8, 8, 8), bool)
    with pytest.raises(Cancelled):
        local_thickness(mask, border=True, cancel=token)
