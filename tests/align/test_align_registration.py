# SPDX-License-Identifier: BSD-3-Clause
"""Shifts between images: right, with honest errors, and refused where there is nothing to compare."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from reference import registration as reference
from scenes import Scene

from cryolith.align import register
from cryolith.align.registration import register_pairs
from cryolith.errors import InputError


def test_sign_and_value_of_a_known_shift() -> None:
    scene = Scene(1)
    found = register(scene.view((0, 0)), scene.view((3.3, -7.6)))
    # Measured over 20 seeds the largest error of a component is 0.03 px (content enters at the edges).
    np.testing.assert_allclose(found.shift_px, [3.3, -7.6], atol=0.06)
    assert found.peak > 0.9
    back = register(scene.view((3.3, -7.6)), scene.view((0, 0)))
    np.testing.assert_allclose(back.shift_px, -found.shift_px, atol=0.02)


@pytest.mark.parametrize("dose", [20, 200])
def test_errors_are_as_large_as_stated(dose: float) -> None:
    z = []
    for seed in range(24):
        rng = np.random.default_rng([seed, int(dose)])
        scene = Scene(seed)
        truth = rng.uniform(-5, 5, 2)
        a = rng.poisson(dose * np.clip(scene.view((0, 0)), 0, None)).astype(np.float32)
        b = rng.poisson(dose * np.clip(scene.view(truth), 0, None)).astype(np.float32)
        found = register(a, b)
        z.append((found.shift_px - truth) / found.sigma_px)
    rms = float(np.sqrt(np.mean(np.square(z))))
    # 48 samples: the root mean square of true normals lies in 0.7 to 1.3 (3.5 sigma).
    assert 0.6 < rms < 1.7


@pytest.mark.parametrize("edge", [32, 48, 64])
def test_windows_do_not_hold_small_images_without_noise(edge: int) -> None:
    for seed in range(4):
        scene, truth = Scene(seed, edge), np.array([2.72, -1.31])
        found = register(scene.view((0, 0)), scene.view((2.72, -1.31)))
        assert np.abs(found.shift_px - truth).max() < 0.01


@pytest.mark.parametrize("dose", [None, 30.0])
def test_equals_the_definition(dose: float | None) -> None:
    """Against the slow one in double precision, from where the windows were put."""
    scene, rng = Scene(7), np.random.default_rng(7)
    a, b = scene.view((0, 0)), scene.view((2.7, -4.4))
    if dose is not None:
        a, b = (rng.poisson(dose * np.clip(v, 0, None)).astype(float) for v in (a, b))
    row = register_pairs(a.astype(np.float32)[None], b.astype(np.float32)[None])[0]
    # Windows are put once, after the search, or again.
    expected = [reference.registered(a, b, row[6:8], searched=s) for s in (True, False)]
    # Spectra in float32 leave a relative 1e-6 of a correlation some px wide; Newton steps end below 1e-5 px.
    assert min(np.abs(row[:2] - e).max() for e in expected) < 5e-5
    np.testing.assert_array_equal(register(a, b).shift_px, row[:2])


def test_large_images_give_what_the_definition_gives_with_all_frequencies() -> None:
    """Only frequencies at which images agree are transformed, and first tried on binned images."""
    scene, rng = Scene(11, 600), np.random.default_rng(11)
    a, b = (scene.counts(s, 8.0, rng) for s in ((0, 0), (5.3, -7.1)))
    row = register_pairs(a[None], b[None])[0]
    expected = reference.registered(a.astype(float), b.astype(float), row[6:8], searched=False)
    # Rings that hold the last per cent of the information are left out of both; noise beyond the band is fitted by one.
    assert np.abs(row[:2] - expected).max() < 0.05 * np.sqrt(row[2:4]).min()


def test_reflections_far_beyond_the_rest_of_the_spectrum_are_seen() -> None:
    rng = np.random.default_rng(12)
    scene = Scene(12, 600)
    y, x = np.mgrid[:600, :600]
    truth = np.array([1.7, -2.6])

    def counts(shift: npt.ArrayLike, height: float) -> npt.NDArray[np.float32]:
        dy, dx = np.asarray(shift, float)
        lattice = sum(
            np.cos(2 * np.pi * (fy * (y - dy) + fx * (x - dx)))
            for fy, fx in ((0.31, 0.12), (-0.12, 0.31))
        )
        return rng.poisson(4 * np.clip(scene.view(shift) + height * lattice, 0, None)).astype(
            np.float32
        )

    plain = register(counts((0, 0), 0.0), counts(truth, 0.0))
    crystal = register(counts((0, 0), 0.1), counts(truth, 0.1))
    assert (crystal.sigma_px < 0.6 * plain.sigma_px).all()
    assert np.abs(crystal.shift_px - truth).max() < 4 * crystal.sigma_px.max()


def test_missing_pixels_that_stay_in_place_do_not_hold_the_shift() -> None:
    scene, rng = Scene(8), np.random.default_rng(8)
    truth = np.array([3.4, -2.8])
    a, b = (
        rng.poisson(100 * np.clip(scene.view(s), 0, None)).astype(float) for s in ((0, 0), truth)
    )
    whole = register(a, b)
    for image in (a, b):
        image[40:52, 20:60] = np.nan  # a bar
        image[rng.random(image.shape) < 0.02] = np.inf  # and single pixels
    found = register(a, b)
    assert np.abs(found.shift_px - truth).max() < 4 * found.sigma_px.max()
    assert (found.sigma_px > whole.sigma_px).all()
    # A mask says the same as NaN does, whatever lies under it.
    good = np.isfinite(a), np.isfinite(b)
    masked = register(
        np.where(good[0], a, 5e4), np.where(good[1], b, -5e4), mask_a=good[0], mask_b=good[1]
    )
    np.testing.assert_array_equal(masked.shift_px, found.shift_px)


def test_a_crystal_tells_where_else_it_fits() -> None:
    rng = np.random.default_rng(9)
    y, x = np.mgrid[:128, :128]
    lattice = 20 + 10 * np.cos(2 * np.pi * y / 16) * np.cos(2 * np.pi * x / 16)
    a, b = (rng.poisson(np.roll(lattice, s, (0, 1))).astype(float) for s in ((0, 0), (3, 0)))
    found = register(a, b)
    assert found.runner_up > 0.7
    fits = np.vstack([found.shift_px, found.candidates_px]) - [3, 0]
    # Cells repeat along the diagonals (8, 8); windows pull the maxima of the search by a pixel or two.
    np.testing.assert_allclose(fits, 8 * np.round(fits / 8), atol=2.5)
    assert len(found.candidates_px) == len(found.candidate_heights) > 0


def test_along_fringes_the_error_says_that_nothing_is_known() -> None:
    rng = np.random.default_rng(10)
    fringes = 50 + 20 * np.sin(np.arange(96) * 2 * np.pi / 11)
    a, b = (
        rng.poisson(np.broadcast_to(f, (96, 96))).astype(float)
        for f in (fringes, np.roll(fringes, 2))
    )
    found = register(a, b, max_shift=5)
    assert abs(found.shift_px[1] - 2) < 4 * found.sigma_px[1] < 0.5
    assert found.sigma_px[0] > 20 * found.sigma_px[1]


def test_integer_strided_and_read_only_images_are_taken_and_left_alone() -> None:
    scene = Scene(5)
    a = np.round(1000 * scene.view((0, 0))).astype(">u2")[::-1]
    b = np.round(1000 * scene.view((2, 1))).astype(np.int32)[::-1]
    b.setflags(write=False)
    before = a.tobytes(), b.tobytes()
    found = register(a, b)
    np.testing.assert_allclose(found.shift_px, [-2, 1], atol=0.1)
    assert (a.tobytes(), b.tobytes()) == before


def test_images_without_contrast_have_no_error_bar() -> None:
    found = register(np.ones((32, 32)), np.ones((32, 32)))
    assert np.isinf(found.sigma_px).all()
    assert found.peak == 0


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (np.ones((8, 8)), np.ones((8, 9)), "b: found shape"),
        (np.ones((2, 8)), np.ones((2, 8)), "at least 4 x 4"),
        (np.full((8, 8), np.nan), np.ones((8, 8)), "a: found no pixel to use"),
        (np.ones((8, 8), complex), np.ones((8, 8)), "a: found dtype"),
        (np.ones(8), np.ones((8, 8)), "a: found shape"),
    ],
)
def test_what_cannot_be_registered_is_refused(
    a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        register(a, b)


@pytest.mark.parametrize("mask", [np.ones((8, 9), bool), np.ones((8, 8), int)])
def test_a_mask_of_another_shape_or_type_is_refused(mask: npt.NDArray[np.generic]) -> None:
    with pytest.raises(InputError, match="mask_b: found"):
        register(np.ones((8, 8)), np.ones((8, 8)), mask_b=mask)


@pytest.mark.parametrize("reach", [0.0, -1.0, np.nan])
def test_a_shift_that_cannot_be_looked_for_is_refused(reach: float) -> None:
    with pytest.raises(InputError, match="max_shift: found"):
        register(np.ones((8, 8)), np.ones((8, 8)), max_shift=reach)
