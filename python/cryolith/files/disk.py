# SPDX-License-Identifier: BSD-3-Clause
"""What the system can do for a large file on its way to disk: keep room for it, write early, say when it is full."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from .findings import fail

__all__ = ["clear_errors", "reserve", "start_writing", "write_at", "write_file"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_START_WRITING = 2  # SYNC_FILE_RANGE_WRITE: begin, and wait for nothing


@functools.cache
def _from_c(name: str) -> Callable[..., int] | None:
    """Return a function of Linux's C library; calling it frees the GIL."""
    if sys.platform != "linux":
        return None
    with contextlib.suppress(OSError, AttributeError):
        function: Any = getattr(ctypes.CDLL(None, use_errno=True), name)
        function.argtypes = {
            "fallocate": (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64),
            "sync_file_range": (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint),
        }[name]
        function.restype = ctypes.c_int
        return function  # type: ignore[no-any-return]
    return None


def reserve(descriptor: int, size: int) -> None:
    """Give an open file its final size, and its room on the disk where the file system can promise that.

    Not ``posix_fallocate``: where the file system cannot, that writes to every block instead.

    Raises
    ------
    OSError
        The disk has not the room.
    """
    os.ftruncate(descriptor, size)
    function = _from_c("fallocate")
    if function is not None and function(descriptor, 0, 0, size) != 0:
        number = ctypes.get_errno()
        if number in _FULL:
            raise OSError(number, os.strerror(number))


def start_writing(descriptor: int) -> None:
    """Have the system begin to write what it holds of a file, so that a sync at the end is short; only a hint."""
    function = _from_c("sync_file_range")
    if function is not None:
        function(descriptor, 0, 0, _START_WRITING)


def write_at(descriptor: int, data: Any, place: int) -> None:
    """Write all bytes of ``data`` (a C-ordered buffer) from ``place`` on."""
    view = memoryview(data).cast("B")
    while view.nbytes:
        count = os.pwrite(descriptor, view, place)
        view, place = view[count:], place + count


def write_file(path: str | os.PathLike[str], data: Any) -> None:
    """Make a file hold ``data``. Where it holds that already, it does so at every moment."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        write_at(descriptor, data, 0)
        os.ftruncate(descriptor, memoryview(data).nbytes)
        start_writing(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def clear_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Say of a full disk, quota or largest file size what it is and what to do; other errors get the file's name."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            do = "make room and do it again: what is finished stays"
            fail(path, "disk", os.strerror(error.errno), "room for all that is to be written", do)
        if error.filename is None:
            error.filename = os.fspath(path)
        raise
