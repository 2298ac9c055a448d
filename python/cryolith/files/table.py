# SPDX-License-Identifier: BSD-3-Clause
"""Write a table of columns: CSV always, Parquet where pandas is installed."""

from __future__ import annotations

import csv
import importlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .atomic import publish, write_text

__all__ = ["write_table"]


def write_table(path: str | os.PathLike[str], table: Mapping[str, npt.ArrayLike]) -> None:
    """Write columns of equal length to ``.csv`` or ``.parquet``, whole or not at all.

    CSV is UTF-8 with a header line, ``\\n`` line ends and the digits that read back as the same
    number; NaN is written ``nan``, a missing value of an object column is empty.

    Parameters
    ----------
    path : path
    table : mapping of str to (n,) array_like, or pandas DataFrame
        Columns by name, in the order they are written; the unit belongs into the name
        ("diameter_nm").

    Raises
    ------
    InputError
        Unknown suffix, columns of different length or with more than one axis, or no pandas for
        Parquet.
    FileFormatError
        The folder is missing or not writable.
    """
    columns = _columns(table)
    suffix = Path(path).suffix.lower()
    if suffix == ".csv":
        write_text(path, _csv(columns))
    elif suffix == ".parquet":
        _write_parquet(path, columns)
    else:
        raise InputError(
            f"path: found suffix {suffix!r} in {os.fspath(path)}, expected .csv or .parquet"
        )


def _columns(table: Mapping[str, npt.ArrayLike]) -> dict[str, npt.NDArray[Any]]:
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


def _write_parquet(path: str | os.PathLike[str], columns: dict[str, npt.NDArray[Any]]) -> None:
    try:
        pandas = importlib.import_module("pandas")
        importlib.import_module("pyarrow")  # the engine of pandas for this format
    except ImportError as error:
        why = f"{error.name} is not installed" if error.name else str(error)
        raise InputError(
            f"path: found {os.fspath(path)}, expected .csv, because {why}; "
            "pip install 'cryolith[parquet]' or write .csv"
        ) from error
    with publish(path) as partial:
        pandas.DataFrame(columns).to_parquet(partial, engine="pyarrow", index=False)
