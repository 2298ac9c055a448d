# SPDX-License-Identifier: BSD-3-Clause
"""skeleton keeps the topology of a phase and equals its definition; branches measures lines and circles."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage as ndi
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pore_phantoms import ring, tube
from reference import skeleton as reference

from cryolith import Cancelled, CancelToken, InputError
from cryolith.detect import branches, distance, find_regions, skeleton

EDGES = [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (1.3, 0.7, 0.45)]


def blobs(rng, shape, blur, share):
    field = ndi.gaussian_filter(rng.standard_normal(shape), blur)
    return field > np.quantile(field, 1 - share)


def topology(mask):
    """Components, tunnels and cavities."""
    _, table = find_regions(mask, measure=("holes",))
    return len(table["label"]), int(table["tunnels"].sum()), int(table["holes"].sum())


@settings(max_examples=25, deadline=None)
@given(
    mask=hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, max_side=4)),
    edges=st.sampled_from(EDGES),
)
def test_skeletons_are_those_of_the_definition(mask, edges):
    assume(not mask.all())
    depth = distance(mask, spacing=edges)
    np.testing.assert_array_equal(skeleton(mask, spacing=edges), reference.thin(mask, depth, edges))


def test_skeletons_of_blobs_are_those_of_the_definition():
    rng = np.random.default_rng(21)
    for edges in EDGES:
        mask = blobs(rng, (7, 8, 8), 1.2, 0.5)
        expected = reference.thin(mask, distance(mask, spacing=edges, border=True), edges)
        for threads in (1, 3):
            found = skeleton(mask, spacing=edges, border=True, threads=threads)
            np.testing.assert_array_equal(found, expected)


def test_a_skeleton_has_the_components_tunnels_and_cavities_of_the_phase():
    rng = np.random.default_rng(22)
    counts = []
    for blur in (0, 0.6, 1, 2):
        for share in (0.15, 0.5, 0.8):
            mask = blobs(rng, (30, 31, 34), blur, share)
            lines = skeleton(mask)
            assert not (lines & ~mask).any()
            counts.append(topology(mask))
            assert topology(lines) == counts[-1]
    assert (np.max(counts, axis=0) > 50).all()


def test_nothing_more_can_go_but_ends():
    rng = np.random.default_rng(23)
    lines = np.pad(skeleton(blobs(rng, (24,) * 3, 1.5, 0.4)), 1)
    for at in np.argwhere(lines):
        cube = lines[tuple(slice(a - 1, a + 2) for a in at)]
        assert cube.sum() == 2 or not reference.is_simple(cube)


@settings(max_examples=80, deadline=None)
@given(mask=hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, max_side=5)))
def test_branches_are_those_of_the_graph(mask):
    assume(mask.any() and not mask.all())
    found = branches(mask, prune=0)
    nodes, edges = reference.graph(found.lines)
    assert len(found.nodes["node"]) == len(nodes | {e[0] for e in edges})
    assert len(found.table["branch"]) == len(edges)
    assert sorted(len(path) for path in found.paths) == sorted(
        n + 2 if a != b or n == 0 or a in nodes else n + 1 for a, b, n in edges
    )
    assert (np.isinf(found.table["tortuosity"])).sum() == sum(a == b for a, b, _ in edges)
    assert found.nodes["branches"].sum() == 2 * len(edges)


def test_loops_are_the_tunnels_of_the_phase():
    rng = np.random.default_rng(24)
    mask = ndi.binary_fill_holes(blobs(rng, (40,) * 3, 2.5, 0.4))
    components, tunnels, cavities = topology(mask)
    found = branches(mask)
    assert cavities == 0
    assert tunnels > 10
    assert found.loops == tunnels
    assert topology(found.lines) == (components, tunnels, 0)


@pytest.mark.parametrize("radius", [0.9, 2, 3, 4.5])
def test_tubes_in_random_directions_are_as_long_as_they_are(radius):
    rng = np.random.default_rng(25)
    ratios, ends = [], []
    for _ in range(20):
        way = rng.standard_normal(3)
        way *= 18 / np.linalg.norm(way)
        found = branches(tube((60,) * 3, 29.5 + rng.uniform(-0.5, 0.5, 3), way, radius))
        assert found.table["kind"].tolist() == ["end-end"]
        ratios.append(found.table["tortuosity"][0])
        ends.append(found.table["length"][0] / 36)
        assert abs(found.table["radius"][0] - radius) < 0.4
    assert np.sort(ratios)[-3] < 1.02  # nine of ten; others end in a hook
    assert np.max(ratios) < 1.04
    assert 1.001 < np.mean(ratios) < 1.008
    # The ends lie within two voxels of the axis' own, each.
    np.testing.assert_allclose(ends, 1, atol=4 / 36)
    assert abs(np.mean(ends) - 1) < 1 / 36


def test_voxels_of_any_edges_give_the_same_length():
    edges = (2.0, 1.0, 1.0)
    rng = np.random.default_rng(26)
    for _ in range(5):
        way = rng.standard_normal(3)
        way *= 18 / np.linalg.norm(way)
        mask = tube((30, 60, 60), np.array([14.5, 29.5, 29.5]), way / edges, 3, edges)
        table = branches(mask, spacing=edges).table
        assert table["kind"].tolist() == ["end-end"]
        np.testing.assert_allclose(table["length"], 36, rtol=0.1)


def test_rings_are_loops_as_long_as_they_are():
    rng = np.random.default_rng(27)
    for radius, within in ((8, 0.03), (12, 0.012), (20, 0.006)):
        lengths = []
        for _ in range(6):
            found = branches(ring(rng, radius, 2.5))
            assert found.table["kind"].tolist() == ["loop"]
            assert found.loops == 1
            lengths.append(found.table["length"][0] / (2 * np.pi * radius))
        np.testing.assert_allclose(lengths, 1, atol=within)
        assert abs(np.mean(lengths) - 1) < 0.015


def test_a_cross_has_four_branches_and_loses_its_spur():
    mask = np.zeros((21, 41, 41), bool)
    mask[9:12, 19:22, 3:38] = True
    mask[9:12, 3:38, 19:22] = True
    mask[10, 18, 19] = mask[10, 17, 18] = True  # a bump beside the junction
    found = branches(mask)
    assert found.table["kind"].tolist() == ["end-junction"] * 4
    np.testing.assert_allclose(found.table["length"], 16, atol=1)
    assert sorted(found.nodes["branches"]) == [1, 1, 1, 1, 4]
    assert len(set(found.table["component"])) == 1
    middle = int(np.argmax(found.nodes["branches"]))
    np.testing.assert_allclose([found.nodes[a][middle] for a in "zyx"], 0, atol=0.5)
    assert len(branches(mask, prune=0).table["kind"]) >= 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: skeleton(np.zeros((3, 3, 3))), "mask: found dtype float64"),
        (lambda: skeleton(np.zeros((3, 3), bool)), "mask: .*nz, ny, nx"),
        (lambda: skeleton(np.ones((3, 3, 3), bool)), "mask: found no background"),
        (lambda: branches(np.ones((3, 3, 3), bool)), "mask: found no background"),
        (lambda: branches(np.zeros((3, 3, 3), bool), prune=-1), "prune: found -1"),
        (lambda: branches(np.zeros((3, 3, 3), bool), spacing=0), "spacing: found 0"),
    ],
)
def test_skeleton_and_branches_refuse(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("call", [skeleton, branches])
def test_nothing_has_no_branches_and_a_token_stops(call):
    empty = np.zeros((4, 5, 6), bool)
    found = call(empty)
    assert not (found if call is skeleton else found.lines).any()
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        call(np.pad(np.ones((8, 8, 8), bool), 1), cancel=token)
