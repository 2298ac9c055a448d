# SPDX-License-Identifier: BSD-3-Clause
"""A disk that is full after so many bytes, for the process that installs it; what it has taken stays."""

from __future__ import annotations

import builtins
import errno
import io
import os


class Disk:
    """Counts the bytes that Python writes to files, and takes no more than it has room for."""

    def __init__(self, room: float) -> None:
        self.room, self.taken = room, 0

    def take(self, data, write) -> int:
        view = memoryview(data).cast("B")
        left = self.room - self.taken
        if view.nbytes and left <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = write(view[: int(min(left, view.nbytes))])
        self.taken += count
        return count

    def install(self) -> Disk:
        """Take the place of every way to write to a file that the package uses."""
        pwrite, real_open = os.pwrite, builtins.open

        def limited_pwrite(descriptor, data, place):
            return self.take(data, lambda part: pwrite(descriptor, part, place))

        disk = self

        class File(io.FileIO):
            def write(self, data):
                return disk.take(data, super().write)

        def limited_open(file, mode="r", buffering=-1, *text, **named):
            if not set(mode) & set("wax+"):
                return real_open(file, mode, buffering, *text, **named)
            raw = File(file, mode.replace("b", "").replace("t", ""))
            if buffering == 0:
                return raw
            buffer = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return buffer if "b" in mode else io.TextIOWrapper(buffer, *text, **named)

        os.pwrite, builtins.open, io.open = limited_pwrite, limited_open, limited_open
        return self
