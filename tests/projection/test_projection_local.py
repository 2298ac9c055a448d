# SPDX-License-Identifier: BSD-3-Clause
"""Shifts that depend on the place in the image, in front of every projector."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryolith import _core
from cryolith.datamodel import LocalShifts
from cryolith.errors import Cancelled, InputError
from cryolith.projection import Geometry, backproject, project
from cryolith.projection.local import local_nodes
from cryolith.projection.operators import make_plan
from cryolith.reconstruct import ReconstructSettings, plan, sirt, wbp

sys.path.insert(0, str(Path(__file__).parents[1]))
from reference import local as reference

EPS = np.finfo("f4").eps
ANGLES = np.array([-60.0, -20.0, 10.0, 55.0])


def table(n=4, points=9, size=20.0, height=1.5, seed=0):
    rng = np.random.default_rng(seed)
    good = np.ones((n, points), bool)
    good[0, 2] = False
    return LocalShifts(
        points_px=rng.uniform(-size, size, (n, points, 2)),
        shifts_px=rng.normal(0, height, (n, points, 2)),
        good=good,
    )


@pytest.mark.parametrize("shape", [(9, 13), (16, 8), (1, 5)])
@pytest.mark.parametrize("height", [0.0, 2.0, 30.0])
def test_straighten_and_bend_are_their_definition(shape, height, rng):
    spacing = 4
    counts = [-(-(n - 1) // spacing) + 1 for n in shape]
    nodes = rng.normal(0, height, (2, 2, *counts)).astype("f4")
    nodes[0] += 0.25
    images = rng.normal(size=(2, *shape)).astype("f4")
    straight, bent = np.empty_like(images), np.empty_like(images)
    _core.straighten(images, nodes, spacing, straight)
    _core.bend(images, nodes, spacing, bent)
    for t in range(2):
        m = reference.matrix(nodes[t].astype(float), spacing, shape)
        # Displacements are rounded to float32, which moves weights of slope below 1.3 a pixel; 8 + 8 terms; weights
        # tabulated to 1.6e-6 along either axis.
        bound = (16 + 4 * height) * EPS + 2 * 1.6e-6
        size = np.einsum("rcij,ij->rc", abs(m), abs(images[t])) + np.abs(images).max()
        want = np.einsum("rcij,ij->rc", m, images[t])
        assert (abs(straight[t] - want) <= bound * size).all()
        size = np.einsum("rcij,rc->ij", abs(m), abs(images[t])) + 8 * np.abs(images).max()
        want = np.einsum("rcij,rc->ij", m, images[t])
        assert (abs(bent[t] - want) <= bound * size).all()


def test_no_displacement_changes_nothing(rng):
    images = rng.normal(size=(2, 9, 11)).astype("f4")
    nodes, out = np.zeros((2, 2, 3, 3), "f4"), np.empty((2, 9, 11), "f4")
    for move in (_core.straighten, _core.bend):
        move(images, nodes, 8, out)
        assert (out == images).all()


def test_nodes_are_a_thin_plate_through_the_good_points():
    shifts = np.array([[0.5, 1.0], [-2.0, 3.0], [0.0, 0.0], [9.0, -9.0]])
    local, shape = table(), (31, 47)
    nodes, spacing = local_nodes(local, shifts, shape)
    assert (spacing, nodes.shape) == (8, (4, 2, 5, 7))
    grid = 8.0 * np.stack(np.meshgrid(np.arange(5), np.arange(7), indexing="ij"), -1)
    for t in range(4):
        good = local.good[t]
        points, values = local.points_px[t, good], local.shifts_px[t, good]
        at = grid.reshape(-1, 2) - [15.0, 23.0] - shifts[t]
        want = reference.thin_plate(points, values, np.clip(at, points.min(0), points.max(0)))
        assert np.abs(nodes[t].reshape(2, -1).T - want).max() < 1e-5


@pytest.mark.parametrize("points", [1, 2, 3, 6])
def test_few_points_make_a_constant_a_line_or_a_plane(points, rng):
    """A displacement linear in the place comes out as it is between the points."""
    corners = np.array([[-12.0, -12.0], [12.0, 12.0], [-12.0, 12.0]])
    at = np.vstack([corners, rng.uniform(-12, 12, (3, 2))])[:points]
    slope = np.zeros((2, 2)) if points == 1 else np.array([[0.02, -0.01], [0.03, 0.01]])
    local = LocalShifts(
        points_px=at[None],
        shifts_px=(at @ slope + [0.5, -1.0])[None],
        good=np.ones((1, points), bool),
    )
    nodes, spacing = local_nodes(local, np.zeros((1, 2)), (25, 25))
    known = {1: np.zeros((2, 2)), 2: np.full((2, 2), 0.5)}.get(points, np.eye(2))
    for r, c in np.ndindex(25, 25):
        place = known @ (np.array([r, c]) - 12.0)  # two points tell of the line through them alone
        found = reference.displacement(nodes[0].astype(float), spacing, r, c)
        assert np.abs(found - (place @ slope + [0.5, -1.0])).max() < 1e-5


GEOMETRIES = {
    "axis at 0": Geometry.single_axis(ANGLES),
    "axis at 10": Geometry.single_axis(ANGLES, tilt_axis_deg=10.4, shifts_px=np.full((4, 2), 0.3)),
    "axis at 92": Geometry.single_axis(ANGLES, tilt_axis_deg=92.8),
    "free": Geometry.single_axis(ANGLES, x_tilts_deg=5.0),
    "wide voxels": Geometry.single_axis(ANGLES, magnifications=[1.0, 1.1, 0.9, 1.0]).for_volume(sampling=2.0),
}  # fmt: skip


@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_pair_is_adjoint_and_the_same_for_any_number_of_threads(name, rng):
    geometry = replace(GEOMETRIES[name], local=table())
    x = rng.normal(size=(12, 20, 22)).astype("f4")
    y = rng.normal(size=(4, 37, 41)).astype("f4")
    ax, aty = (
        project(x, geometry, y.shape[1:], threads=1),
        backproject(y, geometry, x.shape, threads=1),
    )
    left, right = np.vdot(ax.astype(float), y), np.vdot(x.astype(float), aty)
    assert abs(left - right) <= 1e-6 * np.linalg.norm(ax.astype(float)) * np.linalg.norm(y)
    assert (project(x, geometry, y.shape[1:], threads=2) == ax).all()
    assert (backproject(y, geometry, x.shape, threads=2) == aty).all()
    straight = project(x, replace(geometry, local=None), y.shape[1:])
    assert np.linalg.norm(ax - straight) > 0.1 * np.linalg.norm(straight)
    some = np.empty((2, *y.shape[1:]), "f4")
    make_plan(geometry.subset([3, 1]), x.shape, y.shape[1:], geometry).project(x, some)
    assert (some == ax[[3, 1]]).all()


def test_one_shift_everywhere_is_that_of_the_image(rng):
    x = rng.normal(size=(8, 24, 24)).astype("f4")
    x[:, :8], x[:, -8:], x[:, :, :8], x[:, :, -8:] = 0, 0, 0, 0
    move = rng.integers(-3, 4, (4, 2)).astype(float)
    local = LocalShifts(
        points_px=np.zeros((4, 1, 2)), shifts_px=move[:, None], good=np.ones((4, 1), bool)
    )
    moved = project(x, Geometry.single_axis(ANGLES, shifts_px=move), (40, 40))
    bent = project(x, Geometry.single_axis(ANGLES, local=local), (40, 40))
    assert np.abs(bent - moved).max() <= 8 * EPS * np.abs(moved).max()


def bumps(shape, at, sigma):
    """Gaussian blobs (row, column) in an image."""
    r, c = np.indices(shape)
    return sum(np.exp(-((r - y) ** 2 + (c - x) ** 2) / (2 * sigma**2)) for y, x in at)


def deformed_series(angles, sigma=2.0, size=64):
    """Images of blobs whose places are moved by a smooth field, other in each; the field, and the blobs' places."""
    places = np.array(
        [[-15.0, -14.0, 6.0], [-12.0, 12.0, -5.0], [14.0, -10.0, 0.0], [13.0, 13.0, 4.0]]
    )  # y, x, z
    steps = np.linspace(-26, 26, 6)
    grid = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)

    def field(t, p):
        phase = 0.7 * t
        return 1.6 * np.stack(
            [np.sin(p[:, 1] / 14 + phase), np.cos(p[:, 0] / 15 - 0.5 * phase)], axis=-1
        )

    images, tables = [], []
    for t, angle in enumerate(np.deg2rad(angles)):
        seen = np.stack(
            [places[:, 0], places[:, 1] * np.cos(angle) + places[:, 2] * np.sin(angle)], -1
        )
        images.append(bumps((size, size), seen + field(t, seen) + (size - 1) / 2, sigma))
        tables.append(field(t, grid))
    n = len(angles)
    local = LocalShifts(
        points_px=np.repeat(grid[None], n, 0), shifts_px=np.array(tables), good=np.ones((n, len(grid)), bool)
    )  # fmt: skip
    return np.array(images, "f4"), local, places


@pytest.mark.parametrize("solve", [wbp, sirt])
def test_a_deformation_is_undone(solve):
    """Blobs come back as high as without deformation; without the table they are smeared."""
    angles = np.arange(-70.0, 71.0, 4.0)
    images, local, places = deformed_series(angles)
    straight = np.array([
        bumps((64, 64), np.stack([places[:, 0], places[:, 1] * np.cos(a) + places[:, 2] * np.sin(a)], -1) + 31.5, 2.0)
        for a in np.deg2rad(angles)
    ], "f4")  # fmt: skip

    def heights(stack, table):
        volume = solve(stack, Geometry.single_axis(angles, local=table), thickness=32)
        y, x, z = np.rint(places + np.array([31.5, 31.5, 15.5])).astype(int).T
        return volume[z, y, x]

    want = heights(straight, None)
    assert np.abs(heights(images, local) / want - 1).max() < 0.04
    assert (heights(images, None) / want - 1).min() < -0.2


def test_residuals_and_memory_know_of_it():
    angles = np.arange(-60.0, 61.0, 6.0)
    images, local, _ = deformed_series(angles)
    geometry = Geometry.single_axis(angles, local=local)
    volume = sirt(images, geometry, thickness=32, n_iter=20)
    without = sirt(images, replace(geometry, local=None), thickness=32, n_iter=20)
    assert volume.history[-1] < 0.6 * without.history[-1]
    settings = ReconstructSettings(method="sirt", thickness=32)
    more, less = (
        plan((64, 64), len(angles), settings, geometry=g)
        for g in (geometry, replace(geometry, local=None))
    )
    assert more.bytes_peak > less.bytes_peak + 4 * images.size


def test_series_that_are_joined_scaled_or_turned_keep_their_tables(rng):
    local = table()
    a = Geometry.single_axis(
        ANGLES, shifts_px=rng.normal(size=(4, 2)), axis_offset_px=2.0, local=local
    )
    b = Geometry.single_axis(ANGLES[:2], tilt_axis_deg=90.0)
    both = Geometry.joined(a, b)
    x = rng.normal(size=(8, 24, 26)).astype("f4")
    images = project(x, both, (40, 44))
    scale = np.abs(images).max()
    assert np.abs(images[:4] - project(x, a, (40, 44))).max() <= 1e-5 * scale
    assert np.abs(images[4:] - project(x, b, (40, 44))).max() <= 1e-5 * scale
    turned = a.oriented(np.eye(3))
    assert np.abs(project(x, turned, (40, 44)) - images[:4]).max() <= 1e-5 * scale
    half = a.scaled(2.0).local
    assert (half.points_px == local.points_px / 2).all()
    assert (half.shifts_px == local.shifts_px / 2).all()


def test_bad_tables_are_refused():
    with pytest.raises(InputError, match="local: found 4 entries, expected 3"):
        Geometry.single_axis(ANGLES[:3], local=table())
    broken = table()
    broken.shifts_px[1, 3] = np.nan
    with pytest.raises(InputError, match=r"local\.shifts_px: found NaN or infinity at a good"):
        Geometry.single_axis(ANGLES, local=broken)
    images, nodes = np.zeros((1, 9, 9), "f4"), np.zeros((1, 2, 2, 2), "f4")
    with pytest.raises(
        ValueError, match="nodes: found 2 along axis 0, expected enough for 9 pixels"
    ):
        _core.straighten(images, nodes, 4, np.empty_like(images))
    with pytest.raises(ValueError, match="nodes: found nan px"):
        _core.bend(images, np.full((1, 2, 3, 3), np.nan, "f4"), 4, np.empty_like(images))
    with pytest.raises(ValueError, match="spacing: found 0"):
        _core.bend(images, nodes, 0, np.empty_like(images))
    token = _core.CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        _core.straighten(
            images, np.zeros((1, 2, 3, 3), "f4"), 4, np.empty_like(images), cancel=token
        )
    geometry = Geometry.single_axis(ANGLES, local=table())
    with pytest.raises(InputError, match="local shifts, cannot be cut"):
        plan((64, 64), 4, ReconstructSettings(), geometry=geometry, max_memory=4_000_000)
