# SPDX-License-Identifier: BSD-3-Clause
"""pore_network: the partition equals its definition, lattices of balls and tubes conduct what they should."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage as ndi
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pore_phantoms import balls, lattice_of_balls
from reference import network as reference

from cryolith import Cancelled, CancelToken, InputError
from cryolith.detect import contacts, distance, pore_network, tortuosity, volume_fraction
from cryolith.detect._conduits import conductance

EDGES = [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (1.3, 0.7, 0.45)]


def compare(mask, edges, prominence):
    found = pore_network(mask, spacing=edges, prominence=prominence, threads=2)
    depth = distance(mask, spacing=edges)
    markers = reference.peaks(mask, depth, 0.5 * min(edges), prominence)
    np.testing.assert_array_equal(found.labels, reference.flood(mask, depth, markers))
    np.testing.assert_array_equal(
        found.pores["inscribed_diameter"], [2 * depth[at] for at in markers]
    )
    return found


@settings(max_examples=25, deadline=None)
@given(
    mask=hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, max_side=4)),
    edges=st.sampled_from(EDGES),
    prominence=st.sampled_from([0, 0.1, 0.5]),
)
def test_pores_are_those_of_the_definition(mask, edges, prominence):
    assume(mask.any() and not mask.all())
    compare(mask, edges, prominence)


def test_pores_of_blobs_are_those_of_the_definition_and_throats_join_them():
    rng = np.random.default_rng(31)
    for edges in EDGES:
        mask = ndi.gaussian_filter(rng.standard_normal((11, 12, 13)), 1.5) > 0
        found = compare(mask, edges, 0.1)
        assert (found.labels > 0).sum() == mask.sum()
        assert set(reference.parts(found.labels)) == {1}
        np.testing.assert_allclose(found.pores["volume"].sum(), mask.sum() * np.prod(edges))
        meet = contacts(found.labels, pixel_size=[10 * e for e in edges])
        by_faces = meet["faces"] > 0
        np.testing.assert_array_equal(found.throats["pore1"], meet["label"][by_faces])
        np.testing.assert_array_equal(found.throats["pore2"], meet["other"][by_faces])
        np.testing.assert_array_equal(found.throats["area"], meet["contact_nm2"][by_faces])
        assert found.pores["coordination"].sum() == 2 * len(found.throats["area"])
        throats = found.throats["inscribed_diameter"]
        for end in ("pore1", "pore2"):
            assert (throats <= found.pores["inscribed_diameter"][found.throats[end] - 1]).all()


def test_faces_of_the_volume_open_pores():
    rng = np.random.default_rng(32)
    mask = ndi.gaussian_filter(rng.standard_normal((14, 15, 16)), 1.5) > 0
    found = pore_network(mask, spacing=(2, 1, 1))
    for axis, name in enumerate("zyx"):
        for side, end in (("min", 0), ("max", -1)):
            there = found.labels.take(end, axis)
            opened = found.openings["face"] == name + side
            np.testing.assert_array_equal(
                found.openings["pore"][opened], np.unique(there[there > 0])
            )
            np.testing.assert_array_equal(
                np.flatnonzero(found.pores[name + side]) + 1, found.openings["pore"][opened]
            )
            area = (there > 0).sum() * (1 if axis == 0 else 2)
            assert found.openings["cross_section"][opened].sum() == area


@pytest.mark.parametrize("case", [(24, 8, 3), (30, 10, 4), (40, 14, 5)], ids=str)
def test_a_cubic_lattice_of_balls_and_tubes(case):
    period, ball, radius = case
    mask = lattice_of_balls(period, ball, radius)
    found = pore_network(mask)
    assert found.pores["coordination"].tolist() == [3] * 8
    assert len(found.openings["pore"]) == 24
    np.testing.assert_allclose(found.pores["inscribed_diameter"], 2 * ball, atol=1.7)
    np.testing.assert_allclose(found.throats["length"], period, atol=0.3)
    inner = mask[:period, :period, 0]
    np.testing.assert_array_equal(found.throats["cross_section"], inner.sum())
    np.testing.assert_allclose(found.pores["volume"], mask.mean() * period**3)
    # Resistances of balls and tubes in a row, of the tubes' own cross-section; spreading into the balls is left out.
    half = np.sqrt(ball**2 - radius**2)
    area = inner.sum()
    log = np.log((ball + half) / (ball - half))
    diffusive = (period - 2 * half) / area + log / (np.pi * ball)
    in_ball = 2 / np.pi**2 * (half / (2 * ball**2 * radius**2) + log / (4 * ball**3))
    viscous = 8 * np.pi * ((period - 2 * half) / area**2 + in_ball)
    for axis in "zyx":
        assert 0.8 < found.diffusivity(axis) * diffusive * period < 1
        assert 0.7 < found.permeability(axis) * viscous * period < 1
        # All of it is in the flow through the voxels.
        exact = tortuosity(mask, axis).diffusivity
        np.testing.assert_allclose(found.diffusivity(axis), exact, rtol=0.06)


def test_straight_tubes_conduct_what_hagen_and_poiseuille_say():
    square = (np.arange(20) - 9.5) ** 2
    disk = square[:, None] + square < 6.2**2
    mask = np.broadcast_to(disk, (30, 20, 20))
    found = pore_network(mask, spacing=2.0)
    assert len(found.pores["pore"]) == 1
    area, whole = 4.0 * disk.sum(), 1600.0
    np.testing.assert_allclose(found.diffusivity("z"), area / whole, rtol=1e-12)
    np.testing.assert_allclose(found.permeability("z"), area**2 / (8 * np.pi) / whole, rtol=1e-12)
    assert found.diffusivity("x") == found.permeability("y") == 0


def test_conductance_solves_kirchhoffs_equations():
    rng = np.random.default_rng(33)
    ends = np.array([(a, b) for a in range(12) for b in range(a + 1, 12) if rng.random() < 0.3])
    resistance, into, out = (
        rng.uniform(0.5, 2, len(ends)),
        np.array([1.0, 2]),
        np.array([0.5, 3, 1]),
    )
    matrix, source = np.zeros((13, 13)), np.zeros(13)
    for (a, b), r in zip(ends, resistance, strict=True):
        matrix[[a, b], [a, b]] += 1 / r
        matrix[[a, b], [b, a]] -= 1 / r
    matrix[[0, 1], [0, 1]] += 1 / into
    source[:2] = 1 / into
    matrix[[9, 10, 11], [9, 10, 11]] += 1 / out
    matrix[12, 12] = 1  # a pore that nothing leads to
    expected = (np.linalg.solve(matrix, source)[9:12] / out).sum()
    found = conductance(13, ends, resistance, np.array([0, 1]), into, np.array([9, 10, 11]), out)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_a_network_of_a_random_medium_conducts_about_what_its_voxels_do():
    rng = np.random.default_rng(34)
    for share in (0.3, 0.5):
        mask = ~balls(rng, (60,) * 3, (1, 1, 1), 6, share)
        ratio = pore_network(mask).diffusivity("z") / tortuosity(mask, "z").diffusivity
        assert 0.6 < ratio < 1.2


def test_names_are_those_of_openpnm():
    mask = lattice_of_balls(24, 8, 3)
    found = pore_network(mask, spacing=0.5)
    named = found.openpnm()
    pores, throats = len(found.pores["pore"]), len(found.throats["pore1"])
    for name, column in named.items():
        assert len(column) == (pores if name.startswith("pore.") else throats)
    np.testing.assert_allclose(named["pore.coords"].mean(axis=0), 12, atol=0.5)
    assert named["throat.conns"].min() == 0
    assert named["throat.conns"].max() == pores - 1
    assert volume_fraction(mask)[0] * 24**3 == pytest.approx(named["pore.volume"].sum())
    assert named["pore.zmin"].sum() == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pore_network(np.zeros((3, 3, 3))), "mask: found dtype float64"),
        (lambda: pore_network(np.zeros((3, 3, 3), bool)), "mask: found no voxel"),
        (lambda: pore_network(np.ones((3, 3, 3), bool)), "mask: found no background"),
        (lambda: pore_network(np.eye(3, dtype=bool)[None], prominence=1), "prominence: found 1"),
        (lambda: pore_network(np.eye(3, dtype=bool)[None]).diffusivity("w"), "axis: found 'w'"),
    ],
)
def test_pore_network_refuses(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_token_stops_a_network():
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        pore_network(np.eye(3, dtype=bool)[None], cancel=token)
