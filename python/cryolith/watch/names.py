# SPDX-License-Identifier: BSD-3-Clause
"""What the name of a file with one tilt says, and which files an .mdoc lists."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..files.mdoc import Mdoc

__all__ = ["TiltName", "listed_files", "stem_of", "tilt_name"]

# SerialEM: TS_01_000_-60.0.mrc, TS_01_001[12.00]; Tomography: Position_1_001_-3.00_20230101_fractions.tiff.
# An angle has a sign or a decimal point: a date or a number in the name of a stack has neither.
_TILT = re.compile(
    r"(?P<name>.+?)[_-](?P<number>\d{1,5})_?\[?"
    r"(?P<angle>[+-]\d{1,3}(?:\.\d+)?|(?<!\d)\d{1,3}\.\d+)\]?(?:[_-].*)?"
)
_STEMS = (".mrc", ".st", ".mrcs", ".ali", ".tif", ".tiff", ".mdoc")


class TiltName(NamedTuple):
    """Of a file with one tilt: the name of its series, its number in time, and its angle [deg]."""

    series: str
    number: int
    angle_deg: float


def tilt_name(name: str) -> TiltName | None:
    """Read the name of a file; None where it names no tilt."""
    match = _TILT.fullmatch(stem_of(name))
    if match is None:
        return None
    angle = float(match["angle"])
    if abs(angle) > 180:
        return None
    return TiltName(match["name"], int(match["number"]), angle)


def stem_of(name: str) -> str:
    """Return a file's name without the suffixes of image files and of .mdoc."""
    while name.lower().endswith(_STEMS):
        name = name[: name.rindex(".")]
    return name


def listed_files(log: Mdoc) -> dict[str, int]:
    """Return the files that an .mdoc lists, by name without folder, and their places in it."""
    return {name: i for i, name in enumerate(log.movies) if name}
