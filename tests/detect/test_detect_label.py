# SPDX-License-Identifier: BSD-3-Clause
"""label: equal to the definition and to SciPy, for any threads, on any input."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
import scipy.ndimage as ndi
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reference import detect as reference

from cryolith import Cancelled, CancelToken, InputError
from cryolith.detect import label

SHAPES = [
    (1, 5, 64),
    (3, 2, 65),
    (33, 7, 130),
    (64, 31, 63),
    (65, 40, 128),
    (35, 1, 1),
    (1, 1, 200),
]
RANK = {6: 1, 18: 2, 26: 3}


def in_raster_order(labels):
    """Number labels by their first voxel."""
    names, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    order = np.argsort(first[names > 0])
    number = np.zeros(len(names), np.int32)
    number[np.flatnonzero(names > 0)[order]] = np.arange(1, len(order) + 1)
    return number[inverse].reshape(labels.shape)


@settings(max_examples=60, deadline=None)
@given(
    mask=hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, max_side=9)),
    connectivity=st.sampled_from([6, 18, 26]),
)
def test_label_is_the_flood_fill(mask, connectivity):
    expected, count = reference.label(mask, connectivity)
    labels, found = label(mask, connectivity, threads=2)
    assert found == count
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("connectivity", [6, 18, 26])
def test_label_equals_scipy_for_any_threads(shape, connectivity):
    rng = np.random.default_rng(7)
    structure = ndi.generate_binary_structure(3, RANK[connectivity])
    for share in (0.02, 0.1, 0.25, 0.5, 0.8, 1.0):
        mask = rng.random(shape) < share
        expected, count = ndi.label(mask, structure)
        expected = in_raster_order(expected)
        for threads in (1, 2, 3):
            labels, found = label(mask, connectivity, threads=threads)
            assert found == count
            np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("connectivity", [6, 18, 26])
def test_label_of_nothing_and_of_everything(connectivity):
    for shape in [(1, 1, 1), (2, 3, 4), (40, 1, 70)]:
        labels, count = label(np.zeros(shape, bool), connectivity)
        assert (count, labels.max()) == (0, 0)
        labels, count = label(np.ones(shape, bool), connectivity)
        assert (count, labels.min(), labels.max()) == (1, 1, 1)


def test_a_corner_an_edge_and_a_face_join_as_named():
    corner = np.zeros((2, 2, 2), bool)
    corner[0, 0, 0] = corner[1, 1, 1] = True
    edge = np.zeros((2, 2, 2), bool)
    edge[0, 0, 0] = edge[0, 1, 1] = True
    face = np.zeros((2, 2, 2), bool)
    face[0, 0, 0] = face[1, 0, 0] = True
    counts = {c: [label(m, c)[1] for m in (face, edge, corner)] for c in (6, 18, 26)}
    assert counts == {6: [1, 2, 2], 18: [1, 1, 2], 26: [1, 1, 1]}


def test_label_takes_any_layout_and_never_writes_into_its_input():
    rng = np.random.default_rng(3)
    mask = rng.random((12, 14, 70)) < 0.3
    expected, _ = label(mask)
    big_endian = mask.astype(">i4") * 7
    fortran = np.asfortranarray(mask)
    strided = np.repeat(mask, 2, axis=2)[:, :, ::2]
    for given_mask in (big_endian, fortran, strided, mask.astype(np.uint64)):
        before = given_mask.copy()
        given_mask.flags.writeable = False
        np.testing.assert_array_equal(label(given_mask)[0], expected)
        np.testing.assert_array_equal(given_mask, before)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((2, 2, 2)), "compare the values with a threshold"),
        (np.zeros((2, 2, 2), complex), "expected bool or integers"),
        (np.zeros((2, 2), bool), "expected 3 axes"),
        (np.zeros((2, 0, 2), bool), "at least one element"),
    ],
)
def test_label_refuses_by_name(mask, message):
    with pytest.raises(InputError, match=message):
        label(mask)


def test_label_refuses_an_unknown_connectivity():
    with pytest.raises(InputError, match="connectivity: found 4, expected 6, 18 or 26"):
        label(np.zeros((2, 2, 2), bool), 4)


@settings(max_examples=60, deadline=None)
@given(
    values=hnp.arrays(
        st.sampled_from([np.uint8, np.uint16, np.int32]),
        hnp.array_shapes(min_dims=3, max_dims=3, max_side=7),
        elements=st.integers(0, 3),
    ),
    connectivity=st.sampled_from([6, 18, 26]),
)
def test_equal_values_are_flooded_apart(values, connectivity):
    expected, count = reference.label(values, connectivity, lambda a, b: a == b)
    labels, found = label(values, connectivity, same_value=True, threads=2)
    assert found == count
    np.testing.assert_array_equal(labels, expected)


@settings(max_examples=60, deadline=None)
@given(
    values=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=3, max_dims=3, max_side=7),
        elements=st.sampled_from([0, -0.5, 0.25, 0.5, 0.75, 1, 3, np.nan, np.inf]),
    ),
    connectivity=st.sampled_from([6, 18, 26]),
    delta=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)
def test_values_within_delta_are_flooded_together(values, connectivity, delta):
    image = np.where(np.isfinite(values), values, 0)
    expected, count = reference.label(image, connectivity, lambda a, b: abs(a - b) <= delta)
    labels, found = label(values, connectivity, delta=delta, threads=2)
    assert found == count
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("shape", [(1, 5, 64), (33, 7, 130), (65, 40, 128), (35, 1, 1)], ids=str)
@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64, np.float32])
def test_every_value_on_its_own_is_what_scipy_finds(shape, connectivity, dtype):
    # Long runs, so that words, chunks and rows are crossed by them.
    rng = np.random.default_rng(8)
    values = rng.integers(0, 4, shape).repeat(5, axis=2)[:, :, : shape[2]]
    values[:, 1:] = np.where(rng.random(values[:, 1:].shape) < 0.6, values[:, :-1], values[:, 1:])
    structure = ndi.generate_binary_structure(3, RANK[connectivity])
    expected = np.zeros(shape, int)
    for value in range(1, 4):
        parts, count = ndi.label(values == value, structure)
        expected += np.where(parts > 0, parts + expected.max(), 0)
    options = {"delta": 0.5} if dtype == np.float32 else {"same_value": True}
    for threads in (1, 3):
        labels, count = label(values.astype(dtype), connectivity, threads=threads, **options)
        assert count == expected.max()
        np.testing.assert_array_equal(labels, in_raster_order(expected))


def test_bounds_are_those_of_numpy_and_nan_is_background():
    edge = np.float32(0.1)
    image = np.full((2, 3, 70), np.nan, np.float32)
    image[0, 0, :5] = [edge, np.nextafter(edge, np.float32(1)), 0.05, np.inf, -np.inf]
    for bounds, found in (
        ({"above": 0.1}, [1, 3]),
        ({"below": 0.1}, [2, 4]),
        ({"above": 0.05, "below": 1.0}, [0, 1]),
        ({"above": 0, "below": 1}, [0, 1, 2]),
    ):
        where = ~np.isnan(image)
        where &= image > bounds["above"] if "above" in bounds else True
        where &= image < bounds["below"] if "below" in bounds else True
        assert np.flatnonzero(where).tolist() == found
        labels, _ = label(image, **bounds)
        assert np.flatnonzero(labels).tolist() == found
    mask = np.random.default_rng(2).random((33, 20, 130)).astype(np.float32)
    np.testing.assert_array_equal(label(mask, above=0.6)[0], label(mask > 0.6)[0])


def test_labels_come_in_the_smallest_type_or_the_one_asked_for():
    one = np.ones((2, 2, 2), bool)
    assert label(one)[0].dtype == np.uint8
    many = np.zeros((1, 32, 32), bool)
    many[:, ::2, ::2] = True
    assert label(many)[0].dtype == np.uint16  # 256 of them
    assert label(many, dtype=np.int32)[0].dtype == np.int32
    out = np.full(many.shape, 7, np.int32)
    got, _ = label(many, out=out)
    assert got is out
    np.testing.assert_array_equal(out, label(many)[0])
    most = np.zeros((1, 512, 520), bool)
    most[:, ::2, ::2] = True
    assert label(most)[0].dtype == np.int32  # 66560 of them
    assert label(most)[0].max() == 256 * 260


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.ones((1, 32, 32), bool), {"dtype": np.float32}, "dtype: found float32"),
        (np.eye(600, dtype=bool)[None, ::2], {"dtype": np.uint8}, "dtype: found uint8 for 300"),
        (np.ones((2, 2, 2), bool), {"out": np.zeros((2, 2, 3), np.uint8)}, "out: found"),
        (np.ones((2, 2, 2)), {"same_value": True}, "use delta=0"),
        (np.ones((2, 2, 2)), {"delta": -1.0}, "delta: found -1"),
        (np.ones((2, 2, 2)), {"delta": math.nan}, "delta: found nan"),
        (np.ones((2, 2, 2)), {"above": math.nan}, "above, below: found nan"),
        (np.ones((2, 2, 2), int), {"delta": 1.0, "same_value": True}, "expected one of them"),
        (np.ones((2, 2, 2), int), {"above": 1.0, "same_value": True}, "expected one of them"),
        (np.full((2, 2, 2), 2**40), {"same_value": True}, "number the values"),
    ],
)
def test_label_refuses_options_by_name(image, options, message):
    with pytest.raises(InputError, match=message):
        label(image, 6, **options)


def test_label_can_be_cancelled():
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        label(np.ones((64, 64, 64), bool), cancel=token)


def test_the_gil_is_free_and_two_threads_get_the_same_labels():
    mask = np.random.default_rng(5).random((96, 128, 128)) < 0.3
    expected, _ = label(mask)
    results = []
    workers = [
        threading.Thread(target=lambda: results.append(label(mask, threads=2)[0])) for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 2
    for got in results:
        np.testing.assert_array_equal(got, expected)
