# SPDX-License-Identifier: BSD-3-Clause
"""Files appear whole or not at all: written beside their final name, synced, then renamed.

A reader therefore never sees half a file under a final name, whatever moment the writer was killed
at.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .disk import clear_errors
from .findings import fail

__all__ = [
    "PARTIAL",
    "check_space",
    "move_in",
    "publish",
    "publish_folder",
    "sha256",
    "sweep",
    "write_bytes",
    "write_json",
    "write_text",
]

PARTIAL = ".partial"
_MADE = re.compile(rf"\.(?P<name>.+)\.\d+-\d+(?P<old>\.old)?{re.escape(PARTIAL)}", re.DOTALL)
_CHUNK = 1 << 20
_LONGEST_NAME = 255  # bytes, on every file system in common use


def _partial_path(path: Path) -> Path:
    """A name in the same folder (a rename across file systems is a copy), one per thread."""
    mark = f"{os.getpid()}-{threading.get_native_id()}{PARTIAL}"
    room = _LONGEST_NAME - len(f"..{mark}") - len(".old")
    stem = os.fsencode(path.name)
    if len(stem) > room:  # a name that fits must not fail for the sake of its temporary one
        stem = hashlib.sha256(stem).hexdigest().encode()
    return path.with_name(f".{os.fsdecode(stem)}.{mark}")


def _target(path: str | os.PathLike[str], *, folder: bool) -> Path:
    """The final path, links followed, after checking that it can be written and replaced."""
    final = Path(path)
    if os.path.islink(
        final
    ):  # the user wants the file the link names, not the link, to be replaced
        try:
            final = final.resolve()
        except (OSError, RuntimeError):
            fail(path, "path", "a loop of links", "a file name", "choose another name")
    _check_target(final, folder=folder)
    return final


def _check_target(path: Path, *, folder: bool) -> None:
    parent = path.parent
    if not os.path.isdir(parent):
        found = "a file" if os.path.exists(parent) else "no such folder"
        fail(path, "folder", f"{found} ({parent})", "an existing folder", "create the folder first")
    if not os.access(parent, os.W_OK):
        fail(
            path,
            "folder",
            f"no permission to write in {parent}",
            "a writable folder",
            "choose another folder",
        )
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:  # too long a name, or NUL in it
        fail(path, "path", getattr(error, "strerror", error), "a file name", "choose another name")
    if folder and not stat.S_ISDIR(mode):
        fail(path, "path", "a file", "the name of a folder", "remove it or choose another name")
    if not folder and stat.S_ISDIR(mode):
        fail(path, "path", "a folder", "the name of a file", "give a file name inside it")
    if not folder and not stat.S_ISREG(mode):  # renaming over /dev/null would replace the device
        fail(path, "path", "a device, FIFO or socket", "a regular file", "choose another name")


def check_space(path: str | os.PathLike[str], need: int) -> None:
    """Raise unless the file system of ``path`` has room for ``need`` bytes.

    Raises
    ------
    FileFormatError
        The folder is missing, or holds less free space than asked for.
    """
    folder = Path(path).parent
    if not folder.is_dir():
        _check_target(Path(path), folder=False)
    free = shutil.disk_usage(folder).free
    if need > free:
        fail(
            path,
            "free disk space",
            f"{free} bytes in {folder}",
            f"at least {need} bytes",
            "free some space or write elsewhere",
        )


def _sync_folder(path: Path) -> None:
    """Make a rename last; some network file systems know no sync of a folder, and need none."""
    with suppress(OSError):
        _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def publish(path: str | os.PathLike[str], *, need: int = 0) -> Iterator[Path]:
    """Give a temporary path beside ``path``; when the block succeeds the file takes its final name.

    Parameters
    ----------
    path : path
        Final name; an existing file is replaced in one step.
    need : int [bytes]
        Checked against the free disk space before anything is written.

    Yields
    ------
    Path
        Where to write. It is removed on any exception, KeyboardInterrupt included.

    Raises
    ------
    FileFormatError
        The folder does not exist or is not writable, ``path`` is a folder, or the disk is too full.

    Examples
    --------
    >>> with publish("table.csv") as partial:
    ...     partial.write_text("a,b")  # doctest: +SKIP
    """
    final = _target(path, folder=False)
    if need:
        check_space(final, need)
    partial = _partial_path(final)
    try:
        with clear_errors(final):
            yield partial
            _move_file(partial, final)
    except BaseException:
        _remove(partial)
        raise


def _move_file(partial: Path, final: Path) -> None:
    _sync(partial)
    os.replace(partial, final)
    _sync_folder(final.parent)


def move_in(work: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Give a finished file or folder its final name, as :func:`publish` and :func:`publish_folder` do.

    ``work`` may lie in another folder of the same file system. It stays where it is on any error.

    Raises
    ------
    FileFormatError
        As for :func:`publish`; ``path`` is on another file system.
    """
    done = Path(work)
    final = _target(path, folder=done.is_dir())
    if done.stat().st_dev != final.parent.stat().st_dev:
        do = "choose a final name on the same disk, or copy the file afterwards"
        fail(path, "folder", "another file system", f"that of {done}", do)
    if done.is_dir():
        _move_folder(done, final, _partial_path(final))
    else:
        _move_file(done, final)


@contextmanager
def publish_folder(path: str | os.PathLike[str], *, need: int = 0) -> Iterator[Path]:
    """As :func:`publish`, for a folder such as an OME-Zarr.

    A folder cannot replace another that is not empty in one step: an old one is first renamed
    aside, so that the final name holds the old folder, nothing, or the new one, but never a
    mixture.
    """
    final = _target(path, folder=True)
    if need:
        check_space(final, need)
    partial = _partial_path(final)
    _remove(partial)
    try:
        with clear_errors(final):
            partial.mkdir()
            yield partial
            _move_folder(partial, final, partial)
    except BaseException:
        _remove(partial)
        raise


def _move_folder(done: Path, final: Path, partial: Path) -> None:
    for folder, _, names in os.walk(done):
        for name in names:
            _sync(Path(folder, name))
        _sync_folder(Path(folder))
    old = partial.with_name(partial.name.removesuffix(PARTIAL) + ".old" + PARTIAL)
    _swap_in(done, final, old)
    _sync_folder(final.parent)
    _remove(old)


def _swap_in(partial: Path, final: Path, old: Path) -> None:
    if not final.exists():
        os.rename(partial, final)
        return
    _remove(old)
    os.rename(final, old)
    try:
        os.rename(partial, final)
    except BaseException:
        os.rename(old, final)
        raise


def sweep(folder: str | os.PathLike[str]) -> list[str]:
    """Remove what killed writers have left in ``folder``; call it where nobody else writes.

    An old folder that was renamed aside when its writer was killed takes its name back.

    Returns
    -------
    list of str
        The names that were removed or restored, sorted.
    """
    done = []
    for item in sorted(Path(folder).glob(f".*{PARTIAL}")):
        match = _MADE.fullmatch(item.name)
        if match is None:
            continue
        final = item.with_name(match["name"])
        if match["old"] and not os.path.lexists(final):
            os.rename(item, final)
        else:
            _remove(item)
        done.append(item.name)
    return done


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to ``path``, whole or not at all."""
    with publish(path, need=len(data)) as partial:
        partial.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` as UTF-8 with unchanged line ends, whole or not at all.

    What UTF-8 cannot hold (bytes of a file name that is none) is written as ``\\udc..``.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write ``value`` as strict JSON, keys in the given order; NaN and infinities become null."""
    write_text(
        path, json.dumps(_strict(value), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    )


def _strict(value: Any) -> Any:
    """JSON has no NaN: browsers and other languages refuse what Python would write."""
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    if hasattr(value, "tolist"):
        return _strict(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def sha256(path: str | os.PathLike[str], *, check: Callable[[], None] | None = None) -> str:
    """Return the SHA-256 of a file, or of a folder by its files' sorted names and contents.

    Parameters
    ----------
    path : path
        File or folder.
    check : callable, optional
        Called after each MiB; may raise to stop (cancelling).
    """
    root = Path(path)
    digest = hashlib.sha256()
    if not root.is_dir():
        _feed(digest, root, check)
        return digest.hexdigest()
    for item in sorted(p for p in root.rglob("*") if p.is_file()):
        inner = hashlib.sha256()
        _feed(inner, item, check)
        digest.update(os.fsencode(item.relative_to(root).as_posix()) + b"\0" + inner.digest())
    return digest.hexdigest()


def _feed(digest: Any, path: Path, check: Callable[[], None] | None) -> None:
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            if check is not None:
                check()
