# SPDX-License-Identifier: BSD-3-Clause
"""Simultaneous iterative reconstruction."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core, as_output
from ..errors import InputError
from ..projection.operators import ProjectorPair, finite_stack, make_plan
from .inputs import Float32, Problem, ProjectionsLike, ViewsLike, as_problem

__all__ = ["SirtCallback", "sirt"]

SirtCallback = Callable[[int, Float32, float], bool | None]


def sirt(
    stack: ProjectionsLike,
    angles_deg: ViewsLike = None,
    *,
    thickness: int | None = None,
    n_iter: int = 30,
    positivity: bool = True,
    mask: npt.ArrayLike | None = None,
    init: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
    shape: tuple[int, int, int] | None = None,
    background: npt.ArrayLike | None = None,
    callback: SirtCallback | None = None,
    history: list[float] | None = None,
    out: Float32 | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
    progress: Callable[[float], None] | None = None,
) -> Float32:
    """Reconstruct by SIRT: x <- x + C A' R W (b - A x).

    Parameters
    ----------
    stack, angles_deg, thickness, shape, background
        As in :func:`wbp`. Missing pixels (NaN) are left out of the sums.
    n_iter : int, default 30
    positivity : bool, default True
        Set negative voxels to 0 after each iteration; needs data whose background is 0.
    mask : (nz, ny, nx), optional
        Voxels where it is 0 (False) stay 0.
    init : (nz, ny, nx), optional
        Volume to start from; default 0.
    weights : (n_tilts,) or (n_tilts, height, width), optional
        W, not negative; 0 is a missing ray.
    callback : callable, optional
        ``callback(iteration, volume, residual)`` after each iteration, counted from 1, with a read-only view of
        the volume; True stops early and keeps the result.
    history : list, optional
        The residual of each iteration is appended: |b - Ax| / |b| of the volume that the iteration started from.
    out, threads, cancel, progress
        As in :func:`wbp`.

    Returns
    -------
    (nz, ny, nx) float32

    Raises
    ------
    InputError
        A wrong shape or value, by name.
    Cancelled
        ``cancel`` was set; to keep the result, stop by the callback.

    References
    ----------
    Gregor & Benson, IEEE Trans. Med. Imaging 27 (2008) 918, eq. 3: C and R are the inverse column and row sums of
    W A and A; rays and voxels whose sum is below 1/2 are left out, those below 1 count as 1.
    """
    problem = as_problem(stack, angles_deg, thickness=thickness, shape=shape, background=background)
    if n_iter < 1:
        raise InputError(f"n_iter: found {n_iter}, expected at least 1")
    volume = as_output(out, problem.shape)
    volume[:] = 0.0 if init is None else _of_shape(init, "init", problem.shape)
    plan = make_plan(problem.geometry, problem.shape, problem.stack.shape[1:])
    rays, voxels = _normalisation(plan, problem, weights, threads, cancel)
    if mask is not None:
        inside = _of_shape(mask, "mask", problem.shape) != 0
        voxels *= inside
        volume *= inside
    measured = finite_stack(problem.stack, threads, cancel)
    projected, correction = np.empty_like(measured), np.empty(problem.shape, np.float32)
    lower = 0.0 if positivity else -math.inf
    view = volume.view()
    view.flags.writeable = False
    for iteration in range(1, n_iter + 1):
        plan.project(volume, projected, threads, cancel)
        sums = _core.residual_step(measured, rays, projected, threads, cancel)
        plan.backproject(projected, correction, threads, cancel)
        _core.update_step(correction, voxels, lower, volume, threads, cancel)
        residual = math.sqrt(sums[0] / sums[1]) if sums[1] > 0 else 0.0
        if history is not None:
            history.append(residual)
        if progress:
            progress(iteration / n_iter)
        if callback and callback(iteration, view, residual):
            break
    return volume


def _of_shape(value: npt.ArrayLike, name: str, shape: tuple[int, int, int]) -> Float32:
    array: Float32 = as_core(value, name, ("nz", "ny", "nx"))
    if array.shape != shape:
        raise InputError(f"{name}: found shape {array.shape}, expected {shape}")
    if not np.isfinite(array).all():
        raise InputError(f"{name}: found NaN or infinity, expected finite values")
    return array


def _normalisation(
    plan: ProjectorPair,
    problem: Problem,
    weights: npt.ArrayLike | None,
    threads: int,
    cancel: _core.CancelToken | None,
) -> tuple[Float32, Float32]:
    """Return R W of each ray and C of each voxel."""
    w = _ray_weights(problem, weights)
    voxels = np.empty(problem.shape, np.float32)
    plan.backproject(w, voxels, threads, cancel)
    unit = np.float32(problem.geometry.weights().mean())  # of one ray through a voxel
    voxels /= unit
    _core.invert_step(voxels, threads)
    voxels /= unit
    rays = np.empty_like(w)
    plan.project(np.ones(problem.shape, np.float32), rays, threads, cancel)
    _core.invert_step(rays, threads)
    rays *= w
    return rays, voxels


def _ray_weights(problem: Problem, weights: npt.ArrayLike | None) -> Float32:
    """Return W (n_tilts, height, width): the caller's weights, 0 where a pixel is missing."""
    out = np.isfinite(problem.stack).astype(np.float32)
    if weights is None:
        return out
    given = np.asarray(weights, dtype=np.float32)
    if given.ndim == 1:
        given = given[:, None, None]
    if given.shape not in (out.shape, (len(out), 1, 1)):
        raise InputError(
            f"weights: found shape {np.shape(weights)}, expected ({len(out)},) or {out.shape}"
        )
    if not (np.isfinite(given).all() and (given >= 0).all()):
        raise InputError("weights: found a negative or non-finite weight, expected 0 or more")
    out *= given
    return out
