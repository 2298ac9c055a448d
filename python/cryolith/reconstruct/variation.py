# SPDX-License-Identifier: BSD-3-Clause
"""Total variation: the volume with the least edges that explains the data."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from typing_extensions import Unpack

from .. import _core
from .._arrays import as_core
from ..errors import InputError
from ..projection.operators import make_plan
from .inputs import Float32, ProjectionsLike, ViewsLike
from .iterate import Reconstruction, Setup, Sums, iterate
from .options import Options, as_setup, checked_count, checked_number
from .settings import ITERATIONS

__all__ = ["tv"]

# Ascents of the dual in each iteration. From the dual of the iteration before, 3 reach the objective of 8 and of 20 to
# 4 digits at every one of 25 to 400 iterations (benchmarks/validate_wedge.py's series).
ROUNDS = 3
LEAST_METRIC = 0.05


def tv(
    stack: ProjectionsLike,
    angles_deg: ViewsLike = None,
    *,
    n_iter: int = ITERATIONS["tv"],
    strength: float = 0.06,
    huber: float = 0.0,
    axis_weights: npt.ArrayLike = (1.0, 1.0, 1.0),
    **options: Unpack[Options],
) -> Reconstruction:
    """Minimise 1/2 |W^(1/2) (b - A x)|^2 + strength level TV(x): flat regions with sharp borders.

    Fills a missing wedge best of all where the specimen is made of such regions.

    Parameters
    ----------
    stack, angles_deg
        As in :func:`sirt`.
    n_iter : int, default 150
        The wedge is the last to be filled: fewer leave the specimen elongated.
    strength : float, default 0.06
        Of the regularisation, whatever the units: ``level`` is sum W b^2 / sum W |b|, the mean of the images weighted
        by themselves, which empty space does not change. Larger for noisier data.
    huber : float, default 0 [units of the volume]
        Steps below it are penalised by their square: smooth slopes then come out smooth, not as stairs.
    axis_weights : (3,), default (1, 1, 1)
        Weights of the differences along z, y and x. Larger ones along the missing directions (z) than along x hold back
        what the wedge smears; equal ones are isotropic.
    **options
        Those of :class:`Options`. The default of ``lower`` is 0. The largest of ``weights`` counts as 1.

    Returns
    -------
    Reconstruction

    Raises
    ------
    InputError
        A wrong shape or value, by name.

    References
    ----------
    Rudin, Osher & Fatemi, Physica D 60 (1992) 259. Solved by FISTA (Beck & Teboulle, IEEE Trans. Image Process. 18
    (2009) 2419, section 4: the proximal map by projected ascent of its dual, which here starts from the last one) in
    the metric diag(A'W A 1), whose inverse is a step that the data term allows for every voxel, with the momentum
    given up when it points uphill (O'Donoghue & Candes, Found. Comput. Math. 15 (2015) 715).
    """
    setup = as_setup(stack, angles_deg, options)
    axis = as_core(axis_weights, "axis_weights", ("3",), np.float64)
    if axis.shape != (3,) or not np.isfinite(axis).all() or axis.min() < 0 or not axis.any():
        raise InputError(
            f"axis_weights: found {axis_weights!r}, expected three finite numbers of at least 0, not all 0"
        )
    share = checked_number(strength, "strength")
    if share == 0.0:
        raise InputError(
            "strength: found 0, expected more; cgls and sirt fit without regularisation"
        )
    width = checked_number(huber, "huber")
    steps = _steps(setup, share, width, (float(axis[0]), float(axis[1]), float(axis[2])))
    return iterate(setup, checked_count(n_iter, "n_iter"), steps)


def level(setup: Setup) -> float:
    """Return sum W b^2 / sum W |b|, 1 where there are no data."""
    square = magnitude = 0.0
    for b, w in zip(setup.measured, setup.weights, strict=True):
        weighted = w * np.abs(b.astype(np.float64))
        magnitude += float(weighted.sum())
        square += float((weighted * np.abs(b)).sum())
    return square / magnitude if magnitude > 0 else 1.0


def _steps(
    setup: Setup, share: float, huber: float, axis: tuple[float, float, float]
) -> Iterator[Sums]:
    plan = make_plan(setup.problem.geometry, setup.problem.shape, setup.measured.shape[1:])
    threads, volume = setup.threads, setup.volume
    strength = share * level(setup)
    projected, before = np.empty_like(setup.measured), np.empty_like(setup.measured)
    metric = _metric(setup, plan, projected)
    dual = np.zeros((3, *volume.shape), np.float32)
    ahead, earlier, z = volume.copy(), volume.copy(), np.empty_like(metric)
    setup.project(plan, projected, first=True)
    before[:] = 0.0
    pace, momentum = 1.0, 0.0
    while True:
        yield _core.extrapolate_step(
            setup.measured, setup.weights, projected, momentum, before, threads
        )
        setup.backproject(plan, before, z)
        _core.gradient_step(ahead, metric, z, threads)
        low, high = setup.lower, setup.upper
        _core.variation_step(
            axis, strength, huber, metric, z, low, high, ROUNDS, dual, volume, threads
        )
        if _core.uphill(ahead, volume, earlier, threads) > 0:
            pace = 1.0
        faster = (1 + math.sqrt(1 + 4 * pace**2)) / 2
        pace, momentum = faster, (pace - 1) / faster
        _core.ahead_step(momentum, volume, earlier, ahead, threads)
        projected, before = before, projected
        setup.project(plan, projected)


def _metric(setup: Setup, plan: _core.ProjectionPlan, scratch: Float32) -> Float32:
    """Return 1 / A'W A 1 of each voxel, 0 outside the mask."""
    metric = np.ones(setup.volume.shape, np.float32)
    plan.project(metric, scratch, setup.threads, setup.cancel)
    scratch *= setup.weights
    setup.backproject(plan, scratch, metric)
    most = float(metric.max())
    if most <= 0.0:  # no ray: nothing moves
        metric[:] = 0.0
        return metric
    np.maximum(metric, np.float32(LEAST_METRIC * most), out=metric)
    np.divide(np.float32(1.0), metric, out=metric)
    if setup.mask is not None:
        metric *= setup.mask
    return metric
