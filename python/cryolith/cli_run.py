# SPDX-License-Identifier: BSD-3-Clause
"""``cryolith run``, ``resume``, ``demo`` and ``report``: the main job."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .cli_batch import one_series, resume_batch, rewrite_overview
from .cli_options import (
    Angles,
    AsJson,
    Axis,
    Binning,
    Device,
    DryRun,
    EmitSbatch,
    Frames,
    Halves,
    Iterations,
    JobFile,
    LocalCluster,
    MaxMemory,
    Method,
    NoCalibration,
    Out,
    Overwrite,
    Pixel,
    Quiet,
    Restart,
    Scheduler,
    Series,
    Slurm,
    Thickness,
    Threads,
    Timing,
    Workers,
    make_job,
)
from .cli_plan import show_plan
from .cli_schedule import Place, queue_run, run_on
from .errors import ConfigError

if TYPE_CHECKING:
    from .listener import Listener

__all__ = ["demo", "report", "resume", "run"]


OneSeries = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Of a batch only this series, in this process: for jobs of a queue."
    ),
]


class _Timer:
    """Collects what a listener hears about time and memory, for --timing and the last lines."""

    def __init__(self) -> None:
        self.stages: dict[str, dict[str, float]] = {}

    def wrap(self, listener: Listener) -> Listener:
        told = listener.finished

        def finished(stage: str, seconds: float, peak_bytes: int) -> None:
            self.stages[stage] = {"seconds": round(seconds, 3), "peak_bytes": peak_bytes}
            told(stage, seconds, peak_bytes)

        listener.finished = finished  # type: ignore[method-assign]
        return listener


def _go(
    work: Callable[..., Any],
    folder: Path,
    *,
    threads: int,
    max_memory: str | None,
    as_json: bool,
    quiet: bool,
    timing: Path | None,
    **more: Any,
) -> None:
    from .console import listener_for
    from .units import parse_bytes

    memory = parse_bytes(max_memory, "--max-memory") if max_memory else None
    listener, timer = listener_for(as_json=as_json, quiet=quiet), _Timer()
    with listener:
        work(threads=threads, max_memory=memory, listener=timer.wrap(listener), **more)
    if timing:
        from .files.atomic import write_json

        write_json(timing, timer.stages)
    _conclude(folder, timer, as_json=as_json, quiet=quiet)


def _conclude(folder: Path, timer: _Timer, *, as_json: bool, quiet: bool) -> None:
    report = folder / "report.html"
    if as_json:
        typer.echo(json.dumps({"event": "done", "report": str(report)}, sort_keys=True))
    elif not quiet:
        facts = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        typer.echo(f"{facts['verdict']['word']}: {facts['verdict']['meaning']}")
        for line in facts["findings"]:
            typer.echo(f"  {line}")
        spent = sum(s["seconds"] for s in timer.stages.values())
        typer.echo(f"report: {report}  ({spent:.1f} s)")


def run(
    series: Series,
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
    frames: Frames = None,
    device: Device = None,
    threads: Threads = 0,
    max_memory: MaxMemory = None,
    dry_run: DryRun = False,
    no_calibration: NoCalibration = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
    restart: Restart = None,
    timing: Timing = None,
    workers: Workers = None,
    local: LocalCluster = None,
    scheduler: Scheduler = None,
    slurm: Slurm = None,
    emit_sbatch: EmitSbatch = None,
) -> None:
    """Align, reconstruct, detect and report: the whole way, resumable."""
    job = make_job(
        series, out, config, angles=angles, pixel=pixel, tilt_axis=tilt_axis, frames=frames,
        method=method, n_iter=iterations, thickness=thickness, binning=binning, halves=halves,
        device=device,
    )  # fmt: skip
    from . import pipeline

    if dry_run:
        show_plan([job], out, threads=threads, max_memory=max_memory,
                  calibrated=not no_calibration, as_json=as_json)  # fmt: skip
        return
    place = Place(workers, local, scheduler)
    if slurm or emit_sbatch:
        queue_run(job, slurm, emit_sbatch, config, overwrite=overwrite)
        return
    work = (
        functools.partial(pipeline.run, job)
        if place.here
        else functools.partial(run_on, place, job)
    )
    _go(work, out, threads=threads, max_memory=max_memory,
        as_json=as_json, quiet=quiet, overwrite=overwrite, restart=restart, timing=timing)  # fmt: skip


def resume(
    folder: Annotated[Path, typer.Argument(help="Folder of an earlier run.")],
    threads: Threads = 0,
    max_memory: MaxMemory = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    restart: Restart = None,
    timing: Timing = None,
    workers: Workers = None,
    local: LocalCluster = None,
    scheduler: Scheduler = None,
    series: OneSeries = None,
) -> None:
    """Go on from the last stage whose record still holds, or with a batch; says what it skips and why."""
    from . import pipeline
    from .records import is_batch

    how: dict[str, Any] = {
        "threads": threads,
        "max_memory": max_memory,
        "as_json": as_json,
        "quiet": quiet,
    }
    place = Place(workers, local, scheduler)
    if series is not None:
        one_series(folder, series, **how)
    elif is_batch(folder):
        resume_batch(folder, place, **how)
    elif not place.here:
        raise ConfigError(
            f"{folder}: is one run, which goes on in this process; give `cryolith run` --workers, --local or "
            "--scheduler"
        )
    else:
        _go(
            functools.partial(pipeline.resume, folder),
            folder,
            restart=restart,
            timing=timing,
            **how,
        )


def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the results.")] = Path(
        "cryolith-demo"
    ),
    threads: Threads = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
    timing: Timing = None,
) -> None:
    """Run the main job on the tilt series that comes with the package."""
    from . import pipeline
    from .files import sample_path

    job = make_job(sample_path(), out, None, tilt_axis=90.0)  # as the microscope's log says
    _go(functools.partial(pipeline.run, job), out, threads=threads, max_memory=None,
        as_json=as_json, quiet=quiet, timing=timing)  # fmt: skip


def report(folder: Annotated[Path, typer.Argument(help="Folder of a finished run.")]) -> None:
    """Write the report of a finished run, or the overview of a batch, again; stages that changed are run first."""
    from . import pipeline
    from .records import is_batch

    if is_batch(folder):
        rewrite_overview(folder)
        return

    result = pipeline.rewrite_report(folder)
    typer.echo(f"report: {result.folder / 'report.html'}")
