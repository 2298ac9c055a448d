# SPDX-License-Identifier: BSD-3-Clause
"""Every geometry: where things land, how much of them, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from cryolith import simulate
from cryolith.errors import InputError
from cryolith.projection import Geometry, backproject, project, rotation_matrix

sys.path.insert(0, str(Path(__file__).parent))
from poses import exact_images, kinds, random_rotations

KINDS = kinds()


def centroid(image):
    total = image.sum(dtype="f8")
    return np.array([(axis * image).sum(dtype="f8") for axis in np.indices(image.shape)]) / total


def smooth(rng, shape):
    """Gaussian blobs, sigma 1.5 voxels: what any good interpolation keeps."""
    at, out = np.indices(shape), np.zeros(shape)
    for _ in range(12):
        distance = [a - rng.uniform(4, n - 5) for a, n in zip(at, shape, strict=True)]
        out += rng.normal() * np.exp(-sum(d * d for d in distance) / (2 * 1.5**2))
    return out.astype("f4")


def by_hand(geometry, i, point):
    """(row, column) from the image's centre of the specimen point (z, y, x), as docs/conventions.md spells it."""
    z, y, x = point
    alpha, theta = np.deg2rad(geometry.x_tilts_deg[i]), np.deg2rad(geometry.angles_deg[i])
    psi = np.deg2rad(geometry.tilt_axis_deg + geometry.rotations_deg[i])
    y1, z1 = y * np.cos(alpha) - z * np.sin(alpha), y * np.sin(alpha) + z * np.cos(alpha)
    u = x * np.cos(theta) + z1 * np.sin(theta) + geometry.axis_offset_px
    m, (down, across) = geometry.magnifications[i], geometry.shifts_px[i]
    column = m * (u * np.cos(psi) - y1 * np.sin(psi)) + across
    return m * (u * np.sin(psi) + y1 * np.cos(psi)) + down, column


@pytest.mark.parametrize("kind", KINDS)
def test_one_voxel_lands_where_the_conventions_say(kind):
    geometry, shape, image = KINDS[kind], (13, 15, 17), (81, 84)
    volume = np.zeros(shape, "f4")
    volume[9, 4, 13] = 1.0
    point = geometry.centre_px + geometry.sampling * np.array([9 - 6, 4 - 7, 13 - 8])
    for i, seen in enumerate(project(volume, geometry, image)):
        want = by_hand(geometry, i, point) + (np.array(image) - 1) / 2
        assert np.allclose(centroid(seen), want, atol=0.01)
        assert seen.sum(dtype="f8") == pytest.approx(geometry.weights()[i], rel=0.005)


@pytest.mark.parametrize("kind", KINDS)
def test_a_slab_gives_its_thickness_along_the_ray(kind):
    """T / |d_z|, in px of the specimen frame, at any voxel size; steep views need too wide a slab.

    Worst where two axes are exchanged and the beam is little beyond that limit: rows then end at the slab's faces.
    """
    geometry = KINDS[kind]
    cosine = np.abs(geometry.rotations()[:, 0, 0])
    geometry, cosine = geometry.subset(cosine > 0.3), cosine[cosine > 0.3]
    width = int(280 / geometry.sampling)
    voxels = int(20 / geometry.sampling)
    slab = np.full((voxels, width, width), 2.0, "f4")
    images = project(slab, geometry, (41, 41))[:, 8:-8, 8:-8]
    want = 2.0 * voxels * geometry.sampling / cosine[:, None, None]
    assert np.abs(images / want - 1).max() < 0.005


@pytest.mark.parametrize("kind", KINDS)
def test_mass_is_conserved(kind):
    geometry = KINDS[kind]
    k, j, i = np.indices((24, 24, 24)) - 11.5
    ball = np.clip(9.0 - np.sqrt(k**2 + j**2 + i**2), 0, 1).astype("f4")
    sums = project(ball, geometry, (120, 120)).sum((1, 2), dtype="f8")
    assert np.allclose(sums, ball.sum(dtype="f8") * geometry.weights(), rtol=1e-5)


@pytest.mark.parametrize("kind", ["dual", "conical", "laminography", "free", "x-tilt on some"])
def test_a_handed_figure_keeps_its_hand_at_any_pose(kind):
    """Exact projections of the figure, not of its mirror image, which is further away than its sharp edges explain."""
    geometry = KINDS[kind].subset(KINDS[kind].magnifications == 1.0) if kind != "x-tilt on some" else (
        Geometry.single_axis([-50.0, 0.0, 35.0], x_tilts_deg=[10.0, -20.0, 30.0], tilt_axis_deg=70.0)
    )  # fmt: skip
    figure = simulate.chiral((40, 40, 40))
    want = exact_images(figure, geometry, (64, 64))
    volume = np.asarray(figure)

    def distance(v):
        return np.linalg.norm(project(v, geometry, (64, 64)) - want) / np.linalg.norm(want)

    assert distance(volume) < 0.15
    for mirrored in (volume[::-1], volume[:, ::-1], volume[:, :, ::-1]):
        assert distance(np.ascontiguousarray(mirrored)) > 0.4


def test_a_free_pose_that_is_a_tilt_takes_the_fast_path_to_the_same_image(rng):
    single = KINDS["single"]
    poses = single.rotations()
    free = Geometry.from_poses(poses, shifts_px=single.matrices()[:, :, 3])
    assert not free.crosses_y
    assert (free.weights() == 1.0).all()
    volume = rng.normal(size=(20, 30, 26)).astype("f4")
    one, other = project(volume, single, (40, 44)), project(volume, free, (40, 44))
    assert np.abs(one - other).max() < 2e-5 * np.abs(one).max()


def test_a_pose_a_little_off_the_fast_path_gives_nearly_its_image(rng):
    """0.001 degrees of x-tilt moves nothing by more than 0.001 px; both paths interpolate what is smooth alike."""
    near = Geometry.single_axis([-60.0, 0.0, 20.0, 45.0], x_tilts_deg=1e-3, tilt_axis_deg=8.0)
    volume = smooth(rng, (24, 30, 26))
    on, off = (project(volume, g, (40, 44)) for g in (near.subset([0, 1, 2, 3]), near))
    assert near.crosses_y
    assert np.array_equal(on, off)
    fast = Geometry.single_axis([-60.0, 0.0, 20.0, 45.0], tilt_axis_deg=8.0)
    assert np.linalg.norm(project(volume, fast, (40, 44)) - off) < 2e-3 * np.linalg.norm(off)


def test_mixed_views_are_those_of_each_kind_alone(rng):
    """To rounding where both are free poses; a single tilt alone takes the fast path, which interpolates otherwise."""
    geometry, volume = KINDS["x-tilt on some"], smooth(rng, (15, 22, 19))
    together = project(volume, geometry, (30, 31))
    for i in range(len(geometry)):
        single = geometry.subset([i])
        alone, bound = project(volume, single, (30, 31))[0], 2e-5 if single.crosses_y else 2e-3
        assert np.abs(together[i] - alone).max() < bound * np.abs(alone).max()


def test_poses_and_angles_are_the_same(rng):
    rotations = random_rotations(rng, 50)
    exact = [rotation_matrix(x_deg=x, y_deg=y) for x in (0, 90, 180) for y in (-90, 0, 90, 180)]
    for poses in (rotations, np.array(exact)):
        assert np.abs(Geometry.from_poses(poses).rotations() - poses).max() < 1e-14
    halved = Geometry.from_poses(0.5 * rotations[:, 1:])
    assert np.allclose(halved.magnifications, 0.5)
    assert np.abs(halved.rotations() - rotations).max() < 1e-14
    assert (np.abs(halved.x_tilts_deg) <= 90).all()
    assert np.allclose(np.cross(rotations[:, 1], rotations[:, 2]), rotations[:, 0])


def test_oriented_and_joined_see_the_same_points(rng):
    a = KINDS["single"]
    turn, move = rotation_matrix(x_deg=4, y_deg=-3, z_deg=88), np.array([2.0, -4.0, 1.0])
    b = a.oriented(turn, displacement_px=move)
    both = Geometry.joined(a, b)
    assert len(both) == 2 * len(a)
    for point in rng.normal(scale=20, size=(5, 3)):
        for i in range(len(a)):
            assert np.allclose(by_hand(both, i, point), by_hand(a, i, point))
            assert np.allclose(by_hand(both, len(a) + i, point), by_hand(a, i, turn @ point + move))


def test_conical_views_keep_their_angle_with_the_normal():
    geometry = Geometry.conical(np.arange(0, 360, 17.0), 35.0, tilt_axis_deg=25.0)
    beams = geometry.rotations()[:, 0]
    assert np.allclose(beams[:, 0], np.cos(np.deg2rad(35.0)))
    want = rotation_matrix(y_deg=35.0, z_deg=25.0) @ rotation_matrix(z_deg=17.0)
    assert np.allclose(geometry.rotations()[1], want)


def test_a_region_is_that_part_of_the_whole(rng):
    """But for the interpolation between planes, which is counted from the volume's middle."""
    for kind in ("single", "free", "elsewhere"):
        geometry, shape = KINDS[kind], (20, 24, 28)
        stack = rng.normal(size=(len(geometry), 40, 40))
        stack = np.array([ndimage.gaussian_filter(image, 2.0) for image in stack])
        box = (slice(4, 15), slice(0, 9), slice(13, None))
        part, size = geometry.region(shape, box)
        whole, got = backproject(stack, geometry, shape)[box], backproject(stack, part, size)
        assert got.shape == size == whole.shape
        assert np.linalg.norm(got - whole) < 0.03 * np.linalg.norm(whole)


@pytest.mark.parametrize("factor", [0.5, 1.5, 2.0])
@pytest.mark.parametrize("kind", ["single", "conical"])
def test_other_voxels_of_a_smooth_object_give_its_image(kind, factor):
    def blob(n, edge):
        k, j, i = (np.indices((n, n, n)) - (n - 1) / 2) * edge
        return np.exp(-((k - 3) ** 2 + (j + 2) ** 2 + (i - 4) ** 2) / 60).astype("f4")

    want = project(blob(48, 1.0), KINDS[kind], (60, 60))
    coarse = KINDS[kind].for_volume(sampling=factor)
    got = project(blob(int(48 / factor), factor), coarse, (60, 60))
    assert np.linalg.norm(got - want) < 0.01 * np.linalg.norm(want)


R = rotation_matrix(x_deg=10, y_deg=20, z_deg=30)


@pytest.mark.parametrize(
    ("poses", "message"),
    [
        (np.zeros((2, 3, 3)), "singular matrix at index 0"),
        (np.array([R, [R[0], R[1], 0 * R[2]]]), "singular matrix at index 1"),
        (np.array([R[[1, 1, 2]]]), "ray in the detector's plane at index 0"),
        (np.array([R * [[-1], [1], [1]]]), "mirrors the specimen"),
        (np.array([R * [[1], [1], [1.1]]]), "shears or scales unequally"),
        (np.array([R + 0.05 * R[[0, 2, 1]]]), "shears or scales unequally"),
        (np.array([np.add(R, [R[1], [0, 0, 0], [0, 0, 0]])]), "not perpendicular to the detector"),
        (np.full((1, 3, 3), np.nan), "NaN"),
        (np.eye(3), "expected 3 axes"),
        (np.zeros((1, 3, 4)), "expected \\(n_views, 3 or 2, 3\\)"),
        (np.zeros((0, 3, 3)), "at least one element"),
    ],
)
def test_a_pose_that_is_none_is_refused(poses, message):
    with pytest.raises(InputError, match=message):
        Geometry.from_poses(poses)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda g: g.oriented(2 * np.eye(3)), "rotation: found no rotation"),
        (lambda g: g.oriented(np.diag([1.0, 1.0, -1.0])), "rotation: found a mirror image"),
        (lambda g: g.oriented(np.eye(2)), "rotation: found shape"),
        (lambda g: g.oriented(np.eye(3), displacement_px=(0, np.nan, 0)), "displacement_px"),
        (lambda g: g.for_volume(sampling=0.0), "sampling: found 0"),
        (lambda g: g.for_volume(sampling=np.nan), "sampling: found NaN"),
        (lambda g: g.for_volume(centre_px=(1, 2)), "centre_px: found shape"),
        (lambda g: g.for_volume(centre_px=(0, 0, 1e9)), "centre_px: found 1e\\+09 px"),
        (lambda g: g.region((4, 4, 4), (slice(0, 4, 2), slice(None), slice(None))), "box"),
        (lambda g: g.region((4, 4, 4), (slice(3, 3), slice(None), slice(None))), "box"),
        (lambda g: Geometry.joined(), "series: found none"),
        (lambda g: Geometry.joined(g, g.for_volume(sampling=2)), "another centre_px or sampling at"),
        (lambda g: Geometry.conical([0.0], np.inf), "cone_deg"),
        (lambda g: Geometry.single_axis([0, 1.0], x_tilts_deg=[1.0]), "x_tilts_deg"),
        (lambda g: Geometry.single_axis([0, 1.0], magnifications=0.0), "magnifications: found 0"),
        (lambda g: KINDS["conical"].poses(), "not perpendicular to the volume's y"),
        (
            lambda g: project(
                np.ones((4, 4, 4)),
                Geometry.single_axis([0, 1.0], magnifications=[1.0, 2.0]),
                (8, 8),
            ),
            "magnifications: found 1 to 2",
        ),
    ],
)  # fmt: skip
def test_what_makes_no_geometry_is_refused_by_name(make, message):
    with pytest.raises(InputError, match=message):
        make(KINDS["single"])
