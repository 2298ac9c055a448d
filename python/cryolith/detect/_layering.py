# SPDX-License-Identifier: BSD-3-Clause
"""A layered specimen seen along its layering direction: the frame, the mean profile, the steps in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ._edges import groups_of
from ._inputs import Float32, Float64, Mask
from ._smooth import convolve, erode, gaussian_kernel, grow_along, smooth

__all__ = ["Frame", "Step", "find_steps", "layering_normal", "make_frame"]

# A step counts when its mean over the cross-section is 6 standard errors, and still 4 and half its height when a ramp
# through both layers is taken off. Two-sided probabilities of 6 are 2e-5 for 16 groups and 5e-4 for 8; some tens of
# positions are tried.
SIGNIFICANCE, RAMP_SIGNIFICANCE = 6.0, 4.0
_MINIMUM_AREA = 24  # columns: fewer make neither groups nor a plane
_EDGE = 4  # planes at the ends of the profile: too few to tell a level
_REACH = 8  # voxels of vacuum kept beyond a flat end of the specimen


@dataclass(frozen=True)
class Frame:
    """The specimen with its layering along the first axis: (ng, na, nb), a view of the volume.

    ``domain`` holds the voxels that edges are fitted in: the specimen without its sides, and a little of the
    vacuum beyond flat ends. ``slope`` (2,): how a layer's surface runs, g = s + slope . (lateral - centre).
    """

    values: Float32
    specimen: Mask
    domain: Mask
    order: tuple[int, int, int]  # which volume axis is g, a, b
    corner: tuple[int, int, int]  # of this array in the volume, in the volume's axes
    slope: Float64
    centre: Float64


class Step(NamedTuple):
    """A step in the mean profile: position s [px], blur [px], height in the volume's units."""

    position: float
    width: float
    height: float


def layering_normal(volume: Float32, specimen: Mask, margin: int) -> Float64:
    """Return the unit vector (z, y, x) along which the inside of the specimen varies most.

    The largest eigenvector of the structure tensor of the specimen's inside, its largest component positive. Where
    no direction stands out (1.5 times the next), the long axis of the specimen.
    """
    inside = erode(specimen, margin + 3, (0, 1, 2))
    if not inside.any():
        inside = specimen
    slopes = np.stack([smooth(volume, 1.5, derivative=i)[inside] for i in range(3)]).astype(
        np.float64
    )
    strength, vectors = np.linalg.eigh(slopes @ slopes.T)
    normal = vectors[:, 2]
    if strength[2] < 1.5 * strength[1]:
        points = np.argwhere(specimen).astype(np.float64)
        normal = np.linalg.eigh(np.cov(points.T))[1][:, 2] if len(points) > 1 else np.eye(3)[0]
    out: Float64 = normal * math.copysign(1.0, normal[np.abs(normal).argmax()])
    return out


def make_frame(volume: Float32, specimen: Mask, normal: Float64, margin: int) -> Frame:
    """Crop to the specimen and bring the volume axis nearest to ``normal`` to the front; nothing is resampled."""
    ranges = []
    for i in range(3):
        hit = np.flatnonzero(specimen.any(axis=tuple(j for j in range(3) if j != i)))
        ranges.append(
            (max(int(hit[0]) - _REACH, 0), min(int(hit[-1]) + _REACH + 1, volume.shape[i]))
        )
    main = int(np.abs(normal).argmax())
    order = (main, *(i for i in range(3) if i != main))
    box = tuple(slice(a, b) for a, b in ranges)
    values = volume[box].transpose(order)
    inside = np.ascontiguousarray(specimen[box].transpose(order))
    core = erode(inside, margin, (1, 2))
    domain = grow_along(core, ~inside, _REACH, 0)
    lateral = np.argwhere(core.any(axis=0)).astype(np.float64)
    return Frame(
        values=values,
        specimen=inside,
        domain=domain,
        order=(order[0], order[1], order[2]),
        corner=(ranges[0][0], ranges[1][0], ranges[2][0]),
        slope=-normal[list(order[1:])] / normal[main],
        centre=lateral.mean(axis=0) if len(lateral) else np.zeros(2),
    )


def find_steps(frame: Frame, min_step: float) -> list[Step]:
    """Return the significant steps of at least ``min_step`` along the layering, ascending."""
    columns = _Columns(frame)
    profile, counts = columns.profile()
    found: list[Step] = []
    for extent in _long_ranges(counts >= _MINIMUM_AREA):
        steps = _prune(_candidates(profile, extent), profile, extent, min_step)
        maps = [columns.heights(i, steps, extent) for i in range(len(steps))]
        covariance = _covariance([m[:2] for m in maps], frame.domain.shape[1:])
        found += [s for s, m in zip(steps, maps, strict=True) if _is_step(*m, covariance)]
    return found


class _Columns:
    """The frame's columns with running sums, each moved along g so that a layer lies at one plane s."""

    def __init__(self, frame: Frame) -> None:
        shape = frame.domain.shape
        lateral = np.moveaxis(np.indices(shape[1:]), 0, -1) - frame.centre
        self.shift = np.rint(lateral @ frame.slope).astype(np.int64)
        zero = np.zeros((1, *shape[1:]))
        inside = np.where(frame.domain, frame.values, 0.0)
        self.sums = np.concatenate([zero, np.cumsum(inside, axis=0)])
        self.counts = np.concatenate([zero, np.cumsum(frame.domain, axis=0, dtype=np.float64)])
        self.planes = shape[0]

    def between(self, low: int, high: int) -> tuple[Float64, Float64]:
        """Return sums and counts (na, nb) of planes low..high - 1."""
        start = np.clip(low + self.shift, 0, self.planes)[None]
        stop = np.clip(high + self.shift, 0, self.planes)[None]
        sums, counts = (
            (np.take_along_axis(c, stop, 0) - np.take_along_axis(c, start, 0))[0]
            for c in (self.sums, self.counts)
        )
        return sums, counts

    def profile(self) -> tuple[Float64, Float64]:
        """Return the mean of each plane (0 where it is empty) and its number of voxels."""
        both = np.array([[c.sum() for c in self.between(s, s + 1)] for s in range(self.planes)])
        return both[:, 0] / np.maximum(both[:, 1], 1), both[:, 1]

    def heights(
        self, index: int, steps: list[Step], extent: tuple[int, int]
    ) -> tuple[npt.NDArray[np.int64], Float64, float]:
        """Return columns (n, 2), the height of a step in each, and what a ramp through both layers explains of it.

        Each column is compared with itself below and above the step: a column that leaves a tapering specimen on
        one side does not count.
        """
        step = steps[index]
        stops = [extent[0] - 0.5, *(s.position for s in steps), extent[1] - 0.5]
        below, above = _window(step, stops[index]), _window(step, stops[index + 2])
        whole = self.between(below[0], above[1])[1] == above[1] - below[0]
        height = (self.mean(above, whole) - self.mean(below, whole))[whole]
        ramp = self.ramp(step, stops[index], below, whole) + self.ramp(
            step, stops[index + 2], above, whole
        )
        return np.argwhere(whole), height, ramp

    def mean(self, window: tuple[int, int], use: Mask) -> Float64:
        """Return the mean (na, nb) over the planes of a window, 0 where it is not asked for."""
        sums, counts = self.between(*window)
        out: Float64 = np.where(use, sums / np.maximum(counts, 1), 0.0)
        return out

    def ramp(self, step: Step, other: float, window: tuple[int, int], use: Mask) -> float:
        """Return the rise from the step to the middle of its window, by the slope of the layer on this side.

        The slope is taken between the halves of what the layer shows away from its edges; none of a thin layer.
        """
        free = 2 * step.width + 1
        length = min(abs(other - step.position) - 2 * free, 10.0)
        if length < 4:
            return 0.0
        sign = 1 if other > step.position else -1
        ends = sorted((step.position + sign * free, step.position + sign * (free + length)))
        low, high = round(ends[0]), round(ends[1])
        half = (high - low) // 2
        there = use & (self.between(low, low + 2 * half)[1] == 2 * half)
        if there.sum() < _MINIMUM_AREA:
            return 0.0
        rise = self.mean((low + half, low + 2 * half), there) - self.mean((low, low + half), there)
        way = sign * ((window[0] + window[1] - 1) / 2 - step.position)
        return float(rise[there].mean()) / half * way


def _is_step(
    columns: npt.NDArray[np.int64], heights: Float64, ramp: float, covariance: Float64
) -> bool:
    """Whether the cross-section, or the inner half of it, agrees on a step.

    Near the tip of a needle the sides reach into the outer columns above the step and not below it.
    """
    if _agrees(columns, heights, ramp, covariance):
        return True
    distance = np.hypot(*(columns - columns.mean(axis=0)).T) if len(columns) else np.zeros(0)
    inner = np.sort(np.argsort(distance, kind="stable")[: len(columns) // 2])
    return _agrees(columns[inner], heights[inner], ramp, covariance)


def _agrees(
    columns: npt.NDArray[np.int64], heights: Float64, ramp: float, covariance: Float64
) -> bool:
    """Whether the mean height stands out, see SIGNIFICANCE.

    The error of the mean height is the larger of the scatter of compact groups and of the correlated noise.
    """
    n = len(columns)
    if n < _MINIMUM_AREA:
        return False
    mean = float(heights.mean())
    size = 16 if n >= 64 else 8
    group = groups_of(columns.astype(np.float64), size)
    means = np.bincount(group, heights) / np.bincount(group)
    error = float(means.std(ddof=1)) / math.sqrt(size)
    pairs = _rings(columns, np.ones(n))
    error = max(error, math.sqrt(max(float(pairs @ covariance[: len(pairs)]), 0.0)) / n)
    left = (mean - ramp) * math.copysign(1.0, mean)
    return abs(mean) > SIGNIFICANCE * error and left > max(abs(mean) / 2, RAMP_SIGNIFICANCE * error)


def _covariance(
    maps: list[tuple[npt.NDArray[np.int64], Float64]], shape: tuple[int, ...]
) -> Float64:
    """Return the covariance of the noise of a height against lateral distance [px], over all steps together.

    Deviations are from a paraboloid, so that cupping is no noise; 0 from where they first cease to be alike. Taken
    together, as a small cross-section shows less than one correlation area of smooth noise.
    """
    longest = math.ceil(math.hypot(*shape)) + 2
    products, pairs = np.zeros(longest), np.zeros(longest)
    for columns, heights in maps:
        if len(columns) < _MINIMUM_AREA:
            continue
        a, b = ((columns - columns.mean(axis=0)) / np.array(shape)).T
        design = np.stack([np.ones_like(a), a, b, a * a, a * b, b * b], axis=1)
        rest = heights - design @ np.linalg.lstsq(design, heights, rcond=1e-9)[0]
        rest *= math.sqrt(len(rest) / (len(rest) - design.shape[1]))
        for total, content in ((products, rest), (pairs, np.ones_like(rest))):
            rings = _rings(columns, content)
            total[: len(rings)] += rings
    covariance = products / np.maximum(pairs, 1)
    covariance[np.logical_or.accumulate(covariance <= 1e-9 * abs(covariance[0]))] = 0.0
    return covariance


def _rings(columns: npt.NDArray[np.int64], content: Float64) -> Float64:
    """Return the sum of content_i content_j over all pairs of columns at each rounded distance [px]."""
    corner = columns.min(axis=0)
    padded = tuple(int(n) for n in 2 * (columns.max(axis=0) - corner + 1))
    image = np.zeros(padded)
    image[columns[:, 0] - corner[0], columns[:, 1] - corner[1]] = content
    power = np.fft.irfft2(np.abs(np.fft.rfft2(image)) ** 2, padded)
    distance = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in padded), indexing="ij"))
    ring = np.rint(distance).astype(np.int64).ravel()
    return np.bincount(ring, power.ravel()).astype(np.float64)


def _window(step: Step, other: float) -> tuple[int, int]:
    """Return the planes (first, last + 1) that show the level between a step and the next one at ``other``."""
    way = abs(other - step.position)
    near = min(2 * step.width + 1, way / 2)
    far = max(min(near + 3, way - near), near)
    ends = (near, far) if other > step.position else (-far, -near)
    low = round(step.position + ends[0])
    return low, max(round(step.position + ends[1]), low) + 1


def _long_ranges(good: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the runs of at least 9 samples, long enough for one step with both its sides."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], good.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= 9]


def _candidates(profile: Float64, extent: tuple[int, int]) -> list[Step]:
    """Return all local extremes of the slope of the profile; their height is the slope for now."""
    kernel = gaussian_kernel(1.0, derivative=True)[::-1]
    slope = convolve(profile[slice(*extent)].astype(np.float32), kernel, 0).astype(np.float64)
    size = np.abs(slope)
    out = []
    for i in range(_EDGE, len(slope) - _EDGE):
        if size[i] >= size[i - 1] and size[i] > size[i + 1]:
            bend = size[i - 1] - 2 * size[i] + size[i + 1]
            shift = 0.5 * (size[i - 1] - size[i + 1]) / bend if bend < 0 else 0.0
            out.append(Step(extent[0] + i + float(shift), 1.0, float(slope[i])))
    return out


def _prune(
    candidates: list[Step], profile: Float64, extent: tuple[int, int], min_step: float
) -> list[Step]:
    """Drop the weakest candidate until every step is high enough and sharp enough."""
    left = list(candidates)
    while left:
        heights, near = _heights(left, profile, extent)
        slopes = np.array([c.height for c in left])
        # The slope was taken with a Gaussian of 1 px, which blurs the step like anything else.
        blur = np.abs(heights) / (math.sqrt(2 * math.pi) * np.maximum(np.abs(slopes), 1e-30))
        widths = np.sqrt(np.maximum(blur**2 - 1.0, 0.25))
        # A ramp (cupping, a thickening needle) between levels d apart looks like an edge of blur d / sqrt(2 pi),
        # 0.4 d; an edge that counts is sharper than a third of the way to its neighbour.
        soft = widths > near / 3
        bad = (np.abs(heights) < min_step) | (heights * slopes <= 0) | soft
        if not bad.any():
            found = zip(left, widths, heights, strict=True)
            return [Step(c.position, float(w), float(h)) for c, w, h in found]
        del left[int(np.where(bad, np.abs(heights), np.inf).argmin())]
    return []


def _heights(
    steps: list[Step], profile: Float64, extent: tuple[int, int]
) -> tuple[Float64, Float64]:
    """Return the height of each step and the distance to the nearest other step or end.

    A level is the mean over the middle third of the way to the next step, at most 12 px of it.
    """
    stops = [extent[0] - 0.5, *(s.position for s in steps), extent[1] - 0.5]
    heights, near = np.zeros(len(steps)), np.zeros(len(steps))
    for k, step in enumerate(steps, start=1):
        near[k - 1] = min(stops[k] - stops[k - 1], stops[k + 1] - stops[k])
        for sign, other in ((-1, stops[k - 1]), (1, stops[k + 1])):
            way = sign * min(abs(other - step.position), 12.0)
            ends = sorted((step.position + way / 3, step.position + 2 * way / 3))
            low = int(np.clip(round(ends[0]), extent[0], extent[1] - 1))
            high = int(np.clip(round(ends[1]), low, extent[1] - 1))
            heights[k - 1] += sign * float(profile[low : high + 1].mean())
    return heights, near
