# SPDX-License-Identifier: BSD-3-Clause
"""Angles, pixel size, axis, dose and order: from every source, and which one wins."""

from __future__ import annotations

import contextlib
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_files import fei_2003, images, mdoc, mrc, write

from cryolith.errors import FileFormatError, InputError
from cryolith.files import read_angle_file, read_mdoc, read_tilt_series, write_angle_file
from cryolith.files.findings import Notes
from cryolith.files.mdoc import parse_mdoc

TILTS = [-12.5, 0.0, 45.25]
FEI = {"nreal": 32, "xlen": 6.0, "ylen": 5.0, "zlen": 3.0}


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    return write(tmp_path / "a.mrc", mrc(images()))


def read(path: Path, angles: Any = None, **options: Any) -> tuple[Any, list[str]]:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        series = read_tilt_series(path, angles, **options)
    return series, [str(w.message) for w in told]


BAD_ARGUMENTS: list[tuple[str, Any, tuple[str, ...]]] = [
    ("too few", [1.0, 2.0], ("angles (given)", "2 angles", "3, one per image")),
    ("too many", [1.0, 2.0, 3.0, 4.0], ("angles (given)", "4 angles", "3, one per image")),
    ("none at all", np.zeros(0), ("angles (given)", "0 angles")),
    ("NaN", [1.0, np.nan, 3.0], ("angles (given)", "nan at image 1", "finite")),
    ("infinite", [1.0, 2.0, -np.inf], ("angles (given)", "-inf at image 2")),
    ("all zero", [0, 0, 0], ("angles (given)", "all zero", "different tilts")),
    ("all equal", [7.0, 7.0, 7.0], ("angles (given)", "7 for all 3 images")),
    ("beyond a turn", [0.0, 30.0, 400.0], ("angles (given)", "400 at image 2", "-360 to 360")),
    ("two axes", [[1.0, 2.0, 3.0]], ("angles", "shape (1, 3)", "one per image")),
    ("texts", ["1", "2", "3"], ("angles", "dtype <U1", "real numbers")),
    ("complex", [1j, 2j, 3j], ("angles", "complex128")),
    ("truth values", [True, False, True], ("angles", "bool")),
    ("objects", np.array([1, None, 3]), ("angles", "object")),
    ("one number", 3.0, ("angles", "shape ()")),
]


@pytest.mark.parametrize(
    ("name", "angles", "words"), BAD_ARGUMENTS, ids=[b[0] for b in BAD_ARGUMENTS]
)
def test_bad_angles_given(stack: Path, name: str, angles: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        read_tilt_series(stack, angles)
    assert all(word in str(caught.value) for word in words), str(caught.value)


SUSPECT: list[tuple[str, list[float], tuple[str, ...]]] = [
    ("radians", [-1.05, 0.0, 1.05], ("radians", "-1.05 to 1.05")),
    ("radians, at the limit", [-3.19, 0.0, 3.19], ("radians",)),
    ("one duplicate", [1.0, 1.0, 30.0], ("2 images at the same angle (1)",)),
    ("beyond half a turn", [0.0, 100.0, 190.0], ("0 to 190", "-180 to 180")),
]


@pytest.mark.parametrize(("name", "angles", "words"), SUSPECT, ids=[s[0] for s in SUSPECT])
def test_suspect_angles_draw_one_warning(
    stack: Path, name: str, angles: list[float], words: tuple[str, ...]
) -> None:
    series, told = read(stack, angles)
    assert series.angles_deg.tolist() == angles
    assert len(told) == 1
    assert all(word in told[0] for word in words), told[0]


def test_good_angles_are_silent(stack: Path) -> None:
    for angles in ([-3.2, 0.0, 3.2], np.array([60, 0, -60], ">i2"), np.arange(6.0)[::-2]):
        series, told = read(stack, angles)
        assert told == []
        assert series.angles_deg.tolist() == list(map(float, angles))


BAD_FILES: list[tuple[str, bytes, tuple[str, ...]]] = [
    ("empty", b"", ("file size", "0 bytes")),
    ("blank", b"\n \n\n", ("angles", "found none")),
    ("comments only", b"# angles\n", ("angles", "found none")),
    ("words", b"-12.5\nzero\n45\n", ("angles, line 2", "'zero'", "finite angle")),
    ("NaN", b"-12.5\nnan\n45\n", ("angles, line 2", "'nan'")),
    ("infinite", b"-12.5\ninf\n45\n", ("angles, line 2", "'inf'")),
    ("underscore", b"1_0\n2\n3\n", ("angles, line 1", "'1_0'")),
    ("two commas", b"1,2,3\n2\n3\n", ("angles, line 1",)),
    ("too few", b"-12.5\n0\n", ("a.tlt", "2 angles", "3, one per image")),
    ("too many", b"-12.5\n0\n45\n50\n", ("a.tlt", "4 angles")),
    ("all zero", b"0\n0\n0\n", ("angles",)),
    ("binary", b"-12.5\n\0\0\0", ("file type", "binary")),
    ("HTML", b"<html></html>", ("file type", "HTML")),
    ("Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\n", ("Git LFS",)),
]


@pytest.mark.parametrize("given_by_name", [True, False], ids=["given", "beside"])
@pytest.mark.parametrize(("name", "content", "words"), BAD_FILES, ids=[b[0] for b in BAD_FILES])
def test_bad_angle_files(
    stack: Path, name: str, content: bytes, words: tuple[str, ...], given_by_name: bool
) -> None:
    path = write(stack.with_name("a.tlt"), content)
    with pytest.raises(FileFormatError) as caught:
        read_tilt_series(stack, path if given_by_name else None)
    assert all(word in str(caught.value) for word in words), str(caught.value)


GOOD_FILES: list[tuple[str, bytes]] = [
    ("plain", b"-12.5\n0.0\n45.25\n"),
    ("Windows line ends", b"-12.5\r\n0.0\r\n45.25\r\n"),
    ("old Mac line ends", b"-12.5\r0.0\r45.25"),
    ("byte-order mark", b"\xef\xbb\xbf-12.5\n0\n45.25"),
    ("decimal commas", b"-12,5\n0,0\n45,25\n"),
    ("degree signs in Latin-1", b"# Winkel [\xb0]\n-12.5\n0\n45.25\n"),
    ("blank lines and comments", b"\n# stage\n -12.5 # first\n\n\t0\n45.25\n\n"),
    ("AreTomo's second column", b"-12.5 3\n0.0 1\n45.25 2\n"),
    ("exponents", b"-1.25e1\n0e0\n4525E-2\n"),
    ("semicolons", b"-12.5;1\n0;2\n45.25;3\n"),
]


@pytest.mark.parametrize(("name", "content"), GOOD_FILES, ids=[g[0] for g in GOOD_FILES])
@pytest.mark.parametrize("suffix", [".tlt", ".rawtlt", ".txt"])
def test_good_angle_files(stack: Path, name: str, content: bytes, suffix: str) -> None:
    path = write(stack.with_name("a" + suffix), content)
    series, told = read(stack, path)
    assert told == []
    assert series.angles_deg.tolist() == TILTS
    assert series.source.facts["angles"] == f"given file a{suffix}"
    if suffix != ".txt":  # a .txt beside the images may be anything
        assert read(stack)[0].angles_deg.tolist() == TILTS


@given(angles=st.lists(st.floats(-360, 360), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_angle_files_round_trip(angles: list[float], tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("t") / "a.tlt"
    write_angle_file(path, angles)
    assert read_angle_file(path).tolist() == angles


def test_the_nearer_source_wins_and_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mrc", mrc(images(), ext=fei_2003(TILTS), **FEI))
    write(tmp_path / "a.rawtlt", b"-12.5\n0\n45.35\n")
    series, told = read(path)
    assert series.angles_deg.tolist() == TILTS
    assert len(told) == 1
    assert "45.25 deg (FEI 2003 extended header) and 45.35 deg (a.rawtlt) at image 2" in told[0]
    series, told = read(path, tmp_path / "a.rawtlt")
    assert (series.angles_deg[2], told) == (45.35, [])
    write(tmp_path / "a.rawtlt", b"-12.5\n0.04\n45.25\n")  # within what two sources may differ
    assert read(path)[1] == []
    write(tmp_path / "a.rawtlt", b"-12.5\n0\n")
    assert "2 in a.rawtlt" in read(path)[1][0]


def test_an_unset_header_gives_way(tmp_path: Path) -> None:
    for unset in ([0.0] * 3, [np.nan] * 3):
        path = write(tmp_path / "a.mrc", mrc(images(), ext=fei_2003(unset), **FEI))
        (tmp_path / "a.rawtlt").unlink(missing_ok=True)
        with pytest.raises(FileFormatError, match="FEI 2003 extended header: all zero or missing"):
            read_tilt_series(path)
        write(tmp_path / "a.rawtlt", b"-12.5\n0\n45.25\n")
        series, told = read(path)
        assert (series.angles_deg.tolist(), told) == (TILTS, [])
        assert series.source.facts["angles"] == "a.rawtlt"


def test_one_nan_in_the_header_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mrc", mrc(images(), ext=fei_2003([1.0, np.nan, 3.0]), **FEI))
    with pytest.raises(FileFormatError, match="nan at image 1, expected finite degrees"):
        read_tilt_series(path)


def test_pixel_sizes_that_disagree(tmp_path: Path) -> None:
    fields = {**FEI, "xlen": 12.0, "ylen": 10.0}
    path = write(tmp_path / "a.mrc", mrc(images(), ext=fei_2003(TILTS), **fields))
    series, told = read(path)
    assert series.pixel_size == 33.6
    assert "33.6 A (FEI 2003 extended header) and 2 A (header)" in told[0]
    assert read(path, pixel_size=5.0)[1] == []
    mixed = fei_2003(TILTS)
    table = np.frombuffer(bytearray(mixed), "<f4").reshape(1024, 32)
    table[1, 11] *= 2
    path = write(tmp_path / "a.mrc", mrc(images(), ext=table.tobytes(), **FEI))
    series, told = read(path)
    assert series.pixel_size == 33.6
    assert "33.6 to 67.2 A over the images" in told[0]


@pytest.mark.parametrize("value", [0, -1.0, np.nan, np.inf, "3.4", "3 parsec"])
def test_bad_pixel_size_given(stack: Path, value: Any) -> None:
    with pytest.raises(InputError, match="pixel_size"):
        read_tilt_series(stack, TILTS, pixel_size=value)


def test_mdoc_beside_gives_everything(stack: Path) -> None:
    write(stack.with_name("a.mrc.mdoc"), mdoc(TILTS).encode())
    series, told = read(stack)
    assert series.angles_deg.tolist() == TILTS
    assert series.dose.tolist() == [1.5] * 3
    assert series.order.tolist() == [0, 1, 2]
    assert series.tilt_axis_deg == 85.3
    assert series.pixel_size == 5.4
    assert len(told) == 1
    assert "5.4 A (a.mrc.mdoc) and 2 A (header)" in told[0]
    assert "not verified" in series.source.facts["tilt_axis"]
    assert series.source.facts["order"] == "DateTime of a.mrc.mdoc"
    given_axis, _ = read(stack, tilt_axis_deg=-94.7)
    assert given_axis.tilt_axis_deg == -94.7


def test_mdoc_of_another_series(stack: Path) -> None:
    write(stack.with_name("a.mdoc"), mdoc(TILTS[:2]).encode())
    series, told = read(stack, TILTS)
    assert "2 sections in a.mdoc (ZValue 0 to 1)" in told[0]
    assert series.dose is None
    with pytest.raises(FileFormatError, match="found 2 sections, expected 3, one per image"):
        read_tilt_series(stack, TILTS, mdoc=stack.with_name("a.mdoc"))


ODD_MDOCS: list[tuple[str, bytes, tuple[str, ...]]] = [
    ("Windows line ends", mdoc(TILTS).replace("\n", "\r\n").encode(), ()),
    ("byte-order mark", b"\xef\xbb\xbf" + mdoc(TILTS).encode(), ()),
    ("a micro sign in Latin-1", mdoc(TILTS).encode() + b"Note = 5 \xb5m\n", ()),
    ("a micro sign in UTF-8", mdoc(TILTS).encode() + "Note = 5 µm\n".encode(), ()),
    ("next line in Latin-1", mdoc(TILTS).encode() + b"Note = a\x85b\n", ()),
    ("decimal commas", mdoc([str(t).replace(".", ",") for t in TILTS]).encode(), ()),
    ("no '='", mdoc(TILTS).encode() + b"Defocus -3\n", ("mdoc line", "Name = value")),
    ("a montage", mdoc(TILTS).encode() + b"[MontSection = 0]\nTiltAngle = 99\n", ()),
    ("sections out of order", mdoc(TILTS[::-1], {i: {"ZValue": str(2 - i)} for i in range(3)}).encode(), ()),
    ("ZValue twice", mdoc(TILTS, {1: {"ZValue": "0"}}).encode(), ("ZValue", "0 more than once")),
    ("a field twice", mdoc(TILTS).replace("TiltAngle = 0.0", "TiltAngle = 0.0\nTiltAngle = 9").encode(), ()),
    ("no blank around '='", mdoc(TILTS).replace(" = ", "=").encode(), ()),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "words"), ODD_MDOCS, ids=[o[0] for o in ODD_MDOCS])
def test_odd_mdocs_are_read(
    tmp_path: Path, name: str, content: bytes, words: tuple[str, ...]
) -> None:
    path = write(tmp_path / "a.mdoc", content)
    notes = Notes(str(path))
    got = read_mdoc(path, notes)
    assert got.angles_deg.tolist() == TILTS
    assert got.tilt_axis_deg == 85.3
    assert got.pixel_size == 5.4
    assert len(notes.findings) == bool(words)
    for word in words:
        assert word in notes.warning_lines[0]


BAD_MDOCS: list[tuple[str, bytes, tuple[str, ...]]] = [
    ("empty", b"", ("file size", "0 bytes")),
    ("no section", b"PixelSpacing = 5.4\n", ("sections", "none", "[ZValue = 0]")),
    ("no TiltAngle", mdoc(TILTS, drop="TiltAngle").encode(), ("nan at image 0", "finite degrees")),
    ("one without TiltAngle", mdoc(TILTS, {1: {"TiltAngle": ""}}).encode(), ("nan at image 1",)),
    ("TiltAngle NaN", mdoc(TILTS, {2: {"TiltAngle": "NaN"}}).encode(), ("nan at image 2",)),
    ("TiltAngle of words", mdoc(TILTS, {0: {"TiltAngle": "low"}}).encode(), ("nan at image 0",)),
    ("all zero", mdoc([0, 0, 0]).encode(), ("all zero",)),
    ("too few", mdoc(TILTS[:2]).encode(), ("2", "3, one per image")),
    ("binary", b"[ZValue = 0]\n\0\0", ("binary",)),
    ("HTML", b"<!DOCTYPE html>", ("HTML",)),
]


@pytest.mark.parametrize(("name", "content", "words"), BAD_MDOCS, ids=[b[0] for b in BAD_MDOCS])
def test_bad_mdocs_are_one_error(
    stack: Path, name: str, content: bytes, words: tuple[str, ...]
) -> None:
    path = write(stack.with_name("log.mdoc"), content)
    with pytest.raises(FileFormatError) as caught:
        read_tilt_series(stack, path)
    text = str(caught.value)
    assert "found " in text
    assert all(word in text for word in words), text
    assert "log.mdoc" in text


TIMES: list[tuple[str, list[str], list[int] | None]] = [
    (
        "two digits",
        ["30-Nov-15  15:22:00", "30-Nov-15  15:21:00", "30-Nov-15  15:23:00"],
        [1, 0, 2],
    ),
    (
        "four digits",
        ["01-Jan-2016 00:00:01", "31-Dec-2015 23:59:59", "01-jan-2016 0:00:02"],
        [1, 0, 2],
    ),
    (
        "over midnight",
        ["01-Dec-15  00:01:00", "30-Nov-15  23:59:00", "30-Nov-15  23:58:00"],
        [2, 1, 0],
    ),
    ("ISO", ["2026-11-22T10:00:02", "2026-11-22 10:00:01", "2026-11-22 10:00:00"], [2, 1, 0]),
    ("equal times", ["30-Nov-15  15:22:00"] * 3, [0, 1, 2]),
    ("one missing", ["30-Nov-15  15:22:00", "", "30-Nov-15  15:23:00"], None),
    ("impossible day", ["31-Feb-15  15:22:00"] * 3, None),
    ("foreign month", ["30-Okt-15  15:22:00"] * 3, None),
]


@pytest.mark.parametrize(("name", "times", "order"), TIMES, ids=[t[0] for t in TIMES])
def test_order_in_time(name: str, times: list[str], order: list[int] | None) -> None:
    notes = Notes("a.mdoc")
    got = parse_mdoc(
        mdoc(TILTS, {i: {"DateTime": t} for i, t in enumerate(times)}), "a.mdoc", notes
    )
    assert (None if got.order is None else got.order.tolist()) == order
    assert len(notes.findings) == (order is None)


@pytest.mark.parametrize("dose", ["", "nan", "-1", "much"])
def test_a_dose_that_is_not_known_for_all_is_none(dose: str) -> None:
    assert parse_mdoc(mdoc(TILTS, {1: {"ExposureDose": dose}}), "", Notes("")).dose is None
    zero = {i: {"ExposureDose": "0"} for i in range(3)}
    assert parse_mdoc(mdoc(TILTS, zero), "", Notes("")).dose is None


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_field_order_in_an_mdoc_never_matters(seed: int) -> None:
    rng = random.Random(seed)
    head, *sections = mdoc(TILTS, {1: {"DateTime": "29-Nov-15  10:00:00"}}).split("[ZValue")
    shuffled = []
    for section in sections:
        first, *lines = [line for line in section.split("\n") if line]
        rng.shuffle(lines)
        shuffled.append("\n".join(["[ZValue" + first, *lines, ""]))
    top = [line for line in head.split("\n") if line]
    rng.shuffle(top)
    rng.shuffle(shuffled)
    got = parse_mdoc("\n".join(top + shuffled), "", Notes(""))
    assert got.angles_deg.tolist() == TILTS
    assert got.order is not None
    assert got.order.tolist() == [1, 0, 2]
    assert (got.tilt_axis_deg, got.pixel_size) == (85.3, 5.4)


@given(text=st.text(max_size=400))
@settings(max_examples=150, deadline=None)
def test_any_text_is_an_mdoc_or_an_error(text: str) -> None:
    with contextlib.suppress(FileFormatError):
        got = parse_mdoc("[ZValue = 0]\n" + text, "any.mdoc", Notes("any.mdoc"))
        assert len(got.angles_deg) == len(got.sections) >= 1


@pytest.mark.parametrize("name", ["a.mdoc", "a.mrc.mdoc", "a.tlt", "a.rawtlt"])
def test_a_bad_file_beside_is_a_warning_while_it_is_not_needed(stack: Path, name: str) -> None:
    write(stack.with_name(name), b"<html></html>")
    series, told = read(stack, TILTS)
    assert series.angles_deg.tolist() == TILTS
    assert len(told) == 1
    assert f"file type of {name}: found an HTML page" in told[0]
    with pytest.raises(FileFormatError, match="HTML page"):
        read_tilt_series(stack)


def test_angles_of_one_mdoc_and_the_rest_of_another(stack: Path) -> None:
    for name, angles in (("one", TILTS), ("two", [-9.0, 1.0, 2.0])):
        write(stack.with_name(f"{name}.mdoc"), mdoc(angles).encode())
    one, two = stack.with_name("one.mdoc"), stack.with_name("two.mdoc")
    series, _ = read(stack, one, mdoc=two, pixel_size=5.4)
    assert series.angles_deg.tolist() == TILTS
    assert series.source.facts["dose"] == "ExposureDose of two.mdoc"


def test_an_mdoc_given_for_its_angles_tells_the_rest_too(stack: Path) -> None:
    path = write(stack.with_name("log.mdoc"), mdoc(TILTS).encode())
    series, told = read(stack, path, pixel_size=5.4)
    assert series.angles_deg.tolist() == TILTS
    assert series.source.facts["angles"] == "given file log.mdoc"
    assert series.order.tolist() == [0, 1, 2]
    assert series.tilt_axis_deg == 85.3
    assert told == []
