# SPDX-License-Identifier: BSD-3-Clause
"""Filters against their definition, and the weight of each tilt."""

from __future__ import annotations

import numpy as np
import pytest

from cryolith import _core
from cryolith.errors import InputError
from cryolith.projection import Geometry
from cryolith.reconstruct import filter_projections, tilt_weights


def ramp_by_definition(rows):
    """Direct float64 convolution with the band-limited ramp (Kak & Slaney, eq. 3.61)."""
    n = rows.shape[-1]
    m = np.arange(-(n - 1), n)
    kernel = np.where(m == 0, 0.25, np.where(m % 2, -1.0 / (np.pi * np.where(m, m, 1)) ** 2, 0))
    return np.apply_along_axis(
        lambda r: np.convolve(r, kernel)[n - 1 : 2 * n - 1], -1, rows.astype("f8")
    )


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (2, 3, 2), (3, 17, 37), (2, 16, 100), (2, 40, 81), (1, 5, 250)]
)
def test_ramp_equals_its_definition(shape, rng):
    stack = rng.normal(size=shape).astype("f4")
    got = filter_projections(stack, np.arange(shape[0]), "ramp", weights=False)
    want = ramp_by_definition(stack)
    # Each of log2(n) passes there and back rounds a few times: relative to the norm of a row.
    n = _core.filter_length(shape[2])
    bound = (
        4 * (np.log2(n) + 2) * np.finfo("f4").eps * np.linalg.norm(stack, axis=-1, keepdims=True)
    )
    assert (np.abs(got - want) <= bound).all()


def test_filter_lengths_have_no_wrap_and_small_factors():
    for count in range(1, 600):
        n = _core.filter_length(count)
        assert n >= 2 * count - 1
        for p in (2, 3, 5):
            while n % p == 0:
                n //= p
        assert n == 1


def test_no_error_at_zero_frequency():
    """A constant that fills the detector: what is left in the middle falls as 1 / width, no offset stays."""
    for width in (64, 256, 1024):
        got = filter_projections(np.ones((1, 8, width), "f4"), [0.0], "ramp", weights=False)
        want = 2 / (
            np.pi**2 * (width / 2)
        )  # tails of the kernel beyond both edges: sum of 1/(pi m)^2 over odd m
        assert got[0, 0, width // 2] == pytest.approx(want / 2, rel=0.05)


@pytest.mark.parametrize(
    ("name", "gain"),
    [
        ("shepp-logan", lambda f: np.sinc(f)),
        ("cosine", lambda f: np.cos(np.pi * f)),
        ("hann", lambda f: 0.5 * (1 + np.cos(2 * np.pi * f))),
        ("hamming", lambda f: 0.54 + 0.46 * np.cos(2 * np.pi * f)),
        ("sirt-like", lambda f: 1 - (1 - min(1, 1 / (np.pi * f * 600))) ** 10),
    ],
)
def test_windows(name, gain):
    width = 600
    for f in (0.05, 0.2, 0.4):
        wave = np.cos(2 * np.pi * f * np.arange(width)).astype("f4")[None, None]
        ramp = filter_projections(wave, [0.0], "ramp", weights=False)[0, 0, 200:400]
        got = filter_projections(wave, [0.0], name, weights=False)[0, 0, 200:400]
        mine = filter_projections(
            wave, [0.0], lambda g, f=f: np.full_like(g, gain(f)), weights=False
        )[0, 0, 200:400]
        assert np.dot(got, ramp) / np.dot(ramp, ramp) == pytest.approx(gain(f), rel=0.02)
        assert np.abs(got - mine).max() < 0.03 * np.abs(ramp).max()


def test_a_horizontal_axis_filters_the_other_way(rng):
    stack = rng.normal(size=(2, 20, 30)).astype("f4")
    along_y = filter_projections(stack, [0.0, 10.0])
    along_x = filter_projections(
        stack.swapaxes(1, 2), Geometry.single_axis([0.0, 10.0], tilt_axis_deg=90.0)
    )
    assert np.array_equal(along_x, along_y.swapaxes(1, 2))
    with pytest.raises(InputError, match="multiple of 90"):
        filter_projections(stack, Geometry.single_axis([0.0, 10.0], tilt_axis_deg=5.0))


def test_bad_filters_are_refused():
    stack = np.zeros((1, 4, 4), "f4")
    with pytest.raises(InputError, match="did you mean 'hamming'"):
        filter_projections(stack, [0.0], "haming")
    with pytest.raises(InputError, match="one finite number"):
        filter_projections(stack, [0.0], lambda f: f[:2])
    with pytest.raises(InputError, match="stack: found 1 images, expected 2"):
        filter_projections(stack, [0.0, 1.0])


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
