# SPDX-License-Identifier: BSD-3-Clause
"""Device arrays go to and from other libraries without a copy, once, and say why where they do not."""

from __future__ import annotations

import gc
import sys

import numpy as np
import pytest

import cryolith
from cryolith._arrays import as_core

DTYPES = [
    "bool",
    "int8",
    "uint16",
    "int64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (7,), (3, 4, 5), (2, 0, 3)])
def test_arrays_come_back_as_they_went(dtype, shape):
    array = np.random.default_rng(1).integers(0, 2, size=shape).astype(dtype)
    there = cryolith.to_device(array, "emulated")
    assert (there.shape, there.dtype, there.device) == (shape, np.dtype(dtype), "emulated:0")
    back = there.numpy()
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_any_memory_order_and_byte_order_goes_in_and_nothing_is_written_into():
    array = np.arange(24, dtype=">f4").reshape(4, 6)[::2, ::-1].T
    array.flags.writeable = False
    before = array.copy()
    there = cryolith.to_device(array, "emulated:1")
    assert there.device == "emulated:1"
    assert there.dtype == np.float32
    np.testing.assert_array_equal(there.numpy(), before)
    np.testing.assert_array_equal(array, before)


def test_an_array_moves_between_devices_and_stays_where_it_is():
    there = cryolith.to_device([1.0, 2.0], "emulated")
    assert cryolith.to_device(there, "emulated:0") is there
    other = cryolith.to_device(there, "emulated:1")
    assert other.device == "emulated:1"
    np.testing.assert_array_equal(other.numpy(), [1.0, 2.0])


def test_numpy_takes_an_emulated_array_as_it_lies_and_outlives_it():
    there = cryolith.to_device(np.arange(6, dtype=np.float32).reshape(2, 3), "emulated")
    view = np.from_dlpack(there)
    view[1, 2] = 50.0
    assert there.numpy()[1, 2] == 50.0
    del there
    gc.collect()
    np.testing.assert_array_equal(view, [[0, 1, 2], [3, 4, 50]])


class Older:
    """An array of a library that knows DLPack before version 1 only."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, stream=None):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


@pytest.mark.parametrize("wrap", [lambda a: a, Older], ids=["version 1", "before"])
def test_an_array_is_taken_as_it_lies_and_kept_alive(wrap):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    there = cryolith.from_dlpack(wrap(array))
    assert (there.shape, there.dtype, there.device) == ((3, 4), np.float32, "emulated:0")
    array[2, 3] = -1.0
    del array
    gc.collect()
    assert there.numpy()[2, 3] == -1.0
    again = cryolith.from_dlpack(there)
    assert again is there


def test_arrays_go_round_through_numpy():
    there = cryolith.to_device(np.ones(5), "emulated")
    back = cryolith.from_dlpack(np.from_dlpack(there))
    np.from_dlpack(back)[2] = 7.0
    assert there.numpy()[2] == 7.0


def test_read_only_stays_read_only():
    array = np.ones(4, np.float32)
    array.flags.writeable = False
    there = cryolith.from_dlpack(array)
    assert there.read_only
    assert not np.from_dlpack(there).flags.writeable
    with pytest.raises(BufferError, match="read-only"):
        there.__dlpack__()
    with pytest.raises(cryolith.InputError, match="does not hand it out"):
        cryolith.from_dlpack(Older(array))


@pytest.mark.parametrize(
    "array",
    [
        np.ones((4, 6), np.float32)[:, ::2],
        np.ones((4, 6), np.float32).T,
        np.ones((4, 6), np.float32)[::-1],
    ],
    ids=["gaps", "transposed", "reversed"],
)
def test_what_kernels_cannot_read_is_refused_and_given_back(array):
    before = sys.getrefcount(array)
    for wrap in (lambda a: a, Older):
        with pytest.raises(cryolith.InputError, match="make it contiguous"):
            cryolith.from_dlpack(wrap(array))
    gc.collect()
    assert sys.getrefcount(array) == before


def test_a_capsule_is_taken_once():
    capsule = np.ones(3).__dlpack__()

    class Given:
        def __dlpack__(self, **_):
            return capsule

        def __dlpack_device__(self):
            return (1, 0)

    cryolith.from_dlpack(Given())
    with pytest.raises(cryolith.InputError, match="no fresh DLPack capsule"):
        cryolith.from_dlpack(Given())


def test_bad_input_is_refused_in_words():
    there = cryolith.to_device(np.ones(3), "emulated")
    with pytest.raises(cryolith.InputError, match=r"use \.numpy\(\)"):
        np.asarray(there)
    with pytest.raises(cryolith.InputError, match="dtype object"):
        cryolith.to_device([object()], "emulated")
    with pytest.raises(cryolith.InputError, match="device: found 'gpu'"):
        cryolith.to_device(np.ones(3), "gpu")
    with pytest.raises(cryolith.InputError, match="found list"):
        cryolith.from_dlpack([1.0])
    for wanted in ({"copy": True}, {"dl_device": (2, 0)}):
        with pytest.raises(BufferError, match=r"use \.numpy\(\)"):
            there.__dlpack__(**wanted)
    with pytest.raises(cryolith.InputError, match=r"mask: .*use \.numpy\(\)"):
        as_core(there, "mask", ("n",))
