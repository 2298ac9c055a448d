# SPDX-License-Identifier: BSD-3-Clause
"""local_thickness equals its definition; shares of a volume have errors that cover the truth."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage as ndi
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reference import detect as reference

from cryolith import Cancelled, CancelToken, InputError
from cryolith.detect import distance, local_thickness, size_distribution, volume_fraction

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


def boolean_model(rng, edge, radius, porosity):
    """Balls at random places that may overlap, periodic, and the expected share that they take.

    Each voxel is a centre with one chance, so it stays outside of all balls with (1 - chance)^(voxels of a ball).
    """
    reach = np.arange(-radius, radius + 1)
    ball = reach[:, None, None] ** 2 + reach[:, None] ** 2 + reach**2 <= radius**2
    chance = 1 - (1 - porosity) ** (1 / ball.sum())
    centres = rng.random((edge,) * 3) < chance
    padded = np.pad(centres, radius, mode="wrap")
    inner = slice(radius, -radius)
    return (distance(~padded) <= radius)[inner, inner, inner]


def test_the_error_of_a_porosity_covers_the_truth():
    rng = np.random.default_rng(9)
    for porosity in (0.2, 0.6):
        pulls = []
        for _ in range(60):
            share, sigma = volume_fraction(boolean_model(rng, 48, 3, porosity))
            pulls.append((share - porosity) / sigma)
        # 60 draws of a normal distribution: mean within 3 / sqrt(60), scatter within 3 / sqrt(120) of 1.
        assert abs(np.mean(pulls)) < 3 / np.sqrt(60)
        assert abs(np.std(pulls) - 1) < 3 / np.sqrt(120)


def test_the_errors_of_a_size_distribution_cover_that_of_a_larger_volume():
    rng = np.random.default_rng(10)
    edges = [0, 6, 100]  # balls of two sizes, one in each bin

    def draw(edge):
        small, large = (boolean_model(rng, edge, radius, 0.15) for radius in (2, 4))
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
