# SPDX-License-Identifier: BSD-3-Clause
"""What a job on movies is asked for, and what would be done: read from headers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from . import files
from .errors import ConfigError, InputError
from .files.mdoc import Mdoc
from .settings import setting, settings

__all__ = ["MotionPlan", "MotionSettings", "plan_movies"]

SERIES = "series"  # what the stack is called without an .mdoc
PROGRAM_BYTES = 150_000_000
# In float32 images: for each frame, its spectrum and its reduced image; besides, the sums and what a frame takes while
# it is transformed. Measured: 16.5 and 43.3 images for 10 and 40 frames of 1024 px, 15.0 for 10 of 2048 px; and with
# corrections and files some more.
IMAGES_PER_FRAME, IMAGES_HELD = 0.9, 14


@settings
class MotionSettings:
    """What to correct movies with, and what to write."""

    gain: str | None = setting(None, "gain reference (MRC or TIFF) that frames are multiplied by")
    gain_rotate: Literal[0, 90, 180, 270] = setting(
        0, "turn the gain reference counter-clockwise, its first row at the top", unit="deg"
    )
    gain_flip: Literal["none", "up-down", "left-right"] = setting(
        "none", "reverse the rows or the columns of the gain reference, after the rotation"
    )
    defects: str | None = setting(
        None,
        "bad pixels of the raw frames: a map (MRC, TIFF), or a text file: column row [width height]",
    )
    frame_range: tuple[int, int] | None = setting(
        None, "first and last frame to use, counted from 0", minimum=0
    )
    dose_per_frame: float | None = setting(
        None, "electrons on the specimen in each frame", unit="e/angstrom^2", minimum=1e-6
    )
    pixel_size: float | None = setting(
        None, "pixel size, overrides the file's", unit="angstrom", minimum=1e-3
    )
    max_shift: float | None = setting(
        None,
        "largest shift between any two frames; an eighth of the shorter edge when not given",
        unit="px",
        minimum=1,
    )
    halves: bool = setting(False, "also write the sums of the odd and of the even frames")
    mdoc: str | None = setting(
        None, "SerialEM .mdoc of the tilt series, whose SubFramePath names the movies"
    )
    angles: str | None = setting(None, "file of tilt angles, one for each movie in the order given")

    def check(self) -> None:
        """Refuse what the ranges cannot say."""
        if self.frame_range is not None and self.frame_range[0] > self.frame_range[1]:
            raise ConfigError(f"frame_range: found {self.frame_range}, expected first <= last")
        if self.mdoc is not None and self.angles is not None:
            raise ConfigError("mdoc, angles: found both, expected one source of the tilts")


@dataclass(frozen=True, kw_only=True)
class MotionPlan:
    """What a job on movies would do, from headers alone.

    Attributes
    ----------
    names : tuple of str
        The movies' names without folder and ending: what their files are called.
    shapes : tuple of (n_frames, ny, nx)
        With the range of frames applied.
    pixel_size : float or None [angstrom]
        Of the first movie.
    angles_deg : (n_movies,) float64 or None [deg]
    series : str
        Name of the stack; empty if there is none.
    log : Mdoc or None
        With ``sections``, the section of each movie.
    """

    movies: tuple[str, ...]
    names: tuple[str, ...]
    shapes: tuple[tuple[int, int, int], ...]
    pixel_size: float | None
    angles_deg: npt.NDArray[np.float64] | None
    series: str
    log: Mdoc | None
    sections: tuple[int, ...]
    warnings: tuple[str, ...]

    @property
    def order(self) -> npt.NDArray[np.int64]:
        """Movies in the order of their tilts, or as given."""
        if self.angles_deg is None:
            return np.arange(len(self.movies))
        return np.argsort(self.angles_deg, kind="stable")

    @property
    def bytes_memory(self) -> int:
        """Peak: one movie at a time; a memory map counts only while the system has memory to spare."""
        each = (ny * nx * 4 * (n * IMAGES_PER_FRAME + IMAGES_HELD) for n, ny, nx in self.shapes)
        return PROGRAM_BYTES + int(max(each))

    def bytes_disk(self, halves: bool) -> int:
        """Sums, and the stack of them."""
        images = (3 if halves else 1) * (2 if self.series else 1)
        return sum(4 * ny * nx * images for _, ny, nx in self.shapes)


def plan_movies(movies: Sequence[str | Path], given: MotionSettings) -> MotionPlan:
    """Read all headers and decide what belongs together; refuses what would fail later.

    Raises
    ------
    FileFormatError
        A movie, the .mdoc or the angles cannot be read.
    InputError
        Fewer than two frames to use, two movies of one name, sizes that do not fit.
    """
    if not movies:
        raise InputError("movies: found none, expected at least one")
    opened = [files.open_movie(path, pixel_size=given.pixel_size) for path in movies]
    names = tuple(_stem(path) for path in movies)
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"movies: found {names.count(name)} of the name {name}, expected different names; their files would "
                "replace each other"
            )
    shapes = tuple(
        _used_shape(movie.frames.shape, path, given)
        for movie, path in zip(opened, movies, strict=True)
    )
    angles, log, sections = _tilts(movies, given)
    series = "" if angles is None else _stem(given.mdoc) if given.mdoc else SERIES
    if series in names:
        series += "_stack"
    if series or given.gain or given.defects:
        _require_one_size(movies, shapes)
    return MotionPlan(
        movies=tuple(str(path) for path in movies),
        names=names,
        shapes=shapes,
        pixel_size=opened[0].pixel_size,
        angles_deg=angles,
        series=series,
        log=log,
        sections=sections,
        warnings=tuple(line for movie in opened for line in movie.source.warnings),
    )


def _stem(path: str | Path) -> str:
    name = Path(path)
    while name.suffix.lower() in (".mrc", ".mrcs", ".st", ".tif", ".tiff", ".gz", ".bz2", ".mdoc"):
        name = name.with_suffix("")
    return name.name


def _used_shape(
    shape: tuple[int, int, int], path: str | Path, given: MotionSettings
) -> tuple[int, int, int]:
    n = shape[0]
    first, last = given.frame_range or (0, n - 1)
    if last >= n:
        raise InputError(f"{path}: frame_range: found frame {last}, expected 0 to {n - 1}")
    if last == first:
        raise InputError(
            f"{path}: frames: found one, expected at least two; one frame has no motion, use it as it is"
        )
    return (last - first + 1, shape[1], shape[2])


def _require_one_size(
    movies: Sequence[str | Path], shapes: tuple[tuple[int, int, int], ...]
) -> None:
    for path, shape in zip(movies, shapes, strict=True):
        if shape[1:] != shapes[0][1:]:
            raise InputError(
                f"{path}: frame size: found {shape[1]} x {shape[2]}, expected {shapes[0][1]} x {shapes[0][2]}, that of "
                f"{movies[0]}; movies of one series, gain or defects have one size"
            )


def _tilts(
    movies: Sequence[str | Path], given: MotionSettings
) -> tuple[npt.NDArray[np.float64] | None, Mdoc | None, tuple[int, ...]]:
    """Angle of each movie, and its section in the .mdoc."""
    n = len(movies)
    if given.angles is not None:
        angles = files.read_angle_file(given.angles)
        if len(angles) != n:
            raise InputError(
                f"{given.angles}: angles: found {len(angles)}, expected {n}, one for each movie in the order given"
            )
        return angles, None, ()
    if given.mdoc is None:
        return None, None, ()
    log = files.read_mdoc(given.mdoc)
    known = {name: i for i, name in enumerate(log.movies) if name}
    sections = []
    for path in movies:
        if Path(path).name not in known:
            raise InputError(
                f"{given.mdoc}: SubFramePath: found no {Path(path).name} in its {len(log.sections)} sections, "
                "expected one for each movie; give the .mdoc of these movies, or --angles"
            )
        sections.append(known[Path(path).name])
    angles = log.angles_deg[sections]
    if not np.isfinite(angles).all():
        lost = Path(movies[int(np.argmin(np.isfinite(angles)))]).name
        raise InputError(f"{given.mdoc}: TiltAngle: found none for {lost}, expected degrees")
    return angles, log, tuple(sections)
