# SPDX-License-Identifier: BSD-3-Clause
"""``cryolith align`` and ``cryolith score``: an alignment, and how well one predicts, whoever made it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .cli_options import (
    Angles,
    AsJson,
    Axis,
    Beads,
    JobFile,
    Level,
    Local,
    Overwrite,
    Pixel,
    Quiet,
    Series,
    Threads,
    make_job,
    read_series,
)
from .errors import ConfigError

if TYPE_CHECKING:
    from .config import Job
    from .datamodel import Alignment

__all__ = ["align", "score"]

Out = Annotated[
    Path,
    typer.Option(
        "-o",
        "--out",
        help="A folder: alignment, score and report. Or a file, .json .xf .aln .star ...: only the alignment.",
    ),
]
Compare = Annotated[
    list[Path] | None,
    typer.Option(help="Alignment of another program to score beside; may be given several times."),
]
Aligned = Annotated[
    bool, typer.Option("--aligned", help="Also write the aligned images, aligned.mrc.")
]
Others = Annotated[
    list[Path],
    typer.Argument(
        metavar="ALIGNMENT", help="Alignments of these images, in any form that `convert` reads."
    ),
]
Table = Annotated[
    Path | None, typer.Option("-o", "--out", help="Also a table, .csv, with a row for each tilt.")
]


def align(
    series: Series,
    out: Out,
    config: JobFile = None,
    angles: Angles = None,
    pixel: Pixel = None,
    tilt_axis: Axis = None,
    beads: Beads = None,
    level: Level = None,
    local: Local = None,
    compare: Compare = None,
    aligned: Aligned = False,
    threads: Threads = 0,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Only align: find the shifts and the tilt axis; into a folder also with score and report.

    `cryolith resume` goes on from such a folder to the reconstruction.
    """
    given = {
        "angles": angles,
        "pixel": pixel,
        "tilt_axis": tilt_axis,
        "beads": beads,
        "level": level,
        "local": local,
    }
    if out.suffix and not out.is_dir():
        if compare or aligned:
            raise ConfigError(
                f"--out: found the file {out}, expected a folder for what --compare and --aligned write"
            )
        _align_only(make_job(series, None, config, **given), out, threads, as_json, quiet)  # type: ignore[arg-type]
        return
    from .alignment_job import align_job
    from .console import listener_for

    job = make_job(series, out, config, **given)  # type: ignore[arg-type]
    with listener_for(as_json=as_json, quiet=quiet) as listener:
        done = align_job(
            job,
            others=compare or (),
            aligned=aligned,
            threads=threads,
            listener=listener,
            overwrite=overwrite,
        )
    report = done.folder / "alignment.html"
    facts = json.loads((done.folder / "score.json").read_text(encoding="utf-8"))
    if as_json:
        typer.echo(json.dumps({"event": "done", "report": str(report)}, sort_keys=True))
    elif not quiet:
        typer.echo(f"{facts['verdict']['word']}: {facts['verdict']['meaning']}")
        typer.echo(_summary(done.alignments["cryolith"]))
        _show(facts["compared"])
        typer.echo(f"report: {report}")


def _align_only(job: Job, out: Path, threads: int, as_json: bool, quiet: bool) -> None:
    from . import files
    from .align import align_tilt_series
    from .files.alignments import find_format

    find_format(out)  # before the work: a name that says no form costs no minutes
    files.atomic.check_space(out, 0)
    found = align_tilt_series(read_series(job), settings=job.align, threads=threads)
    files.write_alignment(out, found)
    if as_json:
        typer.echo(json.dumps({"event": "done", "files": [str(out)]}, sort_keys=True))
    elif not quiet:
        typer.echo(f"{_summary(found)}: {out}")


def _summary(found: Alignment) -> str:
    on = "" if found.beads is None else f"{len(found.beads.points_px)} beads, "
    return (
        f"{on}tilt axis {found.tilt_axis_deg:.2f} deg, held-out residual {found.holdout_residual:.4f}, "
        f"{len(found.flags)} of {len(found.angles_deg)} tilts left out"
    )


def score(
    series: Series,
    alignments: Others,
    out: Table = None,
    angles: Angles = None,
    pixel: Pixel = None,
    tilt_axis: Axis = None,
    threads: Threads = 0,
    as_json: AsJson = False,
) -> None:
    """Score alignments of a series, whoever made them, by the tilts that they predict, beside none at all."""
    from . import files
    from .align import score_alignments
    from .alignment_job import read_others, with_none
    from .report.alignment import compared_table

    job = make_job(series, None, None, angles=angles, pixel=pixel, tilt_axis=tilt_axis)
    data = read_series(job)
    found = with_none(read_others(data, alignments))
    scores = score_alignments(data, found, threads=threads)
    if out is not None:
        table: dict[str, Any] = {"angle_deg": data.angles_deg}
        for name, one in scores.items():
            table |= {
                f"holdout of {name}": one.holdout,
                f"random of {name}": one.random,
                f"p_random of {name}": one.p_random,
            }
        files.write_table(out, table)
    rows = compared_table(scores)
    if as_json:
        typer.echo(json.dumps(rows, sort_keys=True))
    else:
        _show(rows)


def _show(rows: list[dict[str, Any]]) -> None:
    width = max(len("alignment"), *(len(row["name"]) for row in rows))
    typer.echo(f"{'alignment':<{width}}  kept  held out  random  no better than random")
    for row in rows:
        typer.echo(
            f"{row['name']:<{width}}  {row['tilts_kept']:4d}  {_digits(row['holdout'])}    {_digits(row['random'])}  "
            f"{row['unpredicted']:4d}"
        )


def _digits(value: float | None) -> str:
    return "   nan" if value is None else f"{value:.4f}"
