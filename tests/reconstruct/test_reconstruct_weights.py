# SPDX-License-Identifier: BSD-3-Clause
"""The weight of each tilt: by hand, and by what it is worth on a specimen that is known."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from ellipses import head, head_series, psnr

from cryolith.projection import Geometry, backproject
from cryolith.reconstruct import filter_projections, tilt_weights, wbp


def degrees(angles):
    return np.rad2deg(tilt_weights(angles))


def test_weights_of_even_tilts():
    assert np.allclose(degrees(np.arange(0, 180, 2.0)), 2)
    assert np.allclose(degrees(np.arange(-60, 61, 2.0)), 2)  # the wedge belongs to nobody
    full = degrees(np.arange(-90, 91, 2.0))  # -90 and 90 are the same view
    assert np.allclose(full[1:-1], 2)
    assert np.allclose(full[[0, -1]], 1)
    assert full.sum() == pytest.approx(180)


def test_weights_of_uneven_unsorted_duplicate_and_missing_tilts():
    assert np.allclose(degrees([-50, -48, -46, -45, -44, -43]), [2, 2, 1.5, 1, 1, 1])
    order = np.random.default_rng(3).permutation(61)
    angles = np.arange(-60, 61, 2.0)
    assert np.allclose(degrees(angles[order]), degrees(angles)[order])
    assert np.allclose(degrees([-4, -2, 0, 0, 2, 4]), [2, 2, 1, 1, 2, 2])
    holes = np.delete(angles, [10, 30, 31])
    assert degrees(holes).sum() == pytest.approx(122)  # neighbours take over
    assert degrees([12.0]).sum() == pytest.approx(180)


def without(tilts, count):
    lost = np.random.default_rng(5).choice(len(tilts), count, replace=False)
    return np.delete(tilts, lost)


def saxton(step, top):
    """Steps that shrink with the cosine of the tilt (Saxton, Baumeister & Hahn 1984, Ultramicroscopy 13, 57)."""
    side = [0.0]
    while side[-1] < top:
        side.append(side[-1] + np.rad2deg(np.deg2rad(step) * np.cos(np.deg2rad(side[-1]))))
    return np.array([-t for t in side[:0:-1]] + side)


def golden(count, span):
    return (np.arange(count) * (np.sqrt(5) - 1) / 2 % 1 - 0.5) * span


FIELD = np.concatenate([np.arange(-60, 10, 2.0), np.arange(10, 61, 1.0)])
# Least gain over equal weights of pi / n, which is what most programs use; measured 2.6, 2.8, 1.1, 1.2, 0.6, 8.4 dB.
SCHEMES = {
    "finer above +10, 8 missing": (without(FIELD, 8), 1.0),
    "the same to 70": (without(np.concatenate([FIELD - 10, np.arange(51, 71.0)]), 8), 1.0),
    "Saxton": (saxton(3.0, 70.0), 1.0),
    "golden ratio, 140 degrees": (golden(71, 140.0), 1.0),
    "golden ratio, 180 degrees": (golden(90, 180.0), 0.4),
    "full range, finer above +10": (np.r_[np.arange(-90, 10, 2.0), np.arange(10, 90, 1.0)], 6.0),
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_the_weights_gain(scheme):
    tilts, gain = SCHEMES[scheme]
    n = 256
    truth, stack = head(n), head_series(n, tilts)
    geometry = Geometry.single_axis(tilts)
    filtered = filter_projections(stack, tilts, "ramp", weights=False)

    def decibel(weight):
        volume = backproject(filtered * np.float32(weight), geometry, (n, 1, n))
        return psnr(volume[:, 0], truth)

    equal, scaled = decibel(np.pi / len(tilts)), decibel(tilt_weights(tilts).mean())
    weighted = psnr(wbp(stack, tilts, shape=(n, 1, n), filter="ramp")[:, 0], truth)
    # pytest -rP shows it
    sys.stdout.write(f"equal {equal:.1f} dB, scaled {scaled:.1f} dB, weighted {weighted:.1f} dB\n")
    assert weighted > equal + gain
    assert weighted > scaled + 0.25


def test_the_order_of_exposure_changes_nothing():
    """Dose-symmetric (0, 2, -2, 4 ...; Hagen, Wan & Briggs 2017, J. Struct. Biol. 197, 191) against sorted."""
    sorted_tilts = np.arange(-60, 61, 2.0)
    order = np.argsort(np.abs(sorted_tilts) - 0.1 * (sorted_tilts > 0), kind="stable")
    assert list(sorted_tilts[order][:4]) == [0.0, 2.0, -2.0, 4.0]
    assert np.array_equal(tilt_weights(sorted_tilts[order]), tilt_weights(sorted_tilts)[order])
    stack = head_series(64, sorted_tilts)
    one = wbp(stack, sorted_tilts, shape=(64, 1, 64))
    other = wbp(stack[order], sorted_tilts[order], shape=(64, 1, 64))
    # Summed in another order: rounding only.
    assert np.abs(one - other).max() < len(order) * np.finfo("f4").eps * np.abs(one).max()
