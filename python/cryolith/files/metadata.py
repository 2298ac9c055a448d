# SPDX-License-Identifier: BSD-3-Clause
"""Which source to believe: angles, pixel size, tilt axis, dose and order of a tilt series.

Each fact has an order of preference; where a second source says something else, the one that was
taken and why is said in a warning.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..units import parse_length
from .angles import SAME_ANGLE, check_angles, parse_number, read_angle_file, read_text
from .findings import FindingError, Notes, fail
from .mdoc import Mdoc, axis_of_labels, read_mdoc
from .mrc_extended import Extended

__all__ = [
    "AnglesLike",
    "Facts",
    "Given",
    "Header",
    "choose",
    "find_beside",
    "given_length",
    "stem_of",
]

Float64 = npt.NDArray[np.float64]
AnglesLike = npt.ArrayLike | str | os.PathLike[str] | None

_ANGLE_SUFFIXES = (".tlt", ".rawtlt")
_LOG_AXIS = re.compile(r"Tilt Axis Angle \[[^\]]*\]:\s*([-+]?[\d.,]+)")
_AXIS_HANDEDNESS = "its sense of rotation is assumed, not verified"


class _Angles(NamedTuple):
    """Angles of one source, the file they stand in where it is not the image, and who chose them."""

    origin: str
    degrees: Float64
    path: str = ""
    given: bool = False


@dataclass
class Facts:
    """What a reader of tilt series has decided."""

    angles_deg: Float64
    pixel_size: float | None
    tilt_axis_deg: float | None
    dose: Float64 | None
    order: npt.NDArray[np.int64] | None


@dataclass
class Beside:
    """Files that lie beside the image file and tell of it; ``ignored`` says why one was not used."""

    angles: list[tuple[str, str]] = field(default_factory=list)  # (name, path)
    mdoc: str | None = None
    log: str | None = None
    ignored: list[str] = field(default_factory=list)


def stem_of(path: str | os.PathLike[str]) -> Path:
    """Return the path without the suffixes of image files and of their compression."""
    stem = Path(path)
    while stem.suffix.lower() in (".gz", ".bz2", ".mrc", ".st", ".mrcs", ".rec", ".tif", ".tiff"):
        stem = stem.with_suffix("")
    return stem


def find_beside(path: str) -> Beside:
    """Look for ``<stem>.tlt``, ``.rawtlt``, ``.mdoc``, ``<name>.mdoc``, FEI's log ``<stem>.txt``."""
    image, stem = Path(path), stem_of(path)
    out = Beside()
    for suffix in _ANGLE_SUFFIXES:
        candidate = stem.with_name(stem.name + suffix)
        if _is_file(candidate):
            out.angles.append((candidate.name, str(candidate)))
    for name in dict.fromkeys((image.name + ".mdoc", stem.name + ".mdoc")):
        if out.mdoc is None and _is_file(image.with_name(name)):
            out.mdoc = str(image.with_name(name))
    log = stem.with_name(stem.name + ".txt")
    out.log = str(log) if _is_file(log) else None
    return out


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that became too long
        return False


def given_length(value: float | str | None, name: str) -> float | None:
    """A length in angstrom from the caller: a number [angstrom] or words ("0.34 nm")."""
    if value is None:
        return None
    length = parse_length(value, name) if isinstance(value, str) else float(value)
    if not (math.isfinite(length) and length > 0):
        raise InputError(f"{name}: found {value!r}, expected a positive finite length in angstrom")
    return length


@dataclass(frozen=True)
class Given:
    """What the caller has given; it wins over every other source."""

    angles: AnglesLike = None
    pixel_size: float | None = None
    mdoc: str | os.PathLike[str] | None = None
    tilt_axis_deg: float | None = None


@dataclass(frozen=True)
class Header:
    """What the image file itself says, ``pixel_size`` [angstrom] with the name of its place."""

    path: str
    n_images: int
    pixel_origin: str
    pixel_size: float | None
    labels: tuple[str, ...] = ()
    extended: Extended | None = None


def choose(header: Header, given: Given, notes: Notes) -> Facts:
    """Decide every fact of the series from all its sources."""
    beside = find_beside(header.path)
    named = given.mdoc if given.mdoc is not None else _as_mdoc(given.angles)
    log = _read_log(named, beside, notes, header.n_images)
    angles = _choose_angles(header, given.angles, log, beside, notes)
    pixel = _choose_pixel(header, given.pixel_size, log, notes)
    axis = _choose_axis(header, given.tilt_axis_deg, log, beside, notes)
    return Facts(angles, pixel, axis, *_choose_dose(header, log, notes))


def _as_mdoc(angles: AnglesLike) -> str | None:
    """An .mdoc given for its angles tells of dose and order as well."""
    if isinstance(angles, (str, os.PathLike)) and os.fspath(angles).lower().endswith(".mdoc"):
        return os.fspath(angles)
    return None


def _read_log(
    given: str | os.PathLike[str] | None, beside: Beside, notes: Notes, n_images: int
) -> tuple[str, Mdoc] | None:
    path = os.fspath(given) if given is not None else beside.mdoc
    if path is None:
        return None
    name = os.path.basename(path)
    try:
        parsed = read_mdoc(path, notes)
    except FindingError as error:
        if given is not None:
            raise
        _ignore(name, error, beside, notes)
        return None
    count, sections = len(parsed.sections), parsed.sections
    if count == n_images:
        return name, parsed
    if given is not None:
        fail(
            path,
            "ZValue",
            f"{count} sections",
            f"{n_images}, one per image",
            "give the .mdoc of these images",
        )
    notes.warn(
        "mdoc",
        f"{count} sections in {name} (ZValue {sections.min()} to {sections.max()})",
        f"{n_images}, one per image",
        "the .mdoc beside the file is ignored",
    )
    return None


def _choose_angles(
    header: Header,
    given: AnglesLike,
    log: tuple[str, Mdoc] | None,
    beside: Beside,
    notes: Notes,
) -> Float64:
    """Given > extended header > .tlt, .rawtlt > .mdoc; the others are compared with it."""
    extended, n_images = header.extended, header.n_images
    found: list[_Angles] = []
    if given is not None:
        found.append(_given_angles(given, n_images))
    if extended is not None and extended.angles_deg is not None:
        found.append(_Angles(f"{extended.name} extended header", extended.angles_deg))
    for name, path in beside.angles:
        if given is None or not _same_file(given, path):
            try:
                found.append(_Angles(name, read_angle_file(path), path))
            except FindingError as error:
                if not found and log is None:  # the only source: its fault is what must be told
                    raise
                _ignore(name, error, beside, notes)
    if log is not None:
        found.append(_Angles(log[0], log[1].angles_deg))
    # What a header left unset is no source: zeros there are the absence of angles.
    told = [f for f in found if f.given or not _unset(f.degrees)]
    if not told:
        _no_angles(
            n_images,
            notes,
            [f"{f.origin}: all zero or missing" for f in found] + beside.ignored,
        )
    taken = told[0]
    check_angles(taken.degrees, taken.origin, n_images, notes, taken.path)
    if not taken.given:  # else the caller has chosen
        _compare_angles(taken, told[1:], notes)
    notes.facts["angles"] = taken.origin
    return taken.degrees


def _ignore(name: str, error: FindingError, beside: Beside, notes: Notes) -> None:
    """A file beside the images that cannot be read is a warning while other sources are left."""
    wrong = error.finding
    beside.ignored.append(f"{wrong.field} of {name}: {wrong.found}")
    notes.warn(
        f"{wrong.field} of {name}",
        wrong.found,
        wrong.expected,
        "the file beside the images is ignored",
    )


def _unset(angles: Float64) -> bool:
    """One value, zero or not a number, on every image."""
    return bool(len(angles) > 1 and not np.nan_to_num(angles).any())


def _no_angles(n_images: int, notes: Notes, seen: list[str]) -> NoReturn:
    fail(
        notes.path,
        "angles",
        "; ".join(seen) or "none",
        f"{n_images} tilt angles in an extended header, a .tlt, .rawtlt or .mdoc beside the file",
        "give angles= (an array or a .tlt, .rawtlt, .txt or .mdoc file)",
    )


def _given_angles(given: AnglesLike, n_images: int) -> _Angles:
    if isinstance(given, (str, os.PathLike)):
        path = os.fspath(given)
        name = os.path.basename(path)
        if path.lower().endswith(".mdoc"):
            return _Angles(f"given file {name}", read_mdoc(path).angles_deg, path, given=True)
        return _Angles(f"given file {name}", read_angle_file(path), path, given=True)
    values = np.asarray(given)
    if values.dtype.kind not in "iuf" or values.ndim != 1:
        raise InputError(
            f"angles: found dtype {values.dtype}, shape {values.shape}, expected {n_images} real "
            "numbers in degrees, one per image"
        )
    return _Angles("given", values.astype(np.float64), given=True)


def _same_file(given: AnglesLike, path: str) -> bool:
    return isinstance(given, (str, os.PathLike)) and os.path.abspath(
        os.fspath(given)
    ) == os.path.abspath(path)


def _compare_angles(taken: _Angles, others: list[_Angles], notes: Notes) -> None:
    origin, angles = taken.origin, taken.degrees
    for name, other, *_ in others:
        if other.shape != angles.shape:
            notes.warn(
                "angles",
                f"{len(other)} in {name}",
                f"{len(angles)}, as in {origin}",
                f"{origin} was taken, because it is the nearer source and fits the images",
            )
            continue
        away = np.abs(other - angles)
        if np.isfinite(away).any() and np.nanmax(away) > SAME_ANGLE:
            i = int(np.nanargmax(away))
            notes.warn(
                "angles",
                f"{angles[i]:g} deg ({origin}) and {other[i]:g} deg ({name}) at image {i}",
                f"sources that agree to {SAME_ANGLE} deg",
                f"{origin} was taken; give angles= to choose the other",
            )


def _choose_pixel(
    header: Header, given: float | None, log: tuple[str, Mdoc] | None, notes: Notes
) -> float | None:
    """Given > extended header > .mdoc > header; a header's 1 A is the default of many writers."""
    extended = header.extended
    found: list[tuple[str, float | None]] = [("given", given)]
    if extended is not None:
        found.append((f"{extended.name} extended header", extended.pixel_size))
    if log is not None:
        found.append((log[0], log[1].pixel_size))
    found.append((header.pixel_origin, header.pixel_size))
    told = [(name, value) for name, value in found if value is not None]
    if not told:
        notes.facts["pixel_size"] = "not told by any source"
        notes.warn(
            "pixel size", "none", "a pixel size", "lengths will be in pixels; give pixel_size="
        )
        return None
    origin, taken = told[0]
    text = origin
    for name, value in told[1:]:
        if name == "header" and value == 1.0:
            text += "; header says 1 A, a default"
        elif abs(value - taken) > 0.005 * taken:
            text += f"; {name} says {value:.6g} A"
            if origin == "given":
                continue  # the caller has chosen
            notes.warn(
                "pixel size",
                f"{taken:.6g} A ({origin}) and {value:.6g} A ({name})",
                "sources that agree to 0.5 %",
                f"{origin} was taken, because it is the nearer source; give pixel_size= to choose",
            )
    if origin == "header" and taken == 1.0:
        notes.warn(
            "pixel size",
            "1 A in the header",
            "a measured value",
            "1 A is a common default; give pixel_size= if wrong",
        )
    notes.facts["pixel_size"] = text
    return taken


def _choose_axis(
    header: Header,
    given: float | None,
    log: tuple[str, Mdoc] | None,
    beside: Beside,
    notes: Notes,
) -> float | None:
    """Given > extended header > .mdoc title > MRC label > FEI acquisition log; else None."""
    if given is not None:
        if not math.isfinite(given):
            raise InputError(f"tilt_axis_deg: found {given}, expected finite degrees")
        notes.facts["tilt_axis"] = "given"
        return float(given)
    extended = header.extended
    if extended is not None and extended.tilt_axis_deg is not None:
        notes.facts["tilt_axis"] = f"{extended.name} extended header; {_AXIS_HANDEDNESS}"
        return extended.tilt_axis_deg
    if log is not None and log[1].tilt_axis_deg is not None:
        notes.facts["tilt_axis"] = f"title of {log[0]}, SerialEM's convention; {_AXIS_HANDEDNESS}"
        return log[1].tilt_axis_deg
    if (axis := axis_of_labels(header.labels)) is not None:
        notes.facts["tilt_axis"] = f"MRC label, SerialEM's convention; {_AXIS_HANDEDNESS}"
        return axis
    return _axis_from_log(notes, beside)


def _axis_from_log(notes: Notes, beside: Beside) -> float | None:
    if beside.log is not None and Path(beside.log).stat().st_size < 1 << 20:
        match = _LOG_AXIS.search(read_text(beside.log, "a text file"))
        value = parse_number(match.group(1)) if match else None
        if value is not None:
            name = os.path.basename(beside.log)
            notes.facts["tilt_axis"] = (
                f"acquisition log {name}, FEI's convention; {_AXIS_HANDEDNESS}"
            )
            return value
    notes.facts["tilt_axis"] = "not told by any source"
    return None


def _choose_dose(
    header: Header, log: tuple[str, Mdoc] | None, notes: Notes
) -> tuple[Float64 | None, npt.NDArray[np.int64] | None]:
    dose, order = None, None
    if log is not None:
        dose, order = log[1].dose, log[1].order
        if dose is not None:
            notes.facts["dose"] = f"ExposureDose of {log[0]}"
        if order is not None:
            notes.facts["order"] = f"DateTime of {log[0]}"
    extended = header.extended
    if dose is None and extended is not None and extended.dose is not None:
        dose = extended.dose
        notes.facts["dose"] = f"{extended.name} extended header"
    return dose, order
