# SPDX-License-Identifier: BSD-3-Clause
"""geodesic_distance equals its definition, and finds ways whose lengths are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reference import geodesic as reference

from cryolith import Cancelled, CancelToken, InputError
from cryolith.detect import geodesic_distance, geometric_tortuosity, percolates

EDGES = [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (1.3, 0.7, 0.45)]


@settings(max_examples=40, deadline=None)
@given(
    mask=hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, max_side=5)),
    seed=st.integers(0, 1000),
    edges=st.sampled_from(EDGES),
)
def test_lengths_are_those_of_the_definition(mask, seed, edges):
    start = np.random.default_rng(seed).random(mask.shape) < 0.2
    found = geodesic_distance(mask, start, spacing=edges)
    np.testing.assert_allclose(found, reference.geodesic(mask, start, edges), rtol=1e-5)


def test_lengths_about_a_point_are_straight_and_long_by_what_is_told():
    mask = np.ones((61, 61, 61), bool)
    start = np.zeros(mask.shape, bool)
    start[30, 30, 30] = True
    far = np.linalg.norm(np.indices(mask.shape) - 30, axis=0)
    excess = geodesic_distance(mask, start) / np.where(far > 0, far, 1) - 1
    for low, high, mean in ((3, 6, 0.10), (6, 12, 0.05), (12, 20, 0.027), (20, 52, 0.015)):
        ring = excess[(far >= low) & (far < high)]
        assert ring.min() >= -1e-6
        assert ring.mean() < mean


def test_ways_lead_through_a_hole_in_a_wall_and_not_through_it():
    mask = np.ones((40, 41, 41), bool)
    mask[20] = False
    assert geometric_tortuosity(mask, "z").mean == np.inf
    assert not percolates(mask)["percolates"][0]
    assert geometric_tortuosity(mask, "x").mean == pytest.approx(1, abs=1e-6)
    mask[20, 18:23, 18:23] = True
    found = geometric_tortuosity(mask, "z")
    y, x = np.meshgrid(*[np.maximum(np.abs(np.arange(41) - 20.0) - 2.5, 0)] * 2, indexing="ij")
    expected = ((20.5 + np.sqrt(19.5**2 + y**2 + x**2)) / 40).mean()
    assert found.shortest == pytest.approx(1, abs=1e-6)
    assert expected < found.mean < 1.03 * expected


def test_units_do_not_count_and_stairs_are_no_detour():
    n = 30
    z, _, x = np.indices((n, 4, 2 * n))
    mask = np.abs(x - z - 5) <= 4  # a slit at 45 degrees
    found = geometric_tortuosity(mask, "z", spacing=1.0)
    assert found == geometric_tortuosity(mask, "z", spacing=2.0)
    # Straight across the slit's width of 9 / sqrt 2 saves up to its width along x.
    assert 1.2 < found.shortest < found.mean < np.sqrt(2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: geodesic_distance(m * 1.0, m), "mask: found dtype float64"),
        (lambda m: geodesic_distance(m, m[:2]), "start: found shape"),
        (lambda m: geodesic_distance(m, m, spacing=-1), "spacing: found -1"),
        (lambda m: geometric_tortuosity(m, "w"), "axis: found 'w'"),
    ],
)
def test_geodesics_refuse(call, message):
    with pytest.raises(InputError, match=message):
        call(np.ones((3, 3, 3), bool))


def test_a_token_stops_a_march():
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        geometric_tortuosity(np.ones((4, 4, 4), bool), "z", cancel=token)
