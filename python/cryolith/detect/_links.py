# SPDX-License-Identifier: BSD-3-Clause
"""Links between the objects of two moments: drift, motion, the cheapest assignment, and what merged or split."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np

from .. import _core
from ._inputs import Float64, Mask
from ._moments import Int64, Moment, height_of, near_pairs, scatter_of

__all__ = [
    "Gate",
    "Links",
    "Pool",
    "drift_between",
    "find_joins",
    "link",
    "motion_of",
    "spacing_of",
]

_TOUCH = 1.5  # sums of radii between the centres of objects that merge: they are no balls
_EVIDENCE = 3.0  # standard deviations of the sum of volumes, of the smaller part of what merged
_ROUNDS = 3  # of drift and motion, each with the links that follow from the last
_SAMPLE = 500  # objects of a frame that the drift is looked for with, before all of them refine it
_WIDER = 0.01  # of the chance to miss a link, while motion is not known
_BINS = 16  # of displacements, to either side
_TRUSTED = 5.0  # standard deviations of the background, of the peak of displacements


@dataclass(frozen=True)
class Gate:
    """What counts as the same object: ``motion`` [length^2 / time] and ``growth`` [1 / time] are variances of what the
    objects do by themselves, ``alpha`` the chance to miss one for its place and size."""

    motion: float
    growth: float
    alpha: float
    sized: bool

    @property
    def height(self) -> float:
        return height_of(self.alpha, 4 if self.sized else 3)


@dataclass(frozen=True)
class Pool:
    """Ends of tracks that may go on: where they would be now, and how long ago they were seen."""

    moment: Moment
    age: Float64  # (n,) time since


@dataclass(frozen=True)
class Links:
    """``partner`` (n,): column of each row, or -1; ``chi2`` (n,): of its link."""

    partner: Int64
    chi2: Float64


def link(pool: Pool, new: Moment, gate: Gate, cancel: _core.CancelToken | None) -> Links:
    """Link ends of tracks to objects: the assignment with the largest likelihood among pairs inside of the gate."""
    old, height = pool.moment, gate.height
    partner = np.full(len(old), -1, np.int64)
    chi2 = np.full(len(old), np.nan)
    rows, columns, cost, distance = _candidates(pool, new, gate)
    if not len(rows):
        return Links(partner, chi2)
    begins = np.searchsorted(rows, np.arange(len(old) + 1)).astype(np.int64)
    alone = np.full(len(old), height + float(np.median(cost - distance)))
    _core.assign(begins, columns, cost, alone, len(new), partner, cancel)
    made = partner[rows] == columns
    chi2[rows[made]] = distance[made]
    return Links(partner, chi2)


def _candidates(pool: Pool, new: Moment, gate: Gate) -> tuple[Int64, Int64, Float64, Float64]:
    """Return the pairs inside of the gate with -2 log likelihood (but for constants) and chi-squared."""
    old, height = pool.moment, gate.height
    reach = old.variance.max(axis=1, initial=0.0) + gate.motion * pool.age
    reach = np.sqrt(height * (reach + new.variance.max(initial=0.0)))
    parts = [
        (*near_pairs(old.place[g], new.place, float(reach[g].max())), g) for g in _octaves(reach)
    ]
    rows = np.concatenate([g[r] for r, _, g in parts] or [np.zeros(0, np.int64)])
    columns = np.concatenate([c for _, c, _ in parts] or [np.zeros(0, np.int64)])
    variance = old.variance[rows] + new.variance[columns] + (gate.motion * pool.age[rows])[:, None]
    square = ((old.place[rows] - new.place[columns]) ** 2 / variance).sum(axis=1)
    weight = np.log(variance).sum(axis=1)
    if gate.sized:
        change, spread = _change(old, new, rows, columns, gate.growth * pool.age[rows])
        square = square + change**2 / spread
        weight = weight + np.log(spread)
    inside = square <= height
    order = np.lexsort((columns[inside], rows[inside]))
    rows, columns = rows[inside][order], columns[inside][order]
    square, weight = square[inside][order], weight[inside][order]
    return rows, columns, square + weight, square


def _octaves(reach: Float64) -> list[Int64]:
    """Return rows in groups of like reach: one far-reaching row must not make all others look far."""
    if not len(reach):
        return []
    octave = np.ceil(np.log2(reach))
    return [np.flatnonzero(octave == o) for o in np.unique(octave)]


def _change(
    old: Moment, new: Moment, rows: Int64, columns: Int64, growth: Float64
) -> tuple[Float64, Float64]:
    """Return changes of size of pairs and their variance."""
    a, b = old.size[rows], new.size[columns]
    known = np.nan_to_num(old.size_variance[rows]) + np.nan_to_num(new.size_variance[columns])
    return b - a, known + growth * (0.5 * (a + b)) ** 2 + 1e-12 * (a**2 + b**2)


def drift_between(old: Moment, new: Moment, reach: float, wide: float) -> tuple[Float64, Float64]:
    """Return by how much the specimen has moved as a whole, (3,), and its standard error; 0 where nothing tells.

    The displacements of all pairs within ``reach`` pile up at the drift, those of wrong pairs are spread evenly. Then
    the median of displacements within 3 ``wide``, the scatter of a right pair, of the last value.
    """
    unknown = np.zeros(3), np.full(3, np.nan)
    few = old.place[
        :: max(1, len(old) // _SAMPLE)
    ]  # of an order by place: spread over all of the volume
    moves = _moves(few, new.place, reach)
    if len(moves) < 4:
        return unknown
    width = max(2 * wide, reach / _BINS)
    n = 2 * math.ceil(reach / width) + 1
    cells = np.floor(moves / width + n / 2).astype(int).clip(0, n - 1)
    votes = np.bincount(np.ravel_multi_index(tuple(cells.T), (n, n, n)), minlength=n**3)
    votes = np.pad(votes.reshape(n, n, n).astype(float), 1)
    for axis in range(3):  # a pile is as wide as two cells and may lie across their borders
        votes = votes + np.roll(votes, 1, axis) + np.roll(votes, -1, axis)
    votes = votes[1:-1, 1:-1, 1:-1]
    expected = len(moves) * 27 / (math.pi / 6 * (2 * reach / width) ** 3)
    if votes.max() < expected + _TRUSTED * math.sqrt(expected + 1):
        return unknown
    at = (np.array(np.unravel_index(int(votes.argmax()), votes.shape)) - (n - 1) / 2) * width
    within = 1.5 * width + 3 * wide
    moves = at + _moves(old.place + at, new.place, math.sqrt(3) * within)
    for window in (1.5 * width, 3 * wide, 3 * wide, 3 * wide):
        near = np.abs(moves - at).max(axis=1) <= max(window, 1e-12)
        if near.sum() < 3:
            return unknown
        at = np.median(moves[near], axis=0)
    spread = 1.4826 * np.median(np.abs(moves[near] - at), axis=0)
    sigma = 1.2533 * spread / math.sqrt(near.sum())  # of a median of normal numbers
    return np.asarray(at, np.float64), np.asarray(sigma, np.float64)


def _moves(a: Float64, b: Float64, reach: float) -> Float64:
    """Return the displacements (n, 3) from points of ``a`` to points of ``b`` within ``reach``."""
    rows, columns = near_pairs(a, b, reach)
    return b[columns] - a[rows]


def motion_of(
    pairs: list[tuple[Moment, Moment, float]],
    gate: Gate,
    given: float | None,
    cancel: _core.CancelToken | None,
) -> Gate:
    """Return the gate with the variances of motion and growth that the data show."""
    if not pairs:
        return gate
    if given is None:
        gate = replace(gate, motion=_first_motion(pairs))
    if gate.sized:
        gate = replace(gate, growth=1.0)
    for _ in range(_ROUNDS):
        known, squares, scale, changes, spread, sizes = [], [], [], [], [], []
        for old, new, time in pairs:
            wide = replace(
                gate, alpha=_WIDER * gate.alpha
            )  # a gate too narrow would see too little motion
            found = link(Pool(old, np.full(len(old), time)), new, wide, cancel)
            rows = np.flatnonzero(found.partner >= 0)
            columns = found.partner[rows]
            squares.append(((old.place[rows] - new.place[columns]) ** 2).ravel())
            known.append((old.variance[rows] + new.variance[columns]).ravel())
            scale.append(np.full(3 * len(rows), time))
            change, error = _change(old, new, rows, columns, np.zeros(len(rows)))
            changes.append(change**2)
            spread.append(error)
            sizes.append(time * (0.5 * (old.size[rows] + new.size[columns])) ** 2)
        if given is None:
            motion = scatter_of(*(np.concatenate(v) for v in (squares, known, scale)))
            gate = replace(gate, motion=motion)
        if gate.sized:
            growth = scatter_of(*(np.concatenate(v) for v in (changes, spread, sizes)))
            gate = replace(gate, growth=growth)
    return gate


def _first_motion(pairs: list[tuple[Moment, Moment, float]]) -> float:
    """Return a first guess from objects that are each other's nearest."""
    found = []
    for old, new, time in pairs:
        if not len(old) or not len(new):
            continue
        spacing = spacing_of(new)
        rows, columns = near_pairs(old.place, new.place, spacing)
        square = ((old.place[rows] - new.place[columns]) ** 2).sum(axis=1)
        order = np.argsort(square, kind="stable")
        _, a = np.unique(rows[order], return_index=True)
        _, b = np.unique(columns[order], return_index=True)
        both = order[np.intersect1d(a, b)]
        variance = old.variance[rows[both]] + new.variance[columns[both]]
        found.append(np.maximum(square[both] / 3 - variance.mean(axis=1), 0) / time)
    # 0.79: the median of chi-squared of 3 degrees of freedom over 3.
    return float(np.median(np.concatenate(found)) / 0.789) if found else 0.0


def spacing_of(moment: Moment) -> float:
    """Return the mean distance of neighbours in an even spread of as many points over the same box."""
    box = np.ptp(moment.place, axis=0) if len(moment) > 1 else np.ones(3)
    box = np.maximum(box, 1e-6 * max(float(box.max()), 1e-300))
    flat = box > 1e-3 * box.max()  # a plane or a line of objects has fewer dimensions
    return float((box[flat].prod() / max(len(moment), 1)) ** (1 / flat.sum()))


def find_joins(
    parts: Moment,
    wholes: Moment,
    partner: Int64,
    chi2: Float64,
    busy: Mask,
    age: float,
    gate: Gate,
) -> list[tuple[int, int, int]]:
    """Return (part, part, whole): two objects of one moment that are one in the other, the most likely first.

    ``partner`` (parts,): the whole that each part is linked to, -1 for none, -2 for one that is not among these;
    ``chi2`` of the link; ``busy`` (wholes,): those that may not be one. Volume and centre of mass of the two are those
    of the whole, within the gate; where one of them is linked to it, they explain it better.
    """
    taken = np.full(len(wholes), -1, np.int64)
    linked = np.flatnonzero(partner >= 0)
    taken[partner[linked]] = linked
    free = np.flatnonzero(partner == -1)
    radius, whole_radius = (
        np.cbrt(3 / (4 * math.pi) * np.maximum(m.size, 0)) for m in (parts, wholes)
    )
    if not len(free) or not len(wholes):
        return []
    slack = math.sqrt(
        gate.height * (gate.motion * age + float(parts.variance.max() + wholes.variance.max()))
    )
    most = _TOUCH * float(radius[free].max() + whole_radius.max()) + slack
    rows, columns = near_pairs(parts.place[free], wholes.place, most)
    rows = free[rows]
    apart = np.sqrt(((parts.place[rows] - wholes.place[columns]) ** 2).sum(axis=1))
    near = (apart <= _TOUCH * (radius[rows] + whole_radius[columns]) + slack) & ~busy[columns]
    held: dict[int, list[int]] = {}
    for a, w in zip(rows[near].tolist(), columns[near].tolist(), strict=True):
        held.setdefault(w, []).append(a)
    triples = []
    for w, mine in held.items():
        other = int(taken[w])
        pairs = [(a, other) for a in mine] if other >= 0 else itertools.combinations(mine, 2)
        triples += [(min(a, b), max(a, b), w) for a, b in pairs]
    if not triples:
        return []
    a, b, whole = np.array(triples).T
    square = _join_chi2(parts, wholes, a, b, whole, gate.motion * age, gate.growth * age)
    limit = np.full(len(wholes), height_of(gate.alpha, 4))
    limit[partner[linked]] = np.minimum(limit[partner[linked]], chi2[linked])
    good = np.flatnonzero(square < limit[whole])
    order = good[np.lexsort((b[good], a[good], whole[good], square[good]))]
    return _apart([triples[k] for k in order])


def _apart(triples: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Return the joins, the likeliest first, that have nothing in common with a likelier one."""
    used_parts: set[int] = set()
    used_wholes: set[int] = set()
    joins = []
    for a, b, w in triples:
        if w not in used_wholes and not used_parts & {a, b}:
            used_wholes.add(w)
            used_parts |= {a, b}
            joins.append((a, b, w))
    return joins


def _join_chi2(
    parts: Moment, wholes: Moment, a: Int64, b: Int64, w: Int64, motion: float, growth: float
) -> Float64:
    """Return chi-squared (4) of: the volumes of a and b add up to that of w, and their centre of mass is its.

    Infinite where volumes could not tell: the smaller part has to be more than the error of the sum.
    """
    va, vb, vw = parts.size[a], parts.size[b], wholes.size[w]
    sa, sb = (np.nan_to_num(parts.size_variance[k]) for k in (a, b))
    sw = np.nan_to_num(wholes.size_variance[w])
    total = va + vb
    spread = sa + sb + sw + growth * (0.5 * (total + vw)) ** 2 + 1e-12 * total**2
    with np.errstate(divide="ignore", invalid="ignore"):
        fa, fb = (va / total)[:, None], (vb / total)[:, None]
        centre = fa * parts.place[a] + fb * parts.place[b]
        variance = fa**2 * parts.variance[a] + fb**2 * parts.variance[b]
        lever = ((vb**2 * sa + va**2 * sb) / total**4)[:, None]
        variance += lever * (parts.place[a] - parts.place[b]) ** 2
        variance += wholes.variance[w] + motion
        place = ((centre - wholes.place[w]) ** 2 / variance).sum(axis=1)
        square = (total - vw) ** 2 / spread + place
    known = np.minimum(va, vb) > _EVIDENCE * np.sqrt(spread)
    return np.where(known, square, np.inf)
