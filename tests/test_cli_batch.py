# SPDX-License-Identifier: BSD-3-Clause
"""``cryolith batch`` and its options, and ``cryolith run`` on a scheduler."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner
from whole_runs import tree

from cryolith.cli import app

QUICK = """
[align]
refine_axis = false
refine_magnification = false
refine_rotation = false
iterations = 1
beads = "no"
"""


def call(*args):
    return CliRunner().invoke(app, [str(a) for a in args])


@pytest.fixture
def raw(tmp_path, tiny_series):
    for suffix in (".mrc", ".rawtlt"):
        shutil.copy(tiny_series.with_suffix(suffix), tmp_path / f"ts_1{suffix}")
    (tmp_path / "page.mrc").write_bytes(b"<!DOCTYPE html><html></html>")
    (tmp_path / "quick.toml").write_text(QUICK)
    return tmp_path


def test_a_dry_run_lists_each_series_and_what_all_need(raw):
    given = (
        "batch",
        raw / "*.mrc",
        "-o",
        raw / "out",
        "--dry-run",
        "--local",
        2,
        "--no-calibration",
    )
    done = call(*given)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0].startswith("page  will be set aside: ")
    assert "an HTML page" in lines[0]
    assert lines[1].startswith("ts_1  new; at most about ")
    assert lines[2].startswith("2 of 2 series to be done, 2 at once: about ")
    assert not (raw / "out").exists()
    facts = json.loads(call(*given, "--json").output)
    assert [s["name"] for s in facts["series"]] == ["page", "ts_1"]
    assert facts["bytes_memory"] == max(
        s["bytes_memory"] for s in facts["series"][1]["plan"]["stages"]
    )


def test_a_dry_run_says_what_does_not_fit_and_what_would(raw):
    done = call("batch", raw / "ts_1.mrc", "-o", raw / "out", "--dry-run", "--max-memory", "200 MB",
                "--workers", 2, "--no-calibration")  # fmt: skip
    assert done.exit_code == 0
    assert "will be set aside: memory: the job needs" in done.output
    assert "--max-memory allows 90 MB" in done.output


def test_a_batch_in_processes_says_what_it_did(raw):
    out = raw / "out"
    given = ("batch", raw / "*.mrc", "-c", raw / "quick.toml", "-o", out, "--workers", 1)
    done = call(*given, "--json", "--threads", 1)
    assert done.exit_code == 1  # one was set aside
    events = [json.loads(line) for line in done.stdout.splitlines()]
    judged = {e["series"]: e["state"] for e in events if e["event"] == "judged"}
    assert judged == {"page": "failed", "ts_1": "ok"}
    assert events[-1]["counts"] == {"failed": 1, "ok": 1}
    (raw / "page.mrc").unlink()
    again = call("resume", out)
    assert "2 series: 1 failed, 1 ok; 0 done now" in again.output
    # One run of it as a task of the same pool leaves the same files.
    single = call("run", raw / "ts_1.mrc", "-c", raw / "quick.toml", "-o", raw / "single",
                  "--workers", 1, "--threads", 1)  # fmt: skip
    assert single.exit_code == 0, single.output
    assert "OK: No number asks" in single.output
    assert tree(out / "ts_1") == tree(raw / "single")
    refused = call("resume", raw / "single", "--workers", 2)
    assert refused.exit_code == 2
    assert "is one run" in refused.output


def test_bad_use_is_told(raw):
    both = call("batch", raw / "*.mrc", "-o", raw / "out", "--workers", 2, "--local", 2)
    assert both.exit_code == 2
    assert "found --local and --workers, expected one of them" in both.output
    nothing = call("batch", raw / "*.st", "-o", raw / "out")
    assert nothing.exit_code == 1
    assert "found no image file" in nothing.output
    failed = call("run", raw / "page.mrc", "-o", raw / "single", "--workers", 1)
    assert failed.exit_code == 1
    assert "an HTML page" in failed.output
