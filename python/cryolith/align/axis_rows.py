# SPDX-License-Identifier: BSD-3-Clause
"""The angle of the tilt axis of an isolated specimen, shifts and density free all the way.

The projector itself blurs less the nearer the axis is to the lattice of the pixels, and noise that is blurred less
is explained less: at low doses compared misfits pull the axis towards the lattice. Here images are turned instead,
along and across the axis, and every row is a plane problem that does not know the angle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .joint import Model, Pose
from .pose_covariance import turns_of
from .quality import AxisFit
from .rows import (
    RowsOf,
    damped,
    gauge_of,
    information,
    modes_of,
    pulls,
)

__all__ = ["fit_axis_by_rows"]

Float64 = npt.NDArray[np.float64]

_STEPS = 20
# What noise adds to H slows steps down to a tenth of what is left: the last few of them are extrapolated.
_REMEMBERED = 5
_LARGEST_TURN_DEG, _LARGEST_MOVE_PX = 1.2, 1.5
_TOLERANCE_DEG = 0.001
# The last digits of NumPy's linear algebra follow its threads; those of the result must not.
_DECIMALS = 6


def fit_axis_by_rows(model: Model, pose: Pose, free: Mapping[str, Float64]) -> AxisFit:
    """Turn the axis to where rows that are free in density, shifts and what else is ``free`` are seen best.

    Gauss-Newton steps of all with the density eliminated, whose fixed point Anderson's mixing finds in some ten of
    them (twelve plain ones were not enough). Only the axis is changed; where steps do not settle it stays and is not
    ``found``: a ball with little in it let them walk 16 degrees.

    Notes
    -----
    The gradient of ``b' C^-1 b`` is ``D' C^-1 b``, D the slopes of what C^-1 b leaves to predict. Noise adds to
    D' C^-1 D, but not to the gradient: a turn is antisymmetric and leaves its variance alone.

    References
    ----------
    G. H. Golub and V. Pereyra, SIAM J. Numer. Anal. 10 (1973) 413; D. G. Anderson, J. ACM 12 (1965) 547, section 4.
    """
    others = tuple(free)
    rows = RowsOf.of(model, pose)
    modes = modes_of(len(model.images), free, axis=True)
    seen = rows.seen(pose, others)
    told = modes.T @ information(rows.row, seen.slopes, True) @ modes
    unit = modes @ _unit(told, model, pose, modes)
    at, places, steps = np.zeros(unit.shape[1]), [], []
    for _ in range(_STEPS):
        places.append(at)
        steps.append(unit.T @ pulls(seen, True).sum(axis=(0, 1)))
        move = _mixed(places[-_REMEMBERED - 1 :], steps[-_REMEMBERED - 1 :]) - at
        at = at + move * _shortened(unit @ move, len(model.images))
        if abs(_turn(unit @ move, model)) < _TOLERANCE_DEG:
            axis = round(pose.tilt_axis_deg + _turn(unit @ at, model), _DECIMALS)
            return AxisFit(pose=replace(pose, tilt_axis_deg=axis), found=True)
        seen = rows.seen(_moved(pose, unit @ at, others), others)
    return AxisFit(pose=pose, found=False)


def _turn(change: Float64, model: Model) -> float:
    """Return the turn of the axis [deg] in a change of all parameters."""
    return float(change[2 * len(model.images)])


def _shortened(change: Float64, n: int) -> float:
    """Return the share of a step that does not turn or move further than the slopes hold."""
    turn, move = abs(change[2 * n]), np.abs(change[: 2 * n]).max()
    return float(1 / max(1.0, turn / _LARGEST_TURN_DEG, move / _LARGEST_MOVE_PX))


def _unit(told: Float64, model: Model, pose: Pose, modes: Float64) -> Float64:
    """Columns in which H is 1, of what moves of the specimen leave."""
    gauge = gauge_of(model, pose, modes)
    free = np.linalg.qr(gauge, mode="complete")[0][:, gauge.shape[1] :]
    root = np.linalg.cholesky(free.T @ damped(told, 2 * len(model.images)) @ free)
    return np.asarray(free @ np.linalg.inv(root).T)


def _moved(pose: Pose, change: Float64, others: tuple[str, ...]) -> Pose:
    """Add ``change``, in the order of the information, to the pose."""
    n = len(pose.shifts_px)
    shifts = np.einsum("nij,jn->ni", turns_of(pose), change[: 2 * n].reshape(2, n))
    out = pose.moved("shifts_px", shifts).moved("tilt_axis_deg", float(change[2 * n]))
    for k, name in enumerate(others):
        first = 2 * n + 1 + k * n
        out = out.moved(name, change[first : first + n])
    return out


def _mixed(places: list[Float64], steps: list[Float64]) -> Float64:
    """Anderson's next place: where the steps of the last places, linear between them, would vanish."""
    if len(places) == 1:
        return places[0] + steps[0]
    by_place, by_step = (np.diff(np.array(a), axis=0).T for a in (places, steps))
    share = np.linalg.lstsq(by_step, steps[-1], rcond=None)[0]
    return np.asarray(places[-1] + steps[-1] - (by_place + by_step) @ share)
