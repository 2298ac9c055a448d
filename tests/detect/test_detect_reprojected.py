# SPDX-License-Identifier: BSD-3-Clause
"""Iterative volumes are searched as the back-projection of their own projections, in a larger box."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

from cryolith.detect import blobs
from cryolith.detect._filter_bank import make_bank
from cryolith.detect._gaussian_blobs import gaussian_blobs
from cryolith.detect._reprojected import Reprojected, reprojects
from cryolith.detect._spectrum import Spectra
from cryolith.projection import Geometry, project
from cryolith.reconstruct import Halves, cgls, sirt, wbp

N, PAD, WIDTH = 40, 8, 68
ANGLES = np.arange(-60.0, 61.0, 4.0)
GEOMETRY = Geometry.single_axis(ANGLES)
SIRT = functools.partial(sirt, n_iter=6, lower=-np.inf)


def halves_of(images: np.ndarray) -> Halves:
    found: Halves = SIRT(images, GEOMETRY, shape=(N, N, N), halves="tilts", whole=False, threads=1)
    return found


def test_it_is_the_back_projection_of_the_projections(rng: np.random.Generator) -> None:
    images = rng.standard_normal((len(ANGLES), N, WIDTH), dtype=np.float32)
    halves = halves_of(images)
    whole, again = Reprojected(SIRT, PAD).of(halves, GEOMETRY, (N, WIDTH), threads=1)
    assert whole is None
    assert again is not None
    total = np.zeros((len(ANGLES), N, WIDTH), np.float32)
    for half, index in zip((halves.first, halves.second), halves.index, strict=True):
        total[index] = project(half, GEOMETRY, (N, WIDTH), threads=1)[index]
    box = (N + 2 * PAD, N, N + 2 * PAD)
    wanted = wbp(total, GEOMETRY, filter="ramp", shape=box, threads=1)
    assert np.abs(again.first + again.second - wanted).max() < 1e-5 * np.abs(wanted).max()
    # As a solver it makes the same of the images themselves.
    made: Any = Reprojected(SIRT, PAD)(
        images, GEOMETRY, shape=box, halves="tilts", whole=False, threads=1
    )
    np.testing.assert_array_equal(made.first, again.first)


def test_only_iterative_volumes_whose_images_are_known_are_projected_again() -> None:
    halves = halves_of(np.zeros((len(ANGLES), N, WIDTH), np.float32))
    assert reprojects(SIRT, GEOMETRY, halves)
    assert reprojects(cgls, GEOMETRY, None)
    assert not reprojects(wbp, GEOMETRY, halves)
    assert not reprojects(SIRT, None, halves)
    assert not reprojects(SIRT, GEOMETRY, (halves.first, halves.second))
    other = Halves(
        first=halves.first,
        second=halves.second,
        full=halves.full,
        split="tilts",
        index=(halves.index[0][:-1], halves.index[1]),
    )
    assert not reprojects(SIRT, GEOMETRY, other)


def test_uneven_noise_makes_the_mean_of_what_its_levels_make() -> None:
    spectra = Spectra((N, N, N), 1, None)
    sizes = np.array([1.5, 2.0, 3.0])
    power, reference = (np.ones(spectra.terms, np.float32) for _ in range(2))
    bank = make_bank(spectra, reference, sizes, power, "log")
    apart = [bank.expected_maxima(4.0 / level, 1000) for level in (0.9, 1.1)]
    bank.levels = np.array([0.9, 1.1])
    assert bank.expected_maxima(4.0, 1000) == pytest.approx(np.mean(apart))


@pytest.mark.parametrize("halved", [True, False])
def test_places_and_heights_are_those_of_the_volume(halved: bool, rng: np.random.Generator) -> None:
    places = np.array([[14.2, 12.5, 24.0], [25.0, 28.3, 15.5]])
    sizes, heights = np.array([2.0, 2.5]), np.array([1.0, -0.8])
    volume = gaussian_blobs((N, N, N), places, sizes, heights)
    images = project(volume, GEOMETRY, (N, WIDTH), threads=1)
    images += 0.4 * rng.standard_normal(images.shape, dtype=np.float32)
    found = blobs(
        None if halved else SIRT(images, GEOMETRY, shape=(N, N, N), threads=1),
        sizes=[1.5, 2.0, 2.7, 3.5],
        halves=halves_of(images) if halved else None,
        geometry=GEOMETRY,
        image_shape=(N, WIDTH),
        solve=SIRT,
        margin=6,
        injections=0,
        threads=1,
    )
    assert any("projections of the volume" in note for note in found.notes)
    table = found.table
    order = np.argsort(-table["amplitude"])
    assert len(order) == 2
    at = np.stack([table[f"{a}_px"] for a in "zyx"], axis=1)[order]
    assert np.abs(at - places).max() < 0.6
    np.testing.assert_allclose(table["amplitude"][order], heights, rtol=0.15)
