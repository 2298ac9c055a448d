# SPDX-License-Identifier: BSD-3-Clause
"""The halves of a job: the frames they may be made from, their files, and their correlation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from .config import Job
from .datamodel import TiltSeries
from .errors import InputError
from .files import open_volume, read_tilt_series
from .metrics import Fsc, fsc

__all__ = [
    "FSC_BYTES_PER_VOXEL",
    "LARGEST_EDGE",
    "correlate_halves",
    "frame_files",
    "half_paths",
    "largest_edge",
    "read_frames",
]

FSC_BYTES_PER_VOXEL = 8 + 116  # both halves, and what their correlation holds
LARGEST_EDGE = 256  # of what is correlated: enough terms in each shell, in 2 GB
FADED = 1 / 16  # of each extent, at either face


def frame_files(job: Job) -> tuple[str, ...]:
    """Return the files with the sums of odd and of even frames, for a job that asks for halves of these."""
    if job.reconstruct.halves != "frames":
        return ()
    if job.series.frames is None:
        raise InputError(
            "frames: found no files in the job, expected the sums of the odd and of the even frames for halves = "
            "'frames'; name them with --frames ODD EVEN"
        )
    return job.series.frames


def read_frames(job: Job, series: TiltSeries) -> tuple[TiltSeries, TiltSeries] | None:
    """Read these files, with the angles and the pixel size of the series; None where they are not asked for."""
    files = frame_files(job)
    if not files:
        return None
    odd, even = (
        read_tilt_series(path, angles=series.angles_deg, pixel_size=series.pixel_size)
        for path in files
    )
    return odd, even


def half_paths(volume: Path) -> tuple[Path, Path]:
    """Return where the halves of a volume lie: beside it, ``_half1`` and ``_half2`` after its name."""
    first, second = (volume.with_name(f"{volume.stem}_half{k}{volume.suffix}") for k in (1, 2))
    return first, second


def largest_edge(max_memory: int | None) -> int:
    """Return the edge of what is correlated: 256 voxels, or as many as fit."""
    if max_memory is None:
        return LARGEST_EDGE
    return max(16, min(LARGEST_EDGE, int((max_memory / FSC_BYTES_PER_VOXEL) ** (1 / 3))))


def correlate_halves(path: Path, edge: int = LARGEST_EDGE) -> Fsc:
    """Return the correlation of the halves beside a volume's file, lengths in nm, without a pixel size in px.

    Of the middle of the volume, ``edge`` voxels along each axis at most, whose faces are faded out: a specimen that
    they cut, such as a needle, has the same sharp edge in both halves, which correlates at every frequency.
    """
    first, second = (open_volume(half) for half in half_paths(path))
    nm = 1.0 if first.pixel_size is None else first.pixel_size / 10.0
    begins = [max(0, (n - edge) // 2) for n in first.data.shape]
    box = tuple(slice(begin, begin + edge) for begin in begins)
    a, b = first.data[box], second.data[box]
    return fsc(a, b, mask=_faded(a.shape), pixel_size=nm)


def _faded(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return 1 within, falling to 0 at the faces as a squared sine."""
    mask = np.ones(shape)
    for axis, n in enumerate(shape):
        depth = (np.minimum(np.arange(n), np.arange(n)[::-1]) + 0.5) / max(1.0, FADED * n)
        edge = np.sin(np.pi / 2 * np.minimum(depth, 1.0)) ** 2
        mask *= np.expand_dims(edge, tuple(a for a in range(len(shape)) if a != axis))
    return mask
