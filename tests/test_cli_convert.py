# SPDX-License-Identifier: BSD-3-Clause
"""``cryolith convert`` as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

import numpy as np
import pytest

from cryolith import Alignment, files
from cryolith.errors import CryolithWarning


def convert(*args):
    command = [sys.executable, "-m", "cryolith", "convert", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def alignment(tmp_path):
    found = Alignment(
        angles_deg=np.array([-30.0, 0.0, 30.0, 40.0]),
        tilt_axis_deg=84.25,
        shifts_px=np.array([[1.5, -2.25], [0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]),
        magnifications=np.array([1.0, 1.0, 1.001, 0.999]),
        flags={3: "blank"},
    )
    files.write_alignment(tmp_path / "a.json", found)
    return tmp_path / "a.json"


def test_there_and_back(alignment, tmp_path):
    (tmp_path / "ts").mkdir()
    done = convert(alignment, "-o", tmp_path / "ts" / "tilt.com", "--name", "ts")
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "ts").iterdir()) == ["tilt.com", "ts.tlt", "ts.xf"]
    assert "4 tilts, 1 excluded, tilt axis 84.2500 deg" in done.stdout
    assert done.stderr.startswith("warning: ")
    assert "THICKNESS" in done.stderr
    done = convert(tmp_path / "ts" / "tilt.com", "-o", tmp_path / "b.json", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    got, expected = (files.read_alignment(p) for p in (tmp_path / "b.json", alignment))
    np.testing.assert_allclose(got.shifts_px, expected.shifts_px, atol=1e-5)
    np.testing.assert_allclose(got.magnifications, expected.magnifications, atol=1e-8)
    assert list(got.flags) == [3]


def test_json_says_everything_on_one_line(alignment, tmp_path):
    out = tmp_path / "a.star"
    done = convert(
        alignment, "-o", out, "--pixel", "0.5 nm", "--image-size", "120x100", "--json", "--name", "ts"
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["event"] == "done"
    assert said["tilts"] == 4
    assert said["excluded"] == [3]
    assert said["files"] == [str(tmp_path / "tilt_series" / "ts.star"), str(out)]
    fields = [w.split(": ")[1] for w in said["warnings"]]
    assert fields == ["magnification", "excluded tilts", "rlnMicrographName", "optics"]
    got = files.read_alignment(
        out, known=files.Known(image_shape=(100, 120), angles_deg=np.arange(4.0), n_tilts=4)
    )
    assert got.pixel_size == 5.0


def test_the_series_tells_what_a_form_asks_for(tiny_series, tmp_path):
    series = files.read_tilt_series(tiny_series)
    n = len(series)
    found = Alignment(
        angles_deg=series.angles_deg, tilt_axis_deg=4.0, shifts_px=np.arange(2.0 * n).reshape(n, 2)
    )
    files.write_alignment(tmp_path / "a.json", found)
    done = convert(tmp_path / "a.json", "-o", tmp_path / "a.xml", "--series", tiny_series)
    assert done.returncode == 0, done.stderr
    done = convert(
        tmp_path / "a.xml", "-o", tmp_path / "b.aln", "--series", tiny_series, "--to", "aretomo2"
    )
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "b.aln").read_text()
    assert f"# RawSize = 40 48 {n}\n" in text
    got = files.read_alignment(tmp_path / "b.aln")
    np.testing.assert_allclose(got.shifts_px, found.shifts_px, atol=1e-4)
    np.testing.assert_allclose(got.angles_deg, found.angles_deg, atol=1e-5)


def test_shifts_need_their_form_by_name(tmp_path):
    (tmp_path / "s.tsv").write_text("1 2\n3 4\n")
    (tmp_path / "a.rawtlt").write_text("-3\n3\n")
    args = (tmp_path / "s.tsv", "-o", tmp_path / "a.xf", "--angles", tmp_path / "a.rawtlt")
    assert convert(*args).returncode == 1
    done = convert(*args, "--from", "hyperspy", "--tilt-axis", "12")
    assert done.returncode == 0, done.stderr
    got = files.read_alignment(tmp_path / "a.xf")
    np.testing.assert_allclose(got.shifts_px, [[1, 2], [3, 4]], atol=1e-5)
    assert got.tilt_axis_deg == pytest.approx(12.0)


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ([], 2, "alignment"),
        (["{a}"], 2, "out"),
        (["{a}", "-o", "{tmp}/b.xf", "--to", "imodd"], 2, "expected one of json, imod"),
        (["{a}", "-o", "{tmp}/b.xf", "--pixel", "3"], 2, "unit"),
        (["{a}", "-o", "{tmp}/b.xf", "--image-size", "big"], 2, "--image-size: found 'big'"),
        (["{a}", "-o", "{tmp}/b.xf", "--image-size", "0x7"], 2, "--image-size"),
        (["{a}", "-o", "{tmp}/b.xf", "--tilts", "0"], 2, "tilts"),
        (["{a}", "-o", "{tmp}/b.xf", "--tilts", "5"], 1, "found 4 in the alignment, expected 5"),
        (["{a}", "-o", "{tmp}/b.txt"], 1, "ending: found '.txt'"),
        (["{a}", "-o", "{tmp}/b.aln"], 1, "--image-size"),
        (["{tmp}/none.aln", "-o", "{tmp}/b.xf"], 1, "no such file"),
        (["{tmp}", "-o", "{tmp}/b.xf", "--from", "imod"], 1, "a folder"),
        (["{a}", "-o", "{tmp}/none/b.xf"], 1, "no such folder"),
        (["{a}", "-o", "{a}"], 1, "--overwrite"),
    ],
)
def test_bad_use_and_bad_files_have_one_clear_error(args, code, words, alignment, tmp_path):
    filled = [a.replace("{tmp}", str(tmp_path)).replace("{a}", str(alignment)) for a in args]
    before = sorted(p.name for p in tmp_path.iterdir())
    done = convert(*filled)
    assert done.returncode == code, done.stderr
    assert words.lower() in (done.stdout + done.stderr).lower()
    assert "Traceback" not in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_overwrite_replaces(alignment, tmp_path):
    assert convert(alignment, "-o", tmp_path / "a.xf", "-q").returncode == 0
    assert convert(alignment, "-o", tmp_path / "a.xf", "-q").returncode == 1
    assert convert(alignment, "-o", tmp_path / "a.xf", "-q", "--overwrite").returncode == 0


def test_reconstruct_takes_what_convert_writes(tiny_series, tmp_path):
    series = files.read_tilt_series(tiny_series)
    n = len(series)
    found = Alignment(
        angles_deg=series.angles_deg, tilt_axis_deg=4.0, shifts_px=np.full((n, 2), 0.75)
    )
    volumes = []
    for name in ("a.json", "a.xf", "a.tomostar"):
        known = files.Known.of_series(series)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CryolithWarning)
            files.write_alignment(tmp_path / name, found, known=known)
        out = tmp_path / f"{name}.mrc"
        command = ("reconstruct", tiny_series, "-a", tmp_path / name, "-o", out, "--method", "wbp")
        run = [sys.executable, "-m", "cryolith", *map(str, command)]
        done = subprocess.run(run, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        volumes.append(files.read_volume(out).data.astype(float))
    scale = np.abs(volumes[0]).max()
    for other in volumes[1:]:
        assert np.abs(other - volumes[0]).max() < 1e-3 * scale
