# SPDX-License-Identifier: BSD-3-Clause
"""Real files of AreTomo, IMOD, EMAN2 and ETSpy (shared data): they agree where two say the same."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from alignment_cases import apart, seen_at, turned

from cryolith.errors import CryolithWarning, FileFormatError
from cryolith.files import Known, read_alignment, write_alignment


def test_aln_and_xf_of_one_alignment_agree(shared_data: Path) -> None:
    """The .xf is not AreTomo's: alnfile wrote it (its format to the character), and turns by -ROT.

    AreTomo2 and AreTomo3 turn by ROT, in their own .xf (CSaveXF.cpp) and in their images (GCorrPatchShift.cu); there
    alnfile's imod_utils.py has the sines exchanged. The shifts do not depend on it: T = -A^-1 d for any rotation A.
    """
    folder = shared_data / "metadata" / "aretomo"
    aln = read_alignment(folder / "global_no_local.aln")
    xf = read_alignment(folder / "global_no_local.xf")
    assert np.array_equal(aln.angles_deg, xf.angles_deg)
    # Written with three decimals of a pixel, four of a degree; .xf with seven of a cosine.
    assert np.abs(aln.shifts_px - xf.shifts_px).max() < 1e-3
    assert apart(-turned(aln), turned(xf)) < 1e-4
    assert aln.tilt_axis_deg == pytest.approx(-95.404)
    mirrored = replace(aln, tilt_axis_deg=-aln.tilt_axis_deg)
    points = np.random.default_rng(0).uniform(-400, 400, (10, 3))
    assert np.abs(seen_at(mirrored, points) - seen_at(xf, points)).max() < 1e-3
    assert aln.image_shape == (4096, 4096)
    assert "from 1" in aln.source.facts["sections"]
    assert aln.flags == {}


def test_both_aln_become_the_xf_that_aretomo_writes(shared_data: Path, tmp_path: Path) -> None:
    """CSaveXF.cpp of AreTomo2 and AreTomo3: A = [[c, s], [-s, c]] of ROT, d = A (-T)."""
    for name, dark in (("global_no_local", 0), ("global_and_local", 14)):
        file = shared_data / "metadata" / "aretomo" / f"{name}.aln"
        lines = [ln.split() for ln in file.read_text().splitlines() if ln[0] != "#"]
        table = np.array([ln for ln in lines if len(ln) == 10], float)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CryolithWarning)
            write_alignment(tmp_path / "a.xf", read_alignment(file))
        rows = np.loadtxt(tmp_path / "a.xf")[dark:]
        r = np.radians(table[:, 1])
        a = np.array([[np.cos(r), np.sin(r)], [-np.sin(r), np.cos(r)]]).transpose(2, 0, 1)
        d = np.einsum("nij,nj->ni", a, -table[:, 3:5])
        np.testing.assert_allclose(rows[:, :4], a.reshape(-1, 4), atol=1e-8)
        np.testing.assert_allclose(rows[:, 4:], d, atol=1e-5)
        assert np.array_equal(np.loadtxt(tmp_path / "a.tlt")[dark:], table[:, 9])


def test_an_aln_with_dark_frames_and_patches(shared_data: Path, tmp_path: Path) -> None:
    file = shared_data / "metadata" / "aretomo" / "global_and_local.aln"
    with pytest.warns(CryolithWarning, match="SEC: found a count of the kept tilts"):
        got = read_alignment(file)
    assert len(got.angles_deg) == 51
    assert sorted(got.flags) == list(range(14))
    # Dark frames stand without AlphaOffset (12.3), so -68 to -42 become -55.7 to -29.7, in steps of 2 to the rest.
    assert got.angles_deg[0] == pytest.approx(-55.7)
    assert np.abs(np.diff(got.angles_deg) - 2).max() < 0.03
    table = np.array([ln.split() for ln in file.read_text().splitlines()
                      if ln[0] != "#" and len(ln.split()) == 10], float)  # fmt: skip
    assert np.array_equal(got.shifts_px[14:], table[:, [4, 3]])
    assert got.local is not None
    assert got.local.good.shape == (51, 16)
    assert got.local.points_px[14, 0].tolist() == [-1363.14, -1537.16]
    assert got.local.shifts_px[14, 0].tolist() == [-36.22, -6.93]
    assert not got.local.good[14 + 33, 12]
    with pytest.warns(CryolithWarning) as told:
        write_alignment(tmp_path / "a.xf", got)
    assert {str(w.message).split(": ")[1] for w in told} == {"local shifts", "excluded tilts"}
    # Our own .aln of it says the same, now with the sections of the raw stack.
    write_alignment(tmp_path / "a.aln", got)
    again = read_alignment(tmp_path / "a.aln")
    assert sorted(again.flags) == sorted(got.flags)
    np.testing.assert_allclose(again.shifts_px[14:], got.shifts_px[14:], atol=1e-5)


def test_an_aln_that_was_cut_is_refused(shared_data: Path) -> None:
    file = shared_data / "metadata" / "imod" / "test.aln"
    with pytest.raises(FileFormatError, match="found 4 rows and 4 dark frames, expected 90"):
        read_alignment(file)


def test_imods_tilt_com(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "metadata" / "imod" / "convert" / "imod_1"
    text = (folder / "tilt.com").read_text()
    for suffix in (".tlt", ".xf", ".xtilt"):
        shutil.copy(folder / f"tilt_1{suffix}", tmp_path / f"mka2018-10-01-1{suffix}")
    (tmp_path / "tilt.com").write_text(text)
    got = read_alignment(tmp_path / "tilt.com")
    plain = read_alignment(tmp_path / "mka2018-10-01-1.xf")
    assert np.array_equal(got.shifts_px, plain.shifts_px)
    assert got.x_tilts_deg is None
    assert got.flags == {}
    text = text.replace("OFFSET 0.0", "OFFSET -3.5").replace("XAXISTILT 0.0", "XAXISTILT 1.25")
    (tmp_path / "tilt.com").write_text(text + "EXCLUDELIST2 2,57-59\nLOCALFILE local.xf\n")
    with pytest.warns(CryolithWarning, match="LOCALFILE: found IMOD's local alignments"):
        got = read_alignment(tmp_path / "tilt.com")
    np.testing.assert_allclose(got.angles_deg, plain.angles_deg - 3.5)
    assert got.x_tilts_deg is not None
    np.testing.assert_allclose(got.x_tilts_deg, -1.25)
    assert sorted(got.flags) == [1, 56, 57, 58]


def test_emans_xf_has_the_angles_of_its_json(shared_data: Path) -> None:
    """EMAN2 keeps (x, y, axis, tilt, ...) per image; its axis is near 453 = 93 degrees, the .xf at -93 is IMOD's."""
    got = read_alignment(shared_data / "metadata" / "eman" / "example.xf")
    assert len(got.angles_deg) == 55
    assert got.tilt_axis_deg == pytest.approx(93.13, abs=0.1)


def test_the_authors_etspy_shifts(shared_data: Path) -> None:
    file = shared_data / "haadf_needle" / "reference_alignment.tsv"
    got = read_alignment(file, format="etspy")
    table = np.loadtxt(file)
    assert got.tilt_axis_deg == -90.0
    assert np.array_equal(got.angles_deg, table[:, 0])
    assert np.array_equal(got.shifts_px, -table[:, 1:3])


def test_stars_of_other_jobs_are_no_tilt_series(shared_data: Path) -> None:
    known = Known(pixel_size=1.0, image_shape=(10, 10))
    files = sorted((shared_data / "metadata" / "star").rglob("*.star"))
    assert len(files) > 10
    for file in files:
        with pytest.raises(FileFormatError, match=r"rlnTomo|tables|STAR|values"):
            read_alignment(file, known=known)
