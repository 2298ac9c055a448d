# SPDX-License-Identifier: BSD-3-Clause
"""The options that all iterative solvers take."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Callable
from typing import TypedDict

import numpy.typing as npt

from .. import _core
from .._fields import Field
from ..errors import InputError
from ..projection.on_devices import Devices as Names
from .checkpoint import Checkpoint
from .cut import Cut
from .inputs import Float32
from .iterate import Callback

__all__ = ["Options", "checked_bounds", "checked_count", "checked_number", "refuse_unknown"]


class Options(TypedDict, total=False):
    """Keyword arguments of every iterative solver.

    Each also takes ``halves`` ({"tilts", "frames", "dose"}) and ``dose``, as :func:`wbp` does, and then returns
    :class:`Halves`: the volume of all data and those of two halves, each solved by itself and of half the density. That
    costs two reconstructions, with ``frames`` (a pair of stacks) three; options hold at the density of the whole.
    ``whole=False`` leaves out that of all data and gives the sum of the halves in its place.

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
        Where the result goes: an array, or a :class:`Field` on disk.
    checkpoint : Checkpoint
        Where the solver saves every few minutes what it needs to go on, and what it goes on from: the same bytes as
        without an interruption.
    cut : Cut
        What is in memory at once; default all. The bytes of the result do not depend on it.
    device : str or sequence of str
        "cpu" (the default), "cuda", "cuda:1" ..., "emulated", or "auto": a card where there is one that takes these
        views. One that holds all of the solver's arrays keeps them; through others, and through several ("cuda:0,
        cuda:1"), volumes and images go in slabs. Steps are those of the CPU to the bit, the projector pair to rounding.
    max_memory : int [bytes]
        Of each device, other than the CPU; default what is free.
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
    out: Float32 | Field | None
    checkpoint: Checkpoint | None
    cut: Cut
    device: Names
    max_memory: int | None
    threads: int
    cancel: _core.CancelToken | None
    progress: Callable[[float], None] | None


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


def refuse_unknown(options: Options) -> None:
    """Raise TypeError where an option is none."""
    known = list(Options.__annotations__)
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"options: {', '.join(known)}"
            raise TypeError(f"unexpected keyword argument {name!r}; {hint}")


def checked_bounds(options: Options, lower: float) -> tuple[float, float]:
    """Return the bounds, ``lower`` being the default of the lower one, or refuse them by name."""
    low, high = options.get("lower", lower), options.get("upper", math.inf)
    for name, value in (("lower", low), ("upper", high)):
        if not isinstance(value, numbers.Real) or isinstance(value, bool) or math.isnan(value):
            raise InputError(f"{name}: found {value!r}, expected a number or infinity")
    if not low < high:
        raise InputError(f"upper: found {high:g}, expected more than lower, {low:g}")
    return float(low), float(high)
