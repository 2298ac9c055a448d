# SPDX-License-Identifier: BSD-3-Clause
"""Damaged alignment files end in an alignment or in one error of ours, whatever the damage."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_files_alignments_bad import ALN, COM, LOCAL, STAR, TOMOSTAR, TSV, XML

from cryolith.errors import CryolithWarning, InputError
from cryolith.files import Known, read_alignment

KNOWN = Known(pixel_size=2.0, image_shape=(100, 120), tilt_axis_deg=85.0)
XF = "1 0 0 1 5 -3\n0.98 0.199 -0.199 0.98 0 0\n1 0 0 1 2 2\n"
FILES = {
    "a.aln": ALN,
    "b.aln": LOCAL,
    "a.star": STAR,
    "a.tomostar": TOMOSTAR,
    "a.xml": XML,
    "a.xf": XF,
    "a.prexf": XF,
    "tilt.com": COM + "EXCLUDELIST2 2\nXAXISTILT 1\n",
    "a.tsv": TSV,
}
# What editors, programs and disks put into text.
PIECES = ["", " ", "\n", "-", "1e999", "nan", "-1", "0", "99999999999999999999", "9" * 400, "#", '"', "'", "<", "_",
          "loop_", "data_", ",", ";", "é", "\t", "1.5", "1 2 3 4 5 6 7 8 9 10\n", "\x85", "\u2028"]  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, str]:
    name = draw(st.sampled_from(sorted(FILES)))
    text = FILES[name]
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(st.sampled_from(PIECES)) + text[end:]
    if draw(st.booleans()):
        text = text[: draw(st.integers(0, len(text)))]
    return name, text


def outcome(folder: Path, name: str, text: str) -> Any:
    """The alignment, or the text of our error; anything else is the test's failure."""
    (folder / "a.xf").write_text(XF)
    for companion in ("a.tlt", "a.rawtlt"):
        (folder / companion).write_text("-3\n0\n3\n")
    (folder / name).write_text(text, encoding="utf-8")
    form = "etspy" if name == "a.tsv" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryolithWarning)
        try:
            return read_alignment(folder / name, format=form, known=KNOWN)
        except InputError as error:
            return str(error)


def check(got: Any, folder: Path) -> None:
    if isinstance(got, str):
        assert got.startswith(str(folder))
        assert "\n" not in got
        return
    for values in (got.angles_deg, got.shifts_px, got.rotations_deg):
        assert np.isfinite(values).all()


@given(case=damaged())
@settings(max_examples=300, deadline=None)
def test_damage_ends_in_an_alignment_or_in_our_error(
    case: tuple[str, str], tmp_path_factory: Any
) -> None:
    folder: Path = tmp_path_factory.mktemp("fuzz")
    check(outcome(folder, *case), folder)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_cut_anywhere(name: str, tmp_path: Path) -> None:
    text = FILES[name]
    got = [outcome(tmp_path, name, text[:end]) for end in range(0, len(text), 7)]
    for each in got:
        check(each, tmp_path)
    assert isinstance(got[0], str)
    assert not isinstance(outcome(tmp_path, name, text), str)
