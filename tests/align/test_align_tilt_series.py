# SPDX-License-Identifier: BSD-3-Clause
"""Simulated series with known geometry: found, with honest errors, the same on every run."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from specimens import Case, make_case, without_gauge

from cryolith import _core
from cryolith.align import AlignSettings, align_tilt_series, aligned_images
from cryolith.datamodel import Alignment, TiltSeries
from cryolith.errors import Cancelled, ConfigError, InputError

# A needle's grains have to be some pixels large; a slab takes most rounds on images of 64 px, or larger if it has to.
SMALL = {"particle": ((64, 65), 17), "needle": ((96, 97), 25), "slab": ((64, 65), 17)}


@functools.cache
def aligned(kind: str, axis: float, seed: int) -> tuple[Case, Alignment]:
    shape, n = SMALL[kind]
    case = make_case(kind, tilt_axis_deg=axis, seed=seed, walk=2.0, shape=shape, n_tilts=n)
    series = TiltSeries(images=case.images, angles_deg=case.angles_deg, tilt_axis_deg=axis + 25)
    return case, align_tilt_series(series, settings=AlignSettings(beads="no"))


def errors(case: Case, found: Alignment) -> tuple[float, float]:
    across, along = without_gauge(
        found.shifts_px - case.shifts_px, case.angles_deg, found.tilt_axis_deg
    )
    return float(np.sqrt(np.mean(across**2))), float(np.sqrt(np.mean(along**2)))


# Bounds: twice the worst that was measured (design/004-alignment.md). Peers: 1.5 px (particle), 0.5 px (slab).
@pytest.mark.parametrize(
    ("kind", "axis", "seed", "bound"),
    [
        ("particle", 0.0, 1, 0.3),
        ("particle", -35.0, 2, 0.3),
        ("needle", 92.0, 3, 0.3),
        ("slab", 20.0, 1, 0.1),
    ],
)
def test_shifts_and_axis_are_found(kind: str, axis: float, seed: int, bound: float) -> None:
    case, found = aligned(kind, axis, seed)
    across, along = errors(case, found)
    assert np.hypot(across, along) < bound
    assert abs(found.tilt_axis_deg - axis) < 1.0
    assert not found.flags
    kinds = "slab" if kind == "slab" else "isolated"
    assert found.method[0].startswith(f"specimen: {kinds}")


def test_stated_errors_are_of_the_size_of_the_errors() -> None:
    ratios = []
    for kind, axis, seed in (("particle", 0.0, 1), ("particle", -35.0, 2), ("needle", 92.0, 3)):
        case, found = aligned(kind, axis, seed)
        assert found.sigma_shifts_px is not None
        stated = np.sqrt(np.mean(np.sum(found.sigma_shifts_px**2, axis=1)))
        ratios.append(np.hypot(*errors(case, found)) / stated)
    # Two halves share the model's own faults, so that the stated error is rather too small: within 3 times.
    assert 0.4 < float(np.exp(np.mean(np.log(ratios)))) < 3.0


def test_direction_of_the_axis_follows_the_nominal_one() -> None:
    case = make_case("particle", tilt_axis_deg=10.0, seed=1, shape=(48, 48), n_tilts=13, walk=1.0)
    for nominal, want in ((None, 10.0), (200.0, 190.0), (-160.0, -170.0)):
        series = TiltSeries(images=case.images, angles_deg=case.angles_deg, tilt_axis_deg=nominal)
        settings = AlignSettings(iterations=1, refine_axis=False, beads="no")
        found = align_tilt_series(series, settings=settings)
        assert abs(found.tilt_axis_deg - want) < 5
        direction = next(line for line in found.method if line.startswith("axis direction"))
        assert ("not known" in direction) == (nominal is None)


def test_same_bits_for_any_number_of_threads_order_and_input_untouched() -> None:
    case = make_case("particle", seed=4, shape=(40, 40), n_tilts=11, walk=1.0)
    images = case.images.astype(">i2")
    images.setflags(write=False)
    quick = AlignSettings(iterations=1, beads="no")  # beads have a test of their own
    one = align_tilt_series(images, case.angles_deg, settings=quick, threads=1)
    two = align_tilt_series(images, case.angles_deg, settings=quick, threads=2)
    assert one.shifts_px.tobytes() == two.shifts_px.tobytes()
    assert one.tilt_axis_deg == two.tilt_axis_deg
    assert one.residuals is not None
    assert two.residuals is not None
    assert one.residuals.tobytes() == two.residuals.tobytes()
    turned = align_tilt_series(images[::-1], case.angles_deg[::-1], settings=quick)
    np.testing.assert_array_equal(turned.shifts_px[::-1], one.shifts_px)
    np.testing.assert_array_equal(images.astype(np.float32), case.images)


def test_the_specimen_is_in_the_middle() -> None:
    case, found = aligned("particle", 0.0, 1)
    still = aligned_images(case.images, found, upright=True).astype(float)
    still -= np.percentile(still, 20, axis=(1, 2), keepdims=True)
    u = np.arange(still.shape[2]) - (still.shape[2] - 1) / 2
    centre = (still.sum(axis=1) * u).sum(axis=1) / still.sum(axis=(1, 2))
    # The centre of mass is on the axis: a, b and the offset of a cos + b sin + c all vanish.
    t = np.deg2rad(case.angles_deg)
    fit = np.linalg.lstsq(np.c_[np.cos(t), np.sin(t), np.ones(len(t))], centre, rcond=None)[0]
    assert abs(fit[0] + fit[2]) < 1.5
    assert abs(fit[1]) < 1.5
    # Standing still: the profile along the axis is that of the mean image.
    rows = still.sum(axis=2)
    assert min(np.corrcoef(row, rows.mean(axis=0))[0, 1] for row in rows) > 0.97


def test_tilts_that_do_not_fit_are_flagged_with_the_reason() -> None:
    case = make_case("particle", seed=5, shape=(64, 64), n_tilts=21, walk=1.0)
    images = case.images.copy()
    images[3] = 7.0
    images[9] = images[9][::-1, ::-1]
    images[15, 10, 10] = np.nan
    images[16, 20, 20] = 1e6
    settings = AlignSettings(exclude=(0,), beads="no")
    found = align_tilt_series(images, case.angles_deg, settings=settings)
    assert sorted(found.flags) == [0, 3, 9]
    assert "excluded" in found.flags[0]
    assert "blank" in found.flags[3]
    assert "does not fit" in found.flags[9]
    assert np.isfinite(found.shifts_px).all()
    assert found.sigma_shifts_px is not None
    assert np.isnan(found.sigma_shifts_px[[0, 3]]).all()
    good = np.setdiff1d(np.arange(21), [0, 3, 9])
    e = without_gauge(
        (found.shifts_px - case.shifts_px)[good], case.angles_deg[good], found.tilt_axis_deg
    )
    assert np.sqrt(np.mean(np.square(e))) < 0.5


@pytest.mark.parametrize("blank", [[6], [11, 12]])
def test_half_blank_tilts_are_left_out_before_they_spoil_the_others(blank: list[int]) -> None:
    case = make_case("particle", seed=7, shape=(64, 64), n_tilts=21, walk=1.0)
    images = case.images.copy()
    noise = np.random.default_rng(7).poisson(0.03 * images.max(), (len(blank), 64, 32))
    images[blank, :, :32] = noise
    found = align_tilt_series(images, case.angles_deg, settings=AlignSettings(beads="no"))
    assert list(found.flags) == blank
    assert "predicted better without it" in found.flags[blank[0]]
    good = found.kept
    e = without_gauge(
        (found.shifts_px - case.shifts_px)[good], case.angles_deg[good], found.tilt_axis_deg
    )
    # As good as without the fault; with the blank half in the fit the neighbours are off by pixels.
    assert np.sqrt(np.mean(np.sum(np.square(e), axis=0))) < 0.3


@pytest.mark.parametrize("axis", [5.0, -8.0])
def test_tilts_that_do_not_fit_do_not_turn_the_axis(axis: float) -> None:
    # The half-blank tilt put the first axis 33 and 18 deg off, from where it ended 21.5 and 5.6 deg off, 0.2 stated.
    case = make_case("particle", tilt_axis_deg=axis, seed=77, shape=(64, 64), n_tilts=31, walk=2.0)
    images = case.images.copy()
    images[4] = 5.0
    images[12, :, :32] = np.random.default_rng(7).poisson(0.02 * 2000 / 31, (64, 32))
    found = align_tilt_series(images, case.angles_deg, settings=AlignSettings(beads="no"))
    assert sorted(found.flags) == [4, 12]
    off = abs(found.tilt_axis_deg - axis)
    assert off < 0.5
    assert off < 3 * found.sigma_tilt_axis_deg < 1.5
    good = found.kept
    e = without_gauge((found.shifts_px - case.shifts_px)[good], case.angles_deg[good], axis)
    assert np.sqrt(np.mean(np.sum(np.square(e), axis=0))) < 0.2


def test_progress_rises_to_one_and_cancelling_ends_the_work() -> None:
    case = make_case("particle", seed=6, shape=(48, 48), n_tilts=11, walk=1.0)
    seen: list[float] = []
    align_tilt_series(
        case.images, case.angles_deg, settings=AlignSettings(iterations=1), progress=seen.append
    )
    assert seen[0] == 0
    assert seen[-1] == 1
    assert seen == sorted(seen)
    token = _core.CancelToken()
    with pytest.raises(Cancelled):
        align_tilt_series(
            case.images,
            case.angles_deg,
            cancel=token,
            progress=lambda f: token.cancel() if f > 0 else None,
        )


@pytest.mark.parametrize(
    ("images", "angles", "words"),
    [
        (np.ones((5, 32, 32)), None, "angles_deg: found None"),
        (np.ones((5, 32)), np.arange(5.0), "series: found"),
        (np.ones((5, 32, 32)), np.arange(4.0), "angles_deg: found 4 angles"),
        (np.ones((5, 32, 32)), np.array([0, 10, 20, 30, np.nan]), "angles_deg: found nan"),
        (np.ones((5, 32, 32)), np.arange(5.0) * 10, "images with contrast"),
        (np.ones((3, 32, 32)), np.arange(3.0) * 10, "expected at least 5"),
        (np.ones((9, 32, 32)), np.zeros(9), "a range of 0 deg"),
        (np.ones((9, 8, 32)), np.arange(9.0) * 10, "at least 16"),
    ],
)
def test_what_cannot_be_aligned_is_refused(
    images: np.ndarray, angles: np.ndarray, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        align_tilt_series(images, angles)


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="exclude"):
        AlignSettings(exclude=(-1,))
    with pytest.raises(ConfigError, match="tilt_axis"):
        AlignSettings(tilt_axis=1000.0)
    with pytest.raises(InputError, match="exclude: found image 9"):
        align_tilt_series(
            np.ones((9, 32, 32)), np.arange(9.0), settings=AlignSettings(exclude=(9,))
        )


def test_aligned_images_undo_the_shifts() -> None:
    rng = np.random.default_rng(7)
    image = rng.normal(size=(40, 30)).astype(np.float32)
    stack = np.stack([np.roll(image, (s, -s), (0, 1)) for s in (0, 2, -3)])
    shifts = np.array([[0.0, 0.0], [2.0, -2.0], [-3.0, 3.0]])
    alignment = Alignment(
        angles_deg=np.array([0.0, 5.0, 10.0]), tilt_axis_deg=90.0, shifts_px=shifts
    )
    still = aligned_images(stack, alignment)
    np.testing.assert_allclose(still[:, 5:-5, 5:-5], np.stack([image[5:-5, 5:-5]] * 3), atol=1e-5)
    # Axis at 90 degrees: rows of the upright image are v, column = -v: the image turned a quarter.
    upright = aligned_images(stack, alignment, upright=True)
    np.testing.assert_allclose(upright[0], np.rot90(image, 1), atol=1e-5)
    with pytest.raises(InputError, match="binning"):
        aligned_images(stack, alignment, binning=31)
    with pytest.raises(InputError, match="series: found shape"):
        aligned_images(stack[:2], alignment)
