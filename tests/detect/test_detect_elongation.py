# SPDX-License-Identifier: BSD-3-Clause
"""Axes freed from a missing wedge: ellipsoids of any orientation, what is flagged, what the stage's tables say."""

from __future__ import annotations

import numpy as np
import pytest

from cryolith import Volume, detect, simulate
from cryolith.detect import DetectSettings
from cryolith.errors import InputError
from cryolith.projection import Geometry, project
from cryolith.reconstruct import ReconstructSettings, wbp

GEOMETRY = Geometry.single_axis(np.arange(-60, 61, 3.0))


@pytest.fixture(scope="module")
def ellipsoids():
    """Twelve ellipsoids of random axes and orientations, imaged within +-60 degrees."""
    rng = np.random.default_rng(11)
    shape, solids, half, turn, place = (78, 78, 116), [], [], [], []
    for corner in np.ndindex(2, 2, 3):
        q = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        half.append(np.sort(rng.uniform(4, 8, 3))[::-1])
        place.append((np.array(corner) - [0.5, 0.5, 1]) * 38 + rng.uniform(-1, 1, 3))
        turn.append(q)
        solids.append(simulate.ellipsoid(1.0, place[-1], half[-1], rotation=q.T))
    images = project(
        simulate.Phantom(shape=shape, solids=tuple(solids)).volume.astype(np.float32),
        GEOMETRY,
        (78, 140),
        threads=1,
    )
    images += rng.normal(0, 0.5, images.shape).astype(np.float32)
    shown = Volume(data=wbp(images, GEOMETRY, shape=shape, threads=1), pixel_size=20.0)
    return shown, np.array(place), np.array(half), np.array(turn)


def columns(table, name, parts="123", unit="_nm"):
    return np.stack([table[name.format(p) + unit] for p in parts], axis=1)


def off(table, name, turn):
    """Return angles [deg] between each row's longest axis and the truth."""
    found = columns(table, name, "zyx", "")
    return np.rad2deg(np.arccos(np.minimum(np.abs((found * turn[:, :, 0]).sum(axis=1)), 1)))


WBP = ReconstructSettings(method="wbp")


def found_in(volume, reconstruction=WBP, **settings):
    chosen = DetectSettings(layers=False, voids=False, particle_threshold=0.45, **settings)
    return detect.detect(
        volume, chosen, geometry=GEOMETRY, reconstruction=reconstruction, threads=1
    )


def test_axes_of_ellipsoids_of_any_orientation_are_corrected(ellipsoids):
    shown, place, half, turn = ellipsoids
    table = found_in(shown).particles
    at = columns(table, "{}", "zyx")
    row = np.linalg.norm(at[None] - 2 * place[:, None], axis=2).argmin(axis=1)
    table = {k: v[row] for k, v in table.items()}
    assert len(set(row)) == len(half) == 12
    assert (table["elongation_flag"] == "").all()
    lengths, seen = columns(table, "true_axis{}"), columns(table, "axis{}")
    error, before = lengths / (4 * half) - 1, seen / (4 * half) - 1
    assert np.sqrt((error**2).mean()) < 0.04
    assert np.sqrt((error**2).mean()) < np.sqrt((before**2).mean()) / 3
    pull = (lengths - 4 * half) / columns(table, "sigma_true_axis{}")
    assert (np.abs(pull) < 1.96).mean() > 0.9
    assert 0.4 < pull.std() < 1.2
    truth = 4 / 3 * np.pi * 8 * half.prod(axis=1)
    assert np.abs(table["true_volume_nm3"] / truth - 1).max() < 0.08
    assert (np.abs(table["true_volume_nm3"] - truth) < 3 * table["sigma_true_volume_nm3"]).all()
    assert np.median(table["volume_nm3"] / truth) < 0.85
    turned = off(table, "true_axis1_{}", turn)
    assert (turned < 3 * table["sigma_true_axis1_deg"]).all()
    assert np.median(turned) < np.median(off(table, "axis1_{}", turn)) / 2
    assert ((table["coverage"] > 0.4) & (table["coverage"] < 1)).all()


def test_what_is_known_of_the_reconstruction_decides(ellipsoids):
    shown = ellipsoids[0]
    free, bounded, bent = (
        found_in(shown, ReconstructSettings(**how)).particles
        for how in ({"method": "wbp"}, {"method": "sirt"}, {"method": "tv"})
    )
    wide, narrow = (
        np.median(t["sigma_true_axis1_nm"] / t["true_axis1_nm"]) for t in (bounded, free)
    )
    assert wide > 1.5 * narrow
    assert set(bent["elongation_flag"]) == {"not linear: tv"}
    assert "true_axis1_nm" not in bent
    assert (bent["coverage"] > 0.3).all()
    plain = detect.detect(shown, DetectSettings(layers=False, voids=False, particle_threshold=0.45))
    assert "coverage" not in plain.particles


def test_blobs_say_how_well_they_were_seen():
    rng = np.random.default_rng(3)
    shape = (40, 40, 40)
    volume = np.zeros(shape, np.float32)
    z, y, x = np.ogrid[:40, :40, :40]
    volume += 4 * np.exp(-((z - 20) ** 2 + (y - 19) ** 2 + (x - 21) ** 2) / 18).astype(np.float32)
    images = project(volume, GEOMETRY, (40, 40), threads=1)
    images += rng.normal(0, 1.0, images.shape).astype(np.float32)
    shown = Volume(data=wbp(images, GEOMETRY, shape=shape, threads=1))
    how = {"particles": False, "blobs": True, "smallest_blob": 2.0, "largest_blob": 4.5}
    table = found_in(shown, **how).tables["blobs"]
    assert (table["elongation_flag"] == "").all()
    assert abs(table["size_px"][0] - 3) < 4 * table["sigma_size_px"][0]
    # of its power, spread evenly over directions: two thirds
    assert 0.55 < table["coverage"][0] < 0.75
    blind = found_in(shown, ReconstructSettings(method="tv"), **how).tables["blobs"]
    assert set(blind["elongation_flag"]) == {"not linear: tv"}
    assert np.abs(blind["coverage"] - 2 / 3).max() < 0.02


def test_what_cannot_be_corrected_is_flagged():
    mask = np.zeros((48, 48, 48), bool)
    mask[:6, 5:12, 5:12] = True  # at the border
    mask[20, 20, 20:22] = True  # two voxels
    mask[10:38, 28:33, 28:33] = mask[10:15, 10:33, 28:33] = True  # bent
    labels, _ = detect.label(mask)
    found = detect.correct_elongation(detect.regions(labels), GEOMETRY, threads=1)
    by_size = dict(zip(found["voxels"], found["elongation_flag"], strict=True))
    assert sorted(by_size.values()) == [
        "not of an ellipsoid's form", "too small", "touches the border",
    ]  # fmt: skip
    assert (by_size[294], by_size[2]) == ("touches the border", "too small")
    for name in ("true_axis1_px", "sigma_true_axis3_px", "true_volume_px3", "true_axis2_y"):
        assert np.isnan(found[name]).all()
    assert np.isfinite(found["coverage"]).all()


def test_coverage_is_the_share_of_normals_that_were_seen():
    from cryolith.detect.elongation import directions_seen

    axes = np.array([[10.0, 10, 10], [20, 20, 0.5], [20, 20, 0.5], [20, 20, 0.5], [40, 2, 2]])
    facing = np.eye(3)[::-1]  # longest along x, shortest along z
    turns = np.stack([facing, facing, facing[::-1], facing[[1, 0, 2]], facing[::-1]])
    ball, beam, side, along, rod = directions_seen(axes, turns, GEOMETRY)
    assert abs(ball - 123 / 180) < 0.01  # tilts and half a step at either end
    assert beam < 0.05  # a disc that faces the detector
    assert min(side, rod) > 0.95  # one on edge; a rod along the beam
    assert 0.6 < along < 0.75  # about the tilt axis all turns are alike


def test_rows_do_not_depend_on_the_number_of_threads(ellipsoids):
    labels, _ = detect.label(ellipsoids[0].data > 0.4)
    table = detect.regions(labels)
    one, two = (detect.correct_elongation(table, GEOMETRY, threads=n) for n in (1, 2))
    for name, column in one.items():
        assert np.array_equal(column, two[name], equal_nan=column.dtype.kind == "f"), name


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ({"voxels": np.ones(1)}, {}, "table: found no column axis1"),
        (None, {"cut": 1.0}, "cut: found"),
        (None, {"edge_sigma_px": -1.0}, "edge_sigma_px: found -1"),
        (None, {"model_error": np.nan}, "model_error: found nan"),
    ],
)
def test_bad_options_are_named(table, options, message):
    mask = np.zeros((20, 20, 20), bool)
    mask[6:14, 6:14, 6:14] = True
    good = detect.regions(detect.label(mask)[0])
    with pytest.raises(InputError, match=message):
        detect.correct_elongation(good if table is None else table, GEOMETRY, **options)


def test_a_table_without_rows_keeps_its_columns():
    empty = detect.regions(np.zeros((8, 8, 8), np.int32))
    found = detect.correct_elongation(empty, GEOMETRY)
    assert len(found["true_axis1_px"]) == len(found["coverage"]) == 0
