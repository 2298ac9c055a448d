# SPDX-License-Identifier: BSD-3-Clause
"""The options that all iterative solvers take, and their way from the caller's arguments to a checked set-up."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Callable
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core, as_output
from ..errors import InputError
from ..projection.operators import finite_stack
from .inputs import Float32, Problem, ProjectionsLike, ViewsLike, as_problem
from .iterate import Callback, Setup

__all__ = ["Options", "as_setup", "checked_count", "checked_number"]


class Options(TypedDict, total=False):
    """Keyword arguments of every iterative solver.

    Attributes
    ----------
    thickness : int [px]
        nz; default as wide as the volume (a needle or particle).
    shape : (int, int, int)
        (nz, ny, nx); overrides ``thickness``.
    background : (n_tilts,)
        Subtracted from each image.
    weights : (n_tilts,) or (n_tilts, height, width)
        W, not negative: the inverse variance of each ray, up to a factor. 0 is a missing ray, as is a NaN pixel.
    init : (nz, ny, nx)
        Volume to start from; default 0 (``mlem``: a constant).
    mask : (nz, ny, nx)
        The support: voxels where it is 0 (False) are 0.
    lower, upper : float
        Bounds of the voxels inside the mask; default as the solver says, and none.
    tol : float
        Stop when |b - Ax| / |b| has fallen to it.
    noise : float [units of the images]
        Stop when the residual has fallen to the noise (the discrepancy principle): the standard deviation of a ray of
        weight 1.
    callback : callable
        ``callback(iteration, state)`` after each iteration, counted from 1, with a :class:`State`; True stops and keeps
        the result.
    out : (nz, ny, nx) float32
        Where the result goes.
    threads : int
        0, the default, uses all processors of this process. The result has the same bits for any number.
    cancel : CancelToken
        When set, the work ends within a second and returns the volume of the last whole iteration.
    progress : callable
        Called with the fraction done, 0 to 1.
    """

    thickness: int | None
    shape: tuple[int, int, int] | None
    background: npt.ArrayLike | None
    weights: npt.ArrayLike | None
    init: npt.ArrayLike | None
    mask: npt.ArrayLike | None
    lower: float
    upper: float
    tol: float
    noise: float
    callback: Callback | None
    out: Float32 | None
    threads: int
    cancel: _core.CancelToken | None
    progress: Callable[[float], None] | None


def as_setup(
    stack: ProjectionsLike, views: ViewsLike, options: Options, *, lower: float = 0.0
) -> Setup:
    """Return what a solver needs, or refuse an argument by name.

    ``lower`` is the solver's own default of that bound.
    """
    _refuse_unknown(options)
    problem = as_problem(
        stack,
        views,
        thickness=options.get("thickness"),
        shape=options.get("shape"),
        background=options.get("background"),
    )
    low, high = _bounds(options, lower)
    threads = options.get("threads", 0)
    weights, heaviest = _ray_weights(problem, options.get("weights"))
    mask = _mask(options.get("mask"), problem.shape)
    volume = _start(options, problem.shape, mask, low, high)
    return Setup(
        problem=problem,
        measured=finite_stack(problem.stack, threads, None),
        weights=weights,
        heaviest=heaviest,
        rays=int(np.count_nonzero(weights)),
        volume=volume,
        mask=mask,
        lower=low,
        upper=high,
        tol=checked_number(options.get("tol", 0.0), "tol"),
        noise=checked_number(options.get("noise", 0.0), "noise"),
        callback=options.get("callback"),
        threads=threads,
        cancel=options.get("cancel"),
        progress=options.get("progress"),
    )


def checked_count(value: int, name: str, minimum: int = 1) -> int:
    """Return a count of at least ``minimum``, or refuse it by name."""
    good = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not good or value < minimum:
        raise InputError(f"{name}: found {value!r}, expected a whole number of at least {minimum}")
    return int(value)


def checked_number(
    value: float, name: str, minimum: float = 0.0, maximum: float = math.inf
) -> float:
    """Return a finite number between two limits, or refuse it by name."""
    good = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not good or not math.isfinite(value) or not minimum <= value <= maximum:
        limit = f" and at most {maximum:g}" if maximum < math.inf else ""
        raise InputError(
            f"{name}: found {value!r}, expected a number of at least {minimum:g}{limit}"
        )
    return float(value)


def _refuse_unknown(options: Options) -> None:
    known = list(Options.__annotations__)
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"options: {', '.join(known)}"
            raise TypeError(f"unexpected keyword argument {name!r}; {hint}")


def _bounds(options: Options, lower: float) -> tuple[float, float]:
    low, high = options.get("lower", lower), options.get("upper", math.inf)
    for name, value in (("lower", low), ("upper", high)):
        if not isinstance(value, numbers.Real) or isinstance(value, bool) or math.isnan(value):
            raise InputError(f"{name}: found {value!r}, expected a number or infinity")
    if not low < high:
        raise InputError(f"upper: found {high:g}, expected more than lower, {low:g}")
    return float(low), float(high)


def _mask(mask: npt.ArrayLike | None, shape: tuple[int, int, int]) -> Float32 | None:
    if mask is None:
        return None
    inside = _of_shape(mask, "mask", shape) != 0
    if not inside.any():
        raise InputError("mask: found no voxel inside, expected at least one")
    support: Float32 = inside.astype(np.float32)
    return support


def _start(
    options: Options, shape: tuple[int, int, int], mask: Float32 | None, low: float, high: float
) -> Float32:
    """Return the start volume, inside mask and bounds."""
    init = options.get("init")
    given = None if init is None else _of_shape(init, "init", shape)
    volume = np.asarray(as_output(options.get("out"), shape))
    volume[:] = 0.0 if given is None else given
    np.clip(volume, np.float32(low), np.float32(high), out=volume)
    if mask is not None:
        volume *= mask
    return volume


def _of_shape(value: npt.ArrayLike, name: str, shape: tuple[int, int, int]) -> Float32:
    array: Float32 = as_core(value, name, ("nz", "ny", "nx"))
    if array.shape != shape:
        raise InputError(f"{name}: found shape {array.shape}, expected {shape}")
    if not np.isfinite(array).all():
        raise InputError(f"{name}: found NaN or infinity, expected finite values")
    return array


def _ray_weights(problem: Problem, weights: npt.ArrayLike | None) -> tuple[Float32, float]:
    """Return W (n_tilts, height, width), 1 at most and 0 where a pixel is missing, and what it was divided by."""
    out = np.isfinite(problem.stack).astype(np.float32)
    if weights is None:
        return out, 1.0
    given = np.asarray(weights, dtype=np.float32)
    if given.ndim == 1:
        given = given[:, None, None]
    if given.shape not in (out.shape, (len(out), 1, 1)):
        raise InputError(
            f"weights: found shape {np.shape(weights)}, expected ({len(out)},) or {out.shape}"
        )
    if not (np.isfinite(given).all() and (given >= 0).all()):
        raise InputError("weights: found a negative or non-finite weight, expected 0 or more")
    heaviest = float(given.max())
    if heaviest == 0.0:
        return np.zeros_like(out), 1.0
    out *= given
    out /= np.float32(heaviest)
    return out, heaviest
