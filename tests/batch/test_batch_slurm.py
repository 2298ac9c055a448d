# SPDX-License-Identifier: BSD-3-Clause
"""Scripts for Slurm, run as Slurm runs them: bash, with its variables set."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess

import pytest
from batch_tools import HTML
from typer.testing import CliRunner

from cryolith.batch import enrol, open_batch, run_one
from cryolith.batch.ledger import Ledger
from cryolith.cli import app
from cryolith.config import read_toml
from cryolith.errors import ConfigError, InputError
from cryolith.records import lock
from cryolith.schedule import Here
from cryolith.schedule.slurm import read_slurm

JOB = """
[align]
refine_axis = false
refine_magnification = false
refine_rotation = false
iterations = 1
beads = "no"

[slurm]
partition = "long"
account = "lab"
time = "02:00:00"
memory = "8 GiB"
cpus = 4
at_once = 10
lines = ["#SBATCH --constraint=avx2", "export NOTE=loaded"]
"""

SBATCH = """#!/bin/bash
echo "$@" >> "$ASKED"
echo 123
"""


def call(*args):
    return CliRunner().invoke(app, [str(a) for a in args])


def bash(script, *args, **variables):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SLURM")}
    return subprocess.run(
        ["bash", script, *args],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """A program of this name that notes what it is given; return the notes."""
    place = tmp_path / "bin"
    place.mkdir()
    program = place / "sbatch"
    program.write_text(SBATCH)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    return tmp_path / "asked"


@pytest.fixture
def job(tmp_path):
    path = tmp_path / "job.toml"
    path.write_text(JOB)
    return path


@pytest.fixture
def raw(tmp_path, tiny_series):
    folder = tmp_path / "raw"
    folder.mkdir()
    for suffix in (".mrc", ".rawtlt"):
        shutil.copy(tiny_series.with_suffix(suffix), folder / f"it's 1{suffix}")
    (folder / "page.mrc").write_bytes(HTML)
    return folder


def test_an_array_does_a_series_an_index_and_the_overview(raw, job, tmp_path):
    out, script = tmp_path / "out", tmp_path / "batch.sbatch"
    done = call("batch", raw / "*.mrc", "-c", job, "-o", out, "--emit-sbatch", script)
    assert done.exit_code == 0, done.output
    assert script.stat().st_mode & stat.S_IXUSR
    head = [line for line in script.read_text().splitlines() if line.startswith("#SBATCH")]
    assert head == [
        "#SBATCH --job-name=cryolith",
        f'#SBATCH --output="{out}/logs/%A_%a.log"',
        "#SBATCH --array=0-1%10",
        "#SBATCH --partition=long",
        "#SBATCH --account=lab",
        "#SBATCH --time=02:00:00",
        "#SBATCH --mem=8192M",
        "#SBATCH --cpus-per-task=4",
        "#SBATCH --constraint=avx2",
    ]
    first = bash(script, SLURM_ARRAY_TASK_ID="0", SLURM_CPUS_PER_TASK="1")
    assert first.returncode == 0, first.stderr
    second = bash(script, SLURM_ARRAY_TASK_ID="1", SLURM_CPUS_PER_TASK="1")
    assert second.returncode == 1
    assert "page: failed" in second.stderr
    assert {n: e.row.state for n, e in Ledger.read(out).entries.items()} == {
        "it's 1": "waiting",
        "page": "waiting",
    }
    third = bash(script, "overview", SLURM_ARRAY_TASK_ID="0")
    assert third.returncode == 0, third.stderr
    assert "2 series: 1 failed, 1 ok" in third.stdout
    assert "HTML page" in (out / "overview.html").read_text()
    again = call("batch", raw / "*.mrc", "-c", job, "-o", out, "--emit-sbatch", script)
    assert again.output == "nothing to be done\n"


def test_bash_submits_the_array_and_then_the_overview(raw, job, tmp_path, sbatch):
    out = tmp_path / "out"
    done = call("batch", raw / "*.mrc", "-c", job, "-o", out, "--slurm", job)
    assert done.exit_code == 0, done.output
    script = out / "batch.sbatch"
    assert sbatch.read_text().splitlines() == [
        f"--parsable {script}",
        f"--dependency=afterany:123 --array=0 {script} overview",
    ]
    assert "array job 123" in done.output


def test_a_run_is_one_job(raw, job, tmp_path, sbatch, monkeypatch, tiny_series):
    monkeypatch.chdir(raw)
    out, script = tmp_path / "out", tmp_path / "run.sbatch"
    series = "it's 1.mrc"
    done = call("run", series, "-c", job, "-o", out, "--method", "wbp", "--emit-sbatch", script)
    assert done.exit_code == 0, done.output
    assert read_toml(out / "job.toml")["reconstruct"]["method"] == "wbp"
    (raw / series).write_bytes(HTML)  # what the job finds there tells that it ran, and where
    monkeypatch.chdir(tmp_path)
    worked = bash(script, SLURM_CPUS_PER_TASK="1")
    assert worked.returncode == 1
    assert worked.stderr.startswith(f"error: {series}: ")
    assert "an HTML page" in worked.stderr
    monkeypatch.chdir(raw)
    shutil.copy(tiny_series, raw / series)
    submitted = call("run", series, "-c", job, "-o", tmp_path / "other", "--slurm", job)
    assert submitted.exit_code == 0, submitted.output
    assert sbatch.read_text() == f"{tmp_path / 'other' / '.cryolith' / 'job.sbatch'}\n"


def test_without_sbatch_the_error_says_what_to_do(raw, job, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for command in ("batch", "run"):
        done = call(command, raw / "page.mrc", "-o", tmp_path / "out", "--slurm", job)
        assert done.exit_code == 1
        assert "--emit-sbatch FILE" in done.output
        assert not (tmp_path / "out").exists()


def test_a_killed_job_of_the_array_is_failed_and_a_running_one_runs(raw, job, tmp_path):
    out = tmp_path / "out"
    call("batch", raw / "*.mrc", "-c", job, "-o", out, "--emit-sbatch", tmp_path / "b.sbatch")
    asked = open_batch(out)

    class Killed(Here):
        def outcomes(self, tasks, started=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_one(asked, "page", Killed())
    (out / "page").mkdir()
    with lock(out / "page"):
        call("report", out)
        assert Ledger.read(out).entries["page"].row.state == "running"
    call("report", out)
    row = Ledger.read(out).entries["page"].row
    assert (row.state, row.attempts) == ("failed", 1)
    assert "ended without a word" in row.reason
    assert enrol(asked) == ["it's 1", "page"]
    with pytest.raises(InputError, match="found 'nobody', expected one of"):
        run_one(asked, "nobody", Here())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[align]\n", r"found no table \[slurm\]"),
        ('[slurm]\npartitio = "x"\n', "did you mean 'partition'"),
        ('[slurm]\ntime = "1\\n2"\n', "found a line break"),
        ("[slurm]\ncpus = 0\n", "cpus"),
    ],
)
def test_resources_that_cannot_be_are_told(tmp_path, text, message):
    (tmp_path / "job.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_slurm(tmp_path / "job.toml")
