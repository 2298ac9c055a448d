# SPDX-License-Identifier: BSD-3-Clause
"""Movies from files to sums, a stack and a report; each movie recorded."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from cryolith import files, records
from cryolith.errors import ConfigError, CryolithError, InputError
from cryolith.listener import Listener
from cryolith.motion import align_movies
from cryolith.motion_plan import MotionSettings, plan_movies

SHAPE, FRAMES = (96, 80), 8
TILTS = [0.0, 30.0, -30.0]


class Log(Listener):
    def __init__(self):
        self.told = []

    def started(self, stage, why):
        self.told.append((stage, why))

    def skipped(self, stage):
        self.told.append((stage, "skipped"))


def make_frames(seed, drift=3.0):
    """Counts of a scene that drifts; returns frames and the shifts of their scene, mean zero."""
    rng = np.random.default_rng(seed)
    ny, nx = SHAPE
    fy, fx = np.fft.fftfreq(ny)[:, None], np.fft.rfftfreq(nx)[None]
    soft = np.exp(-((np.hypot(fy, fx) / 0.15) ** 2))
    spectrum = np.fft.rfft2(rng.normal(size=SHAPE)) * soft
    scene = np.fft.irfft2(spectrum, s=SHAPE)
    shifts = np.c_[np.linspace(0, drift, FRAMES), np.linspace(0, -0.5 * drift, FRAMES)]
    moved = [
        np.fft.irfft2(np.fft.rfft2(scene) * np.exp(-2j * np.pi * (fy * r + fx * c)), s=SHAPE)
        for r, c in shifts
    ]
    rate = 20 * (1 + 0.3 * np.array(moved) / scene.std())
    return rng.poisson(np.clip(rate, 0, None)).astype(np.uint8), shifts - shifts.mean(axis=0)


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """Three movies with their .mdoc, gain reference and defects; the raw frames are counts over gain."""
    folder = tmp_path_factory.mktemp("movies")
    rng = np.random.default_rng(3)
    gain = rng.choice([0.5, 1.0], SHAPE).astype(np.float32)
    lines = ["PixelSpacing = 1", "[T = a]"]
    for i, tilt in enumerate(TILTS):
        frames, shifts = make_frames(10 + i)
        raw = (frames / gain).astype(np.uint8)
        raw[:, 7, 11] = 255
        tifffile.imwrite(
            folder / f"m{i}.tif", raw, compression="zlib" if i else None, photometric="minisblack"
        )
        np.save(folder / f"m{i}.npy", shifts)
        lines += [f"[ZValue = {i}]", f"TiltAngle = {tilt}", f"SubFramePath = D:\\x\\m{i}.tif"]
    (folder / "ts.mrc.mdoc").write_text("\n".join(lines) + "\n")
    files.write_volume(folder / "gain.mrc", np.ascontiguousarray(np.rot90(gain, -1))[None])
    (folder / "bad.txt").write_text("11 7\n")
    return folder


def settings(series, **more):
    given = {
        "gain": str(series / "gain.mrc"),
        "gain_rotate": 90,
        "defects": str(series / "bad.txt"),
        "mdoc": str(series / "ts.mrc.mdoc"),
        "pixel_size": 1.5,
        "dose_per_frame": 0.5,
        "halves": True,
    }
    return MotionSettings(**{**given, **more})


def movies_of(series):
    return [series / f"m{i}.tif" for i in range(len(TILTS))]


@pytest.fixture(scope="module")
def done(series, tmp_path_factory):
    out = tmp_path_factory.mktemp("motion") / "out"
    align_movies(movies_of(series), out, settings(series))
    return out


def test_tracks_are_the_true_ones_within_their_errors(series, done):
    for i in range(len(TILTS)):
        with open(done / f"m{i}_motion.csv", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        truth = np.load(series / f"m{i}.npy")
        for k, axis in enumerate(("row", "column")):
            found = np.array([float(r[f"shift_{axis}_px"]) for r in rows])
            sigma = np.array([float(r[f"sigma_shift_{axis}_px"]) for r in rows])
            assert (np.abs(found - truth[:, k]) < 4 * sigma).all()
            assert sigma.max() < 0.2
            nm = [float(r[f"shift_{axis}_nm"]) for r in rows]
            np.testing.assert_allclose(nm, found * 0.15)
        assert float(rows[-1]["dose_e_per_angstrom2"]) == pytest.approx(0.5 * FRAMES)


def test_sums_hold_the_counts_with_gain_and_defects_mended(done):
    total, odd, even = (files.read_volume(done / f"m0{end}.mrc") for end in ("", "_odd", "_even"))
    assert total.pixel_size == pytest.approx(1.5)
    np.testing.assert_allclose(odd.data + even.data, total.data, rtol=1e-5)
    assert total.data.mean() == pytest.approx(20 * FRAMES, rel=0.06)
    assert total.data.max() < 2.5 * total.data.mean()  # 255 a frame at the bad pixel is gone


def test_the_stack_is_in_the_order_of_tilt_and_reads_as_a_series(done):
    order = np.argsort(TILTS)
    for end in ("", "_odd", "_even"):
        found = files.read_tilt_series(done / f"ts{end}.mrc")
        assert found.angles_deg.tolist() == sorted(TILTS)
        for image, i in zip(found.images, order, strict=True):
            assert np.array_equal(image, files.read_volume(done / f"m{i}{end}.mrc").data[0])
    log = files.read_mdoc(done / "ts.mrc.mdoc")
    assert log.angles_deg.tolist() == sorted(TILTS)
    assert log.movies == tuple(f"m{i}.tif" for i in order)
    assert log.pixel_size == 1.5
    np.testing.assert_allclose(log.dose, 0.5 * FRAMES)
    assert log.header["ImageFile"] == "ts.mrc"


def test_the_report_tells_what_the_files_hold(done):
    facts = json.loads((done / "report.json").read_text(encoding="utf-8"))
    assert facts["verdict"]["word"] == "OK"
    assert [m["name"] for m in facts["movies"]] == ["m0", "m1", "m2"]
    assert facts["movies"][0]["way_px"] == pytest.approx(3.0 * np.hypot(1, 0.5), rel=0.2)
    assert {i["name"] for i in facts["inputs"]} == {"m0.tif", "m1.tif", "m2.tif", "gain.mrc", "bad.txt"}  # fmt: skip
    page = (done / "report.html").read_text(encoding="utf-8")
    assert page.count('<section class="movie">') == 3
    assert "http" not in page.replace("http://www.w3.org", "")


@pytest.mark.browser
def test_the_page_shows_pictures_and_logs_nothing(done, driver):
    driver.get_log("browser")
    driver.get((done / "report.html").as_uri())
    seen = driver.execute_script("return [...document.images].map(i => [i.alt, i.naturalWidth])")
    assert len(seen) == 6
    assert all(alt and width for alt, width in seen)
    assert driver.get_log("browser") == []


def test_the_track_is_a_picture_of_its_own(done):
    root = ElementTree.fromstring((done / "m1_track.svg").read_text(encoding="utf-8"))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root[0].attrib["fill"] == "#ffffff"
    assert "var(" not in (done / "m1_track.svg").read_text(encoding="utf-8")
    assert len(list(root.iter("{http://www.w3.org/2000/svg}use"))) > 3 * FRAMES


def test_a_second_run_skips_and_a_lost_sum_is_made_again(series, done):
    before = {p.name: p.read_bytes() for p in done.iterdir() if p.is_file()}
    log = Log()
    align_movies(movies_of(series), done, settings(series), listener=log)
    assert {why for _, why in log.told} == {"skipped"}
    (done / "m1.mrc").unlink()
    log = Log()
    align_movies(movies_of(series), done, settings(series), listener=log, threads=1)
    assert dict(log.told)["motion m1"] == "its output m1.mrc is missing"
    assert [stage for stage, why in log.told if why != "skipped"] == ["motion m1"]
    assert {p.name: p.read_bytes() for p in done.iterdir() if p.is_file()} == before


def test_records_name_every_input_by_its_digest(series, done):
    record = records.read_record(done, "motion m0")
    assert record.inputs["m0.tif"] == files.atomic.sha256(series / "m0.tif")
    assert record.inputs["gain"] == files.atomic.sha256(series / "gain.mrc")
    assert record.parameters["dose_per_frame"] == 0.5
    assert len(record.facts["shifts_px"]) == FRAMES


def test_a_range_of_frames_and_tilts_from_a_list(series, tmp_path):
    (tmp_path / "a.tlt").write_text("5\n-5\n1\n")
    given = MotionSettings(angles=str(tmp_path / "a.tlt"), frame_range=(2, 6))
    plan = align_movies(movies_of(series), tmp_path / "out", given)
    assert plan.shapes[0] == (5, *SHAPE)
    found = files.read_tilt_series(tmp_path / "out" / "series.mrc", pixel_size=1.0)
    assert found.angles_deg.tolist() == [-5, 1, 5]
    with open(tmp_path / "out" / "m0_motion.csv", encoding="utf-8") as file:
        assert [row["frame"] for row in csv.DictReader(file)] == ["2", "3", "4", "5", "6"]


def test_missing_pixels_are_filled_and_an_odd_frame_is_told(tmp_path):
    frames = make_frames(20)[0].astype(np.float32)
    frames[:, 30:34, 20:26] = np.nan
    frames[3] *= 0.5
    files.write_volume(tmp_path / "a.mrc", frames)
    align_movies([tmp_path / "a.mrc"], tmp_path / "out")
    assert np.isfinite(files.read_volume(tmp_path / "out" / "a.mrc").data).all()
    facts = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert list(facts["movies"][0]["flags"]) == ["3"]
    assert facts["verdict"]["word"] == "LOOK"


def test_a_frame_without_contrast_is_told_and_not_guessed(tmp_path):
    frames = make_frames(21)[0]
    frames[5] = 0
    files.write_volume(tmp_path / "a.mrc", frames)
    align_movies([tmp_path / "a.mrc"], tmp_path / "out")
    facts = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert list(facts["movies"][0]["flags"]) == ["5"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gain_rotate": 0}, r"gain.mrc: gain: found 80 x 96, expected 96 x 80.*--gain-rotate 90"),
        ({"frame_range": (0, 8)}, "frame_range: found frame 8, expected 0 to 7"),
        ({"frame_range": (3, 3)}, "found one, expected at least two"),
        ({"mdoc": None, "angles": "{s}/bad.txt"}, "angles: found 1, expected 3"),
        ({"defects": "{s}/m0.tif"}, "expected 1 x 96 x 80, as the frames"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_left(series, tmp_path, change, words):
    change = {
        k: v.replace("{s}", str(series)) if isinstance(v, str) else v for k, v in change.items()
    }
    with pytest.raises(CryolithError, match=words):
        align_movies(movies_of(series), tmp_path / "out", settings(series, **change))
    assert not (tmp_path / "out").exists()


def test_settings_that_contradict_are_named():
    with pytest.raises(ConfigError, match="expected first <= last"):
        MotionSettings(frame_range=(3, 2))
    with pytest.raises(ConfigError, match="expected one source of the tilts"):
        MotionSettings(mdoc="a", angles="b")
    with pytest.raises(ConfigError, match="gain_rotate: found 45"):
        MotionSettings(gain_rotate=45)


def test_movies_that_do_not_belong_together_are_named(series, tmp_path):
    files.write_volume(tmp_path / "m0.mrc", make_frames(22)[0])
    files.write_volume(tmp_path / "b.mrc", make_frames(22)[0][:, :90])
    files.write_volume(tmp_path / "one.mrc", make_frames(22)[0][:1])
    with pytest.raises(InputError, match="found 2 of the name m0"):
        plan_movies([series / "m0.tif", tmp_path / "m0.mrc"], MotionSettings())
    with pytest.raises(InputError, match=r"found no b\.mrc in its 3 sections"):
        plan_movies([tmp_path / "b.mrc"], settings(series))
    with pytest.raises(InputError, match=r"one.mrc: frames: found one"):
        plan_movies([tmp_path / "one.mrc"], MotionSettings())
    with pytest.raises(InputError, match=r"b.mrc: frame size: found 90 x 80, expected 96 x 80"):
        plan_movies([series / "m0.tif", tmp_path / "b.mrc"], settings(series, mdoc=None))
    with pytest.raises(InputError, match="movies: found none"):
        plan_movies([], MotionSettings())


def test_a_frame_of_nothing_but_nan_is_named(tmp_path):
    frames = make_frames(23)[0].astype(np.float32)
    frames[2] = np.nan
    files.write_volume(tmp_path / "a.mrc", frames)
    with pytest.raises(InputError, match=r"frames\[2\]: found no finite pixel"):
        align_movies([tmp_path / "a.mrc"], tmp_path / "out")
    assert not list((tmp_path / "out").glob("a*"))


def test_a_folder_that_holds_something_else_is_refused(series, tmp_path):
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="--overwrite"):
        align_movies(movies_of(series), tmp_path, settings(series))
    with pytest.raises(InputError, match="found a file"):
        align_movies(movies_of(series), tmp_path / "thesis.txt", settings(series))


def test_the_planned_memory_is_enough_and_not_twice_too_much(tmp_path):
    shape = (30, 1024, 1024)
    files.write_volume(
        tmp_path / "a.mrc", np.random.default_rng(1).poisson(3, shape).astype(np.int16)
    )
    planned = plan_movies([tmp_path / "a.mrc"], MotionSettings()).bytes_memory
    command = [sys.executable, "-m", "cryolith", "motion", tmp_path / "a.mrc", "-o", tmp_path / "o"]
    script = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"  # noqa: E501
    ran = [sys.executable, "-c", script, *map(str, command), "--threads", "1"]
    text = subprocess.run(ran, capture_output=True, text=True, check=True).stdout
    used = 1024 * int(text)
    mapped = 2 * np.prod(shape)  # pages of the file, which the system takes back when it needs them
    assert used - mapped < planned < 2 * used


def test_a_real_file_of_frames(shared_data, tmp_path):
    movie = shared_data / "serialem" / "test_000.mrc"
    align_movies([movie], tmp_path / "out", threads=1)
    facts = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert facts["movies"][0]["frames"] == 2
    assert facts["movies"][0]["way_px"] < 1.0
    raw = files.open_movie(movie)
    total = files.read_volume(tmp_path / "out" / "test_000.mrc")
    assert total.pixel_size == pytest.approx(raw.pixel_size)
    counts = sum(float(frame.mean(dtype=np.float64)) for frame in raw.frames)
    assert total.data.mean(dtype=np.float64) == pytest.approx(counts, rel=1e-5)
