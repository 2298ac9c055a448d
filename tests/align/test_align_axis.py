# SPDX-License-Identifier: BSD-3-Clause
"""Shifts along the axis from common lines, where the specimen ends in the image and where it leaves it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from reference.covariance import left_of
from specimens import make_case, without_gauge

from cryolith.align import AlignSettings, align_tilt_series
from cryolith.align.axis import _Rows, profile_shifts
from cryolith.align.axis_rows import fit_axis_by_rows
from cryolith.align.images import reduce_images
from cryolith.align.joint import Model, Pose
from cryolith.align.quality import fit_axis
from cryolith.align.rows import Row

Float64 = npt.NDArray[np.float64]


def drifting_profiles(seed: int, n: int, m: int) -> tuple[Float64, Float64]:
    """Windows of ``m`` samples of one smooth random curve, and where each lies (whole samples)."""
    rng = np.random.default_rng(seed)
    curve = np.convolve(rng.normal(size=3 * m), np.hanning(9), mode="same") + 60.0
    shifts = np.cumsum(rng.integers(-3, 4, n))
    shifts -= shifts[n // 2]
    return np.stack([curve[m - s : 2 * m - s] for s in shifts]), shifts.astype(float)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_profiles_that_are_cut_at_their_ends_are_found(seed: int) -> None:
    profiles, truth = drifting_profiles(seed, 21, 96)
    # An image turned against the axis cuts a needle obliquely: the mass falls to zero over some rows that stand still.
    profiles *= np.clip(np.minimum(np.arange(96), np.arange(95, -1, -1)) / 8, 0, 1)
    valid = np.zeros(profiles.shape, bool)
    valid[:, 8:-8] = True
    found = profile_shifts(profiles, valid, 10)
    np.testing.assert_allclose(found - found[10], truth, atol=0.15)
    # Compared over all rows, what stands still wins.
    everywhere = profile_shifts(profiles, np.ones_like(valid), 10)
    assert np.abs(everywhere - everywhere[10] - truth).max() > 2


def test_profiles_without_a_valid_row_stay_where_they_are() -> None:
    profiles, _ = drifting_profiles(4, 5, 32)
    assert not profile_shifts(profiles, np.zeros(profiles.shape, bool), 2).any()


def test_a_row_without_mass_has_its_centre_on_the_axis() -> None:
    images = np.zeros((2, 3, 5), np.float32)
    images[0, :, 4] = 2.0
    centres = _Rows(images, np.ones(3, bool)).mass_centres()
    np.testing.assert_array_equal(centres, [[2.0] * 3, [0.0] * 3])


def test_a_needle_that_leaves_the_image_obliquely_is_aligned_along_its_axis() -> None:
    case = make_case("needle", tilt_axis_deg=9.0, seed=8, shape=(64, 64), n_tilts=15, walk=2.0)
    found = align_tilt_series(
        case.images, case.angles_deg, settings=AlignSettings(tilt_axis=9.0, refine_axis=False)
    )
    across, along = without_gauge(found.shifts_px - case.shifts_px, case.angles_deg, 9.0)
    assert np.sqrt(np.mean(across**2 + along**2)) < 0.3


def turned_model(seed: int, contrast: float) -> tuple[Model, Pose]:
    """Images of random grains in a ball of density 1, seen by the projector itself, and their pose."""
    rng = np.random.default_rng(seed)
    z, y, x = np.mgrid[:24, :28, :24] - np.array([11.5, 13.5, 11.5])[:, None, None, None]
    density = np.ones(z.shape)
    for centre in rng.uniform(-6, 6, (20, 3)):
        away = sum((a - c) ** 2 for a, c in zip((z, y, x), centre, strict=True))
        density += contrast * rng.uniform(1, 3) * np.exp(-away / 6)
    density *= np.hypot(np.hypot(z, y), x) < 9
    model = Model(
        images=np.zeros((15, 28, 28), np.float32),
        angles_deg=np.linspace(-60, 60, 15),
        shape=(24, 28, 24),
        support=np.ones((24, 1, 24), np.float32),
        weights=np.ones((15, 1, 1), np.float32),
        ridge=0.003,
    )
    pose = Pose.of_shifts(np.zeros((15, 2)), 3.0)
    images = model.operator(pose).project(density.astype(np.float32))
    images += rng.normal(0, 0.1, images.shape).astype(np.float32)
    return replace(model, images=images), pose


@pytest.mark.parametrize("off", [-4.0, 4.0])
def test_the_angle_is_followed_until_parabolas_hold_it(off: float) -> None:
    model, pose = turned_model(5, 1.0)
    # One parabola of 0.8 deg moves by 1.2 deg at most.
    found = fit_axis(model, replace(pose, tilt_axis_deg=3.0 + off), (0.8,), 20, {})
    assert abs(found.pose.tilt_axis_deg - 3.0) < 0.4
    assert found.found


def test_an_angle_that_was_not_reached_is_not_said_to_be_found() -> None:
    model, pose = turned_model(5, 1.0)
    found = fit_axis(model, replace(pose, tilt_axis_deg=15.0), (0.2,), 20, {})
    assert abs(found.pose.tilt_axis_deg - 3.0) > 1.0
    assert not found.found


@pytest.mark.parametrize("off", [-4.0, 4.0])
def test_rows_find_the_angle_from_afar(off: float) -> None:
    model, pose = turned_model(5, 1.0)
    found = fit_axis_by_rows(model, replace(pose, tilt_axis_deg=3.0 + off), {})
    assert abs(found.pose.tilt_axis_deg - 3.0) < 0.4
    assert found.found


def test_noise_does_not_pull_the_angle_of_rows_to_the_lattice() -> None:
    clean, pose = turned_model(5, 1.0)
    by_rows, by_misfits = [], []
    for seed in range(6):
        noise = np.random.default_rng([seed, 7]).normal(0, 2.0, clean.images.shape)
        soft = reduce_images(clean.images + noise.astype(np.float32), 1, softness=2.0)
        model = replace(clean, images=soft, ridge=0.1)
        by_rows.append(fit_axis_by_rows(model, pose.moved("tilt_axis_deg", 1.0), {}))
        by_misfits.append(fit_axis(model, pose, (0.8,), 20, {}))
    errors = [
        np.sqrt(np.mean([(fit.pose.tilt_axis_deg - 3.0) ** 2 for fit in fits]))
        for fits in (by_rows, by_misfits)
    ]
    assert all(fit.found for fit in by_rows)
    # 0.45 against 1.5 deg.
    assert errors[0] < 0.5 * errors[1]


def test_what_rows_predict_is_what_the_definition_leaves() -> None:
    rng = np.random.default_rng(0)
    n, voxels, rows, columns, rho = 4, 11, 5, 6, 0.7
    projector, images = rng.normal(size=(n, voxels, columns)), rng.normal(size=(n, rows, columns))
    flat = projector.transpose(1, 0, 2).reshape(voxels, -1)
    row = Row(projector, np.linalg.inv(flat @ flat.T + np.eye(voxels) / rho))
    # Sums of 24 products of numbers about 1, in another order.
    expected = left_of(projector, rho, images)
    np.testing.assert_allclose(images - row.predicted(images), expected, atol=1e-12)
