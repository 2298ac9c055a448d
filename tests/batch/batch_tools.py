# SPDX-License-Identifier: BSD-3-Clause
"""Raw series to make batches of, and an engine that only notes what it was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import mrcfile
import numpy as np

from cryolith import simulate
from cryolith.report import OverviewRow
from cryolith.schedule import Outcome, Scheduler, Task
from cryolith.schedule.tasks import Started

HTML = b"<!DOCTYPE html><html><body>404: no such file</body></html>\n"


def write_series(path: Path, seed: int) -> Path:
    """Write a series of a layered needle whose run takes a second or two, and its angles."""
    phantom = simulate.needle((40, 48, 40), voids=1, seed=seed)
    angles = np.arange(-70.0, 71.0, 10.0)
    shifts = np.random.default_rng(seed).normal(0, 1.5, (len(angles), 2))
    series, _ = simulate.tilt_series(
        phantom, angles, tilt_axis_deg=4.0, shifts_px=shifts, dose_per_pixel=300.0, seed=seed
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with mrcfile.new(path) as mrc:
        mrc.set_data(np.asarray(series.images, np.float32))
        mrc.voxel_size = 20.0
    np.savetxt(path.with_suffix(".rawtlt"), angles, fmt="%.2f")
    return path


def cut(path: Path) -> None:
    """Leave half of a file, as a copy that was stopped does."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


class Pretender(Scheduler):
    """Notes what it is asked for, and answers without doing it."""

    def __init__(self, answers: dict[str, Outcome] | None = None) -> None:
        self.asked: list[str] = []
        self.answers = answers or {}

    def outcomes(self, tasks: Iterable[Task], started: Started | None = None) -> Iterator[Outcome]:
        for task in tasks:
            self.asked.append(task.name)
            if started:
                started(task.name, 1)
            good = Outcome(name=task.name, value=OverviewRow(name=task.name, state="ok"))
            yield self.answers.get(task.name, good)
