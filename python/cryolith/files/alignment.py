# SPDX-License-Identifier: BSD-3-Clause
"""Read and write an alignment as JSON: every field, without loss, with the same bytes each time."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .._version import __version__
from ..datamodel import Alignment, Source
from ..errors import InputError
from .angles import read_text
from .atomic import write_text
from .findings import Notes, fail

__all__ = ["alignment_to_dict", "load_alignment", "read_alignment", "write_alignment"]

_FORMAT, _VERSION = "cryolith alignment", 1
_VECTORS = ("angles_deg", "rotations_deg", "sigma_rotations_deg", "residuals")
_PAIRS = ("shifts_px", "sigma_shifts_px")
_NUMBERS = (
    "tilt_axis_deg",
    "sigma_tilt_axis_deg",
    "axis_offset_px",
    "sigma_axis_offset_px",
    "holdout_residual",
)
_REQUIRED = ("angles_deg", "tilt_axis_deg", "shifts_px")
# JSON has no NaN and no infinities: NaN, "not computed", is null; the others are words.
_WORDS = {"inf": math.inf, "-inf": -math.inf}


def write_alignment(path: str | os.PathLike[str], alignment: Alignment) -> None:
    """Write an alignment as JSON, whole or not at all.

    Numbers are written with the digits that read back as the same float64; NaN becomes null. A
    source path that is absolute is kept as its file name, so that the same alignment gives the same
    bytes on every machine.

    Raises
    ------
    FileFormatError
        The folder is missing or not writable.
    """
    write_text(path, json.dumps(alignment_to_dict(alignment), indent=1, allow_nan=False) + "\n")


def alignment_to_dict(alignment: Alignment) -> dict[str, Any]:
    """Return the JSON form of an alignment, in the order of its fields."""
    out: dict[str, Any] = {"format": _FORMAT, "version": _VERSION, "cryolith": __version__}
    for field in dataclasses.fields(alignment):
        out[field.name] = _encode(getattr(alignment, field.name))
    return out


def _encode(value: Any) -> Any:
    if isinstance(value, Source):
        full, short = value.path, _portable(value.path)
        lines = [line.replace(full, short) if full else line for line in value.warnings]
        facts = {str(k): str(v) for k, v in sorted(value.facts.items())}
        return {"path": short, "facts": facts, "warnings": lines}
    if isinstance(value, np.ndarray):
        return [_encode(v) for v in value]
    if isinstance(value, Mapping):
        return {str(int(k)): str(value[k]) for k in sorted(value)}
    if isinstance(value, (tuple, list)):
        return [str(v) for v in value]
    if value is None:
        return None
    number = float(value)
    if math.isfinite(number):
        return number
    return None if math.isnan(number) else ("inf" if number > 0 else "-inf")


def _portable(path: str) -> str:
    return os.path.basename(path) if os.path.isabs(path) else path


def read_alignment(path: str | os.PathLike[str]) -> Alignment:
    """Read an alignment that :func:`write_alignment` has written.

    Raises
    ------
    FileFormatError
        No JSON, of another format or version, or a field is missing, of the wrong type or length.

    Warns
    -----
    CryolithWarning
        A field of this name is not known; it is ignored.
    """
    notes = Notes(os.fspath(path))
    alignment = load_alignment(path, notes)
    notes.tell()
    return alignment


def load_alignment(path: str | os.PathLike[str], notes: Notes) -> Alignment:
    """As :func:`read_alignment`, leaving the warnings in ``notes``."""
    text = read_text(path, "a JSON alignment file")
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        fail(path, "JSON", error, "a JSON alignment file", "the file is damaged; align again")
    return alignment_from_dict(value, notes)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def alignment_from_dict(value: Any, notes: Notes) -> Alignment:
    """Check and take over the JSON form of an alignment; ``notes.path`` names it in errors."""
    path = notes.path
    if not isinstance(value, dict) or value.get("format") != _FORMAT:
        found = value.get("format") if isinstance(value, dict) else type(value).__name__
        fail(path, "format", repr(found), repr(_FORMAT), "give a file of write_alignment")
    if value.get("version") != _VERSION:
        fail(path, "version", value.get("version"), _VERSION, "update cryolith or align again")
    fields = {f.name for f in dataclasses.fields(Alignment)}
    for name in sorted(set(value) - fields - {"format", "version", "cryolith"}):
        notes.warn(name, "an unknown field", "known fields", "it is ignored")
    for name in _REQUIRED:
        if value.get(name) is None:
            fail(path, name, "nothing", "a value", "the file is damaged; align again")
    made: dict[str, Any] = {}
    for name in fields & set(value):
        made[name] = _decode(path, name, value[name])
    _check_values(path, made)
    try:
        return Alignment(**made)
    except InputError as error:
        fail(path, "shape", error, "one entry per tilt", "the file is damaged; align again")


def _check_values(path: str, made: dict[str, Any]) -> None:
    for name in ("angles_deg", "tilt_axis_deg", "axis_offset_px"):
        values = np.atleast_1d(made.get(name, 0.0))
        bad = values[~np.isfinite(values)]
        if bad.size:
            fail(path, name, bad[0], "finite values", "the file is damaged; align again")
    last = len(made["angles_deg"]) - 1
    beyond = [i for i in made.get("flags", {}) if i > last]
    if beyond:
        fail(path, "flags", beyond[0], f"tilts 0 to {last}", "the file is damaged; align again")


def _decode(path: str, name: str, value: Any) -> Any:
    if name in _NUMBERS:
        return _number(path, name, value)
    if name in _VECTORS + _PAIRS:
        return None if value is None else _array(path, name, value)
    if name == "flags":
        items = _dictionary(path, name, value).items()
        if not all(str(k).isdecimal() for k, _ in items):
            fail(path, name, value, "tilt numbers with reasons", "the file is damaged; align again")
        return {int(k): str(reason) for k, reason in items}
    if name == "method":
        return _texts(path, name, value)
    source = _dictionary(path, name, value)
    facts = {str(k): str(v) for k, v in _dictionary(path, name, source.get("facts", {})).items()}
    warned = _texts(path, name, source.get("warnings", []))
    return Source(path=str(source.get("path", "")), facts=facts, warnings=warned)


def _number(path: str, name: str, value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, str) and value in _WORDS:
        return _WORDS[value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        fail(path, name, repr(value)[:40], "a number", "the file is damaged; align again")
    return float(value)


def _array(path: str, name: str, value: Any) -> npt.NDArray[np.float64]:
    pairs = name in _PAIRS
    rows = value if isinstance(value, list) else []
    good = isinstance(value, list) and all(
        not pairs or (isinstance(row, list) and len(row) == 2) for row in rows
    )
    if not good:
        kind = "a list of [row, column]" if pairs else "a list of numbers"
        fail(path, name, repr(value)[:40], kind, "the file is damaged; align again")
    if pairs:
        flat = [[_number(path, name, v) for v in row] for row in rows]
        return np.array(flat, np.float64).reshape(len(rows), 2)
    return np.array([_number(path, name, v) for v in rows], np.float64)


def _dictionary(path: str, name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        fail(path, name, repr(value)[:40], "an object", "the file is damaged; align again")
    return value


def _texts(path: str, name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        fail(path, name, repr(value)[:40], "a list of texts", "the file is damaged; align again")
    return tuple(value)
