# SPDX-License-Identifier: BSD-3-Clause
"""``cryolith plan``, and ``run --dry-run``: memory, disk and time of one series or many, before anything starts."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .cli_options import (
    AsJson,
    Axis,
    Binning,
    Halves,
    Iterations,
    JobFile,
    MaxMemory,
    Method,
    NoCalibration,
    Pixel,
    Thickness,
    Threads,
    make_job,
)
from .errors import CryolithError, InputError

if TYPE_CHECKING:
    from .calibration import Rates
    from .config import Job
    from .planning import Plan

__all__ = ["plan", "show_plan"]


@dataclass(frozen=True)
class _Planned:
    """What was found for one series; ``problem`` says why it cannot run."""

    job: Job
    plan: Plan | None
    problem: str

    @property
    def name(self) -> str:
        return Path(self.job.series.path).name


def plan(
    series: Annotated[list[Path], typer.Argument(help="One tilt series or more.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder for the results: its disk counts.")
    ] = Path(),
    config: JobFile = None,
    pixel: Pixel = None,
    tilt_axis: Axis = None,
    method: Method = None,
    iterations: Iterations = None,
    thickness: Thickness = None,
    binning: Binning = None,
    halves: Halves = None,
    threads: Threads = 0,
    max_memory: MaxMemory = None,
    no_calibration: NoCalibration = False,
    as_json: AsJson = False,
) -> None:
    """Say what a job or a batch would need, and refuse what memory or disk cannot hold, with the setting that would."""
    jobs = [
        make_job(
            path, out if len(series) == 1 else out / path.stem, config, pixel=pixel, tilt_axis=tilt_axis,
            method=method, n_iter=iterations, thickness=thickness, binning=binning, halves=halves,
        )
        for path in series
    ]  # fmt: skip
    show_plan(
        jobs,
        out,
        threads=threads,
        max_memory=max_memory,
        calibrated=not no_calibration,
        as_json=as_json,
    )


def show_plan(
    jobs: list[Job],
    out: Path,
    *,
    threads: int,
    max_memory: str | None,
    calibrated: bool,
    as_json: bool,
) -> None:
    """Print the plans of jobs that are done one after another, and refuse those that do not fit."""
    from .calibration import BUILT_IN, calibrate
    from .units import parse_bytes

    memory = parse_bytes(max_memory, "--max-memory") if max_memory else None
    rates = calibrate(out, threads=threads) if calibrated else BUILT_IN
    planned = [_planned(job, memory, rates) for job in jobs]
    if as_json:
        for one in planned:
            typer.echo(_json(one, rates))
    elif len(planned) == 1:
        for line in planned[0].plan.lines() if planned[0].plan else ():
            typer.echo(line)
        typer.echo(_rates_line(rates))
    else:
        for line in _table(planned):
            typer.echo(line)
        typer.echo(_rates_line(rates))
    _refuse(planned, out)


def _planned(job: Job, max_memory: int | None, rates: Rates) -> _Planned:
    from . import fitting
    from .job_series import read_job_series
    from .limits import memory_limit
    from .planning import plan_job

    series, made = None, None
    try:
        series = read_job_series(job)
        made = fitting.require_fits(job, series, memory_limit(max_memory))
        problem = ""
    except CryolithError as error:
        problem = str(error)
    if made is None and series is not None:
        made = plan_job(job, series)
    return _Planned(job, made.at(rates) if made else None, problem)


def _refuse(planned: list[_Planned], out: Path) -> None:
    from .planning import require_room

    problems = [one for one in planned if one.problem]
    if len(planned) == 1 and problems:
        raise InputError(problems[0].problem)
    if problems:
        lines = "".join(f"\n  {one.name}: {one.problem}" for one in problems)
        raise InputError(f"{len(problems)} of {len(planned)} series cannot run:{lines}")
    require_room(_bytes_disk(planned), out)


def _bytes_disk(planned: list[_Planned]) -> int:
    """Results of all, and the scratch of one."""
    stages = [s for one in planned if one.plan for s in one.plan.stages]
    left = sum(s.bytes_disk for s in stages)
    return left + max((s.bytes_scratch for s in stages), default=0)


def _table(planned: list[_Planned]) -> list[str]:
    from .planning import size_words

    width = max(len("in all"), *(len(one.name) for one in planned))
    lines = []
    for one in planned:
        if one.plan is None:
            lines.append(f"{one.name:<{width}}  cannot be read")
            continue
        shape = " x ".join(map(str, one.plan.volume_shape))
        lines.append(
            f"{one.name:<{width}}  about {one.plan.seconds:9.1f} s   {size_words(one.plan.bytes_memory):>8} memory   "
            f"{size_words(one.plan.bytes_disk):>8} disk   volume of at most {shape}"
        )
    plans = [one.plan for one in planned if one.plan]
    lines.append(
        f"{'in all':<{width}}  about {sum(p.seconds for p in plans):9.1f} s   "
        f"{size_words(max((p.bytes_memory for p in plans), default=0)):>8} memory   "
        f"{size_words(_bytes_disk(planned)):>8} disk   one after another"
    )
    return lines


def _rates_line(rates: Rates) -> str:
    from .calibration import BUILT_IN

    if rates == BUILT_IN:
        return "times at the built-in rates of two cores"
    disk = f", the disk takes {rates.disk / 1e6:.0f} MB/s" if math.isfinite(rates.disk) else ""
    return f"times as this machine is now: {rates.compute:.2f} times two of the reference's cores{disk}"


def _json(one: _Planned, rates: Rates) -> str:
    mapping = one.plan.to_mapping() if one.plan else {}
    timed = {
        "compute": rates.compute,
        "serial": rates.serial,
        "disk": rates.disk if math.isfinite(rates.disk) else None,
    }
    return json.dumps(
        {**mapping, "series": one.job.series.path, "problem": one.problem, "rates": timed},
        sort_keys=True,
    )
