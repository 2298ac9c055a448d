# SPDX-License-Identifier: BSD-3-Clause
"""The tables of a detection as one lossless JSON file; labels and surfaces are written beside it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..defects import CORE_TABLES, Defects, Provenance
from ..units import column_unit
from .angles import read_text
from .atomic import write_json
from .findings import fail
from .table import columns_of

__all__ = ["read_defects", "write_defects"]

_LARGEST = 1 << 31  # bytes; ten million particles
_SCHEMA, _FIRST_SCHEMA = "cryolith defects 2", "cryolith defects 1"


def write_defects(path: str | os.PathLike[str], defects: Defects) -> None:
    """Write every table, covariance, threshold and note of ``defects``, with units and provenance.

    Numbers keep all their digits and columns their type. ``labels`` go into a file of their own
    (:func:`write_labels`), ``surfaces`` and ``lines`` too (:func:`write_surface`, :func:`write_lines`).
    """
    made = defects.provenance
    tables = {name: columns_of(table) for name, table in defects.all_tables.items()}
    lists = {name: {c: _listed(v) for c, v in table.items()} for name, table in tables.items()}
    write_json(
        path,
        {
            "schema": _SCHEMA,
            "provenance": {
                "made_by": made.made_by,
                "version": made.version,
                "settings": dict(made.settings),
                "inputs": dict(made.inputs),
            },
            "pixel_size": defects.pixel_size,
            **{name: lists.pop(name) for name in CORE_TABLES},
            "tables": lists,
            "dtypes": {n: {c: v.dtype.str for c, v in t.items()} for n, t in tables.items()},
            "units": {n: {c: u for c in t if (u := column_unit(c))} for n, t in tables.items()},
            "covariances": {
                name: _listed(np.asarray(matrices, np.float64).ravel())
                for name, matrices in defects.covariances.items()
            },
            "thresholds": {k: float(v) for k, v in defects.thresholds.items()},
            "notes": list(defects.notes),
        },
    )


def _listed(column: npt.NDArray[Any]) -> list[Any]:
    """Return a column as JSON knows it: infinities as words; NaN becomes null on the way to the file."""
    values: list[Any] = column.tolist()
    if column.dtype.kind == "f" and np.isinf(column).any():
        return [repr(v) if isinstance(v, float) and math.isinf(v) else v for v in values]
    return values


def read_defects(
    path: str | os.PathLike[str], labels: npt.NDArray[np.int32] | None = None
) -> Defects:
    """Read what :func:`write_defects` wrote.

    Raises
    ------
    FileFormatError
        The file is missing, is no JSON, has another schema or is damaged.
    """
    text = read_text(path, "a JSON file of defects", _LARGEST)
    do = "the file is damaged; run the detection again"
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        fail(path, "content", f"no JSON ({error})", "JSON", do)
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema not in (_SCHEMA, _FIRST_SCHEMA):
        fail(path, "schema", repr(schema), repr(_SCHEMA), do)
    try:
        return _defects(found, labels)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        fail(path, "tables", f"{type(error).__name__}: {error}", "tables of columns", do)


def _defects(found: dict[str, Any], labels: npt.NDArray[np.int32] | None) -> Defects:
    first = found["schema"] == _FIRST_SCHEMA
    dtypes: dict[str, Any] = {} if first else found["dtypes"]
    made: dict[str, Any] = {} if first else found["provenance"]
    covariances = {} if first else found["covariances"]
    return Defects(
        particles=_table(found["particles"], dtypes.get("particles", {})),
        voids=_table(found["voids"], dtypes.get("voids", {})),
        layers=_table(found["layers"], dtypes.get("layers", {})),
        labels=labels,
        thresholds={str(k): float(v) for k, v in found["thresholds"].items()},
        notes=tuple(str(note) for note in found["notes"]),
        tables={
            name: _table(t, dtypes.get(name, {})) for name, t in found.get("tables", {}).items()
        },
        covariances={n: _column(v, "<f8").reshape(-1, 3, 3) for n, v in covariances.items()},
        pixel_size=None if first else found["pixel_size"],
        provenance=Provenance(**made),
    )


def _table(
    columns: Mapping[str, list[Any]], dtypes: Mapping[str, str]
) -> dict[str, npt.NDArray[Any]]:
    return {name: _column(values, dtypes.get(name, "")) for name, values in columns.items()}


def _column(values: list[Any], dtype: str) -> npt.NDArray[Any]:
    """JSON has no NaN: null in a column of numbers stands for it."""
    if dtype:
        kind = np.dtype(dtype)
        if kind.kind == "O":
            return np.array(values, object)
        return np.array([np.nan if v is None else v for v in values], kind)
    if any(v is None for v in values):
        return np.array([np.nan if v is None else v for v in values], np.float64)
    return np.array(values) if values else np.array([], np.float64)
