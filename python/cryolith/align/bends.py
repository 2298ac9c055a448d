# SPDX-License-Identifier: BSD-3-Clause
"""Local shifts as unknowns of the joint solve: polynomials of the place in the image, smooth over the tilts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..datamodel import LocalShifts
from .coarse import frame
from .joint import Model, Pose, image_slopes, solve

__all__ = ["Bends", "bent", "fit_bends", "free_bends", "inner_weights", "monomials"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

# Points of the table along each edge: a spline through 7 x 7 of a cubic of 3 px leaves 0.01 px of it.
_POINTS = 7
BORDER = 5  # px: half of the pair's taps, and a displacement of a pixel
_LARGEST_MOVE = 1.5  # px of the images in a round, as for shifts
_JITTER = 1e-6
_LEAST_FREE = 0.05  # of what is smooth: what is left of it beyond the specimen's own freedom counts from there


def powers(degree: int) -> npt.NDArray[np.int64]:
    """Return (k, 2): the powers of v and u of the monomials of degree 1 to ``degree``."""
    return np.array([(d - b, b) for d in range(1, degree + 1) for b in range(d + 1)])


def monomials(places: Float64, degree: int) -> Float64:
    """Return (k, ...): the monomials of places (..., 2) along and across the axis."""
    v, u = places[..., 0], places[..., 1]
    return np.stack([v**a * u**b for a, b in powers(degree)])


def free_bends(angles_deg: Float64, degree: int, smooth: Float64) -> Float64:
    """Return (n, k, 2, p): what the coefficients may do over the tilts, less what another specimen would explain.

    ``smooth`` (n, m) are functions of the tilt. Where the specimen at (y, x) is moved by a polynomial of its place,
    along the axis, across it or in depth, the images of a thin specimen show it at v = y, u = x cos: there
    v^a u^b c(t) along the axis with c = cos^-b, across it with c = cos^(1-b) and sin cos^-b is a specimen of
    another shape, which no image contradicts. A thick one can explain more.
    """
    t = np.deg2rad(angles_deg)
    cos = np.maximum(np.cos(t), 0.1)
    parts = []
    for k, (_, b) in enumerate(powers(degree)):
        along = np.stack([cos**-b], 1)
        across = np.stack([cos ** (1 - b), np.sin(t) * cos**-b], 1)
        for component, explained in enumerate((along, across)):
            q = np.linalg.qr(explained)[0]
            left, size, _ = np.linalg.svd(smooth - q @ (q.T @ smooth), full_matrices=False)
            functions = left[:, size > _LEAST_FREE * size[0]]
            one = np.zeros((len(t), degree * (degree + 3) // 2, 2, functions.shape[1]))
            one[:, k, component] = functions
            parts.append(one)
    return np.concatenate(parts, axis=3)


@dataclass(frozen=True, kw_only=True, eq=False)
class Bends:
    """Displacements that are polynomials of the place in each image, without constant part.

    ``coefficients`` (n_tilts, k, 2) [px], of the displacement along and across the axis, belong to :func:`monomials` of
    places along and across it in units of ``unit_px``, counted from the centre of the image plus its shift, as those
    of ``LocalShifts`` are. ``axis_deg`` is the direction of the axis.
    """

    coefficients: Float64
    degree: int
    unit_px: float
    axis_deg: float

    @classmethod
    def none(cls, n: int, degree: int, image_shape: tuple[int, ...], axis_deg: float) -> Bends:
        """Return those that move nothing; the unit is half of the longer edge."""
        return cls(
            coefficients=np.zeros((n, len(powers(degree)), 2)),
            degree=degree,
            unit_px=max(image_shape) / 2,
            axis_deg=axis_deg,
        )

    def at(self, places: Float64) -> Float64:
        """Return the displacements (n_tilts, m, 2) at places (n_tilts, m, 2), both (row, column) [px]."""
        turn = frame(self.axis_deg)
        shapes = monomials(places @ turn / self.unit_px, self.degree)
        return np.asarray(np.einsum("nka,knm->nma", self.coefficients, shapes) @ turn.T)

    def scaled(self, factor: float) -> Bends:
        """Return the same for images with ``factor`` times as many pixels along each edge."""
        return replace(self, coefficients=self.coefficients * factor, unit_px=self.unit_px * factor)

    def table(self, shifts_px: Float64, image_shape: tuple[int, int]) -> LocalShifts:
        """Return them on a grid that spans each image."""
        edges = [np.linspace(-(n - 1) / 2, (n - 1) / 2, _POINTS) for n in image_shape]
        grid = np.stack(np.meshgrid(*edges, indexing="ij"), -1).reshape(-1, 2)
        points = grid - shifts_px[:, None]
        return LocalShifts(
            points_px=points, shifts_px=self.at(points), good=np.ones(points.shape[:2], bool)
        )


def bent(pose: Pose, bends: Bends, model: Model) -> Pose:
    """Return the pose with these local shifts."""
    height, width = model.images.shape[1:]
    return replace(pose, local=bends.table(pose.shifts_px, (height, width)))


def inner_weights(model: Model) -> Float32:
    """Return the model's weights, 0 at the borders: a bent image lacks there what lies beyond them."""
    inside = np.zeros((1, *model.images.shape[1:]), np.float32)
    inside[:, BORDER:-BORDER, BORDER:-BORDER] = 1
    return np.asarray(model.weights * inside)


@dataclass(frozen=True)
class _Tangent:
    """Derivatives of the images for their shifts and for bends within a basis, made orthonormal.

    All along and across the axis. An unknown vector holds two numbers an image, and then one for each of the basis.
    """

    columns: Float32  # (n, 2 + 2 k, h, w): of the shifts, and of each monomial along and across
    basis: Float64  # (n, 2 k, p)
    own: Float64  # (n, 2, 2): shifts from their unknowns
    explained: Float64  # (n, 2, 2 k): what shifts explain of a change of the coefficients
    root: Float64  # (p, p): coefficients in the basis from their unknowns

    def zeros(self) -> Float64:
        return np.zeros(2 * len(self.basis) + len(self.root))

    def moves(self, p: Float64) -> Float64:
        """(n, 1 + k, 2) [px]: the shifts, and the coefficients of the monomials."""
        n = len(self.basis)
        terms = np.einsum("ij,j->i", self.root, p[2 * n :])
        coefficients = np.einsum("nkp,p->nk", self.basis, terms)
        shifts = np.einsum("nab,nb->na", self.own, p[: 2 * n].reshape(n, 2))
        shifts -= np.einsum("nak,nk->na", self.explained, coefficients)
        return np.concatenate([shifts[:, None], coefficients.reshape(n, -1, 2)], axis=1)

    def apply(self, p: Float64) -> Float32:
        moves = self.moves(p).astype(np.float32).reshape(len(self.basis), -1)
        return np.asarray(np.einsum("nkij,nk->nij", self.columns, moves))

    def adjoint(self, r: Float32) -> Float64:
        g = np.einsum("nkij,nij->nk", self.columns, r, dtype=np.float64)
        shifts, terms = g[:, :2], g[:, 2:]
        terms = terms - np.einsum("nak,na->nk", self.explained, shifts)
        terms = np.einsum("nkp,nk->p", self.basis, terms)
        return np.concatenate(
            [
                np.einsum("nab,na->nb", self.own, shifts).ravel(),
                np.einsum("ij,i->j", self.root, terms),
            ]
        )


def _columns(model: Model, pose: Pose, x: Float32, bends: Bends) -> Float32:
    """Derivatives of the weighted images for shifts and coefficients, along and across the axis.

    Of -div(image displacement), which is how the pair bends, that part is left out which makes an image brighter or
    darker: intensities are not known well enough (a slab's mean is far larger than its contrast).
    """
    n, height, width = model.images.shape
    turn = frame(pose.tilt_axis_deg)
    slopes = np.einsum(
        "nrij,ra->naij", image_slopes(model, pose, x, np.eye(2)), turn.astype(np.float32)
    )
    slopes *= model.weights[:, None]
    pixels = np.moveaxis(np.mgrid[:height, :width], 0, -1) - np.array([height - 1, width - 1]) / 2
    places = (pixels[None] - pose.shifts_px[:, None, None]) @ turn / bends.unit_px
    out = np.empty((n, 2 + 2 * len(powers(bends.degree)), height, width), np.float32)
    out[:, :2] = slopes
    for k, shape in enumerate(monomials(places, bends.degree)):
        out[:, 2 + 2 * k : 4 + 2 * k] = shape[:, None] * slopes
    return out


def _tangent(model: Model, pose: Pose, x: Float32, bends: Bends, basis: Float64) -> _Tangent:
    columns = _columns(model, pose, x, bends)
    n, k = columns.shape[:2]
    gram = np.einsum("nkij,nlij->nkl", columns, columns, dtype=np.float64)
    size = np.diagonal(gram, axis1=1, axis2=2)
    gram = gram + np.eye(k) * (_JITTER * (size + size.mean(axis=0)) + 1e-30)[:, None]
    own = np.linalg.inv(np.linalg.cholesky(gram[:, :2, :2])).transpose(0, 2, 1)
    explained = np.linalg.solve(gram[:, :2, :2], gram[:, :2, 2:])
    left = gram[:, 2:, 2:] - np.einsum("nak,nal->nkl", gram[:, :2, 2:], explained)
    flat = basis.reshape(n, k - 2, -1)
    whole = np.einsum("nkp,nkl,nlq->pq", flat, left, flat, optimize=True)
    root = np.linalg.inv(np.linalg.cholesky(whole)).T
    return _Tangent(columns, flat, own, explained, root)


def fit_bends(
    model: Model, pose: Pose, bends: Bends, basis: Float64, *, iterations: int, start: Float32
) -> Pose:
    """Solve once for density, shifts and bends within ``basis`` (of :func:`free_bends`); return the bent pose."""
    tangent = _tangent(model, pose, start, bends, basis)
    found = solve(model, pose, start, iterations, tangent=tangent)
    moves = np.clip(found.moves, -_LARGEST_MOVE, _LARGEST_MOVE)
    bends = replace(bends, coefficients=bends.coefficients + moves[:, 1:])
    shifts = moves[:, 0] @ frame(pose.tilt_axis_deg).T
    return bent(pose.moved("shifts_px", shifts), bends, model)
