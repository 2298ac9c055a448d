# SPDX-License-Identifier: BSD-3-Clause
"""The axis of a tube, its cross-section, and how many columns make its wall."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from tube_phantoms import tube

from cryolith import InputError, Volume
from cryolith.detect import count_columns, cross_section, tube_axis
from cryolith.detect.cross_sections import sample


@pytest.fixture(scope="module")
def wedged():
    """13 columns, seen within +-60 degrees, in noise as strong as a column."""
    data, truth = tube(13, tilt_deg=60, elongation=1.08, seed=1)
    volume = Volume(data=data, pixel_size=10.0)
    axis = tube_axis(volume, radius_px=15)
    return volume, truth, axis, cross_section(volume, axis, radius_px=16)


def test_samples_are_scipys(rng):
    volume = rng.normal(size=(5, 6, 7))
    places = rng.uniform(-1, 7, (200, 3))
    places[:3] = [[4, 5, 6], [0, 0, 0], [4, 0, 3.5]]
    inside = ((places >= 0) & (places <= [4, 5, 6])).all(axis=1)
    got = sample(volume, places)
    assert np.array_equal(np.isfinite(got), inside)
    expected = ndimage.map_coordinates(volume, places[inside].T, order=1)
    # Eight products of three factors and their sum: some 20 roundings of numbers up to the largest.
    assert np.abs(got[inside] - expected).max() < 20 * np.spacing(np.abs(volume).max())
    flat = rng.normal(size=(1, 6, 7))
    assert sample(flat, np.array([0, 2.0, 3.0])) == flat[0, 2, 3]


def test_the_axis_and_its_error(wedged):
    _, truth, axis, _ = wedged
    off = np.degrees(np.arccos(min(1.0, axis.direction @ truth["direction"])))
    assert off < 4 * axis.sigma_direction_deg < 2.0
    away = truth["centre_px"] - axis.point_px
    across = away - axis.direction * (away @ axis.direction)
    assert np.linalg.norm(across) < 4 * np.linalg.norm(axis.sigma_point_px) + 0.3
    first, second = axis.across
    assert np.allclose([first @ second, first @ axis.direction, second @ axis.direction], 0)


def test_rows_run_along_z_and_columns_along_x(wedged):
    _, _, axis, _ = wedged
    first, second = axis.across
    assert first[0] > 0.9
    assert second[2] > 0.9


def test_the_section_is_the_mean_along_the_axis():
    data, _ = tube(12, direction=(0, 1, 0), centre_px=(20, 47.5, 36), noise=0.0)
    volume = Volume(data=data)
    axis = tube_axis(volume)
    assert np.allclose(axis.point_px, [20, 47.5, 36], atol=1e-3)
    section = cross_section(volume, axis, radius_px=10, stretches=4)
    assert section.length_px == 92
    expected = data[10:31, 47, 26:47]
    assert np.abs(section.image - expected).max() < 2e-3 * data.max()
    unrolled = section.unrolled([0.0, 4.0], 4)
    assert np.allclose(unrolled[0], section.image[10, 10])
    assert np.allclose(unrolled[1], section.image[[14, 10, 6, 10], [10, 14, 10, 6]])


def test_the_wedge_shows_in_the_power(wedged):
    *_, section = wedged
    tilts, power = section.power_by_tilt()
    level = np.median(power[np.abs(tilts) < 55])
    assert (power[np.abs(tilts) > 70] < 0.1 * level).all()
    assert (power[np.abs(tilts) < 50] > 0.2 * level).all()


@pytest.mark.parametrize(("n", "elongation"), [(11, 1.0), (13, 1.08), (14, 1.15)])
def test_columns_are_counted_through_the_wedge(n, elongation):
    data, truth = tube(n, tilt_deg=60, elongation=elongation, seed=n)
    axis = tube_axis(data, radius_px=16)
    section = cross_section(data, axis, radius_px=17)
    found = count_columns(
        section, range(n - 2, n + 4), radius_px=truth["radius_px"] + 0.7, tilts_deg=(-60, 60)
    )
    assert found.best == n
    assert found.margin > 3 * found.sigma_margin > 0
    assert (found.votes == n).all()
    assert found.unit == "px"
    assert abs(found.spacing - truth["spacing_px"]) < 5 * found.sigma_spacing + 0.02
    assert abs(found.radius - truth["radius_px"]) < 5 * found.sigma_radius + 0.1
    assert abs(found.elongation - elongation) < 0.05
    assert found.places_px.shape == (n, 2)


def test_lengths_are_nanometres_where_the_pixel_is_known(wedged):
    *_, section = wedged
    found = count_columns(section, [12, 13], radius_px=10.8, tilts_deg=(-60, 60))
    assert found.best == 13
    assert found.unit == "nm"
    assert found.spacing == pytest.approx(5.2, abs=0.1)


def test_a_wall_without_columns_has_none():
    data, truth = tube(60, spacing_px=1.2, contrast=0.5, seed=3)  # columns far below the resolution
    section = cross_section(data, tube_axis(data), radius_px=16)
    found = count_columns(section, range(11, 15), radius_px=truth["radius_px"])
    assert found.best == 0
    assert (found.gain < 0).all()
    assert found.places_px.shape == (0, 2)


def test_the_same_bytes_again(wedged):
    volume, _, axis, section = wedged
    again = cross_section(volume, tube_axis(volume, radius_px=15), radius_px=16)
    assert np.array_equal(again.stretches, section.stretches)
    assert axis.point_px.flags.writeable


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"radius_px": 40.0}, "radius_px: found 40.0"),
        ({"counts": [1, 5]}, "counts: found [1, 5]"),
        ({"counts": []}, "counts: found []"),
        ({"tilts_deg": (60, -60)}, "tilts_deg: found (60, -60)"),
        ({"tilts_deg": (0, 1)}, "frequencies within tilts_deg"),
        ({"resolution_px": 1.0}, "resolution_px: found 1.0"),
    ],
)
def test_bad_questions(wedged, more, words):
    *_, section = wedged
    with pytest.raises(InputError) as caught:
        count_columns(section, **({"radius_px": 11.0} | more))
    assert words in str(caught.value)


def test_bad_tubes(wedged):
    volume, _, axis, _ = wedged
    for call, words in (
        (lambda: tube_axis(np.full((4, 4, 4), np.nan)), "NaN"),
        (lambda: tube_axis(volume, blur_px=0), "blur_px, radius_px: found 0 and 16"),
        (lambda: cross_section(volume, axis, radius_px=1), "found 1 and 6"),
        (lambda: cross_section(volume, axis, stretches=80), "expected at least 160"),
        (lambda: cross_section(volume, axis).unrolled([99.0]), "radii_px: found [99.0]"),
        (
            lambda: count_columns(cross_section(volume, axis, stretches=1), radius_px=11),
            "found 1 stretch",
        ),
    ):
        with pytest.raises(InputError) as caught:
            call()
        assert words in str(caught.value)
