# SPDX-License-Identifier: BSD-3-Clause
"""Tables of a detection as JSON, and the sample inside the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryolith import Defects
from cryolith.errors import FileFormatError
from cryolith.files import check, read_defects, read_tilt_series, sample_path, write_defects


def example() -> Defects:
    return Defects(
        particles={"id": np.arange(2), "diameter_nm": np.array([0.1, np.nan])},
        layers={"material": np.array(["bright", "dark"])},
        thresholds={"low": 1 / 3},
        notes=("a note",),
    )


def test_round_trip(tmp_path: Path) -> None:
    write_defects(tmp_path / "d.json", example())
    got = read_defects(tmp_path / "d.json")
    for name in ("particles", "voids", "layers"):
        assert list(getattr(got, name)) == list(getattr(example(), name))
        for key, column in getattr(example(), name).items():
            assert np.array_equal(
                getattr(got, name)[key], column, equal_nan=column.dtype.kind == "f"
            )
    assert got.thresholds == example().thresholds
    assert got.notes == example().notes


BAD: list[tuple[str, Any, str]] = [
    ("no layers", lambda v: v.pop("layers"), "tables: found KeyError"),
    ("layers a list", lambda v: v.update(layers=[1]), "tables"),
    (
        "thresholds of words",
        lambda v: v.update(thresholds={"low": "x"}),
        "tables: found ValueError",
    ),
    ("notes a number", lambda v: v.update(notes=3), "tables: found TypeError"),
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
