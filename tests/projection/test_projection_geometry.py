# SPDX-License-Identifier: BSD-3-Clause
"""Where things land: docs/conventions.md, by hand-computed positions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryolith.datamodel import Alignment, LocalShifts
from cryolith.errors import InputError
from cryolith.projection import Geometry, backproject, project


def centroid(image):
    total = image.sum(dtype="f8")
    return tuple((np.indices(image.shape) * image).sum((1, 2)) / total)


def bright(shape, at):
    volume = np.zeros(shape, "f4")
    volume[at] = 1.0
    return volume


@pytest.mark.parametrize("size", [31, 32])
def test_the_rotation_centre_never_moves(size):
    shape = (31, 31, size)
    volume = np.zeros(shape, "f4")
    middle = [slice((n - 1) // 2, n // 2 + 1) for n in shape]
    volume[tuple(middle)] = 1.0
    geometry = Geometry.single_axis(np.arange(-180, 181, 15.0), tilt_axis_deg=23.0)
    for image in project(volume, geometry, (41, 40)):
        assert np.allclose(centroid(image), (20.0, 19.5), atol=2e-3)


# Voxel (z, y, x) = (14, 12, 20) of a (21, 25, 31) volume: z = +4, y = 0, x = +5 from the centre; images (41, 50),
# centre row 20, column 24.5. u = x cos + z sin; column = u cos(psi) - v sin(psi); row = u sin(psi) + v cos(psi).
@pytest.mark.parametrize(
    ("angle", "axis", "shift", "offset", "want"),
    [
        (0, 0, (0, 0), 0, (20, 29.5)),  # u = 5
        (90, 0, (0, 0), 0, (20, 28.5)),  # u = z = 4
        (-90, 0, (0, 0), 0, (20, 20.5)),  # u = -4
        (180, 0, (0, 0), 0, (20, 19.5)),  # u = -5
        (0, 90, (0, 0), 0, (25, 24.5)),  # u along rows
        (90, -90, (0, 0), 0, (16, 24.5)),
        (0, 0, (3, -2), 0, (23, 27.5)),
        (0, 90, (3.25, -2.5), 1, (29.25, 22)),  # u = 6
        (30, 0, (0, 0), 0, (20, 24.5 + 5 * np.sqrt(0.75) + 2)),
        (60, 180, (0, 0), 0, (20, 24.5 - 2.5 - 4 * np.sqrt(0.75))),
    ],
)
def test_one_voxel_lands_where_the_conventions_say(angle, axis, shift, offset, want):
    geometry = Geometry.single_axis(
        [angle], tilt_axis_deg=axis, shifts_px=[shift], axis_offset_px=offset
    )
    image = project(bright((21, 25, 31), (14, 12, 20)), geometry, (41, 50))[0]
    assert np.allclose(centroid(image), want, atol=5e-3)
    assert abs(image.sum(dtype="f8") - 1.0) < 5e-3


def test_v_runs_along_the_axis():
    geometry = Geometry.single_axis([0.0], tilt_axis_deg=90.0)
    image = project(bright((1, 25, 31), (0, 15, 15)), geometry, (41, 51))[0]
    assert np.allclose(centroid(image), (20, 25 - 3), atol=1e-6)  # v = 3: column = -v


def test_a_handed_phantom_keeps_its_hand():
    """Three voxels along +x, +y, +z: seen at +theta, the one along +z moves to +u."""
    volume = np.zeros((33, 33, 33), "f4")
    for at, value in (((16, 16, 26), 1.0), ((16, 26, 16), 2.0), ((26, 16, 16), 4.0)):
        volume[at] = value
    plus, minus = project(volume, Geometry.single_axis([30.0, -30.0]), (33, 33))
    assert centroid(plus * (plus > 2))[1] == pytest.approx(16 + 10 * 0.5, abs=0.2)
    assert centroid(minus * (minus > 2))[1] == pytest.approx(16 - 10 * 0.5, abs=0.2)


def test_no_interpolation_where_none_is_needed(rng):
    volume = rng.normal(size=(1, 24, 19)).astype("f4")
    geometry = Geometry.single_axis([0.0], shifts_px=[[2, -3]])
    image = project(volume, geometry, (24, 19))[0]
    assert np.array_equal(image[2:, :-3], volume[0, :-2, 3:])
    turned = project(volume, Geometry.single_axis([0.0], tilt_axis_deg=90.0), (19, 24))[0]
    assert np.array_equal(turned, volume[0].T[:, ::-1])
    edge_on = project(volume.transpose(2, 1, 0), Geometry.single_axis([90.0]), (24, 19))[0]
    assert np.array_equal(edge_on, volume[0])


def test_a_slab_is_quantitative_from_0_to_90_degrees():
    """Thickness 24, density 1: T / cos(theta) along the rays, ripple below 1 % at any axis angle."""
    slab = np.ones((24, 40, 400), "f4")
    for axis in (0.0, 20.0, 45.0, 90.0):
        angles = np.array([0, 7, 20, 33, 44.9, 45.1, 52, 60, 70, 75])
        images = project(slab, Geometry.single_axis(angles, tilt_axis_deg=axis), (61, 61))
        for angle, image in zip(angles, images, strict=True):
            middle = image[24:37, 24:37] * np.cos(np.deg2rad(angle)) / 24
            assert np.abs(middle - 1).max() < 0.01, (axis, angle)
    edge = project(np.ones((40, 24, 30), "f4"), Geometry.single_axis([90.0, -90.0]), (24, 40))
    assert np.array_equal(edge, np.full((2, 24, 40), 30, "f4"))


def test_from_alignment_drops_flagged_tilts_and_subset_follows():
    alignment = Alignment(
        angles_deg=np.array([-10.0, 0.0, 10.0]),
        tilt_axis_deg=87.0,
        shifts_px=np.arange(6.0).reshape(3, 2),
        rotations_deg=np.array([0.1, 0.2, 0.3]),
        axis_offset_px=1.5,
        flags={1: "blank"},
    )
    geometry = Geometry.from_alignment(alignment)
    assert geometry.angles_deg.tolist() == [-10.0, 10.0]
    assert geometry.shifts_px.tolist() == [[0, 1], [4, 5]]
    assert len(Geometry.from_alignment(alignment, keep=False)) == 3
    assert geometry.subset([1]).rotations_deg.tolist() == [0.3]
    assert geometry.volume_shape((100, 200), 30) == (30, 200, 100)


def test_from_alignment_takes_x_tilt_magnification_and_local_shifts():
    plain = Alignment(
        angles_deg=np.array([-10.0, 10.0]), tilt_axis_deg=87.0, shifts_px=np.zeros((2, 2))
    )
    full = replace(plain, x_tilts_deg=np.array([2.0, 3.0]), magnifications=np.array([0.99, 1.01]))
    geometry = Geometry.from_alignment(full)
    assert geometry.x_tilts_deg.tolist() == [2.0, 3.0]
    assert geometry.magnifications.tolist() == [0.99, 1.01]
    assert Geometry.from_alignment(plain).magnifications.tolist() == [1.0, 1.0]
    table = LocalShifts(
        points_px=np.zeros((2, 1, 2)), shifts_px=np.ones((2, 1, 2)), good=np.ones((2, 1), bool)
    )
    assert Geometry.from_alignment(replace(plain, local=table)).local is table


@pytest.mark.parametrize("shape", [(40, 48), (41, 51)])
def test_binning_the_images_bins_the_projections(shape, rng):
    """A smooth object, binned by 2, is where scaled() says; a dropped last row and column move the centre."""
    z, y, x = np.indices((24, *shape)) - (np.array([24, *shape])[:, None, None, None] - 1) / 2
    blob = np.exp(-((x - 5) ** 2 + (y - 3) ** 2 + (z - 2) ** 2) / 30).astype("f4")
    geometry = Geometry.single_axis([35.0], shifts_px=[[2.0, -1.0]], axis_offset_px=1.0)
    image = project(blob, geometry, shape)[0]
    h, w = shape[0] // 2, shape[1] // 2
    binned = image[: 2 * h, : 2 * w].reshape(h, 2, w, 2).mean((1, 3))
    small = np.exp(
        -((2 * np.indices((12, h, w))[2] - (w - 1) - 5) ** 2
          + (2 * np.indices((12, h, w))[1] - (h - 1) - 3) ** 2
          + (2 * np.indices((12, h, w))[0] - 11 - 2) ** 2) / 30
    ).astype("f4")  # fmt: skip
    got = project(small, geometry.scaled(2, shape), (h, w))[0]
    assert np.allclose(centroid(got), centroid(binned), atol=0.03)


@pytest.mark.parametrize(
    ("kwargs", "word"),
    [
        ({"angles_deg": [0.0, np.nan]}, "angles_deg"),
        ({"angles_deg": []}, "angles_deg"),
        ({"angles_deg": [0.0], "shifts_px": [[1.0, 2.0]] * 2}, "shifts_px"),
        ({"angles_deg": [0.0], "shifts_px": [[1e9, 0.0]]}, "shifts_px"),
        ({"angles_deg": [0.0], "tilt_axis_deg": np.inf}, "tilt_axis_deg"),
        ({"angles_deg": [0.0], "rotations_deg": [0.0, 1.0]}, "rotations_deg"),
    ],
)
def test_a_bad_geometry_is_refused_by_name(kwargs, word):
    with pytest.raises(InputError, match=word):
        Geometry.single_axis(**kwargs)


def test_bad_arrays_are_refused_by_name():
    geometry = Geometry.single_axis([0.0, 1.0])
    with pytest.raises(InputError, match="stack: found 3 images, expected 2"):
        backproject(np.zeros((3, 4, 4)), geometry, (2, 4, 4))
    with pytest.raises(InputError, match="volume: found NaN"):
        project(np.full((2, 4, 4), np.nan), geometry, (4, 4))
    with pytest.raises(InputError, match="complex"):
        project(np.zeros((2, 4, 4), complex), geometry, (4, 4))
    with pytest.raises(InputError, match="out"):
        project(np.zeros((2, 4, 4)), geometry, (4, 4), out=np.zeros((2, 4, 5), "f4"))
    with pytest.raises(InputError, match="index"):
        geometry.subset([])
