# SPDX-License-Identifier: BSD-3-Clause
"""two_point_correlation equals its definition, and its errors cover the truth of Boolean models."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pore_phantoms import balls, surface_of_balls
from reference import pores as reference

from cryolith import Cancelled, CancelToken, InputError
from cryolith.detect import two_point_correlation, volume_fraction
from cryolith.detect._crofton import DIRECTIONS, direction_shares

EDGES = [(1.0, 1.0, 1.0), (0.3, 0.3, 0.3), (2.0, 1.0, 1.0), (1.3, 0.7, 0.45)]


@settings(max_examples=40, deadline=None)
@given(
    mask=hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, max_side=7)),
    edges=st.sampled_from(EDGES),
    more=st.floats(0, 3),
)
def test_two_point_correlation_counts_all_pairs(mask, edges, more):
    reach = (2 + more) * max(edges)
    found = two_point_correlation(mask, spacing=edges, reach=reach, threads=1)
    radial, along = reference.two_point(mask, edges, reach)
    # Counts are exact; only their quotients and the distances round.
    for table, rows in zip((found.radial, *found.along), (radial, *along), strict=True):
        np.testing.assert_allclose(table["distance"], rows[:, 0], rtol=1e-14, atol=0)
        np.testing.assert_allclose(table["probability"], rows[:, 1], rtol=1e-15, atol=0)


def test_two_point_correlation_does_not_depend_on_threads():
    mask = np.random.default_rng(1).random((23, 30, 41)) < 0.3
    one, three = (two_point_correlation(mask, threads=n) for n in (1, 3))
    for a, b in zip((one.radial, *one.along), (three.radial, *three.along), strict=True):
        for name in a:
            assert a[name].tobytes() == b[name].tobytes()
    assert (one.surface, one.sigma_surface) == (three.surface, three.sigma_surface)


def test_two_point_correlation_begins_with_the_volume_fraction():
    mask = np.random.default_rng(2).random((17, 22, 19)) < 0.4
    found = two_point_correlation(mask)
    for table in (found.radial, *found.along):
        assert table["probability"][0] == pytest.approx(volume_fraction(mask)[0], rel=1e-15)


def test_two_point_correlation_of_a_checkerboard_alternates():
    mask = np.indices((12, 13, 14)).sum(axis=0) % 2 == 0
    found = two_point_correlation(mask, reach=4)
    for table in found.along:
        np.testing.assert_allclose(table["probability"], [0.5, 0, 0.5, 0, 0.5], atol=1e-2)


def two_point_of_balls(far, radius, share):
    """S2 of the Boolean model: a set stays outside of all balls with (1 - share)^(volume that it sweeps / a ball's)."""
    part = np.minimum(np.asarray(far) / (2 * radius), 1)
    return 1 - 2 * (1 - share) + (1 - share) ** (1 + 1.5 * part - 0.5 * part**3)


def test_the_errors_of_a_two_point_correlation_cover_the_truth_of_balls():
    rng = np.random.default_rng(3)
    radius, share, reach, runs = 3.0, 0.4, 6, 40
    steps = np.arange(-reach, reach + 1)
    far = np.sqrt(steps[:, None, None] ** 2 + steps[:, None] ** 2 + steps**2)
    lengths = np.linalg.norm(DIRECTIONS, axis=1)
    none, one, two = (two_point_of_balls(k * lengths, radius, share) for k in range(3))
    # What the differences over one and two steps give where S2 is known.
    surface = 4 * direction_shares((1.0, 1.0, 1.0)) @ ((3 * none - 4 * one + two) / (2 * lengths))
    assert surface == pytest.approx(surface_of_balls(radius, share), rel=0.02)
    pulls = []
    for _ in range(runs):
        found = two_point_correlation(balls(rng, (56,) * 3, (1, 1, 1), radius, share), reach=reach)
        pull = [(found.surface - surface) / found.sigma_surface]
        for table in found.along:
            truth = two_point_of_balls(table["distance"], radius, share)
            pull.extend((table["probability"] - truth) / table["sigma_probability"])
        # Mean of S2 over a bin; how many pairs of each vector fit into the volume hardly shifts it.
        truth = [
            two_point_of_balls(far[np.rint(far) == k], radius, share).mean() for k in range(reach)
        ]
        mean = found.radial["probability"][:reach]
        pull.extend((mean - truth) / found.radial["sigma_probability"][:reach])
        pulls.append(pull)
    # 40 draws of a normal distribution: mean within 3 / sqrt(40), scatter within 3 / sqrt(80) of 1.
    assert np.abs(np.mean(pulls, axis=0)).max() < 3 / np.sqrt(runs)
    assert np.abs(np.std(pulls, axis=0) - 1).max() < 3 / np.sqrt(2 * runs)


def test_a_surface_from_two_points_is_that_of_balls_and_of_a_plane_as_told():
    rng = np.random.default_rng(4)
    for edges in ((1.0, 1.0, 1.0), (0.8, 0.4, 0.4)):
        mask = balls(rng, (128,) * 3, edges, 5 * max(edges), 0.5)
        found = two_point_correlation(mask, spacing=edges, reach=2 * max(edges))
        truth = surface_of_balls(5 * max(edges), 0.5)
        # 1 % for the differences, as told.
        assert abs(found.surface - truth) < 3 * found.sigma_surface + 0.01 * truth
        assert found.sigma_surface < 0.03 * truth
    plane = np.zeros((60, 60, 60), bool)
    plane[30:] = True
    assert two_point_correlation(plane).surface * 60 == pytest.approx(0.93, abs=0.005)


def test_a_volume_of_one_slice_has_no_surface_but_a_correlation():
    mask = np.random.default_rng(5).random((1, 40, 40)) < 0.3
    found = two_point_correlation(mask, spacing=(0.1, 1, 1))
    assert np.isnan([found.surface, found.sigma_surface]).all()
    assert len(found.along[0]["distance"]) == 1
    assert np.isfinite(found.radial["probability"]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: two_point_correlation(np.zeros((3, 3, 3))), "mask: found dtype float64"),
        (lambda: two_point_correlation(np.zeros((3, 3), bool)), "mask: .*nz, ny, nx"),
        (lambda: two_point_correlation(np.zeros((0, 3, 3), bool)), "mask: "),
        (lambda: two_point_correlation(np.ones((3, 3, 3), bool), reach=1.5), "two voxels"),
        (lambda: two_point_correlation(np.ones((3, 3, 3), bool), reach=np.nan), "reach: found nan"),
        (lambda: two_point_correlation(np.ones((3, 3, 3), bool), spacing=0), "spacing: found 0"),
    ],
)
def test_two_point_correlation_refuses(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_token_that_is_set_stops_two_point_correlation():
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        two_point_correlation(np.ones((8, 8, 8), bool), cancel=token)
