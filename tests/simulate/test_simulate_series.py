# SPDX-License-Identifier: BSD-3-Clause
"""The sign of every angle, mass, noise and errors of simulated tilt series."""

from __future__ import annotations

import numpy as np
import pytest

import cryolith
from cryolith import simulate
from cryolith.simulate import Phantom, ellipsoid

ANGLES = np.array([-60.0, -25.0, 0.0, 10.0, 45.0, 70.0])


def centroid(image):
    """(row, column) of the centre of mass, from the centre of the image."""
    rows, columns = np.indices(image.shape)
    at = np.array([(image * rows).sum(), (image * columns).sum()]) / image.sum()
    return at - (np.array(image.shape) - 1) / 2.0


# One voxel at (z, y, x) px from the centre, worked out by hand from docs/conventions.md with cos 30 = 0.8660:
# u = x cos(theta) + z sin(theta), v = y; column = u cos(psi) - v sin(psi), row = u sin(psi) + v cos(psi).
BY_HAND = [
    # z, y, x, theta, psi, row, column
    (0, 0, 8, 0, 0, 0.0, 8.0),
    (0, 6, 0, 0, 0, 6.0, 0.0),
    (8, 0, 0, 30, 0, 0.0, 4.0),  # positive tilt turns +z towards +x of the image
    (8, 0, 0, -30, 0, 0.0, -4.0),
    (0, 0, 8, 60, 0, 0.0, 4.0),
    (8, 6, 0, 30, 90, 4.0, -6.0),
    (0, 6, 8, 0, 90, 8.0, -6.0),
    (8, 6, 0, 30, 30, 7.1962, 0.4641),
    (0, 6, 8, 60, -30, 3.1962, 6.4641),
    (8, 6, 0, 30, 180, -6.0, -4.0),
]


@pytest.mark.parametrize(("z", "y", "x", "theta", "psi", "row", "column"), BY_HAND)
@pytest.mark.parametrize("shape", [(33, 33, 33), (32, 34, 36)], ids=["odd", "even"])
def test_a_bright_voxel_lands_where_the_conventions_say(z, y, x, theta, psi, row, column, shape):
    centre = (np.array(shape) - 1) / 2.0
    index = np.floor(np.array([z, y, x]) + centre).astype(int)
    volume = np.zeros(shape)
    volume[tuple(index)] = 1.0
    z, y, x = index - centre  # half a pixel off the round numbers where the extent is even
    series, _ = simulate.tilt_series(volume, [theta], tilt_axis_deg=psi, image_shape=(41, 41))
    t, p = np.deg2rad([theta, psi])
    u = x * np.cos(t) + z * np.sin(t)
    expected = (u * np.sin(p) + y * np.cos(p), u * np.cos(p) - y * np.sin(p))
    if shape[0] % 2:
        np.testing.assert_allclose(expected, (row, column), atol=1e-4)
    # The hat function of one voxel sampled on a turned grid has its centre of mass off by 0.04 px in the
    # median, 0.085 px at most over 150 random places and angles.
    np.testing.assert_allclose(centroid(series.images[0]), expected, atol=0.1)


@pytest.mark.parametrize("psi", [0.0, 90.0, 30.0, -147.0])
def test_a_ball_moves_with_shift_rotation_and_offset(psi):
    at = np.array([5.0, -4.0, 7.0])
    ball = Phantom(shape=(48, 48, 48), solids=(ellipsoid(1.0, at, (5.0, 5.0, 5.0)),))
    shifts = np.array([[1.5, -2.25], [0.0, 3.0], [-1.0, 0.5]])
    theta = np.array([-40.0, 0.0, 65.0])
    series, truth = simulate.tilt_series(
        ball, theta, tilt_axis_deg=psi, shifts_px=shifts, rotations_deg=[2.0, 0.0, -3.0],
        axis_offset_px=1.25, image_shape=(50, 57),
    )  # fmt: skip
    for i, image in enumerate(series.images):
        t, p = np.deg2rad([theta[i], psi + truth.rotations_deg[i]])
        u = at[2] * np.cos(t) + at[0] * np.sin(t) + 1.25
        v = at[1]
        expected = (
            np.array([u * np.sin(p) + v * np.cos(p), u * np.cos(p) - v * np.sin(p)]) + shifts[i]
        )
        # The 2 x 2 rays a pixel sample the ball's rim: at most 0.008 px over 150 random cases.
        np.testing.assert_allclose(centroid(image), expected, atol=0.015)
    assert truth.tilt_axis_deg == psi
    np.testing.assert_array_equal(truth.shifts_px, shifts)
    assert series.images.shape == (3, 50, 57)
    assert series.tilt_axis_deg is None


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sampled", [False, True])
def test_a_ball_moves_with_x_tilt_and_magnification(seed, sampled):
    rng = np.random.default_rng(seed)
    at = rng.uniform(-6, 6, 3)
    ball = Phantom(shape=(41, 43, 45), solids=(ellipsoid(1.0, at, (5.0, 5.0, 5.0)),))
    theta, alpha = rng.uniform(-60, 60, 3), rng.uniform(-25, 25, 3)
    m, turn = rng.uniform(0.85, 1.15, 3), rng.uniform(-5, 5, 3)
    shifts = rng.normal(0, 2, (3, 2))
    volume = ball.volume if sampled else ball
    series, truth = simulate.tilt_series(
        volume, theta, tilt_axis_deg=71.0, shifts_px=shifts, rotations_deg=turn, axis_offset_px=1.5,
        x_tilts_deg=alpha, magnifications=m, image_shape=(60, 57),
    )  # fmt: skip
    for i, image in enumerate(series.images):
        t, a, p = np.deg2rad([theta[i], alpha[i], 71.0 + turn[i]])
        z, y, x = at
        v = y * np.cos(a) - z * np.sin(a)
        u = x * np.cos(t) + (y * np.sin(a) + z * np.cos(a)) * np.sin(t) + 1.5
        expected = m[i] * np.array([u * np.sin(p) + v * np.cos(p), u * np.cos(p) - v * np.sin(p)])
        # A ball cut into voxels has its own centre of mass: 0.02 px off at most.
        bound = 0.03 if sampled else 0.015
        np.testing.assert_allclose(centroid(image), expected + shifts[i], atol=bound)
        # The line integral counts pixels of the specimen: the image of a ball is m^2 times as large.
        mass = 4 / 3 * np.pi * 125
        np.testing.assert_allclose(image.sum(), m[i] ** 2 * mass, rtol=0.02)
    np.testing.assert_array_equal(truth.magnifications, m)


def test_chords_of_a_ball_are_those_of_the_formula():
    radius = 10.0
    ball = Phantom(shape=(31, 31, 31), solids=(ellipsoid(2.0, (0, 0, 0), (radius,) * 3),))
    series, _ = simulate.tilt_series(ball, ANGLES, tilt_axis_deg=33.0)
    quarter = (np.arange(62) / 2.0) - 15.25
    distance2 = quarter[:, None] ** 2 + quarter**2
    chord = 4.0 * np.sqrt(np.maximum(radius**2 - distance2, 0.0))
    expected = chord.reshape(31, 2, 31, 2).mean(axis=(1, 3))
    middle = np.s_[8:23, 8:23]  # away from the rim the four rays hardly care how the grid is turned
    for image in series.images:
        np.testing.assert_allclose(image[middle], expected[middle], rtol=5e-3)
    np.testing.assert_allclose(series.images[2].sum(), 2.0 * 4 / 3 * np.pi * radius**3, rtol=2e-3)


@pytest.mark.parametrize("seed", range(4))
def test_every_tilt_holds_the_whole_mass(seed):
    phantom = simulate.particle((40, 44, 48), seed)
    exact, _ = simulate.tilt_series(phantom, ANGLES, tilt_axis_deg=20.0, image_shape=(48, 48))
    sampled, _ = simulate.tilt_series(
        phantom.volume, ANGLES[::2], tilt_axis_deg=20.0, image_shape=(48, 48)
    )
    # Largest deviation over seeds 0..19: 0.24 % (rims of small ellipsoids); sampled, 0.03 %.
    np.testing.assert_allclose(exact.images.sum(axis=(1, 2)), phantom.truth["mass"], rtol=5e-3)
    np.testing.assert_allclose(
        sampled.images.sum(axis=(1, 2)), phantom.volume.sum(dtype=np.float64), rtol=1e-3
    )


def test_exact_and_sampled_projections_agree():
    phantom = simulate.particle((48, 48, 48), seed=3)
    exact, _ = simulate.tilt_series(phantom, ANGLES[::2], tilt_axis_deg=-70.0)
    sampled, _ = simulate.tilt_series(phantom.volume, ANGLES[::2], tilt_axis_deg=-70.0)
    difference = exact.images - sampled.images
    # The trilinear samples blur by a voxel; 3 to 4 % of the contrast for this phantom.
    assert difference.std() < 0.06 * exact.images.std()


def test_the_handed_figure_shows_its_hand():
    phantom = simulate.chiral((48, 48, 48))
    volume = phantom.volume
    series, _ = simulate.tilt_series(phantom, [0.0, 90.0, -90.0], tilt_axis_deg=0.0)
    flat = volume.sum(axis=0)
    np.testing.assert_allclose(series.images[0], flat, atol=1e-5)
    # theta = 90: u = z; theta = -90: u = -z.
    np.testing.assert_allclose(series.images[1], volume.sum(axis=2).T, atol=1e-5)
    np.testing.assert_allclose(series.images[2], volume.sum(axis=2).T[:, ::-1], atol=1e-5)
    mirrored, _ = simulate.tilt_series(volume[::-1], [90.0])
    assert np.abs(mirrored.images[0] - series.images[1]).max() > 1.0


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_poisson_with_the_dose_asked_for(seed):
    phantom = simulate.particle((32, 64, 64), seed=1)
    clean, _ = simulate.tilt_series(phantom, [0.0, 40.0], background=2.0)
    dose = 50.0
    noisy, _ = simulate.tilt_series(
        phantom, [0.0, 40.0], background=2.0, dose_per_pixel=dose, seed=seed
    )
    gain = dose / clean.images.mean(dtype=np.float64)
    expected = clean.images * gain
    counts = noisy.images * gain
    assert np.abs(counts - np.round(counts)).max() < 1e-3  # whole electrons
    chi2 = ((counts - expected) ** 2 / expected).mean()
    # chi2 of n Poisson counts has variance (2 + 1/expected) / n: four standard deviations.
    assert abs(chi2 - 1.0) < 4.0 * np.sqrt((2.0 + (1.0 / expected).mean()) / expected.size)
    assert abs(counts.mean() - dose) < 4.0 * np.sqrt(dose / counts.size)


def test_same_seed_same_bytes_and_inputs_untouched(rng):
    volume = rng.random((8, 9, 10))
    before = volume.copy()
    a, _ = simulate.tilt_series(volume, [0, 30], dose_per_pixel=5.0, seed=7)
    b, _ = simulate.tilt_series(volume, [0, 30], dose_per_pixel=5.0, seed=7)
    c, _ = simulate.tilt_series(volume, [0, 30], dose_per_pixel=5.0, seed=8)
    assert a.images.tobytes() == b.images.tobytes() != c.images.tobytes()
    np.testing.assert_array_equal(volume, before)
    assert a.images.dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"dose_per_pixel": -1.0}, "dose_per_pixel"),
        ({"dose_per_pixel": 10.0, "background": -100.0}, "background"),
        ({"shifts_px": np.zeros((3, 2))}, "shifts_px"),
        ({"rotations_deg": [0.0]}, "rotations_deg"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments, words):
    with pytest.raises(cryolith.InputError, match=words):
        simulate.tilt_series(np.ones((4, 4, 4)), [0.0, 1.0], **arguments)
