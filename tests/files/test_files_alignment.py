# SPDX-License-Identifier: BSD-3-Clause
"""Alignments as JSON: lossless, the same bytes each time, and bad files refused by name."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryolith import Alignment, Covariance, LocalShifts, Source
from cryolith.datamodel import Slab
from cryolith.errors import CryolithWarning, FileFormatError, InputError
from cryolith.files import check, read_alignment, write_alignment

ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def example() -> Alignment:
    return Alignment(
        angles_deg=np.array([-10.0, 0.1, 10.0]),
        tilt_axis_deg=87.2,
        shifts_px=np.arange(6.0).reshape(3, 2) / 3,
        residuals=np.array([0.1, np.nan, 0.3]),
        flags={1: "blank"},
        method=("axis: common lines", "specimen: needle"),
        source=Source(path="a.mrc", facts={"angles": "a.tlt"}, warnings=("a.mrc: odd",)),
    )


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return (
            bool(np.array_equal(a, b, equal_nan=True)) and a.dtype == b.dtype and a.shape == b.shape
        )
    if isinstance(a, LocalShifts):
        return all(same(getattr(a, f), getattr(b, f)) for f in ("points_px", "shifts_px", "good"))
    if isinstance(a, Covariance):
        return a.names == b.names and same(a.matrix, b.matrix)
    if isinstance(a, Slab):
        return all(map(same, dataclasses.astuple(a), dataclasses.astuple(b)))
    return bool(a == b) or (a != a and b != b)


@st.composite
def alignments(draw: st.DrawFn) -> Alignment:
    n = draw(st.integers(0, 4))
    maybe = st.booleans()

    def vector(elements: Any = ANY_FLOAT) -> Any:
        return np.array(draw(st.lists(elements, min_size=n, max_size=n)), np.float64)

    def pairs() -> Any:
        return np.array(draw(st.lists(ANY_FLOAT, min_size=2 * n, max_size=2 * n))).reshape(n, 2)

    def table() -> LocalShifts:
        k = draw(st.integers(1, 3))
        many = st.lists(FINITE | st.just(float("nan")), min_size=2 * n * k, max_size=2 * n * k)
        points, shifts = (np.array(draw(many)).reshape(n, k, 2) for _ in range(2))
        good = np.array(draw(st.lists(maybe, min_size=n * k, max_size=n * k)), bool).reshape(n, k)
        return LocalShifts(points_px=points, shifts_px=shifts, good=good)

    def covariance() -> Covariance:
        kinds = ("shift_row_px", "shift_column_px", "rotation_deg", "magnification", "angle_deg")
        names = ("tilt_axis_deg", *(f"{kind}[{i}]" for i in range(n) for kind in kinds))
        root = np.random.default_rng(draw(st.integers(0, 99))).normal(size=(len(names),) * 2)
        matrix = root @ root.T
        return Covariance(names=names, matrix=(matrix + matrix.T) / 2)

    texts = st.lists(st.text(max_size=20), max_size=3).map(tuple)
    return Alignment(
        angles_deg=vector(FINITE),
        tilt_axis_deg=draw(FINITE),
        shifts_px=pairs(),
        sigma_tilt_axis_deg=draw(ANY_FLOAT),
        axis_offset_px=draw(FINITE),
        sigma_axis_offset_px=draw(ANY_FLOAT),
        sigma_shifts_px=pairs() if draw(maybe) else None,
        covariance=covariance() if draw(maybe) else None,
        rotations_deg=vector() if draw(maybe) else None,
        sigma_rotations_deg=vector() if draw(maybe) else None,
        x_tilts_deg=vector(FINITE) if draw(maybe) else None,
        magnifications=vector(FINITE) if draw(maybe) else None,
        local=table() if n and draw(maybe) else None,
        slab=Slab(*(draw(ANY_FLOAT) for _ in range(6))) if draw(maybe) else None,
        image_shape=draw(st.none() | st.tuples(st.integers(1, 9000), st.integers(1, 9000))),
        pixel_size=draw(st.none() | FINITE),
        image_names=tuple(draw(st.lists(st.text(max_size=9), min_size=n, max_size=n))),
        residuals=vector() if draw(maybe) else None,
        flags={i: draw(st.text(max_size=10)) for i in range(n) if draw(maybe)},
        holdout_residual=draw(ANY_FLOAT),
        method=draw(texts),
        source=Source(
            path="series.mrc",
            facts=draw(st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=3)),
            warnings=draw(texts),
        ),
    )


@given(alignment=alignments())
@settings(max_examples=80, deadline=None)
def test_every_field_comes_back(alignment: Alignment, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("a") / "a.json"
    write_alignment(path, alignment)
    got = read_alignment(path)
    for field in dataclasses.fields(Alignment):
        assert same(getattr(alignment, field.name), getattr(got, field.name)), field.name
    first = path.read_bytes()
    write_alignment(path, got)
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("name", "value", "version"),
    [
        ("pixel_size", 3.0, 1),
        ("image_shape", (7, 9), 1),
        ("image_names", ("a", "b", "c"), 1),
        ("x_tilts_deg", np.ones(3), 2),
        ("magnifications", np.ones(3), 2),
        ("covariance", Covariance(names=("tilt_axis_deg",), matrix=np.ones((1, 1))), 1),
    ],
)
def test_the_version_rises_with_what_a_reader_must_know(
    tmp_path: Path, name: str, value: Any, version: int
) -> None:
    write_alignment(tmp_path / "old.json", example())
    write_alignment(tmp_path / "new.json", dataclasses.replace(example(), **{name: value}))
    old, new = (json.loads((tmp_path / f).read_text()) for f in ("old.json", "new.json"))
    assert (old["version"], new["version"]) == (1, version)
    assert set(new) - set(old) == {name}
    assert same(getattr(read_alignment(tmp_path / "new.json"), name), value)


def test_a_local_table_of_another_length_is_refused() -> None:
    table = LocalShifts(
        points_px=np.zeros((2, 1, 2)), shifts_px=np.zeros((2, 1, 2)), good=np.ones((2, 1), bool)
    )
    with pytest.raises(InputError, match="local: found 2 entries, expected 3"):
        dataclasses.replace(example(), local=table)
    with pytest.raises(InputError, match="points_px"):
        dataclasses.replace(table, points_px=np.zeros((2, 2)))


def test_no_absolute_path_is_written(tmp_path: Path) -> None:
    full = str(tmp_path / "a.mrc")
    source = Source(path=full, warnings=(f"{full}: angles: odd",))
    write_alignment(tmp_path / "a.json", dataclasses.replace(example(), source=source))
    text = (tmp_path / "a.json").read_text()
    assert str(tmp_path) not in text
    assert read_alignment(tmp_path / "a.json").source.warnings == ("a.mrc: angles: odd",)


def changed(**values: Any) -> Any:
    def work(value: dict[str, Any]) -> None:
        value.update(values)

    return work


BAD: list[tuple[str, Any, tuple[str, ...]]] = [
    ("another format", changed(format="other"), ("format", "'other'")),
    ("no format", lambda v: v.pop("format"), ("format", "None")),
    ("version 3", changed(version=3), ("version", "found 3", "expected 1 or 2")),
    ("shape of one", changed(image_shape=[3]), ("image_shape", "[height, width]")),
    ("shape of words", changed(image_shape=["a", 1]), ("image_shape", "[height, width]")),
    ("pixel of words", changed(pixel_size="big"), ("pixel_size", "'big'", "a number")),
    ("names too few", changed(image_names=["a"]), ("image_names", "found 1", "expected 3")),
    ("local a list", changed(local=[]), ("local", "an object")),
    ("local empty", changed(local={}), ("local.points_px", "None", "numbers")),
    (
        "local of two sizes",
        changed(local=dict(points_px=[[[0, 0]]], shifts_px=[[[0, 0]]], good=[[True, True]])),
        ("local", "(1, 1, 2)"),
    ),
    ("magnification NaN", changed(magnifications=[1, None, 1]), ("magnifications", "nan")),
    ("x-tilts too few", changed(x_tilts_deg=[1]), ("shape", "(1,)", "(3,)")),
    ("no angles", lambda v: v.pop("angles_deg"), ("angles_deg", "nothing")),
    ("no shifts", changed(shifts_px=None), ("shifts_px", "nothing")),
    ("no axis", changed(tilt_axis_deg=None), ("tilt_axis_deg", "nothing")),
    ("axis of words", changed(tilt_axis_deg="up"), ("tilt_axis_deg", "'up'", "a number")),
    ("axis true", changed(tilt_axis_deg=True), ("tilt_axis_deg", "True", "a number")),
    ("angles no list", changed(angles_deg=3), ("angles_deg", "a list of numbers")),
    ("angles of lists", changed(angles_deg=[[1], [2], [3]]), ("angles_deg", "a number")),
    ("too few shifts", changed(shifts_px=[[0, 0]]), ("shape", "(1, 2)", "(3, 2)")),
    ("shifts of three", changed(shifts_px=[[0, 0, 0]] * 3), ("shifts_px", "[row, column]")),
    ("shifts flat", changed(shifts_px=[0, 0, 0]), ("shifts_px", "[row, column]")),
    ("residuals too many", changed(residuals=[0] * 4), ("shape", "(4,)", "(3,)")),
    ("flags a list", changed(flags=[1]), ("flags", "an object")),
    ("flags by name", changed(flags={"one": "x"}), ("flags", "tilt numbers")),
    ("flags negative", changed(flags={"-1": "x"}), ("flags", "tilt numbers")),
    ("flags beyond the tilts", changed(flags={"3": "x"}), ("flags", "3", "0 to 2")),
    ("method a text", changed(method="x"), ("method", "a list of texts")),
    ("source a list", changed(source=[]), ("source", "an object")),
    ("facts a list", changed(source={"facts": []}), ("source", "an object")),
    ("covariance a list", changed(covariance=[]), ("covariance", "an object")),
    ("covariance of no names", changed(covariance={"lower": []}), ("covariance.names",)),
    (
        "covariance of too few rows",
        changed(covariance={"names": ["tilt_axis_deg"], "lower": []}),
        ("covariance.lower", "1 rows"),
    ),
    (
        "covariance of a word",
        changed(covariance={"names": ["tilt_axis_deg"], "lower": [["x"]]}),
        ("covariance", "a number"),
    ),
    (
        "covariance NaN",
        changed(covariance={"names": ["tilt_axis_deg"], "lower": [[None]]}),
        ("covariance", "finite"),
    ),
    (
        "covariance of another tilt",
        changed(covariance={"names": ["rotation_deg[3]"], "lower": [[1.0]]}),
        ("covariance", "tilt 3", "0 to 2"),
    ),
    ("angle NaN", changed(angles_deg=[None, 0, 1]), ("angles_deg", "nan", "finite")),
    ("axis infinite", changed(tilt_axis_deg="inf"), ("tilt_axis_deg", "inf", "finite")),
]


@pytest.mark.parametrize(("name", "change", "words"), BAD, ids=[b[0] for b in BAD])
def test_bad_fields_are_one_error(
    tmp_path: Path, name: str, change: Any, words: tuple[str, ...]
) -> None:
    path = tmp_path / "a.json"
    write_alignment(path, example())
    value = copy.deepcopy(json.loads(path.read_text()))
    change(value)
    path.write_text(json.dumps(value))
    with pytest.raises(FileFormatError) as caught:
        read_alignment(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert all(word in text for word in ("found ", "expected ", *words)), text
    assert check(path)[0].level == "error"


CONTENTS: list[tuple[str, bytes, tuple[str, ...]]] = [
    ("empty", b"", ("0 bytes",)),
    ("cut", b'{"format": "cryo', ("JSON",)),
    ("no object", b"[1, 2]", ("format", "list")),
    ("NaN", b'{"format": NaN}', ("JSON", "NaN")),
    ("binary", b"\0\1\2", ("binary",)),
    ("a million brackets", b"[" * 1_000_000, ("JSON",)),
    ("HTML", b"<html>", ("HTML",)),
]


@pytest.mark.parametrize(("name", "content", "words"), CONTENTS, ids=[c[0] for c in CONTENTS])
def test_no_alignment(tmp_path: Path, name: str, content: bytes, words: tuple[str, ...]) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(FileFormatError) as caught:
        read_alignment(path)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_an_unknown_field_draws_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_alignment(path, example())
    value = json.loads(path.read_text())
    value["colour"] = "blue"
    path.write_text(json.dumps(value))
    with pytest.warns(CryolithWarning, match="colour: found an unknown field"):
        assert read_alignment(path).tilt_axis_deg == 87.2


def test_a_slab_is_told_to_aretomo_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    slab = Slab(4.0, 0.3, -2.0, 0.4, 92.6, 2.0)
    known = dataclasses.replace(example(), slab=slab, flags={}, image_shape=(64, 80))
    write_alignment(tmp_path / "a.aln", known)
    assert "# Thickness = 93\n" in (tmp_path / "a.aln").read_text()
    write_alignment(tmp_path / "a.json", known)
    text = (tmp_path / "a.json").read_text().replace("92.6", '"thick"')
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(FileFormatError, match=r"slab\.thickness_px"):
        read_alignment(tmp_path / "b.json")
