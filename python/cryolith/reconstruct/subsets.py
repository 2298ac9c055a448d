# SPDX-License-Identifier: BSD-3-Clause
"""Ordered subsets of the tilts: who takes a turn when. One subset of all tilts is the simultaneous method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import InputError
from ..projection.operators import make_plan
from .inputs import Float32
from .iterate import Setup, Sums
from .options import checked_count

__all__ = ["Subset", "ordered_subsets", "take_turns"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Subset:
    """Some of the tilts.

    Attributes
    ----------
    plan : ProjectionPlan
    measured, weights : (n, height, width) float32
        b and W of these tilts.
    projected : (n, height, width) float32
        Scratch for their projections.
    """

    plan: _core.ProjectionPlan
    measured: Float32
    weights: Float32
    projected: Float32


def ordered_subsets(setup: Setup, count: int) -> list[Subset]:
    """Return ``count`` subsets in the order of their turns: every ``count``-th tilt by angle.

    Successive subsets look from far apart: their order follows the golden ratio (the multilevel scheme of Guan &
    Gordon, Phys. Med. Biol. 39 (1994) 2005, for any number).
    """
    geometry = setup.problem.geometry
    tilts = len(setup.measured)
    if checked_count(count, "subsets") > tilts:
        raise InputError(f"subsets: found {count}, expected at most {tilts}, the number of tilts")
    by_angle = np.argsort(geometry.angles_deg, kind="stable")
    out = []
    for k in _golden_order(count):
        index = np.sort(by_angle[k::count])
        part = slice(None) if count == 1 else index
        measured = setup.measured[part]
        plan = make_plan(geometry.subset(index), setup.problem.shape, measured.shape[1:])
        out.append(
            Subset(
                plan=plan,
                measured=measured,
                weights=setup.weights[part],
                projected=np.empty_like(measured),
            )
        )
    return out


def take_turns(
    setup: Setup,
    subsets: list[Subset],
    compare: Callable[[int], Sums],
    update: Callable[[int, Float32], None],
) -> Iterator[Sums]:
    """Yield the residual sums of a method that corrects the volume by one subset after the other.

    Parameters
    ----------
    setup, subsets
    compare : callable
        ``compare(k)`` turns the projections in ``subsets[k].projected`` into what is to be back-projected and returns
        the residual sums.
    update : callable
        ``update(k, correction)`` applies the back-projection of it to the volume.
    """
    correction = np.empty(setup.volume.shape, np.float32)
    sums = np.zeros((len(subsets), 2))
    for k, subset in enumerate(subsets):
        setup.project(subset.plan, subset.projected, first=True)
        sums[k] = compare(k)
    while True:
        residual, data = sums.sum(0)
        yield float(residual), float(data)
        for k, subset in enumerate(subsets):
            setup.backproject(subset.plan, subset.projected, correction)
            update(k, correction)
            after = (k + 1) % len(subsets)
            setup.project(subsets[after].plan, subsets[after].projected)
            sums[after] = compare(after)


def _golden_order(count: int) -> npt.NDArray[np.int64]:
    """Return 0 ... count - 1 in an order whose neighbours lie far apart."""
    return np.argsort((np.arange(count) * (np.sqrt(5) - 1) / 2) % 1.0, kind="stable")
