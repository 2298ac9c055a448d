# SPDX-License-Identifier: BSD-3-Clause
"""The files of a watched folder: which of them have stopped changing."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Folder", "Seen", "Stamp"]

# Size, time of the last change [ns], and the file's own number: another file under the same name is a change too.
Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Seen:
    """A file as it was at the last look.

    Attributes
    ----------
    since : float [s]
        When its stamp was first seen.
    first : float [s]
        When the file was.
    """

    path: Path
    stamp: Stamp
    since: float
    first: float


class Folder:
    """Looks at a folder again and again, by names, sizes and times alone.

    Parameters
    ----------
    path : Path
    stable_s : float [s]
    clock : callable
        Returns seconds that only grow.
    """

    def __init__(self, path: Path, stable_s: float, clock: Callable[[], float]) -> None:
        self.path, self.stable_s, self.clock = path, stable_s, clock
        self._seen: dict[str, Seen] = {}

    def look(self) -> dict[str, Seen]:
        """Return the regular files by name; a folder that cannot be read now holds what it held."""
        now = self.clock()
        try:
            entries = sorted(os.scandir(self.path), key=lambda e: e.name)
        except OSError:  # a share that is away for a moment
            return self._seen
        found: dict[str, Seen] = {}
        for entry in entries:
            stamp = _stamp(entry)
            if stamp is None or entry.name.startswith("."):
                continue
            before = self._seen.get(entry.name)
            same = before is not None and before.stamp == stamp
            found[entry.name] = Seen(
                path=Path(entry.path),
                stamp=stamp,
                since=before.since if before is not None and same else now,
                first=before.first if before is not None else now,
            )
        self._seen = found
        return found

    def is_stable(self, name: str) -> bool:
        """Whether a file was the same at an earlier look, long enough ago."""
        seen = self._seen.get(name)
        now = self.clock()
        return seen is not None and seen.since < now and now - seen.since >= self.stable_s

    def holds(self, name: str) -> bool:
        """Whether there was such a file at the last look."""
        return name in self._seen

    def look_back(self, name: str) -> Seen:
        """Return a file as it was at the last look."""
        return self._seen[name]

    def matching(self, pattern: str) -> list[str]:
        """Return the names that fit a pattern, in order."""
        return [name for name in self._seen if fnmatch.fnmatch(name, pattern)]


def _stamp(entry: os.DirEntry[str]) -> Stamp | None:
    """Of a regular file; None for anything else, or a file that is gone by now."""
    try:
        status = entry.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino
