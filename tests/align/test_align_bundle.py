# SPDX-License-Identifier: BSD-3-Clause
"""The bundle adjustment against numerical derivatives, exact geometries and fits made anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from specimens import without_gauge

from cryolith.align.bundle import Extras, View, _slopes, _Unknowns, adjust, project_points
from cryolith.align.tracks import find_tracks

ANGLES = np.linspace(-60, 60, 31)
EVERY = Extras(rotations="smooth", magnifications="smooth", x_tilts="smooth", tilt_scale=True)


def scene(seed: int = 0, m: int = 9) -> tuple[View, np.ndarray]:
    rng = np.random.default_rng(seed)
    points = rng.uniform(-1, 1, (m, 3)) * [40, 200, 220]
    points -= points.mean(axis=0)
    shifts = np.cumsum(rng.normal(0, 3, (len(ANGLES), 2)), axis=0)
    return View.simple(ANGLES, 7.0, shifts), points


def test_places_are_those_of_the_conventions() -> None:
    view = replace(
        View.simple(np.array([30.0]), 20.0, np.array([[1.0, -2.0]])),
        x_tilts_deg=np.array([10.0]),
        magnifications=np.array([1.1]),
        rotations_deg=np.array([3.0]),
    )
    z, y, x = 4.0, -5.0, 6.0
    a, t, psi = np.deg2rad([10.0, 30.0, 23.0])
    v, depth = y * np.cos(a) - z * np.sin(a), y * np.sin(a) + z * np.cos(a)
    u = x * np.cos(t) + depth * np.sin(t)
    row = 1.1 * (u * np.sin(psi) + v * np.cos(psi)) + 1.0
    column = 1.1 * (u * np.cos(psi) - v * np.sin(psi)) - 2.0
    found = project_points(view, np.array([[z, y, x]]))[0, 0]
    np.testing.assert_allclose(found, [row, column], atol=1e-12)


def test_derivatives_are_those_of_differences() -> None:
    view, points = scene()
    view = replace(
        view, x_tilts_deg=0.1 * ANGLES, magnifications=1 + 1e-3 * ANGLES, tilt_scale=1.01
    )
    unknowns = _Unknowns.of(view, len(points), EVERY)
    jacobian = unknowns.jacobian(_slopes(view, points))
    assert jacobian.shape[-1] == len(unknowns.names)
    for k in range(jacobian.shape[-1]):
        step = np.zeros(jacobian.shape[-1])
        step[k] = 1e-5
        high, low = (project_points(*unknowns.moved(view, points, s)) for s in (step, -step))
        # Central differences of a step 1e-5 at coordinates of 200 px: rounding 200 * 2e-16 / 1e-5, and its cube.
        np.testing.assert_allclose((high - low) / 2e-5, jacobian[..., k], atol=1e-7)


def test_exact_places_give_the_exact_geometry() -> None:
    view, points = scene(1)
    bend = ANGLES**2 - np.mean(ANGLES**2)
    view = replace(view, rotations_deg=2e-4 * bend, magnifications=1 + 1e-6 * bend, tilt_scale=1.02)
    places = project_points(view, points)
    start = View.simple(ANGLES, -10.0, np.zeros_like(view.shifts_px))
    extras = Extras(rotations="smooth", magnifications="smooth", tilt_scale=True)
    found = adjust(places, np.ones(places.shape[:2]), start, np.zeros_like(points), extras)
    assert found.view.tilt_axis_deg == pytest.approx(7.0, abs=1e-6)
    assert found.view.tilt_scale == pytest.approx(1.02, abs=1e-8)
    np.testing.assert_allclose(found.view.shifts_px, view.shifts_px, atol=1e-5)
    np.testing.assert_allclose(found.view.rotations_deg, view.rotations_deg, atol=1e-6)
    np.testing.assert_allclose(found.view.magnifications, view.magnifications, atol=1e-8)
    np.testing.assert_allclose(found.points_px, points, atol=1e-5)


def test_outliers_and_missing_places_do_not_move_the_geometry() -> None:
    view, points = scene(2, m=12)
    rng = np.random.default_rng(3)
    places = project_points(view, points) + rng.normal(0, 0.1, (len(ANGLES), 12, 2))
    places[rng.uniform(size=places.shape[:2]) < 0.2] = np.nan
    wrong = rng.uniform(size=places.shape[:2]) < 0.1
    places[wrong] += rng.normal(0, 6, (int(wrong.sum()), 2))
    start = View.simple(ANGLES, 0.0, np.zeros_like(view.shifts_px))
    found = adjust(places, np.full(places.shape[:2], 0.1), start, np.zeros_like(points))
    across, along = without_gauge(found.view.shifts_px - view.shifts_px, ANGLES, 7.0)
    error = np.sqrt(np.mean(across**2 + along**2))
    stated = np.sqrt(np.mean(np.sum(found.sigma_shifts_px**2, axis=1)))
    assert 0.7 < error / stated < 1.3  # 60 numbers: 9 %, and three standard deviations of that
    assert abs(found.view.tilt_axis_deg - 7.0) < 4 * found.sigma_tilt_axis_deg
    # Within 6 sigma a wrong place may look right: of 6 px, one in ten does in both coordinates.
    assert found.weights[wrong & np.isfinite(places[..., 0])].mean() < 0.1


def test_left_out_residuals_are_those_of_fits_without_the_measurement() -> None:
    view, points = scene(4, m=6)
    rng = np.random.default_rng(5)
    places = project_points(view, points) + rng.normal(0, 0.1, (len(ANGLES), 6, 2))
    sigma = np.full(places.shape[:2], 0.1)
    found = adjust(places, sigma, view, points)
    for i, j in ((0, 0), (15, 3), (30, 5)):
        without = places.copy()
        without[i, j] = np.nan
        again = adjust(without, sigma, view, points)
        refit = places[i, j] - project_points(again.view, again.points_px)[i, j]
        # Robust weights of the others change a little; a tenth of the noise.
        np.testing.assert_allclose(found.left_out_px[i, j], refit, atol=0.01)
        assert np.linalg.norm(refit) > np.linalg.norm(found.residuals_px[i, j])


def test_tracks_are_found_among_spots_that_are_none() -> None:
    view, points = scene(6, m=10)
    rng = np.random.default_rng(7)
    places = project_points(view, points)
    spots = []
    for seen in places:
        inside = (np.abs(seen) < 255).all(axis=1) & (rng.uniform(size=10) < 0.85)
        spots.append(np.vstack([seen[inside], rng.uniform(-255, 255, (8, 2))]))
        rng.shuffle(spots[-1])
    found = find_tracks(spots, ANGLES, (511, 511), 60.0)
    assert found is not None
    assert len(found.points_px) == 10
    turn = (found.view.tilt_axis_deg - 7.0 + 90) % 180 - 90
    assert abs(turn) < 0.1
    across, along = without_gauge(found.view.shifts_px - view.shifts_px, ANGLES, 7.0)
    # Spots without noise: what is left comes from spots that lie by chance within the last gate of 2 px.
    assert np.sqrt(np.mean(across**2 + along**2)) < 0.2
