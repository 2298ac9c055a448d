# SPDX-License-Identifier: BSD-3-Clause
"""Numbers of a segmentation are right in the mean, and their errors say how far they scatter."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from pore_phantoms import balls

from cryolith import Alignment, Cancelled, CancelToken, Covariance, InputError, Volume, simulate
from cryolith.detect import draw_alignments, pose_volumes, regions, segment
from cryolith.detect._masks import _shared
from cryolith.detect._smooth import smooth
from cryolith.detect._student import student
from cryolith.reconstruct import ReconstructSettings, reconstruct

FINE = 4  # parts of a voxel's edge, for partial voxels


def grey_ball(edge, radius, centre):
    """Return the share of each voxel that lies in a ball."""
    at = (np.arange(edge * FINE) + 0.5) / FINE - 0.5
    z, y, x = np.ix_(*(at - c for c in centre))
    fine = (z**2 + y**2 + x**2 <= radius**2).astype(np.float32)
    return fine.reshape((edge, FINE) * 3).mean(axis=(1, 3, 5))


def noisy_halves(rng, truth, noise):
    """Return two halves that add up to the truth with noise of this standard deviation."""
    each = noise / math.sqrt(2)
    return tuple(
        (truth / 2 + each * rng.standard_normal(truth.shape)).astype(np.float32) for _ in "ab"
    )


def intervals_of_95_percent(count):
    """Return the range of hits of ``count`` intervals that hold 95 %, with 99.9 % chance."""
    half = 3.3 * math.sqrt(count * 0.95 * 0.05)
    return 0.95 * count - half, min(count, 0.95 * count + half)


@pytest.mark.parametrize(("radius", "blur"), [(8, 1.0), (10, 1.5), (14, 0.6)])
def test_a_blurred_ball_keeps_its_volume_where_the_half_level_loses_a_tenth(radius, blur):
    volume = 4 / 3 * math.pi * radius**3
    found, hard = [], []
    for shift in (0.0, 0.3, 0.5):
        data = smooth(grey_ball(48, radius, (23.0 + shift, 23.2, 23.4)), blur)
        result = segment(3 + 2 * data, threads=1)
        found.append(result.objects["volume_px3"][0] / volume)
        hard.append(result.objects["voxels"][0] / volume)
        assert result.totals["value"][1] == pytest.approx(found[-1] * volume, rel=1e-3)
    # The half-level of a ball blurred by s lies s^2 / r within its edge; smoothing adds 1 px^2 to s^2.
    lost = 3 * (blur**2 + 1) / radius**2
    assert np.mean(found) == pytest.approx(1, abs=0.005)
    assert np.mean(hard) == pytest.approx(1 - lost, abs=0.3 * lost + 0.005)


def test_a_plane_keeps_its_place_in_noise():
    rng = np.random.default_rng(3)
    for edge in (20.0, 20.25, 20.5):
        plane = np.clip(np.arange(40) + 0.5 - edge, 0, 1).astype(np.float32)
        data = np.broadcast_to(plane[:, None, None], (40, 40, 40))
        data = data + 0.3 * rng.standard_normal(data.shape).astype(np.float32)
        result = segment(data, noise=0.3, threads=1)
        value, sigma = result.total("volume_fraction")
        assert sigma < 0.002
        assert abs(value - (39.5 - edge) / 40) < 3 * sigma  # voxel i ends at i + 1/2


def test_stated_errors_hold_the_truth():
    """Of 30 porous bodies: balls that overlap, half of them in strong noise; seeds not used while this was built."""
    hits, errors = 0, []
    for seed in range(30):
        rng = np.random.default_rng(7000 + seed)
        truth = ~balls(rng, (48, 48, 48), (1, 1, 1), 6.0, 0.3)
        noise = (0.2, 0.6)[seed % 2]
        halves = noisy_halves(rng, smooth(truth.astype(np.float32), 0.7), noise)
        result = segment(None, halves=halves, phase="dark", draws=6, seed=seed, threads=1)
        value, sigma = result.total("volume_fraction")
        errors.append((value - (~truth).mean()) / sigma)
        hits += abs(errors[-1]) < 1.96
    low, high = intervals_of_95_percent(30)
    assert low <= hits <= high
    assert 0.6 < np.std(errors) < 1.4
    assert abs(np.mean(errors)) < 0.5


def test_the_error_is_the_scatter_over_other_noise():
    """Of every number, and of every object: the same balls in noise of many seeds, against what each of them says."""
    truth = np.zeros((40, 40, 76), np.float32)
    for x, radius in ((13, 6), (38, 7), (62, 8)):
        truth[:, :, x - 12 : x + 12] += grey_ball(40, radius, (19.3, 19.6, 19.1))[:, :, 8:32]
    truth, values, sigmas, objects = smooth(truth, 0.7), [], [], []
    columns = ("volume_px3", "surface_px2", "z_px")
    for seed in range(20):
        halves = noisy_halves(np.random.default_rng(8000 + seed), truth, 0.4)
        result = segment(None, halves=halves, threshold=0.5, draws=8, seed=seed, threads=1)
        values.append(result.totals["value"])
        sigmas.append(result.totals["sigma"])
        objects.append([[result.objects[s + c] for c in columns] for s in ("", "sigma_")])
    scatter = np.std(values, axis=0, ddof=1)[:3] / np.median(sigmas, axis=0)[:3]
    # 20 seeds know a standard deviation to 16 %; 8 draws are widened by 1.2.
    assert ((scatter > 0.5) & (scatter < 1.4)).all()
    seen = np.array(objects)
    scatter = np.std(seen[:, 0], axis=0, ddof=1) / np.median(seen[:, 1], axis=0)
    assert scatter.shape == (3, 3)
    assert ((scatter > 0.4) & (scatter < 1.6)).all()
    assert 0.7 < np.median(scatter) < 1.15


def test_levels_of_parts_that_share_noise_or_are_few_are_less_certain():
    rng = np.random.default_rng(4)
    sums = np.ones((64, 4))
    sums[:, 1] = rng.standard_normal(64)
    sums[:, 3] = np.kron(rng.standard_normal((2, 2, 2)), np.ones((2, 2, 2))).ravel()
    alone, shared = _shared(sums, (40, 40, 40))
    assert 1 <= alone / student(63) < 1.2
    # Of the pairs in 2 x 2 x 2 parts that are one, Bartlett's weights count (1 + 1/2)^3 instead of 1.
    assert 0.7 < shared / (1.5**1.5 * student(63)) < 1.3
    sums[8:] = 0
    sums[:8, [0, 2]] = 1e-3
    sums[:3, [0, 2]] = 1
    assert (_shared(sums, (40, 40, 40)) >= student(2.1)).all()


def test_what_imaging_does_to_levels_is_no_error_of_the_threshold():
    """Levels that change over the volume for what is known, such as a detector's gain."""
    rng = np.random.default_rng(9)
    body = smooth(balls(rng, (48, 48, 48), (1, 1, 1), 6.0, 0.3).astype(np.float32), 0.7)
    gain = np.linspace(0.8, 1.2, 48, dtype=np.float32)
    noise = 0.1 * rng.standard_normal(body.shape).astype(np.float32)
    settings = {"noise": 0.1, "draws": 4, "threads": 1}
    plain = segment(body * gain + noise, **settings)
    known = segment(body * gain + noise, imaging=lambda model: model * gain, **settings)
    assert known.totals["sigma_threshold"][0] < 0.5 * plain.totals["sigma_threshold"][0]
    assert known.sigma_threshold == plain.sigma_threshold
    np.testing.assert_array_equal(
        known.objects["sigma_threshold_volume_px3"], plain.objects["sigma_threshold_volume_px3"]
    )


def test_halves_noise_and_their_scaling_agree():
    rng = np.random.default_rng(5)
    truth = smooth(balls(rng, (48, 48, 48), (1, 1, 1), 6.0, 0.2).astype(np.float32), 0.7)
    first, second = noisy_halves(rng, truth, 0.4)
    from_halves = segment(None, halves=(first, second), draws=16, threads=1)
    from_noise = segment(first + second, noise=0.4, draws=16, threads=1)
    a, b = (r.totals["sigma_halves"][0] for r in (from_halves, from_noise))
    assert 0.6 < a / b < 1.6
    np.testing.assert_array_equal(from_halves.labels, from_noise.labels)
    # Each half has twice the variance, and they differ by twice that: 2 sigma.
    difference = from_halves.totals["first"][0] - from_halves.totals["second"][0]
    assert abs(difference) < 3 * 2 * a
    assert np.isnan(from_noise.totals["first"]).all()


def test_objects_are_found_again_by_overlap():
    rng = np.random.default_rng(2)
    data = np.zeros((32, 32, 64), np.float32)
    for x, radius in ((12, 6), (30, 5), (50, 7)):
        data[:, :, x - 9 : x + 9] += grey_ball(32, radius, (15.3, 15.6, 15.1))[:, :, 6:24]
    data += 0.3 * rng.standard_normal(data.shape).astype(np.float32)
    moved = [np.roll(data, s, axis=2) for s in (-1, 0, 1)]  # stand for other alignments
    result = segment(data, realisations=moved, noise=0.3, threads=1)
    assert len(result.objects["label"]) == 3
    assert (result.objects["seen_alignment"] == 1).all()
    # Three draws at -1, 0, 1: a standard deviation of 1, widened to Student's t of 2 degrees of freedom.
    np.testing.assert_allclose(result.objects["sigma_alignment_x_px"], 4.303 / 1.96, rtol=0.02)
    assert (result.objects["sigma_alignment_volume_px3"] < 30).all()
    parts = [result.objects[f"sigma_{s}_x_px"] ** 2 for s in ("threshold", "halves", "alignment")]
    np.testing.assert_allclose(result.objects["sigma_x_px"], np.sqrt(np.sum(parts, axis=0)))


def test_missing_voxels_belong_to_nothing():
    rng = np.random.default_rng(4)
    truth = balls(rng, (40, 40, 40), (1, 1, 1), 7.0, 0.3)
    data = smooth(truth.astype(np.float32), 0.7)
    data[:10] = np.nan
    before = data.copy()
    result = segment(data, threads=1)
    assert not result.labels[:10].any()
    assert result.total("volume_fraction")[0] == pytest.approx(truth[10:].mean(), rel=0.02)
    np.testing.assert_array_equal(data, before)
    inside = np.zeros(data.shape, bool)
    inside[10:] = True
    data[:10] = 0.5
    other = segment(data, where=inside, threads=1)
    np.testing.assert_array_equal(other.labels, result.labels)


@pytest.mark.parametrize("threshold", ["levels", "otsu", 0.45])
@pytest.mark.parametrize("method", ["threshold", "hysteresis", "local", "random-walker"])
def test_every_method_and_threshold_says_how_numbers_move(method, threshold):
    rng = np.random.default_rng(6)
    truth = balls(rng, (40, 40, 40), (1, 1, 1), 6.0, 0.4)
    data = smooth(truth.astype(np.float32), 0.7) + 0.2 * rng.standard_normal(truth.shape)
    calls = []
    result = segment(
        Volume(data=data.astype(np.float32), pixel_size=20.0),
        method,
        threshold=threshold,
        radius=12,
        noise=0.2,
        draws=3,
        numbers={"voxels": np.count_nonzero},
        threads=2,
        progress=calls.append,
    )
    names = list(result.totals["number"])
    assert names == ["volume_fraction", "volume_nm3", "surface_nm2", "components", "voxels"]
    assert np.isfinite(result.totals["sigma"]).all()
    assert result.total("volume_fraction")[0] == pytest.approx(truth.mean(), rel=0.1)
    # A higher threshold leaves less above it.
    assert result.totals["d_threshold"][names.index("voxels")] < 0
    assert result.interval[0] <= result.threshold <= result.interval[1]
    assert (result.sigma_threshold == 0) == (threshold == 0.45)
    assert calls == sorted(calls)
    assert calls[-1] == 1


def test_a_function_of_ones_own_decides():
    data = np.zeros((20, 20, 20), np.float32)
    data[5:15, 5:15, 5:15] = 1
    result = segment(-data, lambda values, threshold: values > threshold, phase="dark", threads=1)
    plain = segment(-data, phase="dark", threads=1)
    np.testing.assert_array_equal(result.labels, plain.labels)
    assert result.threshold == plain.threshold < 0
    assert result.levels[0] > result.levels[1]


def test_threads_and_repetition_do_not_change_a_byte():
    rng = np.random.default_rng(9)
    data = smooth(balls(rng, (40, 30, 35), (1, 1, 1), 6.0, 0.3).astype(np.float32), 1.0)
    first, second = (segment(data, noise=0.1, draws=2, seed=3, threads=t) for t in (1, 3))
    np.testing.assert_array_equal(first.labels, second.labels)
    for a, b in ((first.totals, second.totals), (first.objects, second.objects)):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


def test_poses_are_drawn_as_the_covariance_says():
    names = (
        "tilt_axis_deg",
        "shift_row_px[0]",
        "shift_column_px[2]",
        "angle_deg[1]",
        "magnification[1]",
    )
    root = np.diag([0.5, 1.0, 2.0, 0.1, 0.01])
    root[2, 1] = 1.5
    alignment = Alignment(
        angles_deg=np.array([-30.0, 0, 30]),
        tilt_axis_deg=4.0,
        shifts_px=np.zeros((3, 2)),
        covariance=Covariance(names=names, matrix=root @ root.T),
    )
    drawn = draw_alignments(alignment, 4000, seed=1)
    found = np.array(
        [
            (
                a.tilt_axis_deg,
                a.shifts_px[0, 0],
                a.shifts_px[2, 1],
                a.angles_deg[1],
                a.magnifications[1],
            )
            for a in drawn
        ]
    )
    np.testing.assert_allclose(found.mean(axis=0), [4, 0, 0, 0, 1], atol=0.2)
    spread = np.sqrt(np.diag(root @ root.T))
    np.testing.assert_allclose(
        np.cov(found.T) / np.outer(spread, spread),
        root @ root.T / np.outer(spread, spread),
        atol=0.06,
    )
    assert not drawn[0].shifts_px[1].any()
    assert alignment.tilt_axis_deg == 4
    with pytest.raises(InputError, match="covariance"):
        draw_alignments(drawn[0], 2)
    with pytest.raises(InputError, match="draws: found 0"):
        draw_alignments(alignment, 0)


def test_worse_alignments_make_larger_errors():
    truth = np.zeros((24, 24, 24), np.float32)
    truth[8:17, 6:18, 7:18] = 1
    series, aligned = simulate.tilt_series(truth, np.linspace(-70, 70, 29))
    chosen = ReconstructSettings(method="wbp", thickness=240.0, background="none")
    volume = reconstruct(series, aligned, chosen, threads=1)
    names = tuple(f"{k}[{i}]" for i in range(29) for k in ("shift_row_px", "shift_column_px"))
    sigmas = []
    for sigma in (0.1, 1.0):
        pose = replace(aligned, covariance=Covariance(names=names, matrix=sigma**2 * np.eye(58)))
        drawn = pose_volumes(series, pose, chosen, draws=4, threads=1)
        result = segment(volume, realisations=drawn, threads=1)
        sigmas.append(result.totals["sigma_alignment"][:3])
    assert (np.array(sigmas[0]) > 0).all()
    assert (np.array(sigmas[1]) > 3 * np.array(sigmas[0])).all()


def test_what_imaging_does_is_taken_off():
    rng = np.random.default_rng(11)
    truth = balls(rng, (48, 48, 48), (1, 1, 1), 6.0, 0.3)

    def imaging(volume):
        """Blur along z, as a missing wedge does, and lose a tenth of the level there."""
        wide = np.apply_along_axis(
            np.convolve, 0, volume, np.array([-0.1, 0.3, 0.6, 0.3, -0.1]), "same"
        )
        return wide.astype(np.float32)

    data = imaging(truth.astype(np.float32))
    plain, corrected = segment(data, threads=1), segment(data, imaging=imaging, threads=1)
    row = list(plain.totals["number"]).index("surface_px2")
    exact = regions(truth.astype(np.uint8))["surface_px2"].sum()
    off, left = (abs(r.totals["value"][row] - exact) for r in (plain, corrected))
    assert left < 0.5 * off
    bias = corrected.totals["bias_imaging"]
    np.testing.assert_allclose(corrected.totals["value"] + bias, plain.totals["value"])
    parts = corrected.totals["sigma_threshold"], corrected.totals["sigma_imaging"]
    np.testing.assert_allclose(parts[1], np.abs(bias) / 2)
    np.testing.assert_allclose(corrected.totals["sigma"], np.hypot(*parts))
    assert np.isnan(plain.totals["bias_imaging"]).all()


STEP = np.zeros((12, 12, 12), np.float32)
STEP[6:] = 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"volume": None}, "volume: found None"),
        ({"volume": STEP[0]}, "volume: found shape"),
        ({"volume": np.full((4, 4, 4), np.nan)}, "no finite voxel"),
        ({"volume": np.where(STEP > 0, np.inf, 0)}, "infinite"),
        ({"volume": np.ones((8, 8, 8))}, "one phase only"),
        ({"method": "magic"}, "method: found 'magic'"),
        ({"threshold": "half"}, "threshold: found 'half'"),
        ({"threshold": math.nan}, "threshold: found nan"),
        ({"threshold": 7.0}, "one phase only"),
        ({"phase": "grey"}, "phase: found"),
        ({"smoothing": -1}, "smoothing: found"),
        ({"draws": 1}, "draws"),
        ({"noise": -1.0}, "noise: found"),
        ({"noise": 0.1, "halves": (STEP, STEP)}, "beside halves"),
        ({"halves": (STEP, STEP[:6])}, "halves: found shape"),
        ({"halves": (STEP,)}, "expected two"),
        ({"realisations": [STEP[:6]]}, "realisations: found shape"),
        ({"where": np.zeros((12, 12, 12), bool)}, "no finite voxel"),
        ({"pixel_size": 0.0}, "pixel_size"),
    ],
    ids=str,
)
def test_bad_input_is_named(arguments, word):
    with pytest.raises(InputError, match=word):
        segment(**({"volume": STEP} | arguments))


def test_it_can_be_cancelled():
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        segment(STEP, cancel=token)
