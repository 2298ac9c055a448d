# SPDX-License-Identifier: BSD-3-Clause
"""Ordered subsets of the tilts: who takes a turn when. One subset of all tilts is the simultaneous method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .._fields import Field
from ..errors import InputError
from .cut import Pair, Part
from .inputs import Float32
from .iterate import Setup, Sums
from .options import checked_count

__all__ = ["Subset", "ordered_subsets", "take_turns"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Subset:
    """Some of the tilts.

    Attributes
    ----------
    pair : Pair
    measured, weights : Field of (n, height, width)
        b and W of these tilts.
    projected : Field of (n, height, width)
        Scratch for their projections.
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
    tilts = setup.measured.shape[0]
    if checked_count(count, "subsets") > tilts:
        raise InputError(f"subsets: found {count}, expected at most {tilts}, the number of tilts")
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
    return out


def _chosen(setup: Setup, stack: Field, index: npt.NDArray[np.int64]) -> Field:
    """Return these images of a stack; the stack itself where they are all of them."""
    if len(index) == stack.shape[0]:
        return stack
    part = setup.cut.stack((len(index), *stack.shape[1:]))
    for i, tilt in enumerate(index):
        part.put_layers(i, stack.layers(tilt, tilt + 1))
    return part


def take_turns(
    setup: Setup,
    subsets: list[Subset],
    compare: Callable[[int], Sums],
    update: Callable[[int, Part, Float32, Float32], None],
    *,
    started: bool,
) -> Iterator[Sums]:
    """Yield the residual sums of a method that corrects the volume by one subset after the other.

    Parameters
    ----------
    setup, subsets
    compare : callable
        ``compare(k)`` turns the projections in ``subsets[k].projected`` into what is to be back-projected and returns
        the residual sums.
    update : callable
        ``update(k, part, correction, rows)`` applies the back-projection of it to a slab of the volume, ``rows``.
    started : bool
        Whether the volume has a voxel that is not 0.
    """
    turns = _Turns(setup, subsets, update)
    sums = np.zeros((len(subsets), 2))
    for k, subset in enumerate(subsets):
        if started:
            setup.project(subset.pair, setup.volume, subset.projected, turns.space)
        sums[k] = compare(k)
    while True:
        residual, data = sums.sum(0)
        yield float(residual), float(data)
        for k in range(len(subsets)):
            after = (k + 1) % len(subsets)
            turns.correct_and_project(k, after)
            sums[after] = compare(after)


class _Turns:
    """The work of a turn, with the memory that all turns share: new memory would cost more than the work."""

    def __init__(
        self,
        setup: Setup,
        subsets: list[Subset],
        update: Callable[[int, Part, Float32, Float32], None],
    ) -> None:
        self.setup, self.subsets, self.update = setup, subsets, update
        self.scratch, self.space = subsets[0].pair.scratch(), subsets[0].pair.space()

    def correct_and_project(self, k: int, after: int) -> None:
        """Correct the volume by subset ``k``, then project it into subset ``after``."""
        setup, subset, to = self.setup, self.subsets[k], self.subsets[after]
        parts = subset.pair.parts
        if len(parts) == 1 or to is subset:
            for part in parts:
                self._correct(k, part)
            setup.project(to.pair, setup.volume, to.projected, self.space)
            return
        to.pair.clear(to.projected)
        for part in parts:  # projected while it is there: each slab is read once
            rows = self._correct(k, part)
            to.pair.add_projections(part, rows, to.projected, setup.threads, setup.cancel)

    def _correct(self, k: int, part: Part) -> Float32:
        setup, subset = self.setup, self.subsets[k]
        correction = setup.backproject(subset.pair, part, subset.projected, self.scratch)
        rows = part.rows_of(setup.volume, self.space)
        self.update(k, part, correction, rows)
        part.put_rows(setup.volume, rows)
        return rows


def _golden_order(count: int) -> npt.NDArray[np.int64]:
    """Return 0 ... count - 1 in an order whose neighbours lie far apart."""
    return np.argsort((np.arange(count) * (np.sqrt(5) - 1) / 2) % 1.0, kind="stable")
