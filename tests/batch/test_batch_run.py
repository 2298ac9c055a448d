# SPDX-License-Identifier: BSD-3-Clause
"""Batches carried out: each series judged, results those of single runs, killed and gone on with."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from batch_tools import HTML, cut, write_series
from whole_runs import QUICK, command, tree

import cryolith
from cryolith.batch import Batch, run_batch
from cryolith.batch.ledger import Ledger
from cryolith.config import job_from_mapping
from cryolith.listener import Listener
from cryolith.pipeline import STAGES
from cryolith.schedule import DaskLocal, Here, Pool

SETTINGS = "[align]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in QUICK.items())


def ask(raw: Path, out: Path, retries: int = 2, names: str = "*.mrc", **tables) -> Batch:
    job = job_from_mapping({"align": QUICK, **tables})
    return Batch(patterns=(str(raw / names),), job=job, out=out, retries=retries)


def entries(out: Path):
    return Ledger.read(out).entries


def single_run(asked: Batch, name: str, folder: Path) -> dict[str, bytes]:
    """The files of an undisturbed run of one series of a batch."""
    job = asked.job_of(entries(asked.out)[name].path, name)
    cryolith.run(replace(job, output=str(folder)), threads=1)
    return tree(folder)


class Killer(Listener):
    """Kills all workers when the first series is done: one of them is at work on another then."""

    def __init__(self, scheduler: DaskLocal) -> None:
        self.scheduler, self.killed = scheduler, 0

    def judged(self, name, state, reason):
        if state == "ok" and not self.killed:
            for pid in self.scheduler.pids:
                os.kill(pid, signal.SIGKILL)
                self.killed += 1


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    for seed in (1, 2, 3):
        write_series(folder / f"ts_{seed}.mrc", seed)
    (folder / "page.mrc").write_bytes(HTML)
    return folder


@pytest.fixture(scope="module")
def disturbed(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Batch:
    """A batch on two Dask workers, which are killed when the first series is done."""
    asked = ask(raw, tmp_path_factory.mktemp("batch") / "out")
    with DaskLocal(2) as scheduler:
        killer = Killer(scheduler)
        run_batch(asked, scheduler, listener=killer)
        assert killer.killed == 2
    return asked


def test_every_series_is_judged_and_a_broken_one_set_aside(disturbed):
    found = entries(disturbed.out)
    states = {name: entry.row.state for name, entry in found.items()}
    assert states == {"page": "failed", "ts_1": "ok", "ts_2": "ok", "ts_3": "ok"}
    assert "an HTML page" in found["page"].row.reason
    assert found["page"].row.attempts == 1
    row = found["ts_1"].row
    assert (row.tilts, row.tilts_used, row.unit) == (15, 15, "nm")
    assert row.axis_deg == pytest.approx(4.0, abs=0.5)
    assert row.residual < 0.15
    assert row.counts["layers"] == 7
    assert row.thumbnail is not None
    assert not (disturbed.out / "page").exists()


def test_results_are_those_of_undisturbed_single_runs(disturbed, tmp_path):
    """Of the series whose worker was killed."""
    found = entries(disturbed.out)
    (name, *_) = [name for name in found if found[name].row.attempts > 1]
    assert tree(disturbed.out / name) == single_run(disturbed, name, tmp_path / name)


@pytest.mark.browser
def test_the_overview_shows_all_and_leads_to_each_report(disturbed, driver):
    metrics = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.get_log("browser")
    driver.get((disturbed.out / "overview.html").as_uri())
    counts = driver.find_element("id", "counts").text.split("\n")
    assert counts == ["4 series", "1 FAILED", "3 OK"]
    rows = driver.find_elements("css selector", "tbody tr")
    assert [r.get_attribute("data-state") for r in rows] == ["failed", "ok", "ok", "ok"]
    assert "an HTML page" in rows[0].text
    links = driver.find_elements("css selector", "td.name a")
    reports = [unquote(urlsplit(a.get_attribute("href")).path) for a in links]
    assert reports == [str(disturbed.out / f"ts_{i}" / "report.html") for i in (1, 2, 3)]
    assert all(Path(report).is_file() for report in reports)
    links[0].click()
    assert "cryolith" in driver.title
    assert driver.get_log("browser") == []


def test_a_moved_copy_is_verified_and_not_done_again(disturbed, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(disturbed.out, out)
    before = {p: p.stat().st_mtime_ns for p in out.glob("ts_*/**/*.json")}
    asked = ask(Path(disturbed.patterns[0]).parent, out)
    summary = run_batch(asked, Here(threads=1))
    assert summary.done == ("ts_1", "ts_2", "ts_3")
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert run_batch(asked, Here(threads=1)).done == ()


def test_a_damaged_result_is_done_again_and_a_setting_redoes_what_it_touches(disturbed, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(disturbed.out, out)
    raw = Path(disturbed.patterns[0]).parent
    volume = out / "ts_1" / "volume.mrc"
    whole = volume.read_bytes()
    volume.write_bytes(whole[:-4] + b"\0\0\0\1")
    assert run_batch(ask(raw, out, names="ts_1.mrc"), Here(threads=1)).done == ("ts_1",)
    assert volume.read_bytes() == whole
    stages = [out / "ts_1" / ".cryolith" / f"{stage}.json" for stage in STAGES]
    before = [record.stat().st_mtime_ns for record in stages]
    run_batch(ask(raw, out, names="ts_1.mrc", detect={"min_size": 4}), Here(threads=1))
    after = [record.stat().st_mtime_ns for record in stages]
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, True, False, False]


def test_a_killed_batch_goes_on_with_resume(disturbed, tmp_path):
    """The main process is killed with the first series done; its workers end with it."""
    (tmp_path / "quick.toml").write_text(SETTINGS)
    out, raw = tmp_path / "out", Path(disturbed.patterns[0]).parent
    given = ("batch", raw / "ts_[12].mrc", "-c", tmp_path / "quick.toml", "-o", out, "--threads", 1)
    with subprocess.Popen(command(*given), stderr=subprocess.PIPE, text=True) as process:
        assert next(line for line in process.stderr if line.startswith("ts_")) == "ts_1: ok\n"
        process.kill()
    assert entries(out)["ts_2"].row.state in ("running", "waiting")
    done = subprocess.run(command("resume", out, "--threads", 1), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2 series: 2 ok; 1 done now" in done.stdout
    for name in ("ts_1", "ts_2"):
        assert tree(out / name) == tree(disturbed.out / name)


@pytest.mark.validation
def test_twenty_series_with_a_worker_killed_every_few_seconds(tmp_path, capsys):
    raw, out = tmp_path / "raw", tmp_path / "out"
    for seed in range(1, 21):
        write_series(raw / f"ts_{seed:02}.mrc", seed)
    cut(raw / "ts_07.mrc")
    (raw / "ts_15.mrc").write_bytes(HTML)
    # On a busy machine a worker must live long enough for a stage to end.
    begun = time.monotonic()
    with Pool(1, threads=1) as pool:
        run_batch(ask(raw, tmp_path / "one", names="ts_01.mrc"), pool)
    every = max(3.0, time.monotonic() - begun)
    asked = ask(raw, out, retries=9)
    killed, over = [], threading.Event()
    with DaskLocal(2) as scheduler:

        def kill() -> None:
            for turn in itertools.count():
                if over.wait(every):
                    return
                pids = scheduler.pids
                if len(pids) == 2:
                    os.kill(pids[turn % 2], signal.SIGKILL)
                    killed.append(pids[turn % 2])

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            summary = run_batch(asked, scheduler)
        finally:
            over.set()
            killer.join()
    found = entries(out)
    with capsys.disabled():
        attempts = [entry.row.attempts for entry in found.values()]
        sys.stdout.write(
            f"\n{len(killed)} workers killed, one every {every:.1f} s; attempts of the series: {attempts}\n"
        )
    assert len(killed) >= 5
    assert summary.counts == {"ok": 18, "failed": 2}
    assert "truncated" in found["ts_07"].row.reason
    assert "an HTML page" in found["ts_15"].row.reason
    assert [found[n].row.attempts for n in ("ts_07", "ts_15")] == [1, 1]
    for name in found:
        if found[name].row.state == "ok":
            assert tree(out / name) == single_run(asked, name, tmp_path / "single" / name), name
    assert run_batch(asked, Pool(1)).done == ()
