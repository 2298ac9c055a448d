# SPDX-License-Identifier: BSD-3-Clause
"""wbp and sirt on phantoms with known values; what all iterative solvers share: test_reconstruct_options.py."""

from __future__ import annotations

import numpy as np
import pytest

import cryolith
from cryolith.errors import InputError
from cryolith.projection import Geometry, project
from cryolith.reconstruct import filter_projections, sirt, wbp

N, NY = 72, 9


def phantom(n=N, ny=NY):
    """A disk of density 1 with a dense and a hollow insert; asymmetric."""
    z, x = np.indices((n, n)) - (n - 1) / 2

    def disk(cx, cz, r):
        return np.clip(r - np.hypot(x - cx, z - cz) + 0.5, 0, 1)

    plane = disk(0, 0, 0.4 * n) + 0.5 * disk(9, -6, 7) - 0.7 * disk(-12, 5, 6)
    return np.repeat(plane[:, None], ny, 1).astype("f4")


VOLUME = phantom()
Z, X = np.indices((N, N)) - (N - 1) / 2
DENSE, HOLLOW = np.hypot(X - 9, Z + 6) < 5, np.hypot(X + 12, Z - 5) < 4
OUTSIDE = (np.hypot(X, Z) > 0.45 * N) & (np.hypot(X, Z) < 0.5 * N)


def series(angles, axis=0.0, shifts=False):
    rng = np.random.default_rng(4)
    geometry = Geometry.single_axis(
        angles,
        tilt_axis_deg=axis,
        shifts_px=rng.uniform(-2, 2, (len(angles), 2)) if shifts else None,
        axis_offset_px=1.5 if shifts else 0.0,
    )
    image = (NY, N) if axis == 0 else (N, NY) if axis == 90 else (96, 96)
    return project(VOLUME, geometry, image), geometry


def rms(got, sub=slice(3, 6)):
    return float(np.sqrt(np.mean((got - VOLUME)[:, sub].astype("f8") ** 2)))


FULL = np.arange(-90, 90, 2.0)


@pytest.mark.parametrize("axis", [0.0, 90.0])
@pytest.mark.parametrize("angles", [FULL, np.arange(-90, 91, 2.0), np.arange(0, 180, 1.5)])
def test_wbp_of_a_full_range_is_quantitative(axis, angles):
    stack, geometry = series(angles, axis)
    got = wbp(stack, geometry, filter="ramp", shape=VOLUME.shape)[:, 4]
    assert got[DENSE].mean() == pytest.approx(1.5, abs=0.01)
    assert got[HOLLOW].mean() == pytest.approx(0.3, abs=0.01)
    assert got[OUTSIDE].mean() == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("axis", [3.0, 17.0, 45.0])
def test_wbp_puts_shifts_and_turns_right(axis):
    """What comes back is no worse than without them, farther from the ends of the volume than half a kernel, 6 rows.

    Each tilt interpolates the step at either end at its own phase, and the ramp makes noise of that: see design/003.
    """
    plain = rms(wbp(series(FULL)[0], FULL, filter="ramp", thickness=N))
    tall = np.repeat(VOLUME[:, :1], 25, 1)
    _, geometry = series(FULL, axis, shifts=True)
    got = wbp(project(tall, geometry, (96, 96)), geometry, filter="ramp", shape=tall.shape)
    assert np.sqrt(np.mean((got - tall)[:, 7:18].astype("f8") ** 2)) < plain


def test_wbp_is_the_back_projection_of_filter_projections():
    stack, geometry = series(np.arange(-60, 61, 3.0))
    filtered = filter_projections(stack, geometry, "hann")
    direct = wbp(stack, geometry, filter="hann", shape=VOLUME.shape)
    two_steps = cryolith.projection.backproject(filtered, geometry, VOLUME.shape)
    # Filtered before or after the rows are stretched: equal up to the interpolation near Nyquist.
    inside = (slice(10, -10), slice(None), slice(10, -10))
    difference = np.linalg.norm((direct - two_steps)[inside])
    assert difference < 0.005 * np.linalg.norm(direct[inside])


def test_uneven_tilts_gain_by_their_weights():
    angles = np.concatenate([np.arange(-90, 10, 4.0), np.arange(10, 90, 1.0)])
    stack, geometry = series(angles)
    even = rms(wbp(stack, geometry, filter="ramp", shape=VOLUME.shape))
    backwards = rms(
        wbp(stack[::-1], geometry.subset(slice(None, None, -1)), filter="ramp", shape=VOLUME.shape)
    )
    assert backwards == pytest.approx(even, rel=1e-4)
    flat = filter_projections(stack, geometry, "ramp", weights=False) * np.float32(
        np.pi / len(angles)
    )
    assert even < 0.7 * rms(cryolith.projection.backproject(flat, geometry, VOLUME.shape))


@pytest.mark.parametrize(
    "solve",
    [
        lambda s, g: wbp(s, g, shape=VOLUME.shape),
        lambda s, g: sirt(s, g, shape=VOLUME.shape, n_iter=8),
    ],
)
def test_one_nan_pixel_changes_the_error_by_less_than_one_percent(solve):
    stack, geometry = series(np.arange(-70, 71, 2.0))
    clean = rms(solve(stack, geometry), slice(None))
    stack[30, 4, 40] = np.nan
    assert rms(solve(stack, geometry), slice(None)) == pytest.approx(clean, rel=0.01)


def test_same_bits_for_any_number_of_threads_and_inputs_stay():
    stack, geometry = series(np.arange(-70, 71, 7.0), 17.0)
    stack[3, 10:12, 20] = np.nan
    before = stack.copy()
    stack.flags.writeable = False
    for solve in (wbp, lambda *a, **k: sirt(*a, n_iter=3, **k)):
        one = solve(stack, geometry, shape=VOLUME.shape, threads=1)
        for threads in (2, 3):
            assert np.array_equal(one, solve(stack, geometry, shape=VOLUME.shape, threads=threads))
    assert np.array_equal(before, stack, equal_nan=True)


def test_background_is_subtracted():
    stack, geometry = series(np.arange(-60, 61, 6.0))
    level = np.linspace(3, 5, len(stack))
    lifted = (stack + level[:, None, None]).astype("f4")
    for solve in (wbp, lambda *a, **k: sirt(*a, n_iter=3, **k)):
        got = solve(lifted, geometry, shape=VOLUME.shape, background=level)
        assert np.abs(got - solve(stack, geometry, shape=VOLUME.shape)).max() < 1e-4


def test_limits():
    for shape in ((1, 1, 1), (1, 5, 3), (2, 1, 9)):
        stack = np.ones(shape, "f4")
        assert wbp(stack, np.zeros(shape[0])).shape == (shape[2], shape[1], shape[2])
        assert np.isfinite(sirt(stack, np.zeros(shape[0]), thickness=1, n_iter=2)).all()
    nothing = np.full((3, 6, 6), np.nan, "f4")
    assert not wbp(nothing, [0, 1, 2]).any()
    assert not sirt(nothing, [0, 1, 2], n_iter=2).any()


def test_a_tilt_series_and_its_alignment_are_taken():
    angles = np.arange(-60, 61, 6.0)
    stack, geometry = series(angles, 17.0, shifts=True)
    tilts = cryolith.TiltSeries(images=stack, angles_deg=angles, tilt_axis_deg=17.0)
    alignment = cryolith.Alignment(
        angles_deg=angles,
        tilt_axis_deg=17.0,
        shifts_px=geometry.shifts_px,
        axis_offset_px=geometry.axis_offset_px,
        flags={3: "drifted"},
    )
    keep, level = alignment.kept, np.arange(len(angles), dtype="f8")
    got = wbp(tilts, alignment, shape=VOLUME.shape, background=level)
    want = wbp(stack[keep], geometry.subset(keep), shape=VOLUME.shape, background=level[keep])
    assert np.array_equal(got, want)
    from_metadata = Geometry.single_axis(angles, tilt_axis_deg=17.0)
    assert np.array_equal(
        wbp(tilts, shape=VOLUME.shape), wbp(stack, from_metadata, shape=VOLUME.shape)
    )
    with pytest.raises(InputError, match="alignment: found 21 tilts, expected 20"):
        wbp(stack[1:], alignment)
    with pytest.raises(InputError, match="angles_deg: found None"):
        wbp(stack)


def test_wbp_works_at_every_axis_angle(rng):
    """Rows of neighbouring blocks touch a turned image at different places: the filter has to hold both."""
    stack = rng.normal(size=(3, 37, 53)).astype("f4")
    for axis in range(0, 360, 7):
        geometry = Geometry.single_axis([-50.0, 5.0, 88.0], tilt_axis_deg=axis)
        got = wbp(stack, geometry, shape=(12, 41, 29), filter="ramp")
        assert np.isfinite(got).all()
        assert got.any()
