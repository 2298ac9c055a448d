# SPDX-License-Identifier: BSD-3-Clause
"""Objects of a time series followed from frame to frame, through gaps, mergers and splits, with rates of growth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core
from ..adapters.napari import Frame, LayerData, show
from ..errors import InputError
from ._growth import growth_columns
from ._inputs import Float64, Table
from ._links import Gate, Links, Pool, drift_between, find_joins, link, motion_of, spacing_of
from ._moments import Moment, TableLike, as_moments

__all__ = ["Tracks", "track"]

_OBJECTS = 5000  # that motion and growth are estimated from


@dataclass(frozen=True, kw_only=True, eq=False)
class Tracks:
    """Histories of objects, as :func:`track` found them.

    Attributes
    ----------
    links : dict of str to (n_objects,) array
        One row per object of every frame, by track and frame: ``track``, ``frame``, ``row`` (of that frame's table),
        ``event``: ``first`` (in the first frame), ``birth``, ``merge`` (of two tracks), ``split`` (of one), ``link``,
        ``gap`` (linked over frames without it); ``chi2`` of a link.
    tracks : dict of str to (n_tracks,) array
        One row per track, columns as of :func:`track`.
    drift : (n_frames, 3) float64
        Where the specimen as a whole has moved since the first frame (z, y, x), in ``unit``; taken off before linking.
    sigma_drift : (n_frames, 3) float64
        Of the step from the frame before; NaN where nothing told, and the step was taken for 0.
    motion : float
        Standard deviation of an object's own moves along one axis, in ``unit`` per root of time.
    growth : float
        Relative standard deviation of an object's own change of size, per root of time; NaN without sizes.
    unit : str
        "nm" or "px".
    notes : tuple of str
        What was not possible.
    """

    links: Table
    tracks: Table
    drift: Float64
    sigma_drift: Float64
    motion: float
    growth: float
    unit: str
    notes: tuple[str, ...]

    def to_napari(self, frames: Sequence[TableLike], *, viewer: Any = None) -> list[LayerData]:
        """Return the tracks as a layer for napari, with mergers and splits; add it to a ``viewer``.

        ``frames`` are the tables that were followed; time is the number of the frame.
        """
        rows = list(zip(self.links["frame"].tolist(), self.links["row"].tolist(), strict=True))
        places = [f"{axis}_{self.unit}" for axis in "zyx"]
        table = {
            c: np.array([np.asarray(frames[f][c])[r] for f, r in rows], np.float64) for c in places
        }
        parents = np.stack([self.tracks["parent1"], self.tracks["parent2"]], axis=1)
        graph = {
            int(t): [int(p) for p in of if p >= 0]
            for t, of in zip(self.tracks["track"], parents, strict=True)
            if (of >= 0).any()
        }
        frame = Frame(10.0 if self.unit == "nm" else None)  # places are nm already
        followed = {"track": self.links["track"], "time": self.links["frame"], **table}
        return show([frame.tracks(followed, graph=graph)], viewer)


def track(
    frames: Sequence[TableLike],
    *,
    times: npt.ArrayLike | None = None,
    sigma: float | None = None,
    size: str | None = "volume",
    motion: float | None = None,
    drift: npt.ArrayLike | bool = True,
    max_drift: float | None = None,
    max_gap: int = 1,
    alpha: float = 0.001,
    joins: bool = True,
    cancel: _core.CancelToken | None = None,
    progress: Callable[[float], None] | None = None,
) -> Tracks:
    """Follow objects through a time series: which is which, which came, went, merged and split, how fast they grow.

    Parameters
    ----------
    frames : (n_frames,) sequence of tables
        Of each frame, such as :func:`segment`, :func:`blobs` or :func:`regions` make: columns ``z_nm``, ``y_nm``,
        ``x_nm`` (or ``_px``, where a table has no nm) with ``sigma_``, and a size. A frame may be empty.
    times : (n_frames,), optional
        Ascending, in any unit; default 0, 1, 2 ...
    sigma : float, optional
        Standard error of a place along each axis, for tables without.
    size : str or None, default "volume"
        Which column says how large an object is ("volume" is ``volume_nm3``), with its ``sigma_``. None: places only.
    motion : float, optional
        Standard deviation of an object's own moves along one axis, per root of time. By default from the data.
    drift : bool or (n_frames, 3), default True
        Find how the specimen moves as a whole; or where it was (z, y, x).
    max_drift : float, optional
        Longest drift from frame to frame that is looked for; default twice the distance of neighbours.
    max_gap : int, default 1
        For how many frames an object may be missing and still be the same.
    alpha : float, default 0.001
        Chance to lose an object because it moved or changed more than errors and motion explain.
    joins : bool, default True
        Look for mergers and splits. They need volumes.
    cancel, progress
        As for :func:`segment`.

    Returns
    -------
    Tracks
        One row of its ``tracks`` per track, in the order of their first frames:

        - ``track``; ``first``, ``last``: frames; ``count``: objects in it;
        - ``birth``: ``first``, ``birth``, ``merge`` or ``split``; ``death``: ``last`` (it reached the last frame),
          ``death``, ``merge`` or ``split``; ``parent1``, ``parent2``, ``child1``, ``child2``: tracks, or -1. A merger
          ends both tracks and begins a new one; so does a split;
        - ``growth``, ``sigma_growth``: slope of size against time by weighted least squares, in the size's unit per
          time, NaN for fewer than two times; ``size_mean``, ``sigma_size_mean``: at the (weighted) mean time,
          ``time_mean``; ``chi2_growth``, ``dof_growth``, ``p_growth``: whether a straight line holds. Without errors of
          size, sigma is from the scatter about the line, widened by Student's t.

    Raises
    ------
    InputError
        No tables, missing columns, errors of 0, times that do not ascend, an alpha outside of 0 to 1.
    Cancelled
        ``cancel`` was set.

    Notes
    -----
    Pairs inside of the gate (chi-squared of place and size beyond ``alpha``) are assigned so that the likelihood of all
    is largest; ends of tracks from up to ``max_gap`` frames earlier compete with the rest, their errors wider by the
    time that passed. Two objects merge where one at least has no successor, and their volumes add up to, and their
    centre of mass lies at, an object of the next frame, better than the link that it has. Splits are that backwards.
    Objects are taken to move about at random beside the drift; steady motion of an object of its own widens ``motion``.

    References
    ----------
    Assignment of births, deaths and gaps: Jaqaman et al., Nat. Methods 5 (2008) 695, eq. 3 and 4; gate: Bar-Shalom &
    Fortmann, Tracking and Data Association (1988), section 5.3. Design: design/025-tracking.md.
    """
    moments, unit, column = as_moments(frames, size, sigma)
    when = _times(times, len(moments))
    _check(motion, max_gap, alpha, max_drift)
    sized, whole = column is not None, column is not None and column.startswith("volume")
    gate = Gate(0.0 if motion is None else motion**2, 0.0, alpha, sized)
    notes = (
        []
        if sized or size is None
        else ["sizes: the tables have none; no growth, mergers or splits"]
    )
    # Drift hides motion, and motion blurs the drift: each once more with the other known.
    for _ in range(2):
        moved, sigma_drift = _drift(moments, drift, max_drift, gate)
        still = [replace(m, place=m.place - d) for m, d in zip(moments, moved, strict=True)]
        gate = motion_of(_spread_pairs(still, when), gate, motion, cancel)
    history = _History(still, when, gate, max_gap, joins and whole)
    for i in range(len(still)):
        history.step(i, cancel)
        if progress is not None:
            progress((i + 1) / len(still))
    links, tracks = history.tables()
    tracks |= growth_columns(tracks, links, moments, when) if sized else {}
    return Tracks(
        links=links,
        tracks=tracks,
        drift=moved,
        sigma_drift=sigma_drift,
        motion=math.sqrt(gate.motion),
        growth=math.sqrt(gate.growth) if sized else math.nan,
        unit=unit,
        notes=tuple(notes),
    )


def _times(times: npt.ArrayLike | None, n: int) -> Float64:
    when: Float64 = np.arange(n, dtype=np.float64)
    if times is not None:
        when = as_core(times, "times", ("n_frames",), np.float64)
    if len(when) != n or not np.isfinite(when).all() or not (np.diff(when) > 0).all():
        raise InputError(f"times: found {len(when)} numbers, expected {n} finite, ascending ones")
    return when


def _check(motion: float | None, max_gap: int, alpha: float, max_drift: float | None) -> None:
    for name, value in (("motion", motion), ("max_drift", max_drift)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise InputError(f"{name}: found {value}, expected a length of 0 or more")
    if max_gap < 0:
        raise InputError(f"max_gap: found {max_gap}, expected 0 or more frames")
    if not 0 < alpha < 1:
        raise InputError(f"alpha: found {alpha}, expected a number between 0 and 1")


def _drift(
    moments: list[Moment], drift: npt.ArrayLike | bool, max_drift: float | None, gate: Gate
) -> tuple[Float64, Float64]:
    """Return where the specimen was in each frame, and the errors of the steps."""
    n = len(moments)
    unknown = np.full((n, 3), np.nan)
    if not isinstance(drift, bool):
        given: Float64 = as_core(drift, "drift", ("n_frames", "3"), np.float64)
        if given.shape != (n, 3) or not np.isfinite(given).all():
            raise InputError(f"drift: found shape {given.shape}, expected finite numbers ({n}, 3)")
        return given.copy(), unknown
    steps, sigmas = np.zeros((n, 3)), unknown
    if drift:
        for i in range(1, n):
            a, b = moments[i - 1], moments[i]
            if not len(a) or not len(b):
                continue
            wide = math.sqrt(float(np.median(a.variance) + np.median(b.variance)) + gate.motion)
            reach = 2 * spacing_of(b) if max_drift is None else max_drift
            steps[i], sigmas[i] = drift_between(a, b, max(reach, 6 * wide), wide)
    return steps.cumsum(axis=0), sigmas


def _spread_pairs(moments: list[Moment], when: Float64) -> list[tuple[Moment, Moment, float]]:
    """Return pairs of neighbouring frames, spread over the series, with enough objects to know a variance to 2 %."""
    mean = sum(len(m) for m in moments) / len(moments)
    count = max(2, math.ceil(_OBJECTS / max(mean, 1.0)))
    steps = range(1, len(moments), max(1, (len(moments) - 1) // count))
    return [(moments[i - 1], moments[i], float(when[i] - when[i - 1])) for i in steps]


@dataclass
class _Track:
    """One history as it grows: frames and places in their moments."""

    birth: str
    parents: tuple[int, ...] = ()
    children: list[int] = field(default_factory=list)
    death: str = ""
    seen: list[tuple[int, int, str, float]] = field(default_factory=list)


class _History:
    """All tracks up to a frame."""

    def __init__(
        self, moments: list[Moment], when: Float64, gate: Gate, max_gap: int, joins: bool
    ) -> None:
        self.moments, self.when, self.gate = moments, when, gate
        self.max_gap, self.joins = max_gap, joins
        self.tracks: list[_Track] = []
        self.open: list[int] = []  # tracks that may go on, the order of their numbers

    def step(self, i: int, cancel: _core.CancelToken | None) -> None:
        """Bring in frame ``i``."""
        new = self.moments[i]
        earliest = i - 1 - self.max_gap
        self.open = [t for t in self.open if self.tracks[t].seen[-1][0] >= earliest]
        pool = self._pool(i)
        links = link(pool, new, self.gate, cancel)
        partner = links.partner.copy()
        merged, split = self._joins(i, pool, partner, links) if self.joins else ([], [])
        begun: dict[int, tuple[str, tuple[int, ...]]] = {}
        for a, b, w in merged:
            begun[w] = ("merge", tuple(sorted((self.open[a], self.open[b]))))
            partner[[a, b]] = -1
        for a, b, w in split:
            begun[a] = begun[b] = ("split", (self.open[w],))
            partner[w] = -1
        taken = np.zeros(len(new), bool)
        for k in np.flatnonzero(partner >= 0):
            track = self.tracks[self.open[k]]
            event = "link" if track.seen[-1][0] == i - 1 else "gap"
            track.seen.append((i, int(partner[k]), event, float(links.chi2[k])))
            taken[partner[k]] = True
        ended = {t for _, parents in begun.values() for t in parents}
        self.open = [t for t in self.open if t not in ended]
        for j in np.flatnonzero(~taken):
            self._begin(i, int(j), *begun.get(int(j), ("birth" if i else "first", ())))

    def _begin(self, i: int, j: int, birth: str, parents: tuple[int, ...]) -> None:
        name = len(self.tracks)
        self.tracks.append(_Track(birth, parents, seen=[(i, j, birth, math.nan)]))
        self.open.append(name)
        for parent in parents:
            self.tracks[parent].children.append(name)
            self.tracks[parent].death = birth

    def _pool(self, i: int) -> Pool:
        ends = [self.tracks[t].seen[-1] for t in self.open]
        if not ends:
            none = np.zeros(0)
            empty = Moment(np.zeros((0, 3)), np.zeros((0, 3)), none, none, np.zeros(0, np.int64))
            return Pool(empty, none)
        frames = np.array([e[0] for e in ends])
        places = np.array([e[1] for e in ends])
        columns = []
        for name in ("place", "variance", "size", "size_variance", "row"):
            first = getattr(self.moments[frames[0]], name)
            out = np.empty((len(ends), *first.shape[1:]), first.dtype)
            for frame in np.unique(frames):
                these = frames == frame
                out[these] = getattr(self.moments[frame], name)[places[these]]
            columns.append(out)
        return Pool(Moment(*columns), self.when[i] - self.when[frames])

    def _joins(
        self, i: int, pool: Pool, partner: npt.NDArray[np.int64], links: Links
    ) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
        """Return mergers (end, end, object) and splits (object, object, end) between this frame and the last."""
        new, age = self.moments[i], float(self.when[i] - self.when[i - 1]) if i else 1.0
        recent = np.array([self.tracks[t].seen[-1][0] == i - 1 for t in self.open], bool)
        index = np.flatnonzero(recent)
        old = pool.moment.only(index)
        held = np.full(
            len(new), -1, np.int64
        )  # the recent end that each object is linked to; -2: an older one
        chi2 = np.full(len(new), np.nan)
        made = np.flatnonzero(partner >= 0)
        held[partner[made]] = np.where(recent, np.cumsum(recent) - 1, -2)[made]
        chi2[partner[made]] = links.chi2[made]
        merged = find_joins(old, new, partner[index], links.chi2[index], held == -2, age, self.gate)
        used = {index[p] for a, b, _ in merged for p in (a, b)}
        begun = {w for _, _, w in merged}
        busy = np.array([k in used for k in index], bool)
        split = find_joins(new, old, held, chi2, busy, age, self.gate)
        split = [s for s in split if s[0] not in begun and s[1] not in begun]
        return (
            [(int(index[a]), int(index[b]), w) for a, b, w in merged],
            [(a, b, int(index[w])) for a, b, w in split],
        )

    def tables(self) -> tuple[Table, Table]:
        last = len(self.moments) - 1
        rows = [(t, *seen) for t, track in enumerate(self.tracks) for seen in track.seen]
        frames = np.array([r[1] for r in rows], np.int64)
        places = np.array([r[2] for r in rows], np.int64)
        links: Table = {
            "track": np.array([r[0] for r in rows], np.int64),
            "frame": frames,
            "row": np.array(
                [self.moments[f].row[p] for f, p in zip(frames, places, strict=True)], np.int64
            ),
            "event": np.array([r[3] for r in rows], "<U5"),
            "chi2": np.array([r[4] for r in rows], np.float64),
        }
        ends = [t.seen[-1][0] for t in self.tracks]
        tracks: Table = {
            "track": np.arange(len(self.tracks)),
            "first": np.array([t.seen[0][0] for t in self.tracks], np.int64),
            "last": np.array(ends, np.int64),
            "count": np.array([len(t.seen) for t in self.tracks], np.int64),
            "birth": np.array([t.birth for t in self.tracks], "<U5"),
            "death": np.array(
                [
                    t.death or ("last" if end == last else "death")
                    for t, end in zip(self.tracks, ends, strict=True)
                ],
                "<U5",
            ),
        }
        for name, kin in (("parent", "parents"), ("child", "children")):
            for k in (0, 1):
                members = [getattr(t, kin) for t in self.tracks]
                tracks[f"{name}{k + 1}"] = np.array(
                    [m[k] if len(m) > k else -1 for m in members], np.int64
                )
        return links, tracks
