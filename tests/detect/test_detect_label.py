# SPDX-License-Identifier: BSD-3-Clause
"""label: equal to the definition and to SciPy, for any threads, on any input."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import scipy.ndimage as ndi
from cryolith import CancelToken, Cancelled, InputError
from cryolith.detect import label
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reference import detect as reference

SHAPES = [(1, 5, 64), (3, 2, 65), (33, 7, 130), (64, 31, 63), (65, 40, 128), (35, 1, 1), (1, 1, 200)]
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
            assert labels.dtype == np.int32
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
