# SPDX-License-Identifier: BSD-3-Clause
"""IMOD's ``tilt.com``: what its program tilt adds to the transforms of ``.xf``.

The angles are TILTFILE + OFFSET, the x-tilts XTILTFILE - XAXISTILT, the second number of OFFSET displaces the axis,
EXCLUDELIST2 counts views from 1 (tilt.f90). SHIFT and THICKNESS move and cut the volume and say nothing about images.
"""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...datamodel import Alignment
from ..angles import parse_number, read_angle_file, read_text, split_lines
from ..findings import Notes, fail
from .common import pose_of, series_name, tell_lost
from .imod import read_xf, render_xf
from .known import Known

__all__ = ["read_com", "render_com"]

_LISTS = ("EXCLUDELIST2", "EXCLUDELIST", "EXCLUDE", "INCLUDE")
# What changes where tilt sees the specimen, and an Alignment does not hold.
_NOT_HELD = {
    "LOCALFILE": "IMOD's local alignments",
    "ZFACTORFILE": "shifts that depend on z",
    "COMPRESS": "compression along the beam",
}


def read_com(path: str, known: Known, notes: Notes) -> Alignment:
    """Read ``tilt.com`` and the ``.tlt``, ``.xtilt`` and ``.xf`` of its data set, which lie beside it."""
    options = _options(path)
    folder = Path(path).parent
    if "TILTFILE" not in options:
        expected = "TILTFILE with the angles of the data set"
        fail(path, "TILTFILE", "none", expected, "give the tilt.com of a finished alignment")
    tlt = folder / options["TILTFILE"][-1]
    xf = tlt.with_suffix(".xf")
    angles, base = read_angle_file(tlt), Notes(os.fspath(xf))
    aligned = read_xf(os.fspath(xf), dataclasses.replace(known, angles_deg=angles), base)
    n = len(angles)
    notes.findings.extend(base.findings)
    notes.facts.update(base.facts, angles=tlt.name)
    for name, what in _NOT_HELD.items():
        if name in options:
            notes.warn(name, what, "none", "it is not kept")
    offset, across = _numbers(path, options, "OFFSET", 2)
    x_tilts = np.zeros(n) - _numbers(path, options, "XAXISTILT", 1)[0]
    if "XTILTFILE" in options:
        from_file = read_angle_file(folder / options["XTILTFILE"][-1])
        if len(from_file) != n:
            fail(
                path, "XTILTFILE", f"{len(from_file)} angles", f"{n}", "give files of one alignment"
            )
        x_tilts += from_file
    return dataclasses.replace(
        aligned,
        angles_deg=aligned.angles_deg + offset,
        axis_offset_px=across,
        x_tilts_deg=x_tilts if x_tilts.any() else None,
        flags=dict.fromkeys(_excluded(path, options, n), "excluded in tilt.com"),
        source=dataclasses.replace(
            aligned.source, path=path, facts=dict(notes.facts), warnings=notes.warning_lines
        ),
    )


def _options(path: str) -> dict[str, list[str]]:
    """Lines ``NAME value``, each name in capitals; ``$`` and ``#`` begin commands and comments."""
    found: dict[str, list[str]] = {}
    text = read_text(path, "an IMOD .com file")
    for line in split_lines(text):
        words = line.strip().split(None, 1)
        if words and words[0][0] not in "$#":
            value = words[1].strip() if len(words) > 1 else ""
            found.setdefault(words[0].upper(), []).append(value)
    if not re.search(r"^\$\s*tilt\b", text, re.MULTILINE):
        expected = "a line that begins with $tilt"
        fail(path, "command", "no $tilt", expected, "give tilt.com, the file that runs tilt")
    return found


def _numbers(path: str, options: dict[str, list[str]], name: str, most: int) -> list[float]:
    """The numbers of an option, those that are not given 0."""
    words = options.get(name, [""])[-1].replace(",", " ").split()
    values = [parse_number(w) for w in words]
    good = [v for v in values if v is not None and np.isfinite(v)]
    if len(good) != len(values) or len(values) > most:
        fail(path, name, repr(" ".join(words)), f"up to {most} numbers", "repair the file")
    return good + [0.0] * (most - len(good))


def _excluded(path: str, options: dict[str, list[str]], n: int) -> list[int]:
    chosen = {name: _views(path, name, options.get(name, []), n) for name in _LISTS}
    out = {i for name in _LISTS[:3] for i in chosen[name]}
    if chosen["INCLUDE"]:
        out |= set(range(n)) - chosen["INCLUDE"]
    return sorted(out)


def _views(path: str, name: str, entries: list[str], n: int) -> set[int]:
    """Views of a list such as ``1,3-5``, from 0."""
    found: set[int] = set()
    for part in (p for entry in entries for p in re.split(r"[,\s]+", entry) if p):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        first = int(match.group(1)) if match else 0
        last = int(match.group(2) or first) if match else 0
        if not 1 <= first <= last <= n:
            fail(path, name, repr(part), f"views from 1 to {n}, as in 1,3-5", "repair the list")
        found |= set(range(first - 1, last))
    return found


def _as_list(views: npt.NDArray[np.int64]) -> str:
    runs = np.split(views, np.flatnonzero(np.diff(views) != 1) + 1)
    return ",".join(str(r[0]) if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in runs)


def render_com(path: str, alignment: Alignment, known: Known, notes: Notes) -> dict[Path, str]:
    """The text of ``tilt.com`` and of the ``.xf``, ``.tlt`` and ``.xtilt`` of its data set."""
    name = series_name(alignment, known, path)
    pose = pose_of(alignment, path)
    tell_lost(alignment, pose, notes, "x-tilt magnification rotation excluded", "IMOD's tilt.com")
    quiet = Notes(path)
    files = render_xf(os.fspath(Path(path).with_name(f"{name}.xf")), alignment, known, quiet)
    lines = [
        "$setenv IMOD_OUTPUT_FORMAT MRC",
        "$tilt -StandardInput",
        f"InputProjections {name}_ali.mrc",
        f"OutputFile {name}_full_rec.mrc",
        f"TILTFILE {name}.tlt",
        "XAXISTILT 0.0",
        "OFFSET 0.0",
        "PERPENDICULAR",
        "MODE 2",
    ]
    if any(p.suffix == ".xtilt" for p in files):
        lines.insert(5, f"XTILTFILE {name}.xtilt")
    if alignment.flags:
        lines.insert(-2, f"EXCLUDELIST2 {_as_list(np.array(sorted(alignment.flags)) + 1)}")
    notes.warn(
        "THICKNESS", "none", "the volume's, in unbinned pixels", "add it before running tilt"
    )
    return {**files, Path(path): "\n".join(lines) + "\n"}
