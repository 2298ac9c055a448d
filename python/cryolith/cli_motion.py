# SPDX-License-Identifier: BSD-3-Clause
"""``cryolith motion``: movies to motion-corrected sums, and those of a series to a stack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .cli_options import AsJson, DryRun, MaxMemory, Out, Overwrite, Pixel, Quiet, Threads
from .errors import ConfigError, InputError

if TYPE_CHECKING:
    from .motion_plan import MotionPlan, MotionSettings

__all__ = ["motion"]

Movies = Annotated[
    list[Path] | None,
    typer.Argument(metavar="MOVIE", help="Movies: .mrc .mrcs .tif; a tilt series' in any order."),
]
Config = Annotated[
    Path | None,
    typer.Option("-c", "--config", help="motion.toml of an earlier job; options override it."),
]
Gain = Annotated[Path | None, typer.Option(help="Gain reference that frames are multiplied by.")]
Rotate = Annotated[
    int | None,
    typer.Option(help="Turn the gain reference by 90, 180 or 270 degrees counter-clockwise."),
]
Flip = Annotated[
    str | None, typer.Option(help="Then reverse its rows or columns: up-down or left-right.")
]
Defects = Annotated[
    Path | None,
    typer.Option(
        help="Bad pixels of the raw frames: a map, or lines of column row [width height]."
    ),
]
FrameRange = Annotated[
    tuple[int, int] | None,
    typer.Option(metavar="FIRST LAST", help="Frames to use, counted from 0, both included."),
]
Dose = Annotated[float | None, typer.Option(help="Dose of a frame on the specimen [e/angstrom^2].")]
MaxShift = Annotated[
    float | None,
    typer.Option(help="Largest shift between two frames [px]; default an eighth of the edge."),
]
Halves = Annotated[
    bool, typer.Option("--halves", help="Also the sums of the odd and of the even frames.")
]
MdocFile = Annotated[
    Path | None, typer.Option(help="SerialEM .mdoc of the series: tells the tilt of each movie.")
]
Angles = Annotated[
    Path | None, typer.Option(help="File of tilts, one for each movie in the order given.")
]


def motion(
    out: Out,
    movies: Movies = None,
    config: Config = None,
    gain: Gain = None,
    gain_rotate: Rotate = None,
    gain_flip: Flip = None,
    defects: Defects = None,
    frame_range: FrameRange = None,
    dose_per_frame: Dose = None,
    pixel: Pixel = None,
    max_shift: MaxShift = None,
    halves: Halves = False,
    mdoc: MdocFile = None,
    angles: Angles = None,
    threads: Threads = 0,
    max_memory: MaxMemory = None,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Align the frames of movies and add them up; several movies with their tilts become a stack in tilt order."""
    paths, given = _given(
        movies, config,
        gain=gain, gain_rotate=gain_rotate, gain_flip=gain_flip, defects=defects,
        frame_range=frame_range, dose_per_frame=dose_per_frame, pixel_size=pixel,
        max_shift=max_shift, halves=halves or None, mdoc=mdoc, angles=angles,
    )  # fmt: skip
    from .console import listener_for
    from .motion import align_movies
    from .motion_plan import plan_movies

    plan = plan_movies(paths, given)
    if dry_run:
        _show(plan, given, as_json)
    _require_room(plan, given, out, max_memory)
    if dry_run:
        return
    with listener_for(as_json=as_json, quiet=quiet) as listener:
        align_movies(paths, out, given, threads=threads, listener=listener, overwrite=overwrite)
    _conclude(out, as_json, quiet)


def _given(
    movies: list[Path] | None, config: Path | None, **options: Any
) -> tuple[list[str], MotionSettings]:
    """Lay the options over the job file."""
    from .config import read_toml
    from .motion_plan import MotionSettings
    from .settings import from_mapping

    table = read_toml(config) if config else {}
    named = table.pop("movies", [])
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise ConfigError(f"{config}: movies: found {named!r}, expected a list of file names")
    paths = [str(path) for path in movies or named]
    if not paths:
        raise ConfigError("MOVIE: found none, expected at least one movie, or --config with a list")
    kept = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in options.items()
        if value is not None
    }
    return paths, from_mapping(MotionSettings, {**table, **kept}, str(config or "motion"))


def _require_room(
    plan: MotionPlan, given: MotionSettings, out: Path, max_memory: str | None
) -> None:
    """Refuse what does not fit on the disk or into the memory allowed."""
    from . import files
    from .units import parse_bytes

    place = next(p for p in (out, *out.absolute().parents) if p.is_dir())
    files.atomic.check_space(place / "sums", plan.bytes_disk(given.halves))
    memory = parse_bytes(max_memory, "--max-memory") if max_memory else None
    if memory is not None and plan.bytes_memory > memory:
        raise InputError(
            f"memory: the largest movie needs {plan.bytes_memory / 1e6:.0f} MB, allowed are {memory / 1e6:.0f} MB; "
            "allow more or use fewer frames"
        )


def _show(plan: MotionPlan, given: MotionSettings, as_json: bool) -> None:
    facts = {
        "movies": len(plan.movies),
        "frames": sum(shape[0] for shape in plan.shapes),
        "frame_shape": list(plan.shapes[0][1:]),
        "stack": plan.series,
        "bytes_memory": plan.bytes_memory,
        "bytes_disk": plan.bytes_disk(given.halves),
    }
    if as_json:
        typer.echo(json.dumps(facts, sort_keys=True))
        return
    ny, nx = plan.shapes[0][1:]
    typer.echo(
        f"{len(plan.movies)} movies, {facts['frames']} frames of {ny} x {nx}: "
        f"{plan.bytes_memory / 1e6:.0f} MB memory, {plan.bytes_disk(given.halves) / 1e6:.0f} MB disk"
    )
    if plan.series:
        typer.echo(f"stack in the order of tilt: {plan.series}.mrc")


def _conclude(out: Path, as_json: bool, quiet: bool) -> None:
    report = out / "report.html"
    if as_json:
        typer.echo(json.dumps({"event": "done", "report": str(report)}, sort_keys=True))
    elif not quiet:
        facts = json.loads((out / "report.json").read_text(encoding="utf-8"))
        typer.echo(f"{facts['verdict']['word']}: {facts['verdict']['meaning']}")
        for movie in facts["movies"][:20]:
            tilt = "" if movie["angle_deg"] is None else f" at {movie['angle_deg']:.2f} deg"
            typer.echo(
                f"  {movie['name']}{tilt}: {movie['frames']} frames moved {movie['way_px']:.2f} px in all, shifts to "
                f"{movie['sigma_px'] or float('inf'):.2g} px"
            )
        typer.echo(f"report: {report}")
