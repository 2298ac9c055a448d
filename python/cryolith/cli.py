# SPDX-License-Identifier: BSD-3-Clause
"""The command line. Exit codes: 0 ok, 1 failed, 2 bad use, 130 interrupted."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ._version import __version__
from .cli_convert import convert
from .errors import Cancelled, ConfigError, CryolithError, CryolithWarning

if TYPE_CHECKING:
    from .config import Job
    from .pipeline import Listener, Result

__all__ = ["app", "main"]

F = TypeVar("F", bound=Callable[..., None])

app = typer.Typer(
    name="cryolith",
    help="From a raw electron-microscope tilt series to a table of what is inside the specimen.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

OK, FAILED, BAD_USE, INTERRUPTED = 0, 1, 2, 130

Series = Annotated[Path, typer.Argument(help="Tilt series: .mrc .st .ali .tif, also .gz .bz2")]
Out = Annotated[Path, typer.Option("-o", "--out", help="Folder for the results.")]
JobFile = Annotated[
    Path | None, typer.Option("-c", "--config", help="TOML job; options below override it.")
]
Angles = Annotated[
    str | None, typer.Option(help="File of tilt angles: .tlt .rawtlt .mdoc or text, degrees.")
]
Pixel = Annotated[str | None, typer.Option(help='Pixel size with its unit, as in "0.34 nm".')]
Axis = Annotated[
    float | None,
    typer.Option(help="Nominal tilt axis [deg], counter-clockwise from the image's +y."),
]
Method = Annotated[
    str | None, typer.Option(help="Reconstruction: sirt, wbp, tv, sart, cgls, lsqr, mlem or dart.")
]
Iterations = Annotated[int | None, typer.Option(help="Iterations; default: the method's own.")]
Thickness = Annotated[
    str | None, typer.Option(help='Thickness of the volume, as in "120 nm"; default automatic.')
]
Halves = Annotated[
    str | None,
    typer.Option(
        help="Also two half volumes, for the resolution: tilts, dose or frames. Doubles the time."
    ),
]
Frames = Annotated[
    tuple[Path, Path] | None,
    typer.Option(metavar="ODD EVEN", help="Sums of odd and of even frames, for --halves frames."),
]
Beads = Annotated[
    str | None, typer.Option(help="Align on beads: auto (if enough are found), yes or no.")
]
Binning = Annotated[int | None, typer.Option(help="Bin the images before reconstruction.")]
Threads = Annotated[
    int, typer.Option(min=0, max=4096, help="Threads; 0 is all this process may use.")
]
MaxMemory = Annotated[str | None, typer.Option(help='Most memory to use, as in "8 GB".')]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, do nothing.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Allow a folder that holds other results.")
]
Timing = Annotated[
    Path | None, typer.Option(help="Write the measured time and memory of each stage to this file.")
]


def _guarded(command: F) -> F:
    """Turn what a command raises into one line and an exit code."""

    @functools.wraps(command)
    def guarded(*args: Any, **options: Any) -> None:
        try:
            with _warnings_as_lines():
                command(*args, **options)
        except (KeyboardInterrupt, Cancelled):
            raise _stop("interrupted; `cryolith resume` goes on from the last finished stage",
                        INTERRUPTED) from None  # fmt: skip
        except ConfigError as e:
            raise _stop(str(e), BAD_USE) from None
        except BrokenPipeError:  # `| head`: the reader has what it wanted, and nobody hears more
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(FAILED) from None
        except (CryolithError, OSError, MemoryError) as e:
            raise _stop(str(e) or type(e).__name__, FAILED) from None

    return guarded  # type: ignore[return-value]


def _stop(text: str, code: int) -> typer.Exit:
    typer.echo(text if code == INTERRUPTED else f"error: {text}", err=True)
    return typer.Exit(code)


@contextlib.contextmanager
def _warnings_as_lines() -> Iterator[None]:
    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if issubclass(category, CryolithWarning):
            typer.echo(f"warning: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("default", CryolithWarning)
        warnings.showwarning = show
        yield


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cryolith {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Shown by --help."""


def _job(
    series: Path,
    out: Path | None,
    config: Path | None,
    *,
    angles: str | None = None,
    pixel: str | None = None,
    tilt_axis: float | None = None,
    frames: tuple[Path, Path] | None = None,
    beads: str | None = None,
    **reconstruct: Any,
) -> Job:
    """Lay the options over the job file and make the job from both."""
    from .config import job_from_mapping, read_toml

    tables = read_toml(config) if config else {}
    given: dict[str, dict[str, Any]] = {
        "series": {
            "path": str(series),
            "angles": angles,
            "pixel_size": pixel,
            "tilt_axis": tilt_axis,
            "frames": [str(f) for f in frames] if frames else None,
        },
        "align": {"beads": beads},
        "reconstruct": reconstruct,
    }
    for table, values in given.items():
        kept = {k: v for k, v in values.items() if v is not None}
        # Of another kind, the job says what is wrong with it.
        if isinstance(tables.setdefault(table, {}), dict):
            tables[table] = {**tables[table], **kept}
    tables["output"] = str(out) if out else ""
    return job_from_mapping(tables)


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
    work: Callable[..., Result],
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
        result = work(threads=threads, max_memory=memory, listener=timer.wrap(listener), **more)
    if timing:
        from .files.atomic import write_json

        write_json(timing, timer.stages)
    _conclude(result, timer, as_json=as_json, quiet=quiet)


def _conclude(result: Result, timer: _Timer, *, as_json: bool, quiet: bool) -> None:
    report = result.folder / "report.html"
    if as_json:
        typer.echo(json.dumps({"event": "done", "report": str(report)}, sort_keys=True))
    elif not quiet:
        facts = json.loads((result.folder / "report.json").read_text(encoding="utf-8"))
        typer.echo(f"{facts['verdict']['word']}: {facts['verdict']['meaning']}")
        for line in facts["findings"]:
            typer.echo(f"  {line}")
        spent = sum(s["seconds"] for s in timer.stages.values())
        typer.echo(f"report: {report}  ({spent:.1f} s)")


@app.command()
@_guarded
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
    threads: Threads = 0,
    max_memory: MaxMemory = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
    timing: Timing = None,
) -> None:
    """Align, reconstruct, detect and report: the whole way, resumable."""
    job = _job(
        series, out, config, angles=angles, pixel=pixel, tilt_axis=tilt_axis, frames=frames,
        method=method, n_iter=iterations, thickness=thickness, binning=binning, halves=halves,
    )  # fmt: skip
    from . import pipeline

    if dry_run:
        _show_plan(job, max_memory, as_json)
        return
    _go(functools.partial(pipeline.run, job), threads=threads, max_memory=max_memory,
        as_json=as_json, quiet=quiet, overwrite=overwrite, timing=timing)  # fmt: skip


def _show_plan(job: Job, max_memory: str | None, as_json: bool) -> None:
    from . import pipeline
    from .units import parse_bytes

    made = pipeline.plan(job)
    if as_json:
        typer.echo(json.dumps(made.to_mapping(), sort_keys=True))
    else:
        for line in made.lines():
            typer.echo(line)
    memory = parse_bytes(max_memory, "--max-memory") if max_memory else None
    made.require_fits(memory, Path(job.output))


@app.command()
@_guarded
def resume(
    folder: Annotated[Path, typer.Argument(help="Folder of an earlier run.")],
    threads: Threads = 0,
    max_memory: MaxMemory = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    timing: Timing = None,
) -> None:
    """Go on from the last stage whose record still holds; says what it skips and why."""
    from . import pipeline

    _go(functools.partial(pipeline.resume, folder), threads=threads, max_memory=max_memory,
        as_json=as_json, quiet=quiet, timing=timing)  # fmt: skip


@app.command()
@_guarded
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

    job = _job(sample_path(), out, None, tilt_axis=90.0)  # as the microscope's log says
    _go(functools.partial(pipeline.run, job), threads=threads, max_memory=None,
        as_json=as_json, quiet=quiet, timing=timing)  # fmt: skip


@app.command()
@_guarded
def check(
    series: Series, angles: Angles = None, pixel: Pixel = None, as_json: AsJson = False
) -> None:
    """Say whether a tilt series is sound: header, size, angles, pixels. Exit code 1 if not."""
    from . import files
    from .units import parse_length

    size = parse_length(pixel, "--pixel") if pixel else None
    findings = files.check(series, angles=angles, pixel_size=size)
    if as_json:
        typer.echo(json.dumps([f.to_mapping() for f in findings], sort_keys=True))
    else:
        for finding in findings:
            typer.echo(f"{finding.level}: {finding}")
    if any(f.level == "error" for f in findings):
        raise typer.Exit(FAILED)


@app.command()
@_guarded
def info(path: Series, as_json: AsJson = False) -> None:
    """Show what a file's header says; never reads the data."""
    from . import files

    facts = files.info(path)
    if as_json:
        typer.echo(json.dumps(facts, sort_keys=True, default=str))
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        typer.echo(f"{name:<{width}}  {value}")


@app.command()
@_guarded
def align(
    series: Series,
    out: Annotated[Path, typer.Option("-o", "--out", help="Alignment file, .json.")],
    config: JobFile = None,
    angles: Angles = None,
    pixel: Pixel = None,
    tilt_axis: Axis = None,
    beads: Beads = None,
    threads: Threads = 0,
) -> None:
    """Only align: find the shifts and the tilt axis."""
    from . import files
    from .align import align_tilt_series

    job = _job(series, None, config, angles=angles, pixel=pixel, tilt_axis=tilt_axis, beads=beads)
    found = align_tilt_series(_read(job), settings=job.align, threads=threads)
    files.write_alignment(out, found)
    on = "" if found.beads is None else f"{len(found.beads.points_px)} beads, "
    typer.echo(
        f"{on}tilt axis {found.tilt_axis_deg:.2f} deg, held-out residual {found.holdout_residual:.4f}, "
        f"{len(found.flags)} of {len(found.angles_deg)} tilts left out: {out}"
    )


def _read(job: Job) -> Any:
    from . import files

    s = job.series
    return files.read_tilt_series(
        s.path, angles=s.angles, pixel_size=s.pixel_size, tilt_axis_deg=s.tilt_axis
    )


app.command()(_guarded(convert))


@app.command()
@_guarded
def reconstruct(
    series: Series,
    alignment: Annotated[
        Path,
        typer.Option(
            "-a", "--alignment", help="From `cryolith align`, or a file that `convert` reads."
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Volume, .mrc or .zarr.")],
    config: JobFile = None,
    angles: Angles = None,
    pixel: Pixel = None,
    method: Method = None,
    iterations: Iterations = None,
    thickness: Thickness = None,
    binning: Binning = None,
    halves: Halves = None,
    frames: Frames = None,
    threads: Threads = 0,
) -> None:
    """Only reconstruct, with an alignment made before."""
    from . import files, half_volumes
    from .pipeline import reconstruct_series

    job = _job(
        series, None, config, angles=angles, pixel=pixel, method=method, n_iter=iterations,
        thickness=thickness, binning=binning, halves=halves, frames=frames,
    )  # fmt: skip
    data = _read(job)
    found = files.read_alignment(alignment, known=files.Known.of_series(data))
    volume, _ = reconstruct_series(
        data, found, job.reconstruct, frames=half_volumes.read_frames(job, data), threads=threads
    )
    label = f"cryolith {__version__} {job.reconstruct.method}"
    files.write_volume(out, volume, labels=[label])
    typer.echo(f"volume {volume.data.shape} (z, y, x): {out}")
    if volume.halves is not None:
        half_volumes.write_halves(out, volume, label)
        for path in half_volumes.half_paths(out):
            typer.echo(f"half volume: {path}")
        from .report.findings import resolution  # matplotlib: only now

        typer.echo(resolution(half_volumes.correlate_halves(out), volume).text)


@app.command()
@_guarded
def detect(
    volume: Annotated[Path, typer.Argument(help="Volume, .mrc or .zarr.")],
    out: Out,
    config: JobFile = None,
    threads: Threads = 0,
) -> None:
    """Only detect: layers, voids and particles of a volume, as tables."""
    from . import files
    from .config import job_from_mapping, read_toml
    from .detect import detect as find

    job = job_from_mapping(read_toml(config) if config else {})
    found = find(files.read_volume(volume), job.detect, threads=threads)
    out.mkdir(parents=True, exist_ok=True)
    for name in ("particles", "voids", "layers"):
        table = getattr(found, name)
        files.write_table(out / f"{name}.csv", table)
        typer.echo(f"{name}: {len(next(iter(table.values()), ()))}")


@app.command()
@_guarded
def report(folder: Annotated[Path, typer.Argument(help="Folder of a finished run.")]) -> None:
    """Write the report of a finished run again; stages that changed since are run first."""
    from . import pipeline

    result = pipeline.rewrite_report(folder)
    typer.echo(f"report: {result.folder / 'report.html'}")


def main() -> None:
    """Entry point: ends with the process's exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        os._exit(INTERRUPTED)
    except SystemExit as e:
        if e.code != INTERRUPTED:
            raise
        # Where the interrupt came inside exec() of a text (a dataclass being made), Python would end by the signal.
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
