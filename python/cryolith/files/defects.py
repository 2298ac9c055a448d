# SPDX-License-Identifier: BSD-3-Clause
"""The tables of a detection as one lossless JSON file; the label volume is written beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datamodel import Defects
from .angles import read_text
from .atomic import write_json
from .findings import fail

__all__ = ["read_defects", "write_defects"]

_TABLES = ("layers", "voids", "particles")
_SCHEMA = "cryolith defects 1"


def write_defects(path: str | os.PathLike[str], defects: Defects) -> None:
    """Write every table, threshold and note of ``defects``; numbers keep all their digits."""
    tables = {
        name: {column: np.asarray(v).tolist() for column, v in getattr(defects, name).items()}
        for name in _TABLES
    }
    write_json(
        path,
        {
            "schema": _SCHEMA,
            **tables,
            "thresholds": {k: float(v) for k, v in defects.thresholds.items()},
            "notes": list(defects.notes),
        },
    )


def read_defects(
    path: str | os.PathLike[str], labels: npt.NDArray[np.int32] | None = None
) -> Defects:
    """Read what :func:`write_defects` wrote.

    Raises
    ------
    FileFormatError
        The file is missing, is no JSON, has another schema or is damaged.
    """
    text = read_text(path, "a JSON file of defects")
    do = "the file is damaged; run the detection again"
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        fail(path, "content", f"no JSON ({error})", "JSON", do)
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema != _SCHEMA:
        fail(path, "schema", repr(schema), repr(_SCHEMA), do)
    try:
        return Defects(
            **{name: _table(found[name]) for name in _TABLES},
            labels=labels,
            thresholds={str(k): float(v) for k, v in found["thresholds"].items()},
            notes=tuple(str(note) for note in found["notes"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        fail(path, "tables", f"{type(error).__name__}: {error}", "tables of columns", do)


def _table(columns: Mapping[str, list[Any]]) -> dict[str, npt.NDArray[Any]]:
    return {name: _column(values) for name, values in columns.items()}


def _column(values: list[Any]) -> npt.NDArray[Any]:
    """JSON has no NaN: null in a column of numbers stands for it."""
    if any(v is None for v in values):
        return np.array([np.nan if v is None else v for v in values], np.float64)
    return np.array(values) if values else np.array([], np.float64)
