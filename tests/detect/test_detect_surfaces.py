# SPDX-License-Identifier: BSD-3-Clause
"""Meshes: curvatures on bodies that have them in closed form, vertices on the edge, errors that hold."""

from __future__ import annotations

import numpy as np
import pytest
from reference import surfaces as reference

from cryolith import detect, simulate
from cryolith.detect._curvature import curvatures
from cryolith.detect._edge_refinement import neighbours
from cryolith.detect._mesh import areas_and_normals
from cryolith.errors import InputError


def described(mesh, radius=4.0):
    areas, normals = areas_and_normals(mesh.vertices, mesh.faces)
    near = neighbours(mesh.vertices, normals, radius)
    return areas, normals, curvatures(mesh.vertices, normals, near)


def test_a_cylinder_is_bent_one_way():
    mesh = reference.tube_mesh(20.0, (64, 40, 64))
    areas, normals, bent = described(mesh)
    assert abs(areas.sum() / (2 * np.pi * 20 * 39) - 1) < 2e-3  # chords of a degree or three
    inner = (
        np.abs(mesh.vertices[:, 1]) < 12
    )  # away from the rims, where triangles on one side are missing
    assert np.allclose(normals[inner], mesh.vertices[inner] * [1, 0, 1] / 20, atol=1e-3)
    assert np.abs(bent.mean[inner] * 40 - 1).max() < 0.03
    assert np.abs(bent.gaussian[inner]).max() < 1e-5


def test_a_torus_has_both_signs_of_curvature():
    mesh, mean, gaussian = reference.torus_mesh(30.0, 10.0, (80, 80, 80))
    areas, _, bent = described(mesh, 2.5)
    assert abs(areas.sum() / (4 * np.pi**2 * 300) - 1) < 3e-3
    assert np.abs(bent.mean - mean).max() < 0.03 * mean.max()
    assert np.abs(bent.gaussian - gaussian).max() < 0.06 * gaussian.max()
    assert abs((bent.gaussian * areas).sum()) < 0.02 * (np.abs(gaussian) * areas).sum()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vertices": np.zeros((3, 2))}, "vertices"),
        ({"faces": np.array([[0, 1, 3]])}, "faces"),
        ({"fields": {"a": np.zeros(2)}}, "fields"),
    ],
)
def test_a_mesh_that_does_not_fit_together_is_refused(options, message):
    good = {"vertices": np.zeros((3, 3)), "faces": np.array([[0, 1, 2]]), "shape": (4, 4, 4)}
    with pytest.raises(InputError, match=message):
        detect.Surface(**(good | options))


@pytest.fixture(scope="module")
def ball():
    pytest.importorskip("skimage")
    solid = simulate.ellipsoid(1.0, (0.3, -0.2, 0.1), (12, 12, 12))
    volume = simulate.Phantom(shape=(40, 40, 40), solids=(solid,)).volume
    noisy = volume + 0.2 * np.random.default_rng(3).standard_normal(volume.shape, np.float32)
    return detect.surface(noisy, noise=0.2, pixel_size=20.0, threads=1)


def test_vertices_lie_on_the_edge_within_their_errors(ball):
    away = np.linalg.norm(ball.vertices - 2 * np.array([0.3, -0.2, 0.1]), axis=1) - 24.0
    pull = away / ball.fields["sigma_position_nm"]
    assert abs(away.mean()) < 0.06
    assert 0.7 < pull.std() < 1.3
    assert abs(ball.fields["area_nm2"].sum() / (4 * np.pi * 24**2) - 1) < 0.01


def test_fields_of_a_ball(ball):
    out = ball.vertices / np.linalg.norm(ball.vertices, axis=1)[:, None]
    normal = np.stack([ball.fields[f"normal_{a}"] for a in "zyx"], 1)
    assert (normal * out).sum(axis=1).min() > 0.9
    assert abs(np.median(ball.fields["mean_curvature_per_nm"]) * 24 - 1) < 0.05
    assert abs(np.median(ball.fields["gaussian_curvature_per_nm2"]) * 24**2 - 1) < 0.1
    assert abs(np.median(ball.fields["contrast"]) - 1) < 0.02
    assert ball.fields["seen"].min() > 0.9


def test_a_level_outside_of_the_values_is_named():
    pytest.importorskip("skimage")
    volume = np.random.default_rng(0).random((16, 16, 16)).astype(np.float32)
    with pytest.raises(InputError, match="level"):
        detect.surface(volume, 5.0, noise=0.1)


def test_a_ripple_has_its_height_and_wavelength():
    n, height, length = 96, 0.6, 8.0
    y, x = np.meshgrid(np.arange(n) - 47.5, np.arange(n) - 47.5, indexing="ij")
    vertices = np.stack([height * np.sin(2 * np.pi * x / length), y, x], -1).reshape(-1, 3)
    mesh = detect.Surface(
        vertices=vertices, faces=reference.grid_faces(n, n), shape=(20, n, n), pixel_size=10.0
    )
    table = detect.roughness(mesh)
    assert (table["noise_power_nm4"] == 0).all()  # nothing is known of its vertices' errors
    assert abs(table["rms_nm"][-1] / (height / np.sqrt(2)) - 1) < 0.1
    assert abs(table["wavelength_nm"][table["power_nm4"].argmax()] - length) < 1.0
    assert (np.diff(table["wavelength_nm"]) < 0).all()


def test_a_smooth_surface_in_noise_is_not_rough(ball):
    table = detect.roughness(ball, 6.0, threads=1)
    pull = table["power_nm4"] / table["sigma_power_nm4"]
    assert np.abs(pull).max() < 3
    assert (table["noise_power_nm4"] > 2 * table["sigma_power_nm4"])[:2].all()
    assert table["rms_nm"][-1] < 2 * table["sigma_rms_nm"][-1]


def test_roughness_in_noise_is_that_without_noise():
    pytest.importorskip("skimage")
    shape = (24, 72, 72)
    z, _, x = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij")
    clean = np.clip(0.5 - z + 0.5 * np.sin(2 * np.pi * x / 10), 0, 1).astype(np.float32)
    noisy = clean + 0.3 * np.random.default_rng(8).standard_normal(shape, np.float32)
    still, moved = (
        detect.roughness(
            detect.surface(v, 0.5, noise=s, radius_px=2.0, threads=1),
            8.0,
            radius_px=2.0,
            threads=1,
        )
        for v, s in ((clean, 1e-3), (noisy, 0.3))
    )
    assert abs(moved["rms_px"][-1] - still["rms_px"][-1]) < 2.5 * moved["sigma_rms_px"][-1]
    assert moved["sigma_rms_px"][-1] < 0.1 * moved["rms_px"][-1]
    k = np.abs(moved["wavelength_px"] - 10).argmin()
    assert moved["power_px4"].argmax() == k
    assert moved["noise_power_px4"][0] > 100 * still["noise_power_px4"][0]


def test_halves_of_another_volume_are_refused(ball):
    half = np.random.default_rng(1).random((20, 20, 20)).astype(np.float32)
    with pytest.raises(InputError, match="halves"):
        detect.roughness(ball, 8.0, halves=(half, half + 1))


def test_too_few_patches_are_named():
    with pytest.raises(InputError, match="surface"):
        detect.roughness(reference.tube_mesh(6.0, (20, 20, 20)), 30.0)


def test_a_surface_is_carried_over_a_hole():
    mesh = reference.tube_mesh(20.0, (64, 40, 64))
    away = np.linalg.norm(mesh.vertices - [0, 2, 20], axis=1)
    dip = 5 * np.clip(4.0 - away, 0, 1)
    inwards = -mesh.vertices * [1, 0, 1] / 20
    dented = detect.Surface(
        vertices=mesh.vertices + dip[:, None] * inwards, faces=mesh.faces, shape=mesh.shape
    )
    carried = detect.bridged(dented, 10.0)
    radius = np.hypot(*carried.vertices[:, [0, 2]].T)
    inner = np.abs(carried.vertices[:, 1]) < 12
    assert np.abs(radius[inner] - 20).max() < 0.3
    # Faces of a dip's walls, laid flat, would turn their backs or stand on edge.
    area, normal = areas_and_normals(carried.vertices, carried.faces)
    outwards = carried.vertices * [1, 0, 1] / radius[:, None]
    assert (normal * outwards).sum(axis=1)[inner].min() > 0.98
    inside = np.abs(carried.vertices[:, 1]) < 12.5
    assert abs(area[inside].sum() / (2 * np.pi * 20 * 25) - 1) < 0.03
