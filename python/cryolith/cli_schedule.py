# SPDX-License-Identifier: BSD-3-Clause
"""Where commands work: on which scheduler, or as jobs of a queue."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .errors import CryolithError

if TYPE_CHECKING:
    from .batch import Batch
    from .config import Job
    from .limits import MemoryLimit
    from .listener import Listener
    from .schedule import Scheduler

__all__ = ["Place", "memory_share", "queue_batch", "queue_run", "run_on"]

MEMORY_FOR_WORK = 0.9  # of a worker's share; the rest is for what a plan does not count


@dataclasses.dataclass(frozen=True)
class Place:
    """The options that say where to work; none of them is this process."""

    workers: int | None = None
    local: int | None = None
    scheduler: str | None = None

    @property
    def here(self) -> bool:
        """Whether none is given."""
        return self.workers is None and self.local is None and self.scheduler is None

    def engine(self, threads: int, memory: int | None) -> Scheduler:
        """Return the scheduler that they ask for."""
        from .schedule import scheduler_for

        return scheduler_for(
            scheduler=self.scheduler,
            local=self.local,
            workers=self.workers,
            threads=threads,
            memory_limit=memory,
        )


def memory_share(memory: int | None, workers: int) -> MemoryLimit | None:
    """Return what one of so many workers of this machine may use, ``memory`` [bytes] given or not.

    Of a cluster elsewhere (0 workers) each knows its own limit, if none is given.
    """
    from .limits import MemoryLimit, memory_limit

    if memory is None and not workers:
        return None
    limit = memory_limit(memory)
    if workers <= 1 and memory is None:
        return limit
    return MemoryLimit(int(MEMORY_FOR_WORK * limit.bytes / max(1, workers)), limit.source)


def run_on(
    place: Place,
    job: Job,
    *,
    threads: int,
    max_memory: int | None,
    listener: Listener,
    overwrite: bool,
    restart: str | None,
) -> None:
    """Run a job on a scheduler: slabs of a weighted back-projection as its tasks, any other run as one task.

    Raises
    ------
    CryolithError
        It failed there.
    """
    from . import pipeline
    from .batch import judge_series
    from .config import absolute
    from .schedule import Task

    if place.scheduler is not None:  # workers elsewhere have another working directory
        series = absolute(job.series)
        job = dataclasses.replace(job, series=series, output=os.path.abspath(job.output))
    with place.engine(threads, max_memory) as engine:
        share = memory_share(max_memory, engine.workers)
        how: dict[str, Any] = {
            "max_memory": share.bytes if share else None,
            "overwrite": overwrite,
            "restart": restart,
        }
        name = Path(job.series.path).name
        for line in engine.describe():
            listener.message(line)
        if job.reconstruct.method == "wbp":
            pipeline.run(job, threads=threads, listener=listener, engine=engine, **how)
            return
        how["threads"] = engine.threads
        task = Task(name=name, function=judge_series, args=(job, name), kwargs=how)
        begun = lambda name, attempt: listener.message(f"{name}: attempt {attempt} begins")  # noqa: E731
        (outcome,) = engine.outcomes([task], begun)
    if not outcome.ok:
        raise CryolithError(outcome.error)


def queue_run(
    job: Job, slurm: Path | None, emit: Path | None, config: Path | None, *, overwrite: bool
) -> None:
    """Write the script of one run, or submit it; its folder holds the job by then."""
    from . import pipeline, records
    from .schedule import slurm as queue

    resources = queue.read_slurm(slurm or config, needed=slurm is not None)
    if emit is None:
        queue.require_sbatch()
    with pipeline.open_run(job, threads=0, cancel=None, listener=None, overwrite=overwrite):
        pass  # refused here rather than in the queue; the job lies in its folder
    folder = Path(job.output).absolute() / records.FOLDER
    script = emit or folder / "job.sbatch"
    queue.write_script(
        script, queue.single_script(Path(job.output), resources, folder / "slurm-%j.log")
    )
    if emit is None:
        typer.echo(queue.submit(["sbatch", os.fspath(script)]))
    else:
        typer.echo(f"{script}: `sbatch {script}` submits it")


def queue_batch(asked: Batch, slurm: Path | None, emit: Path | None, config: Path | None) -> None:
    """Write the script of a batch, or submit it; its ledger holds the series by then."""
    from .batch import enrol
    from .schedule import slurm as queue

    resources = queue.read_slurm(slurm or config, needed=slurm is not None)
    if emit is None:
        queue.require_sbatch()
    names = enrol(asked)
    if not names:
        typer.echo("nothing to be done")
        return
    logs = asked.out.absolute() / "logs"
    logs.mkdir(exist_ok=True)
    script = emit or asked.out / "batch.sbatch"
    queue.write_script(script, queue.array_script(asked.out, names, resources, logs))
    if emit is None:
        typer.echo(queue.submit(["bash", os.fspath(script)]))
    else:
        typer.echo(f"{script}: {len(names)} series; `bash {script}` submits them")
