# SPDX-License-Identifier: BSD-3-Clause
"""Tables: CSV always, Parquet where pandas is."""

from __future__ import annotations

import csv
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryolith.errors import InputError
from cryolith.files import write_table

TABLE = {
    "id": np.array([1, 2, 3]),
    "diameter_nm": np.array([0.1, np.nan, 1e-300]),
    "sigma_nm": np.array([0.1, 2.5, np.inf], "f4"),
    "touches": np.array([True, False, True]),
    "note": np.array(['a "quote"', "comma, here", "line\nend µ"]),
}


def test_csv(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", TABLE)
    raw = (tmp_path / "t.csv").read_bytes()
    assert raw.startswith(b"id,diameter_nm,sigma_nm,touches,note\n1,0.1,0.1,True,")
    assert b"\r" not in raw
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    for name, column in zip(rows[0], zip(*rows[1:], strict=True), strict=True):
        expected = TABLE[name]
        if expected.dtype.kind == "f":
            got = np.array([float(text) for text in column]).astype(expected.dtype)
            assert np.array_equal(got, expected, equal_nan=True)
        else:
            assert list(column) == [str(value) for value in expected]


def test_parquet(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="Parquet is an extra: pip install '.[parquet]'")
    pytest.importorskip("pyarrow", reason="Parquet is an extra: pip install '.[parquet]'")
    write_table(tmp_path / "t.parquet", TABLE)
    got = pandas.read_parquet(tmp_path / "t.parquet")
    assert list(got.columns) == list(TABLE)
    for name, column in TABLE.items():
        assert np.array_equal(got[name], column, equal_nan=column.dtype.kind == "f")
    first = (tmp_path / "t.parquet").read_bytes()
    write_table(tmp_path / "t.parquet", pandas.DataFrame(TABLE))
    assert (tmp_path / "t.parquet").read_bytes() == first


@pytest.mark.parametrize("absent", ["pandas", "pyarrow"])
def test_parquet_without_its_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absent: str
) -> None:
    for name in ("pandas", "pyarrow"):  # the other one is there, whether it is installed or not
        monkeypatch.setitem(sys.modules, name, None if name == absent else types.ModuleType(name))
    with pytest.raises(InputError, match=f"because {absent} is not installed; pip install"):
        write_table(tmp_path / "t.parquet", TABLE)
    assert list(tmp_path.iterdir()) == []


BAD: list[tuple[str, Any, str, str]] = [
    ("lengths", {"a": [1, 2], "b": [1]}, "t.csv", "'a': 2, 'b': 1"),
    ("two axes", {"a": [[1, 2]]}, "t.csv", "one axis"),
    ("a number", {"a": 3}, "t.csv", "one axis"),
    ("complex", {"a": [1j]}, "t.csv", "complex128"),
    ("suffix", {"a": [1]}, "t.xlsx", "expected .csv or .parquet"),
    ("no folder", {"a": [1]}, "none/t.csv", "no such folder"),
]


@pytest.mark.parametrize(("name", "table", "target", "words"), BAD, ids=[b[0] for b in BAD])
def test_bad_tables(tmp_path: Path, name: str, table: Any, target: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        write_table(tmp_path / target, table)
    assert words in str(caught.value)


def test_empty_tables(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", {"a": [], "b": np.zeros(0)})
    assert (tmp_path / "t.csv").read_text() == "a,b\n"
    write_table(tmp_path / "t.csv", {})
    assert (tmp_path / "t.csv").read_text() == "\n"


@given(values=st.lists(st.floats(), max_size=20))
@settings(max_examples=50, deadline=None)
def test_numbers_read_back_the_same(values: list[float], tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("t") / "t.csv"
    write_table(path, {"a": np.array(values, "f8"), "b": np.array(values, "f8")})
    with open(path, newline="") as file:
        rows = list(csv.reader(file))[1:]
    got = np.array([[float(v) for v in row] for row in rows]).reshape(-1, 2)
    assert np.array_equal(got[:, 0], values, equal_nan=True)
