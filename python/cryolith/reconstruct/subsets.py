# SPDX-License-Identifier: BSD-3-Clause
"""Ordered subsets of the tilts: who takes a turn when. One subset of all tilts is the simultaneous method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .._fields import Field
from ..errors import Cancelled, InputError
from .checkpoint import Kept, Saved
from .cut import Pair, Part
from .device import DeviceField
from .inputs import Float32
from .iterate import Setup, Sums
from .options import checked_count

__all__ = ["Subset", "Turns", "ordered_subsets", "subsets_of"]

Compare = Callable[[int], Sums]
Update = Callable[[int, Part, Float32, Float32], None]


@dataclass(kw_only=True, eq=False)
class Subset:
    """Some of the tilts.

    Attributes
    ----------
    pair : Pair
    measured, weights : Field of (n, height, width)
        b and W of these tilts.
    projected : Field of (n, height, width)
        Scratch for their projections; another one after each round of work that is cut, with one subset.
    """

    pair: Pair
    measured: Field
    weights: Field
    projected: Field


def ordered_subsets(setup: Setup, count: int) -> list[Subset]:
    """Return ``count`` subsets in the order of their turns: every ``count``-th tilt by angle.

    Successive subsets look from far apart: their order follows the golden ratio (the multilevel scheme of Guan &
    Gordon, Phys. Med. Biol. 39 (1994) 2005, for any number).
    """
    by_angle = np.argsort(setup.problem.geometry.angles_deg, kind="stable")
    out = []
    for k in _golden_order(count):
        index = np.sort(by_angle[k::count])
        shape = (len(index), *setup.measured.shape[1:])
        out.append(
            Subset(
                pair=setup.pair(index),
                measured=_chosen(setup, setup.measured, index),
                weights=_chosen(setup, setup.weights, index),
                projected=setup.cut.stack(shape),
            )
        )
    for s in out[1:]:
        s.pair.share_memory(out[0].pair)
    return out


def subsets_of(setup: Setup, count: int) -> int:
    """Return a count of subsets, or refuse it."""
    tilts = setup.measured.shape[0]
    if checked_count(count, "subsets") > tilts:
        raise InputError(f"subsets: found {count}, expected at most {tilts}, the number of tilts")
    return count


def _chosen(setup: Setup, stack: Field, index: npt.NDArray[np.int64]) -> Field:
    """Return these images of a stack; the stack itself where they are all of them."""
    if len(index) == stack.shape[0]:
        return stack
    if isinstance(stack, DeviceField):
        return stack.chosen(index)
    part = setup.cut.stack((len(index), *stack.shape[1:]))
    for i, tilt in enumerate(index):
        part.put_layers(i, stack.layers(tilt, tilt + 1))
    return part


class Turns:
    """A method that corrects the volume by one subset after the other.

    Holds the memory that its turns share: new memory would cost more than the work on slabs.

    Attributes
    ----------
    space : array or None
        What slabs of volumes are read into, one at a time; None where the volume is in memory.
    """

    def __init__(self, setup: Setup, subsets: list[Subset]) -> None:
        self.setup, self.subsets = setup, subsets
        pair = subsets[0].pair
        self.scratch, self.space = pair.scratch(), pair.space()
        self.before: list[Part] = []  # slabs that this round has changed, as they were, in `kept`
        undone = len(pair.parts) > 1 and setup.cancel is not None
        self.kept = setup.cut.volume(setup.volume.shape) if undone else None
        self.sums = np.zeros((len(subsets), 2))
        alone = len(pair.parts) > 1 and len(subsets) == 1
        self.next = setup.cut.stack(subsets[0].projected.shape) if alone else None

    def state(self) -> Kept:
        """Return what the next round depends on besides the volume: the sums that other subsets found in their turn."""
        return Kept(numbers={"sums": self.sums.tolist()})

    def steps(
        self,
        volume: Field,
        compare: Compare,
        update: Update,
        *,
        started: bool,
        saved: Saved | None = None,
    ) -> Iterator[Sums]:
        """Yield the residual sums of the start volume, then those after each round.

        Parameters
        ----------
        volume : Field
            What is corrected.
        compare : callable
            ``compare(k)`` turns the projections in ``subsets[k].projected`` into what is to be back-projected and
            returns the residual sums.
        update : callable
            ``update(k, part, correction, rows)`` applies the back-projection of it to a slab of the volume, ``rows``.
        started : bool
            Whether the volume has a voxel that is not 0.
        saved : Saved, optional
            What :meth:`state` said of this volume.
        """
        subsets, sums = self.subsets, self.sums
        if saved is not None:
            sums[:] = saved.numbers["sums"]
        for k, subset in enumerate(subsets if saved is None else subsets[:1]):
            if started:
                self.setup.project(subset.pair, volume, subset.projected, self.space)
            sums[k] = compare(k)
        while True:
            residual, data = sums.sum(0)
            yield float(residual), float(data)
            try:
                for k in range(len(subsets)):
                    after = (k + 1) % len(subsets)
                    self._correct_and_project(volume, k, after, update)
                    sums[after] = compare(after)
            except Cancelled:
                self._undo(volume)
                raise
            self.before.clear()

    def _correct_and_project(self, volume: Field, k: int, after: int, update: Update) -> None:
        """Correct the volume by subset ``k``, then project it into subset ``after``."""
        setup, subset, to = self.setup, self.subsets[k], self.subsets[after]
        parts = subset.pair.parts
        if len(parts) == 1:
            self._correct(volume, k, parts[0], update)
            setup.project(to.pair, volume, to.projected, self.space)
            return
        into = to.projected if self.next is None else self.next
        to.pair.clear(into)
        for part in parts:  # projected while it is there: each slab is read once
            rows = self._correct(volume, k, part, update)
            to.pair.add_projections(part, rows, into, setup.threads, setup.cancel)
        if self.next is not None:
            to.projected, self.next = self.next, to.projected

    def _correct(self, volume: Field, k: int, part: Part, update: Update) -> Float32:
        subset = self.subsets[k]
        correction = self.setup.backproject(subset.pair, part, subset.projected, self.scratch)
        rows = part.rows_of(volume, self.space)
        if k == 0 and self.kept is not None:
            part.put_rows(self.kept, rows)
            self.before.append(part)
        update(k, part, correction, rows)
        part.put_rows(volume, rows)
        return rows

    def _undo(self, volume: Field) -> None:
        """Put back what the round before left of every slab that this one has changed."""
        if self.kept is None:
            return
        for part in self.before:
            part.put_rows(volume, part.rows_of(self.kept, self.space))


def _golden_order(count: int) -> npt.NDArray[np.int64]:
    """Return 0 ... count - 1 in an order whose neighbours lie far apart."""
    return np.argsort((np.arange(count) * (np.sqrt(5) - 1) / 2) % 1.0, kind="stable")
