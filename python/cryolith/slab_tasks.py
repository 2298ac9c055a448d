# SPDX-License-Identifier: BSD-3-Clause
"""Slabs of one weighted back-projection as tasks of a scheduler: each writes its own rows of the volume's file."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .config import Job, absolute
from .errors import CryolithError
from .files import read_alignment
from .files.growing import BAND, SlabWritten
from .half_volumes import read_frames
from .job_series import read_job_series
from .reconstruct.cut import Cut
from .reconstruct.prepare import prepare
from .reconstruct.store import Target, WorkFile
from .reconstruct.to_disk import SlabWork, works_of

if TYPE_CHECKING:
    from .schedule import Scheduler

__all__ = ["SlabJob", "Workers", "write_slab"]

SLABS_A_WORKER = (
    4  # so that the last to finish leaves the others idle for a quarter of their time at most
)


@dataclass(frozen=True, kw_only=True)
class SlabJob:
    """What a worker needs to make any slab of a volume; it reads the rest.

    Attributes
    ----------
    job : Job
        With absolute paths.
    alignment : str
        Path.
    background : tuple of float
        Level of each image of the series.
    index : int
        0 is the volume of all data, 1 and 2 are its halves.
    work : WorkFile
        Where the rows go.
    cut : Cut
    threads : int
    """

    job: Job
    alignment: str
    background: tuple[float, ...]
    index: int
    work: WorkFile
    cut: Cut
    threads: int


def write_slab(job: SlabJob, first: int, last: int) -> dict[str, Any]:
    """Make rows ``first`` to ``last`` and write them; return what was written, as JSON holds it."""
    slabs = _opened(job)
    with job.work.open() as volume:
        return volume.write(first, slabs.rows(first, last)).to_mapping()


@functools.lru_cache(maxsize=1)  # a worker makes one slab of a job after the other
def _opened(job: SlabJob) -> SlabWork:
    series = read_job_series(job.job)
    ready = prepare(
        series,
        read_alignment(job.alignment),
        job.job.reconstruct,
        frames=read_frames(job.job, series),
        background=np.array(job.background),
        threads=job.threads,
        shape=job.work.shape,
        cut=job.cut,
    )
    return SlabWork(ready, works_of(ready)[job.index])


@dataclass(frozen=True, kw_only=True, eq=False)
class Workers:
    """The workers of a scheduler, for :func:`reconstruct_to_disk`.

    Attributes
    ----------
    engine : Scheduler
    job : Job
    alignment : path
    levels : (n_tilts,) float64
        Level of each image of the series.
    """

    engine: Scheduler
    job: Job
    alignment: Path
    levels: npt.NDArray[np.float64]

    def cut(self, planned: Cut, shape: tuple[int, int, int]) -> Cut:
        """Return slabs that each worker has a few of, no larger than what is planned."""
        share = -(-shape[1] // (max(1, self.engine.workers) * SLABS_A_WORKER))
        rows = min(planned.rows or shape[1], -(-share // BAND) * BAND)
        return replace(planned, rows=rows, layers=planned.layers or 1)

    def slabs(
        self, index: int, target: Target, cut: Cut, missing: list[tuple[int, int]]
    ) -> Iterator[SlabWritten]:
        """Yield slabs as the workers have written them.

        Raises
        ------
        CryolithError
            A slab failed more often than its task is retried.
        """
        from .schedule import Task

        job = SlabJob(
            job=replace(self.job, series=absolute(self.job.series)),
            alignment=str(self.alignment),
            background=tuple(map(float, self.levels)),
            index=index,
            work=target.work,
            cut=replace(cut, folder=None),
            threads=self.engine.threads,
        )
        tasks = [
            Task(name=f"{target.name}, rows {a} to {b}", function=write_slab, args=(job, a, b))
            for a, b in missing
        ]
        for outcome in self.engine.outcomes(tasks):
            if not outcome.ok:
                raise CryolithError(f"{outcome.name}: {outcome.error}")
            yield SlabWritten.from_mapping(outcome.value)
