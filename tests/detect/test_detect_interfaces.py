# SPDX-License-Identifier: BSD-3-Clause
"""interfaces: layers of phantoms with known boundaries are counted, measured and covered by their errors."""

from __future__ import annotations

import numpy as np
import pytest
from detect_phantoms import layered, noise
from scipy.ndimage import gaussian_filter, uniform_filter
from scipy.special import ndtr

from cryolith import InputError, Volume
from cryolith.detect import interfaces

SHAPE = (40, 84, 40)
LEVELS = (1.0, 2.0, 1.0, 2.0, 1.0, 1.6, 1.0)
NAMES = ["dark 1", "bright 1", "dark 2", "bright 2", "dark 3", "bright 3", "dark 4"]


def specimen(seed, *, slope=0.05, **options):
    """A needle of seven layers with tilted boundaries at random places; returns it and what is true of it."""
    rng = np.random.default_rng(seed)
    at = np.cumsum([14, 9, 12, 7, 11, 14]) + rng.uniform(-0.5, 0.5, 6)
    slopes = rng.uniform(-slope, slope, (6, 2))
    volume = layered(SHAPE, at, LEVELS, slopes=slopes, radius=16, **options)
    middle = (slopes[1:] + slopes[:-1]) / 2
    return volume, np.diff(at) / np.sqrt(1 + (middle**2).sum(axis=1)), at, rng


@pytest.mark.parametrize(
    ("sd", "blur", "taper"), [(0.2, 0.0, 0.0), (0.1, 1.0, 0.06)], ids=["white", "correlated"]
)
def test_errors_cover_the_truth(sd, blur, taper):
    z, sizes = [], []
    for seed in range(8):
        volume, true, _, rng = specimen(seed, taper=taper)
        table = interfaces((volume + noise(SHAPE, sd, rng, blur)).astype(np.float32))
        assert table["name"].tolist() == NAMES
        inner = table["complete"]
        z += list((table["thickness_px"][inner] - true) / table["sigma_thickness_px"][inner])
        sizes += list(table["sigma_thickness_px"][inner])
    z = np.abs(z)
    # 40 thicknesses: 33 or fewer within 2 sigma happens once in 300 times when 95 % are.
    assert (z < 2).sum() >= 34
    # Nor are the errors there to hide behind: 3 times too large would make the rms 0.33.
    assert np.sqrt((z**2).mean()) > 0.4
    assert np.median(sizes) < 0.15


def test_boundaries_lie_where_they_are_with_their_blur_and_tilt():
    volume, _, at, rng = specimen(3, slope=0.08, width=1.3)
    table = interfaces(
        Volume(data=(volume + noise(SHAPE, 0.05, rng)).astype(np.float32), pixel_size=20.0)
    )
    centre = (SHAPE[1] - 1) / 2
    # On the axis of the needle, 2 nm px; a boundary that leans by 0.08 moves 0.3 % along its normal.
    got = table["end_nm"][:-1] / 2
    assert np.abs(got - (at - centre)).max() < 0.25
    np.testing.assert_allclose(table["start_nm"][1:], table["end_nm"][:-1])
    # 10-90 % of a Gaussian blur of 1.3 px is 3.33 px. Its own errors say how close.
    pull = (table["end_width_nm"][:-1] - 2.563 * 1.3 * 2) / table["sigma_end_width_nm"][:-1]
    assert np.sqrt((pull**2).mean()) < 2.5
    assert table["sigma_end_width_nm"][:-1].max() < 1.0
    assert table["end_tilt_deg"][:-1].max() < np.degrees(np.hypot(0.16, 0.16))
    assert np.isnan(table["start_nm"][0])
    assert np.isnan(table["end_nm"][-1])
    assert np.isnan(table["thickness_nm"][[0, -1]]).all()


def seen_roughness(shift):
    """Rms of a boundary's displacement, averaged over 4 px, about its plane within the needle's core."""
    means = uniform_filter(shift, 4)
    a, b = (g - (n - 1) / 2 for g, n in zip(np.indices(shift.shape), shift.shape, strict=True))
    core = np.hypot(a, b) < 12
    design = np.stack([np.ones(core.sum()), a[core], b[core]], axis=1)
    return (means[core] - design @ np.linalg.lstsq(design, means[core], rcond=None)[0]).std()


def test_roughness_is_found_and_noise_is_not_taken_for_it():
    planted, smooth = [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        shift = gaussian_filter(
            rng.standard_normal((2, SHAPE[0], SHAPE[2])), (0, 4, 4), mode="wrap"
        )
        shift *= 0.6 / shift.std()
        for rough, out in ((shift, planted), (0 * shift, smooth)):
            volume = layered(SHAPE, (30.2, 50.6), (1, 2, 1), radius=16, roughness=rough)
            table = interfaces((volume + noise(SHAPE, 0.1, rng)).astype(np.float32))
            assert table["kind"].tolist() == ["dark", "bright", "dark"]
            for k, side in enumerate(("start", "end")):
                true = seen_roughness(rough[k])
                got = (table[f"{side}_roughness_px"][1], table[f"sigma_{side}_roughness_px"][1])
                out.append((true, *got))
    true, values, sigmas = np.array(planted).T
    assert true.min() > 0.2
    # The patches cut the core a little differently than the definition does: 15 %, beside the error given.
    assert (np.abs(values - true) < 2 * sigmas + 0.15 * true).all()
    assert (values > 2 * sigmas).all()
    _, values, sigmas = np.array(smooth).T
    # sigma is one standard error of r^2 upwards: (r + sigma)^2 - r^2. Zero lies within three of them.
    assert (values**2 < 3 * ((values + sigmas) ** 2 - values**2)).all()
    assert values.max() < 0.06


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "kind", ["plain", "noisy", "smooth noise", "cupped", "ramp", "full", "ball"]
)
def test_a_homogeneous_specimen_has_no_layers(kind, seed):
    rng = np.random.default_rng(seed)
    options = {"cupping": 0.2} if kind == "cupped" else {}
    volume = layered(SHAPE, (), (1.0,), radius=15, taper=0.08 if seed else 0.0, **options)
    if kind == "ramp":  # 40 % along the needle
        volume = volume * np.linspace(0.8, 1.2, SHAPE[1])[None, :, None]
    if kind == "full":
        volume = np.ones(SHAPE)
    if kind == "ball":
        grid = np.indices(SHAPE) - (np.array(SHAPE)[:, None, None, None] - 1) / 2
        volume = 1.0 * (np.sqrt((grid**2).sum(axis=0)) < 17)
    sd = {"plain": 0.02, "noisy": 1.0}.get(kind, 0.3)
    blur = 1.5 if kind == "smooth noise" else 0.0
    table = interfaces((volume + noise(SHAPE, sd, rng, blur)).astype(np.float32))
    assert len(table["name"]) == 0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_layers_along_any_axis_and_in_a_film(axis):
    # A film that fills the volume sideways, with vacuum on both sides: both faces are boundaries.
    rng = np.random.default_rng(axis)
    g = np.arange(48.0)
    levels, at = (0.0, 1.0, 1.8, 1.0, 0.0), (10.3, 19.1, 27.4, 38.2)
    profile = np.zeros(48)
    for k, position in enumerate(at):
        profile += (levels[k + 1] - levels[k]) * ndtr((g - position) / 0.8)
    volume = np.broadcast_to(profile[:, None, None], (48, 36, 36)) + noise((48, 36, 36), 0.1, rng)
    table = interfaces(np.moveaxis(volume, 0, axis).astype(np.float32))
    assert table["name"].tolist() == ["dark 1", "bright 1", "dark 2"]
    assert table["complete"].all()
    pull = (table["thickness_px"] - np.diff(at)) / table["sigma_thickness_px"]
    assert (np.abs(pull) < 3).all()
    normal = np.array([table[f"normal_{a}"][0] for a in "zyx"])
    assert abs(normal[axis]) > np.cos(np.radians(1.0))


def test_a_volume_cut_from_inside_a_specimen_has_no_vacuum():
    rng = np.random.default_rng(5)
    at = np.array([10.4, 19.7, 30.1, 41.5])
    level = np.full(52, 1.0)
    for k, position in enumerate(at):
        level += (-1) ** k * ndtr((np.arange(52) - position) / 0.9)
    volume = np.broadcast_to(level[:, None, None], (52, 36, 36)) + noise((52, 36, 36), 0.1, rng)
    table = interfaces(volume)
    assert table["name"].tolist() == ["dark 1", "bright 1", "dark 2", "bright 2", "dark 3"]
    pull = (table["thickness_px"][1:-1] - np.diff(at)) / table["sigma_thickness_px"][1:-1]
    assert (np.abs(pull) < 3).all()
    one = interfaces(volume[:25], support=np.ones((25, 36, 36), bool))
    assert one["kind"].tolist() == ["dark", "bright", "dark"]


def test_strongly_tilted_layers_need_no_axis():
    # Layers 25 degrees off the grid in a block: measured along their own normal.
    rng = np.random.default_rng(8)
    slope = np.tan(np.radians(25.0))
    at = np.array([26.0, 36.0, 48.0, 60.0])
    slopes = np.tile([slope, 0.0], (4, 1))
    volume = layered(SHAPE, at, (1, 2, 1, 2, 1), slopes=slopes, radius=16)
    table = interfaces((volume + noise(SHAPE, 0.1, rng)).astype(np.float32))
    assert table["kind"].tolist() == ["dark", "bright", "dark", "bright", "dark"]
    inner = table["complete"]
    true = np.diff(at) * np.cos(np.radians(25.0))
    pull = (table["thickness_px"][inner] - true) / table["sigma_thickness_px"][inner]
    assert (np.abs(pull) < 3).all()
    angle = np.degrees(np.arctan2(-table["normal_z"][0], table["normal_y"][0]))
    assert abs(angle - 25.0) < 0.5


@pytest.mark.parametrize("thickness", [3.0, 4.0, 5.0])
def test_thin_layers_are_fitted_with_their_neighbours(thickness):
    rng = np.random.default_rng(int(thickness))
    at = (38.0 - thickness / 2, 38.0 + thickness / 2)
    volume = layered(SHAPE, at, (1, 2, 1), radius=16, width=0.8)
    table = interfaces((volume + noise(SHAPE, 0.05, rng)).astype(np.float32))
    assert table["kind"].tolist() == ["dark", "bright", "dark"]
    error = abs(table["thickness_px"][1] - thickness)
    assert error < 3 * table["sigma_thickness_px"][1]
    assert table["sigma_thickness_px"][1] < 0.3


def test_the_same_for_any_threads_and_memory_layout():
    volume, _, _, rng = specimen(1)
    volume = (volume + noise(SHAPE, 0.1, rng)).astype(np.float32)
    volume.flags.writeable = False
    expected = interfaces(volume, threads=1)
    for other in (volume.astype(">f4"), np.asfortranarray(volume), volume.astype(np.float64)):
        table = interfaces(other, threads=2)
        for name, column in expected.items():
            np.testing.assert_array_equal(table[name], column)


def test_an_axis_may_be_given_by_name_or_direction():
    volume, _, _, rng = specimen(2, slope=0.0)
    volume = (volume + noise(SHAPE, 0.05, rng)).astype(np.float32)
    by_name, by_vector = interfaces(volume, axis="y"), interfaces(volume, axis=(0.0, -3.0, 0.0))
    for name, column in by_name.items():
        np.testing.assert_array_equal(by_vector[name], column)
    assert by_name["name"].tolist() == NAMES


@pytest.mark.parametrize(
    "volume",
    [
        np.zeros((1, 1, 1)),
        np.ones((8, 9, 10)),
        np.ones((1, 40, 1)),
        np.eye(30)[None],
        np.zeros((3, 200, 3)),
    ],
    ids=["voxel", "constant", "line", "slice", "thin"],
)
def test_volumes_without_a_cross_section_have_no_layers(volume):
    table = interfaces(volume)
    assert {len(column) for column in table.values()} == {0}
    assert "thickness_px" in table


@pytest.mark.parametrize(
    ("volume", "options", "message"),
    [
        (np.full((4, 4, 4), np.nan), {}, "volume: found 64 NaN or infinite voxels"),
        (np.zeros((4, 4)), {}, "expected 3 axes"),
        (np.zeros((4, 4, 4)), {"axis": "w"}, "axis: found 'w'"),
        (np.zeros((4, 4, 4)), {"axis": (0, 0, 0)}, "axis: found"),
        (np.zeros((4, 4, 4)), {"min_contrast": 0}, "min_contrast: found 0"),
        (np.zeros((4, 4, 4)), {"pixel_size": -1.0}, "pixel_size: found -1.0"),
        (np.zeros((4, 4, 4)), {"support": np.ones((4, 4, 5), bool)}, "support: found shape"),
    ],
)
def test_refuses_by_name(volume, options, message):
    with pytest.raises(InputError, match=message):
        interfaces(volume, **options)


def test_the_dark_halo_of_a_back_projection_is_vacuum_too():
    volume, true, _, rng = specimen(4)
    z, _, x = (g - (n - 1) / 2 for g, n in zip(np.indices(SHAPE), SHAPE, strict=True))
    radius = np.hypot(z, x)
    volume = np.where((radius > 18) & (radius < 20), -0.5, volume) + noise(SHAPE, 0.05, rng)
    wide = np.pad(volume, ((15, 15), (0, 0), (15, 15)))
    wide += noise(wide.shape, 0.05, rng)
    table = interfaces(wide.astype(np.float32))
    assert table["name"].tolist() == NAMES
    pull = (table["thickness_px"][1:-1] - true) / table["sigma_thickness_px"][1:-1]
    assert (np.abs(pull) < 3).all()


@pytest.mark.parametrize("exponent", [-40, 17, 30])
def test_the_unit_of_intensity_does_not_matter(exponent):
    """Beam currents in ampere and raw counts of 1e5 give the same layers as values near 1."""
    volume, _, _, rng = specimen(5)
    volume = (volume + noise(SHAPE, 0.1, rng)).astype(np.float32)
    plain, scaled = interfaces(volume), interfaces(volume * np.float32(2.0**exponent))
    assert scaled["name"].tolist() == plain["name"].tolist() == NAMES
    for name in plain:
        if name.startswith("intensity"):
            np.testing.assert_allclose(scaled[name], plain[name] * 2.0**exponent, rtol=1e-12)
        elif plain[name].dtype.kind == "f":
            # Scaled by a power of two nothing is rounded anew: only libraries' blocking could differ.
            np.testing.assert_allclose(scaled[name], plain[name], rtol=1e-9, atol=1e-9)
