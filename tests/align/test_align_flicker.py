# SPDX-License-Identifier: BSD-3-Clause
"""Grains that go in and out of a Bragg condition: their intensities taken out of residuals, their edges kept."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from reference.flicker import local_intensities
from specimens import ellipsoids, projections, without_gauge

from cryolith.align import AlignSettings, align_tilt_series
from cryolith.align.flicker import LocalIntensities

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

EDGE, TILTS = 64, 21
ANGLES = np.linspace(-60.0, 60.0, TILTS)


def bumps(count: int, shape: tuple[int, int], seed: int) -> Float32:
    """Images (count, height, width) of smooth bumps with mean square 1, partly outside the borders."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    images = np.zeros((count, *shape))
    for image in images:
        for cy, cx in rng.uniform(0, 1, (5, 2)) * shape:
            image += rng.uniform(0.5, 1) * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 30)
    return (images / np.sqrt((images**2).mean())).astype(np.float32)


def test_the_same_as_the_definition() -> None:
    rng = np.random.default_rng(1)
    predicted = bumps(3, (13, 17), 1) - np.float32(0.1)
    residual = rng.normal(size=predicted.shape).astype(np.float32)
    intensities = LocalIntensities.of(predicted, 1, None)
    found = intensities.without(residual)
    for image, r, seen in zip(predicted.astype(float), residual.astype(float), found, strict=True):
        wanted = (local_intensities(image) @ r.ravel()).reshape(r.shape)
        # Two windows of 81 pixels in float32, residuals of up to 4.
        np.testing.assert_allclose(seen, wanted, atol=1e-5)
    part = intensities.subset(slice(1, None)).without(residual[1:])
    np.testing.assert_array_equal(part, found[1:])


def test_a_misfit_that_is_symmetric_and_not_negative() -> None:
    m = local_intensities(bumps(1, (12, 15), 2)[0].astype(float))
    np.testing.assert_allclose(m, m.T, atol=1e-12)
    assert np.linalg.eigvalsh(m).min() > -1e-12
    share = LocalIntensities.of(bumps(20, (12, 15), 3), 1, None).share()
    exact = [np.trace(local_intensities(a.astype(float))) / a.size for a in bumps(20, (12, 15), 3)]
    assert share == pytest.approx(np.mean(exact), abs=0.02)


def test_intensities_that_change_slowly_are_taken_out_and_what_is_finer_stays() -> None:
    predicted = bumps(1, (40, 40), 4)
    y, x = np.mgrid[:40, :40]
    slow = predicted * (0.3 * np.sin(2 * np.pi * (x + y) / 40)).astype(np.float32)
    fine = predicted * (0.3 * np.cos(np.pi * x)).astype(np.float32)
    intensities = LocalIntensities.of(predicted, 1, None)

    def left(residual: Float32) -> float:
        return float((residual * intensities.without(residual)).sum() / (residual**2).sum())

    assert left(slow) < 0.05
    assert left(fine) > 0.8


def flickering(seed: int, spread: float) -> tuple[Float32, Float64]:
    """Images of a particle whose grains have intensities anew in each tilt (``spread`` of the log), and shifts."""
    rng = np.random.default_rng(seed)
    centres, forms, density = ellipsoids("particle", EDGE, rng)
    shifts = np.cumsum(rng.normal(0, 1, (TILTS, 2)), axis=0)
    ideal = np.array(
        [
            projections(
                (centres, forms, density * np.exp(rng.normal(0, spread, len(density)))),
                (EDGE, EDGE),
                ANGLES[i : i + 1],
                4.0,
                shifts[i : i + 1],
            )[0]
            for i in range(TILTS)
        ]
    )
    return rng.poisson(1000 * (0.03 + ideal / ideal.max())).astype(np.float32), shifts


def test_a_flickering_particle_is_aligned_free_of_its_intensities() -> None:
    images, shifts = flickering(32, 0.35)
    found = align_tilt_series(images, ANGLES, settings=AlignSettings(beads="no"))
    told = [line for line in found.method if line.startswith("local intensities: ")]
    assert len(told) == 1
    assert "taken out" in told[0]
    assert any(line.startswith("residuals: ") for line in found.method)
    # Noise alone would state 0.35 deg here, for an error of 0.94.
    assert abs(found.tilt_axis_deg - 4.0) < 2 * found.sigma_tilt_axis_deg < 4.0
    e = without_gauge(found.shifts_px - shifts, ANGLES, 4.0)
    assert np.sqrt(np.mean(np.sum(np.square(e), axis=0))) < 0.2
