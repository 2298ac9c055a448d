# SPDX-License-Identifier: BSD-3-Clause
"""Object and geometry solved for together: one linear least-squares problem per round.

Projection matching alternates: reconstruct, then move each image to its reprojection. A drift that is smooth
in tilt hardly shows in such a comparison, because the reconstruction has already followed it; hundreds of
rounds would be needed. Here the images are modelled as ``A(p) x`` with density ``x`` and geometry ``p``, and
a round solves the linearised problem for both at once,

    minimise |W (b - A x - A dx - D dp)|^2 + ridge |x + dx|^2,    D = d(A x)/dp,

(Gauss-Newton on the variable projection of Golub and Pereyra 1973) by conjugate gradients, which needs only
the projector pair: a step costs what a SIRT iteration costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .. import _core
from ..datamodel import LocalShifts
from ..projection import Geometry
from ..projection.operators import make_plan
from .flicker import LocalIntensities

__all__ = [
    "Model",
    "Pose",
    "Solution",
    "Tangent",
    "dot",
    "drifts",
    "image_slopes",
    "refine",
    "solve",
]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

# Half the step of the central differences: short against the 2 px that a feature of a reduced image spans.
_STEP_PX = 0.25
# Pixels of a reduced image a shift may move in one round: beyond, the linear model is not to be trusted.
_LARGEST_MOVE = 1.5
# An axis far from those of the image: projected as part of one series with it, images are turned whatever their axis.
_TURNED = Geometry.single_axis([0.0], tilt_axis_deg=45.0).poses()
# What else may differ between tilts: half the step of its central difference and the most it moves in a round.
_OTHERS = {
    "rotations_deg": (0.25, 4.0),
    "magnifications": (0.004, 0.05),
}


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Geometry of the images in hand, in their own pixels.

    What would only turn or scale the specimen is not in it: rotations have mean 0 over the tilts, magnifications
    mean 1.
    """

    shifts_px: Float64
    tilt_axis_deg: float
    rotations_deg: Float64
    magnifications: Float64
    local: LocalShifts | None = None

    @classmethod
    def of_shifts(cls, shifts_px: Float64, tilt_axis_deg: float) -> Pose:
        """Return the pose of images that are shifted and nothing else."""
        n = len(shifts_px)
        return cls(
            shifts_px=shifts_px,
            tilt_axis_deg=tilt_axis_deg,
            rotations_deg=np.zeros(n),
            magnifications=np.ones(n),
        )

    def subset(self, part: slice | npt.NDArray[np.bool_]) -> Pose:
        """Return the pose of some images."""
        names = ("shifts_px", *_OTHERS)
        local = None if self.local is None else self.local.subset(part)
        return replace(self, **{name: getattr(self, name)[part] for name in names}, local=local)

    def scaled(self, factor: float) -> Pose:
        """Return the pose of images with ``factor`` times as many pixels along each edge."""
        local = None if self.local is None else self.local.scaled(factor)
        return replace(self, shifts_px=self.shifts_px * factor, local=local)

    def moved(self, name: str, step: float | Float64) -> Pose:
        """Return the pose with ``step`` added to what is called ``name``."""
        return replace(self, **{name: getattr(self, name) + step})


@dataclass(frozen=True, kw_only=True)
class Model:
    """What stays fixed while object and pose are solved for.

    ``images`` (n_tilts, height, width) are linear in the density; ``support`` (nz, 1 or ny, nx) is 1 where there
    may be any; ``weights`` (n_tilts, height, width) or (n_tilts, 1, 1) multiply the residuals; ``ridge`` is the
    noise variance over the variance of the density, per image. The images' pass band ends at Nyquist over
    ``softness``. Where there are ``intensities``, residuals are compared free of them. ``turned``: images are turned
    to the axis however small the angle, as the projector does by itself beyond 7 deg.
    """

    images: Float32
    angles_deg: Float64
    shape: tuple[int, int, int]
    support: Float32
    weights: Float32
    ridge: float
    softness: float = 1.0
    threads: int = 0
    cancel: _core.CancelToken | None = None
    intensities: LocalIntensities | None = None
    turned: bool = False

    def compared(self, residual: Float32) -> Float32:
        """Return M r for weighted residuals r: the misfit is their inner product with it."""
        return residual if self.intensities is None else self.intensities.without(residual)

    def subset(self, part: slice) -> Model:
        """Return the model of some images."""
        return replace(
            self,
            images=np.ascontiguousarray(self.images[part]),
            angles_deg=self.angles_deg[part],
            weights=np.ascontiguousarray(self.weights[part]),
            intensities=self.intensities and self.intensities.subset(part),
        )

    def geometry(self, pose: Pose) -> Geometry:
        return Geometry.single_axis(
            self.angles_deg,
            tilt_axis_deg=pose.tilt_axis_deg,
            shifts_px=pose.shifts_px,
            rotations_deg=pose.rotations_deg,
            magnifications=pose.magnifications,
            local=pose.local,
        )

    def operator(self, pose: Pose) -> _Operator:
        """Return the projector pair for a pose; made once, used for many iterations."""
        geometry = self.geometry(pose)
        pixels = self.images.shape[1:]
        if geometry.local is not None:  # such a plan weights its images itself
            plan = make_plan(geometry, self.shape, pixels)
            return _Operator(plan, np.ones((len(geometry), 1, 1), np.float32), self)
        plan = (
            _core.FreePlan(geometry.matrices(), self.shape, pixels)
            if geometry.crosses_y  # of another program's alignment, or of a slab laid level
            else _core.ProjectionPlan(
                geometry.poses(), self.shape, pixels, _TURNED if self.turned else None
            )
        )
        return _Operator(plan, geometry.weights().astype(np.float32)[:, None, None], self)


@dataclass(frozen=True)
class _Operator:
    plan: Any
    weights: Float32  # of a voxel in the sum of each image
    model: Model

    def project(self, x: Float32) -> Float32:
        out = np.empty(self.model.images.shape, np.float32)
        self.plan.project(x, out, self.model.threads, self.model.cancel)
        out *= self.weights
        return out

    def backproject(self, residual: Float32) -> Float32:
        out = np.empty(self.model.shape, np.float32)
        self.plan.backproject(residual * self.weights, out, self.model.threads, self.model.cancel)
        return out


@dataclass(frozen=True, kw_only=True)
class Solution:
    """Density, and the residual ``images - A x`` (unweighted) that it leaves."""

    density: Float32
    residual: Float32
    moves: Float64


def dot(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Return the inner product, summed in float64 in one fixed order (BLAS may change it with its threads)."""
    return float(np.einsum("i,i->", a.reshape(-1), b.reshape(-1), dtype=np.float64))


class Tangent(Protocol):
    """Derivatives of the weighted images for unknowns of the geometry, in units in which their squares are about 1."""

    def zeros(self) -> Float64:
        """Return unknowns that move nothing."""
        ...

    def apply(self, p: Float64) -> Float32:
        """Return the change of the images (n_tilts, height, width) by the unknowns ``p``."""
        ...

    def adjoint(self, r: Float32) -> Float64:
        """Return the transpose of :meth:`apply` on images."""
        ...

    def moves(self, p: Float64) -> Float64:
        """Return what the unknowns move, in pixels and degrees."""
        ...


@dataclass(frozen=True)
class _Tangent:
    """Derivatives of the images for the pose, the shifts' orthonormal in each image; ``back`` undoes that.

    ``held`` (k - 2, n_tilts, n_tilts) projects the coefficients of what else is free onto its basis.
    """

    local: Float32  # (n_tilts, k, height, width)
    back: Float64  # (n_tilts, k, k)
    held: Float64

    def zeros(self) -> Float64:
        return np.zeros(self.back.shape[:2])

    def moves(self, p: Float64) -> Float64:
        return np.asarray(np.einsum("nkl,nl->nk", self.back, p))

    def apply(self, p: Float64) -> Float32:
        return np.asarray(np.einsum("nkij,nk->nij", self.local, p.astype(np.float32)))

    def adjoint(self, r: Float32) -> Float64:
        p = np.einsum("nkij,nij->nk", self.local, r, dtype=np.float64)
        p[:, 2:] = np.einsum("knm,mk->nk", self.held, p[:, 2:])
        return np.asarray(p)


def drifts(n: int, count: int) -> Float64:
    """Return (n, count): cosines over the tilts in their order, 1 to ``count`` half waves, each of mean zero."""
    half_waves = np.pi * (np.arange(n)[:, None] + 0.5) / n
    return np.asarray(np.cos(half_waves * np.arange(1, count + 1)))


def image_slopes(
    model: Model, pose: Pose, x: Float32, directions: npt.NDArray[np.float64]
) -> Float32:
    """Return the change (n_tilts, k, height, width) of the images of a density per pixel of a shift.

    ``directions`` (k, 2) or (k, n_tilts, 2): (row, column) of each shift, the same for all images or one for each.
    """
    out = np.empty((len(model.images), len(directions), *model.images.shape[1:]), np.float32)
    for k, step in enumerate(_STEP_PX * directions):
        high = model.operator(pose.moved("shifts_px", step)).project(x)
        out[:, k] = high - model.operator(pose.moved("shifts_px", -step)).project(x)
    out /= np.float32(2 * _STEP_PX)
    return out


def _derivatives(model: Model, pose: Pose, x: Float32, free: Mapping[str, Float64]) -> Float32:
    """Derivatives (n_tilts, 2 + len(free), height, width) of the weighted images for row, column and what is free."""

    def change(low: Pose, high: Pose, width: float) -> Float32:
        difference = model.operator(high).project(x) - model.operator(low).project(x)
        return difference * (model.weights / np.float32(width))

    steps: list[tuple[str, Float64]] = [("shifts_px", _STEP_PX * row) for row in np.eye(2)]
    steps += [(name, np.array(_OTHERS[name][0])) for name in free]
    local = np.stack(
        [
            change(pose.moved(name, -step), pose.moved(name, step), 2 * float(step.max()))
            for name, step in steps
        ],
        axis=1,
    )
    if free:  # what a change of intensity explains tells nothing: intensities are set apart
        seen = model.operator(pose).project(x) * model.weights
        power = np.einsum("nij,nij->n", seen, seen, dtype=np.float64)
        share = np.einsum("nkij,nij->nk", local[:, 2:], seen, dtype=np.float64)
        share /= np.maximum(power, 1e-30)[:, None]
        local[:, 2:] -= share[:, :, None, None].astype(np.float32) * seen[:, None]
    return local


def _tangent(model: Model, pose: Pose, x: Float32, free: Mapping[str, Float64]) -> _Tangent:
    local = _derivatives(model, pose, x, free)
    gram = np.einsum("nkij,nlij->nkl", local, local, dtype=np.float64)
    # A blank image has no derivative; the ridge leaves its parameters at zero.
    size = np.diagonal(gram, axis1=1, axis2=2).copy()
    gram += np.eye(local.shape[1]) * (1e-6 * (size + size.mean(axis=0)) + 1e-30)[:, None]
    shifts = np.linalg.inv(np.linalg.cholesky(gram[:, :2, :2])).transpose(0, 2, 1)
    back = np.zeros_like(gram)
    back[:, :2, :2] = shifts
    # What else is free: less what shifts explain of it, in units in which it is as large as they are.
    explained = np.linalg.solve(gram[:, :2, :2], gram[:, :2, 2:])
    left = size[:, 2:] - np.einsum("nik,nik->nk", gram[:, :2, 2:], explained)
    unit = 1 / np.sqrt(np.maximum(left, 1e-6 * size[:, 2:] + 1e-30))
    back[:, :2, 2:] = -explained * unit[:, None]
    back[:, 2:, 2:] = unit[:, :, None] * np.eye(len(free))
    local = np.einsum("nkij,nkl->nlij", local, back.astype(np.float32))
    held = np.zeros((len(free), len(gram), len(gram)))
    for k, basis in enumerate(free.values()):
        q = np.linalg.qr(basis / unit[:, k, None])[0]
        held[k] = q @ q.T
    return _Tangent(np.ascontiguousarray(local), back, held)


def solve(
    model: Model,
    pose: Pose,
    start: Float32 | None,
    iterations: int,
    free: Mapping[str, Float64] | None = None,
    tangent: Tangent | None = None,
) -> Solution:
    """Solve for the density, and for the moves of the images unless ``free`` is None, by conjugate gradients.

    Shifts are free then, and what ``free`` names of ``rotations_deg`` and ``magnifications``, each within a basis
    (n_tilts, m). Returns moves (n_tilts, 2 + len(free)): row, column [px] and those. A ``tangent`` has unknowns of
    its own in their place.
    """
    w, mask = model.weights, model.support
    n = len(model.images)
    pair = model.operator(pose)
    x = np.zeros(model.shape, np.float32) if start is None else start.copy()
    if free is not None:
        tangent = _tangent(model, pose, x, free)
    # Voxels in units in which A'A is about 1: the same scale as the orthonormal pose derivatives.
    scale = np.float32(1 / np.sqrt(n))
    ridge = np.float32(model.ridge * n)
    r = w * (model.images - pair.project(x))
    p = np.zeros((n, 0)) if tangent is None else tangent.zeros()

    def gradient() -> tuple[Float32, Float64]:
        m = model.compared(r)
        gx = pair.backproject(w * m)
        gx -= ridge * x
        gx *= mask * scale
        return gx, tangent.adjoint(m) if tangent else np.zeros((n, 0))

    gx, gp = gradient()
    dx, dp = gx, gp
    norm = dot(gx, gx) + dot(gp, gp)
    first = norm
    for _ in range(iterations):
        if norm <= 1e-12 * first:
            break
        step = dx * (mask * scale)
        q = w * pair.project(step)
        if tangent:
            q += tangent.apply(dp)
        length = norm / (dot(q, model.compared(q)) + float(ridge) * dot(step, step))
        x += np.float32(length) * step
        r -= np.float32(length) * q
        p = p + length * dp
        gx, gp = gradient()
        previous, norm = norm, dot(gx, gx) + dot(gp, gp)
        beta = norm / previous
        dx, dp = gx + np.float32(beta) * dx, gp + beta * dp
    moves = tangent.moves(p) if tangent else p
    return Solution(density=x, residual=r, moves=moves)


def refine(
    model: Model,
    pose: Pose,
    *,
    rounds: int,
    iterations: int,
    start: Float32 | None = None,
    free: Mapping[str, Float64] | None = None,
    tolerance: float = 0.003,
) -> tuple[Pose, Solution]:
    """Linearise and solve for shifts and what else is ``free`` until moves are below ``tolerance`` [px].

    At most ``rounds`` are done. Returns the pose, and the density for it with the residual that it leaves.
    A first density is made of all that the images show: free of local intensities they hardly tell smooth parts of it.
    """
    x = start
    if x is None:
        x = solve(replace(model, intensities=None), pose, None, iterations).density
    for _ in range(rounds):
        found = solve(model, pose, x, iterations, free or {})
        x = found.density
        moves = np.clip(found.moves[:, :2], -_LARGEST_MOVE, _LARGEST_MOVE)
        pose = pose.moved("shifts_px", moves)
        for name, move in zip(free or {}, found.moves[:, 2:].T, strict=True):
            most = _OTHERS[name][1]
            pose = pose.moved(name, np.clip(move, -most, most))
        if np.sqrt((moves**2).mean()) < tolerance:
            break
    return pose, solve(model, pose, x, iterations // 2)
