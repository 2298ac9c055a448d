# SPDX-License-Identifier: BSD-3-Clause
"""Beads: placed as well as their noise allows, found where there are some, and taken out again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bead_cases import ANGLES, AXIS, DIAMETER, EDGE, aligned, bead_case
from specimens import without_gauge

from cryolith import Alignment, TiltSeries, files
from cryolith.align import AlignSettings, align_tilt_series, remove_beads
from cryolith.align.beads import ProfileSums, fit_spots
from cryolith.align.beads_profile import Noise, Profile, measure_noise
from cryolith.align.beads_series import _linked, align_on_beads
from cryolith.align.bundle import View, project_points
from cryolith.align.tracks import find_tracks
from cryolith.errors import InputError
from cryolith.reconstruct import sirt


def test_noise_is_measured_by_brightness() -> None:
    rng = np.random.default_rng(0)
    expected = np.linspace(5, 100, 200)[None, :, None] * np.ones((3, 200, 200))
    images = rng.poisson(expected) + rng.normal(0, 4, expected.shape)
    noise = measure_noise(images.astype(np.float32))
    assert noise.slope == pytest.approx(1.0, rel=0.1)
    assert noise.variance(np.array([50.0]))[0] == pytest.approx(66.0, rel=0.1)


def test_places_are_as_good_as_the_noise_allows() -> None:
    rng = np.random.default_rng(1)
    profile, k = Profile.soft_disc(6.0), 60
    truth = np.arange(k)[:, None] * 40.0 % 400 + 20 + rng.uniform(-0.5, 0.5, (k, 2))
    truth[:, 0] = np.arange(k) // 10 * 40 + 20 + rng.uniform(-0.5, 0.5, k)
    y, x = np.mgrid[:260, :420].astype(np.float64)
    expected = np.full(y.shape, 20.0)
    for place in truth:
        expected += 15 * profile.at(np.hypot(y - place[0], x - place[1]))
    image = rng.poisson(expected).astype(np.float32)
    fits = fit_spots(image, np.rint(truth) + 1, profile, Noise(0.0, 1.0))
    z = (fits.places - truth) / fits.sigma[:, None]
    assert 0.8 < np.sqrt(np.mean(z**2)) < 1.2  # 120 numbers: 6.5 %, three times
    assert 0.9 < fits.misfit.mean() < 1.1
    assert np.abs(fits.shape.mean(axis=0)).max() < 0.02


@pytest.mark.parametrize("opaque", [False, True])
def test_beads_at_a_border_and_beside_others_are_placed_on_what_shows_them_alone(
    opaque: bool,
) -> None:
    rng = np.random.default_rng(2)
    profile, k = Profile.soft_disc(6.0), 60
    y, x = np.mgrid[:40, :60].astype(np.float64)
    away, z = np.array([0.0, 13.0]), []
    for _ in range(k):
        truth = np.array([4.5, 25.0]) + rng.uniform(-0.5, 0.5, 2)  # a quarter of its radius is cut
        seen = [profile.at(np.hypot(y - p[0], x - p[1])) for p in (truth, truth + away)]
        expected = (
            20 * np.prod([1 - 0.9 * a for a in seen], axis=0) if opaque else 5 + 15 * sum(seen)
        )
        image = rng.poisson(expected).astype(np.float32)
        start, others = np.rint(truth)[None], (truth + away)[None, None]
        fits = fit_spots(image, start, profile, Noise(0.0, 1.0), others=others)
        z.append((fits.places[0] - truth) / fits.sigma[0])
    # 60 numbers: 9 %, three times.
    assert (np.abs(np.sqrt(np.mean(np.square(z), axis=0)) - 1) < 0.28).all()
    assert (np.abs(np.mean(z, axis=0)) < 3 / np.sqrt(k)).all()


def test_a_profile_that_no_bead_tells_stays_as_it_was() -> None:
    profile, noise = Profile.soft_disc(6.0), Noise(0.0, 1.0)
    image = np.random.default_rng(3).poisson(20, (60, 60)).astype(np.float32)
    sums = ProfileSums(profile, noise)
    sums.add(image, fit_spots(image, np.array([[30.0, 30.0]]), profile, noise), np.zeros(1, bool))
    np.testing.assert_array_equal(sums.solved().values, profile.values)


@pytest.mark.parametrize("kind", ["particle", "slab"])
def test_a_series_with_beads_is_aligned_on_them(kind: str) -> None:
    case, found = aligned(kind)
    assert found.beads is not None
    assert found.sigma_shifts_px is not None
    assert 6 <= len(found.beads.points_px) <= 8
    assert found.beads.diameter_px == pytest.approx(DIAMETER, abs=2)
    across, along = without_gauge(found.shifts_px - case.shifts_px, ANGLES, AXIS)
    rms = float(np.sqrt(np.mean(across**2 + along**2)))
    stated = float(np.sqrt(np.mean(np.sum(found.sigma_shifts_px**2, axis=1))))
    assert rms < 0.1
    assert 0.5 < rms / stated < 1.6
    assert abs(found.tilt_axis_deg - AXIS) < 0.1
    assert not found.flags


def test_a_tilt_with_one_bead_is_left_out() -> None:
    """One bead fits any shift exactly, also where it is another one than those of the other tilts."""
    case = bead_case("particle")
    images, at = case.images.copy(), 4
    y, x = np.indices(images[at].shape)
    row, column = np.unravel_index((images[at] - case.bare[at]).argmax(), images[at].shape)
    around = np.hypot(y - row, x - column) < DIAMETER
    noise = np.random.default_rng(5).poisson(case.bare[at])
    images[at] = np.where(around, images[at], noise)
    series = TiltSeries(images=images, angles_deg=ANGLES, tilt_axis_deg=AXIS, pixel_size=5.0)
    found = align_tilt_series(series, settings=AlignSettings(beads="yes"), threads=1)
    assert dict(found.flags) == {at: "fewer than two beads were found in it"}


def test_beads_have_their_places_in_the_volume() -> None:
    case, found = aligned("particle")
    assert found.beads is not None
    # The origin is the specimen's middle, not that of the truth: compare places from their mean.
    mine, true = found.beads.points_px, case.beads[:, ::-1]
    away = np.linalg.norm(mine[:, None] - mine[None], axis=-1)
    expected = np.linalg.norm(true[:, None] - true[None], axis=-1)
    for row in away:
        nearest = np.abs(np.sort(row)[1] - expected).min()
        assert nearest < 0.3


def test_no_beads_means_none_found() -> None:
    case = bead_case("particle", count=0)
    series = TiltSeries(images=case.images, angles_deg=ANGLES)
    with pytest.raises(InputError, match="beads: found too few"):
        align_tilt_series(series, settings=AlignSettings(beads="yes"), threads=1)


def test_a_known_diameter_needs_a_pixel_size() -> None:
    case = bead_case("particle")
    series = TiltSeries(images=case.images, angles_deg=ANGLES)
    with pytest.raises(InputError, match="bead_diameter"):
        align_tilt_series(series, settings=AlignSettings(bead_diameter="5 nm"), threads=1)
    fit, _ = align_on_beads(
        lambda i: case.images[i],
        ANGLES,
        (EDGE, EDGE),
        diameter_px=10.0,
        least=5,
        max_shift=None,
        stopped=lambda: None,
    )
    assert fit is not None
    assert fit.diameter_px == pytest.approx(DIAMETER, abs=2)


def test_the_file_keeps_the_beads(tmp_path: Path) -> None:
    _, found = aligned("particle")
    files.write_alignment(tmp_path / "a.json", found)
    again = files.read_alignment(tmp_path / "a.json")
    assert found.beads is not None
    assert again.beads is not None
    for name in ("points_px", "residuals_px", "left_out_px", "weights", "diameter_px"):
        np.testing.assert_array_equal(getattr(again.beads, name), getattr(found.beads, name))


def near_beads(found: Alignment, shape: tuple[int, int, int]) -> np.ndarray:
    assert found.beads is not None
    grid = np.stack(np.mgrid[: shape[0], : shape[1], : shape[2]], axis=-1)
    grid = grid - (np.array(shape) - 1) / 2
    away = np.min([np.linalg.norm(grid - p, axis=-1) for p in found.beads.points_px], axis=0)
    return (away > DIAMETER) & (away < 2.5 * DIAMETER)


def test_reconstructions_near_beads_improve_without_them() -> None:
    case, found = aligned("particle")
    series = TiltSeries(images=case.images, angles_deg=ANGLES)
    level = float(case.bare.min())
    near = near_beads(found, (64, EDGE, EDGE))

    def volume(images: np.ndarray) -> np.ndarray:
        return sirt(images - level, found, thickness=64, n_iter=10, threads=1)

    truth = volume(case.bare.astype(np.float32))
    errors = {"beads": volume(series.images) - truth}
    for how in ("inpaint", "mask"):
        errors[how] = volume(remove_beads(series, found, how=how).images) - truth
    rms = {name: float(np.sqrt(np.mean(e[near] ** 2))) for name, e in errors.items()}
    assert rms["inpaint"] < 0.5 * rms["beads"]
    assert rms["mask"] < 0.5 * rms["beads"]


def test_removal_leaves_the_rest_and_looks_like_it() -> None:
    case, found = aligned("slab")
    series = TiltSeries(images=case.images, angles_deg=ANGLES)
    masked = remove_beads(series, found, how="mask").images
    filled = remove_beads(series, found).images
    hidden = np.isnan(masked)
    np.testing.assert_array_equal(filled[~hidden], case.images[~hidden])
    difference = (filled - case.bare)[hidden]
    noise = (case.images - case.bare)[~hidden & (case.images > 0.7 * case.bare)]
    assert abs(difference.mean()) < 0.2 * noise.std()
    assert difference.std() == pytest.approx(noise.std(), rel=0.25)
    np.testing.assert_array_equal(filled, remove_beads(series, found).images)


def test_removal_refuses_what_it_cannot_do() -> None:
    case, found = aligned("slab")
    series = TiltSeries(images=case.images, angles_deg=ANGLES)
    with pytest.raises(InputError, match="without beads"):
        remove_beads(series, replace(found, beads=None))
    with pytest.raises(InputError, match="how"):
        remove_beads(series, found, how="erase")  # type: ignore[arg-type]
    short = TiltSeries(images=case.images[1:], angles_deg=ANGLES[1:])
    with pytest.raises(InputError, match="20 images"):
        remove_beads(short, found)


def test_beads_on_both_faces_of_a_thick_film_are_tracked() -> None:
    """The faces part by the tilt, and steps between neighbours look alike for every direction of the axis."""
    rng = np.random.default_rng(2)
    angles, shape = np.arange(-60.0, 61.0, 3.0), (128, 128)
    points = rng.uniform(-56, 56, (14, 3))
    points[:, 0] = 33.0 * (-1.0) ** np.arange(14)
    walk = np.cumsum(rng.normal(0, 1.5, (len(angles), 2)), axis=0)
    seen = project_points(View.simple(angles, 3.0, walk - walk[20]), points)
    inside = (np.abs(seen) < 63).all(axis=-1)
    spots = [places[use] for places, use in zip(seen, inside, strict=True)]
    found = find_tracks(spots, angles, shape, 16.0)
    assert found is not None
    assert abs((found.view.tilt_axis_deg - 3.0 + 90) % 180 - 90) < 0.1
    assert (found.weights > 0).sum() > 0.95 * inside.sum()


def test_images_that_share_no_beads_are_not_one_series() -> None:
    """Either half would be fitted exactly, 12 px from the other."""
    places = np.zeros((10, 9, 2))
    places[:6, 5:], places[6:, :5] = np.nan, np.nan
    places[5, 4:] = 0  # one bead of the first five, and those of the second half
    places[5, :4] = np.nan
    kept_places, kept = _linked(places, np.ones(9, bool))
    assert kept.tolist() == [True] * 5 + [False] * 4
    np.testing.assert_array_equal(
        np.isfinite(kept_places).all(axis=(1, 2)), [True] * 5 + [False] * 5
    )
