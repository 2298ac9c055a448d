# SPDX-License-Identifier: BSD-3-Clause
"""What differs between tilts besides shifts: found where it is there, left alone where it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from specimens import ellipsoids, projections

from cryolith.align import AlignSettings, align_tilt_series
from cryolith.align.joint import Model, Pose, drifts, solve
from cryolith.align.quality import unevenness
from cryolith.datamodel import Alignment

Float64 = npt.NDArray[np.float64]

EDGE, TILTS = 64, 21
ANGLES = np.linspace(-60.0, 60.0, TILTS)
SETTINGS = AlignSettings(beads="no")


def series(
    magnifications: Float64, rotations_deg: Float64, seed: int
) -> tuple[npt.NDArray[np.float32], Float64]:
    """Return images of a particle that is magnified and turned anew for each tilt, and their shifts."""
    rng = np.random.default_rng(seed)
    centres, forms, density = ellipsoids("particle", EDGE, rng)
    shifts = np.cumsum(rng.normal(0, 1, (TILTS, 2)), axis=0)
    ideal = np.array(
        [
            projections(
                (centres * m, forms / m**2, density / m),
                (EDGE, EDGE),
                ANGLES[i : i + 1],
                3.0 + rotations_deg[i],
                shifts[i : i + 1],
            )[0]
            for i, m in enumerate(magnifications)
        ]
    )
    return rng.poisson(1000 * (0.03 + ideal / ideal.max())).astype(np.float32), shifts


def error(found: Alignment, shifts: Float64, magnifications: Float64) -> float:
    """Root mean square error of the shifts [px], less what moving the specimen does."""
    m, t = magnifications, np.deg2rad(ANGLES)
    psi = np.deg2rad(3.0)
    turn = np.array([[np.cos(psi), np.sin(psi)], [-np.sin(psi), np.cos(psi)]])
    v, u = ((found.shifts_px - shifts) @ turn).T
    basis = m[:, None] * np.c_[np.cos(t), np.sin(t)]
    u = u - basis @ np.linalg.lstsq(basis, u, rcond=None)[0]
    v = v - m * (m @ v) / (m @ m)
    return float(np.sqrt(np.mean(u**2 + v**2)))


def test_a_drift_of_the_magnification_is_found() -> None:
    m = 1 + 0.12 * np.abs(ANGLES / 60)
    images, shifts = series(m, np.zeros(TILTS), seed=21)
    found = align_tilt_series(images, ANGLES, settings=SETTINGS)
    assert found.magnifications is not None
    assert found.magnifications.mean() == pytest.approx(1, abs=1e-9)
    assert np.abs(found.magnifications / (m / m.mean()) - 1).max() < 0.01
    assert abs(found.tilt_axis_deg - 3.0) < 0.5
    assert error(found, shifts, m) < 0.05
    assert not found.flags
    assert any(
        line.startswith("magnification (a smooth drift): kept, held-out") for line in found.method
    )
    # Without it held-out tilts are predicted worse and the shifts are off.
    fixed = align_tilt_series(
        images, ANGLES, settings=replace(SETTINGS, refine_magnification=False)
    )
    assert fixed.magnifications is None
    assert fixed.holdout_residual > 1.1 * found.holdout_residual
    assert error(fixed, shifts, m) > 1.3 * error(found, shifts, m)


def test_a_rotation_of_the_images_is_found() -> None:
    turns = 3.0 * np.sin(np.deg2rad(1.5 * ANGLES))
    images, shifts = series(np.ones(TILTS), turns, seed=22)
    found = align_tilt_series(images, ANGLES, settings=SETTINGS)
    assert found.rotations_deg is not None
    assert np.abs(found.rotations_deg - (turns - turns.mean())).max() < 0.3
    assert error(found, shifts, np.ones(TILTS)) < 0.1
    assert any(line.startswith("rotation (") and "kept" in line for line in found.method)


def test_nothing_is_freed_where_only_shifts_differ() -> None:
    images, _ = series(np.ones(TILTS), np.zeros(TILTS), seed=23)
    found = align_tilt_series(images, ANGLES, settings=SETTINGS)
    assert found.magnifications is None
    assert found.rotations_deg is not None
    assert not found.rotations_deg.any()


@pytest.fixture
def posed() -> tuple[Model, Pose, npt.NDArray[np.float32]]:
    """A model of random images, its pose and a density."""
    rng = np.random.default_rng(5)
    shape = (12, 24, 12)
    z, y, x = np.mgrid[:12, :24, :12]
    near = (np.hypot(z - 5.5, x - 5.5) < 4.5) & (abs(y - 11.5) < 8)
    density = (rng.uniform(size=shape) * near).astype(np.float32)
    model = Model(
        images=np.zeros((9, 20, 20), np.float32),
        angles_deg=np.linspace(-60, 60, 9),
        shape=shape,
        support=np.ones((12, 1, 12), np.float32),
        weights=np.ones((9, 1, 1), np.float32),
        ridge=0.01,
    )
    pose = Pose.of_shifts(np.zeros((9, 2)), 2.0)
    return replace(model, images=model.operator(pose).project(density)), pose, density


@pytest.mark.parametrize("name", ["magnifications", "rotations_deg"])
def test_moves_stay_in_their_basis_and_point_the_right_way(
    posed: tuple[Model, Pose, npt.NDArray[np.float32]], name: str
) -> None:
    model, pose, density = posed
    basis = drifts(9, 2)
    np.testing.assert_allclose(basis.mean(axis=0), 0, atol=1e-12)
    true = basis @ ([0.004, 0.006] if name == "magnifications" else [0.3, 0.5])
    moved = pose.moved(name, true)
    images = model.operator(moved).project(density)
    found = solve(replace(model, images=images), pose, density, 30, {name: basis}).moves[:, 2]
    np.testing.assert_allclose(
        basis @ np.linalg.lstsq(basis, found, rcond=None)[0], found, atol=1e-9
    )
    # The density takes part in the fit, so that one round may find a part of it.
    share = float(found @ true / (true @ true))
    assert 0.1 < share < 1.3


def test_unevenness_tells_residuals_that_are_not_white() -> None:
    noise = np.random.default_rng(6).normal(size=(9, 20, 20)).astype(np.float32)
    assert unevenness(noise, 1.0) == pytest.approx(1, abs=0.1)
    f = np.hypot(np.fft.fftfreq(20)[:, None], np.fft.rfftfreq(20)[None])
    red = np.fft.irfft2(np.fft.rfft2(noise) * (f < 0.25), s=(20, 20)).astype(np.float32)
    assert unevenness(red, 1.0) > 10
    assert unevenness(red, 2.0) < 1.3
