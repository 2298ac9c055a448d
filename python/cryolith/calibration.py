# SPDX-License-Identifier: BSD-3-Clause
"""How fast this machine is, measured in about a second: what plans shown to a user are timed with.

No result depends on it, and no report shows it: those have the rates that are built in.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import _core
from .files.disk import write_at
from .projection import Geometry, backproject
from .reconstruct.planning import UPDATES_PER_SECOND

__all__ = ["BUILT_IN", "Rates", "calibrate"]

_TILTS, _EDGE = 24, 224
_DISK_BYTES = 64 << 20
_ROUNDS = 3
_SERIAL_SECONDS = 0.02  # of _python() where the built-in rates were measured


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What a plan's times are scaled by.

    Attributes
    ----------
    compute : float
        Times as fast as the two cores that the built-in rates were measured on.
    serial : float
        The same of one thread that runs Python.
    disk : float [bytes / s]
        At which the folder's file system takes new data; infinite where it does not count.
    """

    compute: float = 1.0
    serial: float = 1.0
    disk: float = float("inf")


BUILT_IN = Rates()


def calibrate(folder: str | os.PathLike[str], *, threads: int = 0) -> Rates:
    """Measure this machine: a back-projection, a loop of Python, and writing to the disk of ``folder``, there or not.

    Nothing is left behind. A disk that cannot be written to counts as infinitely fast: the job will say so itself.

    Parameters
    ----------
    folder : path
        The nearest folder above that exists is written to.
    threads : int, default 0
        0 uses what the process may use.
    """
    return Rates(
        compute=_compute(threads or _core.available_threads()),
        serial=_SERIAL_SECONDS / _best(_python),
        disk=_disk(Path(folder)),
    )


def _best(work: Callable[[], object]) -> float:
    """Best of a few: what else the machine does only ever slows a round down."""
    best = float("inf")
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begun)
    return best


def _compute(threads: int) -> float:
    angles = np.linspace(-60.0, 60.0, _TILTS)
    geometry = Geometry.single_axis(angles, tilt_axis_deg=3.0)
    images = np.ones((_TILTS, _EDGE, _EDGE), np.float32)
    shape = (_EDGE, _EDGE, _EDGE)
    best = _best(lambda: backproject(images, geometry, shape, threads=threads))
    return _TILTS * _EDGE**3 / best / (2 * UPDATES_PER_SECOND)


def _python() -> int:
    return sum(i ^ (i >> 3) for i in range(200_000))


def _disk(folder: Path) -> float:
    place = next(p for p in (folder, *folder.absolute().parents) if p.is_dir())
    part = np.ones(_DISK_BYTES // 8).data
    try:
        with tempfile.TemporaryFile(dir=place, buffering=0) as file:
            begun = time.perf_counter()
            write_at(file.fileno(), part, 0)
            os.fsync(file.fileno())
            return _DISK_BYTES / (time.perf_counter() - begun)
    except OSError:
        return float("inf")
