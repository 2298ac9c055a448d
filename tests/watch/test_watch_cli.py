# SPDX-License-Identifier: BSD-3-Clause
"""``cryolith watch`` as it is typed, and its page in headless Chromium."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from microscope import Clock, Microscope, looks, series
from test_watch_series import NoRun, spoilt
from typer.testing import CliRunner

from cryolith.cli import app
from cryolith.watch import Watch, WatchSettings

JOB = """
[series]
tilt_axis = 4.0
[align]
iterations = 1
[reconstruct]
method = "wbp"
[watch]
stable_s = 0.1
interval_s = 0.1
tilts = 21
"""


def command(*args):
    return [sys.executable, "-m", "cryolith", "watch", *map(str, args)]


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A folder with a finished series and one on its way, watched to the end of the first."""
    place = tmp_path_factory.mktemp("name with spaces & ü")
    (place / "in").mkdir()
    images, angles = series("needle")
    Microscope(place / "in", spoilt(images, angles)[0], angles).all()
    (place / "job.toml").write_text(JOB)
    done = subprocess.run(
        command(place / "in", "-o", place / "out", "-c", place / "job.toml", "--until-complete",
                "--json", "--threads", 1),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return place, done


def test_json_lines_tell_tilts_alerts_and_states_and_the_run_is_there(watched):
    place, done = watched
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [e["tilt"] for e in events if e["event"] == "tilt"] == list(range(21))
    assert {(e["tilt"], e["kind"]) for e in events if e["event"] == "alert"} == {
        (5, "blank"),
        (9, "intensity"),
        (12, "drift"),
        (16, "intensity"),
    }
    assert [e["state"] for e in events if e["event"] == "state"] == [
        "complete",
        "running",
        "settled",
    ]
    assert events[-1] == {"alerts": 4, "event": "done"}
    assert (place / "out" / "ts_01" / "report.html").exists()
    job = (place / "out" / "ts_01" / "job.toml").read_text()
    assert "[watch]" not in job


def test_ctrl_c_ends_it_with_130_and_it_can_be_started_again(tmp_path):
    process = subprocess.Popen(
        command(tmp_path, "-o", tmp_path / "out", "--interval", "0.1"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().startswith("overview: ")
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on" in told
    assert list((tmp_path / "out").rglob("*.partial")) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere", "-o", "out"], "nowhere"),
        ([".", "-o", "."], "watched folder"),
        ([".", "-o", "out", "-c", "bad.toml"], "did you mean 'drift'"),
        ([".", "-o", "out", "--drift", "far"], "drift"),
    ],
)
def test_bad_use_is_one_line(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    Path("bad.toml").write_text("[watch]\ndrfit = 1\n")
    result = CliRunner().invoke(app, ["watch", *words])
    assert result.exit_code in (1, 2)
    assert said in result.output
    assert "Traceback" not in result.output


@pytest.mark.browser
def test_the_page_shows_series_on_their_way_and_settled_with_their_alerts(driver, watched):
    place, _ = watched
    clock = Clock()
    second = Microscope(place / "in", *series("particle", seed=33, jitter=0.5), name="ts_02")
    (place / "in" / "junk.mrc").write_bytes(b"\x07" * 3000)
    with Watch(
        place / "in", place / "out", settings=WatchSettings(tilts=21), runner=NoRun(), clock=clock
    ) as watch:
        for _ in range(7):
            second.record()
            looks(watch, clock)
        looks(watch, clock, 2, 40.0)
        driver.get((place / "out" / "overview.html").as_uri())
        rows = driver.execute_script(
            "return [...document.querySelectorAll('tbody tr')].map(r => [r.dataset.state, r.innerText])"
        )
        images = driver.execute_script(
            "return [...document.images].map(i => i.complete && i.naturalWidth > 0)"
        )
        assert driver.get_log("browser") == []
    states = {text.split("\t")[1].strip(): state for state, text in rows}
    assert states["ts_01"] in ("ok", "look", "bad")
    assert states["ts_02"] == "running"
    assert states["junk.mrc"] == "failed"
    text = " ".join(text for _, text in rows)
    assert "tilt 5 (18°): its contrast" in text or "tilt 5" in text
    assert "collecting: 7 of 21 tilts, the last at" in text
    assert len(images) >= 2
    assert all(images)
    assert int(driver.execute_script("return document.body.dataset.refresh")) == 5
