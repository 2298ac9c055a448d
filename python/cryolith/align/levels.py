# SPDX-License-Identifier: BSD-3-Clause
"""Reduced images and the volume that they are fitted with, coarse to fine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .axis import moved_along
from .coarse import frame
from .images import reduce_images, resample_images
from .joint import Model, Pose, Solution, dot, solve
from .specimen import Prepared
from .steps import SOFTNESS, Job

__all__ = [
    "SLAB_THICKNESS",
    "extent",
    "gains",
    "ladder",
    "level",
    "model_of",
    "round_support",
    "seen_edges",
    "slab_support",
    "with_ridge",
]

Float32 = npt.NDArray[np.float32]

_RIDGE_ITERATIONS = 20
# The last images are twice as fine as what they show: then interpolation does not pull the axis, and all that the
# coarser images could not show of a needle's grains counts (0.1 instead of 0.46 px along the axis).
_LAST_SOFTNESS = 2.0
_TINY_EDGE, _SMALL_EDGE = 16, 64
_RIDGE = 0.01
_RIDGE_RANGE = (0.003, 1.0)
SLAB_THICKNESS = 0.15
_SUPPORT_MARGIN = 1.15


def ladder(edge: int, finest: int, isolated: bool) -> list[int]:
    """Binnings to refine at, coarse to fine; what a slab shows is small, nothing is left of it on tiny images."""
    least = _TINY_EDGE if isolated else _SMALL_EDGE
    return [b for b in (4 * finest, 2 * finest) if edge // b >= least] + [finest]


def level(
    job: Job, ready: Prepared, pose: Pose, binning: int, last: bool
) -> tuple[Model, Solution]:
    """Reduced images, and a first density with the ridge that its noise asks for."""
    softness = (_LAST_SOFTNESS if last else SOFTNESS) if ready.isolated else 1.0
    factor = max(1, round(binning / ready.binning))
    images = reduce_images(ready.images, factor, job.threads, job.cancel, softness=softness)
    model = replace(model_of(job, ready, images, pose), softness=softness)
    return with_ridge(model, pose)


def with_ridge(model: Model, pose: Pose) -> tuple[Model, Solution]:
    """Set the ridge to the variance of the noise over that of the density, from a first solution."""
    first = solve(model, pose, None, _RIDGE_ITERATIONS)
    noise = dot(first.residual, first.residual) / first.residual.size
    voxels = float(model.support.sum()) * model.shape[1] / model.support.shape[1]
    signal = dot(first.density, first.density) / max(voxels, 1.0)
    ratio = noise / max(signal, 1e-30) / len(model.images)
    return replace(model, ridge=float(np.clip(ratio, *_RIDGE_RANGE))), first


def gains(images: Float32, solution: Solution) -> npt.NDArray[np.float32]:
    """Intensity of each image against the reconstruction's projection, with mean 1."""
    predicted = images - solution.residual
    top = np.einsum("nij,nij->n", predicted, images, dtype=np.float64)
    bottom = np.einsum("nij,nij->n", predicted, predicted, dtype=np.float64)
    gains = np.clip(top / np.maximum(bottom, 1e-30), 0.25, 4.0)
    return np.asarray(gains / gains.mean(), np.float32)


def model_of(
    job: Job,
    ready: Prepared,
    images: Float32,
    pose: Pose,
    slab_thickness: float = SLAB_THICKNESS,
) -> Model:
    """The volume and its support for reduced images and a pose in their pixels.

    ``slab_thickness`` is that of a slab's support, as a share of the images' longer edge.
    """
    n, height, width = images.shape
    along, across = seen_edges((height, width), pose.tilt_axis_deg)
    ny = int(np.ceil(along + moved_along(pose.shifts_px, pose.tilt_axis_deg))) + 4
    if ready.isolated:
        support = round_support(min(extent(images, pose, job.threads), across))
    else:
        thickness = slab_thickness * max(height, width)
        support = slab_support(thickness, across, job.angles_deg, ny, job.x_tilt_deg)
    nz, _, nx = support.shape
    return Model(
        images=images,
        angles_deg=job.angles_deg,
        shape=(nz, ny, nx),
        support=support,
        weights=np.ones((n, 1, 1), np.float32),
        ridge=_RIDGE,
        threads=job.threads,
        cancel=job.cancel,
    )


def seen_edges(image_shape: tuple[int, int], tilt_axis_deg: float) -> tuple[float, float]:
    """Edges [px] of the rectangle along and across the tilt axis that holds an image."""
    height, width = image_shape
    psi = np.deg2rad(tilt_axis_deg)
    c, s = abs(np.cos(psi)), abs(np.sin(psi))
    return width * s + height * c, width * c + height * s


def round_support(diameter: float) -> Float32:
    """Support (nz, 1, nx) of an isolated specimen: a cylinder about the axis."""
    n = int(np.ceil(diameter)) + 2
    z, x = np.mgrid[:n, :n] - (n - 1) / 2
    return np.asarray(np.hypot(z, x) <= diameter / 2, np.float32)[:, None]


def slab_support(
    thickness: float,
    across: float,
    angles_deg: npt.NDArray[np.float64],
    ny: int = 1,
    x_tilt_deg: float = 0.0,
) -> Float32:
    """Support (nz, 1, nx) of a slab, as wide as the steepest image sees; (nz, ny, nx) where it is tilted about x."""
    steepest = max(0.4, float(np.cos(np.deg2rad(np.abs(angles_deg).max()))))
    flat = max(4, int(np.ceil(thickness)))
    nx = int(np.ceil((across + flat) / steepest))
    slope = float(np.tan(np.deg2rad(x_tilt_deg)))
    if slope == 0:
        return np.ones((flat, 1, nx), np.float32)
    nz = int(np.ceil(flat + abs(slope) * (ny - 1)))
    z, y = (np.arange(n) - (n - 1) / 2 for n in (nz, ny))
    away = np.abs(z[:, None] - slope * y) * np.cos(np.deg2rad(x_tilt_deg))
    inside = np.clip((thickness + 1) / 2 - away, 0, 1).astype(np.float32)
    return np.ascontiguousarray(np.broadcast_to(inside[:, :, None], (nz, ny, nx)))


def extent(images: Float32, pose: Pose, threads: int) -> float:
    """Diameter [px] of the cylinder about the axis that holds an isolated specimen."""
    size = 2 * max(images.shape[1:])
    turned = resample_images(
        images, frame(pose.tilt_axis_deg), pose.shifts_px, (size, size), 0.0, threads
    )
    profile = turned.sum(axis=1, dtype=np.float64)
    bright = profile > 0.05 * profile.max(axis=1, keepdims=True)
    u = np.abs(np.arange(size) - (size - 1) / 2)
    reach = np.where(bright, u, 0).max(axis=1)
    return float(2 * _SUPPORT_MARGIN * np.percentile(reach, 90) + 4)
