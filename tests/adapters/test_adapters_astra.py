# SPDX-License-Identifier: BSD-3-Clause
"""ASTRA's geometries and orders: by its own vectors and, with the extra ``peers``, by its own projectors."""

from __future__ import annotations

import numpy as np
import pytest
from blobs import blobs, error

from cryolith.adapters import astra as adapter
from cryolith.errors import InputError
from cryolith.projection import Geometry, project
from cryolith.reconstruct import sirt

ANGLES = np.deg2rad(np.linspace(-65, 70, 12))


def see(vectors, points):
    """(n_views, n_points, 2): (row, column) from the detector's centre at which points (x, y, z) are seen."""
    out = []
    for ray, centre, u, v in vectors.reshape(-1, 4, 3):
        solved = np.linalg.solve(np.stack([v, u, ray], axis=1), (points - centre).T)
        out.append(solved[:2].T)
    return np.array(out)


def ours(geometry, points):
    """The same for points (x, y, z) of our frame (docs/conventions.md)."""
    theta = np.deg2rad(geometry.angles_deg)[:, None]
    psi = np.deg2rad(geometry.tilt_axis_deg + geometry.rotations_deg)[:, None]
    alpha = np.deg2rad(geometry.x_tilts_deg)[:, None]
    x, y, z = points.T
    v, z = y * np.cos(alpha) - z * np.sin(alpha), y * np.sin(alpha) + z * np.cos(alpha)
    u = x * np.cos(theta) + z * np.sin(theta) + geometry.axis_offset_px
    row, column = u * np.sin(psi) + v * np.cos(psi), u * np.cos(psi) - v * np.sin(psi)
    seen = geometry.magnifications[:, None, None] * np.stack([row, column], -1)
    return seen + geometry.shifts_px[:, None]


GEOMETRY = Geometry.single_axis(
    [-50.0, 10.0, 65.0, 100.0],
    tilt_axis_deg=33.0,
    rotations_deg=[0.0, 1.0, -2.0, 0.5],
    shifts_px=[[1.0, -2.0], [0.0, 0.5], [3.0, 0.0], [-1.0, 1.0]],
    axis_offset_px=1.5,
)
FREE = Geometry.single_axis(
    GEOMETRY.angles_deg,
    tilt_axis_deg=-20.0,
    x_tilts_deg=[0.0, 5.0, -30.0, 80.0],
    magnifications=[1.0, 0.5, 2.0, 1.1],
    shifts_px=GEOMETRY.shifts_px,
)


@pytest.mark.parametrize("geometry", [GEOMETRY, FREE], ids=["single axis", "free"])
def test_vectors_see_what_the_geometry_sees(geometry, rng):
    points = rng.normal(size=(20, 3))
    theirs = points @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0.0]])  # (x, y, z) -> (x, -z, y)
    made = adapter.to_geometry(geometry, (40, 50))
    assert made["DetectorRowCount"] == 40
    assert see(made["Vectors"], theirs) == pytest.approx(ours(geometry, points), abs=1e-9)
    back = adapter.from_geometry(made)
    assert ours(back, points) == pytest.approx(ours(geometry, points), abs=1e-9)


def test_arrays_are_views_and_go_both_ways(rng):
    data, volume = rng.random((4, 5, 6)), rng.random((3, 4, 7))
    for there, back, array in (
        (adapter.from_stack, adapter.to_stack, data),
        (adapter.from_volume, adapter.to_volume, volume),
    ):
        assert np.shares_memory(there(array), array)
        assert np.array_equal(back(there(array)), array)
    assert adapter.from_stack(data).shape == (5, 4, 6)
    # Voxel (z, y, x) of theirs: y runs against our z.
    assert adapter.from_volume(volume)[0, 2, 5] == volume[2, -1, 5]
    assert adapter.from_stack(data[0]).shape == (5, 1, 6)
    assert adapter.from_volume(volume[0])[1, 0, 2] == volume[0, 1, 2]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"type": "cone"}, "found type 'cone'"),
        ({"DetectorSpacingX": 2.0}, "poses: found"),
        ({"type": "parallel3d_vec", "Vectors": np.ones((3, 6))}, "Vectors: found"),
        ({"type": "parallel3d_vec", "Vectors": np.ones((1, 12))}, "a ray in the detector's plane"),
    ],
)
def test_what_has_no_pose_is_refused(change, word):
    geometry = {
        "type": "parallel3d",
        "ProjectionAngles": ANGLES,
        "DetectorSpacingX": 1.0,
        "DetectorSpacingY": 1.0,
    }
    with pytest.raises(InputError, match=word):
        adapter.from_geometry(geometry | change)


def test_wrong_orders_are_refused():
    with pytest.raises(InputError, match=r"data: found shape \(2,\), expected \(v, angle, u\)"):
        adapter.from_stack(np.ones(2))


@pytest.mark.peers
def test_astra_gives_the_same_vectors():
    import astra

    theirs = astra.create_proj_geom("parallel3d", 1.0, 1.0, 20, 30, ANGLES)
    vectors = astra.geom_2vec(theirs)
    for proj_geom in (theirs, vectors):
        geometry = adapter.from_geometry(proj_geom)
        assert geometry.angles_deg == pytest.approx(-np.rad2deg(ANGLES))
        assert geometry.tilt_axis_deg == pytest.approx(0.0, abs=1e-9)
        assert np.abs(geometry.shifts_px).max() < 1e-9
    made = adapter.to_geometry(geometry, (20, 30))
    assert made["Vectors"] == pytest.approx(vectors["Vectors"], abs=1e-9)
    assert astra.geom_size(made) == (20, len(ANGLES), 30)
    assert adapter.to_volume_geometry((4, 6, 8)) == astra.create_vol_geom(4, 8, 6)
    moved = adapter.from_geometry(astra.geom_postalignment(theirs, 1.7))
    assert moved.shifts_px[:, 1] == pytest.approx(-1.7)


@pytest.mark.peers
@pytest.mark.parametrize("kind", ["parallel", "parallel_vec"])
def test_projections_are_astras(kind):
    import astra

    volume = blobs((33, 1, 40))
    proj_geom = astra.create_proj_geom("parallel", 1.0, 44, ANGLES)
    if kind == "parallel_vec":
        proj_geom = astra.geom_postalignment(astra.geom_2vec(proj_geom), 2.25)
    projector = astra.create_projector("linear", proj_geom, astra.create_vol_geom(33, 40))
    _, sinogram = astra.create_sino(adapter.to_volume(volume)[0, ::-1].copy(), projector)
    geometry = adapter.from_geometry(proj_geom)
    assert error(project(volume, geometry, (1, 44)), adapter.from_stack(sinogram)) < 0.003
    # The slice of a volume is ASTRA's two-dimensional image as it is.
    _, again = astra.create_sino(volume[:, 0], projector)
    assert np.array_equal(again, sinogram)


@pytest.mark.peers
def test_a_sirt_of_astra_comes_out_where_ours_does():
    import astra

    volume = blobs((32, 1, 32))
    proj_geom = astra.create_proj_geom("parallel", 1.0, 32, ANGLES)
    slices = astra.create_vol_geom(32, 32)
    projector = astra.create_projector("linear", proj_geom, slices)
    number, sinogram = astra.create_sino(volume[:, 0], projector)
    config = astra.astra_dict("SIRT")
    config["ProjectorId"] = projector
    config["ProjectionDataId"] = number
    config["ReconstructionDataId"] = astra.data2d.create("-vol", slices)
    astra.algorithm.run(astra.algorithm.create(config), 50)
    theirs = adapter.from_volume(astra.data2d.get(config["ReconstructionDataId"]))
    found = sirt(
        adapter.from_stack(sinogram),
        adapter.from_geometry(proj_geom),
        shape=(32, 1, 32),
        n_iter=50,
        lower=-np.inf,
    )
    # Near the border the two sum other pixels.
    inside = (slice(4, -4), slice(None), slice(4, -4))
    assert error(found[inside], theirs[inside]) < 0.04
