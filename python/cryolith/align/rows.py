# SPDX-License-Identifier: BSD-3-Clause
"""Images seen along and across the axis: every row of the specimen is a plane problem, the same one for all rows.

With the density of a row left free, a field of variance ``rho`` (in units of that of the noise) within its support,
images b tell of it all that ``C = 1 + rho A A'`` says, A the projector of one row: A (A' A + 1 / rho)^-1 A' b is what
the row is seen as, and C^-1 b is left of the images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .. import _core
from ..projection import Geometry
from .axis import uncut_rows
from .images import reduce_images, resample_images
from .joint import Model, Pose, drifts
from .levels import seen_edges
from .pose_covariance import block_diagonal, translations, turns_of

__all__ = [
    "REDUCED",
    "Row",
    "RowsOf",
    "Upright",
    "damped",
    "gauge_of",
    "information",
    "modes_of",
    "pulls",
    "reduced",
    "slopes_of",
    "upright",
    "upright_frame",
]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

# The rows are looked at on images of half as many pixels: isolated specimens show no more on the last images, and
# what a slab shows beyond that is never the least sure.
REDUCED = 2
# The fit's ridge compares noise with a density that it has shrunk: the likelihood of the images is largest for one 4
# (particle, slab; both doses) or 1 to 4 times (needle) looser.
_LOOSER = 4.0
_SEEN = 0.999  # of a pixel lies in the image
_LEAST_ROWS = 8
_LEAST_TOLD = 1e-6  # of what a shift tells on the average


@dataclass(frozen=True)
class Upright:
    """Images of half as many pixels along and across the axis; ``slopes`` (k, n, rows, columns), the axis' last."""

    slopes: Float64
    residual: Float64


@dataclass(frozen=True)
class Row:
    """The plane problem of one row: its projector (n, voxels, columns), and (A A' + 1 / rho)^-1 of its voxels."""

    projector: Float64
    inverse: Float64

    @classmethod
    def of(cls, model: Model, isolated: bool, width: int) -> Row:
        """Make it from the projector: each voxel of a row is put into a row of its own."""
        nz, nx = (int(np.ceil(n / REDUCED)) for n in model.support.shape[::2])
        z, x = np.mgrid[:nz, :nx] - (np.array([nz, nx])[:, None, None] - 1) / 2
        inside = np.ones((nz, nx), bool)
        if isolated:
            inside = np.hypot(z, x) <= np.sqrt(float(model.support.sum()) / np.pi) / REDUCED
        at = np.nonzero(inside)
        count = len(at[0])
        single = np.zeros((nz, count, nx), np.float32)
        single[at[0], np.arange(count), at[1]] = 1
        geometry = Geometry.single_axis(model.angles_deg)
        projector = np.empty((len(model.angles_deg), count, width), np.float32)
        plan = _core.ProjectionPlan(geometry.poses(), single.shape, (count, width))
        plan.project(single, projector, model.threads, model.cancel)
        projector *= geometry.weights().astype(np.float32)[:, None, None]
        flat = projector.astype(np.float64).transpose(1, 0, 2).reshape(count, -1)
        # Per pixel of a reduced image noise has 1 / r^2 of the variance, a voxel 1 / r^3; a ray counts r px in each.
        rho = REDUCED * _LOOSER / (model.ridge * len(model.images))
        normal = flat @ flat.T
        normal[np.diag_indices(count)] += 1 / rho
        return cls(np.asarray(projector, np.float64), np.asarray(np.linalg.inv(normal), np.float64))

    def flat(self) -> Float64:
        """Return the projector with all images of a voxel side by side, (voxels, n columns)."""
        return self.projector.transpose(1, 0, 2).reshape(len(self.inverse), -1)

    def predicted(self, images: Float64) -> Float64:
        """Return what the densities of the rows look like that suit ``images`` (n, rows, columns) best."""
        n, rows, columns = images.shape
        flat = self.flat()
        seen = images.transpose(1, 0, 2).reshape(rows, -1)
        out = (seen @ flat.T) @ self.inverse @ flat
        return np.ascontiguousarray(out.reshape(rows, n, columns).transpose(1, 0, 2))


def upright_frame(model: Model, tilt_axis_deg: float) -> tuple[int, int]:
    """Return the shape of the images that hold those of ``model`` along and across the axis."""
    edges = seen_edges((model.images.shape[1], model.images.shape[2]), tilt_axis_deg)
    height, width = (int(np.ceil(edge / REDUCED)) * REDUCED for edge in edges)
    return height, width


def upright(images: Float32, model: Model, pose: Pose, shape: tuple[int, int]) -> Float32:
    """Turn images along and across the axis, so that what is in the middle of the volume is in their middle."""
    matrices = turns_of(pose) * pose.magnifications[:, None, None]
    return resample_images(
        images, matrices, pose.shifts_px, shape, 0.0, model.threads, model.cancel
    )


def reduced(images: Float32, model: Model) -> Float64:
    """Return upright images with half as many pixels."""
    return reduce_images(images, REDUCED, model.threads, model.cancel).astype(np.float64)


def slopes_of(
    seen: list[Float64], m: Float64, others: tuple[str, ...], pixel: int = 1
) -> list[Float64]:
    """Change with the shift along and across the axis, each of ``others``, and the angle of the axis.

    ``seen`` are upright images and their change with a shift along and across the axis, ``pixel`` px apart; ``m`` the
    magnification of each.
    """
    image, by_v, by_u = seen
    v, u = (pixel * (np.arange(size) - (size - 1) / 2) for size in image.shape[1:])
    v = v[:, None]
    turn = (by_v * u - by_u * v) * m * np.pi / 180
    size = by_v * v + by_u * u
    # What a change of intensity explains tells nothing of a magnification: intensities are set apart.
    share = (size * image).sum(axis=(1, 2)) / np.maximum((image * image).sum(axis=(1, 2)), 1e-30)
    size = size - share[:, None, None] * image
    kinds = {"rotations_deg": turn, "magnifications": size}
    return [by_v, by_u, *(kinds[k] for k in others), turn]


@dataclass(frozen=True)
class RowsOf:
    """The rows of an isolated specimen that all images show whole, and how they are looked at.

    ``shape`` is that of the upright images, ``whole`` says which rows of the reduced ones are used.
    """

    model: Model
    row: Row
    shape: tuple[int, int]
    whole: slice

    @classmethod
    def of(cls, model: Model, pose: Pose, row: Row | None = None) -> RowsOf:
        """Choose the rows at ``pose``; ``row`` is their plane problem if that is known."""
        shape = upright_frame(model, pose.tilt_axis_deg)
        row = row or Row.of(model, True, shape[1] // REDUCED)
        images, inside = (
            reduced(upright(part, model, pose, shape), model)
            for part in (model.images, np.ones_like(model.images))
        )
        # Means of 3 x 3 px: noise of one in 70 ends of 41 images would pass for a specimen.
        near = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
        images = np.mean([np.roll(images, at, (1, 2)) for at in near], axis=0)
        each = [uncut_rows(a[None], b)[0] for a, b in zip(images, inside > _SEEN, strict=True)]
        uncut = np.all(each, axis=0)
        middle = len(uncut) // 2
        below, above = (
            np.argmin(np.r_[side, False]) for side in (uncut[middle::-1], uncut[middle:])
        )
        first, end = middle - int(below) + 1, middle + int(above)
        few = (
            end - first < _LEAST_ROWS
        )  # an image that shows nothing, or a specimen as wide as the images
        return cls(model, row, shape, slice(0, len(uncut)) if few else slice(first, end))

    def seen(self, pose: Pose, others: tuple[str, ...]) -> Upright:
        """Slopes of the images that the rows predict, and what they leave of those that there are."""
        images = reduced(upright(self.model.images, self.model, pose, self.shape), self.model)
        predicted, by_v, by_u = np.zeros((3, *images.shape))
        part = np.s_[:, self.whole]
        predicted[part] = self.row.predicted(images[part])
        m = pose.magnifications[:, None, None]
        by_v[part] = -_derivative(predicted[part], 1) / (REDUCED * m[:, :1])
        by_u[part] = -_derivative(predicted[part], 2) / (REDUCED * m[:, :1])
        residual = np.zeros(images.shape)
        residual[part] = (images - predicted)[part]
        return Upright(np.stack(slopes_of([predicted, by_v, by_u], m, others, REDUCED)), residual)


def _derivative(images: Float64, axis: int) -> Float64:
    """Return the derivative along an axis, mirrored at its ends: a specimen that leaves makes no step there."""
    size = images.shape[axis]
    mirrored = np.concatenate([images, np.flip(images, axis)], axis)
    frequencies = 2j * np.pi * np.fft.fftfreq(2 * size)
    frequencies[size] = 0
    along = frequencies.reshape([-1 if k == axis else 1 for k in range(3)])
    out = np.fft.ifft(np.fft.fft(mirrored, axis=axis) * along, axis=axis).real
    return np.asarray(out.take(np.arange(size), axis))


def modes_of(n: int, free: Mapping[str, Float64], *, axis: bool) -> Float64:
    """Columns that span the parameters: orthonormal cosines over the tilts for shifts, what is free in its basis."""
    waves = np.c_[np.full(n, np.sqrt(0.5)), drifts(n, n - 1)] * np.sqrt(2 / n)
    return block_diagonal(waves, waves, *([np.eye(1)] if axis else []), *free.values())


def gauge_of(model: Model, pose: Pose, modes: Float64) -> Float64:
    """Return what moves of the specimen along y, x and z are in ``modes``, (modes, 3)."""
    n = len(model.images)
    at = replace(pose, tilt_axis_deg=0.0, rotations_deg=np.zeros(n))
    shifts = translations(at, model.angles_deg).reshape(n, 2, 3)
    out = np.zeros((modes.shape[1], 3))
    out[: 2 * n] = modes[: 2 * n, : 2 * n].T @ shifts.transpose(1, 0, 2).reshape(2 * n, 3)
    return out


def information(row: Row, slopes: Float64, axis: bool) -> Float64:
    """H of all parameters: shifts along the axis of each tilt, across it, the axis, and each of the others."""
    k, _, rows, _ = slopes.shape
    flat = row.flat()
    out = _own(slopes, axis)
    for r in range(rows):
        by_tilt = [np.einsum("nju,nu->jn", row.projector, slopes[a, :, r]) for a in range(k - 1)]
        turned = [flat @ slopes[-1, :, r].reshape(-1, 1)] if axis else []
        back = np.concatenate([*by_tilt[:2], *turned, *by_tilt[2:]], axis=1)
        out -= back.T @ (row.inverse @ back)
    return (out + out.T) / 2


def _own(slopes: Float64, axis: bool) -> Float64:
    """D' D: of the same tilt, and of all with the axis."""
    k, n = slopes.shape[:2]
    own = np.einsum("anvu,bnvu->abn", slopes, slopes)
    first = [0, n, *(2 * n + axis + a * n for a in range(k - 3))]
    out = np.zeros((first[-1] + n if k > 3 else 2 * n + axis,) * 2)
    tilt = np.arange(n)
    for a, at in enumerate(first):
        for b, to in enumerate(first):
            out[at + tilt, to + tilt] = own[a, b]
        if axis:
            out[at + tilt, 2 * n] = out[2 * n, at + tilt] = own[a, -1]
    if axis:
        out[2 * n, 2 * n] = own[-1, -1].sum()
    return out


def damped(told: Float64, shifts: int) -> Float64:
    """Let an image that shows nothing of the specimen have errors that are large, not infinite."""
    size = np.diag(told).copy()
    size[:shifts] += size[:shifts].mean()
    return told + np.diag(_LEAST_TOLD * size + 1e-30)


def pulls(seen: Upright, axis: bool) -> Float64:
    """D' r of each pixel (rows, columns, parameters), in the order of :func:`information`."""
    by_tilt = (seen.slopes * seen.residual).transpose(0, 2, 3, 1)
    turned = [by_tilt[-1].sum(axis=-1, keepdims=True)] if axis else []
    return np.concatenate([*by_tilt[:2], *turned, *by_tilt[2:-1]], axis=-1)
