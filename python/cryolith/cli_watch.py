# SPDX-License-Identifier: BSD-3-Clause
"""``cryolith watch``: tilt series while they are recorded."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .cli_options import (
    FAILED,
    Angles,
    AsJson,
    Axis,
    JobFile,
    MaxMemory,
    Out,
    Pixel,
    Quiet,
    Threads,
)

if TYPE_CHECKING:
    from .watch import Watch, WatchSettings

__all__ = ["watch"]

Folder = Annotated[Path, typer.Argument(help="Folder that the images appear in; only read.")]
Tilts = Annotated[
    int | None, typer.Option(min=1, help="Tilts of a complete series; default what files promise.")
]
Idle = Annotated[
    float | None,
    typer.Option(min=0, metavar="MINUTES", help="Without a new tilt for so long it is complete."),
]
Interval = Annotated[
    float | None, typer.Option(min=0.05, metavar="SECONDS", help="Time between two looks.")
]
Drift = Annotated[
    str | None, typer.Option(help='Largest shift between successive tilts, as in "20 nm".')
]
Pattern = Annotated[str | None, typer.Option(help="Names of the files to look at: 'ts_*.mrc'.")]
UntilComplete = Annotated[
    bool,
    typer.Option(
        "--until-complete", help="End when every series has its run; exit code 1 if one failed."
    ),
]


def watch(
    folder: Folder,
    out: Out,
    config: JobFile = None,
    angles: Angles = None,
    pixel: Pixel = None,
    tilt_axis: Axis = None,
    tilts: Tilts = None,
    idle: Idle = None,
    interval: Interval = None,
    drift: Drift = None,
    pattern: Pattern = None,
    until_complete: UntilComplete = False,
    threads: Threads = 0,
    max_memory: MaxMemory = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Follow tilt series while they are recorded: coarse volume, alerts, then the run of each."""
    from .cli_options import make_job
    from .watch import ProcessRunner, Watch

    job = make_job(Path(), out, config, angles=angles, pixel=pixel, tilt_axis=tilt_axis)
    settings = _settings(config, tilts, idle, interval, drift, pattern)
    runner = ProcessRunner(threads, max_memory)
    with Watch(folder, out, job=job, settings=settings, runner=runner, threads=threads) as state:
        if not (quiet or as_json):
            typer.echo(f"overview: {out / 'overview.html'}")
        _loop(state, until_complete=until_complete, as_json=as_json, quiet=quiet)
    if as_json:
        typer.echo(json.dumps({"event": "done", "alerts": len(state.ledger.alerts)}))
    if any(series.state == "failed" for series in state.series.values()):
        raise typer.Exit(FAILED)


def _settings(
    config: Path | None,
    tilts: int | None,
    idle: float | None,
    interval: float | None,
    drift: str | None,
    pattern: str | None,
) -> WatchSettings:
    from .cli_options import watch_settings

    given: dict[str, Any] = {
        "tilts": tilts,
        "idle_min": idle,
        "interval_s": interval,
        "drift": drift,
        "pattern": pattern,
    }
    return replace(watch_settings(config), **{k: v for k, v in given.items() if v is not None})


def _loop(state: Watch, *, until_complete: bool, as_json: bool, quiet: bool) -> None:
    while True:
        for event in state.poll():
            if as_json:
                typer.echo(json.dumps(event, sort_keys=True))
            elif not quiet or event["event"] == "alert":
                typer.echo(_words(event))
        if until_complete and state.done:
            return
        time.sleep(state.settings.interval_s)


def _words(event: dict[str, Any]) -> str:
    name = event["series"]
    if event["event"] == "tilt":
        left = ", left out as blank" if event["blank"] else ""
        return f"{name}: tilt {event['tilt']} at {event['angle_deg']:g} deg{left}"
    if event["event"] == "alert":
        at = (
            "" if event["tilt"] is None else f" tilt {event['tilt']} at {event['angle_deg']:g} deg:"
        )
        return f"{name}: ALERT {event['kind']}:{at} {event['text']}"
    return f"{name}: {event['state']}" + (f", {event['reason']}" if "reason" in event else "")
