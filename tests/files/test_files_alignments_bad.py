# SPDX-License-Identifier: BSD-3-Clause
"""Every malformed alignment file gets one clear error: the file, what was found, what was expected, what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alignment_cases import random_alignment
from make_files import write

from cryolith import Alignment
from cryolith.errors import ConfigError, CryolithWarning, FileFormatError, InputError
from cryolith.files import Known, read_alignment, write_alignment

KNOWN = Known(pixel_size=2.0, image_shape=(100, 120))

ALN = """# AreTomo Alignment / Priims bprmMn
# RawSize = 120 100 3
# NumPatches = 0
# DarkFrame =     1    2     0.00
# AlphaOffset =     0.00
# SEC     ROT         GMAG       TX          TY      SMEAN     SFIT    SCALE     BASE     TILT
    1    85.0  1.0  1.0  2.0  1.00     1.00     1.00     0.00    -3.0
    3    85.0  1.0  1.0  2.0  1.00     1.00     1.00     0.00     3.0
"""
LOCAL = ALN.replace("NumPatches = 0", "NumPatches = 1") + "0 0 1 2 3 4 1.0\n1 0 1 2 3 4 1.0\n"
STAR = """
data_ts

loop_
_rlnMicrographName #1
_rlnTomoXTilt #2
_rlnTomoYTilt #3
_rlnTomoZRot #4
_rlnTomoXShiftAngst #5
_rlnTomoYShiftAngst #6
1@a.mrc 0 -3 85 1 2
2@a.mrc 0 0 85 1 2
3@a.mrc 0 3 85 1 2
"""
GLOBAL = """
data_global

loop_
_rlnTomoName #1
_rlnTomoTiltSeriesStarFile #2
_rlnTomoTiltSeriesPixelSize #3
ts1 ts1.star 2.0
ts2 ts2.star 2.0
"""
TOMOSTAR = """
data_

loop_
_wrpMovieName #1
_wrpAngleTilt #2
_wrpAxisAngle #3
_wrpAxisOffsetX #4
_wrpAxisOffsetY #5
_wrpDose #6
a.tif -3 85 1 2 0
b.tif 0 85 1 2 3
"""
GRID = (
    '<GridMovementX Width="2" Height="1" Depth="1"><Node X="0" Y="0" Z="0" Value="1"/>'
    '<Node X="1" Y="0" Z="0" Value="2"/></GridMovementX>'
)
XML = (
    '<?xml version="1.0" encoding="utf-8"?><TiltSeries LevelAngleX="1">'
    "<Angles>-3\n0\n3</Angles><UseTilt>True\nTrue\nFalse</UseTilt><AxisAngle>85\n85\n85</AxisAngle>"
    "<AxisOffsetX>1\n1\n1</AxisOffsetX><AxisOffsetY>2\n2\n2</AxisOffsetY>"
    f"{GRID}</TiltSeries>"
)
COM = "$setenv IMOD_OUTPUT_FORMAT MRC\n$tilt -StandardInput\nTILTFILE a.tlt\nOFFSET 0.0\n"
TSV = "-3 1 2\n0 1 2\n3 1 2\n"

GOOD = [
    ("a.aln", ALN),
    ("a.aln", LOCAL),
    ("a.star", STAR),
    ("a.tomostar", TOMOSTAR),
    ("a.xml", XML),
]


@pytest.mark.parametrize(("name", "text"), GOOD, ids=[f"{n} {len(t)}" for n, t in GOOD])
def test_the_files_that_are_broken_below_are_sound(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    got = read_alignment(tmp_path / name, known=KNOWN)
    expected = (2.0, 1.0) if name == "a.aln" else (2 / 2.0 + 0.5, 1 / 2.0 + 0.5)
    assert got.shifts_px[0].tolist() == list(expected)
    assert got.tilt_axis_deg == pytest.approx(85)


# name of the case, file, (old, new) or the whole text, words of the error
BAD: list[tuple[str, str, Any, tuple[str, ...]]] = [
    ("aln empty", "a.aln", "", ("0 bytes",)),
    ("aln of words", "a.aln", "hello\n", ("line 1", "'hello'", "ten numbers")),
    ("aln header only", "a.aln", ALN[: ALN.index("    1    85")], ("tilts: found none", "SEC ROT")),
    ("aln nine columns", "a.aln", (" 0.00    -3.0", " -3.0"), ("line 7", "ten numbers")),
    ("aln NaN", "a.aln", ("-3.0", "nan"), ("line 7",)),
    ("aln cut", "a.aln", (ALN[ALN.index("    3 ") :], ""), ("1 rows and 1 dark frames", "expected 3")),
    ("aln section twice", "a.aln", ("    3    85", "    1    85"), ("SEC", "each of the 3 images once")),
    ("aln RawSize of words", "a.aln", ("120 100 3", "big"), ("RawSize, line 2", "3 numbers")),
    ("aln RawSize zero", "a.aln", ("120 100 3", "0 100 3"), ("RawSize", "positive")),
    ("aln dark of two", "a.aln", ("2     0.00", ""), ("DarkFrame, line 4", "3 numbers")),
    ("aln GMAG zero", "a.aln", ("85.0  1.0  1.0", "85.0  0.0  1.0"), ("GMAG", "positive")),
    ("aln local cut", "a.aln", LOCAL[: LOCAL.rindex("1 0")], ("local shifts", "2 tilts and 1 patches")),
    ("aln local eight", "a.aln", LOCAL + "1 1 1 1 1 1 1 1\n", ("line 11", "seven of a local shift")),
    ("star no block", "a.star", "loop_\n_a\n", ("line 1", "data_")),
    ("star no column", "a.star", ("_rlnTomoZRot #4", "_rlnOther #4"), ("rlnTomoZRot", "this column")),
    ("star short row", "a.star", ("2@a.mrc 0 0 85 1 2", "2@a.mrc 0 0"), ("line 12", "3 values", "6 values")),
    ("star column twice", "a.star", ("_rlnTomoXTilt", "_rlnTomoYTilt"), ("line 7", "twice")),
    ("star block twice", "a.star", STAR + "data_ts\n", ("'data_ts' twice",)),
    ("star a word", "a.star", ("2@a.mrc 0 0", "2@a.mrc 0 up"), ("rlnTomoYTilt, row 2", "'up'")),
    ("star section twice", "a.star", ("3@a", "2@a"), ("section 2 twice",)),
    ("star section 0", "a.star", ("1@a", "0@a"), ("section 0", "1 to 3")),
    ("star two tables", "a.star", STAR + STAR.replace("data_ts", "data_b"), ("tables: found 2",)),
    ("star of nothing", "a.star", "data_\n", ("tables: found 0",)),
    ("star of two series", "a.star", GLOBAL, ("rlnTomoName", "ts1, ts2", "--name")),
    ("star lost series", "a.star", GLOBAL.replace("ts2 ts2.star 2.0\n", ""), ("'ts1.star'", "below the folder")),
    ("tomostar no angle", "a.tomostar", ("_wrpAngleTilt", "_wrpOther"), ("wrpAngleTilt",)),
    ("tomostar no axis", "a.tomostar", ("_wrpAxisAngle", "_wrpOther"), ("wrpAxisAngle", "--tilt-axis")),
    ("tomostar empty", "a.tomostar", "data_\n\n", ("tables: found 0",)),
    ("xml cut", "a.xml", XML[:-20], ("XML", "damaged")),
    ("xml of a movie", "a.xml", "<?xml version='1.0'?><Movie/>", ("<Movie>", "<TiltSeries>")),
    ("xml no angles", "a.xml", ("<Angles>-3\n0\n3</Angles>", ""), ("Angles: found 0 values",)),
    ("xml angle of words", "a.xml", ("<Angles>-3", "<Angles>up"), ("Angles, line 1", "'up'")),
    ("xml too few", "a.xml", ("<AxisAngle>85\n", "<AxisAngle>"), ("AxisAngle: found 2 values", "3 values")),
    ("xml UseTilt", "a.xml", ("True\nTrue\nFalse", "True\nYes\nNo"), ("UseTilt", "no, true, yes")),
    ("xml level", "a.xml", ('LevelAngleX="1"', 'LevelAngleX="flat"'), ("LevelAngleX", "'flat'")),
    ("xml grid cut", "a.xml", ('<Node X="1" Y="0" Z="0" Value="2"/>', ""), ("GridMovementX: found 1 nodes",)),
    ("xml grid size", "a.xml", ('Width="2"', 'Width="-2"'), ("GridMovementX: found sizes",)),
    ("xml grid node", "a.xml", (' X="1"', ' X="7"'), ("GridMovementX", "a place in")),
    ("xml grid twice", "a.xml", (' X="1"', ' X="0"'), ("a node twice",)),
    ("xml grid value", "a.xml", ('Value="2"', 'Value="x"'), ("GridMovementX",)),
    ("com of newst", "tilt.com", "$newstack -StandardInput\n", ("no $tilt",)),
    ("com no TILTFILE", "tilt.com", "$tilt -StandardInput\n", ("TILTFILE: found none",)),
    ("com lost tlt", "tilt.com", COM, ("a.tlt", "no such file")),
    ("ending", "a.dat", "x", ("ending: found '.dat'", "name the format")),
    ("angles alone", "a.tlt", "1\n2\n", ("tilts alone", "give the .xf")),
]  # fmt: skip


@pytest.mark.parametrize(("case", "name", "text", "words"), BAD, ids=[b[0] for b in BAD])
def test_one_clear_error(
    case: str, name: str, text: Any, words: tuple[str, ...], tmp_path: Path
) -> None:
    if isinstance(text, tuple):
        whole = {"a.aln": ALN, "a.star": STAR, "a.tomostar": TOMOSTAR, "a.xml": XML}[name]
        assert text[0] in whole
        text = whole.replace(*text, 1)
    write(tmp_path / name, text.encode())
    with pytest.raises(FileFormatError) as caught:
        read_alignment(tmp_path / name, known=KNOWN)
    said = str(caught.value)
    assert said.startswith(str(tmp_path))
    assert all(word in said for word in ("found ", "expected ", *words)), said
    assert "\n" not in said


COMS = [
    ("OFFSET up", "OFFSET: found 'up'"),
    ("OFFSET 1 2 3", "OFFSET"),
    ("EXCLUDELIST2 0", "EXCLUDELIST2: found '0'"),
    ("EXCLUDELIST2 1-9", "'1-9', expected views from 1 to 2"),
    ("EXCLUDELIST2 2-1", "'2-1'"),
    ("EXCLUDE all", "'all'"),
    ("XTILTFILE b.xtilt", "XTILTFILE: found 3 angles"),
    ("XTILTFILE none.xtilt", "no such file"),
]


@pytest.mark.parametrize(("line", "words"), COMS, ids=[c[0] for c in COMS])
def test_lines_of_tilt_com(line: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.tlt").write_text("0\n3\n")
    (tmp_path / "a.xf").write_text("1 0 0 1 5 6\n" * 2)
    (tmp_path / "b.xtilt").write_text("1\n1\n1\n")
    (tmp_path / "tilt.com").write_text(COM + line + "\n")
    with pytest.raises(FileFormatError, match="found") as caught:
        read_alignment(tmp_path / "tilt.com")
    assert words in str(caught.value)


def test_include_is_the_complement_of_exclude(tmp_path: Path) -> None:
    (tmp_path / "a.tlt").write_text("0\n3\n6\n9\n")
    (tmp_path / "a.xf").write_text("1 0 0 1 5 6\n" * 4)
    (tmp_path / "tilt.com").write_text(COM + "INCLUDE 2-3\n")
    assert sorted(read_alignment(tmp_path / "tilt.com").flags) == [0, 3]
    (tmp_path / "tilt.com").write_text(COM.replace("OFFSET 0.0", "OFFSET 1.5 -2") + "SHIFT 9 9\n")
    got = read_alignment(tmp_path / "tilt.com")
    assert got.angles_deg.tolist() == [1.5, 4.5, 7.5, 10.5]
    assert (got.axis_offset_px, got.flags) == (-2.0, {})


SHIFTS: list[tuple[str, bytes, str]] = [
    ("a.tsv", b"tilt y x\n", "shifts: found none"),
    ("a.tsv", b"1 2 3\n1 2\n", "line 2"),
    ("a.tsv", b"1 2 3 4\n", "line 1"),
    ("a.tsv", b"1 2 nan\n", "line 1"),
    ("a.tsv", b"1 2 3\n4 5 x\n", "line 2"),
    ("a.tsv", b"1 2\n3 4\n", "angles: found none"),
    ("a.npy", b"\x93NUMPY", "array"),
    ("a.npy", b"not an array", "array"),
]


@pytest.mark.parametrize(("name", "content", "words"), SHIFTS)
def test_bad_shifts(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileFormatError) as caught:
        read_alignment(tmp_path / name, format="etspy")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(4),
        np.zeros((4, 5)),
        np.full((4, 2), np.nan),
        np.array([["a", "b"]]),
        np.zeros((0, 2)),
    ],
)
def test_arrays_that_are_no_shifts(array: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(FileFormatError, match=r"expected \(n_tilts, 2\) finite numbers"):
        read_alignment(tmp_path / "a.npy", format="hyperspy", known=Known(tilt_axis_deg=0.0))


NEEDED = [
    ("a.star", STAR, Known(image_shape=(9, 9)), "--pixel"),
    ("a.star", STAR, Known(pixel_size=1.0), "--image-size"),
    ("a.star", STAR.replace("@", "_"), replace(KNOWN, n_tilts=4), "3 without the number of a section"),
    ("a.star", STAR, replace(KNOWN, n_tilts=2), "section 3, expected 1 to 2"),
    ("a.xml", XML, Known(), "--pixel"),
    ("a.xml", XML, Known(pixel_size=1.0), "--image-size"),
    ("a.xml", XML, replace(KNOWN, n_tilts=4), "Angles: found 3, expected 4"),
    ("a.tomostar", TOMOSTAR, Known(), "--pixel"),
    ("a.tomostar", TOMOSTAR, replace(KNOWN, n_tilts=4), "rows: found 2, expected 4"),
    ("a.prexg", "1 0 0 1 2 3\n", Known(), "--tilt-axis"),
    ("a.prexg", "1 0 0 1 2 3\n", Known(tilt_axis_deg=0.0), "a.rawtlt: file: found no such file"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "known", "words"), NEEDED)
def test_what_only_the_caller_knows_is_asked_for(
    name: str, text: str, known: Known, words: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(FileFormatError) as caught:
        read_alignment(tmp_path / name, known=known)
    assert words in str(caught.value)


WRITES = [
    ("a.aln", {"image_shape": None}, "--image-size"),
    ("a.star", {"image_shape": None}, "--image-size"),
    ("a.star", {"pixel_size": None}, "--pixel"),
    ("a.xml", {"pixel_size": None}, "--pixel"),
    ("a.tomostar", {"pixel_size": None}, "--pixel"),
]


@pytest.mark.filterwarnings("ignore::cryolith.errors.CryolithWarning")
@pytest.mark.parametrize(("name", "changed", "words"), WRITES)
def test_writing_asks_too(name: str, changed: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=words):
        write_alignment(tmp_path / name, replace(random_alignment(1), **changed))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore::cryolith.errors.CryolithWarning")
@pytest.mark.parametrize("name", ["a.aln", "a.star"])
def test_nothing_left_to_write(name: str, tmp_path: Path) -> None:
    full = random_alignment(1)
    none = replace(full, flags=dict.fromkeys(range(len(full.angles_deg)), "blank"))
    with pytest.raises(FileFormatError, match="tilts: found all excluded"):
        write_alignment(tmp_path / name, none)


def test_an_axis_that_etspy_cannot_have(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="tilt axis: found 10 deg"):
        write_alignment(tmp_path / "a.tsv", random_alignment(1, axis_deg=10.0), format="etspy")


def test_the_series_of_other_images(tmp_path: Path) -> None:
    alignment = random_alignment(1, excluded=0)
    n = len(alignment.angles_deg)
    with pytest.raises(FileFormatError, match=f"found {n} in the alignment, expected {n + 1}"):
        write_alignment(tmp_path / "a.xf", alignment, known=Known(n_tilts=n + 1))
    with pytest.warns(CryolithWarning, match="pixel size: found 100"):
        write_alignment(tmp_path / "a.xf", alignment, known=Known(pixel_size=100.0))


def test_arguments(tmp_path: Path) -> None:
    alignment = Alignment(angles_deg=np.zeros(1), tilt_axis_deg=0.0, shifts_px=np.zeros((1, 2)))
    with pytest.raises(ConfigError, match="format: found 'imodd', expected one of json, imod"):
        write_alignment(tmp_path / "a.xf", alignment, format="imodd")
    for bad in (
        {"image_shape": (0, 3)},
        {"pixel_size": -1.0},
        {"pixel_size": np.nan},
        {"n_tilts": 3, "angles_deg": np.zeros(2)},
        {"pre_exposure": np.zeros((2, 2))},
    ):
        with pytest.raises(InputError, match=next(reversed(bad))):
            Known(**bad)  # type: ignore[arg-type]


def test_what_warp_has_beyond_an_alignment_is_named(tmp_path: Path) -> None:
    more = '<GridVolumeWarpX><Node Value="3"/></GridVolumeWarpX><GridAngleX><Node Value="0"/></GridAngleX>'
    text = XML.replace("</TiltSeries>", more + "</TiltSeries>")
    text = text.replace("<TiltSeries ", '<TiltSeries MagnificationCorrection="1.01, 0, 0, 1" ')
    (tmp_path / "a.xml").write_text(text)
    with pytest.warns(CryolithWarning) as told:
        got = read_alignment(tmp_path / "a.xml", known=KNOWN)
    fields = {str(w.message).split(": ")[1] for w in told}
    assert fields == {"GridVolumeWarpX", "MagnificationCorrection"}
    assert len(got.source.warnings) == 2
    # A grid that has neither one plane nor one per tilt.
    (tmp_path / "b.xml").write_text(XML.replace('Width="2" Height="1" Depth="1"', 'Width="1" Height="1" Depth="2"')
                                    .replace('X="1" Y="0" Z="0"', 'X="0" Y="0" Z="1"'))  # fmt: skip
    with pytest.warns(CryolithWarning, match="GridMovement: found grids of 2x1x1 nodes"):
        assert read_alignment(tmp_path / "b.xml", known=KNOWN).local is None


def test_a_grid_of_one_node_a_tilt_is_a_shift(tmp_path: Path) -> None:
    nodes = "".join(f'<Node X="0" Y="0" Z="{z}" Value="{z + 1}"/>' for z in range(3))
    grid = f'<GridMovementX Width="1" Height="1" Depth="3">{nodes}</GridMovementX>'
    (tmp_path / "a.xml").write_text(XML.replace(GRID, grid))
    got = read_alignment(tmp_path / "a.xml", known=KNOWN)
    assert got.local is None
    # (AxisOffset - GridMovement) / 2 A, and half a pixel.
    assert got.shifts_px.tolist() == [[1.5, 0.5], [1.5, 0.0], [1.5, -0.5]]
    assert sorted(got.flags) == [2]


def test_sections_of_an_aln_say_themselves_what_they_count(tmp_path: Path) -> None:
    for name, sections in (
        ("from 1", {"1    2     0.00": "1    2     0.00"}),
        ("from 0", {"1    2     0.00": "1    1     0.00", "    1    85": "    0    85",
                    "    3    85": "    2    85"}),
    ):  # fmt: skip
        text = ALN
        for old, new in sections.items():
            text = text.replace(old, new)
        (tmp_path / "a.aln").write_text(text)
        got = read_alignment(tmp_path / "a.aln")
        assert name in got.source.facts["sections"]
        assert got.angles_deg.tolist() == [-3.0, 0.0, 3.0]
        assert list(got.flags) == [1]
    # 1 and 2 for the first and third image: the kept ones counted through.
    four = ALN.replace("120 100 3", "120 100 4").replace(
        "# AlphaOffset", "# DarkFrame =     2    0     1.50\n# AlphaOffset"
    )
    four = four.replace("    3    85", "    2    85").replace("1    2  ", "1    0  ")
    (tmp_path / "a.aln").write_text(four)
    with pytest.warns(CryolithWarning, match="SEC: found a count of the kept tilts"):
        got = read_alignment(tmp_path / "a.aln")
    assert got.angles_deg.tolist() == [-3.0, 0.0, 1.5, 3.0]
    assert sorted(got.flags) == [1, 2]


def test_one_dark_frame_of_section_0_needs_the_angles(tmp_path: Path) -> None:
    text = ALN.replace("    3    85", "    2    85").replace("1    2  ", "1    0  ")
    (tmp_path / "a.aln").write_text(text)
    with pytest.raises(
        FileFormatError, match=r"section 0 at rank 1 by angle.*--angles or --series"
    ):
        read_alignment(tmp_path / "a.aln")
    recorded = Known(angles_deg=np.array([0.0, -3.0, 3.0]))  # the dark one first in time
    got = read_alignment(tmp_path / "a.aln", known=recorded)
    assert list(got.flags) == [0]
    assert got.angles_deg.tolist() == [0.0, -3.0, 3.0]
    with pytest.warns(CryolithWarning, match="SEC"):
        got = read_alignment(tmp_path / "a.aln", known=Known(angles_deg=np.array([-3.0, 0.0, 3.0])))
    assert list(got.flags) == [1]


def test_rows_that_are_not_there(tmp_path: Path) -> None:
    """A tilt without a row keeps its place: its angle from the caller, its shift from its neighbours, a flag."""
    (tmp_path / "a.star").write_text(STAR.replace("2@a.mrc 0 0 85 1 2\n", ""))
    known = replace(KNOWN, n_tilts=4, angles_deg=np.array([-3.0, 0.5, 3.0, 6.0]))
    got = read_alignment(tmp_path / "a.star", known=known)
    assert got.angles_deg.tolist() == [-3.0, 0.5, 3.0, 6.0]
    assert sorted(got.flags) == [1, 3]
    assert got.shifts_px.tolist() == [[1.5, 1.0]] * 4
    with pytest.warns(CryolithWarning, match="angles: found none for sections 2, 4"):
        read_alignment(tmp_path / "a.star", known=replace(KNOWN, n_tilts=4))
