# SPDX-License-Identifier: BSD-3-Clause
"""Weighted (filtered) back-projection."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_output
from ..projection.operators import make_plan
from .filters import Filter, filter_gains, tilt_weights
from .inputs import Float32, ProjectionsLike, ViewsLike, as_problem
from .missing import fill_missing

__all__ = ["wbp"]


def wbp(
    stack: ProjectionsLike,
    angles_deg: ViewsLike = None,
    *,
    thickness: int | None = None,
    filter: Filter = "hamming",
    n_iter: int = 10,
    shape: tuple[int, int, int] | None = None,
    background: npt.ArrayLike | None = None,
    out: Float32 | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
    progress: Callable[[float], None] | None = None,
) -> Float32:
    """Reconstruct by weighted back-projection.

    Parameters
    ----------
    stack : (n_tilts, height, width) array_like or TiltSeries
        Raw images: shifts and rotations are applied inside the projector. NaN is a missing pixel.
    angles_deg : (n_tilts,) [deg], Geometry or Alignment
        Angles alone mean a tilt axis along y through the centre. None takes them from the series.
    thickness : int, optional [px]
        nz; default as wide as the volume (a needle or particle).
    filter, n_iter
        As in :func:`filter_projections`; ``sirt-like`` takes rays of length nz.
    shape : (int, int, int), optional
        (nz, ny, nx); overrides ``thickness``.
    background : (n_tilts,), optional
        Subtracted from each image.
    out : (nz, ny, nx) float32, optional
    threads, cancel
        As in :func:`cryolith.projection.project`.
    progress : callable, optional
        Called with the fraction done, 0 to 1.

    Returns
    -------
    (nz, ny, nx) float32
        In the units of density: from a full range of tilts, the specimen's own values.

    Raises
    ------
    InputError
        A wrong shape, count or filter name.
    Cancelled
        ``cancel`` was set.

    References
    ----------
    Kak & Slaney, Principles of Computerized Tomographic Imaging, section 3.3; weights by the local tilt increment.
    """
    problem = as_problem(stack, angles_deg, thickness=thickness, shape=shape, background=background)
    geometry = problem.geometry
    volume = as_output(out, problem.shape)
    images = fill_missing(problem.stack, geometry, threads, cancel)
    plan = make_plan(geometry, problem.shape, images.shape[1:])
    lengths = _core.filter_lengths(plan)
    spacings = np.array([plan.spacing(i) for i in range(len(geometry))])
    weights = tilt_weights(geometry.angles_deg)
    gains = filter_gains(spacings, weights, lengths, filter, n_iter, float(problem.shape[0]))
    if progress:
        progress(0.0)
    _core.wbp(plan, images, gains, lengths, volume, threads, cancel)
    if progress:
        progress(1.0)
    return volume
