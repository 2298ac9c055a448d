# SPDX-License-Identifier: BSD-3-Clause
"""A folder that is filled tilt by tilt: the same volumes as ordinary, every planted alert and no other."""

from __future__ import annotations

import json
import os
import shutil

import mrcfile
import numpy as np
import pytest
from microscope import AXIS, Clock, Microscope, alerts, header, looks, series, states

from cryolith import files, pipeline
from cryolith.config import job_from_mapping
from cryolith.errors import InputError
from cryolith.projection import Geometry
from cryolith.reconstruct import GrowingWbp, wbp
from cryolith.watch import HereRunner, Watch, WatchSettings
from cryolith.watch.records import read_kept
from cryolith.watch.running import Outcome

EVERY_WAY = [
    ("stack", "mdoc"),
    ("stack", "header"),
    ("promised", "rawtlt"),
    ("promised", "header"),
    ("files", "mdoc"),
    ("files", "name"),
]
# Quick, and the axis is what the series has.
TABLES = {
    "series": {"tilt_axis": AXIS},
    "align": {"iterations": 1},
    "reconstruct": {"method": "sirt", "n_iter": 3},
}


class NoRun:
    """Keeps the jobs that were begun; they never end."""

    def __init__(self):
        self.jobs = []

    def start(self, job, live):
        self.jobs.append(job)

    def outcome(self):
        return None

    def stop(self):
        pass


class Runs(NoRun):
    """Ends each run as it is told."""

    def __init__(self, *outcomes):
        super().__init__()
        self.outcomes = list(outcomes)

    def outcome(self):
        return self.outcomes.pop(0)


@pytest.fixture(scope="module")
def recorded():
    return series("needle")


@pytest.fixture
def place(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path


def watching(place, clock, runner=None, job=None, **settings):
    settings = WatchSettings(**{"patience_s": 20.0, **settings})
    return Watch(
        place / "in",
        place / "out",
        settings=settings,
        runner=runner or NoRun(),
        clock=clock,
        job=job,
        threads=2,
    )


def filled(microscope, watch, clock, n=None):
    """Record and look, tilt by tilt."""
    events = []
    for _ in range(len(microscope.images) - microscope.done if n is None else n):
        microscope.record()
        events += looks(watch, clock)
    return events


def tree(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def ordinary(recorded, tmp_path_factory):
    """What `cryolith run` makes of the same images as one finished stack."""
    images, angles = recorded
    place = tmp_path_factory.mktemp("ordinary")
    stack = place / "ordinary.mrc"
    with mrcfile.new(stack) as mrc:
        mrc.set_data(images)
        mrc.voxel_size = 20.0
    np.savetxt(stack.with_suffix(".rawtlt"), angles, fmt="%.2f")
    series = {**TABLES["series"], "path": str(stack)}
    tables = {**TABLES, "series": series, "output": str(place / "run")}
    return pipeline.run(job_from_mapping(tables))


@pytest.mark.parametrize(("how", "told"), EVERY_WAY)
def test_after_every_tilt_the_volume_is_wbp_of_the_tilts_so_far(place, recorded, how, told):
    images, angles = recorded
    clock, microscope = Clock(), Microscope(place / "in", images, angles, how=how, told=told)
    with watching(place, clock) as watch:
        for n in range(1, 9):
            microscope.record()
            assert alerts(looks(watch, clock)) == []
            live = watch.series["ts_01"].live
            # A header of one zero tells nothing until there is a second angle.
            assert len(live.records) == (0 if (told, n) == ("header", 1) else n)
            if live.volume is None:
                continue
            small = np.stack([images[i] - r.look.vacuum for i, r in enumerate(live.records)])
            shifts = np.array([r.position_px for r in live.records])
            geometry = Geometry.single_axis(
                angles[:n], tilt_axis_deg=live.tilt_axis_deg or 0.0, shifts_px=shifts
            )
            expected = wbp(small.astype(np.float32), geometry, shape=live.volume.shape)
            bound = 4 * n * np.finfo(np.float32).eps * np.abs(expected).max()
            assert np.abs(live.volume - expected).max() <= bound
        coarse = files.read_volume(place / "out" / "live" / "ts_01" / "coarse.mrc")
        assert (coarse.data == live.volume).all()
        assert coarse.pixel_size == 20.0


@pytest.mark.parametrize(
    ("how", "told"),
    [pytest.param("stack", "mdoc", marks=pytest.mark.validation), ("files", "name")],
)
def test_the_settled_series_is_the_ordinary_run_and_its_coarse_volume_is_wbp(
    place, recorded, ordinary, how, told
):
    images, angles = recorded
    clock, microscope = Clock(), Microscope(place / "in", images, angles, how=how, told=told)
    job, runner = job_from_mapping(TABLES), HereRunner(pipeline.run)
    with watching(place, clock, runner, job, tilts=len(angles)) as watch:
        events = filled(microscope, watch, clock) + looks(watch, clock, 1)
        inputs = tree(place / "in")
        assert states(events)[-1] == "settled"
        assert alerts(events) == []
        assert watch.done
        coarse = files.read_volume(place / "out" / "live" / "ts_01" / "coarse.mrc").data
        assert looks(watch, clock, 3) == []
    settled = files.read_volume(place / "out" / "ts_01" / "volume.mrc")
    assert (np.asarray(settled.data) == np.asarray(ordinary.volume.data)).all()
    assert tree(place / "in") == inputs
    # View by view with the final alignment, the coarse volume is that of all views.
    alignment = files.read_alignment(place / "out" / "ts_01" / "alignment.json")
    assert alignment.magnifications is None
    assert not np.any(alignment.rotations_deg)
    kept = read_kept(place / "out" / "live" / "ts_01" / "tilts.json")
    level = [r.look.vacuum for r in kept.records]
    growing = GrowingWbp(coarse.shape, images.shape[1:], tilt_axis_deg=alignment.tilt_axis_deg)
    geometry = Geometry.from_alignment(alignment)
    for i, k in enumerate(np.flatnonzero(alignment.kept)):
        view = geometry.subset([i])
        growing.add(
            (images[k] - level[k])[None].astype(np.float32), view.angles_deg, view.shifts_px
        )
    bound = 4 * len(angles) * np.finfo(np.float32).eps * np.abs(coarse).max()
    assert np.abs(growing.volume - coarse).max() <= bound


def spoilt(images, angles):
    """A blank tilt, a jump of intensity that stays, a lasting drift, and a single darker tilt."""
    made = images.astype(np.float32)
    made[12:] = np.roll(made[12:], (0, 9), axis=(1, 2))
    made[9:] *= 0.5
    made[16] *= 0.5
    made[5] = 10.0 + np.random.default_rng(3).normal(0, 2, made[5].shape)
    return np.rint(made).astype(np.int16), [
        (5, "blank"),
        (9, "intensity"),
        (12, "drift"),
        (16, "intensity"),
    ]


@pytest.mark.parametrize(("how", "told"), [("stack", "mdoc"), ("files", "name")])
def test_every_planted_alert_is_raised_once_and_no_other(place, recorded, how, told):
    images, planted = spoilt(*recorded)
    clock = Clock()
    microscope = Microscope(place / "in", images, recorded[1], how=how, told=told)
    with watching(place, clock) as watch:
        events = filled(microscope, watch, clock)
        assert sorted(alerts(events)) == planted
        assert [e["tilt"] for e in events if e["event"] == "tilt" and e["blank"]] == [5]
        assert len(watch.series["ts_01"].live.growing) == len(images) - 1
    ledger = json.loads((place / "out" / "alerts.json").read_text())["alerts"]
    assert sorted((a["tilt"], a["kind"]) for a in ledger) == planted
    # Told again by nobody: a second watch goes on from what the first has kept.
    with watching(place, clock) as again:
        assert [e for e in looks(again, clock, 4) if e["event"] != "state"] == []
        assert len(again.series["ts_01"].live.records) == len(images)
    assert len(json.loads((place / "out" / "alerts.json").read_text())["alerts"]) == len(planted)


@pytest.mark.parametrize("kind", ["needle", "particle"])
def test_clean_series_raise_no_alert(place, kind):
    images, angles = series(kind, dose=30.0, seed=21, jitter=0.5)
    clock, microscope = Clock(), Microscope(place / "in", images, angles)
    with watching(place, clock) as watch:
        assert alerts(filled(microscope, watch, clock)) == []


def test_a_blank_first_tilt_is_found_when_others_have_come(place, recorded):
    images = recorded[0].copy()
    images[0] = np.random.default_rng(2).poisson(20, images[0].shape)
    clock, microscope = Clock(), Microscope(place / "in", images, recorded[1])
    with watching(place, clock) as watch:
        assert alerts(filled(microscope, watch, clock, 3)) == []
        assert alerts(filled(microscope, watch, clock)) == [(0, "blank")]
        assert len(watch.series["ts_01"].live.growing) == len(images) - 1


def test_a_watch_that_is_started_again_has_the_same_volume(place, recorded):
    images, angles = recorded
    clock, microscope = Clock(), Microscope(place / "in", images, angles)
    with watching(place, clock) as watch:
        filled(microscope, watch, clock, 9)
    microscope.record(3)  # while nobody watches
    with watching(place, clock) as watch:
        events = looks(watch, clock, 3)
        assert [e["tilt"] for e in events] == [9, 10, 11]
        positions = [r.position_px for r in watch.series["ts_01"].live.records]
        got = watch.series["ts_01"].live.volume.copy()
    shutil.rmtree(place / "out")
    with watching(place, clock) as watch:
        looks(watch, clock, 3)
        live = watch.series["ts_01"].live
        assert [r.position_px for r in live.records] == positions
        assert np.abs(live.volume - got).max() <= 1e-5 * np.abs(got).max()


def test_without_any_angle_it_is_said_and_nothing_is_guessed(place, recorded):
    images, angles = recorded
    clock, microscope = Clock(), Microscope(place / "in", images, angles, told="")
    with watching(place, clock, idle_min=2.0) as watch:
        events = filled(microscope, watch, clock, 6) + looks(watch, clock, 12)
        assert alerts(events) == [(None, "angle")]
        assert "6 tilts" in events[-1]["text"] or "tilts" in events[-1]["text"]
        assert watch.series["ts_01"].live.volume is None
        events = looks(watch, clock, 2, 100.0)
        assert states(events) == ["complete", "failed"]
        # They come at last.
        microscope.told = "rawtlt"
        microscope.write_angles()
        events = looks(watch, clock, 3)
        assert len([e for e in events if e["event"] == "tilt"]) == 6
        assert states(events) == ["collecting"]


def test_a_series_without_promise_is_complete_when_it_is_idle_and_begins_again(place, recorded):
    images, angles = recorded
    clock, runner = Clock(), Runs(None, Outcome(ok=False, reason="no slab"))
    microscope = Microscope(place / "in", images, angles)
    with watching(place, clock, runner, idle_min=1.0) as watch:
        assert states(filled(microscope, watch, clock, 10)) == []
        assert states(looks(watch, clock, 1, 61.0)) == ["complete", "running"]
        events = looks(watch, clock, 1)
        assert [e.get("reason") for e in events] == ["no slab"]
        runner.outcomes = [None] * 3
        assert states(filled(microscope, watch, clock, 1)) == ["collecting"]


def test_a_run_that_another_process_does_is_waited_for(place, recorded):
    images, angles = recorded
    clock, runner = Clock(), Runs(Outcome(ok=False, busy=True), None, None, None)
    microscope = Microscope(place / "in", images, angles)
    microscope.all()
    with watching(place, clock, runner, tilts=len(angles)) as watch:
        assert states(looks(watch, clock, 3)) == ["complete", "running", "complete"]
        assert states(looks(watch, clock, 1)) == []
        assert states(looks(watch, clock, 2, 4.0)) == ["running"]
        assert len(runner.jobs) == 2


def test_a_stack_that_ends_before_its_promise_is_run_as_far_as_it_goes(place, recorded):
    images, angles = recorded
    clock, runner = Clock(), NoRun()
    microscope = Microscope(place / "in", images, angles, how="promised", told="rawtlt")
    with watching(place, clock, runner, idle_min=1.0) as watch:
        filled(microscope, watch, clock, 12)
        looks(watch, clock, 1, 61.0)
    (job,) = runner.jobs
    written = files.read_tilt_series(job.series.path)
    assert (np.asarray(written.images) == images[:12]).all()
    assert np.allclose(written.angles_deg, angles[:12])
    assert written.pixel_size == 20.0


def test_files_and_their_mdoc_become_a_stack_with_dose_and_order(place, recorded):
    images, angles = recorded
    clock, runner = Clock(), NoRun()
    microscope = Microscope(place / "in", images, angles, how="files", told="mdoc")
    microscope.all()
    with watching(place, clock, runner, tilts=len(angles)) as watch:
        looks(watch, clock, 3)
    written = files.read_tilt_series(runner.jobs[0].series.path)
    assert written.images.dtype == np.int16
    assert (np.asarray(written.images) == images).all()
    assert np.allclose(written.angles_deg, angles)
    assert written.tilt_axis_deg == AXIS
    assert written.dose is not None
    assert written.order.tolist() == list(range(len(angles)))


def replaced(microscope, images):
    other = Microscope(microscope.folder, images[::-1].copy(), microscope.angles[::-1].copy())
    (microscope.folder / "ts_01.mrc").unlink()
    other.record(4)


def cut(microscope, images):
    os.truncate(microscope.path, 1024 + 3 * images[0].nbytes + 7)


def vanished(microscope, images):
    microscope.path.unlink()


def scribbled(microscope, images):
    microscope.path.write_bytes(b"\x07" * 9000)


def half_a_header(microscope, images):
    microscope.path.write_bytes(header(48, 48, 5)[:700])


@pytest.mark.parametrize("what", [replaced, cut, vanished, scribbled, half_a_header])
def test_what_happens_to_a_file_neither_ends_nor_stops_the_watch(place, recorded, what):
    images, angles = recorded
    clock, microscope = Clock(), Microscope(place / "in", images, angles)
    other = Microscope(place / "in", *series("particle", seed=33, jitter=0.5), name="other")
    with watching(place, clock) as watch:
        filled(microscope, watch, clock, 6)
        what(microscope, images)
        events = looks(watch, clock, 3) + filled(other, watch, clock, 5)
        assert len(watch.series["other"].live.records) == 5
        live = watch.series["ts_01"].live
        kinds = {e["kind"] for e in events if e["event"] == "alert"}
        if what is replaced:
            assert [r.angle_deg for r in live.records] == angles[::-1][:4].tolist()
        if what in (scribbled, half_a_header):
            kinds |= {e["kind"] for e in looks(watch, clock, 8, 5.0) if e["event"] == "alert"}
            assert kinds == {"file"}
        else:
            assert kinds == set()


def test_two_watches_of_one_output_and_an_output_in_the_input_are_refused(place):
    clock = Clock()
    with watching(place, clock), pytest.raises(InputError, match="another cryolith"):
        watching(place, clock)
    with pytest.raises(InputError, match="watched folder"):
        Watch(place / "in", place / "in")
    with pytest.raises(InputError, match="found no folder"):
        Watch(place / "nowhere", place / "out")


def test_a_growing_file_promises_nothing_and_one_that_does_is_complete_in_time(place, recorded):
    """No run is begun while a series grows, however it is caught; one that has promised needs no idle time."""
    images, angles = recorded
    clock, runner = Clock(), NoRun()
    grows = Microscope(place / "in", images, angles, name="grows")
    promised = Microscope(place / "in", images, angles, how="promised", told="header", name="told")
    with watching(place, clock, runner) as watch:
        for n in (1, 2, 1, 3, 1, 1, 2, 5, 1):
            grows.record(n)
            looks(watch, clock, 1, 0.4)  # before the file stands still
            looks(watch, clock, 2)
            assert watch.series["grows"].state == "collecting"
        filled(promised, watch, clock)
        assert watch.series["told"].state == "running"
        assert watch.series["grows"].state == "collecting"


def test_stacks_of_one_stem_are_two_series(place, recorded):
    images, angles = recorded
    clock = Clock()
    microscope = Microscope(place / "in", images, angles, told="header")
    microscope.record(5)
    shutil.copy(microscope.path, place / "in" / "ts_01.st")
    with watching(place, clock) as watch:
        looks(watch, clock, 4)
        assert sorted(watch.series) == ["ts_01", "ts_01.st"]
        assert all(len(s.live.records) == 5 for s in watch.series.values())
