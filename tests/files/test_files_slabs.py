# SPDX-License-Identifier: BSD-3-Clause
"""Volumes written slab by slab: the bytes of one written whole, or nothing."""

from __future__ import annotations

import numpy as np
import pytest

from cryolith import Volume
from cryolith.errors import FileFormatError, InputError
from cryolith.files import open_slabs, write_volume

SHAPE = (5, 37, 11)
SUFFIXES = [".mrc", ".zarr"]


def volume():
    data = np.random.default_rng(3).standard_normal(SHAPE).astype("f4")
    data[1, 2, 3] = np.nan
    return data


def bytes_of(path):
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(p.relative_to(path)): p.read_bytes() for p in files}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_slabs_in_any_order_give_the_bytes_of_the_whole(suffix, tmp_path):
    data, place = volume(), {"pixel_size": 3.5, "origin": (1.0, -2.0, 3.0)}
    how = {"labels": ["cryolith test"], "chunks": (4, 8, 4)}
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    write_volume(whole, Volume(data=data, pixel_size=3.5, origin=np.array([1.0, -2.0, 3.0])), **how)
    with open_slabs(cut, SHAPE, **place, **how) as slabs:
        for first in (16, 32, 0):
            slabs.write(first, data[:, first : first + 16])
        assert not cut.exists()
    assert bytes_of(cut) == bytes_of(whole)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_volume_that_is_not_finished_is_not_there(suffix, tmp_path):
    with (
        pytest.raises(InputError, match="21 rows that were never written"),
        open_slabs(tmp_path / f"v{suffix}", SHAPE, chunks=(4, 8, 4)) as slabs,
    ):
        slabs.write(0, volume()[:, :16])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("first", "slab", "what"),
    [
        (0, np.zeros((5, 16, 12), "f4"), "shape"),
        (0, np.zeros((5, 16), "f4"), "shape"),
        (32, np.zeros((5, 16, 11), "f4"), "within 37 rows"),
        (-8, np.zeros((5, 8, 11), "f4"), "within 37 rows"),
        (8, np.zeros((5, 8, 11), "f4"), "written before"),
    ],
)
def test_slabs_that_do_not_fit_are_refused(suffix, first, slab, what, tmp_path):
    def write_both():
        with open_slabs(tmp_path / f"v{suffix}", SHAPE, chunks=(4, 8, 4)) as slabs:
            slabs.write(8, volume()[:, 8:16])
            slabs.write(first, slab)

    with pytest.raises(InputError, match=what):
        write_both()
    assert list(tmp_path.iterdir()) == []


def test_slabs_of_a_zarr_hold_whole_chunks(tmp_path):
    with (
        pytest.raises(InputError, match="multiples of the chunk's 8 rows"),
        open_slabs(tmp_path / "v.zarr", SHAPE, chunks=(4, 8, 4)) as slabs,
    ):
        slabs.write(0, volume()[:, :12])


def test_a_bad_shape_or_place_is_refused_before_anything_is_written(tmp_path):
    for shape, place in [((0, 1, 1), {}), ((1, 1), {}), (SHAPE, {"pixel_size": -1.0})]:
        with pytest.raises(InputError), open_slabs(tmp_path / "v.mrc", shape, **place):
            pass
    with pytest.raises(InputError, match="suffix"), open_slabs(tmp_path / "v.tif", SHAPE):
        pass
    with pytest.raises(FileFormatError), open_slabs(tmp_path / "none" / "v.mrc", SHAPE):
        pass
    assert list(tmp_path.iterdir()) == []
