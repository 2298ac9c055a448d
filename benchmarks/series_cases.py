# SPDX-License-Identifier: BSD-3-Clause
"""Tilt series by closed formula: the specimens that fiducial-free programs are scored on, with known shifts and faults.

Populations of ellipsoids as in the comparison of ETSpy, tomviz, pystackreg and torch-tiltxcorr (../shared/peers/align);
the chords are those of the tests (tests/align/specimens.py), so no volume is made and nothing is interpolated.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from needle import without_gauge

from cryolith import Alignment, TiltSeries

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "align"))
from specimens import laid, projections, rotations

Float64 = npt.NDArray[np.float64]
Specimen = tuple[Float64, Float64, Float64]

ANGLES = np.linspace(-60.0, 60.0, 41)
EDGE = 512
FAULTS = ("none", "blank", "jump", "lasting jump", "magnification", "gain", "flicker")
_NEEDLE_GRAINS = 150  # and the matrix after them
_BACKGROUND = 0.03  # of the brightest signal, in dark field
_ABSORBED = 0.35  # mean exponent of the untilted slab, in bright field
BEAD_DIAMETER = 20.0  # px: 10 nm at 0.5 nm a pixel
_BEAD_EXPONENT = 3.0  # of a ray through a bead's centre, in bright field
_BEAD_BRIGHTNESS = 2.0  # of such a ray against the brightest of the specimen, in dark field
BRIGHT_FIELD = ("slab", "section")
_FAINT = 0.02  # mean exponent of a section, which hides no bead


@dataclass(frozen=True, kw_only=True)
class Case:
    """A series, its truth, the tilts that a fault was put into (index), and the beads' places (x, y, z) [px]."""

    series: TiltSeries
    truth: Alignment
    spoilt: tuple[int, ...]
    beads: Float64


def ellipsoids(kind: str, n: int, rng: np.random.Generator) -> Specimen:
    """Return centres (k, 3) in (x, y, z) [px], quadratic forms (k, 3, 3) and densities (k,)."""
    if kind in BRIGHT_FIELD:
        k, half = n * n // 500, 0.675 * n
        centres = rng.uniform(-1, 1, (k, 3)) * [2.2 * half, half, 0.08 * n]
        axes = rng.uniform(0.008, 0.022, (k, 3)) * n
        density = rng.choice([1.0, 1.0, 1.0, 2.0], k)
    elif kind == "particle":
        k = 60
        centres = rng.normal(size=(k, 3))
        radius = 0.27 * n * rng.uniform(0, 1, k) ** (1 / 3)
        centres *= (radius / np.linalg.norm(centres, axis=1))[:, None]
        axes = rng.uniform(0.02, 0.07, (k, 3)) * n
        density = rng.uniform(0.5, 2, k)
    elif kind == "needle":
        k, r = _NEEDLE_GRAINS, 0.11 * n
        rho, phi = 0.85 * r * np.sqrt(rng.uniform(0, 1, k)), rng.uniform(0, 2 * np.pi, k)
        centres = np.c_[rho * np.cos(phi), rng.uniform(-0.6, 0.6, k) * n, rho * np.sin(phi)]
        axes = rng.uniform(0.010, 0.030, (k, 3)) * n
        density = rng.choice([0.6, 1.0, -0.5], k)
    else:
        raise ValueError(kind)
    turn = rotations(k, rng)
    forms = np.einsum("kij,kj,klj->kil", turn, 1 / axes**2, turn)
    if kind == "needle":
        centres = np.vstack([centres, np.zeros(3)])
        rod = np.diag(1 / np.array([1.15 * r, 3.0 * n, r]) ** 2)
        forms, density = np.concatenate([forms, rod[None]]), np.append(density, 0.6)
    return centres, forms, density


def bead_places(kind: str, n: int, count: int, rng: np.random.Generator) -> Float64:
    """Draw places (count, 3) in (x, y, z) [px]: on both faces of a slab, a film below a particle, a needle's skin.

    They reach a tenth beyond the images at zero tilt, so that some leave the field and some only enter it when tilted.
    """
    at = rng.uniform(-0.55, 0.55, (count, 3)) * n
    if kind in BRIGHT_FIELD:
        at[:, 2] = rng.choice([-0.085, 0.085], count) * n
    elif kind == "particle":
        at[:, 2] = -0.3 * n + 0.02 * at[:, 2]
    else:
        phi = rng.uniform(0, 2 * np.pi, count)
        at[:, 0], at[:, 2] = 0.145 * n * np.cos(phi), 0.125 * n * np.sin(phi)
    return at


def _spheres(places: Float64, opacity: float) -> Specimen:
    """Return spheres whose middle counts like ``opacity`` px of density 1."""
    k = len(places)
    forms = np.broadcast_to(np.eye(3) * (2 / BEAD_DIAMETER) ** 2, (k, 3, 3))
    return places, forms, np.full(k, opacity / BEAD_DIAMETER)


def _flicker(kind: str, count: int) -> Float64:
    """Return how much the log of each part's density changes from tilt to tilt.

    Grains go in and out of a Bragg condition; the needle's matrix hardly.
    """
    spread = np.full(count, 0.35)
    spread[_NEEDLE_GRAINS if kind == "needle" else count :] = 0.05
    return spread


def _thickness(
    specimen: Specimen,
    axis: float,
    shifts: Float64,
    magnifications: Float64,
    flicker: Float64 | None,
    edge: int,
    rng: np.random.Generator,
) -> Float64:
    """Return the ideal images; magnification and flicker act here, on the specimen of each tilt."""
    centres, forms, density = specimen
    out = np.empty((len(ANGLES), edge, edge))
    for i, m in enumerate(magnifications):
        seen = density / m
        if flicker is not None:
            seen = seen * np.exp(rng.normal(0, flicker))
        one = (centres * m, forms / m**2, seen)
        out[i] = projections(one, (edge, edge), ANGLES[i : i + 1], axis, shifts[i : i + 1])[0]
    return out


def _drift(n: int, walk: float, fault: str, rng: np.random.Generator) -> Float64:
    """Return the shifts (n, 2) [px] of the images: a random walk from the middle one, and the jumps of a fault."""
    shifts = np.cumsum(rng.normal(0, walk, (n, 2)), axis=0)
    shifts -= shifts[n // 2]
    if fault == "jump":
        shifts[rng.choice(n, 3, replace=False)] += rng.choice([-3.0, 3.0], (3, 2))
    if fault == "lasting jump":
        for k in rng.choice(np.arange(4, n - 4), 3, replace=False):
            shifts[k:] += rng.choice([-12.0, 12.0], 2)
    return shifts


def make_case(
    kind: str,
    *,
    dose: float,
    seed: int,
    fault: str = "none",
    edge: int = EDGE,
    walk: float = 3.0,
    beads: int = 0,
    lying: tuple[float, float] = (0.0, 0.0),
) -> Case:
    """Return a series of 41 tilts from -60 to 60 degrees whose drift is a random walk.

    ``dose`` [electrons/px] is that of the whole series at full signal; ``walk`` [px] the standard deviation of each
    step of the drift along rows and columns. The axis lies within 10 degrees of the columns. ``beads`` spheres are put
    on the specimen: in bright field a ray through the middle of one keeps 5 % of the electrons, in dark field it is
    twice as bright as the brightest ray of the specimen. A "section" is the slab, but its ellipsoids absorb little.
    ``lying`` [deg]: tilt offset and x-tilt at which the specimen lies in the holder.
    """
    rng = np.random.default_rng(
        [seed, {"slab": 2, "particle": 3, "needle": 4, "section": 6}[kind], 5]
    )
    n = len(ANGLES)
    specimen = laid(ellipsoids(kind, edge, rng), lying)
    axis = float(rng.uniform(-10, 10))
    shifts = _drift(n, walk, fault, rng)
    # The edge of the image moves by 0.5 px a degree of tilt.
    magnifications = 1 + (fault == "magnification") * np.abs(ANGLES) / edge
    flicker = _flicker(kind, len(specimen[2])) if fault == "flicker" else None
    thickness = _thickness(specimen, axis, shifts, magnifications, flicker, edge, rng)
    places = np.empty((0, 3))
    full = float(thickness.max())
    absorbed = (_ABSORBED if kind == "slab" else _FAINT) / thickness[n // 2].mean()
    if beads:
        places = bead_places(kind, edge, beads, rng)
        opacity = _BEAD_EXPONENT / absorbed if kind in BRIGHT_FIELD else _BEAD_BRIGHTNESS * full
        spheres = laid(_spheres(places, opacity), lying)
        thickness += _thickness(spheres, axis, shifts, magnifications, None, edge, rng)
    per_tilt = dose / n
    if kind in BRIGHT_FIELD:
        expected = per_tilt * np.exp(-absorbed * thickness)
    else:
        expected = per_tilt * (_BACKGROUND + np.clip(thickness, 0, None) / full)
    if fault == "gain":
        expected *= (1 + 0.05 * rng.normal(size=n))[:, None, None]
    images = rng.poisson(expected).astype(np.float32)
    spoilt: Sequence[int] = ()
    if fault == "blank":
        spoilt = sorted(rng.choice(n, 2, replace=False).tolist())
        for i in spoilt:
            images[i, :, : edge // 2] = rng.poisson(0.02 * per_tilt, (edge, edge // 2))
    truth = Alignment(
        angles_deg=ANGLES.copy(),
        tilt_axis_deg=axis,
        shifts_px=shifts,
        magnifications=magnifications,
    )
    series = TiltSeries(images=images, angles_deg=ANGLES.copy())
    return Case(series=series, truth=truth, spoilt=tuple(spoilt), beads=places)


def score(case: Case, found: Alignment) -> dict[str, float]:
    """Return errors [px, deg] free of the gauge, and how many good tilts were left out and spoilt ones kept.

    ``ratio`` is the root mean square error of the kept tilts over the stated one.
    """
    kept = found.kept
    good = np.setdiff1d(np.arange(len(kept)), case.spoilt)
    magnifications = case.truth.magnifications
    assert magnifications is not None
    across, along = without_gauge(
        (found.shifts_px - case.truth.shifts_px)[kept],
        ANGLES[kept],
        case.truth.tilt_axis_deg,
        magnifications[kept],
    )
    rms = float(np.sqrt(np.mean(across**2 + along**2)))
    stated = float("nan")
    if found.sigma_shifts_px is not None:
        stated = float(np.sqrt(np.mean(np.sum(found.sigma_shifts_px[kept] ** 2, axis=1))))
    turn = (found.tilt_axis_deg - case.truth.tilt_axis_deg + 90) % 180 - 90
    return {
        "rms": rms,
        "across": float(np.sqrt(np.mean(across**2))),
        "along": float(np.sqrt(np.mean(along**2))),
        "stated": stated,
        "ratio": rms / stated,
        "axis": abs(float(turn)),
        "lost": float((~kept[good]).sum()),
        "missed": float(kept[list(case.spoilt)].sum()),
    }
