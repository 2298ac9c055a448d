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

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..projection import Geometry
from .coarse import frame

__all__ = ["Model", "Pose", "Solution", "dot", "refine", "slope_power", "solve"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

# Half the step of the central differences: short against the 2 px that a feature of a reduced image spans.
_STEP_PX = 0.25
_STEP_DEG = 0.25
# Pixels of a reduced image a shift may move in one round: beyond, the linear model is not to be trusted.
_LARGEST_MOVE = 1.5
_LARGEST_TURN_DEG = 4.0


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Geometry of the images in hand, in their own pixels."""

    shifts_px: Float64
    tilt_axis_deg: float
    rotations_deg: Float64

    def subset(self, part: slice) -> Pose:
        """Return the pose of some images."""
        return replace(self, shifts_px=self.shifts_px[part], rotations_deg=self.rotations_deg[part])


@dataclass(frozen=True, kw_only=True)
class Model:
    """What stays fixed while object and pose are solved for.

    ``images`` (n_tilts, height, width) are linear in the density; ``support`` (nz, 1, nx) is 1 where there may
    be any; ``weights`` (n_tilts, height, width) or (n_tilts, 1, 1) multiply the residuals; ``ridge`` is the
    noise variance over the variance of the density, per image. The images' pass band ends at Nyquist over
    ``softness``.
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

    def subset(self, part: slice) -> Model:
        """Return the model of some images."""
        return replace(
            self,
            images=np.ascontiguousarray(self.images[part]),
            angles_deg=self.angles_deg[part],
            weights=np.ascontiguousarray(self.weights[part]),
        )

    def geometry(self, pose: Pose) -> Geometry:
        return Geometry.single_axis(
            self.angles_deg,
            tilt_axis_deg=pose.tilt_axis_deg,
            shifts_px=pose.shifts_px,
            rotations_deg=pose.rotations_deg,
        )

    def operator(self, pose: Pose) -> _Operator:
        """Return the projector pair for a pose; made once, used for many iterations."""
        poses = self.geometry(pose).poses()
        plan = _core.ProjectionPlan(poses, self.shape, self.images.shape[1:])
        return _Operator(plan, self)


@dataclass(frozen=True)
class _Operator:
    plan: Any
    model: Model

    def project(self, x: Float32) -> Float32:
        out = np.empty(self.model.images.shape, np.float32)
        self.plan.project(x, out, self.model.threads, self.model.cancel)
        return out

    def backproject(self, residual: Float32) -> Float32:
        out = np.empty(self.model.shape, np.float32)
        self.plan.backproject(residual, out, self.model.threads, self.model.cancel)
        return out


@dataclass(frozen=True, kw_only=True)
class Solution:
    """Density, and the residual ``images - A x`` (unweighted) that it leaves."""

    density: Float32
    residual: Float32
    moves: Float64
    turn: float


def dot(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Return the inner product, summed in float64 in one fixed order (BLAS may change it with its threads)."""
    return float(np.einsum("i,i->", a.reshape(-1), b.reshape(-1), dtype=np.float64))


@dataclass(frozen=True)
class _Tangent:
    """Derivatives of the images for the pose, orthonormal in each image; ``back`` undoes that."""

    local: Float32  # (n_tilts, k, height, width)
    back: Float64  # (n_tilts, k, k)
    axis: Float32 | None
    axis_scale: float

    def apply(self, p: Float64, axis: float) -> Float32:
        out: Float32 = np.einsum("nkij,nk->nij", self.local, p.astype(np.float32))
        if self.axis is not None:
            out += np.float32(axis) * self.axis
        return out

    def adjoint(self, r: Float32) -> tuple[Float64, float]:
        local = np.einsum("nkij,nij->nk", self.local, r, dtype=np.float64)
        return local, 0.0 if self.axis is None else dot(self.axis, r)


def slope_power(model: Model, pose: Pose, x: Float32) -> Float64:
    """Return the summed squares of the images' slopes along and across the axis [1/px^2] for a density."""
    powers = []
    for direction in frame(pose.tilt_axis_deg).T:
        step = direction * _STEP_PX
        high = model.operator(replace(pose, shifts_px=pose.shifts_px + step)).project(x)
        low = model.operator(replace(pose, shifts_px=pose.shifts_px - step)).project(x)
        slopes = (high - low) / np.float32(2 * _STEP_PX)
        powers.append(dot(slopes, slopes))
    return np.array(powers)


def _tangent(model: Model, pose: Pose, x: Float32, *, axis: bool, rotations: bool) -> _Tangent:
    w = model.weights

    def change(low: Pose, high: Pose, width: float) -> Float32:
        difference = model.operator(high).project(x) - model.operator(low).project(x)
        return difference * (w / np.float32(width))

    columns = []
    for k in range(2):
        step = np.zeros(2)
        step[k] = _STEP_PX
        low = replace(pose, shifts_px=pose.shifts_px - step)
        high = replace(pose, shifts_px=pose.shifts_px + step)
        columns.append(change(low, high, 2 * _STEP_PX))
    turn = None
    if axis or rotations:
        low = replace(pose, tilt_axis_deg=pose.tilt_axis_deg - _STEP_DEG)
        high = replace(pose, tilt_axis_deg=pose.tilt_axis_deg + _STEP_DEG)
        turn = change(low, high, 2 * _STEP_DEG)
    if rotations and turn is not None:
        columns.append(turn)
    local = np.stack(columns, axis=1)
    gram = np.einsum("nkij,nlij->nkl", local, local, dtype=np.float64)
    # A blank image has no derivative; the ridge leaves its parameters at zero.
    k = gram.shape[1]
    size = np.trace(gram, axis1=1, axis2=2)
    gram += np.eye(k) * (1e-6 * size + 1e-6 * size.mean() + 1e-30)[:, None, None]
    back = np.linalg.inv(np.linalg.cholesky(gram)).transpose(0, 2, 1)
    local = np.einsum("nkij,nkl->nlij", local, back.astype(np.float32))
    if not axis or turn is None:
        return _Tangent(local, back, None, 0.0)
    scale = 1 / max(np.sqrt(dot(turn, turn)), 1e-30)
    return _Tangent(local, back, turn * np.float32(scale), scale)


def solve(
    model: Model,
    pose: Pose,
    start: Float32 | None,
    iterations: int,
    *,
    shifts: bool = False,
    axis: bool = False,
    rotations: bool = False,
) -> Solution:
    """Solve for the density, and with ``shifts`` for the moves of the images, by conjugate gradients.

    Returns moves (n_tilts, 2 or 3): row and column [px] and, with ``rotations``, the in-plane turn [deg].
    """
    w, mask = model.weights, model.support
    n = len(model.images)
    pair = model.operator(pose)
    x = np.zeros(model.shape, np.float32) if start is None else start.copy()
    tangent = _tangent(model, pose, x, axis=axis, rotations=rotations) if shifts else None
    # Voxels in units in which A'A is about 1: the same scale as the orthonormal pose derivatives.
    scale = np.float32(1 / np.sqrt(n))
    ridge = np.float32(model.ridge * n)
    r = w * (model.images - pair.project(x))
    k = 0 if tangent is None else tangent.back.shape[1]
    p, psi = np.zeros((n, k)), 0.0

    def gradient() -> tuple[Float32, Float64, float]:
        gx = pair.backproject(w * r)
        gx -= ridge * x
        gx *= mask * scale
        gp, ga = tangent.adjoint(r) if tangent else (np.zeros((n, 0)), 0.0)
        return gx, gp, ga

    gx, gp, ga = gradient()
    dx, dp, da = gx, gp, ga
    norm = dot(gx, gx) + dot(gp, gp) + ga * ga
    first = norm
    for _ in range(iterations):
        if norm <= 1e-12 * first:
            break
        step = dx * (mask * scale)
        q = w * pair.project(step)
        if tangent:
            q += tangent.apply(dp, da)
        length = norm / (dot(q, q) + float(ridge) * dot(step, step))
        x += np.float32(length) * step
        r -= np.float32(length) * q
        p, psi = p + length * dp, psi + length * da
        gx, gp, ga = gradient()
        previous, norm = norm, dot(gx, gx) + dot(gp, gp) + ga * ga
        beta = norm / previous
        dx, dp, da = gx + np.float32(beta) * dx, gp + beta * dp, ga + beta * da
    moves = np.einsum("nkl,nl->nk", tangent.back, p) if tangent else np.zeros((n, 0))
    turn = psi * tangent.axis_scale if tangent else 0.0
    return Solution(density=x, residual=r, moves=moves, turn=turn)


def refine(
    model: Model,
    pose: Pose,
    *,
    rounds: int,
    iterations: int,
    start: Float32 | None = None,
    axis: bool = True,
    rotations: bool = False,
    tolerance: float = 0.003,
    report: Callable[[], None] | None = None,
) -> tuple[Pose, Solution]:
    """Linearise and solve until the moves are below ``tolerance`` [px, deg] or ``rounds`` are done.

    Returns the pose, and the density for it with the residual that it leaves.
    """
    x = solve(model, pose, None, iterations).density if start is None else start
    for _ in range(rounds):
        found = solve(model, pose, x, iterations, shifts=True, axis=axis, rotations=rotations)
        x = found.density
        moves = np.clip(found.moves[:, :2], -_LARGEST_MOVE, _LARGEST_MOVE)
        turn, turned = found.turn, pose.rotations_deg
        if rotations:
            turned = turned + np.clip(found.moves[:, 2], -_LARGEST_TURN_DEG, _LARGEST_TURN_DEG)
            turn += float(turned.mean()) if axis else 0.0
            turned = turned - turned.mean()
        pose = Pose(
            shifts_px=pose.shifts_px + moves,
            tilt_axis_deg=pose.tilt_axis_deg + turn,
            rotations_deg=turned,
        )
        if report is not None:
            report()
        if np.sqrt((moves**2).mean()) < tolerance and abs(turn) < 10 * tolerance:
            break
    return pose, solve(model, pose, x, iterations // 2)
