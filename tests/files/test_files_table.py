# SPDX-License-Identifier: BSD-3-Clause
"""Tables: CSV always, Parquet where pyarrow is."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryolith.errors import FileFormatError, InputError
from cryolith.files import read_table, write_table

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


def test_parquet_keeps_types_and_says_units(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pip install '.[parquet]'")
    write_table(tmp_path / "t.parquet", TABLE)
    got = read_table(tmp_path / "t.parquet")
    assert list(got) == list(TABLE)
    for name, column in TABLE.items():
        assert got[name].dtype == column.dtype
        assert np.array_equal(got[name], column, equal_nan=column.dtype.kind == "f")
    schema = parquet.read_schema(tmp_path / "t.parquet")
    units = {field.name: field.metadata for field in schema}
    assert units["diameter_nm"] == {b"unit": b"nm"}
    assert units["id"] is None


def test_parquet_is_the_same_bytes_again_also_from_pandas(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pip install '.[parquet]'")
    pandas = pytest.importorskip("pandas")
    write_table(tmp_path / "t.parquet", TABLE)
    first = (tmp_path / "t.parquet").read_bytes()
    write_table(tmp_path / "t.parquet", pandas.DataFrame(TABLE))
    assert (tmp_path / "t.parquet").read_bytes() == first
    assert len(pandas.read_parquet(tmp_path / "t.parquet")) == 3


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match="because pyarrow is not installed; pip install"):
        write_table(tmp_path / "t.parquet", TABLE)
    assert list(tmp_path.iterdir()) == []


def test_csv_reads_back(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", TABLE)
    got = read_table(tmp_path / "t.csv")
    assert list(got) == list(TABLE)
    for name, column in TABLE.items():
        expected = column.astype("f8") if name == "diameter_nm" else column
        assert got[name].dtype.kind == column.dtype.kind
        same = got[name].astype(column.dtype)
        assert np.array_equal(same, expected, equal_nan=column.dtype.kind == "f")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_empty_tables_read_back(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="pip install '.[parquet]'")
    path = tmp_path / f"t{suffix}"
    write_table(path, {"a_nm": np.zeros(0), "b": np.zeros(0, np.int64)})
    got = read_table(path)
    assert list(got) == ["a_nm", "b"]
    assert [len(column) for column in got.values()] == [0, 0]
    write_table(path, {})
    assert read_table(path) == {}


def test_words_that_only_look_like_numbers_stay_words(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", {"a": np.array(["1_000", "2"]), "b": [1, 2], "c": [1.0, 2.0]})
    got = read_table(tmp_path / "t.csv")
    assert got["a"].tolist() == ["1_000", "2"]
    assert got["b"].dtype == np.int64
    assert got["c"].dtype == np.float64


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv", b"a,b\n1\n", "row 2: found 1 values, expected 2"),
        ("t.csv", b"a,a\n1,2\n", "a column twice"),
        ("t.csv", b"a\n\0\n", "binary data"),
        ("t.parquet", b"PAR1 and nothing else", "expected Parquet"),
        ("none.csv", None, "no such file"),
    ],
)
def test_damaged_tables_are_one_error(
    tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow", reason="pip install '.[parquet]'")
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FileFormatError) as caught:
        read_table(tmp_path / name)
    assert words in str(caught.value)


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
