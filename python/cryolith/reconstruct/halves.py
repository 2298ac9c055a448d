# SPDX-License-Identifier: BSD-3-Clause
"""Two volumes from two halves of the data: what they share is the specimen, what they do not is noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from .._arrays import as_angles
from ..datamodel import TiltSeries
from ..errors import Cancelled, InputError
from .inputs import Float32, ProjectionsLike, ViewsLike, as_problem

__all__ = ["Halves", "Split", "frame_stacks", "solve_halves", "split_tilts"]

Split = Literal["tilts", "frames", "dose"]
SPLITS = ("tilts", "frames", "dose")
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Halves:
    """Half volumes and their sum.

    Attributes
    ----------
    first, second : (nz, ny, nx) float32
        Each holds its half of the density: ``first + second`` is ``full``, to the bit. Hand them to
        :func:`cryolith.metrics.fsc`, which does not see the scale.
    full : (nz, ny, nx) float32
        The volume of all data, in the units of density.
    split : {"tilts", "frames", "dose"}
        How the data were divided.
    index : ((n_first,), (n_second,)) int64
        Images in each half; all of them in both for ``frames``.
    """

    first: Float32
    second: Float32
    full: Float32
    split: Split
    index: tuple[Int64, Int64]


def split_tilts(
    angles_deg: npt.ArrayLike, split: Split = "tilts", *, dose: npt.ArrayLike | None = None
) -> tuple[Int64, Int64]:
    """Divide tilts into two halves that see the specimen from the same range of directions.

    Parameters
    ----------
    angles_deg : (n_tilts,) [deg]
    split : {"tilts", "dose"}
        ``tilts``: every other one in the order of their angle. ``dose``: of each two neighbours in angle one goes to
        either half, so that the dose the specimen had suffered before stays balanced. (Taking turns in the order of
        exposure would give one half the positive tilts of a dose-symmetric series.)
    dose : (n_tilts,), optional
        For ``dose``: accumulated before each image, or its rank in time.

    Returns
    -------
    first, second : (n,) int64
        Indices, ascending.

    Raises
    ------
    InputError
        Fewer than two tilts, or no dose where it is needed.
    """
    angles = as_angles(angles_deg, "angles_deg")
    if len(angles) < 2:
        raise InputError(f"angles_deg: found {len(angles)} tilt, expected two or more to halve")
    order = np.argsort(angles, kind="stable")
    if split == "tilts":
        return np.sort(order[::2]), np.sort(order[1::2])
    if split != "dose":
        raise InputError(f"halves: found {split!r}, expected 'tilts' or 'dose' to divide tilts")
    if dose is None:
        raise InputError(
            "dose: found None, expected the dose or the rank in time of each image; give dose="
        )
    suffered = as_angles(dose, "dose", len(angles))
    second, balance = np.zeros(len(angles), bool), 0.0
    for i, j in zip(order[::2], order[1::2], strict=False):
        difference = suffered[i] - suffered[j]
        swap = abs(balance - difference) < abs(balance + difference)
        second[i if swap else j] = True
        balance += -difference if swap else difference
    return np.flatnonzero(~second), np.flatnonzero(second)


def frame_stacks(stack: Any) -> tuple[Any, Any]:
    """Return the two stacks of ``halves="frames"``: sums of the odd and of the even frames of each image."""
    if isinstance(stack, TiltSeries) or len(stack) != 2:
        raise InputError(
            "stack: found one stack, expected two for halves='frames': sums of odd and of even frames"
        )
    first, second = stack
    if np.shape(first) != np.shape(second):
        raise InputError(
            f"stack: found frame sums of shape {np.shape(first)} and {np.shape(second)}, expected equal ones"
        )
    return first, second


def dose_before(
    stack: Any, dose: npt.ArrayLike | None, index: Int64
) -> npt.NDArray[np.float64] | None:
    """Return, for the images ``index`` of a stack, the dose before each or its rank in time, if anybody knows it."""
    if dose is not None:
        return as_angles(dose, "dose", len(stack))[index]
    if not isinstance(stack, TiltSeries) or stack.order is None:
        return None
    if stack.dose is None:
        return stack.order[index].astype(np.float64)
    before, order = np.empty(len(stack)), np.argsort(stack.order)
    before[order] = np.cumsum(stack.dose[order]) - stack.dose[order]
    return before[index]


def solve_halves(
    solve: Callable[..., Float32],
    stack: ProjectionsLike | Sequence[npt.ArrayLike],
    angles_deg: ViewsLike = None,
    split: Split = "tilts",
    *,
    dose: npt.ArrayLike | None = None,
    background: npt.ArrayLike | None = None,
    thickness: int | None = None,
    shape: tuple[int, int, int] | None = None,
    **options: Any,
) -> Halves:
    """Solve twice, once for each half of the data: for iterative solvers, which are not linear.

    Each solve sees half of the images, so both together cost what one full solve costs (for ``frames``
    twice that). :func:`wbp` has ``halves=`` of its own, which filters with the weights of all tilts.

    Parameters
    ----------
    solve : callable
        :func:`sirt` or another solver of this package.
    stack, angles_deg, background, thickness, shape
        As in :func:`wbp`; for ``frames`` a pair of stacks, sums of the odd and of the even frames.
    split : {"tilts", "frames", "dose"}
        As in :func:`split_tilts`.
    dose : (n_tilts,), optional
        As in :func:`split_tilts`; default from the tilt series.
    **options
        Handed to ``solve``, both times: n_iter, lower, mask, threads, cancel ... Not what has an entry per image.

    Returns
    -------
    Halves
        ``full`` is the sum of ``first`` and ``second`` and not a solve of all data: its noise is higher than that
        of one where the solver's bounds act.
    """
    if split == "frames":
        pair = frame_stacks(stack)
        levels = None if background is None else np.asarray(background) / 2
        found = [
            solve(s, angles_deg, thickness=thickness, shape=shape, background=levels, **options)
            for s in pair
        ]
        both = np.arange(len(pair[0]))
        return _sum_of(found[0], found[1], split, (both, both))
    data = cast("ProjectionsLike", stack)
    problem = as_problem(data, angles_deg, thickness=thickness, shape=shape, background=background)
    suffered = dose_before(data, dose, problem.index)
    index = split_tilts(problem.geometry.angles_deg, split, dose=suffered)
    parts = [
        solve(problem.stack[i], problem.geometry.subset(i), shape=problem.shape, **options)
        for i in index
    ]
    for part in parts:
        part *= np.float32(0.5)
    return _sum_of(parts[0], parts[1], split, (problem.index[index[0]], problem.index[index[1]]))


def _sum_of(first: Float32, second: Float32, split: Split, index: tuple[Int64, Int64]) -> Halves:
    if any(getattr(half, "stopped", "") == "cancelled" for half in (first, second)):
        raise Cancelled("cancelled by the caller")  # halves of unequal work are no halves
    full = np.asarray(first) + np.asarray(second)
    return Halves(first=first, second=second, full=full, split=split, index=index)
