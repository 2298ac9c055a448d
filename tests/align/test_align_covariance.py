# SPDX-License-Identifier: BSD-3-Clause
"""The covariance of a pose against its definition, against repeated noise, and against moves of the specimen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from bead_cases import ANGLES as BEAD_ANGLES
from bead_cases import aligned
from reference.covariance import information as information_by_definition
from specimens import make_case

from cryolith.align import AlignSettings, align_tilt_series
from cryolith.align.bundle import Extras, View, adjust, project_points
from cryolith.align.covariance import pose_covariance
from cryolith.align.joint import Model, Pose, drifts, refine, solve
from cryolith.align.levels import round_support, with_ridge
from cryolith.align.pose_covariance import PoseCovariance, blind_to, translations
from cryolith.align.rows import Row, information
from cryolith.datamodel import Alignment

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

ANGLES = np.linspace(-60.0, 60.0, 13)
EDGE, NOISE = 32, 0.6


def test_information_is_that_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    n, voxels, rows, columns, rho = 4, 11, 5, 6, 0.7
    projector = rng.normal(size=(n, voxels, columns))
    slopes = rng.normal(
        size=(4, n, rows, columns)
    )  # along, across, one more of each tilt, the axis
    flat = projector.transpose(1, 0, 2).reshape(voxels, -1)
    row = Row(projector, np.linalg.inv(flat @ flat.T + np.eye(voxels) / rho))
    each = np.zeros((3, n, n, rows, columns))
    for i in range(n):
        each[:, i, i] = slopes[:3, i]
    parts = [*each[0], *each[1], slopes[3], *each[2]]
    for axis in (True, False):
        derivatives = np.array(parts if axis else [*each[0], *each[1], *each[2]])
        expected = information_by_definition(projector, rho, derivatives)
        # Sums of 220 products of numbers about 1, in another order.
        np.testing.assert_allclose(information(row, slopes, axis), expected, atol=1e-11)


def specimen(seed: int) -> Float32:
    """Return Gaussian grains in a ball (EDGE, EDGE, EDGE)."""
    rng = np.random.default_rng(seed)
    grid = np.mgrid[:EDGE, :EDGE, :EDGE] - (EDGE - 1) / 2
    out = np.zeros((EDGE,) * 3)
    for _ in range(40):
        centre = rng.normal(size=3)
        centre *= 9 * rng.uniform() ** (1 / 3) / np.linalg.norm(centre)
        square = ((grid - centre[:, None, None, None]) ** 2).sum(axis=0)
        out += rng.uniform(0.3, 1.0) * np.exp(-square / (2 * rng.uniform(1.0, 1.8) ** 2))
    return out.astype(np.float32)


def model_of(images: Float32, support: Float32) -> Model:
    return Model(
        images=images,
        angles_deg=ANGLES,
        shape=(support.shape[0], EDGE, support.shape[2]),
        support=support,
        weights=np.ones((len(ANGLES), 1, 1), np.float32),
        ridge=0.05,
        threads=1,
    )


def repeated(count: int) -> tuple[Float64, Float64]:
    """Return errors (count, 26) of shifts refined from images with new noise each, and their mean covariance."""
    pose = Pose.of_shifts(np.random.default_rng(4).uniform(-1, 1, (len(ANGLES), 2)), 6.0)
    empty = np.zeros((len(ANGLES), EDGE, EDGE), np.float32)
    whole = model_of(empty, np.ones((EDGE, 1, EDGE), np.float32))
    clean = whole.operator(pose).project(specimen(3))
    errors, stated = [], []
    for seed in range(count):
        noise = NOISE * np.random.default_rng([seed, 1]).standard_normal(clean.shape, np.float32)
        model, _ = with_ridge(model_of(clean + noise, round_support(26.0)), pose)
        found, solution = refine(model, pose, rounds=6, iterations=20, tolerance=0.0)
        errors.append((found.shifts_px - pose.shifts_px).ravel())
        one = pose_covariance(model, found, solution, {}, isolated=True, axis=False)
        stated.append(one.matrix)
    return np.array(errors) @ blind_to(translations(pose, ANGLES), 26), np.mean(stated, axis=0)


def test_the_scatter_over_repeated_noise_is_that_of_the_covariance() -> None:
    count = 16
    errors, covariance = repeated(count)
    errors -= errors.mean(axis=0)
    variances, modes = np.linalg.eigh(covariance)
    # A move of the specimen is not seen.
    assert np.abs(variances[:3]).max() < 1e-12 * variances[-1]
    z2 = ((errors @ modes[:, 3:]) ** 2).sum(axis=0) / (count - 1) / variances[3:]
    # Chi-square of 15 a mode, three standard deviations; as much again for the 10 independent rows of each of 16.
    sure, unsure = z2[:12], z2[12:]
    for part in (sure, unsure):
        assert abs(part.mean() - 1) < 3 * np.sqrt(2 / (len(part) * (count - 1)) + 2 / (10 * count))


def test_an_alignment_carries_the_covariance_of_what_was_found() -> None:
    case = make_case("particle", seed=4, shape=(48, 48), n_tilts=13, walk=1.0)
    images = case.images.copy()
    images[3] = 7.0
    found = align_tilt_series(images, case.angles_deg, settings=AlignSettings(iterations=2))
    assert list(found.flags) == [3]
    c = found.covariance
    assert c is not None
    assert "shift_row_px[3]" not in c.names
    assert len(c.names) == 12 * 2 + ("tilt_axis_deg" in c.names)
    sigma = np.stack([c.sigma("shift_row_px", 13), c.sigma("shift_column_px", 13)], axis=1)
    assert found.sigma_shifts_px is not None
    np.testing.assert_array_equal(sigma, found.sigma_shifts_px)
    _is_blind(found)


def _is_blind(found: Alignment) -> None:
    """A move of the specimen has no variance, anything else has some."""
    c, kept = found.covariance, found.kept
    assert c is not None
    n = int(kept.sum())
    turns = np.zeros(n) if found.rotations_deg is None else found.rotations_deg[kept]
    m = np.ones(n) if found.magnifications is None else found.magnifications[kept]
    pose = Pose(
        shifts_px=found.shifts_px[kept],
        tilt_axis_deg=found.tilt_axis_deg,
        rotations_deg=turns,
        magnifications=m,
    )
    moves = translations(pose, found.angles_deg[kept])
    shifts = c.matrix[: 2 * n, : 2 * n]
    # Rounding of products of 2 n numbers, against the largest of them.
    assert np.abs(shifts @ moves).max() < 1e-10 * np.abs(shifts).max()
    assert np.linalg.eigvalsh(shifts)[3] > 0


def test_magnifications_that_were_free_have_errors_of_their_own() -> None:
    case = make_case("particle", seed=2, shape=(48, 48), n_tilts=13, walk=0.5)
    n = len(case.angles_deg)
    images = case.images / case.images.std()
    support = round_support(44.0)
    model = Model(
        images=(images - np.percentile(images, 5)).astype(np.float32),
        angles_deg=case.angles_deg,
        shape=(support.shape[0], 56, support.shape[2]),
        support=support,
        weights=np.ones((n, 1, 1), np.float32),
        ridge=0.05,
        threads=1,
    )
    pose = Pose.of_shifts(case.shifts_px, case.tilt_axis_deg)
    free = {"magnifications": drifts(n, 2), "rotations_deg": drifts(n, n - 1)}
    pose, solution = refine(model, pose, rounds=3, iterations=15, free=free)
    found = pose_covariance(model, pose, solution, free, isolated=True, axis=True)
    assert found.others == tuple(free)
    assert found.matrix.shape == (4 * n + 1, 4 * n + 1)
    sizes, turns = (slice(2 * n + 1 + k * n, 2 * n + 1 + (k + 1) * n) for k in range(2))
    # Two half waves have two degrees of freedom; the mean of each is held.
    rank = [
        int(
            (
                np.linalg.eigvalsh(found.matrix[p, p]) > 1e-12 * np.abs(found.matrix[p, p]).max()
            ).sum()
        )
        for p in (sizes, turns)
    ]
    assert rank == [2, n - 1]
    held = pose_covariance(model, pose, solution, {}, isolated=True, axis=True)
    told = held.sigma_shifts_px.mean()
    assert found.sigma_shifts_px.mean() > told
    c = found.named(np.arange(n))
    assert np.isfinite(c.sigma("magnification", n)).all()
    assert np.isfinite(c.sigma("rotation_deg", n)).all()


def test_a_tilt_that_shows_nothing_has_a_large_error() -> None:
    support = round_support(26.0)
    shifts = np.zeros((len(ANGLES), 2))
    shifts[3] = 200.0
    pose = Pose.of_shifts(shifts, 6.0)
    empty = model_of(
        np.zeros((len(ANGLES), EDGE, EDGE), np.float32), np.ones((EDGE, 1, EDGE), np.float32)
    )
    noise = np.random.default_rng(0).standard_normal(empty.images.shape, np.float32)
    images = empty.operator(pose).project(specimen(3)) + np.float32(NOISE) * noise
    model, _ = with_ridge(model_of(images, support), pose)
    found = pose_covariance(model, pose, solve(model, pose, None, 20), {}, isolated=True, axis=True)
    sigma = found.named(np.arange(len(ANGLES))).sigma("shift_row_px", len(ANGLES))
    assert np.isfinite(found.matrix).all()
    assert sigma[3] > 10 * np.median(sigma)


def test_another_origin_turns_with_the_axis() -> None:
    n, rng = 9, np.random.default_rng(1)
    t = np.linspace(-60, 60, n)
    pose = Pose(
        shifts_px=np.zeros((n, 2)),
        tilt_axis_deg=10.0,
        rotations_deg=rng.normal(0, 1, n),
        magnifications=rng.uniform(0.9, 1.1, n),
    )
    root = rng.normal(size=(5 * n + 1, 5 * n + 1))
    names = ("rotations_deg", "magnifications", "angles_deg")
    before = PoseCovariance(matrix=root @ root.T, n=n, axis=True, others=names)
    origin = np.array([3.0, -5.0, 7.0])  # along y, x, z

    def moves(axis: float, turns: Float64, m: Float64, angles: Float64) -> Float64:
        one = Pose(
            shifts_px=pose.shifts_px, tilt_axis_deg=axis, rotations_deg=turns, magnifications=m
        )
        return translations(one, angles) @ origin

    at = (pose.tilt_axis_deg, pose.rotations_deg, pose.magnifications, t)
    jacobian = np.eye(5 * n + 1)
    step = 1e-6
    for k in range(3 * n + 1):
        high, low = ([np.array(a, float) for a in at] for _ in range(2))
        part, i = (0, ()) if k == 0 else ((k - 1) // n + 1, (k - 1) % n)
        high[part][i] += step
        low[part][i] -= step
        jacobian[: 2 * n, 2 * n + k] = (moves(*high) - moves(*low)) / (2 * step)
    jacobian = blind_to(translations(pose, t), 5 * n + 1) @ jacobian
    found = before.recentred(pose, t, moves(*at).reshape(n, 2))
    # Differences of a step 1e-6 at 10 px: rounding 1e-15 / 1e-6, times a matrix of 100.
    np.testing.assert_allclose(found.matrix, jacobian @ before.matrix @ jacobian.T, atol=1e-5)


def test_the_covariance_of_a_bundle_is_that_of_repeated_noise() -> None:
    rng = np.random.default_rng(0)
    angles = np.linspace(-60, 60, 15)
    n, m, count = len(angles), 7, 60
    points = rng.uniform(-1, 1, (m, 3)) * [40, 200, 220]
    points -= points.mean(axis=0)
    view = View.simple(angles, 7.0, np.zeros((n, 2)))
    places, sigma = project_points(view, points), np.full((n, m), 0.1)
    extras = Extras(magnifications="smooth", tilt_scale=True)
    errors, stated = [], []
    pose = Pose.of_shifts(view.shifts_px, 7.0)
    for _ in range(count):
        noise = rng.normal(0, 0.1, places.shape)
        found = adjust(places + noise, sigma, view, points, extras)
        v = found.view
        scaled = angles * (v.tilt_scale - 1)
        errors.append(np.r_[v.shifts_px.ravel(), v.tilt_axis_deg - 7, v.magnifications - 1, scaled])
        stated.append(found.of_tilts.recentred(pose, angles, view.shifts_px).matrix)
    assert found.of_tilts.others == ("magnifications", "angles_deg")
    blind = blind_to(translations(pose, angles), 4 * n + 1)
    scatter, covariance = np.array(errors) @ blind, np.mean(stated, axis=0)
    # Standard deviations of a variance from 60 draws are 18 %; 30 shifts are 60 numbers about as free.
    ratio = (scatter**2).mean(axis=0)[: 2 * n].sum() / np.trace(covariance[: 2 * n, : 2 * n])
    assert abs(ratio - 1) < 3 * np.sqrt(2 / (count * (2 * n - 3)) * 4)
    for k in (2 * n, 2 * n + 1, 3 * n + 1):
        assert abs((scatter[:, k] ** 2).mean() / covariance[k, k] - 1) < 3 * np.sqrt(2 / count)


def test_an_alignment_on_beads_carries_its_covariance() -> None:
    _, found = aligned("particle")
    assert found.beads is not None
    c = found.covariance
    assert c is not None
    assert "tilt_axis_deg" in c.names
    k = c.names.index("tilt_axis_deg")
    assert found.sigma_tilt_axis_deg == pytest.approx(np.sqrt(c.matrix[k, k]), rel=1e-12)
    sigma = np.stack(
        [c.sigma(f"shift_{a}_px", len(BEAD_ANGLES)) for a in ("row", "column")], axis=1
    )
    np.testing.assert_array_equal(sigma, found.sigma_shifts_px)
    _is_blind(found)
