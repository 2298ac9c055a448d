# SPDX-License-Identifier: BSD-3-Clause
"""Alignment within a limit of memory: the same bits from fewer images at a time, and copies of averaged pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from specimens import make_case, without_gauge

from cryolith import Alignment, TiltSeries, Volume
from cryolith.align import AlignSettings, align_needs, align_tilt_series, estimate_background
from cryolith.align.copies import averaged_series, in_full_pixels, settings_of_copy
from cryolith.covariance import Covariance
from cryolith.datamodel import Beads, LocalShifts, Slab
from cryolith.files import read_tilt_series, write_volume
from cryolith.projection import Geometry

QUICK = AlignSettings(beads="no", iterations=1, tilt_axis=0.0, refine_axis=False)


def some_alignment(n: int = 5) -> Alignment:
    """An alignment with all that has a length."""
    rng = np.random.default_rng(1)
    names = ("tilt_axis_deg", *(f"shift_row_px[{i}]" for i in range(n)))
    root = rng.normal(size=(n + 1, n + 1))
    return Alignment(
        angles_deg=np.linspace(-40, 40, n),
        tilt_axis_deg=12.0,
        sigma_tilt_axis_deg=0.1,
        axis_offset_px=0.75,
        sigma_axis_offset_px=0.05,
        shifts_px=rng.normal(size=(n, 2)),
        sigma_shifts_px=np.full((n, 2), 0.1),
        covariance=Covariance(names=names, matrix=root @ root.T),
        magnifications=1 + 0.01 * rng.normal(size=n),
        local=LocalShifts(
            points_px=rng.normal(size=(n, 3, 2)),
            shifts_px=rng.normal(size=(n, 3, 2)),
            good=np.ones((n, 3), bool),
        ),
        beads=Beads(
            points_px=rng.normal(size=(4, 3)),
            residuals_px=rng.normal(size=(n, 4, 2)),
            left_out_px=rng.normal(size=(n, 4, 2)),
            weights=np.ones((n, 4)),
            diameter_px=6.0,
        ),
        slab=Slab(1.0, 0.1, -2.0, 0.1, 31.0, 0.5),
        pixel_size=20.0,
    )


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("shape", [(48, 60), (49, 62), (51, 59)])
def test_what_is_seen_stays_where_it_is(factor: int, shape: tuple[int, int]) -> None:
    copy = some_alignment()
    series = TiltSeries(
        images=np.zeros((5, *shape), np.float32), angles_deg=copy.angles_deg, pixel_size=7.0
    )
    full = in_full_pixels(copy, factor, series)
    # The projector's own words for binned images (docs/conventions.md), the other way.
    back = Geometry.from_alignment(full).scaled(factor, shape)
    own = Geometry.from_alignment(copy)
    assert np.allclose(back.shifts_px, own.shifts_px, atol=1e-12)
    assert np.allclose(back.axis_offset_px, own.axis_offset_px, atol=1e-12)
    assert back.local is not None
    assert own.local is not None
    assert np.allclose(back.local.points_px, own.local.points_px)
    assert np.allclose(back.local.shifts_px, own.local.shifts_px)
    # By hand: pixel j of the copy is the middle of pixels factor j to factor (j + 1) - 1.
    for axis in range(2):
        place = (shape[axis] // factor - 1) / 2 + copy.shifts_px[:, axis]
        expected = factor * place + (factor - 1) / 2
        assert np.allclose((shape[axis] - 1) / 2 + full.shifts_px[:, axis], expected)


def test_all_lengths_grow_and_nothing_else_does() -> None:
    copy = some_alignment()
    series = TiltSeries(
        images=np.zeros((5, 40, 40), np.float32), angles_deg=copy.angles_deg, pixel_size=5.0
    )
    full = in_full_pixels(copy, 4, series)
    assert full.sigma_shifts_px is not None
    assert np.allclose(full.sigma_shifts_px, 0.4)
    assert full.sigma_axis_offset_px == pytest.approx(0.2)
    assert full.pixel_size == 5.0
    assert full.slab == Slab(1.0, 0.1, -2.0, 0.1, 124.0, 2.0)
    assert full.beads is not None
    assert copy.beads is not None
    for name in ("points_px", "residuals_px", "left_out_px"):
        assert np.array_equal(getattr(full.beads, name), 4 * getattr(copy.beads, name))
    assert full.beads.diameter_px == 24.0
    assert full.covariance is not None
    assert copy.covariance is not None
    assert full.covariance.sigma("shift_row_px", 5) == pytest.approx(
        4 * copy.covariance.sigma("shift_row_px", 5)
    )
    assert full.covariance.matrix[0, 0] == copy.covariance.matrix[0, 0]
    assert np.allclose(full.covariance.correlation(), copy.covariance.correlation())
    assert "copy of 4 x 4 pixels" in full.method[-1]
    assert np.array_equal(full.magnifications, copy.magnifications)  # type: ignore[arg-type]


def test_a_copy_holds_means_without_hot_pixels() -> None:
    rng = np.random.default_rng(5)
    images = rng.normal(100, 1, (3, 11, 14)).astype(np.float32)
    expected = images[:, :9, :12].reshape(3, 3, 3, 4, 3).mean(axis=(2, 4))
    hot = images.copy()
    hot[1, 4, 5] = 1e6
    series = TiltSeries(images=hot, angles_deg=np.arange(3.0), pixel_size=2.0)
    copy = averaged_series(series, 3, 1, None)
    assert copy.pixel_size == 6.0
    assert np.abs(copy.images - expected).max() < 1
    assert hot[1, 4, 5] == 1e6


def test_settings_in_pixels_are_those_of_the_copy() -> None:
    given = AlignSettings(binning=4, max_shift=30.0, bead_diameter=100.0)
    smaller = settings_of_copy(given, 3)
    assert (smaller.binning, smaller.max_shift, smaller.bead_diameter) == (1, 10.0, 100.0)
    assert settings_of_copy(AlignSettings(), 3) == AlignSettings()


def test_fewer_images_at_a_time_give_the_same_bits(tmp_path: Path) -> None:
    case = make_case("particle", shape=(64, 65), n_tilts=17, seed=1, walk=2.0)
    write_volume(tmp_path / "a.mrc", Volume(data=case.images, pixel_size=5.0))
    series = read_tilt_series(tmp_path / "a.mrc", angles=case.angles_deg)
    shape = (17, 64, 65)
    whole = align_needs(shape, QUICK)
    one = align_needs(shape, QUICK, whole.bytes_memory - 1)
    assert (one.binned, one.chunk_bytes) == (1, 4 * 64 * 65)
    first = align_tilt_series(series, settings=QUICK)
    second = align_tilt_series(series, settings=QUICK, max_memory=whole.bytes_memory - 1)
    assert first.shifts_px.tobytes() == second.shifts_px.tobytes()
    assert first.method == second.method
    levels = estimate_background(series.images)
    assert estimate_background(series.images, max_memory=1).tobytes() == levels.tobytes()


def test_a_series_on_a_copy_is_aligned_as_one_binned_before() -> None:
    case = make_case("particle", shape=(130, 133), n_tilts=17, seed=2, walk=2.0)
    series = TiltSeries(images=case.images, angles_deg=case.angles_deg, pixel_size=5.0)
    limit = align_needs((17, 130, 133), QUICK).bytes_memory // 3
    assert align_needs((17, 130, 133), QUICK, limit).binned == 2
    found = align_tilt_series(series, settings=QUICK, max_memory=limit)
    binned = case.images[:, :130, :132].reshape(17, 65, 2, 66, 2).mean(axis=(2, 4))
    by_hand = align_tilt_series(
        TiltSeries(images=binned.astype(np.float32), angles_deg=case.angles_deg, pixel_size=10.0),
        settings=QUICK,
    )
    expected = 2 * by_hand.shifts_px - np.array([0.0, 0.5])
    # Hot pixels are taken out before the mean on the one way, after it on the other.
    assert np.abs(found.shifts_px - expected).max() < 0.1
    assert by_hand.sigma_shifts_px is not None
    assert found.sigma_shifts_px == pytest.approx(2 * by_hand.sigma_shifts_px, rel=0.2)
    across, along = without_gauge(
        found.shifts_px - case.shifts_px, case.angles_deg, found.tilt_axis_deg
    )
    assert np.sqrt(np.mean(across**2 + along**2)) < 0.6


def test_the_factor_depends_on_the_size_and_the_limit() -> None:
    shape, chosen = (141, 4096, 4096), AlignSettings()
    free = align_needs(shape, chosen)
    assert (free.binned, free.bytes_memory > 4 * 141 * 4096**2) == (1, True)
    factors = [align_needs(shape, chosen, int(m)).binned for m in (64e9, 2e9, 4e8, 1e8)]
    assert factors == sorted(factors)
    assert factors[0] == 1
    assert factors[-1] > 1
    fine = align_needs((41, 1024, 1024), AlignSettings(binning=1), int(1e9))
    assert fine.binned > 1
