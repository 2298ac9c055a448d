# SPDX-License-Identifier: BSD-3-Clause
"""The disk full at every tenth of what a run writes: a clear error, nothing half under a final name, and it goes on."""

from __future__ import annotations

import math
import multiprocessing

import numpy as np
import pytest
from failing_disk import Disk
from whole_runs import QUICK, job_for, tree

import cryolith
from cryolith import pipeline, records
from cryolith.errors import FileFormatError
from cryolith.files import read_volume, write_volume
from cryolith.files.growing import GrowingVolume, volume_digest, writing

SETTINGS = {"method": "wbp"}
FULL = "disk: found No space left on device, expected room for all that is to be written; make room"


def work(series, out, room, answer):
    """Run or, where a job is there, resume, on a disk with so much room; answer with what went wrong."""
    disk = Disk(room).install()
    try:
        if (out / "job.toml").exists():
            pipeline.resume(out, threads=1)
        else:
            cryolith.run(job_for(series, out, align=QUICK, reconstruct=SETTINGS), threads=1)
        answer.send((disk.taken, ""))
    except BaseException as error:
        answer.send((disk.taken, f"{type(error).__name__}: {error}"))


@pytest.fixture(scope="module")
def on_disk():
    """Do `work` in a process of its own: the child of one that has imported everything and runs no thread."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cryolith.pipeline", "cryolith.stages", "matplotlib.figure"])

    def done(series, out, room=math.inf):
        answer, end = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(series, out, room, end))
        process.start()
        end.close()
        found = answer.recv()
        process.join()
        return found

    return done


@pytest.fixture(scope="module")
def undisturbed(on_disk, tiny_series, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    taken, error = on_disk(tiny_series, out)
    assert error == ""
    return taken, tree(out)


TENTHS = [n if n % 3 == 1 else pytest.param(n, marks=pytest.mark.validation) for n in range(10)]


@pytest.mark.parametrize("tenth", TENTHS)
def test_a_run_on_a_full_disk_says_so_and_goes_on_when_there_is_room(
    tenth, on_disk, undisturbed, tiny_series, tmp_path
):
    whole, reference = undisturbed
    taken, error = on_disk(tiny_series, tmp_path / "out", room=whole * tenth // 10)
    assert taken == whole * tenth // 10
    assert error.startswith("FindingError: ")
    assert FULL in error
    unfinished = (f"{records.FOLDER}/lock", f"{records.FOLDER}/reconstruct/")
    left = tree(tmp_path / "out").items()
    left = {name: data for name, data in left if not name.startswith(unfinished)}
    assert left == {name: reference[name] for name in left}
    taken, error = on_disk(tiny_series, tmp_path / "out")
    assert error == ""
    assert taken < whole or tenth == 0
    assert tree(tmp_path / "out") == reference


@pytest.fixture
def full_after(monkeypatch):
    """Make the disk full after so many bytes more; what it replaces is put back."""

    def install(room):
        for module, name in (("os", "pwrite"), ("builtins", "open"), ("io", "open")):
            target = __import__(module)
            monkeypatch.setattr(target, name, getattr(target, name))
        return Disk(room).install()

    return install


DATA = np.random.default_rng(4).standard_normal((6, 64, 40)).astype("f4")
SLABS = [(0, 16), (16, 48), (48, 64)]
BYTES = DATA.nbytes


@pytest.mark.parametrize("suffix", [".mrc", ".zarr"])
@pytest.mark.parametrize("tenth", range(10))
def test_a_growing_volume_keeps_what_was_written(tenth, suffix, tmp_path, full_after, monkeypatch):
    work_file, final = tmp_path / f"w{suffix}", tmp_path / f"v{suffix}"
    about, done = {"chunks": (4, 16, 16)}, []
    write_volume(final, DATA[:1])
    before = volume_digest(final)
    GrowingVolume.create(work_file, DATA.shape, **about).close()

    def grow():
        with GrowingVolume.open(work_file, DATA.shape, **about) as volume:
            with writing(volume, done=done.append) as put:
                for first, last in SLABS:
                    put(first, DATA[:, first:last])
            volume.publish(done, final)

    full_after(BYTES * tenth // 10)
    with pytest.raises(FileFormatError, match="No space left on device"):
        grow()
    monkeypatch.undo()
    assert volume_digest(final) == before
    with GrowingVolume.open(work_file, DATA.shape, **about) as volume:
        assert all(map(volume.holds, done))
        held = {slab.first for slab in done}
        done += [volume.write(a, DATA[:, a:b]) for a, b in SLABS if a not in held]
        volume.publish(done, final)
    np.testing.assert_array_equal(read_volume(final).data, DATA)


@pytest.mark.parametrize("suffix", [".mrc", ".zarr"])
@pytest.mark.parametrize("tenth", range(10))
def test_a_volume_written_at_once_leaves_the_old_one(
    tenth, suffix, tmp_path, full_after, monkeypatch
):
    final = tmp_path / f"v{suffix}"
    write_volume(final, DATA[:1])
    before = volume_digest(final)
    full_after(BYTES * tenth // 10)
    with pytest.raises(FileFormatError, match=f"{final.name}: {FULL}"):
        write_volume(final, DATA, chunks=(4, 16, 16))
    monkeypatch.undo()
    assert volume_digest(final) == before
    assert [p.name for p in tmp_path.iterdir()] == [final.name]


def test_a_lock_on_a_full_disk_is_not_held(tmp_path, full_after, monkeypatch):
    full_after(10)
    with pytest.raises(FileFormatError, match="lock: disk"), records.lock(tmp_path):
        pass
    monkeypatch.undo()
    with records.lock(tmp_path) as taken_over:
        assert taken_over == ""
