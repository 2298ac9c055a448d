# SPDX-License-Identifier: BSD-3-Clause
"""A whole job as one object: what to read and the settings of each stage; to and from TOML."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w

from .align import AlignSettings
from .detect import DetectSettings
from .errors import ConfigError
from .reconstruct import ReconstructSettings
from .settings import from_mapping, setting, settings, to_mapping

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Job", "SeriesSettings", "absolute", "job_from_mapping", "job_to_toml", "read_toml"]


@settings
class SeriesSettings:
    """What to read, and what the user knows better than the file."""

    path: str = setting("", "file of the tilt series (.mrc, .st, .ali, .tif, also .gz and .bz2)")
    angles: str | None = setting(None, "file of tilt angles (.tlt, .rawtlt, .mdoc, text)")
    pixel_size: float | None = setting(
        None, "pixel size, overrides the file's", unit="angstrom", minimum=1e-3
    )
    tilt_axis: float | None = setting(
        None,
        "nominal tilt axis, counter-clockwise from the image's +y; settles the hand",
        unit="deg",
        minimum=-360,
        maximum=360,
    )
    frames: tuple[str, str] | None = setting(
        None,
        "files with the sums of the odd and of the even frames of each image, for halves by frames",
    )


@settings
class Job:
    """The settings of one run; each table of the TOML file is one stage."""

    series: SeriesSettings = SeriesSettings()
    align: AlignSettings = AlignSettings()
    reconstruct: ReconstructSettings = ReconstructSettings()
    detect: DetectSettings = DetectSettings()
    output: str = setting("", "folder for the results; not part of what the results depend on")


def absolute(series: SeriesSettings) -> SeriesSettings:
    """Return the same with absolute paths, for a process with another working directory."""
    frames = series.frames and (
        os.path.abspath(series.frames[0]),
        os.path.abspath(series.frames[1]),
    )
    angles = series.angles and os.path.abspath(series.angles)
    return replace(series, path=os.path.abspath(series.path), angles=angles, frames=frames)


def read_toml(path: str | Path) -> dict[str, Any]:
    """Return the tables of a TOML job file."""
    path = Path(path)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise ConfigError(f"{path}: cannot be read ({e.strerror}); name an existing file") from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise ConfigError(f"{path}: found {e}, expected TOML; mend that line") from e


def job_from_mapping(values: Mapping[str, Any]) -> Job:
    """Make a job from nested tables; unknown names fail with the nearest valid one."""
    return from_mapping(Job, values, "job")


def job_to_toml(job: Job) -> str:
    """Write every setting, defaults included, so that the file repeats the run.

    The output folder is left out: a finished run can be moved, and two runs can be compared.
    """
    values = to_mapping(job)
    values.pop("output")
    return tomli_w.dumps(values)
