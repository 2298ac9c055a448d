# SPDX-License-Identifier: BSD-3-Clause
"""Which series a batch does, and which it leaves alone."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest
from batch_tools import Pretender

from cryolith import batch as batches
from cryolith.batch import Batch, collect, judge_series, open_batch, plan_batch, run_batch
from cryolith.batch import run as carrying_out
from cryolith.batch.ledger import Ledger
from cryolith.batch.series import find_series, name_series, natural
from cryolith.config import job_from_mapping
from cryolith.errors import InputError, InUseError
from cryolith.listener import Listener
from cryolith.locking import Holder
from cryolith.schedule import Outcome


def ask(folder, out, pattern="*.mrc", retries=2, **tables):
    job = job_from_mapping(tables)
    return Batch(patterns=(str(folder / pattern),), job=job, out=out, retries=retries)


def done_by(asked, answers=None, **how):
    """Carry a batch out by pretending; return the names of the series that were asked for."""
    pretender = Pretender(answers)
    run_batch(asked, pretender, **how)
    return pretender.asked


def state(out):
    return {name: entry.row.state for name, entry in Ledger.read(out).entries.items()}


def test_natural_order():
    assert sorted(["ts_10", "ts_2", "ts_1", "a"], key=natural) == ["a", "ts_1", "ts_2", "ts_10"]


def test_patterns_take_images_once_and_nothing_of_our_own(raw, tmp_path):
    folder = raw("b.mrc", "a.mrc", "a.rawtlt", "a.mrc.mdoc", "sub/c.tif", "out/a/volume.mrc")
    found = find_series([str(folder / "**/*"), str(folder / "a.mrc")], folder / "out")
    assert [p.relative_to(folder).as_posix() for p in found] == ["a.mrc", "b.mrc", "sub/c.tif"]
    with pytest.raises(InputError, match="found no image file at"):
        find_series([str(folder / "*.st")], tmp_path / "out")


def test_a_name_with_the_signs_of_a_pattern_is_a_name(raw, tmp_path):
    folder = raw("ts[1].mrc", "ts1.mrc")
    assert [p.name for p in find_series([str(folder / "ts[1].mrc")], tmp_path / "out")] == [
        "ts[1].mrc"
    ]


def test_equal_stems_get_names_of_their_own_that_stay():
    def names(paths, known=()):
        found = name_series(map(Path, paths), dict(known))
        return {str(p): n for p, n in found.items()}

    first = names(["/g1/ts.mrc", "/g2/ts.mrc", "/g1/other.mrc"])
    assert first == {"/g1/ts.mrc": "g1-ts", "/g2/ts.mrc": "g2-ts", "/g1/other.mrc": "other"}
    assert names(["/g1/ts.mrc", "/g2/ts.mrc"], {"/g1/ts.mrc": "ts"}) == {
        "/g1/ts.mrc": "ts",
        "/g2/ts.mrc": "g2-ts",
    }
    assert names(["/g/ts.mrc", "/g/TS.st"]) == {"/g/ts.mrc": "g-ts", "/g/TS.st": "TS.st"}
    assert names(["/g/overview.html.mrc"]) == {"/g/overview.html.mrc": "g-overview.html"}
    assert len(set(names([f"/{a}/{b}/x.mrc" for a in "pq" for b in "pq"]).values())) == 4


def test_only_what_is_new_is_done(raw, tmp_path):
    folder, out = raw("a.mrc", "b.mrc"), tmp_path / "out"
    assert done_by(ask(folder, out)) == ["a", "b"]
    assert done_by(ask(folder, out)) == []
    raw("c.mrc")
    assert done_by(ask(folder, out)) == ["c"]
    assert state(out) == {"a": "ok", "b": "ok", "c": "ok"}


def test_a_series_that_left_stays_in_the_ledger(raw, tmp_path):
    folder, out = raw("a.mrc", "b.mrc"), tmp_path / "out"
    done_by(ask(folder, out))
    (folder / "a.mrc").unlink()
    assert done_by(ask(folder, out)) == []
    assert set(state(out)) == {"a", "b"}


def test_what_the_result_depends_on_is_seen_to_change(raw, tmp_path):
    folder, out = raw("a.mrc", "b.mrc"), tmp_path / "out"
    asked = ask(folder, out)
    done_by(asked)
    (folder / "a.mrc").write_bytes(b"imagez")
    assert done_by(asked) == ["a"]
    (folder / "b.rawtlt").write_text("1\n")  # a file beside the series that was not there
    assert done_by(asked) == ["b"]
    (folder / "b.rawtlt").unlink()
    assert done_by(asked) == ["b"]
    assert done_by(ask(folder, out, reconstruct={"n_iter": 7})) == ["a", "b"]
    assert done_by(ask(folder, out, reconstruct={"n_iter": 7})) == []
    assert done_by(ask(folder, out, reconstruct={"n_iter": 7}), verify=True) == ["a", "b"]


def test_a_result_that_was_touched_is_looked_at(raw, tmp_path):
    folder, out = raw("a.mrc"), tmp_path / "out"
    asked = ask(folder, out)
    (out / "a").mkdir(parents=True)
    (out / ".cryolith").mkdir()
    with pytest.raises(InputError, match="not empty and not a batch"):
        done_by(asked)
    (out / "a").rmdir()
    done_by(asked)
    (out / "a").mkdir()
    (out / "a" / "volume.mrc").write_bytes(b"1234")
    assert done_by(asked) == ["a"]
    assert done_by(asked) == []
    before = (out / "a" / "volume.mrc").stat()
    (out / "a" / "volume.mrc").write_bytes(b"1284")  # same size, and soon the same time of change
    os.utime(out / "a" / "volume.mrc", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert done_by(asked) == ["a"]


def test_a_file_that_cannot_be_read_is_set_aside_until_it_changes(raw, tmp_path):
    folder, out = raw("a.mrc", "b.mrc"), tmp_path / "out"
    broken = Outcome(name="a", error="a.mrc: data: cut off", kind="FileFormatError")
    flaky = Outcome(name="b", error="its worker died", kind="WorkerDied", attempts=3)
    assert done_by(ask(folder, out), {"a": broken, "b": flaky}) == ["a", "b"]
    assert state(out) == {"a": "failed", "b": "failed"}
    plan = plan_batch(ask(folder, out))
    assert "stays set aside: a.mrc: data: cut off" in plan.lines()[0]
    assert done_by(ask(folder, out)) == ["b"]  # another attempt may do
    assert done_by(ask(folder, out)) == []
    (folder / "a.mrc").write_bytes(b"the whole images")
    assert done_by(ask(folder, out)) == ["a"]
    assert state(out) == {"a": "ok", "b": "ok"}


def test_what_was_interrupted_waits_and_goes_on(raw, tmp_path):
    folder, out = raw("a.mrc", "b.mrc", "c.mrc"), tmp_path / "out"

    class Stop(Listener):
        def judged(self, name, state, reason):
            if name == "b":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_batch(ask(folder, out), Pretender(), listener=Stop())
    assert state(out) == {"a": "ok", "b": "ok", "c": "waiting"}
    assert "data-refresh" not in (out / "overview.html").read_text()
    assert done_by(open_batch(out)) == ["c"]


def test_a_batch_is_opened_as_it_was_asked_for(raw, tmp_path, monkeypatch):
    folder, out = raw("a.mrc"), tmp_path / "out"
    monkeypatch.chdir(tmp_path)
    asked = ask(Path("raw"), Path("out"), retries=5, reconstruct={"n_iter": 7})
    done_by(asked)
    monkeypatch.chdir(folder)
    again = open_batch(out)
    assert again.retries == 5
    assert again.job.reconstruct.n_iter == 7
    assert done_by(again) == []


def test_one_batch_at_a_time_writes_in_a_folder(raw, tmp_path):
    asked = ask(raw("a.mrc"), tmp_path / "out")

    class Second(Listener):
        def judged(self, name, state, reason):
            with pytest.raises(InputError, match="another cryolith run"):
                run_batch(asked, Pretender())

    run_batch(asked, Pretender(), listener=Second())


@pytest.mark.parametrize(("host", "runs"), [("another", 3), (platform.node(), 1)])
def test_the_lock_of_another_machine_is_waited_out(tmp_path, monkeypatch, host, runs):
    """It may be that of a worker that died there; on this machine a lock that is held is in use."""
    seen = []

    def run(job, **how):
        seen.append(job)
        if len(seen) < 3:
            raise InUseError("another cryolith run is writing here")

    monkeypatch.setattr(carrying_out.pipeline, "run", run)
    monkeypatch.setattr(carrying_out, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(carrying_out, "row_of_run", lambda folder, name, **more: name)
    holder = Holder(host=host, pid=1, started="", since="")
    monkeypatch.setattr(carrying_out, "read_holder", lambda folder: holder)
    job = job_from_mapping({"output": str(tmp_path)})
    if runs == 3:
        assert judge_series(job, "ts") == "ts"
    else:
        with pytest.raises(InUseError):
            judge_series(job, "ts")
    assert len(seen) == runs


def test_a_folder_of_something_else_is_refused(raw, tmp_path):
    folder = raw("a.mrc")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "job.toml").touch()
    with pytest.raises(InputError, match="found the results of a run"):
        done_by(ask(folder, tmp_path / "run"))
    with pytest.raises(InputError, match="found a file, expected a folder"):
        done_by(ask(folder, folder / "a.mrc"))
    with pytest.raises(InputError, match="expected the folder of a batch"):
        open_batch(tmp_path / "run")
    done_by(ask(folder, tmp_path / "out"))
    (tmp_path / "out" / ".cryolith" / "batch.json").write_text("{}")
    with pytest.raises(InputError, match="expected the ledger of a batch"):
        done_by(ask(folder, tmp_path / "out"))


def test_a_batch_without_a_series_leaves_no_folder(tmp_path):
    with pytest.raises(InputError, match="found no image file"):
        done_by(ask(tmp_path, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_collect_writes_the_page_again(raw, tmp_path):
    folder, out = raw("a.mrc"), tmp_path / "out"
    done_by(ask(folder, out))
    before = (out / "overview.html").read_bytes()
    (out / "overview.html").unlink()
    assert collect(open_batch(out)).counts == {"ok": 1}
    assert (out / "overview.html").read_bytes() == before
    assert batches.open_batch(out).out == out
