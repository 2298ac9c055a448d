# SPDX-License-Identifier: BSD-3-Clause
"""The main job: read, align, reconstruct, detect, report; each stage recorded, so that any may be resumed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from . import records
from .config import Job, job_from_mapping, job_to_toml, read_toml
from .datamodel import TiltSeries
from .errors import ConfigError, InputError
from .files.atomic import sha256, write_text
from .fitting import require_fits
from .half_volumes import (
    read_frames,
)
from .job_series import read_job_series
from .limits import memory_limit
from .listener import Listener
from .planning import Plan, plan_job
from .reconstruct import check_halves
from .reconstruct.checkpoint import EVERY
from .stages import STAGES, Result, Run, carry_out, read_result

if TYPE_CHECKING:
    from ._core import CancelToken
    from .schedule import Scheduler

__all__ = [
    "STAGES",
    "Listener",
    "Result",
    "open_run",
    "plan",
    "resume",
    "rewrite_report",
    "run",
]

JOB_FILE = "job.toml"


def plan(job: Job, *, max_memory: int | None = None) -> Plan:
    """Return what a job would do: stages, shapes, memory, disk and time; reads headers only.

    With ``max_memory`` [bytes] the stages are cut to that, as :func:`run` would cut them.
    """
    return plan_job(job, read_job_series(job), max_memory=max_memory)


def run(
    job: Job,
    *,
    threads: int = 0,
    max_memory: int | None = None,
    checkpoint_seconds: float = EVERY,
    cancel: CancelToken | None = None,
    listener: Listener | None = None,
    overwrite: bool = False,
    restart: str | None = None,
    engine: Scheduler | None = None,
) -> Result:
    """Run a job into ``job.output``; stages whose record holds are skipped, so this also resumes.

    Parameters
    ----------
    job : Job
        ``job.series.path`` and ``job.output`` must be set.
    threads : int, default 0
        0 uses what the process may use. Results do not depend on it.
    max_memory : int [bytes], optional
        Cut every stage to what fits: read, work and write slab by slab, on averaged copies where a step needs all of
        its data; refuse before the start what cannot be cut so far. Limits that the system sets count too
        (:func:`cryolith.limits.memory_limit`).
    checkpoint_seconds : float [s], default 180
        From one save of an iterative reconstruction to the next, at least; a run that is killed goes on from there. 0:
        after every iteration.
    overwrite : bool, default False
        Allow a folder that holds the results of another series.
    restart : str, optional
        A stage that is done again whatever its record says, and all after it.
    engine : Scheduler, optional
        Has its workers make slabs of a weighted back-projection; all else is done in this process.

    Raises
    ------
    InputError
        The folder is not empty and not a run of this series, or is in use; no such stage; memory or disk do not
        suffice, with the settings that would.
    FileFormatError
        The series cannot be read.
    """
    with open_run(
        job,
        threads=threads,
        max_memory=max_memory,
        checkpoint_seconds=checkpoint_seconds,
        cancel=cancel,
        listener=listener,
        overwrite=overwrite,
        restart=restart,
        engine=engine,
    ) as state:
        for stage in STAGES:
            carry_out(state, stage)
        return read_result(state)


@contextlib.contextmanager
def open_run(
    job: Job,
    *,
    threads: int,
    cancel: CancelToken | None,
    listener: Listener | None,
    overwrite: bool,
    max_memory: int | None = None,
    checkpoint_seconds: float = EVERY,
    whole: bool = True,
    restart: str | None = None,
    engine: Scheduler | None = None,
) -> Iterator[Run]:
    """Give the state of a job whose folder is locked and fit to take its results; for :func:`run`'s errors see there.

    ``whole`` also asks for what the stages after the alignment need.
    """
    if not job.series.path or not job.output:
        raise InputError("job: series.path and output must be set before it can run")
    folder, listener = Path(job.output), listener or Listener()
    again = _from(restart)
    _refuse_foreign(folder, job, overwrite)
    # A series that cannot be read leaves no folder behind: it would refuse the right series later.
    series = read_job_series(job)
    frames = read_frames(job, series) if whole else None
    if whole:
        check_halves(series, frames, job.reconstruct)
        max_memory = _limit(job, series, max_memory)
    # BLAS sums in another order on another number of threads: with one, results are the same on every machine with
    # the same instructions, and workers side by side do not multiply threads. It costs nothing that can be measured.
    with records.lock(folder) as taken_over, threadpool_limits(1, user_api="blas"):
        if taken_over:
            listener.message(taken_over)
        records.sweep_partials(folder)
        records.forget(folder, again)
        _publish_job(folder, job)
        for line in series.source.warnings:
            listener.message(f"warning: {line}")
        yield Run(
            folder=folder,
            job=job,
            series=series,
            frames=frames,
            digest=sha256(job.series.path),
            threads=threads,
            max_memory=max_memory,
            cancel=cancel,
            listener=listener,
            checkpoint_seconds=checkpoint_seconds,
            again=again,
            engine=engine,
        )


def _limit(job: Job, series: TiltSeries, max_memory: int | None) -> int | None:
    """Refuse a job that memory or disk do not hold; return what its stages are cut to, None where they need not be."""
    limit = memory_limit(max_memory)
    made = require_fits(job, series, limit)
    return limit.bytes if max_memory is not None or made != plan_job(job, series) else None


def _from(stage: str | None) -> tuple[str, ...]:
    """A stage and those after it."""
    if stage is None:
        return ()
    if stage not in STAGES:
        raise ConfigError(f"restart: found {stage!r}, expected one of {', '.join(STAGES)}")
    return STAGES[STAGES.index(stage) :]


def resume(folder: str | Path, **how: Any) -> Result:
    """Go on with the run in ``folder`` from the first stage whose record does not hold.

    ``how`` takes the keywords of :func:`run`.
    """
    job_file = Path(folder) / JOB_FILE
    if not job_file.exists():
        raise InputError(
            f"{folder}: found no {JOB_FILE}, expected the folder of a run; start one with `cryolith run`"
        )
    job = job_from_mapping({**read_toml(job_file), "output": str(folder)})
    series = Path(job.series.path)
    if not series.is_absolute() and not series.exists():
        raise InputError(
            f"{folder}: found no {series} from here, expected the series of this run; resume where the run was "
            f"started, or use `cryolith run` with the new path, -c {job_file}, -o {folder} and --overwrite"
        )
    return run(job, **how)


def rewrite_report(folder: str | Path) -> Result:
    """Write the report of a run again; stages whose record no longer holds are run first."""
    (Path(folder) / records.FOLDER / "report.json").unlink(missing_ok=True)
    return resume(folder)


def _refuse_foreign(folder: Path, job: Job, overwrite: bool) -> None:
    """A folder may be new, empty, or a run of the same series; nothing else is written over."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: found a file, expected a folder for the results; name another")
    if overwrite or not folder.exists():
        return
    entries = [p.name for p in folder.iterdir() if p.name != records.FOLDER]
    if JOB_FILE in entries:
        other = read_toml(folder / JOB_FILE).get("series", {}).get("path")
        if other != job.series.path:
            raise InputError(
                f"{folder}: holds the results of {other}; choose another folder or pass --overwrite"
            )
    elif [name for name in entries if not name.endswith(".partial")]:
        raise InputError(
            f"{folder}: is not empty and not a cryolith run; choose another folder or pass --overwrite"
        )


def _publish_job(folder: Path, job: Job) -> None:
    text = job_to_toml(job)
    path = folder / JOB_FILE
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
