# SPDX-License-Identifier: BSD-3-Clause
"""One run to a folder, also across machines; a dead run's lock is recognised and taken over."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import time
from dataclasses import asdict

import pytest

from cryolith import InputError, locking
from cryolith.locking import Holder, lock, read_holder


def holder(**changes):
    since = "2026-11-28 10:00:00 +0000"
    mine = {"host": platform.node(), "pid": os.getpid(), "started": "", "since": since}
    return Holder(**{**mine, **changes})


def leave(folder, held, age=0.0):
    """A lock as a run that was killed `age` seconds after its last sign of life leaves it."""
    folder.mkdir(exist_ok=True)
    path = folder / "lock"
    path.write_text(json.dumps(asdict(held)))
    os.utime(path, (time.time() - age,) * 2)


def dead_pid():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


@pytest.fixture
def no_flock(monkeypatch):
    """A file system that knows no flock."""
    import fcntl

    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)


def test_the_holder_is_named_while_it_holds_and_forgotten_after(tmp_path):
    with lock(tmp_path / ".cryolith") as taken_over:
        assert taken_over == ""
        found = read_holder(tmp_path / ".cryolith")
        assert (found.host, found.pid) == (platform.node(), os.getpid())
        words = rf"held by process {os.getpid()} on host {platform.node()} since \d{{4}}-"
        with pytest.raises(InputError, match=words), lock(tmp_path / ".cryolith"):
            pass
    assert read_holder(tmp_path / ".cryolith") is None
    assert (tmp_path / ".cryolith/lock").read_bytes() == b""


def _hold(folder, ready):
    with lock(folder):
        ready.set()
        time.sleep(60)


def test_a_killed_runs_lock_is_taken_over_and_said_so(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    other = spawn.Process(target=_hold, args=(tmp_path, ready))
    other.start()
    try:
        assert ready.wait(30)
        with pytest.raises(InputError, match=f"held by process {other.pid} "), lock(tmp_path):
            pass
    finally:
        os.kill(other.pid, signal.SIGKILL)
        other.join()
    with lock(tmp_path) as taken_over:
        assert f"process {other.pid} " in taken_over
        assert taken_over.endswith("which has ended")
    with lock(tmp_path) as taken_over:
        assert taken_over == ""


@pytest.mark.parametrize("age", [0, 50])
def test_another_machines_run_is_believed_while_it_shows_life(age, tmp_path):
    leave(tmp_path, holder(host="elsewhere"), age)
    with pytest.raises(InputError, match="on host elsewhere since 2026"), lock(tmp_path):
        pass
    assert read_holder(tmp_path).host == "elsewhere"


def test_another_machines_run_that_shows_none_is_taken_over(tmp_path):
    leave(tmp_path, holder(host="elsewhere"), locking.STALE_SECONDS + 5)
    with lock(tmp_path) as taken_over:
        assert "on host elsewhere" in taken_over
        assert "no sign of life for 60 s" in taken_over
        assert read_holder(tmp_path).host == platform.node()


def test_a_sign_of_life_is_given_while_it_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(locking, "BEAT_SECONDS", 0.01)
    with lock(tmp_path):
        os.utime(tmp_path / "lock", (0, 0))
        deadline = time.monotonic() + 20
        while (tmp_path / "lock").stat().st_mtime == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_number_that_was_given_to_another_process_is_not_the_holder(tmp_path, no_flock):
    alive = locking._started(os.getpid())
    leave(tmp_path, holder(started=alive))
    with pytest.raises(InputError, match=f"process {os.getpid()} "), lock(tmp_path):
        pass
    for gone in (holder(started=f"{alive}0"), holder(pid=dead_pid(), started=alive)):
        leave(tmp_path, gone)
        with lock(tmp_path) as taken_over:
            assert "has ended" in taken_over


def test_with_flock_a_living_number_proves_nothing(tmp_path):
    leave(tmp_path, holder(started=locking._started(os.getpid())))
    with lock(tmp_path) as taken_over:
        assert "has ended" in taken_over


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": "h"}', "\xff"])
def test_a_lock_that_says_nothing_holds_nothing(text, tmp_path, no_flock):
    (tmp_path / "lock").write_text(text, encoding="latin-1")
    with lock(tmp_path) as taken_over:
        assert taken_over == ""


def test_two_machines_at_the_same_moment_do_not_both_hold(tmp_path, monkeypatch, no_flock):
    write = locking._write

    def overtaken(handle, text):
        write(handle, text)
        if text:
            leave(tmp_path, holder(host="elsewhere"))

    monkeypatch.setattr(locking, "_write", overtaken)
    with pytest.raises(InputError, match="host elsewhere"), lock(tmp_path):
        pass
    assert read_holder(tmp_path).host == "elsewhere"
