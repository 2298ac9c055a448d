# SPDX-License-Identifier: BSD-3-Clause
"""Two volumes from two halves of the data: what they share is the specimen, what they do not is noise."""

from __future__ import annotations

import functools
import inspect
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, cast, overload

import numpy as np
import numpy.typing as npt

from .._arrays import as_angles
from .._fields import Field
from ..datamodel import TiltSeries
from ..errors import Cancelled, InputError
from .cut import WHOLE, Cut
from .inputs import Chosen, Float32, Images, Int64, Problem, ProjectionsLike, ViewsLike, as_problem
from .setup import volume_target

__all__ = [
    "SPLITS",
    "Halved",
    "Halves",
    "Solver",
    "Split",
    "dose_before",
    "half_volumes",
    "halved",
    "in_turn",
    "split_tilts",
    "with_halves",
]

Split = Literal["tilts", "frames", "dose"]
SPLITS = ("tilts", "frames", "dose")
P = ParamSpec("P")
V = TypeVar("V", bound=Float32, covariant=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class Halves:
    """Half volumes and the volume of all data.

    Attributes
    ----------
    first, second : (nz, ny, nx) float32
        Each holds its half of the density. Hand them to :func:`cryolith.metrics.fsc`, which does not see the scale.
        From an iterative solver they are :class:`Reconstruction`, with the residuals.
    full : (nz, ny, nx) float32
        The volume of all data, in the units of density: of ``wbp`` it is ``first + second``, to the bit; of an
        iterative solver what it gives without ``halves``, or with ``whole=False`` the sum.
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


class Solver(Protocol[P, V]):
    """A function that returns a volume, or with ``halves`` :class:`Halves`."""

    @overload
    def __call__(self, *args: P.args, **options: P.kwargs) -> V: ...
    @overload
    def __call__(
        self,
        stack: ProjectionsLike | Sequence[ProjectionsLike],
        angles_deg: ViewsLike = None,
        *,
        halves: Split,
        dose: npt.ArrayLike | None = None,
        whole: bool = True,
        **options: Any,
    ) -> Halves: ...


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Halved:
    """Data that are divided, and what each half is solved from.

    Attributes
    ----------
    split : {"tilts", "frames", "dose"}
    whole : Problem
        All data.
    halves : (Problem, Problem)
        At the density of the whole: sums of half the frames are doubled.
    """

    split: Split
    whole: Problem
    halves: tuple[Problem, Problem]

    def options(self, half: Problem, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of all data as those of one half."""
        mine = dict(options)
        if self.split == "frames":
            if mine.get("noise"):
                mine["noise"] = math.sqrt(2.0) * mine["noise"]
        elif mine.get("weights") is not None:
            mine["weights"] = np.asarray(mine["weights"])[half.views.index]
        return mine


def halved(
    stack: ProjectionsLike | Sequence[ProjectionsLike],
    angles_deg: ViewsLike,
    split: Split,
    dose: npt.ArrayLike | None = None,
    *,
    thickness: int | None = None,
    shape: tuple[int, int, int] | None = None,
    background: npt.ArrayLike | None = None,
) -> Halved:
    """Divide images and views in two, or refuse that by name.

    Parameters
    ----------
    stack : (n_tilts, height, width) or TiltSeries; for ``frames`` a pair of them
    angles_deg, thickness, shape, background
        As in :func:`wbp`, of all data.
    split, dose
        As in :func:`split_tilts`, or ``frames``.
    """
    if split not in SPLITS:
        raise InputError(f"halves: found {split!r}, expected one of {', '.join(SPLITS)}, or None")
    if split == "frames":
        level = None if background is None else np.asarray(background, np.float64) / 2
        odd, even = (
            as_problem(frames, angles_deg, thickness=thickness, shape=shape, background=level)
            for frames in _pair_of(stack)
        )
        both = Images(_Added(odd.images, even.images), np.arange(len(odd.index)), None)
        first, second = (replace(p, images=p.images.times(2.0)) for p in (odd, even))
        return Halved(split=split, whole=replace(odd, images=both), halves=(first, second))
    data = cast("ProjectionsLike", stack)
    whole = as_problem(data, angles_deg, thickness=thickness, shape=shape, background=background)
    suffered = dose_before(data, dose, whole.index)
    index = split_tilts(whole.geometry.angles_deg, split, dose=suffered)
    first, second = (_part(whole, chosen) for chosen in index)
    return Halved(split=split, whole=whole, halves=(first, second))


def _pair_of(stack: Any) -> tuple[Any, Any]:
    """Return the two stacks of ``halves="frames"``: sums of the odd and of the even frames of each image."""
    if isinstance(stack, TiltSeries) or len(stack) != 2:
        raise InputError(
            "stack: found one stack, expected two for halves='frames': sums of odd and of even frames"
        )
    first, second = (s.images if isinstance(s, TiltSeries) else s for s in stack)
    shapes = [tuple(getattr(s, "shape", ())) or np.shape(s) for s in (first, second)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"stack: found frame sums of shape {shapes[0]} and {shapes[1]}, expected equal ones"
        )
    return first, second


class _Added:
    """The sum of two stacks, made when it is indexed."""

    dtype = np.dtype(np.float32)

    def __init__(self, first: Images, second: Images) -> None:
        self._first, self._second, self.shape = first, second, first.shape

    def __getitem__(self, key: Any) -> Float32:
        return self._first[key] + self._second[key]


def _part(whole: Problem, chosen: Int64) -> Problem:
    views = Chosen(among=whole.views.among, index=whole.views.index[chosen])
    return replace(
        whole, images=whole.images.chosen(chosen), views=views, index=whole.index[chosen]
    )


def half_volumes(
    solve: Callable[..., Float32],
    data: Halved,
    options: Mapping[str, Any],
    *,
    linear: bool,
    progress: Sequence[Callable[[float], None] | None] = (None, None),
) -> tuple[Float32, Float32]:
    """Solve twice, once for each half, and return volumes of half the density.

    ``options`` are those of all data; ``linear`` as in :func:`with_halves`.
    """
    (_, first), (_, second) = _half_fields(solve, data, options, linear, progress)
    return first, second


def _half_fields(
    solve: Callable[..., Float32],
    data: Halved,
    options: Mapping[str, Any],
    linear: bool,
    progress: Sequence[Callable[[float], None] | None],
) -> list[tuple[Field, Float32]]:
    """Return where each half lies, to be read in parts, and all of it."""
    cut: Cut = options.get("cut", WHOLE)
    # A linear solver gives tilts their weights among all: what it returns of half of them is half.
    factor = 1.0 if linear and data.split != "frames" else 0.5
    found = []
    for half, tell in zip(data.halves, progress, strict=True):
        field = cut.volume(half.shape)
        volume = _solved(solve, half, {**data.options(half, options), "out": field}, tell)
        if factor != 1.0:
            _scale(field, factor, cut)
        found.append((field, volume))
    return found


def _solved(
    solve: Callable[..., Float32],
    problem: Problem,
    options: Mapping[str, Any],
    progress: Callable[[float], None] | None,
) -> Float32:
    given = {**options, "shape": problem.shape, "progress": progress}
    found = solve(problem.images, problem.views, **given)
    if getattr(found, "stopped", "") == "cancelled":
        raise Cancelled("cancelled by the caller")  # halves of unequal work are no halves
    return found


def _scale(field: Field, factor: float, cut: Cut) -> None:
    _, ny, nx = field.shape
    for first, last in cut.row_parts(ny):
        rows = field.window((first, last, 0, nx))
        rows *= np.float32(factor)
        field.put_window((first, last, 0, nx), rows)


def with_halves(*, linear: bool = False) -> Callable[[Callable[P, V]], Solver[P, V]]:
    """Give a solver the keywords ``halves``, ``dose`` and ``whole``.

    ``linear``: the halves of its volume add up, if each image has the weight that it has among all; the whole is then
    not solved again.
    """

    def decorate(solve: Callable[P, V]) -> Solver[P, V]:
        @functools.wraps(solve)
        def solver(stack: Any, angles_deg: Any = None, **options: Any) -> Any:
            split, dose = options.pop("halves", None), options.pop("dose", None)
            whole = options.pop("whole", True)
            if split is None:
                if dose is not None:
                    raise InputError("dose: found without halves, expected halves='dose' with it")
                if not whole:
                    raise InputError("whole: found False without halves, expected halves= with it")
                return cast("Callable[..., V]", solve)(stack, angles_deg, **options)
            which = {k: options.pop(k, None) for k in ("thickness", "shape", "background")}
            data = halved(stack, angles_deg, split, dose, **which)
            each = cast("Callable[..., Float32]", solve)
            return _solve_all(each, data, options, summed=linear or not whole, linear=linear)

        solver.__signature__ = _signature(solve)  # type: ignore[attr-defined]
        return cast("Solver[P, V]", solver)

    return decorate


def _solve_all(
    solve: Callable[..., Float32],
    data: Halved,
    options: dict[str, Any],
    *,
    summed: bool,
    linear: bool,
) -> Halves:
    """Return the halves, and their sum or the solve of all data."""
    out, cut = options.pop("out", None), options.get("cut", WHOLE)
    progress = options.pop("progress", None)
    shares = [] if summed else [float(len(data.whole.index))]
    tell = in_turn(progress, [*shares, *(float(len(half.index)) for half in data.halves)])
    full = None if summed else _solved(solve, data.whole, {**options, "out": out}, tell[0])
    (a, first), (b, second) = _half_fields(solve, data, options, linear, tell[-2:])
    if full is None:
        full = _sum(a, b, volume_target(out, data.whole.shape, cut), cut)
    index = (data.halves[0].index, data.halves[1].index)
    return Halves(first=first, second=second, full=full, split=data.split, index=index)


def _sum(first: Field, second: Field, target: Field, cut: Cut) -> Float32:
    _, ny, nx = target.shape
    for begin, end in cut.row_parts(ny):
        window = (begin, end, 0, nx)
        rows = target.window(window)
        np.copyto(
            rows, first.window(window)
        )  # one, then the other: of work that is cut both are read
        rows += second.window(window)
        target.put_window(window, rows)
    return target.whole()


def in_turn(
    progress: Callable[[float], None] | None, shares: list[float]
) -> list[Callable[[float], None] | None]:
    """Return what each of several works reports to, so that together they go from 0 to 1."""
    if progress is None:
        return [None] * len(shares)
    ends = np.cumsum([0.0, *shares]) / sum(shares)

    def part(begin: float, end: float) -> Callable[[float], None]:
        return lambda fraction: progress(begin + fraction * (end - begin))

    return [part(float(a), float(b)) for a, b in itertools.pairwise(ends)]


def _signature(solve: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a solver that also takes ``halves``, ``dose`` and ``whole``."""
    signature = inspect.signature(solve)
    given = list(signature.parameters.values())
    keyword = inspect.Parameter.KEYWORD_ONLY
    more = [
        inspect.Parameter("halves", keyword, default=None, annotation="Split | None"),
        inspect.Parameter("dose", keyword, default=None, annotation="npt.ArrayLike | None"),
        inspect.Parameter("whole", keyword, default=True, annotation="bool"),
    ]
    rest = [p for p in given if p.kind is inspect.Parameter.VAR_KEYWORD]
    return signature.replace(parameters=[*given[: len(given) - len(rest)], *more, *rest])
