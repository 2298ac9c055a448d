# SPDX-License-Identifier: BSD-3-Clause
"""The tutorials run as they stand and print what they say.

A block of Python that is followed by a block of text has to print it: the same words, and numbers that differ by no
more than one in the last digit shown (rounding may fall the other way on another processor). What is printed as
``value +- error`` may differ by the errors (an alignment that changed within its own), and these by a factor of 3.
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from cryolith import files

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:^```text\n(.*?)^```)?", re.MULTILINE | re.DOTALL)
MEASURED = re.compile(r"(-?\d+(?:\.\d*)?) \+- (\d+(?:\.\d*)?)")
NUMBER = re.compile(r"-?\d+(?:\.\d*)?")


def run(page):
    """Run the blocks of a page one after the other; return their names, and what each said it prints and printed."""
    names, pairs = {}, []
    for code, expected in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(code, page, "exec"), names)
        pairs.append((expected, said.getvalue()))
    return names, pairs


def same(expected, printed):
    """Whether two texts are the same but for the last digit of their numbers."""
    if NUMBER.sub("#", expected).split() != NUMBER.sub("#", printed).split():
        return False
    for one, other in zip(MEASURED.findall(expected), MEASURED.findall(printed), strict=True):
        (value, error), (found, spread) = (map(float, pair) for pair in (one, other))
        step = 10.0 ** -len(one[1].partition(".")[2])
        if (
            abs(value - found) > error + spread + step
            or not error / 3 - step < spread < 3 * error + step
        ):
            return False
    expected, printed = MEASURED.sub("", expected), MEASURED.sub("", printed)
    for one, other in zip(NUMBER.findall(expected), NUMBER.findall(printed), strict=True):
        step = 10.0 ** -len(one.partition(".")[2]) if "." in one else 1.0
        if abs(float(one) - float(other)) > 1.001 * step:
            return False
    return True


def test_the_comparison_can_fail():
    assert same("radius 12.2 nm\n", "radius 12.3  nm\n")
    assert not same("radius 12.2 nm", "radius 12.4 nm")
    assert not same("14 columns", "14 rows")
    assert not same("14", "14 14")
    assert same("52.7 +- 0.2 nm", "52.2 +- 0.4 nm")
    assert not same("52.7 +- 0.2 nm", "51.7 +- 0.4 nm")
    assert not same("52.7 +- 0.2 nm", "52.7 +- 0.9 nm")


def check(page, pictures):
    names, pairs = run(page)
    assert sum(bool(expected) for expected, _ in pairs) >= 4
    for expected, printed in pairs:
        assert same(expected, printed), f"{page} says {expected!r}, found {printed!r}"
    for picture in pictures:
        assert Path(picture).stat().st_size > 5000
        assert 5000 < (ROOT / "docs" / picture).stat().st_size < 200_000
    return names


def test_microtubule(shared_data, tmp_path, monkeypatch):
    (tmp_path / "14pf_MT.tif").symlink_to(shared_data / "microtubule" / "14pf_MT.tif")
    monkeypatch.chdir(tmp_path)
    names = check("docs/tutorial-microtubule.md", ["tutorial-microtubule.png"])
    found = names["found"]
    assert found.best == 14  # exactly, where the text may be off by one
    assert (found.votes == 14).all()
    assert found.margin > 4 * found.sigma_margin
    assert 'NumberOfLines="14"' in (tmp_path / "protofilaments.vtp").read_text()
    assert len(files.read_table("protofilaments.csv")["turn_deg"]) == 14


@pytest.mark.validation
def test_needle(shared_data, tmp_path, monkeypatch):
    for file in ("HAADF.mrc", "HAADF.rawtlt", "HAADF.txt"):  # the axis stands in the last
        (tmp_path / file).symlink_to(shared_data / "haadf_needle" / file)
    monkeypatch.chdir(tmp_path)
    names = check("docs/tutorial-needle.md", ["tutorial-needle.png"])
    assert names["found"].layers["complete"].sum() == 5
    again = files.read_defects("needle.json")
    assert (again.layers["name"] == names["found"].layers["name"]).all()
