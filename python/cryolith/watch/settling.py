# SPDX-License-Identifier: BSD-3-Clause
"""When a series is complete: the job of its ordinary run, on a stack of its own where the files are none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .._version import __version__
from ..config import Job
from ..errors import InputError
from ..files import write_angle_file
from ..files.atomic import write_text
from ..files.mdoc import render_mdoc
from ..files.mrc_write import write_mrc
from .names import listed_files
from .sources import Source, Tilt

__all__ = ["job_of"]


def job_of(source: Source, job: Job, live: Path, out: Path) -> tuple[Job, list[str]]:
    """Return the job of the ordinary run, and which tilt each of its images is.

    A stack is read where it lies. Tilts with files of their own, and a stack that ended before its header says, are
    first written as a stack into ``live``, with ``.rawtlt`` and, where they were listed, ``.mdoc``.

    Parameters
    ----------
    source : Source
    job : Job
        Settings of all series.
    live, out : Path
        Folder of the watch's own files of the series, and of the run.

    Raises
    ------
    InputError
        No angle is known of some tilts.
    FileFormatError
        A file is gone.
    """
    unknown = [t.key for t in source.tilts if t.angle_deg is None]
    if unknown:
        raise InputError(
            f"angles: found none for {len(unknown)} of {len(source.tilts)} tilts ({unknown[0]}), expected one each in "
            "an extended header, .mdoc, .rawtlt or file name; put one beside the images"
        )
    keys = [t.key for t in source.tilts]
    series = job.series
    if source.path is not None and source.promised <= len(source.tilts):
        path = source.path
    else:
        path = _written(source, live)
        series = replace(
            series,
            angles=None,
            pixel_size=series.pixel_size or source.pixel_size,
            tilt_axis=source.tilt_axis_deg if series.tilt_axis is None else series.tilt_axis,
        )
    return replace(job, series=replace(series, path=str(path)), output=str(out)), keys


def _written(source: Source, live: Path) -> Path:
    path = live / f"{source.name}.mrc"
    images = _Lazy(source.tilts)
    label = f"cryolith {__version__} tilts of {source.name}"
    write_mrc(
        path,
        cast(npt.NDArray[Any], images),
        pixel_size=source.pixel_size,
        first_voxel=np.zeros(3),
        labels=[label],
    )
    write_angle_file(path.with_suffix(".rawtlt"), [t.angle_deg or 0.0 for t in source.tilts])
    log = live / f"{path.name}.mdoc"
    sections = _sections(source)
    if source.log is not None and sections is not None:
        write_text(log, render_mdoc(source.log, sections, {}, path.name))
    else:
        log.unlink(missing_ok=True)
    return path


def _sections(source: Source) -> npt.NDArray[np.int64] | None:
    """Places of the tilts in the .mdoc; None unless it has all of them."""
    if source.log is None:
        return None
    if source.path is not None:
        places = {str(z): i for i, z in enumerate(source.log.sections)}
    else:
        places = listed_files(source.log)
    if any(t.key not in places for t in source.tilts):
        return None
    return np.array([places[t.key] for t in source.tilts], np.int64)


class _Lazy:
    """Images of tilts, read when they are written: what :func:`write_mrc` needs of an array."""

    def __init__(self, tilts: tuple[Tilt, ...]) -> None:
        first = tilts[0].image()
        self._tilts = tilts
        summed = any(last - begin > 1 for begin, last in (t.frames for t in tilts))
        self.dtype = np.dtype(np.float32) if summed else first.dtype
        self.shape = (len(tilts), *first.shape)
        self.size = len(tilts) * first.size

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        for tilt in self._tilts:
            image = tilt.image()
            if image.dtype.itemsize > self.dtype.itemsize:
                raise InputError(f"{tilt.key}: found {image.dtype}, expected {self.dtype}")
            yield image
