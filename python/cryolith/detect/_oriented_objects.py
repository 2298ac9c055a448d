# SPDX-License-Identifier: BSD-3-Clause
"""Tubes and sheets as rows of beads: what is subtracted, and what their tables are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ._gaussian_blobs import gaussian_blobs
from ._imaging import Imaging, Shown
from ._inputs import Float32, Float64
from ._oriented_bank import OrientedBank
from ._oriented_peaks import Peaks

__all__ = [
    "Traced",
    "even",
    "far_classes",
    "fitted",
    "gap",
    "mean_amplitude",
    "seen_at",
    "shown",
]

_ROUNDS, _DAMPED = 3, 0.6  # of fitting; with whole steps two objects that overlap would not settle


@dataclass(frozen=True, kw_only=True, eq=False)
class Traced:
    """One object.

    Attributes
    ----------
    nodes, axes : (n, 3) float64
        Places [voxel] along the centre line or all over the surface, and the direction or normal there.
    shares : (n,) float64
        Length [px] or area [px^2] that each node stands for.
    width : float
        Of the filter [px].
    heights : (n,) float64
        Significance along it, positive.
    sign : int
    peak : float
        The largest significance, refined.
    place, axis : (3,) float64
        Where that is.
    extent, sigma_extent : float
        Length or area.
    amplitudes : (n,) float64
        Positive.
    group : int
        The same for branches of one network.
    knots : (k, 3) float64
        Of the spline along a tube.
    faces : (m, 3) int64
        Triangles between nodes of a sheet, counter-clockwise as seen from where its normals point to.
    """

    nodes: Float64
    axes: Float64
    shares: Float64
    width: float
    heights: Float64
    sign: int
    peak: float
    place: Float64
    axis: Float64
    extent: float
    sigma_extent: float
    amplitudes: Float64
    group: int
    knots: Float64 = field(default_factory=lambda: np.empty((0, 3)))
    faces: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 3), np.int64))


def mean_amplitude(found: Traced) -> float:
    """Return the amplitude of an object, positive."""
    return float(np.average(found.amplitudes, weights=found.shares))


def even(found: Traced) -> Traced:
    """Return an object of one amplitude all along: where two meet, others would let either have the other's piece."""
    return replace(found, amplitudes=np.full_like(found.amplitudes, mean_amplitude(found)))


def far_classes(spots: Sequence[Float64], reach: float) -> list[list[int]]:
    """Return objects in classes whose members' (n, 3) spots are ``reach`` px apart, the first first."""
    classes: list[list[int]] = []
    for i, spot in enumerate(spots):
        for members in classes:
            if all(gap(spot, spots[j]) > reach for j in members):
                members.append(i)
                break
        else:
            classes.append([i])
    return classes


def gap(one: Float64, other: Float64) -> float:
    """Return the least distance between two sets of points."""
    return min(float(np.linalg.norm(one - point, axis=1).min()) for point in other)


def shown(bank: OrientedBank, imaging: Imaging, objects: Sequence[Traced]) -> Shown:
    """Return what the reconstruction shows of the objects."""
    if not objects:
        nothing = np.zeros(bank.spectra.shape, np.float32)
        return Shown(nothing, nothing)
    return imaging.show(drawn(bank, objects))


def seen_at(bank: OrientedBank, objects: Sequence[Traced], peaks: Peaks) -> Float64:
    """Return the response (n,) that the objects make at the place, direction and width of extrema.

    Quickly: as if a small blob looked the same wherever it is.
    """
    if not objects:
        return np.zeros(len(peaks))
    terms = bank.spectra.forward(drawn(bank, objects)) * bank.transfer
    return bank.sample(bank.spectra.inverse(terms), peaks.places, peaks.axes, peaks.widths)


def drawn(bank: OrientedBank, objects: Sequence[Traced]) -> Float32:
    """Return the objects themselves: Gaussian beads, one a node."""
    places = np.concatenate([o.nodes for o in objects])
    widths = np.concatenate([np.full(len(o.nodes), o.width) for o in objects])
    dims = 1 if bank.kind == "tubes" else 2
    heights = np.concatenate([o.sign * o.amplitudes * o.shares for o in objects])
    heights /= (math.sqrt(2 * math.pi) * widths) ** dims
    s = bank.spectra
    return gaussian_blobs(s.shape, places, widths, heights, s.threads, s.cancel)


def fitted(
    bank: OrientedBank, imaging: Imaging, field: Float32, objects: Sequence[Traced]
) -> tuple[list[Traced], Shown]:
    """Return objects with amplitudes such that filters see as much along them as in the data, and what they look like.

    Each round adds what the response lacks over that of a long tube or wide sheet of amplitude 1; ``field`` is the
    filtered volume.
    """
    now, spectra = list(objects), bank.spectra
    seen = [bank.sample(field, o.nodes, o.axes, np.full(len(o.nodes), o.width)) for o in now]
    look = shown(bank, imaging, now)
    for _ in range(_ROUNDS):
        model = spectra.inverse(bank.filtered(look.both))
        for i, o in enumerate(now):
            width = np.full(len(o.nodes), o.width)
            lack = o.sign * (seen[i] - bank.sample(model, o.nodes, o.axes, width))
            gain = bank.at(bank.wide_response, o.axes, width)
            now[i] = replace(o, amplitudes=np.maximum(o.amplitudes + _DAMPED * lack / gain, 0.0))
        look = shown(bank, imaging, now)
    return now, look
