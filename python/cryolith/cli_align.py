# SPDX-License-Identifier: BSD-3-Clause
"""``cryolith align`` and ``cryolith score``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .cli_options import Angles, Axis, JobFile, Pixel, Series, Threads, make_job, read_series

__all__ = ["align"]


def align(
    series: Series,
    out: Annotated[Path, typer.Option("-o", "--out", help="Alignment file, .json.")],
    config: JobFile = None,
    angles: Angles = None,
    pixel: Pixel = None,
    tilt_axis: Axis = None,
    threads: Threads = 0,
) -> None:
    """Only align: find the shifts and the tilt axis."""
    from . import files
    from .align import align_tilt_series

    job = make_job(series, None, config, angles=angles, pixel=pixel, tilt_axis=tilt_axis)
    found = align_tilt_series(read_series(job), settings=job.align, threads=threads)
    files.write_alignment(out, found)
    typer.echo(
        f"tilt axis {found.tilt_axis_deg:.2f} deg, held-out residual {found.holdout_residual:.4f}, "
        f"{len(found.flags)} of {len(found.angles_deg)} tilts left out: {out}"
    )
