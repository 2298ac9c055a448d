# SPDX-License-Identifier: BSD-3-Clause
"""Where the specimen is: its support in the vacuum."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._inputs import Float32, Float64, Mask
from ._numbers import Numbers, Together
from ._smooth import convolve, gaussian_kernel, smooth
from .components import find_regions
from .thresholds import otsu_of

__all__ = ["SEPARABLE", "Support", "find_support", "vacuum_threshold"]

_BINS = 256
# Otsu's separability of two halves of a single normal distribution is 2/pi = 0.64 and of a uniform one 0.75: more
# than that speaks for two phases.
SEPARABLE = 0.75


class Support(NamedTuple):
    """The specimen's mask, the threshold that made it, the level of the vacuum, and the mask's share of all that
    lies above the threshold."""

    mask: Mask
    threshold: float
    background: float
    share: float = 1.0


def find_support(volume: Float32, threads: int = 0) -> Support:
    """Part the specimen from the vacuum; without a vacuum everything is specimen.

    The threshold lies half-way between the vacuum's peak in the histogram and the next peak above it, so that a
    support film or a substrate much darker than the layers still counts as specimen; with a single peak it is
    Otsu's, if that parts the values better than it parts a normal distribution. The largest component is kept.
    """
    values = smooth(volume, 1.0)
    threshold, background = vacuum_threshold(Together(values))
    if threshold is None:
        return Support(np.ones(volume.shape, bool), background, background)
    found, table = find_regions(values, None, 6, above=threshold, measure=(), threads=threads)
    if found.count == 0:
        return Support(np.ones(volume.shape, bool), background, background)
    sizes = table["voxels"]
    largest = int(sizes.argmax()) + 1
    share = float(sizes.max() / sizes.sum())
    return Support(found.labels(threads=threads) == largest, threshold, background, share)


def vacuum_threshold(values: Numbers) -> tuple[float | None, float]:
    """Return the threshold (None when nothing parts the values) and the vacuum's level."""
    low, high = values.quantiles((0.001, 0.999))
    if not high > low:
        low, high = values.ends()
    if not high > low:
        return None, low
    counts, edges = values.histogram(low, high, _BINS)
    centres = (edges[:-1] + edges[1:]) / 2
    peaks = _peaks(counts.astype(np.float64))
    cut, separability = otsu_of(values)
    # The vacuum is the lowest peak, unless a much larger one below Otsu's threshold says that the lowest is the dark
    # halo of a filtered back-projection.
    vacuum = 0
    for i, peak in enumerate(peaks[1:], start=1):
        if centres[peak] < cut and counts[peak] > 2 * counts[peaks[vacuum]]:
            vacuum = i
    if len(peaks) > vacuum + 1:
        background = float(centres[peaks[vacuum]])
        return (background + float(centres[peaks[vacuum + 1]])) / 2, background
    if separability > SEPARABLE:
        return cut, values.upto(cut).median()
    return None, values.ends()[0]


def _peaks(counts: Float64) -> list[int]:
    """Return the peaks of a histogram that stand out by half of their height and hold 1 % of the values."""
    shape = convolve(counts.astype(np.float32), gaussian_kernel(2.0), 0).astype(np.float64)
    top = [
        i
        for i in range(len(shape))
        if shape[i] > (shape[i - 1] if i else -1.0)
        and shape[i] >= (shape[i + 1] if i + 1 < len(shape) else -1.0)
    ]
    kept: list[int] = []
    for i in top:
        if counts[max(i - 5, 0) : i + 6].sum() < 0.01 * counts.sum():
            continue
        if kept:
            valley = shape[kept[-1] : i + 1].min()
            if valley > 0.5 * min(shape[i], shape[kept[-1]]):
                if shape[i] > shape[kept[-1]]:
                    kept[-1] = i
                continue
        kept.append(i)
    return kept
