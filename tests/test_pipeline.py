# SPDX-License-Identifier: BSD-3-Clause
"""The main job end to end, and resumed."""

import shutil
from dataclasses import replace

import mrcfile
import numpy as np
import pytest
from threadpoolctl import threadpool_limits
from whole_runs import job_for, tree

import cryolith
from cryolith import pipeline, records
from cryolith._stored import StoredArray
from cryolith.config import Job, SeriesSettings
from cryolith.pipeline import Listener

FINAL = {"alignment.json", "volume.mrc", "labels.mrc", "defects.json", "report.html", "report.json"}


class Log(Listener):
    """Remembers what it hears."""

    def __init__(self):
        self.events = []

    def started(self, stage, why):
        self.events.append(("started", stage, why))

    def skipped(self, stage):
        self.events.append(("skipped", stage))

    def verified(self, stage, what):
        self.events.append(("verified", stage, what))

    def names(self, kind):
        return [e[1] for e in self.events if e[0] == kind]


def test_a_run_leaves_every_result_and_nothing_half_written(tiny_run):
    files = set(tree(tiny_run))
    assert files >= FINAL
    assert not [name for name in files if "partial" in name]


def test_the_same_bytes_for_any_number_of_threads(tiny_run, tiny_series, tmp_path):
    cryolith.run(job_for(tiny_series, tmp_path / "out"), threads=2)
    assert tree(tmp_path / "out") == tree(tiny_run)


def test_a_finished_run_is_skipped_whole(tiny_run):
    log = Log()
    before = tree(tiny_run)
    pipeline.resume(tiny_run, listener=log)
    assert log.names("skipped") == log.names("verified") == list(pipeline.STAGES)
    told = {e[1]: e[2] for e in log.events if e[0] == "verified"}
    assert "inputs alignment.json, tiny.mrc; outputs volume.mrc (" in told["reconstruct"]
    assert tree(tiny_run) == before


def test_a_changed_setting_runs_its_stage_and_those_after_it(tiny_run, tiny_series, tmp_path):
    out = shutil.copytree(tiny_run, tmp_path / "out")
    log = Log()
    cryolith.run(job_for(tiny_series, out, reconstruct={"n_iter": 3}), listener=log)
    assert log.names("skipped") == ["align"]
    assert ("started", "reconstruct", "its parameter n_iter has changed") in log.events


def test_a_limit_of_memory_changes_how_a_run_is_done_and_not_what_it_finds(
    tiny_run, tiny_series, tmp_path, monkeypatch
):
    # As if a detection in memory took ten times what it does: the series is too small for other stages to be cut.
    monkeypatch.setattr("cryolith.detect._needs._WHOLE", 400)
    free, cut = (shutil.copytree(tiny_run, tmp_path / name) for name in ("free", "cut"))
    chosen = {"detect": {"layers": False}}
    cryolith.run(job_for(tiny_series, free, **chosen))
    job = job_for(tiny_series, cut, **chosen)
    limit = 165_000_000
    assert pipeline.plan(job).bytes_memory > limit
    assert pipeline.plan(job, max_memory=limit).bytes_memory <= limit
    log = Log()
    result = cryolith.run(job, max_memory=limit, listener=log)
    assert log.names("skipped") == ["align", "reconstruct"]
    assert isinstance(result.volume.data, StoredArray)
    assert isinstance(result.defects.labels, StoredArray)
    assert tree(cut) == tree(free)


def test_halves_do_not_touch_the_volume(tiny_run, tiny_series, tmp_path):
    out = shutil.copytree(tiny_run, tmp_path / "out")
    result = cryolith.run(job_for(tiny_series, out, reconstruct={"halves": "tilts"}))
    assert (out / "volume.mrc").read_bytes() == (tiny_run / "volume.mrc").read_bytes()
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


def test_a_damaged_result_is_made_again(tiny_series, tiny_run, tmp_path):
    out = shutil.copytree(tiny_run, tmp_path / "out")
    with open(out / "volume.mrc", "r+b") as f:
        f.seek(2000)
        f.write(b"\x01")
    log = Log()
    pipeline.resume(out, listener=log)
    assert log.names("started")[0] == "reconstruct"
    assert tree(out) == tree(tiny_run)


@pytest.mark.parametrize("stage", ["detect", "report"])
def test_a_restart_does_a_stage_and_those_after_it_again(stage, tiny_run, tmp_path):
    out, log = shutil.copytree(tiny_run, tmp_path / "out"), Log()
    pipeline.resume(out, listener=log, restart=stage)
    at = pipeline.STAGES.index(stage)
    assert log.names("skipped") == list(pipeline.STAGES[:at])
    assert [e[1:] for e in log.events if e[0] == "started"] == [
        (name, "as asked") for name in pipeline.STAGES[at:]
    ]
    assert tree(out) == tree(tiny_run)


def test_a_restart_that_fails_leaves_no_record_of_what_was_to_be_done(tiny_run, tmp_path):
    class Fails(Listener):
        def started(self, stage, why):
            raise KeyboardInterrupt

    out = shutil.copytree(tiny_run, tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        pipeline.resume(out, listener=Fails(), restart="reconstruct")
    kept = sorted(p.name for p in (out / records.FOLDER).glob("*.json"))
    assert kept == ["align.json"]


def test_a_stage_that_is_none_is_refused_before_anything_is_done(tiny_run):
    before = tree(tiny_run)
    with pytest.raises(cryolith.ConfigError, match="found 'volume', expected one of align, "):
        pipeline.resume(tiny_run, restart="volume")
    assert tree(tiny_run) == before


def test_other_peoples_folders_are_not_touched(tiny_series, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(cryolith.InputError, match="not empty"):
        cryolith.run(job_for(tiny_series, tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_results_of_another_series_are_not_written_over(tiny_run):
    with pytest.raises(cryolith.InputError, match="holds the results of"):
        cryolith.run(job_for("another.mrc", tiny_run))


def test_a_job_needs_its_paths():
    with pytest.raises(cryolith.InputError, match=r"series\.path"):
        cryolith.run(Job(series=SeriesSettings()))


def test_resume_of_nothing_says_so(tmp_path):
    with pytest.raises(cryolith.InputError, match="cryolith run"):
        pipeline.resume(tmp_path)


def test_a_plan_says_what_would_be_done_and_writes_nothing(tiny_series, tmp_path):
    plan = cryolith.plan(job_for(tiny_series, tmp_path / "out"))
    assert [s.name for s in plan.stages] == list(pipeline.STAGES)
    assert all(s.seconds > 0 and s.bytes_memory > 0 for s in plan.stages)
    assert not (tmp_path / "out").exists()


def test_a_plan_needs_no_device_to_be_there_but_its_name(tiny_series, tmp_path):
    job = job_for(tiny_series, tmp_path / "out")
    here = cryolith.plan(job)

    def on(device: str) -> Job:
        return replace(job, reconstruct=replace(job.reconstruct, device=device))

    assert cryolith.plan(on("cuda:7,cuda:6")) == here
    for device, match in [("gpu", "device: found 'gpu'"), ("cuda,cuda:0", "twice")]:
        with pytest.raises(cryolith.InputError, match=match):
            cryolith.plan(on(device))


def test_a_job_that_cannot_fit_is_refused_before_it_starts(tiny_series, tmp_path):
    with pytest.raises(cryolith.InputError, match="memory"):
        cryolith.run(job_for(tiny_series, tmp_path / "out"), max_memory=10_000_000)
    assert not (tmp_path / "out" / "alignment.json").exists()


def test_the_result_carries_arrays_and_meaning(tiny_run):
    result = pipeline.resume(tiny_run)
    assert result.volume.data.dtype == np.float32
    assert result.volume.pixel_size == pytest.approx(20.0)
    assert len(result.alignment.angles_deg) == len(result.series)


def test_threads_of_blas_change_no_byte(tiny_series, tmp_path):
    """Its sums have other last digits on two threads than on one."""
    quick = {"refine_magnification": False, "refine_rotation": False, "iterations": 1}

    def aligned(threads):
        job = job_for(tiny_series, tmp_path / str(threads), align=quick)
        with (
            threadpool_limits(threads, user_api="blas"),
            pipeline.open_run(job, threads=1, cancel=None, listener=None, overwrite=False) as state,
        ):
            pipeline.carry_out(state, "align")
        return tree(tmp_path / str(threads))

    assert aligned(1) == aligned(2)
