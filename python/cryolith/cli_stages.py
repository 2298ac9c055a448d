# SPDX-License-Identifier: BSD-3-Clause
"""``cryolith reconstruct`` and ``cryolith detect``: one stage alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ._version import __version__
from .cli_options import (
    Angles,
    Binning,
    Frames,
    Halves,
    Iterations,
    JobFile,
    Method,
    Out,
    Pixel,
    Series,
    Thickness,
    Threads,
    make_job,
    read_series,
)

__all__ = ["detect", "reconstruct"]


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
    from .stages import reconstruct_series

    job = make_job(
        series, None, config, angles=angles, pixel=pixel, method=method, n_iter=iterations,
        thickness=thickness, binning=binning, halves=halves, frames=frames,
    )  # fmt: skip
    data = read_series(job)
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
