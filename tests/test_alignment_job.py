# SPDX-License-Identifier: BSD-3-Clause
"""The alignment alone: scored beside others, reported, and a folder that the whole job can go on from."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from cryolith import Alignment, files, pipeline
from cryolith.align import aligned_images
from cryolith.alignment_job import align_job, read_others
from cryolith.config import job_from_mapping
from cryolith.errors import InputError
from cryolith.listener import Listener


class Log(Listener):
    def __init__(self):
        self.told = {}

    def started(self, stage, why):
        self.told[stage] = why

    def skipped(self, stage):
        self.told[stage] = "skipped"


def cryolith(*args):
    command = [sys.executable, "-m", "cryolith", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True)


def job(series, out):
    return job_from_mapping({"series": {"path": str(series)}, "output": str(out)})


@pytest.fixture(scope="module")
def done(tiny_series, tmp_path_factory):
    """A finished folder, with an alignment of another program that is off by 2 px rms."""
    folder = tmp_path_factory.mktemp("align")
    alone = folder / "alone.json"
    assert cryolith("align", tiny_series, "-o", alone, "-q").returncode == 0
    ours = files.read_alignment(alone)
    off = np.random.default_rng(51).normal(0, 2.0, ours.shifts_px.shape)
    theirs = Alignment(
        angles_deg=ours.angles_deg,
        tilt_axis_deg=ours.tilt_axis_deg,
        shifts_px=ours.shifts_px + off,
    )
    files.write_alignment(folder / "theirs.xf", theirs)
    align_job(job(tiny_series, folder / "out"), others=[folder / "theirs.xf"], aligned=True)
    return folder


def test_the_alignment_is_the_one_that_a_file_gets(done):
    assert (done / "out" / "alignment.json").read_bytes() == (done / "alone.json").read_bytes()


def test_the_score_puts_ours_before_theirs_before_none(done):
    facts = json.loads((done / "out" / "score.json").read_text(encoding="utf-8"))
    rows = facts["compared"]
    assert [row["name"] for row in rows] == ["cryolith", "theirs.xf", "unaligned"]
    assert rows[0]["holdout"] < 0.7 * rows[1]["holdout"]
    assert rows[0]["holdout"] < 0.5 * rows[0]["random"]
    assert {i["name"] for i in facts["inputs"]} == {"tiny.mrc", "theirs.xf"}


def test_the_table_has_a_row_for_each_tilt(done):
    with open(done / "out" / "alignment.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = files.read_alignment(done / "out" / "alignment.json")
    assert [float(r["angle_deg"]) for r in rows] == found.angles_deg.tolist()
    np.testing.assert_array_equal(
        [float(r["sigma_shift_row_px"]) for r in rows], found.sigma_shifts_px[:, 0]
    )
    assert all(float(r["holdout"]) < float(r["random"]) for r in rows if r["used"] == "True")
    assert "holdout of theirs.xf" in rows[0]


def test_aligned_images_are_a_series_of_their_own(tiny_series, done):
    raw, found = files.read_tilt_series(tiny_series), files.read_alignment(done / "alone.json")
    series = files.read_tilt_series(done / "out" / "aligned.mrc")
    assert series.angles_deg.tolist() == found.angles_deg.tolist()
    assert series.pixel_size == pytest.approx(20.0)
    assert np.array_equal(series.images, aligned_images(raw, found))


def test_the_page_holds_everything_and_stands_alone(done):
    page = (done / "out" / "alignment.html").read_text(encoding="utf-8")
    for part in ("animation", "thumbnails", "holdout", "compared", "shifts", "axes", "sinogram"):
        assert f'id="{part}"' in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert page.count("<tr><td") == 15 + 3 + 2 + page.count("<tr><td>align.")


@pytest.mark.browser
def test_the_page_plays_in_a_browser_and_logs_nothing(done, driver):
    driver.get_log("browser")
    driver.get((done / "out" / "alignment.html").as_uri())
    seen = driver.execute_script("return [...document.images].map(i => [i.alt, i.naturalWidth])")
    assert len(seen) == 2 + 15
    assert all(alt and width for alt, width in seen)
    driver.execute_script("document.querySelector(\".thumbnail[data-frame='3']\").click()")
    assert driver.find_element("id", "angle").text == "-40°"
    assert driver.get_log("browser") == []


def test_a_second_run_skips_and_another_input_is_noticed(tiny_series, done):
    log = Log()
    theirs = [done / "theirs.xf"]
    align_job(job(tiny_series, done / "out"), others=theirs, aligned=True, listener=log)
    assert set(log.told.values()) == {"skipped"}
    assert set(log.told) == {"align", "aligned images", "score"}
    log = Log()
    align_job(job(tiny_series, done / "out"), listener=log, threads=1)
    assert log.told["align"] == "skipped"
    assert log.told["score"] == "its input theirs.xf has changed"


def test_the_whole_job_goes_on_from_it(tiny_series, done):
    log = Log()
    pipeline.resume(done / "out", listener=log)
    assert log.told["align"] == "skipped"
    assert (done / "out" / "report.html").exists()


def test_alignments_of_one_name_are_refused(tiny_series, done):
    series = files.read_tilt_series(tiny_series)
    with pytest.raises(InputError, match=r"another alignment of the name theirs\.xf"):
        read_others(series, [done / "theirs.xf"] * 2)


def test_score_prints_a_line_for_each_alignment(tiny_series, done, tmp_path):
    table = tmp_path / "t.csv"
    given = (tiny_series, done / "alone.json", done / "theirs.xf")
    said = cryolith("score", *given, "-o", table)
    assert said.returncode == 0, said.stderr
    lines = [line.split() for line in said.stdout.splitlines()]
    assert [line[0] for line in lines[1:]] == ["alone.json", "theirs.xf", "unaligned"]
    held_out = [float(line[2]) for line in lines[1:]]
    assert held_out[0] < held_out[1]
    with open(table, encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 15
    rows = json.loads(cryolith("score", *given, "--json").stdout)
    assert [f"{row['holdout']:.4f}" for row in rows] == [line[2] for line in lines[1:]]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["align", "{s}", "-o", "{tmp}/a.json", "--aligned"], 2, "expected a folder"),
        (["align", "{s}", "-o", "{tmp}/o.v2"], 1, "ending: found '.v2'"),
        (["align", "{s}", "-o", "{tmp}/none/a.json"], 1, "no such folder"),
        (["align", "{s}", "-o", "{tmp}/o", "--compare", "{tmp}/none.xf"], 1, "none.xf"),
        (["score", "{s}"], 2, "ALIGNMENT"),
        (["score", "{s}", "{tmp}/none.aln"], 1, "none.aln"),
        (["score", "{s}", "{tmp}/short.json"], 1, "expected 15, one per image"),
    ],
)
def test_bad_use_has_one_clear_error(args, code, words, tiny_series, tmp_path):
    short = Alignment(angles_deg=np.arange(6.0), tilt_axis_deg=0.0, shifts_px=np.zeros((6, 2)))
    files.write_alignment(tmp_path / "short.json", short)
    said = cryolith(
        *[a.replace("{s}", str(tiny_series)).replace("{tmp}", str(tmp_path)) for a in args]
    )
    assert said.returncode == code, said.stderr
    assert words in said.stdout + said.stderr
    assert "Traceback" not in said.stderr
