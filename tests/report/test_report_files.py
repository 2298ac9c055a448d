# SPDX-License-Identifier: BSD-3-Clause
"""The written files: one set of facts in three forms, the same bytes each time, nothing from outside."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from report_content import build_content

from cryolith.datamodel import Alignment, Defects, Source, TiltSeries, Volume
from cryolith.errors import CryolithError, InputError
from cryolith.report import ReportContent, judge, write_report

TABLES = {"layers.csv", "voids.csv", "particles.csv", "blobs.csv", "tilts.csv", "fsc.csv"}
FILES = {"report.html", "report.json", *TABLES}


class Page(HTMLParser):
    """Everything in the page that may point elsewhere, and the cells of its tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.cells: list[tuple[str, str, str]] = []
        self.checks: dict[str, str] = {}
        self.open: list[str] = []
        self._table = ""
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.links += [
            (tag, value)
            for name, value in attributes
            if name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster")
        ]
        self._table = given.get("data-table", self._table if tag != "table" else "")
        if tag == "td" and "data-column" in given:
            self.cells.append((self._table, given["data-column"], given["data-value"]))
        if "data-check" in given:
            self.checks[given["data-check"]] = given["data-value"]

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[ReportContent, Path]:
    """A full report, written once for the tests that only read it."""
    folder = tmp_path_factory.mktemp("report")
    content = build_content()
    write_report(content, folder)
    return content, folder


def _digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def _table(path: Path) -> dict[str, list[str]]:
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    return {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])}


def test_it_writes_these_files_and_no_other(written):
    _, tmp_path = written
    assert {p.name for p in tmp_path.iterdir()} == FILES


def test_halves_say_their_resolution_and_their_curve(written, tmp_path):
    content, folder = written
    facts = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    found = facts["reconstruction"]["resolution"]
    assert found["resolution_nm"] == content.halves.resolution(0.143)
    assert found["sigma_resolution_half_bit_nm"] == content.halves.sigma_resolution("half-bit")
    curve = _table(folder / "fsc.csv")
    want = content.halves.frequency / 2.0  # per nm, voxels of 2 nm
    assert np.array_equal(np.array(curve["frequency_per_nm"], float), want)
    assert any("Halves of the data agree" in line for line in facts["findings"])
    write_report(build_content(halves=None), tmp_path)
    assert not (tmp_path / "fsc.csv").exists()
    without = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert without["reconstruction"]["resolution"] is None


def test_numbers_in_page_json_and_csv_are_equal(written):
    content, tmp_path = written
    facts = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.checks == {
        c["name"]: "" if c["value"] is None else str(c["value"]) for c in facts["verdict"]["checks"]
    }
    assert facts["verdict"]["word"] == judge(content).word == "OK"
    for name in ("layers", "voids", "particles"):
        table = _table(tmp_path / f"{name}.csv")
        assert list(table) == list(getattr(content.defects, name))
        for column, values in getattr(content.defects, name).items():
            stated = facts["tables"][name][column]
            for text, fact, value in zip(table[column], stated, values.tolist(), strict=True):
                if isinstance(value, float):
                    assert (text, fact) == ("nan", None) or float(text) == fact == value
                else:
                    assert text == str(fact) == str(value)
    seen = {(name, column) for name, column, _ in page.cells}
    assert ("layers", "thickness_nm") in seen
    assert ("particles", "volume_nm3") in seen
    for name, column, value in page.cells:
        assert value in _table(tmp_path / f"{name}.csv")[column]


def test_the_words_of_the_findings_stand_in_page_and_json(written):
    _, tmp_path = written
    facts = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    page = " ".join(text.replace("\u00a0", " ").split())
    said = " ".join(facts["findings"])
    for words in (
        "41.2 ± 0.6 nm thick",
        "18.50 ± 0.15 nm thick",
        "1730 ± 130 nm³",
        "1 void",
        "2 par",
    ):
        assert words in said
        assert words in page
    for words in (
        "extended header; header said 1.0 A", "shift 9.1 px from its neighbours", "ab" * 32,
        "Voids below 27 voxels are not counted.", "isolated specimen: no cosine stretch",
        "cryolith run needle.mrc -o NEW_FOLDER", "--timing FILE", "missing wedge of 60°",
        "needle.mrc: voxel size: found 1.0 A, expected 20.0 A; check the header",
    ):  # fmt: skip
        assert words in page


def test_the_tilt_table_has_a_row_for_each_image(written):
    content, tmp_path = written
    table = _table(tmp_path / "tilts.csv")
    assert [float(v) for v in table["angle_deg"]] == content.series.angles_deg.tolist()
    assert [float(v) for v in table["shift_row_px"]] == content.alignment.shifts_px[:, 0].tolist()
    means = content.series.images.astype(np.float64).mean(axis=(1, 2))
    np.testing.assert_allclose([float(v) for v in table["mean_grey_value"]], means, rtol=1e-6)
    assert table["used"].count("False") == 1
    assert table["reason"][3] == "shift 9.1 px from its neighbours"


def test_json_is_strict_sorted_and_versioned(written):
    _, tmp_path = written
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    facts = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert facts["schema_version"] == 1
    assert text == json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    assert facts["tables"]["particles"]["sphericity"] == [0.81, None]
    assert facts["series"]["pixel_size_nm"] == 2.0
    assert facts["reconstruction"]["size_nm"] == [48.0, 80.0, 64.0]


def test_the_same_content_gives_the_same_bytes(written, tmp_path):
    write_report(build_content(), tmp_path)
    assert _digests(tmp_path) == _digests(written[1])


def test_another_process_with_another_hash_seed_gives_the_same_bytes(written, tmp_path):
    here = Path(__file__).resolve().parent
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import report_content as c;"
        "from cryolith.report import write_report; write_report(c.build_content(), sys.argv[2])"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Pacific/Apia", "LC_ALL": "C"}
    command = [sys.executable, "-c", code, str(here), str(tmp_path)]
    subprocess.run(command, env=environment, check=True, timeout=60)
    assert _digests(tmp_path) == _digests(written[1])


def test_the_page_needs_nothing_from_outside(written):
    text = (written[1] / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", re.sub(r"base64,[^\"]*", "", text))
    links = Page(text).links
    assert len(links) > 40
    assert {link[:1] for _, link in links if not link.startswith("data:")} <= {"#"}
    names = set(re.findall(r'\sid="([^"]*)"', text))
    targets = set(re.findall(r'(?:href="|url\()#([^")]*)', text))
    assert targets <= names
    assert len(names) == len(re.findall(r'\sid="([^"]*)"', text))


def test_output_says_nothing_of_where_it_was_written(written):
    _, tmp_path = written
    for path in tmp_path.iterdir():
        text = path.read_text(encoding="utf-8")
        assert str(tmp_path) not in text
        assert "/somewhere/else" not in text


def test_hostile_and_foreign_names_are_shown_as_they_are(make_content, tmp_path):
    evil = "</script><script>alert(1)</script>"
    foreign = "针状样品 “é” \u2028 & <b>"
    content = make_content()
    series = replace(
        content.series,
        source=Source(path=f"{evil}.mrc", facts={evil: evil}, warnings=(evil, foreign)),
    )
    alignment = replace(content.alignment, flags={0: evil}, method=(evil,))
    defects = Defects(
        layers={"name": np.array([evil]), "thickness_nm": np.array([3.0])}, notes=(evil,)
    )
    content = replace(
        content, series=series, alignment=alignment, defects=defects, title=evil + foreign,
        parameters={evil: evil}, inputs=((foreign, evil, 1),), command=evil, plan={evil: (1, 1)},
    )  # fmt: skip
    write_report(content, tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert text.count("<script") == 2
    assert "&lt;script&gt;alert(1)" in text
    assert "针状样品" in text
    facts = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert facts["name"] == evil + foreign


def test_the_least_content_makes_a_whole_report(bare, tmp_path):
    verdict = write_report(bare, tmp_path)
    assert verdict.word == "BAD"
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    shown = Page(re.sub(r"<(script|style).*?</\1>", "", text, flags=re.DOTALL)).text
    for words in (
        "1 image of 7 × 5 px", "size not known", "Layers were not looked for", "Voids were not looked for",
        "Particles were not looked for", "No tilt was flagged", "No command was recorded",
        "without iterations", "not computed",
    ):  # fmt: skip
        assert words in shown
    assert not re.search(r"\bnan\b|\bNone\b(?!\.| recorded)", shown)


def test_missing_pixels_and_residuals_do_no_harm(make_content, tmp_path):
    content = make_content()
    images = content.series.images.astype(np.float32)
    images[2] = np.nan
    images[4, :10] = np.inf
    residuals = np.full(len(images), np.nan)
    content = replace(
        content,
        series=replace(content.series, images=images),
        alignment=replace(content.alignment, residuals=residuals, sigma_shifts_px=None),
        volume=Volume(data=np.full((24, 40, 32), np.nan, np.float32)),
    )
    assert write_report(content, tmp_path).word == "BAD"
    assert _table(tmp_path / "tilts.csv")["mean_grey_value"][2] == "nan"


def test_tables_without_rows_read_well(make_content, tmp_path):
    empty = {"label": np.zeros(0, int), "volume_nm3": np.zeros(0), "sigma_volume_nm3": np.zeros(0)}
    write_report(make_content(defects=Defects(particles=empty, voids=empty, layers={})), tmp_path)
    assert list(_table(tmp_path / "voids.csv")) == list(empty)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "No voids were found" in page
    assert "Layers were not looked for" in page
    assert "Range of tilts" in page


def test_a_table_of_detections_shows_errors_and_rates(written):
    content, folder = written
    blobs = content.defects.tables["blobs"]
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    cells = [(c, v) for t, c, v in page.cells if t == "blobs"]
    significance = [float(v) for c, v in cells if c == "significance"]
    assert significance == sorted(blobs["significance"], reverse=True)
    assert {"diameter_nm", "q_value", "z_nm"} <= {c for c, _ in cells}
    assert "Blobs (20)" in page.text
    assert "Sizes of all blobs; error bars" in page.text
    assert "20 blobs" in page.text
    assert 'class="found place"' in (folder / "report.html").read_text(encoding="utf-8")
    facts = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert facts["detection"]["n_blobs"] == 20
    assert len(facts["tables"]["blobs"]["q_value"]) == 20


@pytest.mark.parametrize("name", ["tilts", "fsc", "../blobs", "Blobs"])
def test_a_table_that_is_no_file_name_is_refused(make_content, name):
    with pytest.raises(InputError, match=r"defects\.tables: found"):
        make_content(defects=Defects(tables={name: {}}))


def test_only_the_largest_rows_are_shown_and_the_rest_is_counted(make_content, tmp_path):
    rng = np.random.default_rng(8)
    sizes = rng.permutation(np.arange(1.0, 131.0))
    defects = Defects(particles={"volume_nm3": sizes, "diameter_nm": np.cbrt(sizes)})
    write_report(make_content(defects=defects), tmp_path)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    shown = [float(v) for _, column, v in page.cells if column == "volume_nm3"]
    assert shown == list(np.arange(130.0, 80.0, -1.0))
    assert "80 more in particles.csv" in page.text
    assert len(_table(tmp_path / "particles.csv")["volume_nm3"]) == 130


class NoiseStack:
    """121 images of 1024 x 1024 px of noise, the hardest to compress; read one by one or not at all."""

    shape, ndim, dtype = (121, 1024, 1024), 3, np.dtype(np.uint16)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, index):
        assert isinstance(index, int)
        rng = np.random.default_rng(index)
        return rng.integers(0, 60000, (256, 256), np.uint16).repeat(4, 0).repeat(4, 1)


def test_the_largest_page_stays_below_five_megabytes(tmp_path):
    rng = np.random.default_rng(3)
    volume = rng.normal(size=(16, 512, 512)).astype(np.float32)
    spots = np.zeros(8 * 128 * 128, np.int32)
    spots[rng.choice(spots.size, 3000, replace=False)] = np.arange(1, 3001)
    labels = np.zeros(volume.shape, np.int32)
    labels[::2, ::4, ::4] = spots.reshape(8, 128, 128)
    angles = np.linspace(-60, 60, 121)
    content = ReportContent(
        series=TiltSeries(images=NoiseStack(), angles_deg=angles, pixel_size=3.0),
        alignment=Alignment(angles_deg=angles, tilt_axis_deg=85.0, shifts_px=np.zeros((121, 2))),
        volume=Volume(data=volume, pixel_size=3.0),
        defects=Defects(
            particles={
                "volume_nm3": rng.uniform(1, 9, 3000),
                "diameter_nm": rng.uniform(1, 2, 3000),
            },
            labels=labels,
        ),
    )
    write_report(content, tmp_path)
    assert (tmp_path / "report.html").stat().st_size < 5_000_000


def test_progress_rises_from_zero_to_one(make_content, tmp_path):
    seen: list[float] = []
    write_report(make_content(), tmp_path, progress=seen.append)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert seen == sorted(seen)


def test_a_failure_leaves_the_old_report(make_content, tmp_path):
    write_report(make_content(), tmp_path)
    before = _digests(tmp_path)

    def stop(fraction: float) -> None:
        if fraction > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_report(make_content(title="another"), tmp_path, progress=stop)
    assert _digests(tmp_path) == before


def test_what_cannot_be_reported_is_refused_by_name(make_content, tmp_path):
    content = make_content()
    short = Alignment(angles_deg=np.zeros(20), tilt_axis_deg=0.0, shifts_px=np.zeros((20, 2)))
    with pytest.raises(InputError, match="folder: found 'nowhere'"):
        write_report(content, tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"alignment: found 20 tilts, expected 21"):
        make_content(alignment=short)
    with pytest.raises(InputError, match=r"defects.labels: found shape \(2, 2, 2\)"):
        make_content(defects=Defects(labels=np.zeros((2, 2, 2), np.int32)))
    with pytest.raises(InputError, match=r"defects.voids: found columns of lengths"):
        make_content(defects=Defects(voids={"a": np.zeros(1), "b": np.zeros(2)}))
    assert issubclass(InputError, CryolithError)
