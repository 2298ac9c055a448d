# SPDX-License-Identifier: BSD-3-Clause
"""distance: equal to the definition and to SciPy, for any threads, slabs and instruction set."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import scipy.ndimage as ndi
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reference import detect as reference

from cryolith import Cancelled, CancelToken, InputError, Volume
from cryolith.detect import DistanceSlabs, distance

# Three squared float32 edges times counts, two sums, a root and the unit: each rounds by 2^-24 at most, the root halves
# what lies before it.
ROUNDING = 4 * 2.0**-24
SHAPES = [
    (1, 1, 2),
    (3, 5, 7),
    (17, 33, 65),
    (40, 64, 96),
    (70, 90, 61),
    (5, 150, 220),
    (150, 4, 33),
    (20, 260, 40),
]
EDGES = [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (1.3, 0.7, 0.45), (6.0, 1.0, 1.0)]


def masks(shape, seed=3):
    """Masks from noise to a single zero: near, far and nothing to be near to in some columns."""
    rng = np.random.default_rng(seed)
    for share in (0.5, 0.9, 0.99, 0.9999, 1.0):
        mask = rng.random(shape) < share
        mask[tuple(rng.integers(0, n) for n in shape)] = False
        yield mask
    grid = np.indices(shape)
    centre = np.array(shape)[:, None, None, None] / 2
    yield ((grid - centre) ** 2).sum(axis=0) < (0.45 * min(shape)) ** 2 + 1


@settings(max_examples=60, deadline=None)
@given(
    labels=hnp.arrays(
        np.int32, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6), elements=st.integers(-1, 2)
    ),
    edges=st.sampled_from(EDGES),
    signed=st.booleans(),
    border=st.booleans(),
)
def test_distance_is_that_of_all_pairs(labels, edges, signed, border):
    options = {"spacing": edges, "signed": signed, "border": border}
    expected = reference.distance(labels, **options)
    np.testing.assert_allclose(
        distance(labels, threads=1, **options), expected, rtol=ROUNDING, atol=0
    )
    mask = labels > 0
    np.testing.assert_allclose(
        distance(mask, threads=1, **options),
        reference.distance(mask.astype(int), **options),
        rtol=ROUNDING,
        atol=0,
    )


@pytest.mark.parametrize("edges", EDGES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_distance_equals_scipy(shape, edges):
    for mask in masks(shape):
        expected = ndi.distance_transform_edt(mask, sampling=edges)
        found = distance(mask, spacing=edges)
        np.testing.assert_allclose(found, expected, rtol=ROUNDING, atol=0)
        if edges == (1.0, 1.0, 1.0):
            np.testing.assert_array_equal(found, np.sqrt(np.rint(expected**2)).astype(np.float32))
        inner = ndi.distance_transform_edt(np.pad(mask, 1), sampling=edges)[1:-1, 1:-1, 1:-1]
        found = distance(mask, spacing=edges, border=True)
        np.testing.assert_allclose(found, inner, rtol=ROUNDING, atol=0)
        if mask.any():
            outer = ndi.distance_transform_edt(~mask, sampling=edges)
            found = distance(mask, spacing=edges, signed=True)
            np.testing.assert_allclose(found, expected - outer, rtol=ROUNDING, atol=0)


@pytest.mark.parametrize("edges", EDGES[:3], ids=str)
def test_distance_in_labels_is_that_of_each(edges):
    rng = np.random.default_rng(4)
    shape = (37, 70, 90)
    seeds = rng.integers(0, shape, (40, 3))
    nearest = np.full(shape, -1)
    nearest[tuple(seeds.T)] = np.arange(40)
    at = ndi.distance_transform_edt(nearest < 0, return_distances=False, return_indices=True)
    labels = nearest[tuple(at)] % 7
    expected = np.zeros(shape)
    for label in range(7):
        expected += (-1 if label == 0 else 1) * ndi.distance_transform_edt(
            labels == label, sampling=edges
        )
    found = distance(labels, spacing=edges, signed=True)
    np.testing.assert_allclose(found, expected, rtol=ROUNDING, atol=0)
    found = distance(labels, spacing=edges)
    np.testing.assert_allclose(found, np.maximum(expected, 0), rtol=ROUNDING, atol=0)


def cases():
    mask = list(masks((50, 40, 70)))[2]
    labels = (
        np.random.default_rng(5).integers(0, 3, (13, 10, 18)).repeat(4, 0).repeat(4, 1).repeat(4, 2)
    )
    for values in (mask, labels[:50, :40, :70]):
        for edges in (EDGES[0], EDGES[2]):
            for signed in (False, True):
                yield values, {"spacing": edges, "signed": signed, "border": signed}


def test_the_bytes_do_not_depend_on_threads_nor_slabs():
    for values, options in cases():
        expected = distance(values, threads=1, **options).tobytes()
        for threads in (2, 3):
            assert distance(values, threads=threads, **options).tobytes() == expected
        for size in (16, 48):
            slabs = DistanceSlabs(values.shape, mask=values.dtype == bool, **options)
            firsts = range(0, len(values), size)
            for first in reversed(firsts):
                slabs.scan(first, values[first : first + size], threads=1)
            parts = {}
            for first in reversed(firsts):
                parts[first] = slabs.finish(first, values[first : first + size], threads=2)
            assert np.concatenate([parts[first] for first in firsts]).tobytes() == expected


HASH = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
import test_detect_distance as tests
from cryolith.detect import distance
for values, options in tests.cases():
    sys.stdout.write(hashlib.sha256(distance(values, threads=1, **options).tobytes()).hexdigest())
"""


@pytest.mark.parametrize("isa", ["baseline", "x86-64-v3"])
def test_the_bytes_do_not_depend_on_the_instruction_set(isa):
    here = os.path.dirname(__file__)
    paths = [here, os.path.dirname(here), *sys.path]
    environment = os.environ | {"CRYOLITH_ISA": isa, "PYTHONPATH": os.pathsep.join(paths)}
    run = subprocess.run(
        [sys.executable, "-c", HASH, here],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = (
        hashlib.sha256(distance(values, threads=1, **options).tobytes()).hexdigest()
        for values, options in cases()
    )
    assert run.stdout == "".join(expected)


def test_a_volume_without_a_border_to_be_near_to_is_infinitely_deep():
    mask = np.ones((20, 40, 70), bool)
    assert (distance(mask) == np.inf).all()
    assert (distance(~mask) == 0).all()
    assert (distance(~mask, signed=True) == -np.inf).all()
    deep = distance(mask, border=True)
    assert deep[10, 20, 35] == 10
    assert deep[0, 0, 0] == 1


def test_far_from_a_single_voxel_it_is_exact():
    mask = np.ones((70, 400, 500), bool)
    mask[60, 390, 3] = False
    grid = np.ogrid[:70, :400, :500]
    squares = (grid[0] - 60) ** 2 + (grid[1] - 390) ** 2 + (grid[2] - 3) ** 2
    np.testing.assert_array_equal(distance(mask), np.sqrt(squares).astype(np.float32))


def test_lengths_are_in_the_unit_of_the_spacing():
    mask = np.ones((5, 5, 5), bool)
    mask[2, 2, 2] = False
    volume = Volume(data=mask.astype(np.float32), pixel_size=6.72)
    assert distance(mask, spacing=volume)[0, 2, 2] == np.float32(2 * 0.672)
    assert distance(mask, spacing=0.5)[0, 2, 2] == 1.0
    assert distance(mask, spacing=(3.0, 1.0, 1.0))[1, 2, 2] == 3.0


def test_out_is_used_and_inputs_are_left_alone():
    mask = next(iter(masks((10, 12, 14))))
    before = mask.copy()
    out = np.full(mask.shape, np.nan, np.float32)
    assert distance(mask, out=out) is out
    np.testing.assert_array_equal(out, distance(mask[:, :, ::-1])[:, :, ::-1])
    np.testing.assert_array_equal(mask, before)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (np.zeros((3, 3, 3)), {}, "labels: found dtype float64"),
        (np.zeros((3, 3), bool), {}, "3 axes"),
        (np.full((2, 2, 2), 2**31), {}, "32-bit"),
        (np.zeros((1, 1, 65535), bool), {}, "1 to 65534"),
        (np.zeros((3, 3, 3), bool), {"spacing": 0.0}, "spacing: found 0.0"),
        (np.zeros((3, 3, 3), bool), {"spacing": (1, 2)}, "spacing: found"),
        (np.zeros((3, 3, 3), bool), {"spacing": (1, 2, np.nan)}, "spacing: found"),
        (np.zeros((3, 3, 3), bool), {"spacing": "thin"}, "spacing: found 'thin'"),
        (np.zeros((3, 3, 3), bool), {"spacing": (1e-9, 1, 1)}, "ratio"),
        (np.zeros((3, 3, 3), bool), {"out": np.zeros((3, 3, 3))}, "out: found float64"),
        (
            np.zeros((3, 3, 3), bool),
            {"spacing": Volume(data=np.zeros((3, 3, 3), np.float32))},
            "pixel size",
        ),
    ],
)
def test_refusals(labels, options, message):
    with pytest.raises(InputError, match=message):
        distance(labels, **options)


def test_refusals_of_slabs():
    slabs = DistanceSlabs((40, 4, 4))
    part = np.ones((16, 4, 4), bool)
    with pytest.raises(InputError, match="multiple of 16"):
        slabs.scan(8, part)
    with pytest.raises(InputError, match="slices of 4 x 5, expected 4 x 4"):
        slabs.scan(0, np.ones((16, 4, 5), bool))
    with pytest.raises(InputError, match="mask=True"):
        slabs.scan(0, part.astype(int))
    slabs.scan(0, part)
    with pytest.raises(InputError, match="not scanned"):
        slabs.finish(0, part)
    slabs.scan(16, part)
    slabs.scan(32, part[:8])
    slabs.finish(0, part)
    with pytest.raises(InputError, match="scanned before"):
        slabs.scan(0, part)


def test_cancelling_stops_it():
    token = CancelToken()
    mask = np.random.default_rng(6).random((400, 256, 256)) < 0.999

    def repeat():
        while True:
            distance(mask, spacing=(1.3, 0.7, 0.45), threads=1, cancel=token)

    threading.Timer(0.02, token.cancel).start()
    with pytest.raises(Cancelled):
        repeat()
