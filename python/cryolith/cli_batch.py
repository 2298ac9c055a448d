# SPDX-License-Identifier: BSD-3-Clause
"""``cryolith batch``, and what ``resume`` and ``report`` do with the folder of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .cli_options import (
    FAILED,
    Angles,
    AsJson,
    Axis,
    Binning,
    Device,
    DryRun,
    EmitSbatch,
    Halves,
    Iterations,
    JobFile,
    LocalCluster,
    MaxMemory,
    Method,
    NoCalibration,
    Out,
    Pixel,
    Quiet,
    Scheduler,
    Slurm,
    Thickness,
    Threads,
    Workers,
    make_job,
)
from .cli_schedule import Place, memory_share, queue_batch

if TYPE_CHECKING:
    from .batch import Batch, Summary

__all__ = ["batch", "one_series", "resume_batch", "rewrite_overview"]

SeriesFiles = Annotated[
    list[str],
    typer.Argument(metavar="SERIES...", help="Tilt series, or patterns of them in quotes."),
]
Verify = Annotated[
    bool, typer.Option("--verify", help="Check finished series by the sha256 of all their files.")
]
Retries = Annotated[
    int,
    typer.Option(
        min=0, help="How often a series is begun again after its worker died or a disk failed."
    ),
]


def batch(
    series: SeriesFiles,
    out: Out,
    config: JobFile = None,
    angles: Angles = None,
    pixel: Pixel = None,
    tilt_axis: Axis = None,
    method: Method = None,
    iterations: Iterations = None,
    thickness: Thickness = None,
    binning: Binning = None,
    halves: Halves = None,
    device: Device = None,
    workers: Workers = None,
    local: LocalCluster = None,
    scheduler: Scheduler = None,
    slurm: Slurm = None,
    emit_sbatch: EmitSbatch = None,
    threads: Threads = 0,
    max_memory: MaxMemory = None,
    retries: Retries = 2,
    verify: Verify = False,
    dry_run: DryRun = False,
    no_calibration: NoCalibration = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Run many series with one configuration; each is judged, a failing one set aside, done ones are left alone."""
    from .batch import Batch

    job = make_job(
        Path(), None, config, angles=angles, pixel=pixel, tilt_axis=tilt_axis, method=method,
        n_iter=iterations, thickness=thickness, binning=binning, halves=halves, device=device,
    )  # fmt: skip
    asked = Batch(patterns=tuple(series), job=job, out=out, retries=retries)
    if dry_run:
        _show_plan(asked, workers or local or 1, threads, max_memory, verify=verify,
                   calibrated=not no_calibration, as_json=as_json)  # fmt: skip
    elif slurm or emit_sbatch:
        queue_batch(asked, slurm, emit_sbatch, config)
    else:
        _carry_out(asked, Place(workers, local, scheduler), threads=threads, max_memory=max_memory,
                   verify=verify, as_json=as_json, quiet=quiet)  # fmt: skip


def resume_batch(folder: Path, place: Place, **how: Any) -> None:
    """Go on with a batch as it was last asked for."""
    from .batch import open_batch

    _carry_out(open_batch(folder), place, **how)


def one_series(
    folder: Path, name: str, *, threads: int, max_memory: str | None, as_json: bool, quiet: bool
) -> None:
    """Do one series of a batch in this process, for a job of a queue."""
    from .batch import open_batch, run_one
    from .console import listener_for
    from .schedule import Here
    from .units import parse_bytes

    memory = parse_bytes(max_memory, "--max-memory") if max_memory else None
    with listener_for(as_json=as_json, quiet=quiet) as listener:
        entry = run_one(
            open_batch(folder), name, Here(threads=threads), max_memory=memory, listener=listener
        )
        listener.judged(name, entry.row.state, entry.row.reason)
    if entry.row.state == "failed":
        raise typer.Exit(FAILED)


def rewrite_overview(folder: Path) -> None:
    """Write the overview of a batch again, with what the jobs of a queue have left."""
    from .batch import collect, open_batch

    summary = collect(open_batch(folder))
    typer.echo(summary.words)
    typer.echo(f"overview: {summary.overview}")


def _carry_out(
    asked: Batch,
    place: Place,
    *,
    threads: int,
    max_memory: str | None,
    as_json: bool,
    quiet: bool,
    verify: bool = False,
) -> None:
    """Do a batch, and say what came of it."""
    from .batch import run_batch
    from .console import listener_for
    from .units import parse_bytes

    memory = parse_bytes(max_memory, "--max-memory") if max_memory else None
    if place.here:  # a process of its own: what kills it sets one series aside, not the batch
        place = Place(workers=1)
    with (
        place.engine(threads, memory) as engine,
        listener_for(as_json=as_json, quiet=quiet) as listener,
    ):
        limit = memory_share(memory, engine.workers)
        summary = run_batch(
            asked,
            engine,
            max_memory=limit.bytes if limit else None,
            verify=verify,
            listener=listener,
        )
    _conclude(summary, as_json=as_json, quiet=quiet)


def _conclude(summary: Summary, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        event = {"event": "done", "overview": str(summary.overview), "counts": summary.counts}
        typer.echo(json.dumps(event, sort_keys=True))
    elif not quiet:
        typer.echo(f"{summary.words}; {len(summary.done)} done now")
        typer.echo(f"overview: {summary.overview}")
    if summary.counts.get("failed"):
        raise typer.Exit(FAILED)


def _show_plan(
    asked: Batch,
    workers: int,
    threads: int,
    max_memory: str | None,
    *,
    verify: bool,
    calibrated: bool,
    as_json: bool,
) -> None:
    from .batch import plan_batch
    from .calibration import BUILT_IN, calibrate
    from .schedule.pool import share
    from .units import parse_bytes

    memory = parse_bytes(max_memory, "--max-memory") if max_memory else None
    rates = calibrate(asked.out, threads=share(threads, workers)) if calibrated else BUILT_IN
    made = plan_batch(
        asked,
        workers=workers,
        memory=memory_share(memory, workers),
        rates=rates,
        verify=verify,
    )
    if as_json:
        typer.echo(json.dumps(made.to_mapping(), sort_keys=True))
    else:
        for line in made.lines():
            typer.echo(line)
    made.require_fits()
