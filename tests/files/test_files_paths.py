# SPDX-License-Identifier: BSD-3-Clause
"""Paths that are no plain files, names that are odd, and limits on time, memory and permissions."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from make_files import images, mdoc, mrc, write

import cryolith
from cryolith.errors import FileFormatError, report_line
from cryolith.files import (
    check,
    info,
    read_alignment,
    read_angle_file,
    read_mdoc,
    read_tilt_series,
    read_volume,
)

ANGLES = [-10.0, 0.0, 10.0]
PYTHON_PATH = str(Path(cryolith.__file__).parents[1])
READERS: dict[str, Callable[[Path], object]] = {
    "series": lambda p: read_tilt_series(p, ANGLES),
    "volume": read_volume,
    "info": info,
    "angles": read_angle_file,
    "mdoc": read_mdoc,
    "alignment": read_alignment,
}


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.mrc")
    return folder / "pipe.mrc"


def loop(folder: Path) -> Path:
    (folder / "a").symlink_to(folder / "b")
    (folder / "b").symlink_to(folder / "a")
    return folder / "a"


def dangling(folder: Path) -> Path:
    (folder / "a").symlink_to(folder / "nowhere")
    return folder / "a"


def below_a_file(folder: Path) -> Path:
    return write(folder / "file", b"x") / "a.mrc"


PLACES: list[tuple[str, Callable[[Path], Path], tuple[str, ...]]] = [
    ("missing", lambda d: d / "none.mrc", ("file", "no such file", "an existing file")),
    ("missing folder", lambda d: d / "no" / "a.mrc", ("no such file",)),
    ("empty name", lambda d: "", ("no such file",)),  # type: ignore[list-item,return-value]
    ("a folder", lambda d: d, ("file type", "a folder", "a regular file")),
    ("a FIFO", fifo, ("file type", "a FIFO")),
    ("/dev/zero", lambda d: Path("/dev/zero"), ("file type", "a character device")),
    ("/dev/null", lambda d: Path("/dev/null"), ("file type", "a character device")),
    ("a dangling link", dangling, ("no such file",)),
    ("a loop of links", loop, ("file", "symbolic links")),
    ("below a file", below_a_file, ("file", "Not a directory")),
    ("NUL in the name", lambda d: d / "a\0b.mrc", ("file", "null")),
    ("a name of 300 letters", lambda d: d / ("n" * 300 + ".mrc"), ("file", "too long")),
    ("a path of 5000 letters", lambda d: d.joinpath(*["n" * 200] * 25), ("file", "too long")),
]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("name", "build", "words"), PLACES, ids=[p[0] for p in PLACES])
def test_no_plain_file(
    tmp_path: Path, name: str, build: Callable[[Path], Path], words: tuple[str, ...], reader: str
) -> None:
    with pytest.raises(FileFormatError) as caught:
        READERS[reader](build(tmp_path))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_socket_is_refused() -> None:
    with tempfile.TemporaryDirectory(
        prefix="s"
    ) as folder:  # pytest's path is too long for a socket
        path = Path(folder, "s")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            with pytest.raises(FileFormatError, match="a socket"):
                read_volume(path)


NAMES = [
    "with blanks .mrc",
    "Ünïcödé 電子.mrc",
    "new\nline.mrc",
    "-rf.mrc",
    "%s{0}$HOME.mrc",
    "n" * 251 + ".mrc",
]


@pytest.mark.parametrize("name", NAMES)
def test_odd_names_are_only_names(tmp_path: Path, name: str) -> None:
    data = images("f4")
    path = tmp_path / name
    cryolith.files.write_volume(path, data)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert np.array_equal(read_volume(path).data, data)
    assert np.array_equal(read_tilt_series(path, ANGLES, pixel_size=1.0).images, data)


def test_a_message_stays_on_one_line_and_can_be_printed(tmp_path: Path) -> None:
    for name in ("new\nline.mrc", os.fsdecode(b"not \xff UTF-8.mrc")):
        path = write(tmp_path / name, b"")
        with pytest.raises(FileFormatError) as caught:
            read_volume(path)
        text = str(caught.value)
        assert "\n" not in text
        text.encode("utf-8")
        assert info_of(caught.value) == ("file size", "0 bytes (an empty file)")


def info_of(error: Exception) -> tuple[str, str]:
    finding = error.finding  # type: ignore[attr-defined]
    line = report_line(finding.path, finding.field, finding.found, finding.expected, finding.do)
    assert str(error) == line
    return finding.field, finding.found


def test_check_never_raises_for_the_file(tmp_path: Path) -> None:
    for _, build, words in PLACES[:4]:
        found = check(build(tmp_path))
        assert [f.level for f in found] == ["error"]
        assert words[-1] in str(found[0]) or words[0] in str(found[0])


@pytest.mark.skipif(os.geteuid() != 0 and os.name != "posix", reason="needs POSIX permissions")
def test_a_file_without_permission(tmp_path: Path) -> None:
    """Run as another user where this one may read everything."""
    folder = tempfile.mkdtemp(prefix="cryolith")
    path = write(Path(folder, "a.mrc"), mrc(images()))
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from cryolith.files import read_volume, write_volume\n"
        "import numpy as np, os\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        f"for work in (lambda: read_volume({str(path)!r}),\n"
        f"             lambda: write_volume({folder + '/b.mrc'!r}, np.ones((1, 1, 1), 'f4'))):\n"
        "    try: work()\n"
        "    except Exception as error: sys.stdout.write(type(error).__name__ + ' ' + str(error) + '\\n')\n"
    )
    os.chmod(folder, 0o555)
    path.chmod(0)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
        )
    finally:
        os.chmod(folder, 0o755)
        path.unlink()
        os.rmdir(folder)
    read, wrote = done.stdout.strip().split("\n")
    assert read.startswith("FindingError ")
    assert "Permission denied" in read
    assert "no permission to write" in wrote


LIARS = [
    ("dimensions", {"nx": 2**31 - 1, "ny": 2**31 - 1, "nz": 2**31 - 1}),
    ("extended header", {"nsymbt": 2**31 - 1}),
    ("sections", {"nz": 2**30}),
    ("labels", {"nlabl": 2**31 - 1}),
    ("SerialEM words", {"exttyp": b"SERI", "nint": 32767, "nreal": 32767, "nsymbt": 2**30}),
    ("volumes", {"ispg": 401, "mz": 2**31 - 1}),
]


def test_lying_headers_cost_no_memory(tmp_path: Path) -> None:
    """Under a cap of 64 MB above what importing takes, no liar gets a MemoryError or a crash."""
    paths = [write(tmp_path / f"{i}.mrc", mrc(images(), **f)) for i, (_, f) in enumerate(LIARS)]
    bomb = tmp_path / "bomb.mrc.gz"
    import gzip

    with gzip.open(bomb, "wb", compresslevel=9) as out:
        out.write(mrc(images(), nx=65536, ny=16384, nz=1)[:1024])
        for _ in range(64):
            out.write(b"\0" * (1 << 20))
    paths.append(bomb)
    code = (
        f"import sys, resource, warnings; sys.path[:0] = {sys.path!r}\n"
        "from cryolith.files import read_volume, info, read_tilt_series\n"
        "from cryolith.errors import CryolithError\n"
        "warnings.simplefilter('ignore')\n"
        "size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize() + (64 << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size, size))\n"
        f"for path in {[str(p) for p in paths]!r}:\n"
        "    for work in (read_volume, info, lambda p: read_tilt_series(p, [1, 2, 30])):\n"
        "        try: work(path); word = 'read'\n"
        "        except CryolithError: word = 'refused'\n"
        "        sys.stdout.write(word + ' ')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    words = done.stdout.split()
    assert len(words) == 3 * len(paths)
    assert words.count("read") == 6  # only the labels and the stack of volumes can be lived with


def test_a_text_file_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read, name in (
        (read_angle_file, "a.tlt"),
        (read_mdoc, "a.mdoc"),
        (read_alignment, "a.json"),
        (read_alignment, "a.aln"),
    ):
        path = write(tmp_path / name, b"1\n")
        with open(path, "r+b") as file:
            file.truncate(3 << 30)
        with pytest.raises(FileFormatError, match="file size: found 3221225472 bytes"):
            read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB


def test_readers_write_nothing_beside_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mrc", mrc(images()))
    write(tmp_path / "a.mdoc", mdoc(ANGLES).encode())
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    check(path)
    info(path)
    read_tilt_series(path, pixel_size=5.4)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
