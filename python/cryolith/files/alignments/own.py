# SPDX-License-Identifier: BSD-3-Clause
"""Our own form of an alignment, JSON: every field, without loss, with the same bytes each time."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..._version import __version__
from ...datamodel import Alignment, Beads, Covariance, LocalShifts, Slab, Source
from ...errors import InputError
from ..angles import read_text
from ..findings import Notes, fail

__all__ = ["alignment_to_dict", "load_alignment"]

_FORMAT = "cryolith alignment"
# Version 2 holds what changes where the specimen is seen and what version 1 did not know: a program that
# ignored it would be wrong in silence.
_VERSIONS = (1, 2)
_OF_VERSION_2 = ("x_tilts_deg", "magnifications", "local")
_OPTIONAL = (
    *_OF_VERSION_2,
    "covariance",
    "beads",
    "slab",
    "image_shape",
    "pixel_size",
    "image_names",
)
_VECTORS = (
    "angles_deg",
    "rotations_deg",
    "sigma_rotations_deg",
    "x_tilts_deg",
    "magnifications",
    "residuals",
)
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


def alignment_to_dict(alignment: Alignment) -> dict[str, Any]:
    """Return the JSON form of an alignment, in the order of its fields."""
    newer = any(getattr(alignment, name) is not None for name in _OF_VERSION_2)
    version = _VERSIONS[-1] if newer else _VERSIONS[0]
    out: dict[str, Any] = {"format": _FORMAT, "version": version, "cryolith": __version__}
    for field in dataclasses.fields(alignment):
        value = getattr(alignment, field.name)
        if field.name == "image_shape" and value:
            out[field.name] = [int(n) for n in value]
        elif field.name == "image_names" and value:
            out[field.name] = list(value)
        elif field.name not in _OPTIONAL or not (value is None or isinstance(value, tuple)):
            out[field.name] = _encode(value)
    return out


def _encode(value: Any) -> Any:
    if isinstance(value, Source):
        full, short = value.path, _portable(value.path)
        lines = [line.replace(full, short) if full else line for line in value.warnings]
        facts = {str(k): str(v) for k, v in sorted(value.facts.items())}
        return {"path": short, "facts": facts, "warnings": lines}
    if isinstance(value, LocalShifts):
        return {
            "points_px": _encode(value.points_px),
            "shifts_px": _encode(value.shifts_px),
            "good": [[bool(v) for v in row] for row in value.good],
        }
    if isinstance(value, Covariance):
        lower = [_encode(row[: k + 1]) for k, row in enumerate(value.matrix)]
        return {"names": list(value.names), "lower": lower}
    if isinstance(value, (Beads, Slab)):
        return {f.name: _encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
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


def load_alignment(path: str | os.PathLike[str], notes: Notes) -> Alignment:
    """Read our JSON, leaving the warnings (fields that are not known) in ``notes``."""
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
    if value.get("version") not in _VERSIONS:
        fail(path, "version", value.get("version"), "1 or 2", "update cryolith or align again")
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
    for name in ("angles_deg", "tilt_axis_deg", "axis_offset_px", "x_tilts_deg", "magnifications"):
        values = np.atleast_1d(0.0 if made.get(name) is None else made[name])
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
    if name in ("method", "image_names"):
        return _texts(path, name, value)
    if name == "image_shape":
        return _shape(path, name, value)
    if name == "pixel_size":
        return None if value is None else _number(path, name, value)
    if name == "local":
        return None if value is None else _local(path, name, value)
    if name == "covariance":
        return None if value is None else _covariance(path, name, value)
    if name == "beads":
        return None if value is None else _beads(path, name, value)
    if name == "slab":
        return None if value is None else _slab(path, name, value)
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


def _shape(path: str, name: str, value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    whole = isinstance(value, list) and all(type(v) is int and v > 0 for v in value)
    if not whole or len(value) != 2:
        fail(path, name, repr(value)[:40], "[height, width]", "the file is damaged; align again")
    return value[0], value[1]


def _local(path: str, name: str, value: Any) -> LocalShifts:
    parts = {"points_px": 3, "shifts_px": 3, "good": 2}
    arrays: dict[str, Any] = _tables(path, name, value, parts)
    arrays["good"] = arrays["good"] == 1.0
    try:
        return LocalShifts(**arrays)
    except InputError as error:
        fail(path, name, error, "tables of one size", "the file is damaged; align again")


def _beads(path: str, name: str, value: Any) -> Beads:
    parts = {"points_px": 2, "residuals_px": 3, "left_out_px": 3, "weights": 2}
    arrays = _tables(path, name, value, parts)
    try:
        return Beads(**arrays, diameter_px=_number(path, name, value.get("diameter_px")))
    except InputError as error:
        fail(path, name, error, "tables of one size", "the file is damaged; align again")


def _covariance(path: str, name: str, value: Any) -> Covariance:
    """From the rows of the lower triangle, the diagonal included."""
    table = _dictionary(path, name, value)
    names = _texts(path, f"{name}.names", table.get("names"))
    given = table.get("lower")
    rows = given if isinstance(given, list) else []
    sizes = [len(row) if isinstance(row, list) else 0 for row in rows]
    if sizes != list(range(1, len(names) + 1)):
        kind = f"{len(names)} rows of 1 to {len(names)} numbers"
        fail(path, f"{name}.lower", repr(given)[:40], kind, "the file is damaged; align again")
    lower = np.zeros((len(names), len(names)))
    for k, row in enumerate(rows):
        lower[k, : k + 1] = [_number(path, name, v) for v in row]
    try:
        return Covariance(names=names, matrix=lower + np.tril(lower, -1).T)
    except InputError as error:
        fail(path, name, error, "a covariance", "the file is damaged; align again")


def _slab(path: str, name: str, value: Any) -> Slab:
    table = _dictionary(path, name, value)
    parts = [field.name for field in dataclasses.fields(Slab)]
    return Slab(**{part: _number(path, f"{name}.{part}", table.get(part)) for part in parts})


def _tables(
    path: str, name: str, value: Any, parts: dict[str, int]
) -> dict[str, npt.NDArray[np.float64]]:
    """Numbers of some parts of an object, of so many axes; null becomes NaN."""
    table = _dictionary(path, name, value)
    arrays: dict[str, npt.NDArray[np.float64]] = {}
    for part, depth in parts.items():
        try:
            arrays[part] = np.array(table.get(part), np.float64)
        except (TypeError, ValueError):
            arrays[part] = np.zeros(0)
        if arrays[part].ndim != depth:
            kind = "numbers of one shape for each tilt and point"
            fail(path, f"{name}.{part}", repr(table.get(part))[:40], kind, "the file is damaged")
    return arrays


def _dictionary(path: str, name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        fail(path, name, repr(value)[:40], "an object", "the file is damaged; align again")
    return value


def _texts(path: str, name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        fail(path, name, repr(value)[:40], "a list of texts", "the file is damaged; align again")
    return tuple(value)
