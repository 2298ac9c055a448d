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
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .findings import fail

__all__ = [
    "PARTIAL",
    "check_space",
    "publish",
    "publish_folder",
    "sha256",
    "write_bytes",
    "write_json",
    "write_text",
]

PARTIAL = ".partial"
_CHUNK = 1 << 20
_LONGEST_NAME = 255  # bytes, on every file system in common use


def _partial_path(path: Path) -> Path:
    """A name in the same folder (a rename across file systems is a copy), one per process."""
    room = _LONGEST_NAME - len(f"..{os.getpid()}{PARTIAL}")
    stem = os.fsencode(path.name)
    if len(stem) > room:  # a name that fits must not fail for the sake of its temporary one
        stem = hashlib.sha256(stem).hexdigest().encode()
    return path.with_name(f".{os.fsdecode(stem)}.{os.getpid()}{PARTIAL}")


def _check_target(path: Path, *, folder: bool) -> None:
    parent = path.parent
    if not parent.is_dir():
        found = "a file" if parent.exists() else "no such folder"
        fail(path, "folder", f"{found} ({parent})", "an existing folder", "create the folder first")
    if not os.access(parent, os.W_OK):
        fail(
            path,
            "folder",
            f"no permission to write in {parent}",
            "a writable folder",
            "choose another folder",
        )
    if not folder and path.is_dir():
        fail(path, "path", "a folder", "the name of a file", "give a file name inside it")
    if folder and path.exists() and not path.is_dir():
        fail(
            path, "path", "a file", "the name of a folder", "remove the file or choose another name"
        )


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
    final = Path(path)
    _check_target(final, folder=False)
    if need:
        check_space(final, need)
    partial = _partial_path(final)
    try:
        yield partial
        _sync(partial)
        os.replace(partial, final)
    except BaseException:
        _remove(partial)
        raise
    _sync(final.parent)


@contextmanager
def publish_folder(path: str | os.PathLike[str], *, need: int = 0) -> Iterator[Path]:
    """As :func:`publish`, for a folder such as an OME-Zarr.

    A folder cannot replace another that is not empty in one step: an old one is first renamed
    aside, so that the final name holds the old folder, nothing, or the new one, but never a
    mixture.
    """
    final = Path(path)
    _check_target(final, folder=True)
    if need:
        check_space(final, need)
    partial = _partial_path(final)
    old = partial.with_name(partial.name.removesuffix(PARTIAL) + ".old" + PARTIAL)
    _remove(partial)
    try:
        partial.mkdir()
        yield partial
        for folder, _, names in os.walk(partial):
            for name in names:
                _sync(Path(folder, name))
            _sync(Path(folder))
        _swap_in(partial, final, old)
    except BaseException:
        _remove(partial)
        raise
    _sync(final.parent)
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


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to ``path``, whole or not at all."""
    with publish(path, need=len(data)) as partial:
        partial.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` as UTF-8 with unchanged line ends, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


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
