# SPDX-License-Identifier: BSD-3-Clause
"""Tubes fitted again, each with all others taken out, until none moves; those that meet, together.

A search fits a tube where it finds it, before its neighbours are known: it may have taken a piece of one that it meets,
or be the twin of one whose smear was traced twice. Either leaves the others wrong for as long as it is subtracted.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace

import numpy as np

from ._imaging import Imaging
from ._inputs import Float32, Float64
from ._oriented_bank import OrientedBank
from ._oriented_objects import Traced, even, far_classes, gap, mean_amplitude, shown
from ._spectrum import radial_sums, squared
from ._tube_fit import KNOT, BeadFields, Rows, fit_together
from ._tube_paths import as_traced, refitted

__all__ = ["Settling"]

# Filter lengths: farther lines do not see each other; nearer ones move each other; such are fitted together.
_ALONE, _NEAR, _MEET = 6.0, 2.5, 1.5
_ROUNDS = 4
# px that an end moves, and change of amplitude, that neighbours hardly see.
_STILL, _STILL_AMPLITUDE = 0.5, 0.2
# Significance: weaker tubes are known too badly to matter to others, and where noise is stronger than thought there are
# dozens of them.
_SURE = 8.0
_SPOTS = 4  # nodes between those that distances are taken at
_PARTNERS = 3  # lines that one is fitted together with, at most


class Settling:
    """Tubes in one volume; ``field`` is that volume filtered, ``level`` the significance of an object."""

    def __init__(
        self,
        bank: OrientedBank,
        imaging: Imaging,
        volume: Float32,
        field: Float32,
        level: float,
    ) -> None:
        self.bank, self.imaging, self.volume, self.field = bank, imaging, volume, field
        # The log likelihood that one more tube has to bring, but for its knots.
        self.cost = level**2 / 2

    def run(self, objects: list[Traced]) -> list[Traced]:
        """Return the tubes that stay, fitted."""
        now = self._still([even(o) for o in objects], range(len(objects)), range(len(objects)))
        now = self._thinned(now)
        return self._exchanged(self._together(now, range(len(now))))

    def _without(self, others: list[Traced]) -> Float32:
        """Return the filtered volume without some tubes."""
        bank = self.bank
        look = shown(bank, self.imaging, others).both
        out: Float32 = self.field - bank.spectra.inverse(bank.filtered(look))
        return out

    def _close(self, one: Traced, other: Traced, lengths: float) -> bool:
        return gap(one.nodes[::_SPOTS], other.nodes[::_SPOTS]) < lengths * self.bank.length

    def _meet(self, one: Traced, other: Traced) -> bool:
        return min(one.peak, other.peak) > _SURE and self._close(one, other, _MEET)

    def _still(
        self, objects: list[Traced], moved: Collection[int], free: Collection[int]
    ) -> list[Traced]:
        """Return tubes fitted until none moves, those in ``moved`` first; only those in ``free`` may move."""
        now, waiting = list(objects), set(moved)
        for _ in range(_ROUNDS):
            turn = sorted(waiting)
            classes = far_classes([now[i].nodes[::_SPOTS] for i in turn], _ALONE * self.bank.length)
            for places in classes:
                members = [turn[i] for i in places]
                beads = BeadFields(
                    self.bank, self._without([o for i, o in enumerate(now) if i not in members])
                )
                for i in members:
                    waiting.discard(i)
                    old, now[i] = now[i], refitted(beads, now[i])
                    if now[i].peak > _SURE and _differ(old, now[i]):
                        waiting |= {
                            j
                            for j in free
                            if j not in members
                            and any(self._close(now[j], o, _NEAR) for o in (old, now[i]))
                        }
            if not waiting:
                break
        return now

    def _thinned(self, objects: list[Traced]) -> list[Traced]:
        """Return tubes less those without which their neighbours, fitted anew, are as likely.

        Asked of tubes that run beside a sure and stronger one for more than a half: pieces and smears of it.
        """
        now, names = list(objects), list(range(len(objects)))
        for name in sorted(names, key=lambda i: objects[i].peak):
            at = names.index(name)
            one = now[at]
            stronger = [o for o in now if o.peak > max(one.peak, _SURE)]
            if not any(self._beside(one, o) for o in stronger):
                continue
            near = [i for i, o in enumerate(now) if i != at and self._close(one, o, _NEAR)]
            rest = [o for i, o in enumerate(now) if i != at]
            free = [i - (i > at) for i in near]
            then = self._still(rest, free, free)
            # Noise is fitted by its length and each further knot, beyond what its place and direction find.
            cost = self.cost + KNOT * (len(one.knots) - 1)
            if self._misfit(then) - self._misfit(now) < cost:
                now = then
                names.remove(name)
        return now

    def _exchanged(self, objects: list[Traced]) -> list[Traced]:
        """Return tubes each of which has the ends that are the likeliest to be its own.

        Beyond the point where one meets another its end may be the other's: that is tried, and counts in the errors of
        both lengths for as much as it is likely.
        """
        now = list(objects)
        for i in range(len(now)):
            for j in range(len(now)):
                cut = None if i == j else self._cut(now[i], now[j])
                if cut is None:
                    continue
                trial = [cut if k == i else o for k, o in enumerate(now)]
                trial = self._together(self._still(trial, [j], [i, j]), [i, j])
                loss = self._misfit(trial) - self._misfit(now)
                loss += KNOT * sum(len(trial[k].knots) - len(now[k].knots) for k in (i, j))
                best, other = (now, trial) if loss >= 0 else (trial, now)
                share = 1 / (1 + math.exp(min(abs(loss), 50.0)))
                now = list(best)
                for k in (i, j):
                    now[k] = _unsure(best[k], other[k], share)
        return now

    def _cut(self, one: Traced, other: Traced) -> Traced | None:
        """Return one tube without its end beyond where it meets another, if that may be the other's."""
        if one.sign != other.sign or not self._meet(one, other):
            return None
        gaps = np.linalg.norm(one.nodes[:, None] - other.nodes[None], axis=2).min(axis=1)
        at, n = int(gaps.argmin()), len(gaps)
        left = slice(at, None) if at < n / 2 else slice(at + 1)
        tail = float(one.shares.sum() - one.shares[left].sum())
        if not 2 * one.width < tail < _NEAR * self.bank.length:
            return None
        return replace(
            one,
            nodes=one.nodes[left],
            axes=one.axes[left],
            shares=one.shares[left],
            heights=one.heights[left],
            amplitudes=one.amplitudes[left],
        )

    def _misfit(self, objects: list[Traced]) -> float:
        """Return minus the log likelihood of tubes, as the reconstruction shows them."""
        spectra = self.bank.spectra
        left = spectra.forward(self.volume - shown(self.bank, self.imaging, objects).both)
        terms = squared(left) * self.bank.precision()
        return float(radial_sums(spectra, terms)[:, 0].sum()) / (2 * spectra.voxels)

    def _beside(self, one: Traced, other: Traced) -> bool:
        spots = other.nodes[::_SPOTS]
        near = [np.linalg.norm(spots - p, axis=1).min() for p in one.nodes[::_SPOTS]]
        return bool((np.array(near) < _NEAR * self.bank.length).mean() > 0.5)

    def _together(self, objects: list[Traced], chosen: Collection[int]) -> list[Traced]:
        """Return chosen tubes fitted together with those that they meet: the errors of their ends are those of both."""
        now = list(objects)
        done: set[int] = set()
        for i in chosen:
            near = [j for j, o in enumerate(now) if j != i and self._meet(now[i], o)]
            if i in done or not near:
                continue
            near = sorted(near, key=lambda j: -now[j].peak)[:_PARTNERS]
            some = [i, *near]
            fits = self._joint(
                [now[j] for j in some], [o for j, o in enumerate(now) if j not in some]
            )
            done.add(i)
            now[i] = fits[0]
            for j, fit in zip(near, fits[1:], strict=True):
                partners = {k for k, o in enumerate(now) if k != j and self._meet(now[j], o)}
                if j not in done and partners <= set(some):
                    now[j] = fit
                    done.add(j)
        return now

    def _joint(self, some: list[Traced], others: list[Traced]) -> list[Traced]:
        """Return some tubes fitted together, with all others taken out."""
        left = self._without(others)
        beads = BeadFields(self.bank, left)
        rows, knots = _rows(beads, some)
        fits = fit_together(rows, knots)
        out = []
        for old, fit in zip(some, fits, strict=True):
            new = as_traced(self.bank, left, fit, old.width, old.sign, old.group)
            sigma = max(new.sigma_extent, old.sigma_extent)
            out.append(replace(new, peak=old.peak, sigma_extent=sigma))
        return out


def _rows(beads: BeadFields, objects: list[Traced]) -> tuple[Rows, Float64]:
    """Return rows of beads along objects, and their knots."""
    rows = Rows(
        [beads.of(o.width) for o in objects],
        [o.sign for o in objects],
        [len(o.knots) for o in objects],
    )
    return rows, np.concatenate([o.knots for o in objects])


def _unsure(best: Traced, other: Traced, share: float) -> Traced:
    """Return a tube with the error of its length if it is another one with a chance of ``share``."""
    apart = other.sigma_extent**2 + (other.extent - best.extent) ** 2
    square = (1 - share) * best.sigma_extent**2 + share * apart
    return replace(best, sigma_extent=math.sqrt(square))


def _differ(one: Traced, other: Traced) -> bool:
    """Return whether neighbours see the difference of two fits of one tube."""
    ends, others = one.nodes[[0, -1]], other.nodes[[0, -1]]
    apart = min(np.linalg.norm(ends - o, axis=1).max() for o in (others, others[::-1]))
    change = abs(mean_amplitude(other) - mean_amplitude(one))
    return bool(apart > _STILL or change > _STILL_AMPLITUDE * mean_amplitude(one))
