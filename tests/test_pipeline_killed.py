# SPDX-License-Identifier: BSD-3-Clause
"""The main job killed, interrupted and cancelled."""

import concurrent.futures
import json
import multiprocessing
import random
import signal
import subprocess
import time

import pytest
from whole_runs import QUICK, command, job_for, tree

import cryolith
from cryolith import pipeline, records
from cryolith.pipeline import Listener


def work(series, out):
    """Run or, where a job is there, resume."""
    if (out / "job.toml").exists():
        pipeline.resume(out, threads=1)
    else:
        cryolith.run(job_for(series, out, align=QUICK), threads=1)


@pytest.fixture(scope="module")
def start():
    """Start `work` in a process of its own: the child of one that has imported everything and runs no thread."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cryolith.pipeline", "cryolith.stages", "matplotlib.figure"])

    def started(series, out):
        process = context.Process(target=work, args=(series, out))
        process.start()
        return process

    return started


def finish(process):
    process.join()
    assert process.exitcode == 0


def kill_and_resume(start, series, out, delay):
    """Kill a run after `delay` seconds and resume it."""
    process = start(series, out)
    process.join(delay)
    process.kill()
    process.join()
    finish(start(series, out))
    return tree(out)


def test_sigkill_at_20_random_moments_then_resume(start, tiny_series, tmp_path):
    begun = time.monotonic()
    finish(start(tiny_series, tmp_path / "undisturbed"))
    duration = time.monotonic() - begun
    reference = tree(tmp_path / "undisturbed")
    rng = random.Random(20261122)
    delays = [rng.uniform(0, duration * 1.1) for _ in range(20)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(kill_and_resume, start, tiny_series, tmp_path / f"out{i}", delay)
            for i, delay in enumerate(delays)
        ]
        for delay, job in zip(delays, runs, strict=True):
            assert job.result() == reference, f"killed after {delay:.2f} s"


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A folder in which one stage after the other is interrupted, so that those before it are done."""
    return tmp_path_factory.mktemp("interrupted") / "out"


@pytest.mark.parametrize("stage", pipeline.STAGES)
def test_ctrl_c_stops_soon_and_leaves_nothing_half_written(stage, needle_series, interrupted):
    out = interrupted
    with subprocess.Popen(
        command("run", needle_series, "-o", out), stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr:
            if line.startswith(f"{stage}: starts"):
                break
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        said = process.stderr.read()
        assert process.wait(20) == 130
    # The promise is one second on a quiet machine; the test machine may run others beside it.
    assert time.monotonic() - start < 3
    assert "interrupted" in said
    assert not [name for name in tree(out) if "partial" in name]
    assert not (out / records.FOLDER / f"{stage}.json").exists()


def test_the_axis_of_the_sample_is_that_of_its_authors(interrupted, needle_series):
    """The alignment that the interrupted runs have left; made here when this test runs alone."""
    if not (interrupted / "alignment.json").exists():
        cryolith.run(job_for(needle_series, interrupted))
    axis = json.loads((interrupted / "alignment.json").read_text())["tilt_axis_deg"]
    # Nothing tells which way it points.
    assert abs((axis - 92.793 + 90) % 180 - 90) < 1.0


def test_cancel_stops_a_run_from_another_thread(needle_series, tmp_path):
    token = cryolith.CancelToken()

    class Canceller(Listener):
        def started(self, stage, why):
            token.cancel()

    with pytest.raises(cryolith.Cancelled):
        cryolith.run(job_for(needle_series, tmp_path / "out"), cancel=token, listener=Canceller())
