# SPDX-License-Identifier: BSD-3-Clause
"""Half volumes: how the data are divided, and that the halves add up."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from ellipses import head_series

from cryolith import _core
from cryolith import reconstruct as r
from cryolith.datamodel import Alignment, TiltSeries
from cryolith.errors import Cancelled, InputError
from cryolith.projection import Geometry
from cryolith.reconstruct import Halves, sirt, split_tilts, tv, wbp
from cryolith.reconstruct.cut import Cut

TILTS = np.arange(-60, 61, 3.0)
SHAPE = (24, 5, 48)
DOSE_SYMMETRIC = np.argsort(np.argsort(np.abs(TILTS) + 0.1 * (TILTS < 0)))


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(6)
    clean = np.repeat(head_series(48, TILTS), 5, 1)
    return [(clean + rng.normal(size=clean.shape)).astype("f4") for _ in range(2)]


def test_neighbours_in_angle_go_to_different_halves(rng):
    shuffled = rng.permutation(TILTS)
    first, second = split_tilts(shuffled)
    assert sorted([*first, *second]) == list(range(len(TILTS)))
    assert list(np.sort(shuffled[first])) == list(TILTS[::2])
    assert list(np.sort(shuffled[second])) == list(TILTS[1::2])
    assert (np.diff(first) > 0).all()


def test_dose_halves_share_directions_and_suffering():
    """Turns in time would give all positive tilts of a dose-symmetric series to one half."""
    first, second = split_tilts(TILTS, "dose", dose=DOSE_SYMMETRIC)
    assert sorted([*first, *second]) == list(range(len(TILTS)))
    for half in (first, second):
        assert np.diff(TILTS[half]).max() <= 9.0  # never both of a pair of neighbours
        assert abs(TILTS[half].mean()) < 3.0
    n = len(TILTS)
    assert abs(DOSE_SYMMETRIC[first].sum() - DOSE_SYMMETRIC[second].sum()) <= n
    in_turns = TILTS[np.argsort(DOSE_SYMMETRIC)]
    assert abs(in_turns[1::2].mean() - in_turns[::2].mean()) > 30.0


@pytest.mark.parametrize("halves", ["tilts", "dose"])
def test_halves_add_up_to_the_volume_of_all_tilts(frames, halves):
    stack = frames[0]
    found = wbp(stack, TILTS, shape=SHAPE, halves=halves, dose=DOSE_SYMMETRIC)
    assert isinstance(found, Halves)
    assert np.array_equal(found.first + found.second, found.full)
    whole = wbp(stack, TILTS, shape=SHAPE)
    assert np.abs(found.full - whole).max() < len(TILTS) * np.finfo("f4").eps * np.abs(whole).max()
    assert found.first.std() > 0.2 * whole.std()
    # The first half is the back-projection of its own images with the weights that they have among all.
    muted = stack.copy()
    muted[found.index[1]] = 0
    alone = wbp(muted, TILTS, shape=SHAPE)
    assert np.abs(found.first - alone).max() < len(TILTS) * np.finfo("f4").eps * np.abs(whole).max()


def test_frame_halves_add_up_to_the_volume_of_the_summed_frames(frames):
    found = wbp(frames, TILTS, shape=SHAPE, halves="frames", background=np.full(len(TILTS), 2.0))
    odd = wbp(frames[0], TILTS, shape=SHAPE, background=np.full(len(TILTS), 1.0))
    assert np.array_equal(found.first, odd)
    assert np.array_equal(found.first + found.second, found.full)
    whole = wbp(frames[0] + frames[1], TILTS, shape=SHAPE, background=np.full(len(TILTS), 2.0))
    assert (
        np.abs(found.full - whole).max() < 4 * len(TILTS) * np.finfo("f4").eps * np.abs(whole).max()
    )
    assert np.array_equal(found.index[0], found.index[1])


def test_out_takes_the_full_volume_and_missing_pixels_are_allowed(frames):
    stack, out = frames[0].copy(), np.empty(SHAPE, "f4")
    stack[3, 2, 10:13] = np.nan
    found = wbp(stack, TILTS, shape=SHAPE, halves="tilts", out=out)
    assert found.full is out
    assert np.isfinite(out).all()
    for threads in (1, 2):
        again = wbp(stack, TILTS, shape=SHAPE, halves="tilts", threads=threads)
        assert np.array_equal(again.second, found.second)


def test_a_series_knows_its_order_and_flagged_tilts_stay_out(frames):
    series = TiltSeries(images=frames[0], angles_deg=TILTS, order=DOSE_SYMMETRIC)
    alignment = Alignment(
        angles_deg=TILTS, tilt_axis_deg=0.0, shifts_px=np.zeros((len(TILTS), 2)), flags={4: "bad"}
    )
    found = wbp(series, alignment, shape=SHAPE, halves="dose")
    assert sorted([*found.index[0], *found.index[1]]) == [i for i in range(len(TILTS)) if i != 4]
    kept = alignment.kept
    direct = wbp(
        frames[0][kept], TILTS[kept], shape=SHAPE, halves="dose", dose=DOSE_SYMMETRIC[kept]
    )
    assert np.array_equal(found.first, direct.first)
    # With unequal doses it is the dose before an image that counts, not its rank.
    dose = np.where(DOSE_SYMMETRIC == 0, 100.0, 1.0)
    with_dose = TiltSeries(images=frames[0], angles_deg=TILTS, order=DOSE_SYMMETRIC, dose=dose)
    before = np.array([dose[rank > DOSE_SYMMETRIC].sum() for rank in DOSE_SYMMETRIC])
    direct = wbp(frames[0], TILTS, shape=SHAPE, halves="dose", dose=before)
    assert np.array_equal(wbp(with_dose, shape=SHAPE, halves="dose").first, direct.first)


ITERATIVE = {
    "sirt": (r.sirt, {"n_iter": 4}),
    "sart": (r.sart, {"n_iter": 2, "subsets": 3}),
    "cgls": (r.cgls, {"n_iter": 3}),
    "lsqr": (r.lsqr, {"n_iter": 3}),
    "tv": (r.tv, {"n_iter": 4}),
    "mlem": (r.mlem, {"n_iter": 3}),
    "dart": (r.dart, {"n_iter": 2, "first": 5, "inner": 2}),
}


@pytest.mark.parametrize("name", ITERATIVE)
def test_iterative_solvers_solve_all_and_each_half(frames, name):
    solve, how = ITERATIVE[name]
    stack, weights = frames[0].clip(0), np.linspace(0.5, 1, len(TILTS))
    how = {**how, "shape": SHAPE}
    found = solve(stack, TILTS, halves="tilts", weights=weights, **how)
    assert found.full.tobytes() == solve(stack, TILTS, weights=weights, **how).tobytes()
    for half, index in zip((found.first, found.second), found.index, strict=True):
        alone = solve(stack[index], TILTS[index], weights=weights[index], **how)
        assert np.array_equal(half, alone / 2)
        assert half.history == alone.history
    assert sorted(np.concatenate(found.index)) == list(range(len(TILTS)))
    both = solve([s.clip(0) for s in frames], TILTS, halves="frames", **how)
    want = solve(frames[0].clip(0) + frames[1].clip(0), TILTS, **how)
    assert both.full.tobytes() == want.tobytes()


def test_options_hold_at_the_density_of_the_whole(frames):
    """Half of the frames has half of the density: bounds, strengths and start volumes are still those of the whole."""
    init = np.full(SHAPE, 0.3, "f4")
    how = {"shape": SHAPE, "n_iter": 5, "lower": 0.1, "upper": 0.5, "init": init}
    found = tv(frames, TILTS, halves="frames", **how)
    assert np.array_equal(found.second, tv(2 * frames[1], TILTS, **how) / 2)
    assert found.first.max() == np.float32(0.25)
    # The noise of twice a half of the frames is sqrt(2) that of their sum.
    both = sirt(frames, TILTS, halves="frames", shape=SHAPE, n_iter=40, noise=3.5)
    alone = sirt(2 * frames[0], TILTS, shape=SHAPE, n_iter=40, noise=3.5 * 2**0.5)
    assert alone.stopped == "noise"
    assert both.first.history == alone.history


@pytest.mark.parametrize("halves", ["tilts", "frames"])
@pytest.mark.parametrize("name", ["wbp", "sirt", "tv"])
def test_halves_are_cut_to_the_byte(frames, name, halves):
    solve, how = {"wbp": (wbp, {}), **ITERATIVE}[name]
    data = [np.repeat(f, 10, 1) for f in frames]
    stack = data if halves == "frames" else data[0]
    how = {**how, "shape": (12, 50, 48), "halves": halves, "background": np.full(len(TILTS), 0.5)}
    whole = solve(stack, TILTS, **how)
    parts = solve(stack, TILTS, cut=Cut(rows=16, layers=3), **how)
    for name in ("first", "second", "full"):
        assert getattr(parts, name).tobytes() == getattr(whole, name).tobytes()


def test_progress_goes_once_from_nothing_to_all(frames):
    for solve in (wbp, sirt):
        seen: list[float] = []
        solve(frames[0], TILTS, shape=SHAPE, halves="tilts", n_iter=3, progress=seen.append)
        assert seen == sorted(seen)
        assert seen[-1] == pytest.approx(1.0)


def test_a_cancelled_half_is_none(frames):
    token = _core.CancelToken()

    def stop(fraction):
        if fraction > 0.6:  # the whole is solved, the first half is not
            token.cancel()

    with pytest.raises(Cancelled):
        sirt(frames[0], TILTS, shape=SHAPE, halves="tilts", n_iter=9, progress=stop, cancel=token)


def test_without_the_whole_its_place_is_taken_by_the_sum(frames):
    how = {"shape": SHAPE, "halves": "tilts", "n_iter": 3}
    fractions = []
    found = sirt(frames[0], TILTS, whole=False, progress=fractions.append, **how)
    both = sirt(frames[0], TILTS, **how)
    assert np.array_equal(found.first, both.first)
    assert np.array_equal(found.full, found.first + found.second)
    assert not np.array_equal(found.full, both.full)
    assert fractions[-1] == 1.0


def test_signatures_say_what_is_taken():
    for solve in (wbp, sirt):
        names = list(inspect.signature(solve).parameters)
        assert {"halves", "dose", "whole"} < set(names)
    assert names[-1] == "options"


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda s: wbp(s, TILTS, halves="odd"), "halves: found 'odd'"),
        (lambda s: wbp(s, TILTS, halves="frames"), "stack: found one stack"),
        (lambda s: wbp((s, s[:, :2]), TILTS, halves="frames"), "stack: found frame sums"),
        (lambda s: wbp(s, TILTS, halves="dose"), "dose: found None"),
        (lambda s: wbp(s, TILTS, halves="dose", dose=[1.0]), "dose: found 1"),
        (lambda s: wbp(s[:1], TILTS[:1], halves="tilts"), "angles_deg: found 1 tilt"),
        (lambda s: sirt(s, TILTS, halves="frame"), "halves: found 'frame'"),
        (lambda s: sirt(s, TILTS, dose=TILTS), "dose: found without halves"),
        (lambda s: sirt(s, TILTS, whole=False), "whole: found False without halves"),
    ],
)
def test_what_cannot_be_halved_is_refused(frames, call, word):
    with pytest.raises(InputError, match=word):
        call(frames[0])


def test_geometries_are_halved_as_well(frames):
    geometry = Geometry.single_axis(TILTS, shifts_px=np.random.default_rng(1).normal(size=(41, 2)))
    found = wbp(frames[0], geometry, shape=SHAPE, halves="tilts")
    whole = wbp(frames[0], geometry, shape=SHAPE)
    assert (
        np.abs(found.full - whole).max() < 4 * len(TILTS) * np.finfo("f4").eps * np.abs(whole).max()
    )
