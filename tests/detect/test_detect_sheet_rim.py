# SPDX-License-Identifier: BSD-3-Clause
"""Rims of sheets by likelihood: outline, bend, amplitude and the error of the area."""

from __future__ import annotations

import numpy as np
import pytest

from cryolith.detect._gaussian_blobs import gaussian_blobs
from cryolith.detect._imaging import Plain
from cryolith.detect._oriented_bank import OrientedBank
from cryolith.detect._sheet_rim import fit_patch, waves
from cryolith.detect._spectrum import Spectra
from cryolith.detect._tube_fit import Beads

N, WIDTH = 40, 1.5


@pytest.fixture(scope="module")
def bank() -> OrientedBank:
    spectra = Spectra((N, N, N), 1, None)
    power = np.ones(spectra.terms, np.float32)
    return OrientedBank(
        spectra, Plain(spectra, None), "sheets", np.array([WIDTH]), 5.0, power, directions=13
    )


def seen(bank: OrientedBank, volume: np.ndarray) -> Beads:
    return Beads(bank, bank.spectra.inverse(bank.filtered(volume.astype(np.float32))), WIDTH)


def sheet(half: float, shape: str, bend: float = 0.0) -> np.ndarray:
    """A disc or a square across z about the middle, of height ``bend`` at a distance of ``half``, of fine beads."""
    y, x = (np.mgrid[-half:half:0.5, -half:half:0.5] + 0.25).reshape(2, -1)
    inside = np.hypot(y, x) <= half if shape == "disc" else np.ones(len(y), bool)
    y, x = y[inside], x[inside]
    places = np.stack([bend * (y**2 + x**2) / half**2, y, x], axis=1) + (N - 1) / 2
    area = 0.25 * np.sqrt(1 + (2 * bend / half**2) ** 2 * (y**2 + x**2))
    heights = area / (2 * np.pi * WIDTH**2)
    return gaussian_blobs((N, N, N), places, np.full(len(y), WIDTH), heights)


def traced(half: float, bend: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rough nodes over a disc, and their normals."""
    y, x = np.mgrid[-half : half + 1, -half : half + 1].reshape(2, -1)
    y, x = y[np.hypot(y, x) <= half], x[np.hypot(y, x) <= half]
    z = bend * (y**2 + x**2) / half**2 + rng.normal(0, 0.7, len(y))
    nodes = np.stack([z, y + 0.8, x - 0.6], axis=1) + (N - 1) / 2
    return nodes, np.tile([1.0, 0.0, 0.0], (len(y), 1))


def test_waves_are_those_of_the_angle() -> None:
    np.testing.assert_allclose(waves(np.array([np.pi / 2]), 5), [[1, 0, 1, -1, 0]], atol=1e-15)


@pytest.mark.parametrize(
    ("shape", "bend", "area"),
    [("disc", 0.0, np.pi * 81), ("disc", 3.0, np.pi * 81), ("square", 0.0, 324.0)],
)
def test_without_noise_area_amplitude_and_bend_are_those_of_the_sheet(
    bank: OrientedBank, rng: np.random.Generator, shape: str, bend: float, area: float
) -> None:
    beads = seen(bank, -2 * sheet(9.0, shape, bend))
    nodes, normals = traced(11.0, bend, rng)  # half as large again
    found = fit_patch(beads, nodes, normals, np.ones(len(nodes)), -1)
    assert found is not None
    radius = 9.0
    # Area of a paraboloid of that bend; 0 bend: of the disc.
    slope = 2 * bend / radius
    stretch = 1.0 if bend == 0 else ((1 + slope**2) ** 1.5 - 1) / (1.5 * slope**2)
    assert found.area == pytest.approx(area * stretch, rel=0.03)
    assert found.shares.sum() == pytest.approx(found.area)
    # Four waves round the corners of a square.
    assert found.amplitude == pytest.approx(2.0, rel=0.03 if shape == "disc" else 0.08)
    z, y, x = found.nodes.T - (N - 1) / 2
    # Bent to a radius of 13 px it comes out flatter: heights move as if its overlap with itself stayed the same.
    atol = 0.35 if bend == 0 else 0.9
    np.testing.assert_allclose(z, bend * (y**2 + x**2) / radius**2, atol=atol)
    np.testing.assert_allclose(np.linalg.norm(found.normals, axis=1), 1.0)
    corners = found.nodes[found.squares]
    np.testing.assert_allclose(np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1), 1.0, atol=0.3)


def test_areas_in_noise_are_wrong_by_as_much_as_is_said(bank: OrientedBank) -> None:
    # 16 errors over their standard deviation: the sum of squares is within 5.8 to 32 (98 %) if the errors are right.
    rng, there, errors = np.random.default_rng(3), sheet(9.0, "disc"), []
    nodes, normals = traced(9.0, 0.0, rng)
    for _ in range(16):
        noise = rng.standard_normal((N, N, N), dtype=np.float32)
        found = fit_patch(seen(bank, there + noise), nodes, normals, np.ones(len(nodes)), 1)
        assert found is not None
        errors.append((found.area - np.pi * 81) / found.sigma_area)
    assert 5.8 < np.square(errors).sum() < 32


def test_what_is_no_quadric_or_of_the_other_sign_is_not_fitted(
    bank: OrientedBank, rng: np.random.Generator
) -> None:
    beads = seen(bank, sheet(9.0, "disc"))
    nodes, normals = traced(9.0, 0.0, rng)
    ones = np.ones(len(nodes))
    assert fit_patch(beads, nodes, normals, ones, -1) is None
    rough = nodes + rng.normal(0, 3, nodes.shape)
    assert fit_patch(beads, rough, normals, ones, 1) is None
    steep = np.tile([0.3, 0.0, 0.954], (len(nodes), 1))
    assert fit_patch(beads, nodes, steep, ones, 1) is None
    assert fit_patch(beads, nodes + np.array([0, 20, 0]), normals, ones, 1) is None  # half outside
