# SPDX-License-Identifier: BSD-3-Clause
"""particles, voids, detect: what was planted is found, noise is not, sizes are covered by their errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from detect_phantoms import layered, noise
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reference import detect as reference
from scipy.ndimage import gaussian_filter

from cryolith import Cancelled, CancelToken, Defects, InputError, Volume, _core
from cryolith.detect import DetectSettings, detect, particles, voids
from cryolith.detect._noise import false_peaks, noise_level
from cryolith.detect._smooth import smooth
from cryolith.errors import ConfigError

SHAPE = (60, 64, 60)
VOIDS = {(0, 0, -14): 4.0, (10, 0, 5): 5.0, (-9, 7, 8): 6.0, (2, -15, 3): 3.5}


def ball(centre, radius):
    grid = np.indices(SHAPE) - (np.array(SHAPE)[:, None, None, None] - 1) / 2
    return ((grid - np.array(centre)[:, None, None, None]) ** 2).sum(axis=0) < radius**2


def porous(sd, seed, blur=0.9):
    body = 1.0 * ball((0, 0, 0), 26)
    for centre, radius in VOIDS.items():
        body[ball(centre, radius)] = 0.0
    body = gaussian_filter(body, blur)
    return (body + noise(SHAPE, sd, np.random.default_rng(seed))).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    values=hnp.arrays(
        np.float32, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6), elements=st.integers(0, 5)
    ),
    data=st.data(),
)
def test_filling_is_the_lowest_way_out(values, data):
    outlet = data.draw(hnp.arrays(bool, values.shape, elements=st.booleans()))
    filled = np.empty_like(values)
    _core.fill_basins(values, outlet.view(np.uint8), filled)
    np.testing.assert_array_equal(filled, reference.fill_basins(values, outlet))


def test_filling_checks_shapes_and_can_be_cancelled():
    values = np.zeros((64, 80, 80), np.float32)
    with pytest.raises(InputError, match="outlet, filled"):
        _core.fill_basins(values, np.zeros((64, 80, 81), np.uint8), np.empty_like(values))
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        _core.fill_basins(values, np.zeros(values.shape, np.uint8), np.empty_like(values), token)


@pytest.mark.parametrize("sd", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_every_planted_void_is_found_where_it_is_and_nothing_else(sd, seed):
    table = voids(porous(sd, seed))
    assert len(table["label"]) == len(VOIDS)
    got = np.stack([table[f"{a}_px"] for a in "zyx"], axis=1)
    for centre, radius in VOIDS.items():
        place = np.array(centre) + (np.array(SHAPE) - 1) / 2
        away = np.linalg.norm(got - place, axis=1)
        k = int(away.argmin())
        assert away[k] < 0.5
        true = 4 / 3 * math.pi * radius**3
        assert abs(table["volume_px3"][k] - true) < 2 * table["sigma_volume_px3"][k]
        assert abs(table["diameter_px"][k] - 2 * radius) < 2 * table["sigma_diameter_px"][k]
        assert table["sigma_diameter_px"][k] < 1.0
    assert (table["p_value"] <= 0.01).all()
    assert (table["significance"] > 5).all()
    assert not table["touches_border"].any()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("sd", "blur"), [(0.3, 0.0), (1.0, 0.0), (0.3, 1.0)])
def test_noise_makes_neither_voids_nor_particles(seed, sd, blur):
    rng = np.random.default_rng(seed)
    volume = gaussian_filter(1.0 * ball((0, 0, 0), 26), 0.9) + noise(SHAPE, sd, rng, blur)
    assert len(voids(volume, min_contrast=0.01)["label"]) == 0
    assert len(particles(volume)["label"]) == 1  # the specimen itself
    alone = noise(SHAPE, sd, rng, blur)
    assert len(voids(alone)["label"]) == 0
    assert len(particles(alone)["label"]) == 0


def test_the_chance_of_a_peak_is_the_one_stated():
    # 200 volumes of white noise: in how many does the largest smoothed value pass the level of 20 %?
    size, shape, hits = 200, (24, 24, 24), 0
    level = next(z for z in np.arange(3, 6, 0.01) if false_peaks(np.array(z), 24**3) < 0.223)
    rng = np.random.default_rng(9)
    scale = math.sqrt((4 * math.pi) ** -1.5)  # of white noise smoothed by 1 px
    for _ in range(size):
        wide = rng.standard_normal([n + 8 for n in shape]).astype(np.float32)
        hits += smooth(wide, 1.0)[4:-4, 4:-4, 4:-4].max() > level * scale
    # 1 - exp(-0.223) = 0.2 expected; on a grid maxima are cut a little. Binomial deviation 5.7 of 40.
    assert 0.5 * 40 - 2 * 5.7 < hits < 40 + 2 * 5.7


def test_noise_level_is_that_of_the_smoothed_noise():
    inside = np.ones((40, 40, 40), bool)
    for seed in range(3):
        white = np.random.default_rng(seed).standard_normal(inside.shape).astype(np.float32)
        got = noise_level(smooth(white, 1.0), inside)
        # (4 pi)^(-3/4) = 0.150 for the sampled Gaussian, to 5 %: some 1500 independent values.
        assert got == pytest.approx((4 * math.pi) ** -0.75, rel=0.08)


def test_open_pores_and_the_vacuum_are_no_voids():
    body = 1.0 * ball((0, 0, 0), 26)
    body[:, :, 30:][ball((0, 0, 0), 6)[:, :, 30:]] = 0.0
    body[26:34, 28:36, 30:] = 0.0  # a channel from the middle to the outside
    volume = gaussian_filter(body, 0.9) + noise(SHAPE, 0.05, np.random.default_rng(1))
    assert len(voids(volume)["label"]) == 0


def test_layers_of_different_brightness_are_no_voids():
    rng = np.random.default_rng(2)
    shape = (40, 84, 40)
    volume = layered(shape, (16.0, 27.0, 38.0, 52.0), (0.3, 2, 1, 2, 1), radius=16)
    hole = np.indices(shape) - np.array([20.0, 45.0, 19.0])[:, None, None, None]
    inside = (hole**2).sum(axis=0) < 16
    assert len(voids(volume + noise(shape, 0.1, rng))["label"]) == 0
    volume[inside] = 0.0
    table = voids(gaussian_filter(volume, 0.5) + noise(shape, 0.1, rng))
    assert len(table["label"]) == 1
    assert abs(table["y_px"][0] - 45) < 0.5


def test_voids_below_a_threshold_and_inside_a_support():
    volume = porous(0.05, 3)
    body = ball((0, 0, 0), 26)
    expected = len(VOIDS)
    assert len(voids(volume, threshold=0.5)["label"]) == expected
    assert len(voids(volume, body, threshold=0.5, min_size=50)["label"]) == expected
    half = body.copy()
    half[:, :, : SHAPE[2] // 2] = False  # what the support leaves out cannot hold a void
    assert len(voids(volume, half)["label"]) < expected
    assert len(voids(volume, min_size=400)["label"]) == 2  # radii 5 and 6


@pytest.mark.parametrize("seed", range(3))
def test_particles_in_vacuum_and_inclusions_in_a_matrix(seed):
    rng = np.random.default_rng(seed)
    centres = {(0, 0, -14): 5.0, (12, 4, 9): 4.0, (-12, -10, 6): 6.0}
    alone = np.zeros(SHAPE)
    for centre, radius in centres.items():
        alone[ball(centre, radius)] = 1.0
    within = alone * 1.5 + ball((0, 0, 0), 27)
    for volume in (alone, within):
        data = gaussian_filter(volume, 0.9) + noise(SHAPE, 0.15, rng)
        table = particles(Volume(data=data.astype(np.float32), pixel_size=20.0))
        assert len(table["label"]) == 3
        order = np.argsort(table["volume_nm3"])
        true = np.array(sorted(centres.values())) * 4
        pull = (table["diameter_nm"][order] - true) / table["sigma_diameter_nm"][order]
        assert (np.abs(pull) < 2).all()
        assert (table["p_value"] < 1e-6).all()


def test_detect_puts_it_together():
    volume = Volume(data=porous(0.1, 5), pixel_size=12.0)
    shares = []
    defects = detect(volume, progress=shares.append)
    assert isinstance(defects, Defects)
    assert len(defects.layers["name"]) == 0
    assert len(defects.voids["label"]) == len(VOIDS)
    assert len(defects.particles["label"]) == 1
    assert shares[0] == 0.0
    assert shares[-1] == 1.0
    assert shares == sorted(shares)
    labels = defects.labels
    assert labels.dtype == np.int32
    for k, size in enumerate(defects.voids["voxels"]):
        assert (labels == -(k + 1)).sum() == size
    # What counts as void inside the particle is not labelled as particle too.
    assert 0 <= defects.particles["voxels"][0] - (labels == 1).sum() <= (labels < 0).sum()
    assert set(np.unique(labels)) == {-4, -3, -2, -1, 0, 1}
    assert len(defects.notes) == 3
    again = detect(volume, threads=1)
    np.testing.assert_array_equal(again.labels, labels)
    for name, column in defects.voids.items():
        np.testing.assert_array_equal(again.voids[name], column)


def test_detect_in_a_layered_specimen_leaves_particles_to_the_layers():
    shape = (40, 64, 40)
    volume = layered(shape, (14.0, 26.0, 40.0, 50.0), (1, 2, 1, 2, 1), radius=16)
    volume = (volume + noise(shape, 0.1, np.random.default_rng(0))).astype(np.float32)
    defects = detect(Volume(data=volume, pixel_size=10.0))
    assert defects.layers["complete"].sum() == 3
    assert len(defects.particles.get("label", ())) == 0
    assert any("not looked for" in note for note in defects.notes)
    chosen = detect(Volume(data=volume), DetectSettings(particle_threshold=1.5, layers=False))
    assert len(chosen.particles["label"]) == 2
    assert chosen.layers == {}


@pytest.mark.parametrize(
    "data", [np.zeros((1, 1, 1)), np.full((6, 7, 8), 3.0), np.ones((1, 9, 9)), np.eye(12)[None]]
)
def test_little_volumes_have_little_in_them(data):
    defects = detect(Volume(data=data))
    assert len(defects.voids["label"]) == 0
    assert len(defects.layers["name"]) == 0
    assert defects.labels.shape == data.shape
    assert all(math.isfinite(v) for v in defects.thresholds.values())


def test_a_constant_volume_and_a_threshold_beyond_the_values():
    assert len(particles(np.ones((5, 5, 5)))["label"]) == 0
    assert len(particles(porous(0.1, 1), threshold=50.0)["label"]) == 0
    assert len(particles(porous(0.1, 1), threshold=-50.0)["label"]) == 0
    assert len(voids(porous(0.1, 1), threshold=-50.0)["label"]) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v: particles(v, math.nan), "threshold: found nan"),
        (lambda v: particles(v, alpha=0.0), "alpha: found 0.0"),
        (lambda v: voids(v, threshold=math.inf), "threshold: found inf"),
        (lambda v: voids(v, min_contrast=2.0), "min_contrast: found 2.0"),
        (lambda v: voids(v, np.ones((2, 2, 2), bool)), "support: found shape"),
        (lambda v: voids(v * np.nan), "volume: found 60 NaN"),
        (lambda v: detect(Volume(data=v * np.nan)), "volume: found 60 NaN"),
    ],
)
def test_refuses_by_name(call, message):
    with pytest.raises(InputError, match=message):
        call(np.ones((3, 4, 5)))


def test_settings_name_the_typo_and_the_range():
    with pytest.raises(ConfigError, match="did you mean 'void_contrast'"):
        DetectSettings(void_contrats=0.1)
    with pytest.raises(ConfigError, match="alpha: found 2"):
        DetectSettings(alpha=2.0)


def test_detect_can_be_cancelled():
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        detect(Volume(data=porous(0.1, 1)), cancel=token)
