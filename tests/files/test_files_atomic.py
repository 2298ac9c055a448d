# SPDX-License-Identifier: BSD-3-Clause
"""Files appear whole or not at all: errors, signals, kills and full disks."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from cryolith.errors import FileFormatError
from cryolith.files import atomic, read_volume, write_table, write_volume


class Stop(BaseException):
    """Neither an Exception nor a KeyboardInterrupt."""


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError, Stop])
@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_nothing_is_left_after(tmp_path: Path, error: type[BaseException], folder: bool) -> None:
    publish = atomic.publish_folder if folder else atomic.publish
    old = tmp_path / "out"
    if folder:
        old.mkdir()
        (old / "kept").write_text("old")
    else:
        old.write_text("old")

    def half() -> None:
        with publish(old) as partial:
            (partial / "new" if folder else partial).write_text("half")
            assert partial.parent == tmp_path
            assert partial.name.endswith(".partial")
            raise error

    with pytest.raises(error):
        half()
    assert list(tmp_path.iterdir()) == [old]
    assert (old / "kept" if folder else old).read_text() == "old"


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    for text in ("one", "two"):
        with atomic.publish_folder(tmp_path / "out") as partial:
            (partial / text).write_text(text)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["two"]


def test_names(tmp_path: Path) -> None:
    for name in ("n" * 255, "ü" * 127, ".hidden", "a\nb"):
        atomic.write_text(tmp_path / name, "x")
        assert (tmp_path / name).read_text() == "x"
    assert len(list(tmp_path.iterdir())) == 4


def test_targets_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    bad: list[tuple[Callable[[], Any], str]] = [
        (lambda: atomic.write_text(tmp_path / "none" / "a", ""), "no such folder"),
        (lambda: atomic.write_text(tmp_path / "file" / "a", ""), "a file"),
        (lambda: atomic.write_text(tmp_path, ""), "a folder"),
        (lambda: atomic.write_text(tmp_path / "loop", ""), "loop"),
        (lambda: atomic.write_text(tmp_path / ("n" * 256), ""), "too long"),
        (lambda: atomic.write_text(tmp_path / "a\0b", ""), "null"),
        (lambda: atomic.publish_folder(tmp_path / "file").__enter__(), "a file"),
        (lambda: atomic.check_space(tmp_path / "none" / "a", 1), "no such folder"),
        (lambda: atomic.check_space(tmp_path / "a", 2**62), "at least 4611686018427387904 bytes"),
        (lambda: atomic.publish(tmp_path / "a", need=2**62).__enter__(), "free disk space"),
        (lambda: atomic.publish_folder(tmp_path / "a", need=2**62).__enter__(), "free disk space"),
    ]
    for work, words in bad:
        with pytest.raises(FileFormatError, match=words):
            work()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "loop"]


def test_json_is_strict(tmp_path: Path) -> None:
    value = {"b": np.float32(0.5), "a": [np.nan, np.inf, 1], 3: np.arange(2), "ü": (True, None)}
    atomic.write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text("utf-8")
    assert json.loads(text) == {"b": 0.5, "a": [None, None, 1], "3": [0, 1], "ü": [True, None]}
    assert text.index('"b"') < text.index('"a"')
    atomic.write_json(tmp_path / "a.json", {"path": os.fsdecode(b"no \xff UTF-8")})
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == {"path": "no \udcff UTF-8"}


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_001)
    assert atomic.sha256(tmp_path / "a") == hashlib.sha256(b"x" * 3_000_001).hexdigest()
    for name in ("one", "two"):  # made in another order
        for file in ("b/c", "a", "b/d") if name == "one" else ("a", "b/d", "b/c"):
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_text(file)
    first = atomic.sha256(tmp_path / "one")
    assert first == atomic.sha256(tmp_path / "two")
    (tmp_path / "two" / "a").rename(tmp_path / "two" / "e")
    assert first != atomic.sha256(tmp_path / "two")
    calls: list[int] = []
    atomic.sha256(tmp_path / "a", check=lambda: calls.append(1))
    assert len(calls) == 3


def run(code: str, *arguments: str) -> subprocess.Popen[str]:
    head = f"import sys; sys.path[:0] = {sys.path!r}\n"
    return subprocess.Popen(
        [sys.executable, "-c", head + code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


FULL_DISK = """
import resource, numpy as np
from pathlib import Path
from cryolith import FileFormatError
from cryolith.files import write_volume, write_table, write_alignment, atomic
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
out = Path(sys.argv[1])
data = np.ones((64, 64, 64), 'f4')
for work in (lambda: write_volume(out / 'v.mrc', data),
             lambda: write_volume(out / 'v.zarr', data),
             lambda: write_table(out / 't.csv', {'a': np.arange(300000.0)}),
             lambda: atomic.write_bytes(out / 'b', bytes(2000000))):
    try: work()
    except FileFormatError as error: sys.stdout.write(f'{error}\\n')
"""


@pytest.mark.parametrize("limit", [0, 1024, 1_000_000])
def test_a_full_disk_leaves_the_old_files(tmp_path: Path, limit: int) -> None:
    data = np.zeros((4, 4, 4), "f4")
    write_volume(tmp_path / "v.mrc", data)
    write_volume(tmp_path / "v.zarr", data)
    write_table(tmp_path / "t.csv", {"a": [1]})
    atomic.write_bytes(tmp_path / "b", b"old")
    before = {p.name: atomic.sha256(p) for p in tmp_path.iterdir()}
    process = run(FULL_DISK, str(tmp_path), str(limit))
    out, err = process.communicate(timeout=60)
    assert err == ""
    assert out.count("File too large, expected room") == 4 == len(out.splitlines())
    assert {p.name: atomic.sha256(p) for p in tmp_path.iterdir()} == before


ENDLESS = """
import numpy as np
from cryolith.files import write_volume
sys.stdout.write('ready\\n'); sys.stdout.flush()
i = 0
while True:
    i += 1
    write_volume(sys.argv[1], np.full((16, 128, 128), i % 100, 'f4'))
"""


@pytest.mark.parametrize("suffix", [".mrc", ".zarr"])
def test_killed_at_any_moment_the_name_holds_a_whole_volume(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(11)
    path = tmp_path / f"v{suffix}"
    write_volume(path, np.full((16, 128, 128), 100, "f4"))
    for _ in range(3):
        process = run(ENDLESS, str(path))
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.02, 0.2))
        process.kill()
        process.communicate()
        atomic.sweep(tmp_path)  # an old folder that was aside takes its name back
        assert [p.name for p in tmp_path.iterdir()] == [path.name]
        assert np.unique(read_volume(path).data).size == 1


def test_sweep(tmp_path: Path) -> None:
    for name in (".a.1-2.partial", ".b.1-2.old.partial", ".c.1-2.old.partial", ".d.7-8.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "inside").write_text(name)
    for name in ("c", "notes.partial", ".mine.partial", ".e.1-2.partial"):
        (tmp_path / name).write_text(name)
    left = {"b", "c", "notes.partial", ".mine.partial"}
    assert len(atomic.sweep(tmp_path)) == 5
    assert {p.name for p in tmp_path.iterdir()} == left
    assert (tmp_path / "b" / "inside").read_text() == ".b.1-2.old.partial"
    assert (tmp_path / "c").read_text() == "c"
    assert atomic.sweep(tmp_path) == []


def test_interrupted_nothing_is_left(tmp_path: Path) -> None:
    process = run(ENDLESS, str(tmp_path / "v.mrc"))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in err
    assert {p.name for p in tmp_path.iterdir()} <= {"v.mrc"}


def test_threads_and_processes_do_not_share_a_partial(tmp_path: Path) -> None:
    def partial_of() -> str:
        with atomic.publish(tmp_path / "a") as partial:
            partial.write_text("x")
            return partial.name

    with ThreadPoolExecutor(2) as pool:
        barrier = Barrier(2)  # both threads are alive at once
        names = list(pool.map(lambda _: [barrier.wait(), partial_of()][1], range(2)))
    assert len(set(names)) == 2
    assert all(str(os.getpid()) in name for name in names)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    for name, target in (("old", tmp_path / "real" / "old"), ("new", Path("real/new"))):
        if name == "old":
            target.write_text("old")
        (tmp_path / name).symlink_to(target)
        atomic.write_text(tmp_path / name, "text")
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "real" / name).read_text() == "text"
    assert sorted(p.name for p in (tmp_path / "real").iterdir()) == ["new", "old"]


def test_devices_are_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for work in (
        lambda: write_table(tmp_path / "pipe.csv", {"a": [1]}),
        lambda: atomic.write_text("/dev/full", "x"),
    ):
        with pytest.raises(FileFormatError, match="a device, FIFO or socket"):
            work()
    assert (tmp_path / "pipe.csv").is_fifo()
    assert not Path("/dev/full").is_file()
