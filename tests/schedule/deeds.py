# SPDX-License-Identifier: BSD-3-Clause
"""What the tests let workers do: functions of a module, as tasks must be."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from cryolith.errors import FileFormatError


def double(x: int) -> int:
    return 2 * x


def pid() -> int:
    return os.getpid()


def refuse(mark: str) -> None:
    """Find a broken file, and leave a mark for each time it was looked at."""
    with open(mark, "a") as file:
        file.write("looked\n")
    raise FileFormatError("broken.mrc: data: found 3 bytes, expected 12; copy it again")


def stumble(mark: str, times: int) -> str:
    """Fail with an error that may pass, so many times."""
    with open(mark, "a") as file:
        file.write("begun\n")
    if len(Path(mark).read_text().splitlines()) <= times:
        raise OSError("the disk was away")
    return "done"


def die(mark: str, times: int) -> str:
    """End this worker as the system does when memory runs out, so many times."""
    with open(mark, "a") as file:
        file.write(f"{os.getpid()}\n")
    if len(Path(mark).read_text().splitlines()) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return "lived"


def take(count: int) -> int:
    return len(bytearray(count))


def closure():
    return lambda: None


def wait(mark: str) -> None:
    """Say who waits, then wait for ever."""
    Path(f"{mark}.partial").write_text(str(os.getpid()))
    os.replace(f"{mark}.partial", mark)
    while True:
        time.sleep(0.05)


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for what another process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)
