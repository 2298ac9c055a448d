# SPDX-License-Identifier: BSD-3-Clause
"""Slabs made by the workers of a scheduler: the folder of a run in one process, to the byte."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import tomli_w
from typer.testing import CliRunner
from whole_runs import QUICK, command, job_for, tree

import cryolith
import cryolith.pipeline
from cryolith.cli import app
from cryolith.schedule import Here, Pool

WBP = {"method": "wbp", "halves": "tilts"}


def run(series, out, **how):
    cryolith.run(job_for(series, out, align=QUICK, reconstruct=WBP), threads=1, **how)
    return tree(out)


@pytest.fixture(scope="module")
def undisturbed(tiny_series, tmp_path_factory):
    return run(tiny_series, tmp_path_factory.mktemp("one") / "out")


def test_in_this_process(tiny_series, undisturbed, tmp_path):
    with Here(threads=1) as engine:
        assert run(tiny_series, tmp_path / "out", engine=engine) == undisturbed


def test_in_a_pool_one_of_whose_workers_is_killed(tiny_series, undisturbed, tmp_path):
    """As soon as there are slabs to be made; what it was at is made again by another."""
    with Pool(2, threads=2) as engine:
        ended, killed = threading.Event(), []

        def kill():
            while not ended.wait(0.01):
                for pid in engine.pids:
                    if (tmp_path / "out/.cryolith/reconstruct").exists():
                        os.kill(pid, signal.SIGKILL)
                        killed.append(pid)
                        return

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            found = run(tiny_series, tmp_path / "out", engine=engine)
        finally:
            ended.set()
            killer.join()
    assert killed
    assert found == undisturbed


def test_the_command_line(tiny_series, undisturbed, tmp_path):
    (tmp_path / "job.toml").write_text(tomli_w.dumps({"align": QUICK}))
    out = tmp_path / "out"
    told = CliRunner().invoke(
        app,
        ["run", str(tiny_series), "-o", str(out), "-c", str(tmp_path / "job.toml"),
         "--method", "wbp", "--halves", "tilts", "--workers", "2"],
    )  # fmt: skip
    assert told.exit_code == 0, told.output
    assert {k: v for k, v in tree(out).items() if Path(k).suffix == ".mrc"} == {
        k: v for k, v in undisturbed.items() if Path(k).suffix == ".mrc"
    }


def started_cluster(folder):
    """Start a Dask scheduler and a worker as programs of their own; return them and the address."""
    programs = []
    place = folder / "scheduler.json"
    arguments = [["scheduler", "--port", "0", "--scheduler-file", str(place)]]
    for k in range(2):
        program = [sys.executable, "-m", f"distributed.cli.dask_{arguments[k][0]}"]
        with open(folder / f"{k}.log", "w") as log:
            more = [*arguments[k][1:], "--no-dashboard"]
            programs.append(subprocess.Popen([*program, *more], stderr=log, stdout=log))
        until = time.monotonic() + 60
        while not place.exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        address = json.loads(place.read_text())["address"]
        arguments.append(["worker", address, "--nthreads", "1"])
    return programs, address


@pytest.mark.validation
def test_a_scheduler_that_is_killed(tiny_series, undisturbed, tmp_path):
    """One clear error; then the same run without it goes on to the same bytes."""
    programs, address = started_cluster(tmp_path)
    try:
        (tmp_path / "job.toml").write_text(tomli_w.dumps({"align": QUICK, "reconstruct": WBP}))
        out = tmp_path / "out"
        how = ("-o", out, "-c", tmp_path / "job.toml", "--scheduler", address)
        with subprocess.Popen(
            command("run", tiny_series, *how), stderr=subprocess.PIPE, text=True
        ) as process:
            ledger = out / ".cryolith/reconstruct/ledger.jsonl"
            while process.poll() is None and not ledger.exists():
                time.sleep(0.01)
            programs[0].kill()
            said = process.stderr.read()
            assert process.wait(120) == 1
        assert "Dask: the scheduler was lost" in said
        assert not (out / "volume.mrc").exists()
    finally:
        for program in programs:
            program.kill()
            program.wait()
    cryolith.pipeline.resume(out, threads=1)
    volumes = {k: v for k, v in tree(out).items() if k.endswith(".mrc")}
    assert volumes == {k: v for k, v in undisturbed.items() if k.endswith(".mrc")}
