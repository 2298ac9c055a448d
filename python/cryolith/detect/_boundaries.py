# SPDX-License-Identifier: BSD-3-Clause
"""Interfaces measured: where each lies in every lateral patch, a plane through them, roughness, blur, errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ._edges import EdgeFit, Plane, fit_edges, fit_plane, fit_width, groups_of
from ._inputs import Float64
from ._layering import Frame, Step
from ._student import student

__all__ = ["Boundary", "group_count", "jackknife", "measure_boundaries"]

_PATCHES = 24  # wanted at least, so that 8 groups hold three each
_MINIMUM = 8  # patches: fewer give no error


@dataclass(frozen=True)
class Boundary:
    """One interface in the frame's pixels: g = plane.at(lateral)."""

    plane: Plane
    lateral: Float64  # (n, 2) of the patches
    position: Float64  # (n,) of the patches
    noise: Float64  # (n,) variance of each position that comes from the image noise
    height: float
    width: float
    sigma_width: float
    model_shift: float  # how far the plane moves for a window a voxel shorter on each side and a blur 10 % wider

    @property
    def cosine(self) -> float:
        """Of the angle between the interface's normal and g."""
        return 1 / math.sqrt(1 + float(self.plane.slope @ self.plane.slope))


def measure_boundaries(frame: Frame, steps: list[Step]) -> list[Boundary]:
    """Measure every step that shows in enough patches; steps whose windows meet are fitted together."""
    out: list[Boundary] = []
    depth = np.concatenate(
        [np.zeros((1, *frame.domain.shape[1:])), np.cumsum(frame.domain, axis=0)]
    )
    for cluster in _clusters(steps):
        below = steps[cluster[0] - 1].position if cluster[0] > 0 else -math.inf
        above = steps[cluster[-1] + 1].position if cluster[-1] + 1 < len(steps) else math.inf
        out += _measure(frame, depth, [steps[i] for i in cluster], (below, above))
    return out


def _strays(
    steps: list[Step], planes: list[Plane], width: Float64, stops: tuple[float, float]
) -> list[int]:
    """Return the steps that are no edges of their own.

    One too weak to hold its fit runs away to another edge: its plane is farther from it than its blur explains.
    One that is a ramp becomes as wide as a third of the way to its neighbour, as find_steps has it.
    """
    places = [stops[0], *(s.position for s in steps), stops[1]]
    out = []
    for k, (step, plane) in enumerate(zip(steps, planes, strict=True)):
        room = min(places[k + 1] - places[k], places[k + 2] - places[k + 1])
        far = abs(plane.offset - step.position) > max(2.0, 2 * step.width)
        if far or width[k] > room / 3:
            out.append(k)
    return out


def _without_weakest_stray(
    steps: list[Step], planes: list[Plane], width: Float64, stops: tuple[float, float]
) -> list[Step] | None:
    """Return the steps without the weakest of those that are no edges of their own; None if all are."""
    strays = _strays(steps, planes, width, stops)
    if not strays:
        return None
    weakest = min(strays, key=lambda k: abs(steps[k].height))
    return [s for k, s in enumerate(steps) if k != weakest]


def _half_window(width: float) -> int:
    """Planes on each side of an edge: three blurs hold 99.9 % of the step, and some for the level."""
    return max(math.ceil(3 * width + 1), 4)


def _clusters(steps: list[Step]) -> list[list[int]]:
    """Group edges that lie within each other's window."""
    clusters: list[list[int]] = []
    for i, step in enumerate(steps):
        if clusters:
            last = steps[clusters[-1][-1]]
            reach = max(
                _half_window(last.width) + 3 * step.width, _half_window(step.width) + 3 * last.width
            )
            if step.position - last.position < reach:
                clusters[-1].append(i)
                continue
        clusters.append([i])
    return clusters


def _measure(
    frame: Frame, depth: Float64, steps: list[Step], stops: tuple[float, float]
) -> list[Boundary]:
    if not steps:
        return []
    planes = [
        Plane(s.position, frame.slope, frame.centre, np.zeros(0), np.zeros(0, bool)) for s in steps
    ]
    width = np.array([min(s.width, 2.0) for s in steps])
    reach = max(_half_window(s.width) for s in steps)
    for final in (False, False, True):
        window = _patches(frame, depth, planes, reach)
        if len(window.lateral) < _MINIMUM:
            return []
        start = np.stack([p.at(window.lateral) for p in planes], axis=1)
        at = window.first[:, None] + np.arange(window.profile.shape[1])[None, :]
        fit = fit_edges(window.profile, at.astype(np.float64), start, width)
        use = _usable(fit, start, steps, reach)
        seen = use.sum(axis=0)
        if (
            seen.min() < _MINIMUM
        ):  # the weakest is no edge of its own; the others are fitted without it
            rest = [s for k, s in enumerate(steps) if k != int(seen.argmin())]
            return _measure(frame, depth, rest, stops)
        planes = [
            fit_plane(window.lateral, fit.position[:, k], use[:, k]) for k in range(len(steps))
        ]
        own = _without_weakest_stray(steps, planes, width, stops)
        if own is not None:
            return _measure(frame, depth, own, stops)
        if final:
            break
        width = np.array(
            [_width(frame, depth, planes, k, width[k], reach)[0] for k in range(len(steps))]
        )
        reach = max(_half_window(w) for w in width)
    blurs = [_width(frame, depth, planes, k, width[k], reach, groups=8) for k in range(len(steps))]
    # A ramp widens from round to round: only now is its blur the one that would be reported.
    own = _without_weakest_stray(steps, planes, np.array([b for b, _ in blurs]), stops)
    if own is not None:
        return _measure(frame, depth, own, stops)
    covariance = _noise_covariance(frame, window, steps, width, stops)
    inner = (
        fit_edges(
            window.profile[:, 1:-1], at[:, 1:-1].astype(np.float64), fit.position, width
        ).position
        - fit.position
    )
    wider = fit_edges(window.profile, at.astype(np.float64), fit.position, 1.1 * width).position
    wider = wider - fit.position
    out = []
    for k, step in enumerate(steps):
        spread = 1.4826 * float(np.median(np.abs(planes[k].residual[planes[k].kept])))
        if spread > max(2.0, 2 * step.width):
            continue  # the patches do not agree on one surface
        blur, sigma = blurs[k]
        lags = np.abs(np.subtract.outer(np.arange(at.shape[1]), np.arange(at.shape[1])))
        noise = np.einsum("ni,ij,nj->n", fit.filter[:, k], covariance[lags], fit.filter[:, k])
        noise = np.maximum(noise, 0.0)
        kept = planes[k].kept
        height = float(np.median(fit.amplitude[kept, k]))
        shift = math.hypot(float(np.median(inner[kept, k])), float(np.median(wider[kept, k])))
        out.append(
            Boundary(
                planes[k], window.lateral, fit.position[:, k], noise, height, blur, sigma, shift
            )
        )
    return out


def _usable(fit: EdgeFit, start: Float64, steps: list[Step], reach: int) -> npt.NDArray[np.bool_]:
    """Patches whose fit found this step: its sign, a good part of its height, near where it was looked for."""
    height = np.array([s.height for s in steps])
    good: npt.NDArray[np.bool_] = (fit.amplitude / height > 0.25) & (
        np.abs(fit.position - start) < reach
    )
    return good


class _Patches(NamedTuple):
    """Mean profiles of lateral patches around a cluster of edges."""

    lateral: Float64  # (n, 2) mean place of the columns
    first: npt.NDArray[np.int64]  # (n,) first plane of the window
    profile: Float64  # (n, m)
    column: npt.NDArray[np.int64]  # (c, 2)
    patch: npt.NDArray[np.int64]  # (c,) which patch a column belongs to


def _patches(frame: Frame, depth: Float64, planes: list[Plane], reach: int) -> _Patches:
    """Average columns over squares of 4, 3, 2 or 1 px, the largest that leaves enough patches."""
    for side in (4, 3, 2, 1):
        found = _cut(frame, depth, planes, reach, side)
        if len(found.lateral) >= _PATCHES:
            break
    return found


def _cut(frame: Frame, depth: Float64, planes: list[Plane], reach: int, side: int) -> _Patches:
    shape = frame.domain.shape
    cells = [-(-n // side) for n in shape[1:]]
    corner = np.moveaxis(np.indices(cells), 0, -1).reshape(-1, 2).astype(np.float64) * side
    middle = corner + (side - 1) / 2
    low = np.min([p.at(middle) for p in planes], axis=0)
    high = np.max([p.at(middle) for p in planes], axis=0)
    first = np.floor(low - reach).astype(np.int64)
    length = math.ceil(float((high - low).max())) + 2 * reach + 2
    a, b = np.indices(shape[1:])
    cell = (a // side) * cells[1] + b // side
    start = first[cell]
    fits = (start >= 0) & (start + length <= shape[0])
    start = np.clip(start, 0, max(shape[0] - length, 0))
    stop = np.minimum(start + length, shape[0])
    inside = np.take_along_axis(depth, stop[None], 0) - np.take_along_axis(depth, start[None], 0)
    column = np.argwhere(fits & (inside[0] == length))
    owner = cell[column[:, 0], column[:, 1]]
    count = np.bincount(owner, minlength=len(corner))
    good = np.flatnonzero(count >= (side * side + 1) // 2)
    number = np.full(len(corner), -1, np.int64)
    number[good] = np.arange(len(good))
    kept = number[owner] >= 0
    column, owner = column[kept], number[owner[kept]]
    count = count[good]
    lateral = np.stack(
        [np.bincount(owner, column[:, i], len(good)) / count for i in (0, 1)], axis=1
    )
    plane = first[good][owner][:, None] + np.arange(length)[None, :]
    values = frame.values[plane, column[:, :1], column[:, 1:]]
    profile = np.zeros((len(good), length))
    np.add.at(profile, owner, values)
    return _Patches(lateral, first[good], profile / count[:, None], column, owner)


def _width(
    frame: Frame,
    depth: Float64,
    planes: list[Plane],
    index: int,
    start: float,
    reach: int,
    groups: int = 0,
) -> tuple[float, float]:
    """Return the blur of an edge about its plane, roughness included, and its error from lateral groups."""
    plane = planes[index]
    window = _cut(frame, depth, [plane], reach, 1)
    at = (
        window.first[:, None]
        + np.arange(window.profile.shape[1])
        - plane.at(window.lateral)[:, None]
    )
    # Up to the middle of the way to the next edge of the cluster.
    limit = np.full(2, float(reach))
    for other in planes[:index] + planes[index + 1 :]:
        way = other.offset - float(plane.at(other.centre))
        side = int(way > 0)
        limit[side] = min(limit[side], abs(way) / 2)
    near = (at >= -limit[0]) & (at <= limit[1])
    bins = np.floor(at * 4).astype(np.int64)  # quarters of a pixel
    low = int(bins[near].min())
    size = int(bins[near].max()) - low + 1
    centre = (np.arange(size) + low + 0.5) / 4

    def blur(use: npt.NDArray[np.bool_]) -> float:
        chosen = near & use[:, None]
        index = bins[chosen] - low
        count = np.bincount(index, minlength=size).astype(np.float64)
        mean = np.bincount(index, window.profile[chosen], size) / np.maximum(count, 1)
        return fit_width(mean, centre, count, start)

    everything = np.ones(len(at), bool)
    if groups == 0 or len(at) < groups:
        return blur(everything), math.nan
    group = groups_of(window.lateral, groups)
    left_out = np.array([blur(group != g) for g in range(groups)])
    return blur(everything), _spread(left_out) * float(student(groups - 1))


def _spread(left_out: Float64) -> float:
    """Jackknife standard error from the estimates without each of the groups (Efron 1982, eq. 3.5)."""
    g = len(left_out)
    return math.sqrt((g - 1) / g * float(((left_out - left_out.mean()) ** 2).sum()))


def group_count(patches: int) -> int:
    """Return into how many groups to part the patches: three patches or more in each where there are 24."""
    return 16 if patches >= 128 else 8 if patches >= 24 else 4


def jackknife(lateral: Float64, estimate: Callable[[npt.NDArray[np.bool_]], float]) -> float:
    """Return the standard error of ``estimate(use)``, patches (n, 2) left out in compact groups.

    Whole groups are left out so that noise shared by neighbouring patches counts once.
    """
    size = group_count(len(lateral))
    group = groups_of(lateral, size)
    left_out = np.array([estimate(group != g) for g in range(size)])
    return _spread(left_out) * float(student(size - 1))


def _noise_covariance(
    frame: Frame, window: _Patches, steps: list[Step], width: Float64, stops: tuple[float, float]
) -> Float64:
    """Return the covariance of a patch's mean against the distance along g, from the layers beside the cluster.

    It is minus the variogram, half the mean square difference of two planes of a patch: a constant is missing,
    which neither a patch's own level nor the position of an edge responds to. Values are taken from a lateral
    paraboloid in each plane, away from any edge, so that cupping does not count as noise. Lags longer than the
    layers are given the last value known.
    """
    length = window.profile.shape[1]
    total, pairs = np.zeros(length), np.zeros(length)
    shift = np.rint((window.lateral - frame.centre) @ frame.slope).astype(np.int64)
    count = np.bincount(window.patch)
    sides = (
        (stops[0] + 3 * width[0] + 1, steps[0].position - 3 * width[0] - 1),
        (steps[-1].position + 3 * width[-1] + 1, stops[1] - 3 * width[-1] - 1),
    )
    for low, high in sides:
        start = math.ceil(max(low, high - 12 if math.isfinite(high) else low, 0))
        stop = (
            math.floor(min(high, low + 12 if math.isfinite(low) else high, len(frame.values) - 1))
            + 1
        )
        planes = np.arange(start, stop)[None, :] + shift[window.patch][:, None]
        if planes.shape[1] == 0:
            continue
        safe = np.clip(planes, 0, len(frame.values) - 1)
        at = (safe, window.column[:, :1], window.column[:, 1:])
        known = frame.domain[at] & (safe == planes)
        sums = np.zeros((len(count), planes.shape[1]))
        seen = np.zeros_like(sums)
        np.add.at(sums, window.patch, np.where(known, frame.values[at], 0.0))
        np.add.at(seen, window.patch, known)
        full = seen == count[:, None]
        deviation, weight = _deviations(window.lateral, sums / count[:, None], full)
        for lag in range(1, min(length, planes.shape[1])):
            both = np.sqrt(weight[:, :-lag] * weight[:, lag:])
            total[lag] += ((deviation[:, lag:] - deviation[:, :-lag]) ** 2)[both > 0].sum() / 2
            pairs[lag] += both.sum()
    known = np.flatnonzero(pairs)
    if len(known) == 0:
        return np.zeros(length)
    variogram = np.zeros(length)
    variogram[known] = total[known] / pairs[known]
    variogram[known[-1] + 1 :] = variogram[known[-1]]
    return -variogram


def _deviations(
    lateral: Float64, means: Float64, known: npt.NDArray[np.bool_]
) -> tuple[Float64, Float64]:
    """Return (n, planes): deviations from a lateral paraboloid per plane, and the share of variance left in them."""
    a, b = ((lateral - lateral.mean(axis=0)) / (np.ptp(lateral, axis=0) + 1)).T
    design = np.stack([np.ones_like(a), a, b, a * a, a * b, b * b], axis=1)
    deviation, weight = np.zeros_like(means), np.zeros_like(means)
    for plane in range(means.shape[1]):
        use = known[:, plane]
        if use.sum() < 2 * design.shape[1]:
            continue
        part = design[use]
        shape = np.linalg.lstsq(part, means[use, plane], rcond=None)[0]
        deviation[use, plane] = means[use, plane] - part @ shape
        weight[use, plane] = 1 - design.shape[1] / use.sum()
    return deviation, weight
