# SPDX-License-Identifier: BSD-3-Clause
"""Short gaps of missing rays, whose values conjugate gradients find along with the volume."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .._fields import Field
from .device import DeviceField
from .inputs import Float32, Int64
from .iterate import Setup

__all__ = ["Gaps", "open_gaps"]

# Missing pixels side by side, across the tilt axis, up to which the line between their neighbours is a start.
LONGEST = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Gaps:
    """Missing pixels that are unknowns of the problem.

    Attributes
    ----------
    places : dict of int to (n,) int
        Of each image that has some, their indices in the flat image.
    start : (n_all,) float64
        What their neighbours say that they are, image by image.
    weight : float
        W of their rays: the mean of those that were measured.
    pixels : int
        Of an image.
    """

    places: dict[int, Int64]
    start: npt.NDArray[np.float64]
    weight: float
    pixels: int

    @cached_property
    def flat(self) -> Int64:
        """Indices of all of them in the flat stack."""
        found = [i * self.pixels + at for i, at in self.places.items()]
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def take(self, stack: Field) -> npt.NDArray[np.float64]:
        """Return the values of a stack there."""
        if isinstance(stack, DeviceField):
            return stack.take(self.flat) if len(self.flat) else np.empty(0)
        found = [
            stack.layers(i, i + 1).reshape(-1)[at].astype(np.float64)
            for i, at in self.places.items()
        ]
        return np.concatenate(found) if found else np.empty(0)

    def put(self, stack: Field, values: npt.NDArray[np.float64]) -> None:
        """Set the values of a stack there."""
        if isinstance(stack, DeviceField):
            if len(self.flat):
                stack.put(self.flat, values)
            return
        first = 0
        for i, at in self.places.items():
            image = stack.layers(i, i + 1)
            image.reshape(-1)[at] = values[first : first + len(at)]
            stack.put_layers(i, image)
            first += len(at)


def open_gaps(setup: Setup) -> Gaps:
    """Find the short gaps of a problem and give their rays a weight."""
    turned = abs(np.sin(np.deg2rad(setup.problem.geometry.tilt_axis_deg))) > np.sqrt(0.5)
    places: dict[int, Int64] = {}
    start, total = [], 0.0
    for i in range(setup.weights.shape[0]):
        weights = setup.weights.layers(i, i + 1)[0]
        total += float(weights.sum(dtype=np.float64))
        if weights.all():
            continue
        at, values = _of_image(weights, setup.measured.layers(i, i + 1)[0], turned)
        if len(at):
            places[i] = at
            start.append(values)
    gaps = Gaps(
        places=places,
        start=np.concatenate(start) if start else np.empty(0),
        weight=total / max(1, setup.rays),
        pixels=setup.weights.shape[1] * setup.weights.shape[2],
    )
    gaps.put(setup.weights, np.full(len(gaps.start), gaps.weight))
    return gaps


def _of_image(
    weights: Float32, image: Float32, turned: bool
) -> tuple[Int64, npt.NDArray[np.float64]]:
    """Return the flat indices of an image's short gaps, and the line between the neighbours of each."""
    missing, seen = (weights.T == 0, image.T) if turned else (weights == 0, image)
    lines, width = missing.shape
    edges = np.diff(np.pad(missing, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (line, first), (_, last) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    short = (first > 0) & (last < width) & (last - first <= LONGEST)
    line, first, last = line[short], first[short], last[short]
    length = last - first
    gap = np.repeat(np.arange(len(line)), length)
    step = np.arange(len(gap)) - np.repeat(np.cumsum(length) - length, length) + 1
    before, after = (
        seen[line, first - 1].astype(np.float64),
        seen[line, last % width].astype(np.float64),
    )
    values = before[gap] + (after - before)[gap] * step / (length + 1)[gap]
    row, column = line[gap], first[gap] + step - 1
    return (column * lines + row if turned else row * width + column), values
