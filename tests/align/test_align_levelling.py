# SPDX-License-Identifier: BSD-3-Clause
"""Slabs that lie tilted in the holder: found with honest errors, laid level, and nothing else changed."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from specimens import Case, make_case, without_gauge

from cryolith.align import AlignSettings, align_tilt_series, score_alignments
from cryolith.align.faces import Estimate, find_faces, growth_offset, through_points
from cryolith.align.levelling import turned
from cryolith.align.lie import Lie
from cryolith.datamodel import Alignment, Beads
from cryolith.projection import Geometry, rotation_matrix

Float64 = npt.NDArray[np.float64]

TILTED = (7.0, -4.0)


def slab_density(
    offset_deg: float, x_deg: float, height: float, thickness: float, seed: int
) -> npt.NDArray[np.float32]:
    """Grains between two planes, in white noise of a tenth of them; (48, 120, 120)."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(-1, 1, (900, 3)) * [thickness / 2, 80, 80] + [height, 0, 0]
    places = places @ rotation_matrix(y_deg=offset_deg, x_deg=x_deg).T
    out = rng.normal(0, 0.1, (48, 120, 120))
    at = np.rint(places + np.array([23.5, 59.5, 59.5])).astype(int)
    inside = ((at >= 1) & (at < np.array(out.shape) - 1)).all(axis=1)
    for z, y, x in at[inside]:
        out[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2] += 1.0
    return out.astype(np.float32)


def test_faces_of_a_slab_are_found_with_honest_errors() -> None:
    z = []
    for seed, (offset, x) in enumerate([(4.0, -3.0), (-2.0, 1.5), (0.0, 5.0), (6.0, 0.0)]):
        faces, why = find_faces(slab_density(offset, x, 2.0, 16.0, seed), 55.0)
        assert faces is not None, why
        for found, truth in ((faces.tilt_offset, offset), (faces.x_tilt, x), (faces.height, 2.0)):
            z.append((found.value - truth) / found.sigma)
            assert found.sigma < 1.0
        assert abs(faces.thickness.value - 18.0) < 2.0  # grains of 3 px
    # 12 samples: the root mean square of true normals lies in 0.4 to 1.7 (3.5 sigma).
    assert 0.4 < np.sqrt(np.mean(np.square(z))) < 1.7


def test_no_faces_where_there_are_none() -> None:
    noise = np.random.default_rng(1).normal(size=(48, 120, 120)).astype(np.float32)
    faces, why = find_faces(noise, 55.0)
    assert faces is None
    assert "times that beyond" in why
    faces, why = find_faces(slab_density(0, 0, 0, 80.0, 2), 55.0)
    assert faces is None
    faces, why = find_faces(np.zeros((48, 120, 120), np.float32), 55.0)
    assert faces is None
    assert "empty" in why


def test_growth_of_the_mass_tells_the_offset() -> None:
    rng, tilts, z = np.random.default_rng(3), np.arange(-60.0, 61, 3), []
    for offset in rng.uniform(-10, 10, 40):
        path = 1 / np.cos(np.deg2rad(tilts + offset))
        found = growth_offset(0.3 + path + rng.normal(0, 0.02, len(tilts)), tilts)
        assert found is not None
        z.append((found.value - offset) / found.sigma)
    assert 0.6 < np.sqrt(np.mean(np.square(z))) < 1.5
    assert growth_offset(5 - 1 / np.cos(np.deg2rad(tilts)), tilts) is None


@pytest.mark.parametrize("both", [True, False])
def test_points_on_faces_tell_how_they_lie(both: bool) -> None:
    rng = np.random.default_rng(4)
    points = rng.uniform(-250, 250, (10, 3))
    points[:, 0] = 45 * (np.arange(10) % 2) if both else 0
    points = points @ rotation_matrix(y_deg=-6.0, x_deg=3.0).T + rng.normal(0, 0.3, (10, 3))
    faces, why = through_points(points, (-4.0, 4.0))
    assert faces is not None, why
    assert abs(faces.tilt_offset.value + 6) < 4 * faces.tilt_offset.sigma
    assert abs(faces.x_tilt.value - 3) < 4 * faces.x_tilt.sigma
    assert faces.tilt_offset.sigma < 0.2
    if both:
        assert abs(faces.thickness.value - 45) < 1
    else:
        assert faces.thickness.value == 0
    on_line = np.c_[np.zeros(6), np.arange(6.0), np.arange(6.0)]
    assert through_points(on_line, (0.0, 0.0))[1] == "the beads lie on a line"
    assert "at least 5" in through_points(points[:4], (0.0, 0.0))[1]


def test_turning_the_specimen_changes_no_image() -> None:
    rng, n = np.random.default_rng(5), 9
    beads = rng.uniform(-20, 20, (4, 3))
    before = Alignment(
        angles_deg=np.linspace(-60, 60, n),
        tilt_axis_deg=17.0,
        shifts_px=rng.normal(0, 5, (n, 2)),
        rotations_deg=rng.normal(0, 0.3, n),
        magnifications=1 + rng.normal(0, 0.01, n),
        beads=Beads(
            points_px=beads,
            residuals_px=np.zeros((n, 4, 2)),
            left_out_px=np.zeros((n, 4, 2)),
            weights=np.ones((n, 4)),
            diameter_px=5.0,
        ),
    )
    after = turned(before, Lie(6.5, -3.5), 11.0)
    assert after.beads is not None
    assert after.x_tilts_deg is not None
    np.testing.assert_array_equal(after.x_tilts_deg, -3.5)
    np.testing.assert_allclose(after.angles_deg, before.angles_deg + 6.5)

    def seen(alignment: Alignment, points: Float64) -> Float64:
        matrices = Geometry.from_alignment(alignment).matrices()
        return np.einsum("nij,mj->nmi", matrices, np.c_[points, np.ones(len(points))])

    np.testing.assert_allclose(seen(after, after.beads.points_px), seen(before, beads), atol=1e-11)
    # The plane of height 11 that lay at these angles is now z = 0.
    flat = np.c_[np.zeros(3), rng.uniform(-50, 50, (3, 2))]
    was = (flat + np.array([11.0, 0, 0])) @ rotation_matrix(y_deg=6.5, x_deg=-3.5).T
    np.testing.assert_allclose(seen(after, flat), seen(before, was), atol=1e-11)
    back = turned(turned(before, Lie(2.0), 0.0), Lie(-2.0), 0.0)
    np.testing.assert_allclose(back.angles_deg, before.angles_deg, atol=1e-12)
    assert back.x_tilts_deg is None


@functools.cache
def tilted() -> tuple[Case, Alignment]:
    case = make_case("slab", lying=TILTED, seed=3, walk=1.0, n_tilts=31, shape=(64, 64))
    found = align_tilt_series(case.images, case.angles_deg, settings=AlignSettings(beads="no"))
    return case, found


def test_a_tilted_slab_is_laid_level() -> None:
    case, found = tilted()
    slab = found.slab
    assert slab is not None
    assert abs(slab.tilt_offset_deg - TILTED[0]) < 3 * slab.sigma_tilt_offset_deg < 3.5
    assert abs(slab.x_tilt_deg - TILTED[1]) < 3 * slab.sigma_x_tilt_deg < 4.5
    # Centres within 0.16 of the edge, mean semi-axes of 0.02: the structure ends between the two.
    assert -1 < slab.thickness_px - 0.16 * 64 < 1 + 0.04 * 64
    np.testing.assert_allclose(found.angles_deg, case.angles_deg + slab.tilt_offset_deg)
    assert found.x_tilts_deg is not None
    np.testing.assert_allclose(found.x_tilts_deg, slab.x_tilt_deg)
    assert any(line.startswith("slab: tilt offset") for line in found.method)
    # Level support for a slab that lay tilted leaves 0.06 px (0.9 px across the axis of 128 px images).
    across, along = without_gauge(
        found.shifts_px - case.shifts_px, case.angles_deg, found.tilt_axis_deg
    )
    assert np.hypot(np.sqrt(np.mean(across**2)), np.sqrt(np.mean(along**2))) < 0.045


def test_laid_level_it_fits_the_images_as_before() -> None:
    case, found = tilted()
    assert found.slab is not None
    assert found.x_tilts_deg is not None
    # The specimen as it lay in the holder: seen by the fast projector, where level it takes the general one.
    geometry = Geometry.from_alignment(found).oriented(
        rotation_matrix(y_deg=found.slab.tilt_offset_deg, x_deg=found.slab.x_tilt_deg).T
    )
    assert not geometry.crosses_y
    before = replace(
        found,
        angles_deg=geometry.angles_deg,
        shifts_px=geometry.shifts_px,
        rotations_deg=geometry.rotations_deg - found.tilt_axis_deg,
        x_tilts_deg=None,
    )
    np.testing.assert_allclose(before.angles_deg, case.angles_deg, atol=1e-9)
    scores = score_alignments(case.images, {"level": found, "tilted": before})
    level, lay = (scores[name].mean_holdout() for name in ("level", "tilted"))
    # The score's volume is thin: what lay tilted sticks out of it at the borders.
    assert 0.9 * lay < level < lay


def test_a_slab_is_left_as_it_lies_when_asked_for() -> None:
    case = make_case("slab", lying=TILTED, seed=3, walk=1.0, n_tilts=15, shape=(64, 64))
    settings = AlignSettings(
        level="no", iterations=1, beads="no", specimen="slab", tilt_axis=0.0, refine_axis=False
    )
    found = align_tilt_series(case.images, case.angles_deg, settings=settings)
    assert found.slab is None
    assert found.x_tilts_deg is None
    np.testing.assert_allclose(found.angles_deg, case.angles_deg, atol=1e-12)


@pytest.mark.parametrize("kind", ["particle", "needle"])
def test_nothing_is_made_up_where_there_is_no_slab(kind: str) -> None:
    case = make_case(kind, seed=2, shape=(40, 40), n_tilts=11, walk=1.0)
    settings = AlignSettings(iterations=1, beads="no")
    found = align_tilt_series(case.images, case.angles_deg, settings=settings)
    assert found.slab is None
    assert found.x_tilts_deg is None
    np.testing.assert_array_equal(found.angles_deg, case.angles_deg)


def test_estimates_are_combined_by_their_variances() -> None:
    both = Estimate(1.0, 1.0).with_(Estimate(4.0, 2.0))
    assert both.value == pytest.approx(1.6)
    assert both.sigma == pytest.approx(np.sqrt(0.8))
    assert Estimate(1.0, 1.0).agrees(Estimate(4.0, 2.0))
    assert not Estimate(1.0, 1.0).agrees(replace(Estimate(4.0, 1.0)))
