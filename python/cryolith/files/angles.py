# SPDX-License-Identifier: BSD-3-Clause
"""Tilt angles from text files, and whether they can be tilt angles at all."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .atomic import write_text
from .findings import Notes, fail
from .opening import look

__all__ = [
    "SAME_ANGLE",
    "check_angles",
    "parse_number",
    "read_angle_file",
    "read_text",
    "split_lines",
    "write_angle_file",
]

Float64 = npt.NDArray[np.float64]

_MAX_TEXT = 16 << 20  # bytes; a list of angles is a few kilobytes
_RADIANS_BELOW = 3.2  # docs/conventions.md
SAME_ANGLE = 0.05  # degrees; what two sources may differ by


def read_text(path: str | os.PathLike[str], what: str) -> str:
    """Return a small text file: UTF-8, else Latin-1 (microscopes write degree and micro signs)."""
    opened = look(path, what)
    if opened.size > _MAX_TEXT:
        fail(path, "file size", f"{opened.size} bytes", what, "give the text file, not the images")
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        fail(path, "file", error.strerror or error, "a readable file", "check its permissions")
    if b"\0" in raw:
        fail(path, "file type", "binary data", what, "give the text file, not the images")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def split_lines(text: str) -> list[str]:
    """Split at the ends of Unix, Windows and old Mac lines (str.splitlines knows eight more)."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def parse_number(text: str) -> float | None:
    """A float as microscopes of any locale write it ("-3,5" too); None when it is none."""
    text = text.strip()
    if text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    if "_" in text:  # Python reads 1_0 as ten
        return None
    try:
        return float(text)
    except ValueError:
        return None


def read_angle_file(path: str | os.PathLike[str]) -> Float64:
    """Read .tlt, .rawtlt or a text file with one angle [deg] per line, in stack order.

    More columns may follow the angle (AreTomo's ``_TLT.txt``); empty lines and ``#`` comments are
    skipped.

    Raises
    ------
    FileFormatError
        No file, no numbers, or a line that does not start with a finite number.
    """
    name = os.fspath(path)
    angles: list[float] = []
    for number, line in enumerate(split_lines(read_text(path, "a text file of angles")), 1):
        words = line.split("#", 1)[0].replace(";", " ").split()
        if not words:
            continue
        value = parse_number(words[0].rstrip(","))
        if value is None or not math.isfinite(value):
            fail(
                name,
                f"angles, line {number}",
                repr(words[0][:40]),
                "a finite angle in degrees",
                "one angle per line, in the order of the images",
            )
        angles.append(value)
    if not angles:
        fail(
            name,
            "angles",
            "none",
            "one angle in degrees per line",
            "check that this is the right file",
        )
    return np.asarray(angles, np.float64)


def check_angles(angles: Float64, origin: str, n_images: int, notes: Notes, path: str = "") -> None:
    """Refuse angles that cannot be those of this series; warn of those that look wrong.

    Parameters
    ----------
    angles : (n,) float64 [deg]
    origin : str
        Where they came from, for the message.
    n_images : int
    notes : Notes
        Takes the warnings.
    path : str
        File that the angles came from, where it is not the image file.

    Raises
    ------
    FileFormatError
        Wrong count, not finite, beyond 360 degrees, or the same angle for every image.
    """
    where, field = path or notes.path, f"angles ({origin})"
    if angles.shape != (n_images,):
        fail(
            where,
            field,
            f"{angles.size} angles",
            f"{n_images}, one per image",
            "give the angles of exactly these images with angles=",
        )
    bad = np.flatnonzero(~np.isfinite(angles))
    if bad.size:
        fail(where, field, f"{angles[bad[0]]} at image {bad[0]}", "finite degrees", "give angles=")
    far = np.flatnonzero(np.abs(angles) > 360)
    if far.size:
        fail(
            where,
            field,
            f"{angles[far[0]]:g} at image {far[0]}",
            "-360 to 360 degrees",
            "the values are no angles in degrees; give angles=",
        )
    if n_images > 1 and not np.ptp(angles):
        fail(
            where,
            field,
            "all zero" if not angles.any() else f"{angles[0]:g} for all {n_images} images",
            "different tilts",
            "the real angles are missing; give angles=",
        )
    if n_images > 1:
        _suspect_angles(angles, field, notes)


def _suspect_angles(angles: Float64, field: str, notes: Notes) -> None:
    if np.abs(angles).max() < _RADIANS_BELOW:
        notes.warn(
            field,
            f"{angles.min():.4g} to {angles.max():.4g}",
            "degrees over a wider range",
            "they may be radians; multiply by 180 / pi if so",
        )
    elif np.abs(angles).max() > 180:
        notes.warn(
            field, f"{angles.min():.4g} to {angles.max():.4g}", "-180 to 180 degrees", "check them"
        )
    values, counts = np.unique(angles, return_counts=True)
    again = values[counts > 1]
    if again.size:
        listed = ", ".join(f"{v:g}" for v in again[:5]) + (", ..." if again.size > 5 else "")
        notes.warn(
            field,
            f"{int(counts.max())} images at the same angle ({listed})",
            "one image per angle",
            "kept as they are; check the list if this is not a dual or repeated exposure",
        )


def write_angle_file(path: str | os.PathLike[str], angles_deg: npt.ArrayLike) -> None:
    """Write one angle [deg] per line (.tlt), enough digits to read the same value back."""
    write_text(path, "".join(f"{float(a)!r}\n" for a in np.asarray(angles_deg, np.float64)))
