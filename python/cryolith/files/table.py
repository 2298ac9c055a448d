# SPDX-License-Identifier: BSD-3-Clause
"""Tables of columns: CSV always, Parquet where pyarrow is installed."""

from __future__ import annotations

import csv
import importlib
import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..units import column_unit
from .angles import read_text
from .atomic import publish, write_text
from .findings import fail
from .opening import look, suffix_of

__all__ = ["columns_of", "read_table", "typed", "write_table"]

_LARGEST = 1 << 31  # bytes
_SUFFIXES = (".csv", ".parquet")


def write_table(path: str | os.PathLike[str], table: Mapping[str, npt.ArrayLike]) -> None:
    """Write columns of equal length to ``.csv`` or ``.parquet``, whole or not at all.

    CSV is UTF-8 with a header line, ``\\n`` line ends and the digits that read back as the same
    number; NaN is written ``nan``, a missing value of an object column is empty. Parquet keeps the
    type of each column, and its unit in the field's metadata (``unit``).

    Parameters
    ----------
    path : path
    table : mapping of str to (n,) array_like, or pandas DataFrame
        Columns by name, in the order they are written; the unit belongs into the name
        ("diameter_nm").

    Raises
    ------
    InputError
        Unknown suffix, columns of different length or with more than one axis, or no pyarrow for
        Parquet.
    FileFormatError
        The folder is missing or not writable.
    """
    columns = columns_of(table)
    if suffix_of(path, _SUFFIXES) == ".csv":
        write_text(path, _csv(columns))
    else:
        _write_parquet(path, columns)


def read_table(path: str | os.PathLike[str]) -> dict[str, npt.NDArray[Any]]:
    """Read a table of ``.csv`` or ``.parquet`` as :func:`write_table` writes it.

    Parquet gives every column as it was. CSV has no types: a column is bool if it holds nothing but ``True`` and
    ``False``, int64 or float64 if it holds only such numbers (float64 if it is empty), else text.

    Raises
    ------
    InputError
        Unknown suffix, or no pyarrow for Parquet.
    FileFormatError
        The file is missing or damaged.
    """
    if suffix_of(path, _SUFFIXES) == ".csv":
        return _read_csv(path)
    look(path, "a Parquet file")
    arrow, parquet = _arrow(path)
    try:
        found = parquet.read_table(os.fspath(path), partitioning=None)
        return {
            name: _numpy(arrow, column)
            for name, column in zip(found.column_names, found.columns, strict=True)
        }
    except (arrow.ArrowException, OSError) as error:
        fail(path, "content", " ".join(str(error).split())[:200], "Parquet", "write it again")


def _numpy(arrow: Any, column: Any) -> npt.NDArray[Any]:
    text = arrow.types.is_string(column.type) or arrow.types.is_large_string(column.type)
    if text and not column.null_count:
        return np.array(column.to_pylist(), np.str_)
    values: npt.NDArray[Any] = np.array(column.to_numpy())
    return values


def _read_csv(path: str | os.PathLike[str]) -> dict[str, npt.NDArray[Any]]:
    text = read_text(path, "a CSV table", _LARGEST)
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    if not rows:
        return {}
    names = rows[0]
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(names):
            found, expected = f"{len(row)} values", f"{len(names)}, one a column"
            fail(path, f"row {number}", found, expected, "check that this is a table with a header")
    if len(set(names)) < len(names):
        fail(path, "header", "a column twice", "each name once", "rename it")
    lines = rows[1:]
    return {name: typed([row[i] for row in lines]) for i, name in enumerate(names)}


def typed(words: list[str]) -> npt.NDArray[Any]:
    """Return words as the narrowest of bool, int64, float64 and text that holds them all."""
    if words and all(word in ("True", "False") for word in words):
        return np.array([word == "True" for word in words])
    plain = not any("_" in word for word in words)  # Python takes 1_000 for a number
    for kind, number in ((np.int64, int), (np.float64, float)) if plain else ():
        try:
            values = [number(word) for word in words]
            if words or kind is np.float64:
                return np.array(values, kind)
        except (ValueError, OverflowError):
            continue
    return np.array(words, np.str_)


def columns_of(table: Mapping[str, npt.ArrayLike]) -> dict[str, npt.NDArray[Any]]:
    """Return the columns as arrays of one length.

    Raises
    ------
    InputError
        Columns of different length, with more than one axis, or of neither numbers nor texts.
    """
    columns = {str(name): np.asarray(table[name]) for name in table}
    for name, column in columns.items():
        if column.ndim != 1 or column.dtype.kind not in "biufUO":
            raise InputError(
                f"table: found column {name!r} of {column.dtype} {column.shape}, expected numbers "
                "or texts with one axis; give one column per component"
            )
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"table: found columns of lengths {lengths}, expected one length")
    return columns


def _csv(columns: dict[str, npt.NDArray[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    # tolist gives Python numbers, whose repr is the shortest text that reads back the same; float32
    # is widened by its own shortest text first, or 0.1 would become 0.10000000149011612.
    writer.writerows(zip(*(_plain(c) for c in columns.values()), strict=True))
    return out.getvalue()


def _plain(column: npt.NDArray[Any]) -> list[Any]:
    if column.dtype.kind == "f" and column.dtype.itemsize < 8:
        return [float(str(v)) for v in column]
    values: list[Any] = column.tolist()
    return values


def _arrow(path: str | os.PathLike[str]) -> tuple[Any, Any]:
    """Return pyarrow and its module for Parquet."""
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise InputError(
            f"path: found {os.fspath(path)}, expected .csv, because pyarrow is not installed; "
            "pip install 'cryolith[parquet]' or use .csv"
        ) from error


def _write_parquet(path: str | os.PathLike[str], columns: dict[str, npt.NDArray[Any]]) -> None:
    arrow, parquet = _arrow(path)
    arrays = [arrow.array(_arrow_ready(v), from_pandas=False) for v in columns.values()]
    fields = [
        arrow.field(
            name, array.type, metadata={"unit": unit} if (unit := column_unit(name)) else None
        )
        for name, array in zip(columns, arrays, strict=True)
    ]
    with publish(path) as partial:
        parquet.write_table(arrow.Table.from_arrays(arrays, schema=arrow.schema(fields)), partial)


def _arrow_ready(column: npt.NDArray[Any]) -> Any:
    """Texts as lists: pyarrow takes no NumPy strings of fixed width."""
    return column.tolist() if column.dtype.kind in "UO" else column
