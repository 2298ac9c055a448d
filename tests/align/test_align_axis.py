# SPDX-License-Identifier: BSD-3-Clause
"""Shifts along the axis from common lines, where the specimen ends in the image and where it leaves it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from specimens import make_case, without_gauge

from cryolith.align import AlignSettings, align_tilt_series
from cryolith.align.axis import profile_shifts

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


def test_a_needle_that_leaves_the_image_obliquely_is_aligned_along_its_axis() -> None:
    case = make_case("needle", tilt_axis_deg=9.0, seed=8, shape=(64, 64), n_tilts=15, walk=2.0)
    found = align_tilt_series(
        case.images, case.angles_deg, settings=AlignSettings(tilt_axis=9.0, refine_axis=False)
    )
    across, along = without_gauge(found.shifts_px - case.shifts_px, case.angles_deg, 9.0)
    assert np.sqrt(np.mean(across**2 + along**2)) < 0.3
