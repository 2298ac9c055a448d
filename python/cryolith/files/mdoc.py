# SPDX-License-Identifier: BSD-3-Clause
"""SerialEM's .mdoc: a text file with one section per image. Field order never matters.

Read leniently where other software writes loosely (Latin-1 bytes, decimal commas, Windows line
ends), and with a warning where something is missing.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt

from .angles import parse_number, read_text, split_lines
from .findings import Notes, fail

__all__ = ["Mdoc", "axis_of_labels", "parse_mdoc", "read_mdoc", "render_mdoc"]

Float64 = npt.NDArray[np.float64]

_SECTION = re.compile(r"\[\s*(ZValue|FrameSet)\s*=\s*(-?\d+)\s*\]")
_TITLE = re.compile(r"\[\s*T\s*=(.*)\]\s*")
_AXIS = re.compile(r"Tilt\s+axis\s+angle\s*=\s*([-+]?[\d.,]+?)\s*(?:,\s|,?$|\s|\])")
_LABEL_AXIS = re.compile(r"Tilt axis angle\s*=\s*([-+]?\d+(?:\.\d+)?)")
_MONTHS = {
    m: i + 1
    for i, m in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
    )
}
_TIME = re.compile(r"(\d{1,2})-([A-Za-z]{3})-(\d{2}|\d{4})\s+(\d{1,2}):(\d{2}):(\d{2})")
_ISO_TIME = re.compile(r"(\d{4})-(\d{2})-(\d{2})[ T](\d{1,2}):(\d{2}):(\d{2})")


@dataclass(frozen=True, kw_only=True)
class Mdoc:
    """The facts of an .mdoc, one entry per image in the order of ZValue.

    Attributes
    ----------
    angles_deg : (n,) float64 [deg]
        NaN where an image has no TiltAngle.
    pixel_size : float or None [angstrom]
    tilt_axis_deg : float or None [deg]
        From the title line "Tilt axis angle", SerialEM's and IMOD's convention.
    dose : (n,) float64 or None [e/angstrom^2]
        None unless every image has a dose and at least one is not zero.
    order : (n,) int64 or None
        Rank in time by DateTime; None unless every image has one.
    sections : (n,) int64
        ZValue of each image.
    header : dict of str
        Fields before the first section.
    titles : tuple of str
        Texts of the ``[T = ...]`` lines.
    fields : tuple of dict of str
        Every field of each section, as it stands there.
    """

    angles_deg: Float64
    pixel_size: float | None
    tilt_axis_deg: float | None
    dose: Float64 | None
    order: npt.NDArray[np.int64] | None
    sections: npt.NDArray[np.int64]
    header: dict[str, str] = field(default_factory=dict)
    titles: tuple[str, ...] = ()
    fields: tuple[dict[str, str], ...] = ()

    @property
    def movies(self) -> tuple[str, ...]:
        """File name of the movie of each image (SubFramePath without its folder); empty where none is told."""
        paths = (f.get("SubFramePath", "") for f in self.fields)
        return tuple(path.replace("\\", "/").rsplit("/", 1)[-1] for path in paths)


def read_mdoc(path: str | os.PathLike[str], notes: Notes | None = None) -> Mdoc:
    """Read an .mdoc file; see :func:`parse_mdoc`."""
    name = os.fspath(path)
    return parse_mdoc(read_text(path, "an .mdoc text file"), name, notes or Notes(name))


def parse_mdoc(text: str, path: str, notes: Notes) -> Mdoc:
    """Parse the text of an .mdoc.

    Raises
    ------
    FileFormatError
        The text has no ``[ZValue = n]`` section.
    """
    header, titles, sections = _split(text, path, notes)
    if not sections:
        fail(path, "sections", "none", "[ZValue = 0] and so on", "check that this is an .mdoc file")
    sections = _in_order(sections, path, notes)
    fields = [f for _, f in sections]
    spacing = _number(fields[0].get("PixelSpacing")) or _number(header.get("PixelSpacing"))
    return Mdoc(
        angles_deg=_column(fields, "TiltAngle"),
        pixel_size=spacing if spacing is not None and spacing > 0 else None,
        tilt_axis_deg=_axis(titles),
        dose=_dose(fields),
        order=_order(fields, path, notes),
        sections=np.array([z for z, _ in sections], np.int64),
        header=header,
        titles=tuple(titles),
        fields=tuple(fields),
    )


def render_mdoc(
    log: Mdoc, order: npt.NDArray[np.int64], changed: dict[str, str], image: str
) -> str:
    """Return the text of an .mdoc of the sections ``order`` of another, numbered anew.

    ``changed`` replaces fields of every section, ``image`` is the file that the sections now describe.
    """
    header = {**log.header, "ImageFile": image}
    header |= {name: value for name, value in changed.items() if name == "PixelSpacing"}
    lines = [f"{name} = {value}" for name, value in header.items()]
    for title in log.titles:
        lines += ["", f"[T = {title}]"]
    for z, section in enumerate(order):
        fields = {**log.fields[section], **changed}
        lines += ["", f"[ZValue = {z}]", *(f"{name} = {value}" for name, value in fields.items())]
    return "\n".join(lines) + "\n"


def _split(
    text: str, path: str, notes: Notes
) -> tuple[dict[str, str], list[str], list[tuple[int, dict[str, str]]]]:
    header: dict[str, str] = {}
    titles: list[str] = []
    sections: list[tuple[int, dict[str, str]]] = []
    current: dict[str, str] | None = header
    for number, line in enumerate(split_lines(text), 1):
        line = line.strip()
        if match := _SECTION.fullmatch(line):
            current = {}
            sections.append((int(match.group(2)), current))
        elif match := _TITLE.fullmatch(line):
            titles.append(match.group(1).strip())
        elif line.startswith("["):
            current = None  # [MontSection = n] and later kinds: fields of no interest here
        elif line and current is not None:
            key, equals, value = line.partition("=")
            if equals:
                current.setdefault(key.strip(), value.strip())
            else:
                notes.warn(
                    f"mdoc line {number}",
                    f"{line[:40]!r} in {os.path.basename(path)}",
                    "Name = value",
                    "the line is ignored",
                )
    return header, titles, sections


def _in_order(
    sections: list[tuple[int, dict[str, str]]], path: str, notes: Notes
) -> list[tuple[int, dict[str, str]]]:
    values = [z for z, _ in sections]
    if len(set(values)) == len(values):
        return sorted(sections, key=lambda s: s[0])
    twice = sorted({z for z in values if values.count(z) > 1})
    notes.warn(
        "ZValue",
        f"{twice[0]} more than once in {os.path.basename(path)}",
        "one section per image",
        "the sections are taken in the order of the file",
    )
    return sections


def _number(text: str | None) -> float | None:
    value = parse_number(text) if text is not None else None
    return value if value is not None and np.isfinite(value) else None


def _column(fields: list[dict[str, str]], key: str) -> Float64:
    values = [_number(f.get(key)) for f in fields]
    return np.array([np.nan if v is None else v for v in values], np.float64)


def _axis(titles: list[str]) -> float | None:
    for title in titles:
        if match := _AXIS.search(title + " "):
            return _number(match.group(1))
    return None


def axis_of_labels(labels: tuple[str, ...]) -> float | None:
    """Return the tilt axis [deg] that SerialEM writes into the labels of an MRC file, if one tells it."""
    found = (match for label in labels if (match := _LABEL_AXIS.search(label)))
    return next((float(match.group(1)) for match in found), None)


def _dose(fields: list[dict[str, str]]) -> Float64 | None:
    dose = _column(fields, "ExposureDose")
    return dose if np.isfinite(dose).all() and (dose >= 0).all() and dose.any() else None


def _order(fields: list[dict[str, str]], path: str, notes: Notes) -> npt.NDArray[np.int64] | None:
    texts = [f.get("DateTime") for f in fields]
    if not any(texts):
        return None
    times = [_time(t or "") for t in texts]
    good = [t for t in times if t is not None]
    if len(good) < len(times):
        first = next(i for i, t in enumerate(times) if t is None)
        notes.warn(
            "DateTime",
            f"{texts[first]!r} at image {first} of {os.path.basename(path)}",
            "dd-MMM-yy HH:mm:ss",
            "the order in time is taken as unknown",
        )
        return None
    order = np.empty(len(good), np.int64)
    # Several images within one second keep the order of the file.
    order[np.array(sorted(range(len(good)), key=lambda i: good[i]), np.int64)] = np.arange(
        len(good)
    )
    return order


def _time(text: str) -> datetime | None:
    try:
        if match := _TIME.fullmatch(text.strip()):
            day, month, year, *clock = match.groups()
            full = int(year) + (2000 if len(year) == 2 else 0)
            h, mi, s = (int(c) for c in clock)
            return datetime(full, _MONTHS[month.lower()], int(day), h, mi, s)
        if match := _ISO_TIME.fullmatch(text.strip()):
            y, mo, d, h, mi, s = (int(g) for g in match.groups())
            return datetime(y, mo, d, h, mi, s)
    except (KeyError, ValueError):
        pass
    return None
