# SPDX-License-Identifier: BSD-3-Clause
"""Layers on surfaces: the pieces against slow definitions, the whole on a wall seen through a wedge."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from reference import surfaces as reference

from cryolith import detect
from cryolith.detect._imaging import Projected
from cryolith.detect._layer_fit import Prior, chi_square, make_grid, minimum_of
from cryolith.detect._layer_model import (
    KERNEL,
    Library,
    Patches,
    Response,
    body,
    make_library,
    profile_covariances,
    spline_coefficients,
    spline_values,
)
from cryolith.detect._mesh import areas_and_normals, patches_of
from cryolith.detect._spectrum import Spectra
from cryolith.detect._surface_distance import signed_distance
from cryolith.errors import InputError
from cryolith.projection import Geometry
from cryolith.reconstruct import wbp

SHAPE = (72, 32, 72)
RADIUS, THICKNESS = 20.0, 4.0
ANGLES = np.arange(-60, 61, 3.0)
GEOMETRY = Geometry.single_axis(ANGLES)
IMAGES = (32, 108)
RADII = (1.5, 2.0, 3.0, 4.0)
RAMP = functools.partial(wbp, filter="ramp")


def wall(thickness, noise, seed):
    """Return halves of a cylinder's wall of contrast 1, from exact chords."""
    u = np.arange(IMAGES[1])[:, None] + (np.arange(8) + 0.5) / 8 - 0.5 - (IMAGES[1] - 1) / 2
    chord = [
        2 * np.sqrt(np.maximum((RADIUS + s * thickness / 2) ** 2 - u**2, 0)).mean(axis=1)
        for s in (1, -1)
    ]
    line = (chord[0] - chord[1]).astype(np.float32)
    stack = np.broadcast_to(line, (len(ANGLES), *IMAGES)).copy()
    stack += noise * np.random.default_rng(seed).standard_normal(stack.shape, np.float32)
    return RAMP(stack, GEOMETRY, shape=SHAPE, halves="tilts", threads=1)


@pytest.fixture(scope="module")
def measured():
    mesh = reference.tube_mesh(RADIUS, SHAPE)
    how = {"geometry": GEOMETRY, "image_shape": IMAGES, "solve": RAMP, "threads": 1}
    return detect.layer_thickness(
        None, mesh, halves=wall(THICKNESS, 1.0, 5), patch_px=5, pixel_size=10.0, **how
    )


def test_a_layer_has_its_thickness_up_to_the_wedge_and_none_beyond(measured):
    t = measured.table
    angle = np.rad2deg(np.arctan2(np.abs(t["normal_z"]), np.abs(t["normal_x"])))
    good = angle < 55
    assert t["measurable"][good].all()
    error = t["thickness_nm"][good] - THICKNESS
    assert abs(error.mean()) < 0.15
    inside = (t["thickness_low_nm"] <= THICKNESS) & (t["thickness_high_nm"] >= THICKNESS)
    assert inside.mean() > 0.8
    assert not t["measurable"][angle > 80].any()
    assert np.isnan(t["thickness_nm"][angle > 80]).all()
    assert t["seen"][angle > 80].max() < 0.2
    assert t["seen"][angle < 40].min() > 0.8


def test_the_contrast_is_learned_and_the_mean_holds_its_error(measured):
    assert abs(measured.contrast - 1) < 4 * measured.sigma_contrast + 0.03
    assert abs(measured.mean - THICKNESS) < 4 * measured.sigma_mean + 0.05
    assert measured.sigma_mean < 0.2


def test_a_layer_on_a_body_is_told_from_it():
    mesh = reference.tube_mesh(RADIUS, SHAPE)
    points = mesh.voxels()
    _, normals = areas_and_normals(points, mesh.faces)
    level = signed_distance(SHAPE, points, normals, 12.0, 1)
    rng = np.random.default_rng(0)
    volume = body(level, 1.5, 0.0) - 0.6 * body(level, -1.5, 0.0)
    volume += 0.1 * rng.standard_normal(SHAPE, np.float32)
    found = detect.layer_thickness(volume, mesh, noise=0.1, sides="differ", threads=1)
    assert abs(found.mean - 3.0) < 4 * found.sigma_mean + 0.02
    assert abs(found.inside - 0.4) < 0.05
    assert abs(found.contrast - 1.0) < 0.05


def test_samples_are_those_of_the_smoothed_volume():
    rng = np.random.default_rng(1)
    volume = rng.standard_normal((16, 18, 20)).astype(np.float32)
    places = rng.uniform(-3, 22, (40, 3))
    table = spline_coefficients(Spectra(volume.shape, 1, None), volume)
    expected = reference.smoothed_samples(volume, places, KERNEL)
    # Waves near 1/2 cycle a voxel pass the splines' images: 2e-2 of white noise.
    assert np.abs(spline_values(table, places) - expected).max() < 0.04 * volume.std()


def test_covariance_of_profiles_is_that_of_the_spectrum():
    shape, rng = (16, 12, 16), np.random.default_rng(2)
    kz, kx = np.fft.fftfreq(16)[:, None, None], np.fft.rfftfreq(16)[None, None, :]
    power = np.broadcast_to(0.1 + np.hypot(kz, kx), (16, 12, 9)).astype(np.float32)
    full = np.broadcast_to(0.1 + np.hypot(kz, np.fft.fftfreq(16)[None, None]), shape)
    normals = rng.standard_normal((5, 3))
    normals /= np.linalg.norm(normals, axis=1)[:, None]
    patches = Patches(rng.uniform(7, 9, (5, 3)), normals, np.full(5, 0.2), np.zeros(5, np.int64), 1)
    at = np.arange(-2, 2.5)
    got = profile_covariances(Spectra(shape, 1, None), power, patches, at)[0]
    want = reference.noise_covariance(full, shape, patches, at, KERNEL)
    assert np.abs(got - want).max() < 5e-3 * want.max()  # linear means of an eighth of a voxel


@pytest.mark.parametrize("differ", [False, True])
@pytest.mark.parametrize("prior", [None, Prior(1.0, 0.2)])
def test_closed_form_is_the_least_squares_fit(differ, prior):
    rng = np.random.default_rng(3)
    at = np.arange(-12.0, 12.5)
    fine = np.arange(-24, 24.1, 0.5)
    edge = 0.5 - 0.5 * np.tanh(fine)
    library = Library(np.array([-8.0, 0.0, 8.0]), fine, np.broadcast_to(edge, (3, 1, len(fine))))
    data = library.at(2.0, at) - library.at(-2.5, at) + 0.1 * rng.standard_normal((1, len(at)))
    lag = np.abs(np.subtract.outer(at, at))
    covariance = 0.01 * np.exp(-lag / 2)[None]
    grid = make_grid(library, data, covariance, at, 8.0, 2.0, differ)
    chi2, contrast = chi_square(grid, prior)
    shapes = [library.at(e, at)[0] for e in grid.offsets]
    ground = [np.ones_like(at), at]
    for pair in rng.integers(0, chi2.shape[1], 20):
        i, j = grid.inner[pair], grid.outer[pair]
        want = reference.best_layer(shapes, i, j, data[0], covariance[0], ground, prior, differ)
        if prior is None and want[1] < 0:  # a free contrast is 0 or more
            continue
        assert np.allclose([chi2[0, pair], contrast[0, pair]], want, rtol=1e-7, atol=1e-7)


def test_bodies_between_projected_offsets_are_interpolated():
    mesh = reference.tube_mesh(RADIUS, SHAPE)
    points = mesh.voxels()
    areas, normals = areas_and_normals(points, mesh.faces)
    inside = np.abs(points[:, 1] - 15.5) < 8
    patches, _ = patches_of(points, normals, areas, 5.0, inside)
    level = signed_distance(SHAPE, points, normals, 10.0, 1)
    spectra = Spectra(SHAPE, 1, None)
    response = Response(Projected(spectra, GEOMETRY, IMAGES, RAMP, None))
    at = np.arange(-10.0, 10.5)
    library = make_library(spectra, response, level, patches, 10.0, 4.0, 0.0)
    shown = response.show(body(level, 2.0, 0.0))
    want = patches.profiles(spectra, shown, at, response.pixel_gain(spectra))
    assert np.abs(library.at(2.0, at) - want).max() < 0.03


def test_distances_are_those_of_the_surface():
    mesh = reference.tube_mesh(RADIUS, SHAPE)
    points = mesh.voxels()
    _, normals = areas_and_normals(points, mesh.faces)
    level = signed_distance(SHAPE, points, normals, 6.0, 1)
    z, x = (np.arange(72) - 35.5)[:, None, None], (np.arange(72) - 35.5)[None, None, :]
    want = np.broadcast_to(np.clip(np.hypot(z, x) - RADIUS, -6, 6), SHAPE)
    assert np.abs(level - want).max() < 0.02


def test_the_minimum_of_a_parabola():
    t = np.arange(0.25, 10, 0.25)
    found = minimum_of(((t[None] - 4.1) / 0.5) ** 2 + 7.0, t)
    assert np.allclose([f[0] for f in found[:4]], [4.1, 4.1 - 0.98, 4.1 + 0.98, 0.5], atol=0.02)
    assert found[4][0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shift_px": 0.1}, "shift_px"),
        ({"sides": "both"}, "sides"),
        ({"contrast": 0.0}, "contrast"),
        ({"solve": RAMP}, "geometry"),
        ({"patch_px": 500.0}, "surface|contrast"),
    ],
)
def test_bad_options_are_named(options, message):
    volume = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    with pytest.raises(InputError, match=message):
        detect.layer_thickness(volume, reference.tube_mesh(RADIUS, SHAPE), noise=1.0, **options)


def test_a_surface_of_another_volume_is_refused():
    mesh = reference.tube_mesh(RADIUS, (60, 32, 60))
    with pytest.raises(InputError, match="surface"):
        detect.layer_thickness(np.zeros(SHAPE, np.float32), mesh, noise=1.0)


def test_pinholes_are_found_where_they_are_and_nowhere_else():
    mesh = reference.tube_mesh(RADIUS, SHAPE)
    points = mesh.voxels()
    _, normals = areas_and_normals(points, mesh.faces)
    level = signed_distance(SHAPE, points, normals, 10.0, 1)
    z, y, x = (np.arange(n) - (n - 1) / 2 for n in SHAPE)
    z, y, x = z[:, None, None], y[None, :, None], x[None, None, :]
    layer = body(level, 2.0, 0.0) - body(level, -2.0, 0.0)
    hole = np.where(x > 0, np.clip(np.hypot(z, y - 2.0) - 3.0 + 0.5, 0, 1), 1)
    volume = (layer * hole).astype(np.float32)
    volume += 0.5 * np.random.default_rng(4).standard_normal(SHAPE, np.float32)
    found = detect.pinholes(volume, mesh, 4.0, 1.0, noise=0.5, radii_px=RADII, threads=1)
    assert len(found.table["radius_px"]) == 1
    place = np.array([found.table[f"{a}_px"][0] for a in "zyx"])
    assert np.linalg.norm(place - [35.5, 17.5, 55.5]) < 1.0
    assert abs(found.table["radius_px"][0] - 3.0) < 3 * found.table["sigma_radius_px"][0] < 0.6
    assert abs(found.table["missing"][0] - 1) < 0.1
    assert abs(1 - found.coverage - 28.3 / (2 * np.pi * RADIUS * 20)) < 4 * found.sigma_coverage
    assert np.isfinite(found.detectable).any()
    assert np.nanmin(found.detectable) < 3.0


def test_a_layer_without_holes_has_none():
    mesh = reference.tube_mesh(RADIUS, SHAPE)
    points = mesh.voxels()
    _, normals = areas_and_normals(points, mesh.faces)
    level = signed_distance(SHAPE, points, normals, 10.0, 1)
    volume = body(level, 2.0, 0.0) - body(level, -2.0, 0.0)
    volume += 0.5 * np.random.default_rng(6).standard_normal(SHAPE, np.float32)
    found = detect.pinholes(volume, mesh, 4.0, 1.0, noise=0.5, radii_px=RADII, threads=1)
    assert len(found.table["radius_px"]) == 0
    assert found.coverage == 1.0
