# SPDX-License-Identifier: BSD-3-Clause
"""What the commands share: their options, how they fail, and the job that the options describe."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from .errors import Cancelled, ConfigError, CryolithError, CryolithWarning

if TYPE_CHECKING:
    from .config import Job
    from .datamodel import TiltSeries
    from .watch import WatchSettings

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "Angles",
    "AsJson",
    "Axis",
    "Beads",
    "Binning",
    "Device",
    "DryRun",
    "EmitSbatch",
    "Frames",
    "Halves",
    "Iterations",
    "JobFile",
    "Local",
    "LocalCluster",
    "MaxMemory",
    "Method",
    "NoCalibration",
    "Out",
    "Overwrite",
    "Pixel",
    "Quiet",
    "Restart",
    "Scheduler",
    "Series",
    "Slurm",
    "Thickness",
    "Threads",
    "Timing",
    "Workers",
    "guarded_command",
    "make_job",
    "read_series",
    "watch_settings",
]

F = TypeVar("F", bound=Callable[..., None])

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
Level = Annotated[
    str | None,
    typer.Option(help="Lay a slab level: auto (if it plainly is not), or no: as in the holder."),
]
Local = Annotated[
    str | None,
    typer.Option(help="Local shifts: no, auto (sought where patches ask for them) or yes."),
]
Binning = Annotated[int | None, typer.Option(help="Bin the images before reconstruction.")]
Device = Annotated[
    str | None,
    typer.Option(
        help="Where to reconstruct: cpu, cuda, cuda:1, several as cuda:0,cuda:1, or auto."
    ),
]
Threads = Annotated[
    int, typer.Option(min=0, max=4096, help="Threads; 0 is all this process may use.")
]
MaxMemory = Annotated[
    str | None,
    typer.Option(help='Most memory to use, of the host and of each device, as in "8 GB".'),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, do nothing.")]
NoCalibration = Annotated[
    bool,
    typer.Option(
        "--no-calibration", help="Plan with the built-in rates instead of this machine's, measured."
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Work on this Dask cluster, as tcp://10.0.0.1:8786."),
]
LocalCluster = Annotated[
    int | None,
    typer.Option("--local", min=1, metavar="N", help="Work on a Dask cluster of N processes here."),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Work in N processes here, without Dask."),
]
Slurm = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Submit to Slurm with sbatch, resources from [slurm] in this TOML file.",
    ),
]
EmitSbatch = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write a script for sbatch instead of working."),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Allow a folder that holds other results.")
]
Restart = Annotated[
    str | None,
    typer.Option(
        metavar="STAGE", help="Do this stage and those after it again, whatever their records say."
    ),
]
Timing = Annotated[
    Path | None, typer.Option(help="Write the measured time and memory of each stage to this file.")
]


def guarded_command(command: F) -> F:
    """Turn what a command raises into one line and an exit code."""

    @functools.wraps(command)
    def guarded(*args: Any, **options: Any) -> None:
        try:
            with _warnings_as_lines():
                command(*args, **options)
        except (KeyboardInterrupt, Cancelled):
            raise _stop("interrupted; the same command, or `cryolith resume`, goes on from what is finished",
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


def make_job(
    series: Path,
    out: Path | None,
    config: Path | None,
    *,
    angles: str | None = None,
    pixel: str | None = None,
    tilt_axis: float | None = None,
    frames: tuple[Path, Path] | None = None,
    beads: str | None = None,
    level: str | None = None,
    local: str | None = None,
    **reconstruct: Any,
) -> Job:
    """Lay the options over the job file and make the job from both."""
    from .config import job_from_mapping, read_toml

    tables = read_toml(config) if config else {}
    for other in ("slurm", "watch"):  # of no run: no result depends on them
        tables.pop(other, None)
    given: dict[str, dict[str, Any]] = {
        "series": {
            "path": str(series),
            "angles": angles,
            "pixel_size": pixel,
            "tilt_axis": tilt_axis,
            "frames": [str(f) for f in frames] if frames else None,
        },
        "align": {"beads": beads, "level": level, "local": local},
        "reconstruct": reconstruct,
    }
    for table, values in given.items():
        kept = {k: v for k, v in values.items() if v is not None}
        # Of another kind, the job says what is wrong with it.
        if isinstance(tables.setdefault(table, {}), dict):
            tables[table] = {**tables[table], **kept}
    tables["output"] = str(out) if out else ""
    return job_from_mapping(tables)


def watch_settings(config: Path | None) -> WatchSettings:
    """Return the ``[watch]`` table of a job file."""
    from .config import read_toml
    from .settings import from_mapping
    from .watch import WatchSettings

    table = read_toml(config).get("watch", {}) if config else {}
    if not isinstance(table, dict):
        raise ConfigError(f"watch: found {table!r}, expected a table [watch]")
    return from_mapping(WatchSettings, table, "[watch]")


def read_series(job: Job) -> TiltSeries:
    from . import files

    s = job.series
    return files.read_tilt_series(
        s.path, angles=s.angles, pixel_size=s.pixel_size, tilt_axis_deg=s.tilt_axis
    )
