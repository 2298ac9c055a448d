# SPDX-License-Identifier: BSD-3-Clause
"""Simulated tilt series with exactly known shifts: ellipsoids, whose projections are closed formulas.

No volume is made and nothing is interpolated, so the truth has no error of its own. The projection of an
ellipsoid ``(p - c)' Q (p - c) <= 1`` is the length of its chord along the beam.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cryolith.projection import rotation_matrix

Float64 = npt.NDArray[np.float64]
Specimen = tuple[Float64, Float64, Float64]


@dataclass(frozen=True)
class Case:
    """A series and its truth: the specimen point (x, y, z) lands as datamodel.Alignment says."""

    images: npt.NDArray[np.float32]
    angles_deg: Float64
    shifts_px: Float64
    tilt_axis_deg: float
    expected: npt.NDArray[np.float32]


def rotations(count: int, rng: np.random.Generator) -> Float64:
    w, x, y, z = (q := rng.normal(size=(4, count))) / np.linalg.norm(q, axis=0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)


@dataclass(frozen=True)
class Grains:
    """What differs between small images and those of the benchmarks; lengths in edges of the image.

    The slab's half width is a length; its grains and the needle's are numbers, their semi-axes ranges. The needle is
    ``radius`` thick, its grains fill ``filled`` of it, and its matrix is an ellipsoid around ``rod_centre`` along y.
    """

    slab_count: int
    slab_half: float
    slab_axes: tuple[float, float]
    needle_count: int
    needle_axes: tuple[float, float]
    needle_densities: tuple[float, float, float]
    radius: float
    filled: float
    rod_centre: float
    rod_axes: tuple[float, float]  # across in radii, along in edges


# Larger and fewer: seen by images of 40 to 128 px.
COARSE = Grains(
    slab_count=520,
    slab_half=0.7,
    slab_axes=(0.010, 0.030),
    needle_count=100,
    needle_axes=(0.015, 0.04),
    needle_densities=(0.6, 1.0, -0.4),
    radius=0.13,
    filled=0.8,
    rod_centre=-1.5,
    rod_axes=(1.2, 2.0),
)


def ellipsoids(kind: str, n: int, rng: np.random.Generator, grains: Grains = COARSE) -> Specimen:
    """Return centres (k, 3) in (x, y, z) [px], quadratic forms (k, 3, 3) and densities (k,)."""
    if kind == "slab":
        k, half = grains.slab_count, grains.slab_half * n
        centres = rng.uniform(-1, 1, (k, 3)) * [2.2 * half, half, 0.08 * n]
        axes = rng.uniform(*grains.slab_axes, (k, 3)) * n
        density = rng.choice([1.0, 1.0, 1.0, 2.0], k)
    elif kind == "particle":
        k = 60
        centres = rng.normal(size=(k, 3))
        radius = 0.27 * n * rng.uniform(0, 1, k) ** (1 / 3)
        centres *= (radius / np.linalg.norm(centres, axis=1))[:, None]
        axes = rng.uniform(0.02, 0.07, (k, 3)) * n
        density = rng.uniform(0.5, 2, k)
    elif kind == "needle":
        k, r = grains.needle_count, grains.radius * n
        rho, phi = grains.filled * r * np.sqrt(rng.uniform(0, 1, k)), rng.uniform(0, 2 * np.pi, k)
        centres = np.c_[rho * np.cos(phi), rng.uniform(-0.6, 0.6, k) * n, rho * np.sin(phi)]
        axes = rng.uniform(*grains.needle_axes, (k, 3)) * n
        density = rng.choice(grains.needle_densities, k)
    else:
        raise ValueError(kind)
    turn = rotations(k, rng)
    forms = np.einsum("kij,kj,klj->kil", turn, 1 / axes**2, turn)
    if kind == "needle":
        across, along = grains.rod_axes
        centres = np.vstack([centres, [[0.0, grains.rod_centre * n, 0.0]]])
        rod = np.diag(1 / np.array([across * r, along * n, r]) ** 2)
        forms, density = np.concatenate([forms, rod[None]]), np.append(density, 0.6)
    return centres, forms, density


def laid(specimen: Specimen, lying: tuple[float, float]) -> Specimen:
    """Turn a specimen about x by ``lying[1]`` and then about y by ``lying[0]`` [deg]."""
    centres, forms, density = specimen
    turn = rotation_matrix(y_deg=lying[0], x_deg=lying[1])[::-1, ::-1]  # it acts on (x, y, z)
    return centres @ turn.T, turn @ forms @ turn.T, density


def _add_chords(image: Float64, centre: Float64, form: Float64, weight: float) -> None:
    """Add one ellipsoid; ``centre`` (column, row, depth) and ``form`` are in the image's frame."""
    ny, nx = image.shape
    # The outline is the Schur complement of the beam direction.
    outline = form[:2, :2] - np.outer(form[:2, 2], form[:2, 2]) / form[2, 2]
    reach = np.sqrt(np.diag(np.linalg.inv(outline))) + 1
    low = np.maximum(np.ceil(centre[:2] - reach), 0).astype(int)
    high = np.minimum(np.floor(centre[:2] + reach) + 1, [nx, ny]).astype(int)
    if (high <= low).any():
        return
    x = np.arange(low[0], high[0])[None] - centre[0]
    y = np.arange(low[1], high[1])[:, None] - centre[1]
    inside = 1 - outline[0, 0] * x * x - 2 * outline[0, 1] * x * y - outline[1, 1] * y * y
    chord = 2 * np.sqrt(np.clip(inside, 0, None) / form[2, 2])
    image[low[1] : high[1], low[0] : high[0]] += weight * chord


def _blurred(image: Float64, sigma: float) -> Float64:
    pad = 8
    wide = np.pad(image, pad, mode="edge")
    fy, fx = np.fft.fftfreq(wide.shape[0])[:, None], np.fft.rfftfreq(wide.shape[1])[None]
    gauss = np.exp(-2 * (np.pi * sigma) ** 2 * (fy * fy + fx * fx))
    out = np.fft.irfft2(np.fft.rfft2(wide) * gauss, s=wide.shape)
    return out[pad:-pad, pad:-pad]


def projections(
    specimen: Specimen,
    shape: tuple[int, int],
    angles_deg: Float64,
    tilt_axis_deg: float,
    shifts_px: Float64,
    bend: Callable[[int, Float64], Float64] | None = None,
) -> Float64:
    """Return the ideal images (n_tilts, ny, nx) [density x px], blurred by 0.8 px.

    ``bend`` tells how far image i shows what the pose puts at (row, column) (k, 2) from its centre beside that place.
    """
    centres, forms, density = specimen
    psi = np.deg2rad(tilt_axis_deg)
    in_plane = np.array([[np.cos(psi), -np.sin(psi), 0], [np.sin(psi), np.cos(psi), 0], [0, 0, 1]])
    middle = (np.array(shape) - 1) / 2
    out = np.zeros((len(angles_deg), *shape))
    for i, angle in enumerate(np.deg2rad(angles_deg)):
        c, s = np.cos(angle), np.sin(angle)
        turn = in_plane @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        places = centres @ turn.T
        if bend is not None:
            places[:, 1::-1] += bend(i, places[:, 1::-1].copy())
        places[:, 0] += middle[1] + shifts_px[i, 1]
        places[:, 1] += middle[0] + shifts_px[i, 0]
        turned = turn @ forms @ turn.T
        for place, form, weight in zip(places, turned, density, strict=True):
            _add_chords(out[i], place, form, weight)
        out[i] = _blurred(out[i], 0.8)
    return out


def bright_field(thickness: Float64, per_tilt: float, absorbed: float) -> Float64:
    """Return expected counts of images that absorb: ``absorbed`` is the exponent of a thickness of 1."""
    return np.asarray(per_tilt * np.exp(-absorbed * thickness))


def dark_field(thickness: Float64, per_tilt: float, full: float) -> Float64:
    """Return expected counts of images that scatter, over 3 % of the counts of the thickness ``full``."""
    return np.asarray(per_tilt * (0.03 + np.clip(thickness, 0, None) / full))


def make_case(
    kind: str,
    *,
    shape: tuple[int, int] = (128, 128),
    n_tilts: int = 41,
    max_tilt: float = 60.0,
    tilt_axis_deg: float = 0.0,
    walk: float = 3.0,
    dose: float = 2000.0,
    seed: int = 0,
    lying: tuple[float, float] = (0.0, 0.0),
) -> Case:
    """Make a slab (bright field), particle or needle (HAADF) whose drift is a random walk.

    ``dose`` is the total number of electrons per pixel over the series at full signal; ``walk`` the standard
    deviation [px] of each step of the drift along rows and columns; ``lying`` [deg] the tilt offset and x-tilt of the
    specimen in the holder.
    """
    rng = np.random.default_rng([seed, {"slab": 2, "particle": 3, "needle": 4}[kind]])
    angles = np.linspace(-max_tilt, max_tilt, n_tilts)
    shifts = np.cumsum(rng.normal(0, walk, (n_tilts, 2)), axis=0)
    shifts -= shifts[n_tilts // 2]
    specimen = laid(ellipsoids(kind, min(shape), rng), lying)
    thickness = projections(specimen, shape, angles, tilt_axis_deg, shifts)
    per_tilt = dose / n_tilts
    if kind == "slab":
        expected = bright_field(thickness, per_tilt, 0.35 / thickness[n_tilts // 2].mean())
    else:
        expected = dark_field(thickness, per_tilt, float(thickness.max()))
    images = rng.poisson(expected).astype(np.float32)
    return Case(images, angles, shifts, tilt_axis_deg, expected.astype(np.float32))


def without_gauge(
    shifts_px: Float64,
    angles_deg: Float64,
    tilt_axis_deg: float,
    magnifications: Float64 | None = None,
) -> tuple[Float64, Float64]:
    """Return (across, along) the axis [px] less what moving the specimen does: m (a cos + b sin), m c."""
    psi, t = np.deg2rad(tilt_axis_deg), np.deg2rad(angles_deg)
    m = np.ones(len(t)) if magnifications is None else magnifications
    across = shifts_px[:, 1] * np.cos(psi) + shifts_px[:, 0] * np.sin(psi)
    along = shifts_px[:, 0] * np.cos(psi) - shifts_px[:, 1] * np.sin(psi)
    basis = m[:, None] * np.c_[np.cos(t), np.sin(t)]
    across = across - basis @ np.linalg.lstsq(basis, across, rcond=None)[0]
    return across, along - m * (m @ along) / (m @ m)
