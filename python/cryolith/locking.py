# SPDX-License-Identifier: BSD-3-Clause
"""One run to a folder: a lock that says who holds it, and lets go however its holder ends.

On one machine the system's lock on the file (flock) decides: it is gone with its process. Across machines many file
systems keep such locks to themselves; there the holder's sign of life counts, the file's time of change, renewed every
ten seconds.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import InUseError
from .files.disk import clear_errors, write_at

__all__ = ["BEAT_SECONDS", "STALE_SECONDS", "Holder", "lock", "read_holder"]

BEAT_SECONDS = 10.0
STALE_SECONDS = 60.0
_NAME = "lock"


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds a folder.

    Attributes
    ----------
    host : str
    pid : int
    started : str
        When the process began, as the system counts it: a number may be given to another process later.
    since : str
        When the folder was taken, for people.
    """

    host: str
    pid: int
    started: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on host {self.host} since {self.since}"


def _me() -> Holder:
    since = time.strftime("%Y-%m-%d %H:%M:%S %z")
    return Holder(host=platform.node(), pid=os.getpid(), started=_started(os.getpid()), since=since)


def _started(pid: int) -> str:
    """When a process began, with the boot that this is counted from; empty where it is gone, or none is told."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
    return f"{boot} {words.rpartition(')')[2].split()[19]}"


def _lives(holder: Holder) -> bool:
    """Whether a process of this machine is still the one that took the folder."""
    if holder.started:
        return _started(holder.pid) == holder.started
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True


def read_holder(folder: Path) -> Holder | None:
    """Return who wrote the lock last and has not let go of it; it may be dead."""
    try:
        return Holder(**json.loads((folder / _NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[str]:
    """Hold a folder (made if need be) against a second run.

    Yields
    ------
    str
        What to tell the user when a dead run's lock was taken over; empty otherwise.

    Raises
    ------
    InUseError
        Another run holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        decides = _flock(descriptor, folder)
        before = read_holder(folder)
        if before is not None and _holds(before, folder, decides=decides):
            _refuse(folder, before)
        yield from _held(descriptor, folder, before)
    finally:
        os.close(descriptor)


def _held(descriptor: int, folder: Path, before: Holder | None) -> Iterator[str]:
    mine = _me()
    with clear_errors(folder / _NAME):
        _write(descriptor, json.dumps(asdict(mine)))
    if read_holder(folder) != mine:  # another machine took it in the same moment
        _refuse(folder, read_holder(folder))
    ended = threading.Event()
    beat = threading.Thread(
        target=_beat, args=(descriptor, ended), name="cryolith-lock", daemon=True
    )
    beat.start()
    try:
        yield _taken_over(before)
    finally:
        ended.set()
        beat.join()
        if read_holder(folder) == mine:
            _write(descriptor, "")


def _taken_over(before: Holder | None) -> str:
    if before is None:
        return ""
    here = before.host == platform.node()
    why = "has ended" if here else f"has given no sign of life for {STALE_SECONDS:.0f} s"
    return f"took over the lock of {before}, which {why}"


def _flock(descriptor: int, folder: Path) -> bool:
    """Take the system's lock; False where there is none to take."""
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _refuse(folder, read_holder(folder))
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL):
            raise
        return False
    return True


def _holds(holder: Holder, folder: Path, *, decides: bool) -> bool:
    """Whether a lock that was written and not let go of still counts; ``decides`` says that flock was to be had."""
    if holder.host == platform.node():
        return not decides and _lives(holder)
    return _age(folder) < STALE_SECONDS


def _age(folder: Path) -> float:
    """Seconds since the last sign of life, by the clock of the file system: those of two machines may differ."""
    probe = folder / f".{_NAME}.{os.getpid()}-{threading.get_native_id()}.partial"
    probe.write_bytes(b"")
    try:
        return probe.stat().st_mtime - (folder / _NAME).stat().st_mtime
    finally:
        probe.unlink()


def _refuse(folder: Path, holder: Holder | None) -> None:
    held = f"held by {holder}" if holder else "held by a process that has not told its number"
    raise InUseError(
        f"{folder.parent}: another cryolith run is writing here, {held}; wait for it or choose another folder"
    )


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    write_at(descriptor, text.encode(), 0)


def _beat(descriptor: int, ended: threading.Event) -> None:
    while not ended.wait(BEAT_SECONDS):
        with contextlib.suppress(OSError):
            os.utime(descriptor)
