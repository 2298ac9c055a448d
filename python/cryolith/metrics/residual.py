# SPDX-License-Identifier: BSD-3-Clause
"""How well a volume explains the data, tilt by tilt."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core
from ..errors import InputError
from ..projection import project
from ..reconstruct.inputs import ProjectionsLike, ViewsLike, as_problem
from .shells import Float64

__all__ = ["residual", "tilt_residuals"]


def residual(measured: npt.ArrayLike, predicted: npt.ArrayLike) -> Float64:
    """Return |measured - predicted| / |measured| of each image, NaN pixels left out.

    Parameters
    ----------
    measured, predicted : (n_tilts, ny, nx) array_like
        In the same units.

    Returns
    -------
    (n_tilts,) float64
        0 is perfect, 1 no better than predicting nothing; NaN for an image without signal.
    """
    axes = ("n_tilts", "ny", "nx")
    m = as_core(measured, "measured", axes, np.float64)
    p = as_core(predicted, "predicted", axes, np.float64)
    if m.shape != p.shape:
        raise InputError(f"predicted: found shape {p.shape}, expected that of measured, {m.shape}")
    seen = np.isfinite(m) & np.isfinite(p)
    difference = np.where(seen, m - np.where(seen, p, 0.0), 0.0)
    rest = np.sqrt((difference**2).sum(axis=(1, 2)))
    whole = np.sqrt((np.where(seen, m, 0.0) ** 2).sum(axis=(1, 2)))
    return np.where(whole > 0.0, rest / np.where(whole > 0.0, whole, 1.0), np.nan)


def tilt_residuals(
    volume: npt.ArrayLike,
    stack: ProjectionsLike,
    angles_deg: ViewsLike = None,
    *,
    background: npt.ArrayLike | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float64:
    """Return the :func:`residual` between each image and the projection of a reconstruction.

    Parameters
    ----------
    volume : (nz, ny, nx) array_like
    stack, angles_deg, background
        As in :func:`cryolith.reconstruct.wbp`: what the volume was made from, or tilts that were held back.
    threads, cancel
        As in :func:`cryolith.projection.project`.

    Returns
    -------
    (n_tilts,) float64
        In the order of the images that were used. Only a volume that holds all that the images show can explain
        them: a region of interest, or ``wbp`` with a missing wedge, cannot.
    """
    v = as_core(volume, "volume", ("nz", "ny", "nx"))
    problem = as_problem(stack, angles_deg, thickness=None, shape=v.shape, background=background)
    height, width = problem.stack.shape[1:]
    predicted = project(v, problem.geometry, (height, width), threads=threads, cancel=cancel)
    return residual(problem.stack, predicted)
