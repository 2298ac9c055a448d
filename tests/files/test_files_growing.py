# SPDX-License-Identifier: BSD-3-Clause
"""Volumes that grow slab by slab over several lives: the bytes of one written whole, and digests of what is whole."""

from __future__ import annotations

import functools
import json
import math
import operator
import os
import subprocess
import sys
import threading

import mrcfile
import numpy as np
import pytest
import zarr

from cryolith import Volume
from cryolith.errors import FileFormatError, InputError
from cryolith.files import growing_stores, read_volume, write_volume
from cryolith.files.growing import GrowingVolume, SlabWritten, volume_digest, writing
from cryolith.files.statistics import Statistics

SHAPE = (5, 75, 11)
ABOUT = {
    "pixel_size": 3.5,
    "origin": (1.0, -2.0, 3.0),
    "labels": ["cryolith test"],
    "chunks": (4, 16, 4),
}
SUFFIXES = [".mrc", ".zarr"]
CUTS = [
    [(0, 75)],
    [(0, 16), (16, 32), (32, 64), (64, 75)],
    [(48, 75), (0, 48)],
    [(64, 75), (0, 32), (32, 64)],
]


def array(seed=3):
    data = np.random.default_rng(seed).standard_normal(SHAPE).astype("f4")
    data[1, 2, 3], data[4, 70, 0] = np.nan, np.inf
    return data


def bytes_of(path):
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(p.relative_to(path)): p.read_bytes() for p in files}


def through_json(written):
    return SlabWritten.from_mapping(json.loads(json.dumps(written.to_mapping())))


def whole(path, data):
    how = {"labels": ABOUT["labels"], "chunks": ABOUT["chunks"]}
    write_volume(path, Volume(data=data, pixel_size=3.5, origin=np.array([1.0, -2.0, 3.0])), **how)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_any_cut_over_any_lives_gives_the_bytes_of_the_whole(suffix, cut, tmp_path):
    data, work, final = array(), tmp_path / f"work{suffix}", tmp_path / f"final{suffix}"
    GrowingVolume.create(work, SHAPE, **ABOUT).close()
    slabs = []
    for first, last in cut:
        with GrowingVolume.open(work, SHAPE, **ABOUT) as volume:
            written = through_json(volume.write(first, data[:, first:last]))
            assert volume.holds(written)
            slabs.append(written)
    heard = []
    with GrowingVolume.open(work, SHAPE, **ABOUT) as volume:
        digest = volume.publish(slabs, final, announce=heard.append)
    assert bytes_of(final) == bytes_of(whole(tmp_path / f"whole{suffix}", data))
    assert not work.exists()
    assert heard == [digest] == [volume_digest(final)]
    assert digest == volume_digest(tmp_path / f"whole{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_parts_have_the_same_digests_however_the_volume_is_cut(suffix, tmp_path):
    found = []
    for i, cut in enumerate(CUTS):
        with GrowingVolume.create(tmp_path / f"{i}{suffix}", SHAPE, **ABOUT) as volume:
            slabs = [volume.write(a, array()[:, a:b]) for a, b in cut]
        parts = {k: v for slab in slabs for k, v in slab.digests.items()}
        found.append({k: v for k, v in parts.items() if "/" not in k or k.startswith("0/")})
    assert found[0]
    assert found == [found[0]] * len(CUTS)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_slab_that_changed_on_disk_is_not_held(suffix, tmp_path):
    work = tmp_path / f"work{suffix}"
    with GrowingVolume.create(work, SHAPE, **ABOUT) as volume:
        slabs = [volume.write(a, array()[:, a:b]) for a, b in CUTS[1]]
        target = work if suffix == ".mrc" else work / "0/1/2/1"
        raw = bytearray(target.read_bytes())
        raw[1024 + 4 * 11 * 40 if suffix == ".mrc" else 7] ^= 1  # section 0, row 40
        target.write_bytes(raw)
        assert [volume.holds(slab) for slab in slabs] == [True, True, False, True]
        if suffix == ".zarr":
            target.unlink()
            assert not volume.holds(slabs[2])
        volume.write(32, array()[:, 32:64])  # the same rows again
        assert all(map(volume.holds, slabs))
        less = SlabWritten(first=0, last=16, digests={}, statistics=slabs[0].statistics)
        assert not volume.holds(less)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_does_not_fit_is_refused_and_the_work_stays(suffix, tmp_path):
    work, final = tmp_path / f"work{suffix}", tmp_path / f"final{suffix}"
    with pytest.raises(OSError, match="work"):
        GrowingVolume.open(work, SHAPE, **ABOUT)
    with pytest.raises(InputError, match="three positive"):
        GrowingVolume.create(work, (5, 0, 11), **ABOUT)
    with GrowingVolume.create(work, SHAPE, **ABOUT) as volume:
        for first, rows in ((8, 16), (0, 20), (64, 16), (-16, 16)):
            with pytest.raises(InputError, match="slab"):
                volume.write(first, np.zeros((5, rows, 11), "f4"))
        with pytest.raises(InputError, match="float64"):
            volume.write(0, np.zeros((5, 16, 11)))
        slabs = [volume.write(a, array()[:, a:b]) for a, b in CUTS[1]]
        for some, what in (
            (slabs[1:], "rows 0 to 16 are missing"),
            (slabs[:-1], "rows 64 to 75 are missing"),
            ([*slabs, slabs[2]], "rows 32 to 64 are there twice"),
        ):
            with pytest.raises(InputError, match=what):
                volume.publish(some, final)
        with pytest.raises(InputError, match="format"):
            volume.publish(slabs, tmp_path / ("v.zarr" if suffix == ".mrc" else "v.mrc"))
        with pytest.raises(FileFormatError, match="no such folder"):
            volume.publish(slabs, tmp_path / "none" / f"v{suffix}")
        assert not final.exists()
        volume.publish(slabs, final)
    write_volume(work, np.zeros((5, 80, 11), "f4"))
    with pytest.raises(FileFormatError, match="begin the volume anew"):
        GrowingVolume.open(work, SHAPE, **ABOUT)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_new_beginning_and_an_old_result_are_replaced(suffix, tmp_path):
    work, final = tmp_path / f"work{suffix}", tmp_path / f"final{suffix}"
    whole(work, np.zeros((3, 4, 5), "f4"))
    whole(final, np.zeros((300, 4, 5), "f4"))
    with GrowingVolume.create(work, SHAPE, **ABOUT) as volume:
        volume.publish([volume.write(0, array())], final)
    assert bytes_of(final) == bytes_of(whole(tmp_path / f"whole{suffix}", array()))
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"final{suffix}", f"whole{suffix}"]


def test_slabs_are_written_in_the_background_one_at_a_time(tmp_path, monkeypatch):
    data, heard, may_write = array(), [], threading.Event()
    with GrowingVolume.create(tmp_path / "w.mrc", SHAPE, **ABOUT) as volume:
        write, threads = volume.write, set()

        def slow(first, slab):
            threads.add(threading.current_thread().name)
            assert may_write.wait(20)
            return write(first, slab)

        monkeypatch.setattr(volume, "write", slow)
        with writing(volume, done=heard.append) as put:
            put(0, data[:, :16])  # returns although nothing is written
            assert heard == []
            may_write.set()
            put(16, data[:, 16:64])
            assert [w.first for w in heard[:1]] == [0]
            put(64, data[:, 64:])
        assert [w.first for w in heard] == [0, 16, 64]
        assert threading.current_thread().name not in threads
        volume.publish(heard, tmp_path / "v.mrc")
    assert bytes_of(tmp_path / "v.mrc") == bytes_of(whole(tmp_path / "whole.mrc", data))


@pytest.mark.parametrize("more", [0, 1])
def test_errors_of_the_background_reach_the_caller(more, tmp_path):
    def put_both():
        with writing(volume) as put:
            put(8, array()[:, :16])
            for _ in range(more):
                put(0, array()[:, :16])
                pytest.fail("the error came too late")

    with (
        GrowingVolume.create(tmp_path / "w.mrc", SHAPE, **ABOUT) as volume,
        pytest.raises(InputError, match="rows 8 to 24"),
    ):
        put_both()


@pytest.mark.parametrize("dtype", ["f4", "i2", "u2", "f2", "i1"])
def test_the_digest_of_a_file_sees_every_byte(dtype, tmp_path, monkeypatch):
    monkeypatch.setattr(growing_stores, "_PIECE", 1000)
    path = tmp_path / "v.mrc"
    write_volume(path, (np.arange(5 * 75 * 11) % 100).astype(dtype).reshape(SHAPE))
    found = {volume_digest(path)}
    raw = path.read_bytes()
    for place in (0, 200, 1024, 1024 + 40 * 11, len(raw) - 1):
        changed = bytearray(raw)
        changed[place] ^= 4
        path.write_bytes(changed)
        found.add(volume_digest(path))
    for other in (raw[:-1], raw + b"\0", raw[:500], b""):
        path.write_bytes(other)
        found.add(volume_digest(path))
    assert len(found) == 10


def test_label_images_inside_do_not_change_a_volumes_digest(tmp_path):
    whole(tmp_path / "v.zarr", array())
    before = volume_digest(tmp_path / "v.zarr")
    (tmp_path / "v.zarr/labels").mkdir()
    (tmp_path / "v.zarr/labels/.zgroup").write_text("{}")
    assert volume_digest(tmp_path / "v.zarr") == before
    (tmp_path / "v.zarr/1/0/0/0").unlink()
    assert volume_digest(tmp_path / "v.zarr") != before


def reference(data):
    values = data[np.isfinite(data)].astype("f8")
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum((values - mean) ** 2) / len(values))


@pytest.mark.parametrize(("offset", "scale"), [(0, 1), (1e6, 1), (-3e-39, 1e-39), (1e30, 1e36)])
def test_statistics_equal_numpys_and_do_not_depend_on_the_cut(offset, scale):
    rng = np.random.default_rng(5)
    data = (rng.standard_normal((7, 33, 301)) * scale + offset).astype("f4")
    data[0, 0, 0], data[3, 5] = np.inf, np.nan
    found = Statistics.of(data)
    finite = data[np.isfinite(data)]
    assert (found.low, found.high, found.count) == (finite.min(), finite.max(), finite.size)
    assert (found.mean, found.rms) == pytest.approx(reference(data), rel=1e-12)
    pieces = [Statistics.of(data[:, a:b], threads=2) for a, b in ((20, 33), (0, 3), (3, 20))]
    again = Statistics.merged(
        Statistics.from_mapping(json.loads(json.dumps(p.to_mapping()))) for p in pieces
    )
    numbers = [(s.low, s.high, s.count, s.mean, s.rms) for s in (found, again)]
    assert numbers[0] == numbers[1]


def test_statistics_of_nothing_and_of_minus_zero(tmp_path):
    assert Statistics.of(np.full((1, 2, 3), np.nan, "f4")) == Statistics()
    zeros = np.zeros((1, 1, 9), "f4")
    zeros[0, 0, ::2] = -0.0
    found = Statistics.of(zeros)
    assert math.copysign(1, found.low) == math.copysign(1, found.high) == 1
    write_volume(tmp_path / "v.mrc", np.full((1, 2, 3), np.nan, "f4"))
    with mrcfile.open(tmp_path / "v.mrc") as mrc:
        assert [float(mrc.header[k]) for k in ("dmin", "dmax", "dmean", "rms")] == [0, 0, 0, 0]


def halved(data):
    """The definition: each voxel the mean of the finite ones of its box."""
    z, y, x = (-(-n // 2) for n in data.shape)
    out = np.empty((z, y, x), "f8")
    for index in np.ndindex(z, y, x):
        box = data[tuple(slice(2 * i, 2 * i + 2) for i in index)]
        box = box[np.isfinite(box)].astype("f8").tolist()
        out[index] = functools.reduce(operator.add, box, 0.0) / len(box) if box else np.nan
    return out


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i2", "u1", "?"])
def test_smaller_copies_are_means_with_their_place(dtype, tmp_path):
    data = (np.random.default_rng(1).standard_normal((9, 21, 13)) * 20).astype(dtype)
    if dtype == "f4":
        data[0, 0, 0], data[4:6, 8:10, 2:4] = np.nan, np.inf
    place = Volume(data=data, pixel_size=2.0, origin=np.array([10.0, 20.0, 30.0]))
    write_volume(tmp_path / "v.zarr", place, chunks=(4, 8, 4))
    root = zarr.open(str(tmp_path / "v.zarr"), mode="r")
    image = root.attrs["multiscales"][0]
    assert [d["path"] for d in image["datasets"]] == ["0", "1", "2"]
    assert image["type"] == ("nearest" if dtype == "?" else "mean")
    below = data
    first = np.array([10.0, 20.0, 30.0]) - (np.array(data.shape) - 1)
    for level, dataset in enumerate(image["datasets"]):
        got = root[dataset["path"]][...]
        if level:
            below = below[::2, ::2, ::2] if dtype == "?" else halved(below)
            below = np.rint(below).astype(dtype) if dtype in ("i2", "u1") else below.astype(dtype)
        np.testing.assert_array_equal(got, below)
        scale, move = (t[t["type"]] for t in dataset["coordinateTransformations"])
        assert scale == [2.0 * 2**level] * 3
        off = 0 if dtype == "?" else 2**level - 1
        np.testing.assert_allclose(move, first + off)
    np.testing.assert_array_equal(read_volume(tmp_path / "v.zarr").data, data)


@pytest.mark.parametrize("chunks", [(64, 64, 64), (1, 512, 512)])
def test_a_volume_of_one_chunk_or_of_flat_chunks_needs_no_smaller_copies(chunks, tmp_path):
    write_volume(tmp_path / "v.zarr", np.zeros((9, 12, 13), "f4"), chunks=chunks)
    assert not (tmp_path / "v.zarr/1").exists()


WRITE = """
import json, sys
import numpy as np
from cryolith.files.growing import GrowingVolume
about = json.loads(sys.argv[3])
data = np.random.default_rng(3).standard_normal((5, 75, 11)).astype("f4")
data[1, 2, 3], data[4, 70, 0] = np.nan, np.inf
with GrowingVolume.open(sys.argv[1], data.shape, **about) as volume:
    for first, last in json.loads(sys.argv[2]):
        print(json.dumps(volume.write(first, data[:, first:last]).to_mapping()))
"""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_processes_write_at_the_same_time_the_same_rows_too(suffix, tmp_path):
    work = tmp_path / f"w{suffix}"
    GrowingVolume.create(work, SHAPE, **ABOUT).close()
    cuts = ([(0, 16), (16, 48)], [(16, 48), (48, 75)])
    children = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, str(work), json.dumps(cut), json.dumps(ABOUT)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for cut in cuts
    ]
    lines = [line for child in children for line in child.communicate()[0].splitlines()]
    assert [child.returncode for child in children] == [0, 0]
    slabs = [SlabWritten.from_mapping(json.loads(line)) for line in lines]
    assert slabs[1] == slabs[2]
    with GrowingVolume.open(work, SHAPE, **ABOUT) as volume:
        assert all(map(volume.holds, slabs))
        volume.publish([*slabs[:2], slabs[3]], tmp_path / f"v{suffix}")
    expected = whole(tmp_path / f"whole{suffix}", array())
    assert bytes_of(tmp_path / f"v{suffix}") == bytes_of(expected)


@pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="room is kept on Linux")
def test_the_room_is_kept_from_the_start(tmp_path):
    shape = (64, 64, 64)
    with GrowingVolume.create(tmp_path / "w.mrc", shape):
        status = (tmp_path / "w.mrc").stat()
        assert status.st_size == 1024 + 4 * 64**3
        assert status.st_blocks * 512 >= status.st_size
