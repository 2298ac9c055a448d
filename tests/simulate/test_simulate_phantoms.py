# SPDX-License-Identifier: BSD-3-Clause
"""Phantoms hold what their truth says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import cryolith
from cryolith import simulate


@pytest.mark.parametrize("shape", [(48, 48, 48), (49, 51, 53), (48, 51, 64)])
def test_chiral_is_black_and_white_and_of_the_stated_mass(shape):
    phantom = simulate.chiral(shape)
    volume = phantom.volume
    assert set(np.unique(volume)) == {0.0, 1.0}
    assert volume.sum() == phantom.truth["mass"]
    arms = phantom.truth["arms_px"]
    assert arms["x"] < arms["y"] < arms["z"]
    cz, cy, cx = (n // 2 for n in shape)
    line = {"z": volume[cz:, cy, cx], "y": volume[cz, cy:, cx], "x": volume[cz, cy, cx:]}
    lengths = {name: int(v.sum()) for name, v in line.items()}
    half = (
        lengths["x"] - arms["x"]
    )  # what the cube adds from the centre outwards, the same for even n
    assert 0 < half <= 3
    for name, n in zip("zyx", shape, strict=True):
        assert abs(lengths[name] - arms[name] - half) <= (n % 2 != shape[2] % 2)


def test_chiral_is_no_turned_copy_of_its_mirror_image():
    volume = simulate.chiral((32, 32, 32)).volume
    mirror = volume[::-1]
    turned = 0
    for axes in itertools.permutations(range(3)):
        for flips in itertools.product((1, -1), repeat=3):
            sign = np.linalg.det(np.eye(3)[list(axes)]) * np.prod(flips)
            if sign > 0:
                copy = mirror.transpose(axes)[tuple(slice(None, None, f) for f in flips)]
                turned += 1
                assert not np.array_equal(copy, volume)
    assert turned == 24


def test_needle_has_its_layers_where_the_truth_says():
    layers = [(10, 0.4), (8, 1.0), (12, 0.6), (9, 1.2), (10, 0.5)]
    phantom = simulate.needle((32, 48, 32), layers=layers)
    truth = phantom.truth
    axis = phantom.volume[15:17, :, 15:17].mean(axis=(0, 2))
    y = np.arange(48) - 23.5
    np.testing.assert_allclose(truth["boundaries_px"], [-14.5, -6.5, 5.5, 14.5])
    # Boundaries fall on voxel centres here: those voxels hold the mean of both sides.
    expected = np.array([v for _, v in layers])[np.searchsorted(truth["boundaries_px"], y)]
    on_edge = np.isin(y, truth["boundaries_px"])
    np.testing.assert_allclose(axis[~on_edge], expected[~on_edge], rtol=1e-6)
    assert np.isnan(truth["thickness_px"][[0, -1]]).all()
    np.testing.assert_allclose(truth["thickness_px"][1:-1], [8, 12, 9])
    area = (phantom.volume[:, 20] > 0.3).sum()
    assert abs(area / (np.pi * truth["radius_px"] ** 2) - 1.0) < 0.03


def test_leaning_layers_have_the_normal_of_the_truth():
    phantom = simulate.needle((40, 60, 40), layer_tilt_deg=20.0, layer_azimuth_deg=90.0)
    normal = phantom.truth["normal"]
    np.testing.assert_allclose(
        normal, [np.sin(np.deg2rad(20)), np.cos(np.deg2rad(20)), 0], atol=1e-12
    )
    z, y, x = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in phantom.shape), indexing="ij")
    along = z * normal[0] + y * normal[1] + x * normal[2]
    inside = np.hypot(z, x) < phantom.truth["radius_px"] - 1.5
    far = np.abs(along[..., None] - phantom.truth["boundaries_px"]).min(axis=-1) > 1.5
    index = np.searchsorted(phantom.truth["boundaries_px"], along)
    where = inside & far
    np.testing.assert_allclose(
        phantom.volume[where], phantom.truth["values"][index[where]], rtol=1e-6
    )


@pytest.mark.parametrize("seed", range(3))
def test_voids_are_empty_and_inclusions_bright(seed):
    phantom = simulate.needle((48, 96, 48), voids=4, inclusions=3, seed=seed)
    z, y, x = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in phantom.shape), indexing="ij")
    for name, value in (("voids", 0.0), ("inclusions", 1.5)):
        for cz, cy, cx, r in phantom.truth[name]:
            core = (z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 < (r - 0.9) ** 2
            assert core.any()
            np.testing.assert_allclose(phantom.volume[core], value, atol=1e-6)
    assert phantom.volume.min() >= 0.0


def test_a_needle_without_room_says_so():
    with pytest.raises(cryolith.InputError, match="found room for"):
        simulate.needle((16, 16, 16), voids=500)


@pytest.mark.parametrize("seed", range(5))
def test_particle_is_isolated_and_its_voxels_hold_the_truth(seed):
    phantom = simulate.particle((48, 48, 48), seed)
    volume = phantom.volume.astype(np.float64)
    at = np.stack(np.meshgrid(*(np.arange(48) - 23.5,) * 3, indexing="ij"))
    assert (volume[np.linalg.norm(at, axis=0) > 23.0] == 0).all()
    # Nine rays a voxel at the rims of small ellipsoids: at most 0.08 % and 0.004 px over seeds 0..19.
    assert abs(volume.sum() / phantom.truth["mass"] - 1.0) < 2e-3
    centroid = (at * volume).sum(axis=(1, 2, 3)) / volume.sum()
    np.testing.assert_allclose(centroid, phantom.truth["centroid_px"], atol=0.01)


def test_slab_fills_every_image_and_reaches_beyond():
    phantom = simulate.slab((24, 40, 40), seed=2)
    half = phantom.truth["thickness_px"] / 2
    z = np.abs(np.arange(24) - 11.5)
    assert (phantom.volume[z > half + 0.5] == 0).all()
    assert phantom.volume[z < half - 0.5].min() > 0.25
    series, _ = simulate.tilt_series(phantom, [0.0, 60.0], tilt_axis_deg=25.0)
    assert series.images.min() > 0.25 * phantom.truth["thickness_px"]
    # cos 60 = 1/2: the rays are twice as long everywhere, the image's corners included.
    ratio = series.images[1].mean() / series.images[0].mean()
    assert 1.8 < ratio < 2.2


@pytest.mark.parametrize(
    "make", [simulate.particle, simulate.slab, simulate.chiral, simulate.needle]
)
def test_phantoms_go_where_arrays_go(make):
    phantom = make((16, 18, 20))
    array = np.asarray(phantom)
    assert array.shape == (16, 18, 20)
    assert array.dtype == np.float32
    assert np.array(phantom, np.float64).dtype == np.float64
    assert not phantom.volume.flags.writeable
    assert make((16, 18, 20)).volume.tobytes() == phantom.volume.tobytes()


@pytest.mark.parametrize(
    "make",
    [
        lambda: simulate.ellipsoid(1.0, (0, 0), (1, 1, 1)),
        lambda: simulate.box(1.0, (0, 0, 0), (1, 1, np.nan)),
        lambda: simulate.ellipsoid(1.0, (0, 0, 0), (1, 1, 1), np.ones((3, 3))),
        lambda: simulate.ellipsoid(1.0, (0, 0, 0), (1, 0, 1)),
        lambda: simulate.layer(1.0, (0, 0, 0), (0, 0, 0), 2.0),
        lambda: simulate.cylinder(1.0, -2.0),
    ],
)
def test_impossible_solids_are_refused(make):
    with pytest.raises(cryolith.InputError):
        make()
