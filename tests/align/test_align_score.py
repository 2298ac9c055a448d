# SPDX-License-Identifier: BSD-3-Clause
"""The hold-out score of an alignment, whoever made it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from specimens import make_case

from cryolith import Alignment
from cryolith.align import score_alignment, score_alignments, unaligned
from cryolith.align.joint import solve
from cryolith.align.score import _left, _model, _pose
from cryolith.align.specimen import prepare
from cryolith.errors import InputError


@pytest.fixture(scope="module")
def case():
    return make_case("particle", shape=(64, 64), n_tilts=21, seed=31)


@pytest.fixture(scope="module")
def truth(case):
    return Alignment(
        angles_deg=case.angles_deg, tilt_axis_deg=case.tilt_axis_deg, shifts_px=case.shifts_px
    )


@pytest.fixture(scope="module")
def scores(case, truth):
    rng = np.random.default_rng(32)
    jitter = rng.normal(0, 1.0, truth.shifts_px.shape)
    one = truth.shifts_px.copy()
    one[6] += 5.0
    t = np.deg2rad(truth.angles_deg)
    elsewhere = truth.shifts_px + np.c_[np.full(len(t), 2.0), 3 * np.cos(t) - 4 * np.sin(t)]
    return score_alignments(
        case.images,
        {
            "truth": truth,
            "jittered": replace(truth, shifts_px=truth.shifts_px + jitter),
            "before": unaligned(truth),
            "dealt": replace(truth, shifts_px=rng.permutation(truth.shifts_px)),
            "one": replace(truth, shifts_px=one),
            "elsewhere": replace(truth, shifts_px=elsewhere),
        },
    )


def test_better_alignments_score_better(scores):
    means = [scores[name].mean_holdout() for name in ("truth", "jittered", "before")]
    assert means == sorted(means)
    assert means[0] < 0.5 * means[1]


def test_the_truth_is_far_from_random_and_shifts_dealt_out_are_not(scores):
    n = len(scores["truth"].holdout)
    assert np.median(scores["truth"].p_random) == 1 / n
    assert not scores["truth"].unpredicted.any()
    assert scores["truth"].mean_holdout() < 0.3 * scores["truth"].mean_random()
    assert scores["dealt"].mean_holdout() > 0.7 * scores["dealt"].mean_random()
    assert np.median(scores["dealt"].p_random) > 3 / n


def test_one_wrong_tilt_stands_out(scores):
    worse = scores["one"].holdout - scores["truth"].holdout
    assert np.argmax(worse) == 6
    assert worse[6] > 3 * np.delete(worse, 6).max()


def test_where_the_specimen_lies_in_the_volume_hardly_counts(scores):
    assert scores["elsewhere"].mean_holdout() == pytest.approx(
        scores["truth"].mean_holdout(), rel=0.15
    )


def test_a_tilt_that_was_held_out_is_predicted_less_well(scores):
    assert (scores["truth"].holdout > scores["truth"].residuals).all()


def test_every_number_is_that_of_its_definition(case, truth):
    ready = prepare(case.images, case.angles_deg, 1, "auto", 1, None)
    model = _model(ready, truth, 1, None)
    pose = _pose(model.views, np.ones(len(case.images), bool))
    left = _left(model, pose)
    predicted = model.operator(pose).project(solve(model, pose, None, 20).density)
    for i, j in ((0, 0), (3, 9), (20, 1)):
        a, q = model.images[i].astype(float), predicted[j].astype(float)
        best, *_ = np.linalg.lstsq(q.reshape(-1, 1), a.ravel(), rcond=None)
        expected = np.linalg.norm(a - best[0] * q) / np.linalg.norm(a)
        assert left[i, j] == pytest.approx(expected, rel=1e-5)  # images are float32


def test_flagged_tilts_are_scored_but_not_used(case, truth):
    shifts = truth.shifts_px.copy()
    shifts[4] = np.nan
    bad = case.images.copy()
    bad[9] = 0
    found = score_alignment(
        bad, replace(truth, shifts_px=shifts, flags={4: "lost", 9: "blank", 12: "x"})
    )
    assert np.isnan([found.holdout[4], found.p_random[4], found.holdout[9]]).all()
    assert found.holdout[12] == found.residuals[12] < 0.5 * found.random[12]
    assert not found.kept[[4, 9, 12]].any()
    assert np.isfinite(found.mean_holdout())
    only = np.arange(len(bad)) == 12
    assert np.isnan(found.mean_holdout(only))


def test_same_bits_for_any_number_of_threads_and_inputs_stay(case, truth):
    images, shifts = case.images.copy(), truth.shifts_px.copy()
    one, two = (score_alignment(images, truth, threads=k) for k in (1, 2))
    for name in ("residuals", "holdout", "random", "sigma_random", "p_random"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
    assert np.array_equal(images, case.images)
    assert np.array_equal(truth.shifts_px, shifts)


def test_progress_ends_at_one_and_cancel_stops(case, truth):
    from cryolith import CancelToken
    from cryolith.errors import Cancelled

    told: list[float] = []
    token = CancelToken()

    def tell(fraction):
        told.append(fraction)
        if fraction > 0.5:
            token.cancel()

    with pytest.raises(Cancelled):
        score_alignments(
            case.images, {"a": truth, "b": truth}, progress=tell, cancel=token, threads=1
        )
    assert told == sorted(told)
    assert told[-1] < 0.9


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_shape": (128, 128)}, r"images of \(128, 128\) px, expected \(64, 64\)"),
        ({"flags": dict.fromkeys(range(17), "x")}, "found 4 tilts that it keeps"),
        ({"shifts_px": np.full((21, 2), np.inf)}, "no finite shift of tilt 0"),
    ],
)
def test_alignments_that_cannot_be_scored_are_named(case, truth, change, words):
    with pytest.raises(InputError, match=words):
        score_alignment(case.images, replace(truth, **change))


def test_images_that_do_not_belong_are_named(case, truth):
    with pytest.raises(InputError, match="found 21 tilts, expected 20"):
        score_alignment(case.images[:20], truth)
    with pytest.raises(InputError, match="series: found"):
        score_alignment(case.images[:, :8], truth)
    with pytest.raises(InputError, match=r"alignments\['b'\]"):
        score_alignments(case.images[:20], {"b": truth})
