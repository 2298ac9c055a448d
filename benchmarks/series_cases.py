# SPDX-License-Identifier: BSD-3-Clause
"""Tilt series by closed formula: the specimens that fiducial-free programs are scored on, with known shifts and faults.

Populations of ellipsoids as in the comparison of ETSpy, tomviz, pystackreg and torch-tiltxcorr (../shared/peers/align);
made as those of the tests (tests/align/specimens.py), with finer grains: no volume is made, nothing is interpolated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from needle import without_gauge  # it knows where the specimens of the tests are
from specimens import (
    Float64,
    Grains,
    Specimen,
    bright_field,
    dark_field,
    ellipsoids,
    laid,
    projections,
)

from cryolith import Alignment, TiltSeries
from cryolith.projection.local import local_nodes

Shown = Callable[[int, Float64], Float64]

ANGLES = np.linspace(-60.0, 60.0, 41)
EDGE = 512
_NEEDLE_GRAINS = 150  # and the matrix after them
FAULTS = (
    "none",
    "blank",
    "jump",
    "lasting jump",
    "magnification",
    "gain",
    "flicker",
    "local",
    "local symmetric",
)
_ABSORBED = 0.35  # mean exponent of the untilted slab, in bright field
BEAD_DIAMETER = 20.0  # px: 10 nm at 0.5 nm a pixel
_BEAD_EXPONENT = 3.0  # of a ray through a bead's centre, in bright field
_BEAD_BRIGHTNESS = 2.0  # of such a ray against the brightest of the specimen, in dark field
BRIGHT_FIELD = ("slab", "section")
BEND_PX = 3.0  # largest local shift at a corner
_FAINT = 0.02  # mean exponent of a section, which hides no bead


@dataclass(frozen=True, kw_only=True)
class Case:
    """A series, its truth, the tilts that a fault was put into (index), and the beads' places (x, y, z) [px]."""

    series: TiltSeries
    truth: Alignment
    spoilt: tuple[int, ...]
    beads: Float64
    bend: Bend | None = None


@dataclass(frozen=True)
class Bend:
    """A deformation (row, column) [px] that is a quadratic of the place in the image and grows with the dose."""

    coefficients: (
        Float64  # (5, 2): of the row, the column, their squares and their product, in half edges
    )
    growth: Float64  # (n,): of each image
    edge: int

    def __call__(self, i: int, places: Float64) -> Float64:
        """Return the displacement (k, 2) in image ``i`` of what the pose puts at ``places`` (k, 2) from its centre."""
        # Beyond the images it stays as large as at their border.
        r, c = np.clip(2 * places / self.edge, -1.2, 1.2).T
        return self.growth[i] * np.stack([r, c, r * r, c * c, r * c], -1) @ self.coefficients


def fine(edge: int) -> Grains:
    """Return the grains of the peers' comparison, for images large enough to show them."""
    return Grains(
        slab_count=edge * edge // 500,
        slab_half=0.675,
        slab_axes=(0.008, 0.022),
        needle_count=_NEEDLE_GRAINS,
        needle_axes=(0.010, 0.030),
        needle_densities=(0.6, 1.0, -0.5),
        radius=0.11,
        filled=0.85,
        rod_centre=0.0,
        rod_axes=(1.15, 3.0),
    )


def dose_order(n: int, symmetric: bool) -> npt.NDArray[np.int64]:
    """Return the rank in time of each tilt: from one end to the other, or from the middle outwards to both sides."""
    if not symmetric:
        return np.arange(n)
    middle = n // 2
    return np.argsort(np.argsort([2 * abs(i - middle) - (i > middle) for i in range(n)]))


def _bend(order: npt.NDArray[np.int64], edge: int, rng: np.random.Generator) -> Bend:
    """Draw a deformation that ends at 3 px at the worst corner; half of it is done after a quarter of the dose."""
    coefficients = rng.normal(size=(5, 2)) * np.array([0.5, 0.5, 1.0, 1.0, 1.0])[:, None]
    growth = 1 - np.exp(-order / (0.36 * (len(order) - 1)))
    one = Bend(coefficients, growth / growth.max(), edge)
    corners = 0.5 * edge * np.array([[a, b] for a in (-1.0, 1.0) for b in (-1.0, 1.0)])
    largest = np.linalg.norm(one(int(np.argmax(order)), corners), axis=1).max()
    return replace(one, coefficients=coefficients * BEND_PX / largest)


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
    bend: Bend | None = None,
) -> Float64:
    """Return the ideal images; magnification and flicker act here, on the specimen of each tilt."""
    centres, forms, density = specimen
    out = np.empty((len(ANGLES), edge, edge))
    for i, m in enumerate(magnifications):
        seen = density / m
        if flicker is not None:
            seen = seen * np.exp(rng.normal(0, flicker))
        one = (centres * m, forms / m**2, seen)
        moved = None if bend is None else lambda _, places, i=i: bend(i, places)
        out[i] = projections(one, (edge, edge), ANGLES[i : i + 1], axis, shifts[i : i + 1], moved)[
            0
        ]
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
    shape = "slab" if kind in BRIGHT_FIELD else kind
    specimen = laid(ellipsoids(shape, edge, rng, fine(edge)), lying)
    axis = float(rng.uniform(-10, 10))
    shifts = _drift(n, walk, fault, rng)
    # The edge of the image moves by 0.5 px a degree of tilt.
    magnifications = 1 + (fault == "magnification") * np.abs(ANGLES) / edge
    flicker = _flicker(kind, len(specimen[2])) if fault == "flicker" else None
    order = dose_order(n, fault == "local symmetric")
    bend = _bend(order, edge, rng) if fault.startswith("local") else None
    thickness = _thickness(specimen, axis, shifts, magnifications, flicker, edge, rng, bend)
    places = np.empty((0, 3))
    full = float(thickness.max())
    absorbed = (_ABSORBED if kind == "slab" else _FAINT) / thickness[n // 2].mean()
    if beads:
        places = bead_places(kind, edge, beads, rng)
        opacity = _BEAD_EXPONENT / absorbed if kind in BRIGHT_FIELD else _BEAD_BRIGHTNESS * full
        spheres = laid(_spheres(places, opacity), lying)
        thickness += _thickness(spheres, axis, shifts, magnifications, None, edge, rng, bend)
    per_tilt = dose / n
    if kind in BRIGHT_FIELD:
        expected = bright_field(thickness, per_tilt, absorbed)
    else:
        expected = dark_field(thickness, per_tilt, full)
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
    series = TiltSeries(images=images, angles_deg=ANGLES.copy(), order=order)
    return Case(series=series, truth=truth, spoilt=tuple(spoilt), beads=places, bend=bend)


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


def _seen(alignment: Alignment, points: Float64, bend: Shown) -> Float64:
    """Return where each image shows specimen points (k, 2) = (y, x) of its middle plane: (n, k, 2) from the centre."""
    psi, out = np.deg2rad(alignment.tilt_axis_deg), []
    for i, t in enumerate(np.deg2rad(ANGLES)):
        v, u = points[:, 0], points[:, 1] * np.cos(t)
        place = np.c_[u * np.sin(psi) + v * np.cos(psi), u * np.cos(psi) - v * np.sin(psi)]
        out.append(place + alignment.shifts_px[i] + bend(i, place))
    return np.array(out)


def _table(found: Alignment) -> Shown:
    """Return the local shifts of an alignment as a function: those of the projector's node next to each place."""
    if found.local is None:
        return lambda i, places: np.zeros_like(places)
    nodes, spacing = local_nodes(found.local, found.shifts_px, (EDGE, EDGE))

    def shown(i: int, places: Float64) -> Float64:
        at = np.rint((places + found.shifts_px[i] + (EDGE - 1) / 2) / spacing).astype(int)
        r, c = np.clip(at, 0, nodes.shape[-1] - 1).T
        return nodes[i][:, r, c].T.astype(np.float64)

    return shown


def local_error(case: Case, found: Alignment) -> float:
    """Return the error [px] of places within the images, less what each image's have in common and what moves a point.

    81 points over nine tenths of the middle plane. What moves a point of the specimen for all tilts alike (a cos + b
    sin across the axis, a constant along it) is another shape of it, which the images do not tell.
    """
    grid = np.linspace(-0.45, 0.45, 9) * EDGE
    points = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1).reshape(-1, 2)
    bend: Shown = case.bend or (lambda i, places: np.zeros_like(places))
    true = _seen(case.truth, points, bend)
    inside = (np.abs(true) < EDGE / 2).all(axis=-1) & found.kept[:, None]
    off = np.nan_to_num(_seen(found, points, _table(found)) - true)
    common = (off * inside[..., None]).sum(axis=1) / np.maximum(inside.sum(axis=1), 1)[:, None]
    off -= common[:, None]
    left = []
    for k in np.flatnonzero(inside.sum(axis=0) >= 10):
        seen = inside[:, k]
        left.append(np.hypot(*without_gauge(off[seen, k], ANGLES[seen], case.truth.tilt_axis_deg)))
    return float(np.sqrt(np.mean(np.concatenate(left) ** 2)))
