# SPDX-License-Identifier: BSD-3-Clause
"""How fast this machine is, measured in about a second: what plans shown to a user are timed with.

No result depends on it, and no report shows it: those have the rates that are built in.
"""

from __future__ import annotations

import os
import tempfile
import time
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


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What a plan's times are scaled by.

    Attributes
    ----------
    compute : float
        Times as fast as the two cores that the built-in rates were measured on.
    disk : float [bytes / s]
        At which the folder's file system takes new data; infinite where it does not count.
    """

    compute: float = 1.0
    disk: float = float("inf")


BUILT_IN = Rates()


def calibrate(folder: str | os.PathLike[str], *, threads: int = 0) -> Rates:
    """Measure this machine: a back-projection, and writing to the disk that ``folder`` is, or will be, on.

    Nothing is left behind. A disk that cannot be written to counts as infinitely fast: the job will say so itself.

    Parameters
    ----------
    folder : path
        The nearest folder above that exists is written to.
    threads : int, default 0
        0 uses what the process may use.
    """
    return Rates(compute=_compute(threads or _core.available_threads()), disk=_disk(Path(folder)))


def _compute(threads: int) -> float:
    """Best of a few: what else the machine does only ever slows a round down."""
    angles = np.linspace(-60.0, 60.0, _TILTS)
    geometry = Geometry.single_axis(angles, tilt_axis_deg=3.0)
    images = np.ones((_TILTS, _EDGE, _EDGE), np.float32)
    best = float("inf")
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        backproject(images, geometry, (_EDGE, _EDGE, _EDGE), threads=threads)
        best = min(best, time.perf_counter() - begun)
    return _TILTS * _EDGE**3 / best / (2 * UPDATES_PER_SECOND)


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
