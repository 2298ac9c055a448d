# SPDX-License-Identifier: BSD-3-Clause
"""Search for tubes or sheets, trace, fit, subtract, search again; and the same filters on noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ._filter_bank import FLOOR
from ._imaging import Imaging, Shown
from ._inputs import Float32, Float64
from ._oriented_bank import OrientedBank, Response
from ._oriented_links import Index, Ridges, link, ridges_of
from ._oriented_null import expected_extrema
from ._oriented_objects import Traced, far_classes, fitted, seen_at, shown
from ._oriented_peaks import Peaks, find_peaks
from ._sheet_patches import facet, trace_sheet
from ._tube_fit import BeadFields
from ._tube_paths import paths_in, trace_tube
from ._tube_settling import Settling

__all__ = ["OrientedOutcome", "OrientedSearch"]

_NOISE_TRACED = 3.0  # objects that noise alone makes are traced down to this expected number
_NOISE_COUNTED = 100.0  # extrema of noise, the lowest level at which they are counted
_PASSES = 6
# An extremum lower than this share of the highest may be its side lobe: it waits until that is subtracted.
_SIDE_LOBE = 0.35
# Voxels are linked from half of an object's height on; its highest point owes about this much of its own to noise.
_LINK, _ABOVE, _LOWEST = 0.5, 1.5, 3.5
_NEAR = 4.0  # px: what is left so near to an object is its misfit
_MISFIT = 0.12  # of an object's significance: so much of it may be left beside it
_WAIT = 2.5  # filter lengths
_MADE = 0.3  # of an extremum's height
_ROUNDS = 3  # of letting go
_ALONE = 6.0  # filter lengths: farther objects do not see each other


@dataclass(frozen=True, kw_only=True, eq=False)
class OrientedOutcome:
    """Traced objects, heights of the extrema that are left and of those of noise (None: no noise to look at), and what
    is left of the volume."""

    objects: list[Traced]
    rest: Float64
    decoys: Float64 | None
    residual: Float32


class OrientedSearch:
    """A bank at work on one volume and, where there is one, on the difference of its halves."""

    def __init__(
        self,
        bank: OrientedBank,
        imaging: Imaging,
        volume: Float32,
        difference: Float32 | None,
        margin: int,
    ) -> None:
        self.bank, self.imaging, self.margin = bank, imaging, margin
        self.volume, self.difference = volume, difference
        nz, ny, nx = (n - 2 * margin for n in volume.shape)
        self.voxels = nz * ny * nx
        self.floor = max(FLOOR, self.level_of(_NOISE_COUNTED))
        self.level = self.level_of(_NOISE_TRACED)

    def expected(self, level: Float64) -> Float64:
        """Return how many extrema of either sign noise alone makes beyond levels."""
        return expected_extrema(self.bank.null, self.bank.widths, level, self.voxels)

    def level_of(self, expected: float) -> float:
        """Return the level beyond which noise alone makes ``expected`` extrema."""
        levels = np.linspace(3.0, 12.0, 1801)
        return float(levels[np.argmax(self.expected(levels) <= expected)])

    def look(self, volume: Float32) -> tuple[Response, Float32, Peaks]:
        """Return the response to a volume, the filtered volume, and the extrema beyond ``floor``."""
        base = self.bank.filtered(volume)
        response = self.bank.respond(base)
        field = self.bank.spectra.inverse(base)
        return response, field, find_peaks(self.bank, response, field, self.margin, self.floor)

    def run(self) -> OrientedOutcome:
        """Search until nothing new stands out; what does not stand out with all others taken out is let go."""
        objects: list[Traced] = []
        residual, look = self.volume, Shown(np.zeros_like(self.volume), None)
        for turn in range(_PASSES + 1):
            response, field, peaks = self.look(residual)
            if turn == 0:
                self.field = field
            peaks = self._new(peaks, objects)
            if turn == _PASSES or not len(peaks) or abs(peaks.heights[0]) < self.level:
                break
            new = self.trace(response, field, peaks, len(objects))
            if not new:
                break
            objects, look = self._fitted([*objects, *new])
            residual = self.volume - look.both
        if objects:
            objects, look = self._standing(objects, look)
            if self.bank.kind == "tubes":
                settling = Settling(self.bank, self.imaging, self.volume, self.field, self.level)
                objects, look = self._fitted(settling.run(objects))
            residual = self.volume - look.both
            peaks = self.look(residual)[2]
            peaks = self._new(peaks, objects)
        return OrientedOutcome(
            objects=objects,
            rest=np.abs(peaks.heights),
            decoys=self._decoys(look),
            residual=residual,
        )

    def _fitted(self, objects: list[Traced]) -> tuple[list[Traced], Shown]:
        return fitted(self.bank, self.imaging, self.field, objects)

    def _new(self, peaks: Peaks, objects: Sequence[Traced]) -> Peaks:
        """Return the extrema that are no misfit of an object: not on it, nor low beside it."""
        new = _apart(peaks, objects, _NEAR)
        for o in objects:
            low = np.abs(peaks.heights) < _MISFIT * o.peak
            new &= ~low | _apart(peaks, [o], _ALONE * self.bank.length)
        return peaks.pick(new)

    def _standing(self, objects: list[Traced], look: Shown) -> tuple[list[Traced], Shown]:
        """Return the objects that stand out with all others taken out.

        Of objects near to each other that do not, the weaker goes first: it may be a piece of the stronger.
        """
        for _ in range(_ROUNDS):
            alone = self._alone(objects, look)
            weak = [
                o.peak < self.level and _weaker(before, objects, _WAIT * self.bank.length)
                for o, before in zip(alone, objects, strict=True)
            ]
            if not any(weak):
                break
            objects = [o for o, drop in zip(objects, weak, strict=True) if not drop]
            objects, look = self._fitted(objects)
        kept = [o for o in self._alone(objects, look) if o.peak > self.level]
        return self._fitted(kept) if len(kept) < len(objects) else (kept, look)

    def _without_others(
        self, objects: list[Traced], spots: list[Float64], look: Shown
    ) -> Iterator[tuple[list[int], Float32]]:
        """Yield objects whose spots lie far from each other, and the filtered volume without all others."""
        bank = self.bank
        everything = bank.spectra.inverse(bank.filtered(look.both))
        for members in far_classes(spots, _ALONE * bank.length):
            look = shown(bank, self.imaging, [objects[i] for i in members])
            yield members, self.field - everything + bank.spectra.inverse(bank.filtered(look.both))

    def _alone(self, objects: list[Traced], look: Shown) -> list[Traced]:
        """Return objects with the significance that they have with all others taken out.

        Objects that lie far from each other are shown together: what is left of a class without itself is the volume
        without the others.
        """
        bank, out = self.bank, list(objects)
        for members, field in self._without_others(objects, [o.place[None] for o in objects], look):
            some = [objects[i] for i in members]
            places, axes = (np.stack([getattr(o, n) for o in some]) for n in ("place", "axis"))
            left = bank.sample(field, places, axes, np.array([o.width for o in some]))
            # Taking others out may also make what is not there: no object is more than the volume itself shows.
            plain = bank.sample(self.field, places, axes, np.array([o.width for o in some]))
            for i, o, *heights in zip(members, some, left, plain, strict=True):
                out[i] = replace(o, peak=min(o.peak, *(o.sign * float(h) for h in heights)))
        return out

    def _decoys(self, look: Shown) -> Float64 | None:
        if self.difference is None:
            return None
        leak = look.difference
        noise = self.difference if leak is None else self.difference - leak
        return np.abs(self.look(noise)[2].heights)

    def width_of(self, o: Traced) -> tuple[float, float]:
        """Return the width at which the mean response along an object is the highest, and its error."""
        bank = self.bank
        if len(bank.widths) < 3:
            return o.width, math.nan
        means = [
            float(
                (o.sign * bank.sample(self.field, o.nodes, o.axes, np.full(len(o.nodes), w))).mean()
            )
            for w in bank.widths
        ]
        t, at = np.log(bank.widths), int(np.clip(np.argmax(means), 1, len(means) - 2))
        bend, slope, _ = np.polyfit(t[at - 1 : at + 2] - t[at], means[at - 1 : at + 2], 2)
        best = t[at] - slope / (2 * bend) if bend < 0 else t[int(np.argmax(means))]
        near = int(np.abs(bank.axes @ o.axis).argmax())
        change = float(bank.null[at].direction[near, 2, 2])
        width = float(np.exp(np.clip(best, t[0], t[-1])))
        return width, width / (math.sqrt(change) * o.peak)

    def trace(self, response: Response, field: Float32, peaks: Peaks, first: int) -> list[Traced]:
        """Return the objects that hold an extremum beyond ``level``, the highest first."""
        bank = self.bank
        found: list[Traced] = []
        beads = BeadFields(bank, field)
        ridges = ridges_of(bank, response, self.margin, _LOWEST)
        top = np.abs(peaks.heights).max(initial=0.0)
        high = peaks.pick(np.abs(peaks.heights) > max(self.level, _SIDE_LOBE * top))
        free, taken = np.ones(len(high), bool), np.zeros(len(ridges.voxels), bool)
        while free.any():
            i = int(np.flatnonzero(free)[0])
            free[i] = False
            level = max(_LOWEST, _LINK * (abs(high.heights[i]) - _ABOVE))
            seed = high.pick(np.array([i]))
            near = np.flatnonzero(~taken & (ridges.heights * np.sign(seed.heights[0]) >= level))
            members, new = self._grow(
                ridges.pick(near), beads, seed, high, level, first + len(found)
            )
            taken[near[members]] = True
            found += _distinct(new, found) if bank.kind == "tubes" else new
            # What is near, or what its image may have made, waits for the next search.
            free &= _apart(high, new, _WAIT * bank.length)
            free &= np.abs(seen_at(bank, new, high)) < _MADE * np.abs(high.heights)
        return found

    def _grow(
        self,
        ridges: Ridges,
        beads: BeadFields,
        seed: Peaks,
        others: Peaks,
        level: float,
        group: int,
    ) -> tuple[Index, list[Traced]]:
        """Return the voxels that are linked to one extremum, and the object (or branches of a network) through them."""
        bank = self.bank
        gap = np.linalg.norm(ridges.voxels - seed.places[0], axis=1)
        if gap.min(initial=np.inf) > 2 * max(seed.widths[0], 1.0):
            return np.empty(0, np.intp), []
        edges, component = link(ridges, bank.spectra.shape)
        start = int(gap.argmin())
        members = np.flatnonzero(component == component[start])
        own = edges[component[edges[:, 0]] == component[start]]
        if bank.kind == "sheets":
            members, own = facet(ridges, members, own, seed, others)
            sheet = trace_sheet(beads, ridges, members, own, level, group)
            return members, [_with_peak(sheet, seed)]
        paths = paths_in(members, own, ridges, _beside(seed.widths[0]), 1.5 * bank.length)
        traced = [trace_tube(beads, ridges, path, group) for path in paths]
        tubes = [t for t in traced if t is not None]
        if tubes:
            close = [np.linalg.norm(t.nodes - seed.places[0], axis=1).min() for t in tubes]
            at = int(np.argmin(close))
            tubes[at] = _with_peak(tubes[at], seed)
        return members, [t for t in tubes if t.peak > self.level]


def _with_peak(found: Traced, seed: Peaks) -> Traced:
    """Return an object whose peak is the extremum that it grew from, if that is the higher."""
    height = abs(float(seed.heights[0]))
    if height <= found.peak:
        return found
    return replace(found, peak=height, place=seed.places[0], axis=seed.axes[0])


def _beside(width: float) -> float:
    """Return how near to a tube [px] another path is the same tube."""
    return 2 * float(width) + 1


def _distinct(new: list[Traced], known: list[Traced]) -> list[Traced]:
    """Return new tubes less those that lie, for more than a half, on a known or a longer new one.

    The fits of several paths through the smear of one tube end on that tube.
    """
    kept: list[Traced] = []
    for tube in sorted(new, key=lambda t: -t.extent):
        on = np.zeros(len(tube.nodes), bool)
        for other in [*known, *kept]:
            gap = np.linalg.norm(tube.nodes[:, None] - other.nodes[None], axis=2)
            on |= gap.min(axis=1) < _beside(tube.width)
        if on.mean() <= 0.5:
            kept.append(tube)
    return kept


def _apart(peaks: Peaks, objects: Sequence[Traced], reach: float) -> npt.NDArray[np.bool_]:
    """Return which extrema are farther than ``reach`` px from all of the objects."""
    out = np.ones(len(peaks), bool)
    for o in objects:
        for begin in range(0, len(o.nodes), 256):
            gap = peaks.places[:, None] - o.nodes[None, begin : begin + 256]
            out &= ((gap**2).sum(axis=2) > reach**2).all(axis=1)
    return out


def _weaker(one: Traced, objects: Sequence[Traced], reach: float) -> bool:
    """Return whether a stronger object passes within ``reach`` px of the most significant point of one."""
    return any(
        o.peak > one.peak and np.linalg.norm(o.nodes - one.place, axis=1).min() < reach
        for o in objects
    )
