# SPDX-License-Identifier: BSD-3-Clause
"""Known histories are found again, and rates of growth come with errors that hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from histories import World, links_of, true_links
from scipy import stats

from cryolith import Cancelled, CancelToken, InputError
from cryolith.detect import track
from cryolith.detect._moments import chance_above, height_of, near_pairs


def table(places, volumes, sigma=0.2, sigma_volume=5.0, unit="px"):
    places = np.asarray(places, float).reshape(-1, 3)
    out = {f"{a}_{unit}": places[:, k] for k, a in enumerate("zyx")}
    out |= {f"sigma_{a}_{unit}": np.full(len(places), sigma) for a in "zyx"}
    out |= {f"volume_{unit}3": np.asarray(volumes, float)}
    return out | {f"sigma_volume_{unit}3": np.full(len(places), sigma_volume)}


def test_steady_objects_are_followed_through_gaps_and_drift():
    rng = np.random.default_rng(1)
    world = World(rng, 150, motion=0.3)
    for _ in range(12):
        world.show()
    drift = np.cumsum(4.0 * rng.standard_normal((12, 3)), axis=0)
    tables, names = world.seen(missed=0.03, drift=drift)
    found = track(tables)
    expected, got = true_links(names), links_of(found, names)
    assert got <= expected
    assert len(expected - got) < 0.004 * len(expected)  # alpha is 0.001
    assert (found.links["event"] == "gap").sum() > 20
    assert found.motion == pytest.approx(0.3, rel=0.1)
    # The drift of each step is known to the scatter of all objects over the root of their number.
    steps = np.diff(found.drift - drift, axis=0)
    assert np.abs(steps / found.sigma_drift[1:]).max() < 4
    assert np.sqrt(np.mean((steps / found.sigma_drift[1:]) ** 2)) == pytest.approx(1, abs=0.35)


def test_the_order_of_rows_does_not_matter():
    rng = np.random.default_rng(2)
    world = World(rng, 120, edge=60.0, motion=1.0)
    for _ in range(6):
        world.show()
    tables, _ = world.seen(missed=0.05)
    found = track(tables)
    orders = [rng.permutation(len(t["z_px"])) for t in tables]
    mixed = track([{k: v[o] for k, v in t.items()} for t, o in zip(tables, orders, strict=True)])
    for name in found.tracks:
        np.testing.assert_array_equal(found.tracks[name], mixed.tracks[name])
    back = [
        o[r]
        for o, r in (
            (orders[f], r) for f, r in zip(mixed.links["frame"], mixed.links["row"], strict=True)
        )
    ]
    np.testing.assert_array_equal(found.links["row"], back)


def test_crossing_objects_are_told_apart_by_their_size():
    """Two objects step over each other, to where the other one was; only volumes say which is which."""
    frames = []
    for i in range(8):
        step = i - 3.75
        frames.append(table([(10, 10, 10 + step), (10, 10.2, 10 - step)], (300, 500)))
    found = track(frames, drift=False, motion=0.5)
    assert len(found.tracks["track"]) == 2
    for k in (0, 1):
        rows = found.links["row"][found.links["track"] == k]
        assert len(set(rows.tolist())) == 1
    nameless = track(frames, drift=False, motion=0.5, size=None)
    rows = nameless.links["row"][nameless.links["track"] == 0]
    assert len(set(rows.tolist())) == 2  # the nearest is the other one after they met


@pytest.mark.parametrize("seed", range(6))
def test_mergers_and_splits_are_found(seed):
    rng = np.random.default_rng(100 + seed)
    world = World(rng, 40, edge=80.0, motion=0.2, volume=(150.0, 400.0))
    world.place[0], world.place[1] = np.array([20.0, 20, 20]), np.array([20.0, 20, 26.5])
    world.place[2] = np.array([60.0, 60, 60])
    for _ in range(4):
        world.show()
    whole = world.merge(0, 1)
    first, second = world.split(2, (0.5, 0.7)[seed % 2], (0.0, 7.0, 0.0))
    world.remove(5)
    newcomer = world.add((40, 70, 10), 250.0)
    for _ in range(4):
        world.show()
    tables, names = world.seen()
    found = track(tables, alpha=1e-6)  # none of 320 links is lost by chance
    t = found.tracks
    named = {}
    for k, f, r in zip(found.links["track"], found.links["frame"], found.links["row"], strict=True):
        named.setdefault(int(k), set()).add(int(names[f][r]))
    assert all(len(v) == 1 for v in named.values())
    number = {next(iter(v)): k for k, v in named.items()}
    assert len(number) == len(named)
    merged = number[whole]
    assert t["birth"][merged] == "merge"
    assert {t["parent1"][merged], t["parent2"][merged]} == {number[0], number[1]}
    for n in (0, 1):
        assert (t["death"][number[n]], t["last"][number[n]], t["child1"][number[n]]) == (
            "merge",
            3,
            merged,
        )
    assert {t["child1"][number[2]], t["child2"][number[2]]} == {number[first], number[second]}
    for n in (first, second):
        assert (t["birth"][number[n]], t["parent1"][number[n]], t["first"][number[n]]) == (
            "split",
            number[2],
            4,
        )
    assert t["death"][number[5]] == "death"
    assert t["birth"][number[newcomer]] == "birth"
    # Nothing else merged or split.
    assert (t["birth"] == "merge").sum() == 1
    assert (t["birth"] == "split").sum() == 2


def test_volumes_too_uncertain_to_tell_join_nothing():
    world = World(np.random.default_rng(3), 200, edge=50.0, motion=0.5)
    for _ in range(6):
        world.show()
    tables, _ = world.seen(sigma_volume=300.0, missed=0.05)
    found = track(tables)
    assert not set(found.tracks["birth"]) & {"merge", "split"}


def test_stated_errors_of_growth_hold_the_truth():
    """Of some 2000 tracks in 5 worlds; seeds not used while this was built."""
    z = []
    for seed in range(5):
        world = World(np.random.default_rng(5000 + seed), 400, motion=0.3, rate=3.0)
        for _ in range(8):
            world.show()
        tables, names = world.seen(missed=0.02)
        times = np.array([0, 1, 2, 4, 5, 6, 7, 9]) * 2.0
        found = track(tables, times=times)
        t = found.tracks
        long = np.flatnonzero((t["count"] >= 3) & (t["birth"] == "first"))
        begin = {
            int(k): int(names[f][r])
            for k, f, r in zip(
                found.links["track"], found.links["frame"], found.links["row"], strict=True
            )
            if f == t["first"][k]
        }
        # The world moves by frames: volumes are a line in them, not in time; so the truth is the line through it.
        for k in long:
            mine = found.links["track"] == k
            frames = found.links["frame"][mine]
            truth = np.polyfit(times[frames], world.rates[begin[int(k)]] * frames, 1)[0]
            z.append((t["growth"][k] - truth) / t["sigma_growth"][k])
        assert 0.02 < np.mean(t["p_growth"][long] < 0.1) < 0.2
    z = np.array(z)
    assert len(z) > 1800
    assert 0.93 < np.mean(np.abs(z) < 1.96) < 0.97
    assert abs(z.mean()) < 0.08


def test_growth_is_the_weighted_line_through_the_sizes():
    volumes, errors = np.array([10.0, 14, 15, 21]), np.array([1.0, 2, 1, 3])
    times = [0, 1, 2, 5]
    frames = [
        table([(1, 1, 1)], [v], sigma_volume=e, unit="nm")
        for v, e in zip(volumes, errors, strict=True)
    ]
    t = track(frames, times=times).tracks
    (slope, _), cov = np.polyfit(times, volumes, 1, w=1 / errors, cov="unscaled")
    assert t["growth"][0] == pytest.approx(slope)
    assert t["sigma_growth"][0] == pytest.approx(math.sqrt(cov[0, 0]))
    rest = (volumes - np.polyval(np.polyfit(times, volumes, 1, w=1 / errors), times)) / errors
    assert t["chi2_growth"][0] == pytest.approx((rest**2).sum())
    assert t["p_growth"][0] == pytest.approx(stats.chi2.sf((rest**2).sum(), 2))
    bare = [{k: v for k, v in f.items() if k != "sigma_volume_nm3"} for f in frames]
    t = track(bare, times=times).tracks
    (slope, _), cov = np.polyfit(times, volumes, 1, cov=True)
    assert t["growth"][0] == pytest.approx(slope)
    assert t["sigma_growth"][0] == pytest.approx(math.sqrt(cov[0, 0]) * 4.303 / 1.96, rel=1e-3)


def test_empty_frames_begin_and_end_tracks():
    full, empty = table([(1, 2, 3)], [100]), table([], [])
    found = track([empty, full, empty, full, {}, {}, full], max_gap=1)
    assert found.tracks["count"].tolist() == [2, 1]
    assert found.tracks["death"].tolist() == ["death", "last"]
    assert found.links["event"].tolist() == ["birth", "gap", "birth"]
    assert track([full, empty, full], max_gap=0).tracks["count"].tolist() == [1, 1]
    nothing = track([empty, {}])
    assert len(nothing.tracks["track"]) == len(nothing.links["track"]) == 0
    alone = track([full])
    assert alone.tracks["death"].tolist() == ["last"]
    assert np.isnan(alone.tracks["growth"]).all()


def test_tables_are_not_written_into():
    frames = [table([(1, 2, 3), (9, 9, 9)], [100, 90]), table([(1.1, 2, 3), (9, 9, 9)], [100, 90])]
    before = [{k: v.copy() for k, v in f.items()} for f in frames]
    track(frames)
    for a, b in zip(frames, before, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize("dof", [1, 2, 3, 4, 7, 12])
def test_chances_of_chi_squared_are_scipys(dof):
    for x in (0.0, 0.3, 2.0, 11.0, 40.0):
        assert chance_above(x, dof) == pytest.approx(stats.chi2.sf(x, dof), rel=1e-10, abs=1e-300)
    assert height_of(0.001, dof) == pytest.approx(stats.chi2.isf(0.001, dof), rel=1e-7)


def test_near_pairs_are_all_pairs_that_are_near():
    rng = np.random.default_rng(4)
    for n, m, radius in ((0, 3, 1.0), (40, 50, 0.2), (60, 30, 5.0)):
        a, b = rng.random((n, 3)), rng.random((m, 3))
        expected = np.argwhere(((a[:, None] - b) ** 2).sum(axis=2) <= radius**2)
        np.testing.assert_array_equal(np.stack(near_pairs(a, b, radius), axis=1), expected)


GOOD = table([(1, 2, 3), (4, 5, 6)], [10, 20])


@pytest.mark.parametrize(
    ("frames", "options", "word"),
    [
        ([], {}, "frames: found no list"),
        ([GOOD, 3], {}, "frames: found no list"),
        ([GOOD, {"z_px": np.ones(2)}], {}, "no column y_px in table 1"),
        ([{k: v for k, v in GOOD.items() if not k.startswith("sigma")}], {}, "give sigma="),
        ([GOOD | {"z_px": np.array([1.0, np.nan])}], {}, "no finite numbers"),
        ([GOOD | {"sigma_z_px": np.zeros(2)}], {}, "errors above 0"),
        ([GOOD | {"x_px": np.ones(3)}], {}, "for x_px in table 0"),
        ([GOOD, GOOD], {"times": [0, 0]}, "times: found"),
        ([GOOD, GOOD], {"times": [0]}, "times: found"),
        ([GOOD], {"alpha": 1.0}, "alpha: found"),
        ([GOOD], {"max_gap": -1}, "max_gap: found"),
        ([GOOD], {"motion": -1.0}, "motion: found"),
        ([GOOD], {"max_drift": math.nan}, "max_drift: found"),
        ([GOOD], {"drift": np.zeros((2, 3))}, "drift: found"),
        ([GOOD], {"sigma": 0.0}, "sigma: found"),
        ([GOOD], {"size": "weight"}, "size: found 'weight'"),
    ],
    ids=str,
)
def test_bad_input_is_named(frames, options, word):
    with pytest.raises(InputError, match=word):
        track(frames, **options)


def test_it_can_be_cancelled():
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        track([GOOD, GOOD], cancel=token)
