# SPDX-License-Identifier: BSD-3-Clause
"""The tables of a detection as one lossless JSON file; the label volume is written beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datamodel import Defects
from ..errors import FileFormatError, report_line
from .atomic import write_json

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
        The file is missing, is no JSON or has another schema.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as e:
        raise FileFormatError(
            report_line(path, "file", e.strerror, "a file of defects", "name an existing one")
        ) from e
    except ValueError as e:
        raise FileFormatError(
            report_line(path, "content", "no JSON", "JSON", "run the detection again")
        ) from e
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema != _SCHEMA:
        raise FileFormatError(
            report_line(path, "schema", schema, _SCHEMA, "run the detection again")
        )
    return Defects(
        **{name: _table(found[name]) for name in _TABLES},
        labels=labels,
        thresholds=found["thresholds"],
        notes=tuple(found["notes"]),
    )


def _table(columns: Mapping[str, list[Any]]) -> dict[str, npt.NDArray[Any]]:
    return {name: _column(values) for name, values in columns.items()}


def _column(values: list[Any]) -> npt.NDArray[Any]:
    """JSON has no NaN: null in a column of numbers stands for it."""
    if any(v is None for v in values):
        return np.array([np.nan if v is None else v for v in values], np.float64)
    return np.array(values) if values else np.array([], np.float64)
