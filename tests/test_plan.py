# SPDX-License-Identifier: BSD-3-Clause
"""Plans before anything starts: what is refused, which settings would do, and times as this machine is."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from whole_runs import command, job_for

import cryolith
from cryolith import fitting, limits, pipeline
from cryolith.calibration import BUILT_IN, Rates, calibrate
from cryolith.cli_options import make_job
from cryolith.limits import MemoryLimit
from cryolith.planning import Plan, StagePlan

PIXEL = 10.0
SHAPE = (41, 400, 300)


def series(pixel_size=PIXEL):
    images = np.broadcast_to(np.float32(0), SHAPE)
    return cryolith.TiltSeries(
        images=images, angles_deg=np.linspace(-60, 60, 41), pixel_size=pixel_size
    )


def modelled(job, given, *, max_memory=None):
    """A plan whose needs are easy to say: 100 bytes a voxel, 20 for wbp; half of it when it is cut."""
    r = job.reconstruct
    nz = 400 if r.thickness is None else round(r.thickness / PIXEL)
    shape = (max(1, nz // r.binning), 400 // r.binning, 300 // r.binning)
    need = math.prod(shape) * (20 if r.method == "wbp" else 100)
    if max_memory is not None:
        need = min(need, max(need // 2, max_memory))
    stage = StagePlan(
        name="reconstruct", seconds=10.0, bytes_memory=need, bytes_disk=8 * math.prod(shape)
    )
    return Plan(series_shape=SHAPE, volume_shape=shape, stages=(stage,))


WHOLE = 100 * 400 * 400 * 300


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setattr(fitting, "plan_job", modelled)


def job(out, **reconstruct):
    return job_for("s.mrc", out, reconstruct=reconstruct)


def told(message):
    """The options that a refusal names, each as a list of words."""
    return [shlex.split(option) for option in re.findall(r"--[a-z-]+ (?:'[^']*'|\S+)", message)]


def allowed(*numbers, source="--max-memory"):
    return MemoryLimit(*numbers, source)


def test_a_job_that_fits_is_not_cut_and_one_that_does_not_is(model, tmp_path):
    whole, cut = allowed(WHOLE), allowed(WHOLE - 1)
    assert fitting.require_fits(job(tmp_path), series(), whole).bytes_memory == WHOLE
    assert fitting.require_fits(job(tmp_path), series(), cut).bytes_memory == WHOLE - 1


@pytest.mark.parametrize("part", [0.4, 0.2, 0.101])
def test_what_a_refusal_names_would_do_and_less_would_not(part, model, tmp_path):
    limit = allowed(int(WHOLE * part))
    with pytest.raises(cryolith.InputError, match="memory: the job needs at least") as refusal:
        fitting.require_fits(job(tmp_path), series(), limit)
    options = dict(told(str(refusal.value)))
    assert list(options) == ["--max-memory", "--thickness", "--binning", "--method"]
    more = cryolith.units.parse_bytes(options["--max-memory"])
    assert WHOLE / 2 <= more <= 1.02 * WHOLE / 2
    thin = make_job("s.mrc", tmp_path, None, thickness=options["--thickness"])
    assert 0.97 < thin.reconstruct.thickness / (2 * part * 400 * PIXEL) <= 1
    for name in ("thickness", "binning", "method"):
        value = options[f"--{name}"]
        changed = make_job(
            "s.mrc", tmp_path, None, **{name: int(value) if name == "binning" else value}
        )
        assert fitting.fitting_plan(changed, series(), limit) is not None
    binning = int(options["--binning"])
    less = job(tmp_path, binning=binning - 1)
    assert binning == 2 or fitting.fitting_plan(less, series(), limit) is None


def test_a_limit_that_is_not_the_users_is_named(model, tmp_path):
    limit = allowed(WHOLE // 4, source="control group")
    with pytest.raises(cryolith.InputError, match=r"group allows 1\.2 GB; raise that limit"):
        fitting.require_fits(job(tmp_path), series(None), limit)


def test_where_nothing_would_do_that_is_said(model, tmp_path):
    with pytest.raises(cryolith.InputError, match="no thickness, binning or method alone would do"):
        fitting.require_fits(job(tmp_path), series(), allowed(1000))


def test_a_disk_that_is_too_full_asks_for_less(model, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "free_bytes", lambda folder: 100_000_000)
    with pytest.raises(
        cryolith.InputError, match="writes 384 MB, free are 100 MB; make 284 MB of room"
    ) as refusal:
        fitting.require_fits(job(tmp_path), series(), allowed(WHOLE))
    options = dict(told(str(refusal.value)))
    assert list(options) == ["--thickness", "--binning"]
    assert options["--binning"] == "2"


def test_a_run_takes_the_systems_limits_into_account(tiny_series, tmp_path, monkeypatch):
    monkeypatch.setattr(
        pipeline, "memory_limit", lambda given: MemoryLimit(10_000_000, "RLIMIT_AS")
    )
    with pytest.raises(cryolith.InputError, match="RLIMIT_AS allows 10 MB"):
        cryolith.run(job_for(tiny_series, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_calibration_measures_and_leaves_nothing(tmp_path):
    rates = calibrate(tmp_path / "not" / "there", threads=1)
    assert rates.compute > 0
    assert rates.serial > 0
    assert 0 < rates.disk < math.inf
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a folder that nobody can write to")
def test_a_folder_that_cannot_be_written_to_has_no_rate():
    assert calibrate("/proc/self", threads=1).disk == math.inf


def test_times_are_those_of_the_machine(tiny_series, tmp_path):
    made = cryolith.plan(job_for(tiny_series, tmp_path))
    assert made.at(BUILT_IN) == made
    slow = made.at(Rates(compute=0.5, serial=0.25, disk=1e6))
    for stage, was in zip(slow.stages, made.stages, strict=True):
        slower = 4 if was.name == "report" else 2
        expected = was.seconds * slower + (was.bytes_disk + was.bytes_scratch) / 1e6
        assert stage.seconds == pytest.approx(expected, abs=0.06)
        assert replace(stage, seconds=0) == replace(was, seconds=0)
    assert slow.seconds == pytest.approx(sum(s.seconds for s in slow.stages))


def plan_command(*args):
    return subprocess.run(command("plan", *args), capture_output=True, text=True)


def test_the_plan_of_a_batch_sums_up_and_says_what_cannot_run(tiny_series, tmp_path):
    (tmp_path / "bad.mrc").write_bytes(b"no image")
    done = plan_command(tiny_series, tiny_series, tmp_path / "bad.mrc", "-o", tmp_path / "out")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines[:4]] == [
        "tiny.mrc",
        "tiny.mrc",
        "bad.mrc",
        "in all",
    ]
    assert "cannot be read" in lines[2]
    assert lines[3].endswith("one after another")
    assert "times as this machine is now" in lines[4]
    assert "1 of 3 series cannot run" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.mrc"]


def test_the_plan_of_one_series_says_each_stage(tiny_series, tmp_path):
    args = (tiny_series, "-o", tmp_path / "out", "--no-calibration")
    done = plan_command(*args)
    assert done.returncode == 0, done.stderr
    stages = [line.split()[0] for line in done.stdout.splitlines()[1:5]]
    assert stages == list(pipeline.STAGES)
    assert done.stdout.endswith("times at the built-in rates of two cores\n")
    facts = json.loads(plan_command(*args, "--json").stdout)
    assert facts["problem"] == ""
    assert [s["name"] for s in facts["stages"]] == list(pipeline.STAGES)
    refused = plan_command(*args, "--max-memory", "10 MB")
    assert refused.returncode == 1
    assert "allows 10 MB" in refused.stderr
    assert os.listdir(tmp_path) == []


def test_limits_are_looked_up_where_plans_are_made():
    assert pipeline.memory_limit is limits.memory_limit
