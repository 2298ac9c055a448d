# SPDX-License-Identifier: BSD-3-Clause
"""How much memory this process may hold: the least of what was asked for and what the system sets."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MemoryLimit", "array_budget", "fits_addresses", "memory_limit"]

_THREADS_MAP = 128 << 20  # stacks of threads that are still to come: 8 MiB each
_ARENA_MAX = -8  # of mallopt
_UNSET = 1 << 60  # version 1 of control groups writes the largest number of pages for "no limit"


@dataclass(frozen=True)
class MemoryLimit:
    """A limit and who sets it.

    Attributes
    ----------
    bytes : int
        What the process may come to hold in all, what it holds now included.
    source : str
        In the words of a user: ``--max-memory``, ``control group``, ``RLIMIT_AS``, ``RLIMIT_DATA`` or
        ``physical memory``.
    """

    bytes: int
    source: str


def memory_limit(
    max_memory: int | None = None, *, system: str | os.PathLike[str] = "/"
) -> MemoryLimit:
    """Return the limit that this process meets first.

    Limits on what is mapped (``ulimit -v``, ``ulimit -d``) are turned into limits on what is held: what the process
    has mapped without using it (libraries, stacks, heaps of threads) is taken off them.

    Parameters
    ----------
    max_memory : int [bytes], optional
        A limit of the user's own.
    system : path
        Where ``proc`` and ``sys`` are, for tests.
    """
    root = Path(system)
    found = [MemoryLimit(max_memory, "--max-memory")] if max_memory is not None else []
    found += [MemoryLimit(n, "control group") for n in _control_groups(root)]
    found += _of_process(_status(root / "proc/self/status"))
    physical = _physical()
    if physical:
        found.append(MemoryLimit(physical, "physical memory"))
    least = min(found, key=lambda limit: limit.bytes, default=MemoryLimit(_UNSET, "no limit"))
    return MemoryLimit(max(0, least.bytes), least.source)


def array_budget(max_memory: int | None = None) -> int:
    """Return how much more than now this process may come to hold [bytes], as :func:`memory_limit` says.

    Under a limit on what is mapped, what threads will map is taken off, and from then on they share one heap: the C
    library would map 64 MiB for that of each.
    """
    limit = memory_limit(max_memory)
    held = _status(Path("/proc/self/status")).get("VmRSS", 0)
    if limit.source != "RLIMIT_AS":
        return max(0, limit.bytes - held)
    _share_one_heap()
    return max(0, limit.bytes - held - _THREADS_MAP)


@functools.cache
def _share_one_heap() -> None:
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


def fits_addresses(size: int) -> bool:
    """Whether a map of ``size`` bytes takes a quarter at most of what ``RLIMIT_AS`` leaves to this process."""
    try:
        import resource
    except ImportError:
        return True
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return True
    mapped = _status(Path("/proc/self/status")).get("VmSize", 0)
    return 4 * size <= soft - mapped


def _physical() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 0


def _status(path: Path) -> dict[str, int]:
    """Read the sizes [bytes] that the system tells of a process; empty where it tells none."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    rows = [line.split() for line in lines if line.endswith(" kB")]
    return {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows}


def _of_process(sizes: dict[str, int]) -> Iterator[MemoryLimit]:
    try:
        import resource
    except ImportError:
        return
    kinds = (("RLIMIT_AS", "VmSize", "VmRSS"), ("RLIMIT_DATA", "VmData", "RssAnon"))
    for name, mapped, held in kinds:
        soft, _ = resource.getrlimit(getattr(resource, name))
        if soft != resource.RLIM_INFINITY:
            idle = max(0, sizes.get(mapped, 0) - sizes.get(held, 0))
            yield MemoryLimit(soft - idle, name)


def _control_groups(root: Path) -> Iterator[int]:
    """Limits of the groups that the process is in and of those around them, versions 1 and 2."""
    try:
        mounts = (root / "proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    for line in groups:
        number, controllers, inside = line.split(":", 2)
        second = number == "0"
        if not (second or "memory" in controllers.split(",")):
            continue
        for top, where in _mounted(mounts, second=second):
            name = "memory.max" if second else "memory.limit_in_bytes"
            folder = root / where.lstrip("/") / _below(top, inside)
            yield from _limits_up(folder, root / where.lstrip("/"), name)


def _mounted(mounts: list[str], *, second: bool) -> Iterator[tuple[str, str]]:
    """Where the memory controller's tree is mounted: the group that is its top there, and the folder."""
    for line in mounts:
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2) if after.count(" ") >= 2 else (after, "", "")
        fields = before.split()
        memory = "memory" in options.replace(" ", ",").split(",")
        if kind == "cgroup2" if second else kind == "cgroup" and memory:
            yield fields[3], fields[4]


def _below(top: str, inside: str) -> str:
    """The group as seen from the mount; in a container it may lie outside, and then the top is the nearest."""
    path, base = inside.rstrip("/"), top.rstrip("/")
    return path[len(base) :].lstrip("/") if path.startswith(base) else ""


def _limits_up(folder: Path, top: Path, name: str) -> Iterator[int]:
    for place in (folder, *folder.parents):
        try:
            text = (place / name).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            text = "max"
        if text.isdigit() and int(text) < _UNSET:
            yield int(text)
        if place == top:
            return
