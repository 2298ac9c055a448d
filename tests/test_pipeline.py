# SPDX-License-Identifier: BSD-3-Clause
"""The main job end to end, killed, interrupted and resumed."""

import concurrent.futures
import random
import signal
import subprocess
import sys
import time

import mrcfile
import numpy as np
import pytest

import cryolith
from cryolith import pipeline, records
from cryolith.config import Job, SeriesSettings, job_from_mapping
from cryolith.pipeline import Listener

FINAL = {"alignment.json", "volume.mrc", "labels.mrc", "defects.json", "report.html", "report.json"}


def command(*args):
    return [sys.executable, "-m", "cryolith", *map(str, args)]


def tree(folder):
    """Every file of a folder and its bytes; the lock is empty and only ever held."""
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


class Log(Listener):
    """Remembers what it hears."""

    def __init__(self):
        self.events = []

    def started(self, stage, why):
        self.events.append(("started", stage, why))

    def skipped(self, stage):
        self.events.append(("skipped", stage))

    def names(self, kind):
        return [e[1] for e in self.events if e[0] == kind]


def job_for(path, out, **tables):
    return job_from_mapping({"series": {"path": str(path)}, "output": str(out), **tables})


@pytest.fixture(scope="module")
def undisturbed(tiny_series, tmp_path_factory):
    """One run of the tiny series that nobody disturbs, and how long it took as a process."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    start = time.monotonic()
    subprocess.run(command("run", tiny_series, "-o", out, "--threads", 1), check=True)
    return out, time.monotonic() - start


def test_a_run_leaves_every_result_and_nothing_half_written(undisturbed):
    files = set(tree(undisturbed[0]))
    assert files >= FINAL
    assert not [name for name in files if "partial" in name]


def test_the_same_bytes_for_any_number_of_threads(undisturbed, tiny_series, tmp_path):
    cryolith.run(job_for(tiny_series, tmp_path / "out"), threads=2)
    assert tree(tmp_path / "out") == tree(undisturbed[0])


def test_a_finished_run_is_skipped_whole(undisturbed):
    log = Log()
    before = tree(undisturbed[0])
    pipeline.resume(undisturbed[0], listener=log)
    assert log.names("skipped") == list(pipeline.STAGES)
    assert tree(undisturbed[0]) == before


def test_a_changed_setting_runs_its_stage_and_those_after_it(undisturbed, tiny_series, tmp_path):
    out = tmp_path / "out"
    cryolith.run(job_for(tiny_series, out))
    log = Log()
    cryolith.run(job_for(tiny_series, out, reconstruct={"n_iter": 3}), listener=log)
    assert log.names("skipped") == ["align"]
    assert ("started", "reconstruct", "its parameter n_iter has changed") in log.events


def test_halves_do_not_touch_the_volume(undisturbed, tiny_series, tmp_path):
    out = tmp_path / "out"
    result = cryolith.run(job_for(tiny_series, out, reconstruct={"halves": "tilts"}))
    assert (out / "volume.mrc").read_bytes() == (undisturbed[0] / "volume.mrc").read_bytes()
    first, second = (cryolith.files.read_volume(out / f"volume_half{k}.mrc") for k in (1, 2))
    whole = result.volume
    assert first.pixel_size == whole.pixel_size
    assert np.corrcoef((first.data + second.data).ravel(), whole.data.ravel())[0, 1] > 0.98
    log = Log()
    (out / "volume_half2.mrc").unlink()
    pipeline.resume(out, listener=log)
    assert ("started", "reconstruct", "its output volume_half2.mrc is missing") in log.events


def test_halves_by_frames_take_two_files_more(tiny_series, tmp_path):
    series = cryolith.files.read_tilt_series(tiny_series)
    rng, names = np.random.default_rng(3), [tmp_path / "odd.mrc", tmp_path / "even.mrc"]
    odd = rng.binomial(np.rint(series.images).astype(int), 0.5).astype("f4")
    for name, images in zip(names, (odd, series.images - odd), strict=True):
        with mrcfile.new(name) as mrc:
            mrc.set_data(np.asarray(images, "f4"))
    settings = {"halves": "frames", "method": "wbp"}
    job = job_for(tiny_series, tmp_path / "out", reconstruct=settings)
    with pytest.raises(cryolith.InputError, match="frames: found no files in the job"):
        cryolith.run(job)
    tables = {"path": str(tiny_series), "frames": [str(n) for n in names]}
    job = job_for(tiny_series, tmp_path / "out", reconstruct=settings, series=tables)
    whole = cryolith.run(job).volume.data
    halves = [cryolith.files.read_volume(tmp_path / f"out/volume_half{k}.mrc").data for k in (1, 2)]
    assert np.abs(halves[0] + halves[1] - whole).max() < 1e-4 * np.abs(whole).max()
    record = records.read_record(tmp_path / "out", "reconstruct")
    assert {"odd frames", "even frames"} < set(record.inputs)


def test_a_damaged_result_is_made_again(tiny_series, undisturbed, tmp_path):
    out = tmp_path / "out"
    cryolith.run(job_for(tiny_series, out))
    with open(out / "volume.mrc", "r+b") as f:
        f.seek(2000)
        f.write(b"\x01")
    log = Log()
    pipeline.resume(out, listener=log)
    assert log.names("started")[0] == "reconstruct"
    assert tree(out) == tree(undisturbed[0])


def test_other_peoples_folders_are_not_touched(tiny_series, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(cryolith.InputError, match="not empty"):
        cryolith.run(job_for(tiny_series, tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_results_of_another_series_are_not_written_over(undisturbed):
    with pytest.raises(cryolith.InputError, match="holds the results of"):
        cryolith.run(job_for("another.mrc", undisturbed[0]))


def test_a_job_needs_its_paths():
    with pytest.raises(cryolith.InputError, match=r"series\.path"):
        cryolith.run(Job(series=SeriesSettings()))


def test_resume_of_nothing_says_so(tmp_path):
    with pytest.raises(cryolith.InputError, match="cryolith run"):
        pipeline.resume(tmp_path)


def kill_and_resume(series, out, delay):
    """Kill a run after `delay` seconds, look at what is left, and resume it."""
    process = subprocess.Popen(command("run", series, "-o", out, "--quiet", "--threads", 1))
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    left = set(tree(out)) if out.exists() else set()
    # Killed before the job was on disk: nothing to resume, nothing written, the run is given again.
    again = ("resume", out) if "job.toml" in left else ("run", series, "-o", out)
    subprocess.run(command(*again, "--quiet", "--threads", 1), check=True)
    return tree(out)


def test_sigkill_at_20_random_moments_then_resume(undisturbed, tiny_series, tmp_path):
    reference, duration = tree(undisturbed[0]), undisturbed[1]
    rng = random.Random(20261122)
    delays = [rng.uniform(0, duration * 1.1) for _ in range(20)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(kill_and_resume, tiny_series, tmp_path / f"out{i}", delay)
            for i, delay in enumerate(delays)
        ]
        for delay, job in zip(delays, runs, strict=True):
            assert job.result() == reference, f"killed after {delay:.2f} s"


@pytest.mark.parametrize("stage", pipeline.STAGES)
def test_ctrl_c_stops_soon_and_leaves_nothing_half_written(stage, needle_series, tmp_path):
    out = tmp_path / "out"
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


def test_a_plan_says_what_would_be_done_and_writes_nothing(tiny_series, tmp_path):
    plan = cryolith.plan(job_for(tiny_series, tmp_path / "out"))
    assert [s.name for s in plan.stages] == list(pipeline.STAGES)
    assert all(s.seconds > 0 and s.bytes_memory > 0 for s in plan.stages)
    assert not (tmp_path / "out").exists()


def test_a_job_that_cannot_fit_is_refused_before_it_starts(tiny_series, tmp_path):
    with pytest.raises(cryolith.InputError, match="memory"):
        cryolith.run(job_for(tiny_series, tmp_path / "out"), max_memory=10_000_000)
    assert not (tmp_path / "out" / "alignment.json").exists()


def test_cancel_stops_a_run_from_another_thread(needle_series, tmp_path):
    token = cryolith.CancelToken()

    class Canceller(Listener):
        def started(self, stage, why):
            token.cancel()

    with pytest.raises(cryolith.Cancelled):
        cryolith.run(job_for(needle_series, tmp_path / "out"), cancel=token, listener=Canceller())


def test_the_result_carries_arrays_and_meaning(undisturbed):
    result = pipeline.resume(undisturbed[0])
    assert result.volume.data.dtype == np.float32
    assert result.volume.pixel_size == pytest.approx(20.0)
    assert len(result.alignment.angles_deg) == len(result.series)
