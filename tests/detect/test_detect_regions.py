# SPDX-License-Identifier: BSD-3-Clause
"""regions: exact sums, known shapes, units, and the columns that say how sure they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage as ndi
from reference import detect as reference

from cryolith import InputError, Volume, _core
from cryolith.detect import contacts, label, regions
from cryolith.detect._crofton import direction_shares
from cryolith.detect._region_table import Sums


def ball(radius, centre=(0.0, 0.0, 0.0), size=None):
    n = size or 2 * math.ceil(radius) + 5
    z, y, x = (g - (n - 1) / 2 for g in np.indices((n, n, n)))
    r2 = (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2
    return r2 <= radius**2


def measured(labels, regions_, values=None, threads=1, contacts=False):
    sums = Sums.empty(regions_, moments=True, exits=True, euler=False, intensity=values is not None)
    pairs = _core.region_sums(labels, regions_, values, sums.columns(), contacts, threads)
    return sums, pairs


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 9), (5, 4, 3), (33, 6, 7), (18, 9, 200)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_sums_equal_the_definition(shape, dtype):
    rng = np.random.default_rng(11)
    labels = rng.integers(0, 4, shape).astype(dtype)
    values = rng.standard_normal(shape).astype(np.float32)
    results = [measured(labels, 3, values, threads, True) for threads in (1, 2, 3)]
    same = [
        [getattr(s, n).tobytes() for n in ("extent", "moments", "exits", "intensity")]
        + [p.tobytes() for p in pairs]
        for s, pairs in results
    ]
    assert same[0] == same[1] == same[2]
    sums, (pairs, counts) = results[0]
    for value in range(1, 4):
        z, y, x = np.nonzero(labels == value)
        if len(z) == 0:
            assert sums.extent[value - 1, 0] == 0
            continue
        row = [len(z), z.min(), y.min(), x.min(), z.max(), y.max(), x.max()]
        assert sums.extent[value - 1].tolist() == [int(v) for v in row]
        row = [z.sum(), y.sum(), x.sum(), z @ z, y @ y, x @ x, z @ y, z @ x, y @ x]
        assert sums.moments[value - 1].tolist() == [int(v) for v in row]
        row = reference.exits(labels.astype(int), value) + reference.border(labels, value)
        assert sums.exits[value - 1].tolist() == row
        centre, total, squares, low, high = sums.intensity[value - 1]
        inside = values[labels == value].astype(np.float64) - centre
        # Each addition rounds by at most half an ulp of the largest partial sum.
        bound = len(z) * np.finfo(float).eps
        assert abs(total - inside.sum()) <= bound * np.abs(inside).sum()
        assert abs(squares - (inside**2).sum()) <= bound * (inside**2).sum()
        assert low == values[labels == value].min()
        assert high == values[labels == value].max()
    expected = reference.contacts(labels.astype(int))
    assert [tuple(p) for p in pairs.tolist()] == sorted(expected)
    for pair, count in zip(pairs.tolist(), counts, strict=True):
        assert count.tolist() == expected[tuple(pair)].tolist()


def test_table_agrees_with_scipy():
    rng = np.random.default_rng(2)
    smooth = ndi.gaussian_filter(rng.standard_normal((40, 50, 60)), 2)
    labels, count = label(smooth > np.quantile(smooth, 0.9))
    values = rng.standard_normal(labels.shape).astype(np.float32) + 100
    table = regions(labels, values)
    index = np.arange(1, count + 1)
    np.testing.assert_array_equal(table["label"], index)
    np.testing.assert_array_equal(table["voxels"], np.bincount(labels.ravel())[1:])
    centres = np.array(ndi.center_of_mass(np.ones(labels.shape), labels, index))
    got = np.stack([table["z_px"], table["y_px"], table["x_px"]], axis=1)
    np.testing.assert_allclose(got, centres, rtol=1e-12)
    exact = values.astype(np.float64)
    np.testing.assert_allclose(table["intensity_mean"], ndi.mean(exact, labels, index), rtol=1e-12)
    # The variance of values near 100 from sums about their mean: 1e-12 relative, the deviation half of it.
    np.testing.assert_allclose(
        table["intensity_sd"], ndi.standard_deviation(exact, labels, index), rtol=1e-10, atol=1e-10
    )
    for k, box in enumerate(ndi.find_objects(labels)):
        low = [int(table[f"{a}0"][k]) for a in "zyx"]
        high = [int(table[f"{a}1"][k]) for a in "zyx"]
        assert low == [s.start for s in box]
        assert high == [s.stop for s in box]
        at_edge = any(s.start == 0 or s.stop == n for s, n in zip(box, labels.shape, strict=True))
        assert bool(table["touches_border"][k]) == at_edge


@pytest.mark.parametrize(("radius", "bound"), [(5, 0.01), (10, 0.01), (20, 0.005), (30, 0.005)])
def test_a_ball_has_the_surface_and_axes_of_a_ball(radius, bound):
    # Digitised balls: the issue's own goal is 1 % of surface from radius 5.
    table = regions(ball(radius).astype(int))
    surface = 4 * math.pi * radius**2
    assert abs(table["surface_px2"][0] / surface - 1) < bound
    volume = 4 / 3 * math.pi * radius**3
    assert abs(table["volume_px3"][0] - volume) < table["sigma_volume_px3"][0]
    for k in (1, 2, 3):
        assert abs(table[f"axis{k}_px"][0] - 2 * radius) < 0.1
    assert abs(table["sphericity"][0] - 1) < 0.02


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (0.7, 1.3, 3.0)])
def test_the_shares_of_the_thirteen_directions_cover_the_sphere(spacing):
    share = direction_shares(spacing)
    assert abs(share.sum() - 1) < 1e-12
    # Nearest direction of 20 000 points spread over the sphere: sampling error about 1 / sqrt(20 000) of each.
    i = np.arange(20000) + 0.5
    polar, turn = np.arccos(1 - 2 * i / 20000), np.pi * (1 + 5**0.5) * i
    points = np.c_[np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)]
    along = np.array(reference.DIRECTIONS) * spacing
    unit = along / np.linalg.norm(along, axis=1)[:, None]
    counted = np.bincount(np.abs(points @ unit.T).argmax(axis=1), minlength=13) / len(points)
    np.testing.assert_allclose(counted, share, atol=1 / math.sqrt(20000) * 0.1)


def test_the_shares_for_cubes_are_the_published_ones():
    # Legland, Kieu & Devaux 2007: face, edge and corner neighbours, of the half sphere.
    published = {1: 0.09155578240952, 2: 0.07396125575216, 3: 0.07039127956464}
    kinds = [sum(abs(c) for c in d) for d in reference.DIRECTIONS]
    np.testing.assert_allclose(
        direction_shares((1.0, 1.0, 1.0)), [published[k] for k in kinds], rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("spacing", [(20.0, 10.0, 10.0), (10.0, 15.0, 30.0)])
def test_a_ball_of_flat_voxels_has_the_surface_and_axes_of_a_ball(spacing):
    radius = 30.0  # nm
    steps = np.array(spacing) / 10
    n = [2 * math.ceil(radius / s) + 5 for s in steps]
    z, y, x = ((g - (m - 1) / 2) * s for g, m, s in zip(np.indices(n), n, steps, strict=True))
    table = regions((z**2 + y**2 + x**2 <= radius**2).astype(int), pixel_size=spacing)
    assert abs(table["surface_nm2"][0] / (4 * math.pi * radius**2) - 1) < 0.01
    assert abs(table["volume_nm3"][0] / (4 / 3 * math.pi * radius**3) - 1) < 0.01
    for k in (1, 2, 3):
        assert abs(table[f"axis{k}_nm"][0] - 2 * radius) < 0.1 * max(steps)


def test_border_is_the_area_on_the_faces_of_the_volume():
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[0, 0, 0:3] = 1
    labels[1:3, 1:3, 1:3] = 2
    labels[3, 4, 5] = 3
    table = regions(labels, pixel_size=(10.0, 20.0, 30.0))
    # Faces across z measure 2 x 3 nm^2, across y 1 x 3, across x 1 x 2.
    assert table["border_nm2"].tolist() == [3 * 6 + 3 * 3 + 2, 0, 6 + 3 + 2]


def test_an_ellipsoid_shows_its_axes_and_their_directions():
    n = 61
    z, y, x = (g - (n - 1) / 2 for g in np.indices((n, n, n)))
    along = np.array([2.0, 2.0, 1.0]) / 3  # (z, y, x)
    across = np.array([1.0, -1.0, 0.0]) / math.sqrt(2)
    third = np.cross(along, across)
    coordinates = [d[0] * z + d[1] * y + d[2] * x for d in (along, across, third)]
    inside = sum((c / a) ** 2 for c, a in zip(coordinates, (24, 12, 8), strict=True)) <= 1
    table = regions(inside.astype(np.uint8), pixel_size=20.0)
    for k, (half, direction) in enumerate(
        zip((24, 12, 8), (along, across, third), strict=True), start=1
    ):
        # 0.1 px of a surface that digitisation moves at random: far below half a voxel for 9651 voxels.
        assert abs(table[f"axis{k}_nm"][0] - 2 * half * 2.0) < 0.1 * 2.0
        got = np.array([table[f"axis{k}_{a}"][0] for a in "zyx"])
        assert abs(abs(got @ direction) - 1) < 1e-3
        assert got[np.abs(got).argmax()] > 0


def test_one_voxel_is_a_cube():
    labels = np.zeros((3, 4, 5), int)
    labels[1, 2, 3] = 9
    table = regions(labels, pixel_size=10.0)
    assert table["label"].tolist() == [9]
    assert table["volume_nm3"][0] == 1.0
    np.testing.assert_allclose([table[f"axis{k}_nm"][0] for k in (1, 2, 3)], 2 * math.sqrt(5 / 12))
    assert (table["z_px"][0], table["y_px"][0], table["x_px"][0]) == (1, 2, 3)
    np.testing.assert_allclose(
        [table[f"{a}_nm"][0] for a in "zyx"], [0.0, 0.5, 1.0], atol=1e-12
    )  # from the centre
    assert not table["touches_border"][0]


def test_units_scale_and_say_their_name():
    labels = ball(6).astype(int)
    pixels, nanometres = regions(labels), regions(labels, pixel_size=33.6)
    for name, power in (
        ("volume", 3),
        ("sigma_volume", 3),
        ("surface", 2),
        ("diameter", 1),
        ("axis1", 1),
    ):
        end = "" if power == 1 else str(power)
        ratio = nanometres[f"{name}_nm{end}"] / pixels[f"{name}_px{end}"]
        np.testing.assert_allclose(ratio, 3.36**power, rtol=1e-12)
    assert not any(k.endswith("_nm") for k in pixels)
    with_volume = regions(labels, Volume(data=np.ones(labels.shape, np.float32), pixel_size=33.6))
    np.testing.assert_array_equal(with_volume["volume_nm3"], nanometres["volume_nm3"])


def test_an_axis_of_length_one_is_no_border():
    labels = np.zeros((1, 9, 9), int)
    labels[0, 3:5, 3:5] = 1
    labels[0, 0, 7] = 2
    assert regions(labels)["touches_border"].tolist() == [False, True]


def test_sigma_of_volume_covers_where_the_ball_lies_on_the_grid():
    # The same ball at 40 random places: |counted - true| stays within 2 sigma, and sigma is no more than the
    # shell of one voxel that the model allows.
    rng = np.random.default_rng(4)
    for radius in (2.5, 4.0, 7.0):
        true = 4 / 3 * math.pi * radius**3
        for centre in rng.uniform(-0.5, 0.5, (40, 3)):
            table = regions(ball(radius, centre).astype(int))
            error = abs(table["volume_px3"][0] - true)
            assert error < 2 * table["sigma_volume_px3"][0]
            assert table["sigma_volume_px3"][0] < 4 * math.pi * radius**2


def test_regions_far_from_the_origin_lose_no_digits():
    near, far = np.zeros((4, 4, 4), int), np.zeros((4, 4, 40000), int)
    near[1:3, 1:3, 0:3] = 1
    far[1:3, 1:3, 39990:39993] = 1
    for k in (1, 2, 3):
        assert regions(near)[f"axis{k}_px"][0] == regions(far)[f"axis{k}_px"][0]


def test_no_region_and_huge_labels():
    empty = regions(np.zeros((2, 3, 4), int), np.ones((2, 3, 4)))
    assert {len(v) for v in empty.values()} == {0}
    labels = np.zeros((2, 3, 4), np.int64)
    labels[0, 0, 0], labels[1, 2, 3] = 10**12, 7
    table = regions(labels)
    assert table["label"].tolist() == [7, 10**12]
    assert table["voxels"].tolist() == [1, 1]
    full = regions(np.full((2, 2, 2), 10**12))
    assert full["label"].tolist() == [10**12]


@pytest.mark.parametrize(
    ("labels", "values", "message"),
    [
        (np.zeros((2, 2, 2)), None, "labels: found float64"),
        (np.zeros((2, 2), int), None, "expected integers with axes"),
        (-np.ones((2, 2, 2), int), None, "labels: found -1"),
        (np.ones((2, 2, 2), int), np.ones((2, 2, 3)), "intensity: found shape"),
        (
            np.ones((2, 2, 2), int),
            np.full((2, 2, 2), np.nan),
            "intensity: found NaN or infinite voxels in 1 regions",
        ),
    ],
)
def test_regions_refuses_by_name(labels, values, message):
    with pytest.raises(InputError, match=message):
        regions(labels, values)


def test_regions_measures_what_it_is_asked_for():
    labels = ball(4).astype(np.uint8)
    lean = regions(labels, measure=())
    assert set(lean) == {
        *("label", "voxels", "volume_px3", "diameter_px", "touches_border"),
        *("z0", "y0", "x0", "z1", "y1", "x1"),
    }
    full = regions(labels)
    for name, column in lean.items():
        np.testing.assert_array_equal(column, full[name])
    assert "surface_px2" not in regions(labels, measure=("axes",))
    for wrong in (("area",), "axes", ("holes",)):
        with pytest.raises(InputError, match="measure: found"):
            regions(labels, measure=wrong)


def test_nan_outside_of_the_regions_is_nobodys_business():
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[1, 1, 1:4] = 1
    values = np.full(labels.shape, np.nan, np.float32)
    values[1, 1, 1:4] = (1, 2, 6)
    table = regions(labels, values)
    assert table["intensity_mean"][0] == 3
    assert (table["intensity_min"][0], table["intensity_max"][0]) == (1, 6)
    values[1, 1, 2] = np.inf
    with pytest.raises(InputError, match="in 1 regions, the first of them 1"):
        regions(labels, values)


def test_intensity_keeps_its_digits_on_a_high_level():
    rng = np.random.default_rng(3)
    values = (1e6 + rng.standard_normal((40, 30, 70))).astype(np.float32)
    labels = np.ones(values.shape, np.uint8)
    table = regions(labels, values)
    exact = values.astype(np.float64)
    assert abs(table["intensity_sd"][0] / exact.std() - 1) < 1e-9
    assert abs(table["intensity_mean"][0] - exact.mean()) < 1e-9 * 1e6 * 1e-3


@pytest.mark.parametrize("radius", [5, 7, 12])
def test_the_contact_of_a_ball_with_its_matrix_is_the_balls_surface(radius):
    # Over random places on the grid: one digitised ball alone is up to 2 % off, as its volume is.
    rng = np.random.default_rng(0)
    areas = []
    for centre in rng.uniform(-0.5, 0.5, (20, 3)):
        inside = ball(radius, centre)
        labels = np.where(inside, 700, 3).astype(np.uint16)
        labels[0, 0, :2] = 0
        table = contacts(labels, pixel_size=20.0)
        assert (table["label"].tolist(), table["other"].tolist()) == ([3], [700])
        shared = sum(int(np.diff(inside, axis=a).sum()) for a in range(3))
        assert table["faces"].tolist() == [shared]
        assert table["contact_nm2"][0] == pytest.approx(
            regions(inside.astype(int))["surface_px2"][0] * 4
        )
        areas.append(table["contact_nm2"][0])
    assert abs(np.mean(areas) / (4 * math.pi * (2 * radius) ** 2) - 1) < 0.01


def part_of_a_ball(rng, radius, edges, kind):
    """A ball whose voxels are 1 or 2, and the true area between the two: a disc, a spherical cap or a rod's side."""
    shape = np.ceil(2 * radius / edges + 5).astype(int)
    at = (
        np.moveaxis(np.indices(shape), 0, -1) - (shape - 1) / 2 + rng.uniform(-0.5, 0.5, 3)
    ) * edges
    square = (at**2).sum(axis=-1)
    normal = rng.standard_normal(3)
    normal /= np.linalg.norm(normal)
    if kind in ("disc", "across"):
        normal = np.eye(3)[rng.integers(3)] if kind == "across" else normal
        height = rng.uniform(-0.5, 0.5) * radius
        second, area = at @ normal < height, math.pi * (radius**2 - height**2)
    elif kind == "cap":
        far, other = 1.6 * radius, 1.5 * radius
        second = ((at - far * normal) ** 2).sum(axis=-1) < other**2
        area = 2 * math.pi * other * (other - (far**2 + other**2 - radius**2) / (2 * far))
    else:
        thin = 0.45 * radius
        second = square - (at @ normal) ** 2 < thin**2
        area = 4 * math.pi * thin * math.sqrt(radius**2 - thin**2)
    return np.where(square < radius**2, 1 + second, 0), area


@pytest.mark.parametrize("edges", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0)], ids=str)
@pytest.mark.parametrize("kind", ["disc", "across", "cap", "rod"])
def test_the_error_of_a_contact_holds_its_area(kind, edges):
    rng = np.random.default_rng(15)
    pulls = []
    for radius in (5, 8, 12, 16):
        for _ in range(10):
            labels, area = part_of_a_ball(rng, radius, np.array(edges), kind)
            table = contacts(labels, pixel_size=10 * np.array(edges))
            pulls.append((table["contact_nm2"][0] - area) / table["sigma_contact_nm2"][0])
    # Areas come out small by about one sigma, which is that of the rim, and never by much more.
    assert np.mean(np.abs(pulls) < 1.96) >= 0.95
    assert 0.5 < np.sqrt(np.mean(np.square(pulls))) < 1.5


def test_contacts_background_and_border_add_up_to_the_surface():
    rng = np.random.default_rng(6)
    labels = rng.integers(0, 5, (9, 10, 70)).astype(np.int32)
    framed = np.pad(np.where(labels == 0, 5, labels), 1, constant_values=6)
    inner, table = regions(framed), contacts(framed)
    for value in range(1, 6):
        both = (table["label"] == value) | (table["other"] == value)
        surface = inner["surface_px2"][value - 1]
        assert abs(table["contact_px2"][both].sum() - surface) < 1e-9 * surface


def test_the_core_checks_what_it_is_given():
    labels = np.full((2, 2, 2), 3, np.int32)
    with pytest.raises(InputError, match="labels: found 3, expected 0 to 2"):
        measured(labels, 2)
    with pytest.raises(InputError, match="labels: found -3, expected 0 to 2"):
        measured(-labels, 2)
    narrow = _core.RegionColumns(None, np.empty((3, 8), np.int64), None, None, None)
    with pytest.raises(InputError, match="moments: found 3 x 8, expected 3 x 9"):
        _core.region_sums(labels, 3, None, narrow, False)
    alone = _core.RegionColumns(None, None, None, None, np.empty((3, 5)))
    with pytest.raises(InputError, match="intensity: found no extent"):
        _core.region_sums(labels, 3, np.zeros((2, 2, 2), np.float32), alone, False)
    with pytest.raises(InputError, match="intensity: found 0 elements"):
        _core.region_sums(
            labels,
            3,
            None,
            Sums.empty(3, moments=False, exits=False, euler=False, intensity=True).columns(),
            False,
        )
    with pytest.raises(TypeError):
        measured(labels.astype(np.int64), 3)
