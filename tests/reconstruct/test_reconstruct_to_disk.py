# SPDX-License-Identifier: BSD-3-Clause
"""From files to files: the bytes of work in memory, whatever the memory and however often it was stopped."""

import json
from dataclasses import replace

import numpy as np
import pytest

import cryolith
from cryolith import files
from cryolith import reconstruct as r
from cryolith.files.growing import volume_digest
from cryolith.reconstruct import ReconstructSettings
from cryolith.reconstruct.prepare import prepare
from cryolith.reconstruct.store import CHUNKS, LEDGER, Store
from cryolith.reconstruct.to_disk import reconstruct_to_disk
from cryolith.simulate import needle, tilt_series

NAMES = ("volume.mrc", "volume_half1.mrc", "volume_half2.mrc")
LITTLE = 4_200_000  # [bytes]: 16 to 96 of 256 rows at once


class StoppedError(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def case():
    series, alignment = tilt_series(
        needle(voids=3), range(-60, 61, 12), tilt_axis_deg=87, dose_per_pixel=50, background=1.0
    )
    # Along the tilt axis, which lies near to the rows of the images.
    return replace(series, images=np.tile(series.images, (1, 1, 4))), alignment


def settings_for(method, halves=None):
    return ReconstructSettings(
        method=method, n_iter=4, halves=halves, background="none", thickness=240.0
    )


def run(case, folder, method, *, halves=None, max_memory=None, every=1e9, **more):
    series, alignment = case
    settings = settings_for(method, halves)
    store = Store(folder / "work", f"{method} {halves}", labels=["test"], every=every)
    paths = tuple(folder / name for name in (NAMES if halves else NAMES[:1]))
    found = reconstruct_to_disk(
        series, alignment, settings, paths=paths, store=store, max_memory=max_memory, **more
    )
    return found, store


def in_memory(case, folder, method, halves=None):
    """Return the bytes of the files that `reconstruct` and `write_volume` give."""
    series, alignment = case
    settings = settings_for(method, halves)
    volume = r.reconstruct(series, alignment, settings)
    folder.mkdir()
    out = []
    for name, data in zip(NAMES, (volume.data, *(volume.halves or ())), strict=False):
        one = cryolith.Volume(data=np.asarray(data), pixel_size=volume.pixel_size)
        files.write_volume(folder / name, one, labels=["test"])
        out.append((folder / name).read_bytes())
    return out, volume


@pytest.mark.parametrize("halves", [None, "tilts"])
@pytest.mark.parametrize("method", ["wbp", "sirt", "tv", "cgls"])
def test_the_bytes_of_work_in_memory(case, tmp_path, method, halves):
    expected, volume = in_memory(case, tmp_path / "expected", method, halves)
    for limit in (None, LITTLE):
        found, store = run(case, tmp_path, method, halves=halves, max_memory=limit)
        assert [path.read_bytes() for path in found.files] == expected
        assert found.history == getattr(volume.data, "history", ())
        assert found.facts == volume.source.facts
        assert found.shape == volume.data.shape
        assert {p: volume_digest(p) for p in found.files} == found.files
        store.clear()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["expected", *(path.name for path in found.files)]
    )


@pytest.mark.parametrize("method", ["wbp", "sirt"])
def test_ome_zarr_with_its_smaller_copies(case, tmp_path, method):
    _, volume = in_memory(case, tmp_path / "expected", method)
    plain = cryolith.Volume(data=np.asarray(volume.data), pixel_size=volume.pixel_size)
    files.write_volume(tmp_path / "expected.zarr", plain, labels=["test"], chunks=CHUNKS)
    series, alignment = case
    for limit in (None, LITTLE):
        store = Store(tmp_path / "work", "key", labels=["test"])
        path = tmp_path / "volume.zarr"
        how = {"paths": (path,), "store": store, "max_memory": limit}
        reconstruct_to_disk(series, alignment, settings_for(method), **how)
        store.clear()
        found, expected = (
            {str(f.relative_to(p)): f.read_bytes() for f in p.rglob("*") if f.is_file()}
            for p in (path, tmp_path / "expected.zarr")
        )
        assert found == expected


def test_little_memory_cuts_the_work(case):
    series, alignment = case
    for method in ("wbp", "sirt", "tv"):
        ready = prepare(series, alignment, settings_for(method), max_memory=LITTLE)
        assert 0 < ready.plan.cut.rows <= 96 < ready.shape[1] / 2


def stopped_at(share):
    """Return a listener to the progress that stops the work there."""

    def progress(fraction):
        if fraction >= share:
            raise StoppedError

    return progress


@pytest.mark.parametrize("method", ["wbp", "sirt", "tv"])
def test_stopped_anywhere_under_other_limits_each_time(case, tmp_path, method):
    (expected,), _ = in_memory(case, tmp_path / "expected", method)
    limits = [LITTLE, LITTLE + 1_000_000, None, LITTLE]
    for share, limit in zip((0.3, 0.6, 0.9), limits, strict=False):
        try:
            run(case, tmp_path, method, max_memory=limit, every=0.0, progress=stopped_at(share))
        except StoppedError:
            assert not (tmp_path / NAMES[0]).exists()
    found, _ = run(case, tmp_path, method, max_memory=limits[-1])
    assert (tmp_path / NAMES[0]).read_bytes() == expected
    assert list(found.files.values()) == [volume_digest(tmp_path / NAMES[0])]


def ledger(folder):
    return [json.loads(line) for line in (folder / "work" / LEDGER).read_text().splitlines()]


def test_slabs_that_hold_are_not_made_again_and_others_are(case, tmp_path):
    with pytest.raises(StoppedError):
        run(case, tmp_path, "wbp", max_memory=LITTLE, progress=stopped_at(0.7))
    before = [e["slab"]["first"] for e in ledger(tmp_path) if "slab" in e]
    assert len(before) >= 2
    work = tmp_path / "work" / NAMES[0]
    data = bytearray(work.read_bytes())
    row = 4 * 96  # bytes of a row: the first slab has the first rows of each section
    data[1024 + row] ^= 1
    work.write_bytes(bytes(data))
    with open(tmp_path / "work" / LEDGER, "a") as cut_short:
        cut_short.write('{"volume": "volume.mrc", "sl')
    run(case, tmp_path, "wbp", max_memory=LITTLE)
    lines = (tmp_path / "work" / LEDGER).read_text().splitlines()
    after = []
    for line in lines[1 + len(before) + 1 :]:
        entry = json.loads(line)
        after += [entry["slab"]["first"]] if "slab" in entry else []
    assert before[0] in after
    assert not set(before[1:]) & set(after)
    assert (tmp_path / NAMES[0]).read_bytes() == in_memory(case, tmp_path / "e", "wbp")[0][0]


def test_what_was_begun_under_another_key_is_removed(case, tmp_path):
    with pytest.raises(StoppedError):
        run(case, tmp_path, "wbp", max_memory=LITTLE, progress=stopped_at(0.7))
    run(case, tmp_path, "sirt")
    assert (tmp_path / NAMES[0]).read_bytes() == in_memory(case, tmp_path / "e", "sirt")[0][0]


def test_a_file_that_has_its_name_but_no_record_yet_is_known_again(case, tmp_path):
    first, _ = run(case, tmp_path, "sirt")
    told = []
    again, _ = run(case, tmp_path, "sirt", progress=told.append)
    assert again == first
    assert told == [1.0]  # nothing was solved
    (tmp_path / NAMES[0]).write_bytes(b"something else")
    third, _ = run(case, tmp_path, "sirt")
    assert third == first
    assert volume_digest(tmp_path / NAMES[0]) == first.files[tmp_path / NAMES[0]]


def test_a_full_disk_leaves_what_there_is(case, tmp_path, monkeypatch):
    import cryolith._fields as fields

    real, left = fields.os.pwrite, [40]

    def pwrite(*args):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return real(*args)

    monkeypatch.setattr(fields.os, "pwrite", pwrite)
    with pytest.raises((OSError, cryolith.CryolithError), match="No space left"):
        run(case, tmp_path, "tv", max_memory=LITTLE, every=0.0)
    monkeypatch.undo()
    assert not (tmp_path / NAMES[0]).exists()
    run(case, tmp_path, "tv", max_memory=LITTLE)
    assert (tmp_path / NAMES[0]).read_bytes() == in_memory(case, tmp_path / "e", "tv")[0][0]


def test_cancelled_work_goes_on_later(case, tmp_path):
    token = cryolith.CancelToken()

    def progress(fraction):
        if fraction > 0.4:
            token.cancel()

    with pytest.raises(cryolith.Cancelled):
        run(case, tmp_path, "sirt", every=0.0, cancel=token, progress=progress)
    run(case, tmp_path, "sirt")
    assert (tmp_path / NAMES[0]).read_bytes() == in_memory(case, tmp_path / "e", "sirt")[0][0]
