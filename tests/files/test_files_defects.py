# SPDX-License-Identifier: BSD-3-Clause
"""Tables of a detection as JSON, and the sample inside the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryolith import Defects, Provenance
from cryolith.errors import FileFormatError
from cryolith.files import check, read_defects, read_tilt_series, sample_path, write_defects


def example() -> Defects:
    rng = np.random.default_rng(1)
    return Defects(
        particles={"id": np.arange(2), "diameter_nm": np.array([0.1, np.nan])},
        layers={"material": np.array(["bright", "dark"])},
        thresholds={"low": 1 / 3},
        notes=("a note",),
        tables={
            "blobs": {
                "z_nm": np.array([1.0, -np.inf, np.inf]),
                "significance": np.array([0.1, 3, 4], "f4"),
                "sign": np.array([1, -1, 1], np.int8),
                "seen": np.array([True, False, True]),
            },
            "tubes": {"length_nm": np.zeros(0, "f4"), "name": np.zeros(0, "U3")},
        },
        covariances={"blobs": rng.normal(size=(3, 3, 3))},
        pixel_size=6.72,
        provenance=Provenance(
            made_by="test", version="1.0", settings={"a": [1, None]}, inputs={"v.mrc": "ab"}
        ),
    )


def test_round_trip(tmp_path: Path) -> None:
    write_defects(tmp_path / "d.json", example())
    got = read_defects(tmp_path / "d.json")
    assert list(got.all_tables) == list(example().all_tables)
    for name, table in example().all_tables.items():
        assert list(got.table(name)) == list(table)
        for key, column in table.items():
            same = got.table(name)[key]
            assert same.dtype == column.dtype
            assert np.array_equal(same, column, equal_nan=column.dtype.kind == "f")
    for part in ("thresholds", "notes", "pixel_size", "provenance"):
        assert getattr(got, part) == getattr(example(), part)
    assert np.array_equal(got.covariances["blobs"], example().covariances["blobs"])
    first = (tmp_path / "d.json").read_bytes()
    write_defects(tmp_path / "d.json", got)
    assert (tmp_path / "d.json").read_bytes() == first


def test_units_stand_in_the_file(tmp_path: Path) -> None:
    write_defects(tmp_path / "d.json", example())
    units = json.loads((tmp_path / "d.json").read_text())["units"]
    assert units["blobs"] == {"z_nm": "nm"}
    assert units["particles"] == {"diameter_nm": "nm"}


def test_files_of_the_first_schema_are_read(tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text(
        '{"schema": "cryolith defects 1", "layers": {}, "voids": {"a_nm": [1.5, null]}, '
        '"particles": {"label": [1, 2]}, "thresholds": {"low": 0.5}, "notes": ["n"]}'
    )
    got = read_defects(tmp_path / "d.json")
    assert np.array_equal(got.voids["a_nm"], [1.5, np.nan], equal_nan=True)
    assert got.particles["label"].tolist() == [1, 2]
    assert got.tables == {}


BAD: list[tuple[str, Any, str]] = [
    ("no layers", lambda v: v.pop("layers"), "tables: found KeyError"),
    ("layers a list", lambda v: v.update(layers=[1]), "tables"),
    (
        "thresholds of words",
        lambda v: v.update(thresholds={"low": "x"}),
        "tables: found ValueError",
    ),
    ("notes a number", lambda v: v.update(notes=3), "tables: found TypeError"),
    ("no types", lambda v: v.pop("dtypes"), "tables: found KeyError"),
    ("unknown type", lambda v: v["dtypes"]["blobs"].update(z_nm="f9"), "tables: found TypeError"),
    ("covariances", lambda v: v["covariances"].update(blobs=[1.0]), "tables: found ValueError"),
    ("another schema", lambda v: v.update(schema="defects 9"), "schema: found 'defects 9'"),
]


@pytest.mark.parametrize(("name", "change", "words"), BAD, ids=[b[0] for b in BAD])
def test_bad_tables_are_one_error(tmp_path: Path, name: str, change: Any, words: str) -> None:
    path = tmp_path / "d.json"
    write_defects(path, example())
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    with pytest.raises(FileFormatError) as caught:
        read_defects(path)
    assert words in str(caught.value)


def test_no_file_of_defects(tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text("{")
    for path, words in ((tmp_path / "none", "no such file"), (tmp_path / "d.json", "no JSON")):
        with pytest.raises(FileFormatError, match=words):
            read_defects(path)


def test_the_sample_is_sound() -> None:
    series = read_tilt_series(sample_path())
    assert series.images.shape == (77, 128, 128)
    assert series.pixel_size == 67.2
    assert np.array_equal(series.angles_deg, np.arange(-76.0, 77.0, 2.0))
    assert [f.level for f in check(sample_path())] == ["info"] * 3
    assert sample_path().with_name("haadf_needle_bin2.LICENSE.txt").is_file()
