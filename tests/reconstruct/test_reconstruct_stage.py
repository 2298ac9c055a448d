# SPDX-License-Identifier: BSD-3-Clause
"""The stage on a whole tilt series: settings, thickness, plan."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

import cryolith
from cryolith.datamodel import Alignment, Slab, TiltSeries
from cryolith.errors import ConfigError, CryolithWarning, InputError
from cryolith.projection import Geometry, project
from cryolith.reconstruct import (
    ReconstructSettings,
    estimate_thickness_px,
    plan,
    reconstruct,
    sirt,
    wbp,
)
from cryolith.settings import from_mapping, to_mapping

ANGLES = np.arange(-70, 71, 5.0)


def needle(n=64, ny=40, radius=14):
    z, x = np.indices((n, n)) - (n - 1) / 2
    plane = np.clip(radius - np.hypot(x, z) + 0.5, 0, 1)
    return np.repeat(plane[:, None], ny, 1).astype("f4")


@pytest.fixture(scope="module")
def case():
    volume = needle()
    rng = np.random.default_rng(2)
    geometry = Geometry.single_axis(
        ANGLES, tilt_axis_deg=90.0, shifts_px=rng.uniform(-2, 2, (len(ANGLES), 2))
    )
    images = np.rint(100 * project(volume, geometry, (64, 48)) + 500).clip(0).astype("u2")
    images[7] = 500
    series = TiltSeries(images=images, angles_deg=ANGLES, pixel_size=33.6)
    alignment = Alignment(
        angles_deg=ANGLES, tilt_axis_deg=90.0, shifts_px=geometry.shifts_px, flags={7: "blank"}
    )
    return series, alignment


@pytest.mark.parametrize("method", ["sirt", "wbp", "sart", "cgls", "lsqr", "tv", "mlem", "dart"])
def test_a_needle_comes_back(case, method):
    series, alignment = case
    iterations = {"sart": 2, "tv": 60, "dart": 3}.get(method, 15)
    volume = reconstruct(
        series,
        alignment,
        ReconstructSettings(method=method, n_iter=iterations),
        background=np.full(29, 500.0),
    )
    assert volume.pixel_size == 33.6
    assert volume.data.shape[1:] == (48, 64)
    nz = volume.data.shape[0]
    assert 28 <= nz <= 40
    core = volume.data[nz // 2 - 5 : nz // 2 + 5, 10:38, 27:37]
    # wbp leaves the missing wedge empty: of 180 degrees, 29 tilts 5 degrees apart were seen.
    assert core.mean() == pytest.approx(100 * 145 / 180 if method == "wbp" else 100, rel=0.05)
    if method == "wbp":
        assert "iterations" not in volume.source.facts
    else:
        assert volume.data.iterations == iterations
        assert volume.data.history[-1] < 0.1
        assert volume.source.facts["iterations"] == f"{iterations} of {iterations}"
    assert volume.source.facts["tilts"] == "28 of 29 used"


def test_the_filter_of_the_settings_is_the_filter_of_wbp(case):
    series, alignment = case
    settings = ReconstructSettings(
        method="wbp", filter="butterworth", cutoff=0.1, order=2, thickness="1 um", background="none"
    )
    found = reconstruct(series, alignment, settings)
    direct = wbp(
        series, alignment, shape=found.data.shape, filter="butterworth", cutoff=0.1, order=2
    )
    assert np.array_equal(found.data, direct)
    with pytest.raises(ConfigError, match="cutoff"):
        ReconstructSettings(cutoff=0.7)


def test_binning_and_thickness_in_words(case):
    series, alignment = case
    settings = ReconstructSettings(binning=2, thickness="134.4 nm", n_iter=2)
    volume = reconstruct(series, alignment, settings)
    assert volume.data.shape == (20, 24, 32)
    assert volume.pixel_size == 67.2
    with pytest.raises(InputError, match="pixel size"):
        reconstruct(TiltSeries(images=series.images, angles_deg=ANGLES), alignment, settings)


def test_a_slab_whose_faces_are_known_needs_no_thickness(case):
    series, alignment = case
    slab = Slab(0.0, 0.3, 0.0, 0.4, 20.0, 1.0)
    known = dataclasses.replace(alignment, slab=slab, x_tilts_deg=np.full(len(ANGLES), 2.0))
    volume = reconstruct(series, known, ReconstructSettings(n_iter=1))
    assert volume.data.shape[0] == 28  # 1.25 (20 + 2 x 1), rounded up
    assert volume.source.facts["thickness"] == "28 px, of the slab's faces"
    # An x-tilt without known faces: the shadows of the images say how thick, as without one.
    tilted = dataclasses.replace(known, slab=None)
    settings = ReconstructSettings(n_iter=1)
    assert (
        reconstruct(series, tilted, settings).data.shape
        == reconstruct(series, alignment, settings).data.shape
    )


def test_thickness_of_needle_and_slab():
    geometry = Geometry.single_axis(ANGLES, tilt_axis_deg=90.0)
    images = project(needle(), geometry, (64, 40))
    nz = estimate_thickness_px(images, geometry)
    assert 28 <= nz <= 36
    assert nz == estimate_thickness_px(images + 7, geometry)
    with pytest.warns(CryolithWarning, match="fills the field"):
        assert estimate_thickness_px(images.swapaxes(1, 2), geometry) == 10


def test_settings_round_trip_and_typos():
    settings = from_mapping(ReconstructSettings, {"method": "wbp", "thickness": "50 nm"})
    assert settings.thickness == 500.0
    assert from_mapping(ReconstructSettings, to_mapping(settings)) == settings
    with pytest.raises(ConfigError, match="did you mean 'filter'"):
        ReconstructSettings(fitler="ramp")
    with pytest.raises(ConfigError, match="n_iter"):
        ReconstructSettings(n_iter=0)


@pytest.mark.parametrize(
    ("settings", "solve"),
    [
        ({"method": "sart", "subsets": 4, "n_iter": 2}, {"subsets": 4, "n_iter": 2}),
        ({"method": "lsqr", "damp": 7.0}, {"damp": 7.0}),
        ({"method": "tv", "strength": 0.2, "n_iter": 5}, {"strength": 0.2, "n_iter": 5}),
        ({"method": "mlem", "subsets": 3, "n_iter": 2}, {"subsets": 3, "n_iter": 2}),
        ({"method": "dart", "levels": [0.0, 90.0], "n_iter": 1}, {"levels": [0, 90], "n_iter": 1}),
        (
            {"lower": -np.inf, "upper": 80.0, "n_iter": 3},
            {"lower": -np.inf, "upper": 80, "n_iter": 3},
        ),
        ({"noise": 400.0}, {"noise": 400.0}),
    ],
)
def test_settings_reach_the_solver(case, settings, solve):
    series, alignment = case
    made = from_mapping(ReconstructSettings, {**settings, "thickness": 32 * 33.6})
    got = reconstruct(series, alignment, made, background=np.full(29, 500.0)).data
    solver = getattr(cryolith.reconstruct, made.method)
    want = solver(series, alignment, shape=got.shape, background=np.full(29, 500.0), **solve)
    assert np.array_equal(got, want)
    assert got.stopped == want.stopped == ("noise" if "noise" in settings else "iterations")


def test_cancelled_work_is_kept_or_says_so(case):
    series, alignment = case
    token = cryolith.CancelToken()
    settings = ReconstructSettings(n_iter=500)

    def stop(iteration, state):
        if iteration == 3:
            token.cancel()

    volume = reconstruct(series, alignment, settings, cancel=token, callback=stop)
    assert volume.data.iterations == 3
    assert volume.source.facts["iterations"] == "3 of 500, cancelled"
    with pytest.raises(cryolith.Cancelled):
        reconstruct(series, alignment, settings, cancel=token)


def test_memory_is_planned_and_obeyed(case):
    series, alignment = case
    need = plan((64, 48), 28, ReconstructSettings(), volume_shape=(32, 48, 64), threads=2)
    assert need.bytes_output == 4 * 32 * 48 * 64
    assert need.bytes_peak > 3 * need.bytes_output
    assert need.seconds > 0
    more = plan((64, 48), 28, ReconstructSettings(n_iter=60), volume_shape=(32, 48, 64), threads=2)
    assert more.seconds > 1.9 * need.seconds
    with pytest.raises(InputError, match="max_memory"):
        reconstruct(series, alignment, ReconstructSettings(), max_memory=1000)


def test_an_alignment_of_another_series_is_refused(case):
    series, _ = case
    other = Alignment(angles_deg=np.zeros(3), tilt_axis_deg=0.0, shifts_px=np.zeros((3, 2)))
    with pytest.raises(InputError, match="alignment: found 3 tilts, expected 29"):
        reconstruct(series, other)


def test_real_needle(shared_data):
    """SIRT of the real series with its published alignment: what is left is noise, and the needle is dense."""
    series = cryolith.files.read_tilt_series(shared_data / "haadf_needle" / "HAADF.mrc")
    table = np.loadtxt(shared_data / "haadf_needle" / "reference_alignment.tsv")
    alignment = Alignment(
        angles_deg=series.angles_deg,
        tilt_axis_deg=92.793,
        shifts_px=-table[:, 1:],
        axis_offset_px=2.51,
    )
    volume = reconstruct(series, alignment, ReconstructSettings(binning=4, n_iter=15))
    assert volume.data.history[-1] < 0.13
    assert volume.pixel_size == pytest.approx(4 * 33.6)
    nz, _, nx = volume.data.shape
    assert 15 <= nz <= 40
    middle, edge = volume.data[nz // 2, :, nx // 2 - 3 : nx // 2 + 3], volume.data[nz // 2, :, :4]
    assert middle.mean() > 10 * edge.mean()


@pytest.mark.parametrize("method", ["wbp", "sirt", "tv"])
@pytest.mark.parametrize("axis", [0.0, 92.8])
def test_a_limit_on_memory_changes_no_byte(method, axis, tmp_path):
    rng = np.random.default_rng(4)
    series = TiltSeries(
        images=rng.random((9, 96, 80), dtype="f4"),
        angles_deg=np.linspace(-60, 60, 9),
        pixel_size=1.0,
    )
    alignment = Alignment(
        angles_deg=series.angles_deg, tilt_axis_deg=axis, shifts_px=rng.normal(0, 1, (9, 2))
    )
    settings = ReconstructSettings(method=method, n_iter=2, thickness=40.0, binning=1)
    whole = reconstruct(series, alignment, settings, threads=1)
    geometry = Geometry.from_alignment(alignment)
    with pytest.raises(InputError, match="expected at least") as refused:
        reconstruct(series, alignment, settings, max_memory=1000, threads=1)
    least = 1e6 * float(re.search(r"at least ([\d.]+) MB", str(refused.value))[1]) * 1.001
    needs = plan(
        (96, 80),
        9,
        settings,
        volume_shape=whole.data.shape,
        geometry=geometry,
        max_memory=int(least),
        threads=1,
    )
    assert 0 < needs.cut.rows < whole.data.shape[1]
    assert (
        needs.bytes_peak
        <= least
        < plan((96, 80), 9, settings, volume_shape=whole.data.shape, threads=1).bytes_peak
    )
    cut = reconstruct(
        series, alignment, settings, max_memory=int(least), workspace=tmp_path, threads=1
    )
    assert cut.data.tobytes() == whole.data.tobytes()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", ["wbp", "sirt"])
@pytest.mark.parametrize("halves", ["tilts", "dose", "frames"])
def test_halves_of_the_stage_are_those_of_the_solver(case, method, halves):
    series, alignment = case
    order = np.argsort(np.argsort(np.abs(ANGLES) + 0.1 * (ANGLES < 0)))
    series = dataclasses.replace(series, order=order)
    settings = ReconstructSettings(method=method, n_iter=3, thickness="1 um", halves=halves)
    frames = None
    if halves == "frames":
        odd = series.images // 2
        frames = tuple(dataclasses.replace(series, images=i) for i in (odd, series.images - odd))
    background = np.full(len(ANGLES), 500.0)
    seen: list[float] = []
    how = {"background": background, "frames": frames, "progress": seen.append}
    found = reconstruct(series, alignment, settings, **how)
    plain = dataclasses.replace(settings, halves=None)
    whole = reconstruct(series, alignment, plain, background=background)
    assert found.data.tobytes() == whole.data.tobytes()
    solve = {"wbp": wbp, "sirt": sirt}[method]
    data = series if frames is None else [f.images for f in frames]
    direct = solve(
        data, alignment, shape=whole.data.shape, n_iter=3, halves=halves, background=background
    )
    assert np.array_equal(found.halves[0], direct.first)
    assert np.array_equal(found.halves[1], direct.second)
    assert found.source.facts["halves"] == f"by {halves}"
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("method", ["wbp", "sirt"])
def test_halves_obey_the_limit_of_memory(case, method):
    series, alignment = case
    settings = ReconstructSettings(method=method, n_iter=2, thickness="1 um", halves="tilts")
    whole = reconstruct(series, alignment, settings)
    geometry, n = Geometry.from_alignment(alignment), len(alignment.kept)
    how = {"volume_shape": whole.data.shape, "geometry": geometry, "threads": 1}
    limit = int(0.6 * plan(series.images.shape[1:], n - 1, settings, **how).bytes_peak)
    assert plan(series.images.shape[1:], n - 1, settings, **how, max_memory=limit).cut.on_disk
    parts = reconstruct(series, alignment, settings, max_memory=limit, threads=1)
    for a, b in zip((whole.data, *whole.halves), (parts.data, *parts.halves), strict=True):
        assert a.tobytes() == b.tobytes()


def test_halves_are_planned():
    kinds = {h: ReconstructSettings(halves=h) for h in (None, "tilts", "frames")}
    plans = {h: plan((64, 64), 41, settings, threads=1) for h, settings in kinds.items()}
    alone, tilts, frames = plans[None], plans["tilts"], plans["frames"]
    assert tilts.seconds == pytest.approx(2 * alone.seconds)
    assert frames.seconds == pytest.approx(3 * alone.seconds)
    assert tilts.bytes_output == frames.bytes_output == 3 * alone.bytes_output
    assert alone.bytes_peak < tilts.bytes_peak < frames.bytes_peak


def test_a_volume_is_kept_when_its_halves_are_cancelled(case):
    series, alignment = case
    token = cryolith.CancelToken()

    def stop(fraction):
        if fraction >= 0.5:
            token.cancel()

    settings = ReconstructSettings(n_iter=3, thickness="1 um", halves="tilts")
    found = reconstruct(series, alignment, settings, cancel=token, progress=stop)
    assert found.data.iterations == 3
    assert found.halves is None
    assert found.source.facts["halves"] == "by tilts, cancelled"


@pytest.mark.parametrize(
    ("settings", "frames", "words"),
    [
        ({"halves": "dose"}, None, "does not tell the order"),
        ({"halves": "frames"}, None, "frames: found none"),
        ({"halves": "tilts"}, 0.5, "frames: found two"),
        ({"halves": "frames"}, 1.0, "sums of odd and of even frames are needed, not averages"),
    ],
)
def test_what_the_stage_cannot_halve_is_refused(case, settings, frames, words):
    series, alignment = case
    pair = None
    if frames is not None:
        pair = (dataclasses.replace(series, images=frames * series.images.astype("f4")),) * 2
    with pytest.raises(InputError, match=words):
        reconstruct(series, alignment, ReconstructSettings(**settings), frames=pair)
