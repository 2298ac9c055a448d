# SPDX-License-Identifier: BSD-3-Clause
"""Volumes that are turned against each other, whole and with missing wedges."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from turned_blobs import Blobs

from cryolith import CancelToken
from cryolith.align import register_volumes
from cryolith.align.turns import rotations
from cryolith.errors import Cancelled, InputError
from cryolith.projection import rotation_matrix

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


def volumes(
    seed: int, edge: int, matrix: Float64, shift: npt.ArrayLike, noise: float
) -> tuple[Float32, Float32]:
    """Two views of one scene of contrast 1, with noise of this standard deviation."""
    scene, rng = Blobs(seed, edge, axes=3, count=200), np.random.default_rng(seed)
    views = scene.plain, scene.view(matrix, np.asarray(shift, float))
    a, b = ((v / 0.15 + rng.normal(0, noise, v.shape)).astype(np.float32) for v in views)
    return a, b


def wedge(edge: int, axis: int) -> Float32:
    """1 for what tilts of +-60 degrees about an axis of (z, y, x) see: |f_z| <= tan 60 |f_across|."""
    f = np.meshgrid(*[np.fft.fftfreq(edge)] * 2, np.fft.rfftfreq(edge), indexing="ij")
    across = f[2] if axis == 1 else f[1]
    return (np.abs(f[0]) <= np.tan(np.pi / 3) * np.abs(across) + 1e-9).astype(np.float32)


def through(volume: Float32, gain: Float32) -> Float32:
    whole = np.fft.rfftn(volume) * gain
    return np.fft.irfftn(whole, s=volume.shape, axes=(0, 1, 2)).astype(np.float32)


def angle_between(one: Float64, other: Float64) -> float:
    cosine = (np.trace(one.T @ other) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def test_a_known_rotation_is_found_with_honest_errors() -> None:
    z = []
    for seed, angles in enumerate([(5.0, -8.0, 12.0), (-9.0, 3.0, -4.0), (2.0, 11.0, 9.0)]):
        truth = np.array([1.5, -2.25, 0.75])
        matrix = rotation_matrix(x_deg=angles[0], y_deg=angles[1], z_deg=angles[2])
        a, b = volumes(seed, 40, matrix, truth, noise=1.0)
        found = register_volumes(a, b, max_shift=5, threads=1)
        z.append((found.shift_px - truth) / found.sigma_px)
        z.append((np.asarray(found.rotation_deg) - angles) / found.sigma_rotation_deg)
        assert found.magnification == pytest.approx(1, abs=1e-9)
        assert found.peak > 0.5
    # 18 samples: the root mean square of true normals lies in 0.5 to 1.6 (3.5 sigma).
    assert 0.5 < np.sqrt(np.mean(np.square(z))) < 1.6


def test_half_a_turn_is_found_when_asked_for() -> None:
    matrix = rotation_matrix(x_deg=20, y_deg=15, z_deg=140)
    a, b = volumes(3, 32, matrix, (1, 0, -1), noise=0.3)
    found = register_volumes(a, b, max_rotation_deg=180, max_shift=3, threads=1)
    assert angle_between(found.matrix, matrix) < 1.0
    assert angle_between(register_volumes(a, b, max_shift=3, threads=1).matrix, matrix) > 90


def test_a_wedge_that_is_told_does_not_pull() -> None:
    errors = {}
    gains = wedge(48, 1), wedge(48, 2)
    matrix = rotation_matrix(x_deg=6, y_deg=-4, z_deg=3)
    seen = volumes(1, 48, matrix, (0.5, 1, -1), noise=0.5)
    a, b = (through(v, g) for v, g in zip(seen, gains, strict=True))
    for told in (True, False):
        cover: dict[str, Any] = dict(coverage_a=gains[0], coverage_b=gains[1]) if told else {}
        found = register_volumes(a, b, max_rotation_deg=10, max_shift=4, threads=1, **cover)
        errors[told] = angle_between(found.matrix, matrix)
    assert errors[True] < 1.0
    assert errors[True] < 0.7 * errors[False]


def test_a_shift_alone_and_missing_voxels() -> None:
    a, b = volumes(4, 32, np.eye(3), (2.5, -1.5, 3.0), noise=0.3)
    a[10:14, 5:20], b[10:14, 5:20] = np.nan, np.nan
    found = register_volumes(a, b, model="shift")
    np.testing.assert_array_equal(found.matrix, np.eye(3))
    assert (np.abs(found.shift_px - [2.5, -1.5, 3.0]) < 4 * found.sigma_px).all()
    assert found.sigma_px.max() < 0.1
    mask = np.isfinite(a)
    masked = register_volumes(np.nan_to_num(a), b, model="shift", mask_a=mask)
    np.testing.assert_array_equal(masked.shift_px, found.shift_px)


@pytest.mark.parametrize("most", [20.0, 90.0])
def test_rotations_reach_everywhere(most: float) -> None:
    rng, reach = np.random.default_rng(5), 14.0
    lattice = np.array(rotations(most, reach))
    for _ in range(100):
        axis, angle = rng.normal(size=3), np.deg2rad(rng.uniform(0, most))
        x, y, z = axis / np.linalg.norm(axis) * angle
        generator = np.array([[0, x, -y], [-x, 0, z], [y, -z, 0]])
        turned, term = np.eye(3), np.eye(3)
        for k in range(1, 30):
            term = term @ generator / k
            turned = turned + term
        traces = np.einsum("nij,ij->n", lattice, turned)
        # Rotation vectors lie at least as far apart as their rotations.
        assert np.degrees(np.arccos(min(1.0, (traces.max() - 1) / 2))) < reach


def test_progress_rises_and_cancel_stops() -> None:
    a, b = volumes(6, 24, np.eye(3), (0, 0, 0), noise=0.3)
    seen: list[float] = []
    register_volumes(a, b, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        register_volumes(a, b, cancel=token)


CUBE = np.ones((16, 16, 16))


@pytest.mark.parametrize(
    ("b", "options", "words"),
    [
        (np.ones((16, 16, 17)), {}, "b: found shape"),
        (np.ones((16, 16)), {}, "b: found shape"),
        (np.full((16, 16, 16), np.nan), {}, "b: found no pixel to use"),
        (CUBE, {"model": "stretch"}, "model: found 'stretch'"),
        (
            CUBE,
            {"coverage_a": CUBE},
            r"coverage_a: found shape \(16, 16, 16\), expected \(16, 16, 9\)",
        ),
        (CUBE, {"coverage_b": np.full((16, 16, 9), np.nan)}, "coverage_b: found NaN"),
        (CUBE, {"max_rotation_deg": 181}, "max_rotation_deg: found 181"),
        (CUBE, {"max_shift": -1}, "max_shift: found -1"),
        (CUBE, {"mask_a": np.ones((16, 16), bool)}, "mask_a: found bool"),
    ],
)
def test_what_cannot_be_registered_is_refused(
    b: npt.NDArray[np.float64], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        register_volumes(CUBE, b, **options)


def test_small_volumes_are_refused() -> None:
    with pytest.raises(InputError, match="expected at least 16 voxels"):
        register_volumes(np.ones((15, 20, 20)), np.ones((15, 20, 20)))
