# SPDX-License-Identifier: BSD-3-Clause
"""Automatic thresholds from the histogram."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ._inputs import Float64
from ._numbers import Numbers, Together

__all__ = ["Thresholds", "multi_otsu", "otsu", "otsu_of"]


class Thresholds(NamedTuple):
    """Thresholds in the values' units, ascending, and how well they part the values.

    ``separability`` is the variance between the classes over the whole variance, 0 to 1; two halves of a single
    normal distribution give 2/pi = 0.64, so only a value well above it speaks for two classes.
    """

    values: Float64
    separability: float


def otsu(
    values: npt.ArrayLike, *, bins: int = 1024, quantiles: tuple[float, float] = (0.001, 0.999)
) -> tuple[float, float]:
    """Return the threshold that parts ``values`` into two classes, and its separability.

    The same as :func:`multi_otsu` with two classes. Values above the threshold are the upper class.

    References
    ----------
    Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979) 62, eq. 18.
    """
    found = multi_otsu(values, 2, bins=bins, quantiles=quantiles)
    return float(found.values[0]), found.separability


def multi_otsu(
    values: npt.ArrayLike,
    classes: int = 3,
    *,
    bins: int = 256,
    quantiles: tuple[float, float] = (0.001, 0.999),
) -> Thresholds:
    """Return the thresholds between ``classes`` classes with the largest variance between them.

    Parameters
    ----------
    values : array_like of real numbers, any shape
        Must be finite.
    classes : int, default 3
        At least 2.
    bins : int, default 256
        Of the histogram; the optimum over its bins is exact (dynamic programming, O(classes bins^2)).
    quantiles : (float, float), default (0.001, 0.999)
        The histogram spans these quantiles; values beyond count at its ends, so that a few hot voxels neither
        stretch the bins nor pull a class towards them.

    Returns
    -------
    Thresholds
        ``values`` (classes - 1,): each in the middle between the highest occupied bin below and the lowest above.
        A value lies in the upper class when it is greater. Where there are fewer distinct values than classes
        the last thresholds repeat; constant values give that value and separability 0.

    Raises
    ------
    InputError
        No values, NaN or infinity, fewer than 2 classes, quantiles out of order.

    References
    ----------
    Otsu 1979 as above; Liao, Chen & Chung, J. Inf. Sci. Eng. 17 (2001) 713, eq. 12, for the sum over classes of
    (sum of values)^2 / count that replaces the variance between classes.
    """
    data = np.asarray(values).ravel()
    if data.dtype.kind not in "biuf" or data.size == 0 or not np.isfinite(data).all():
        raise InputError(
            f"values: found {data.size} of {data.dtype}, expected one or more finite real numbers"
        )
    if data.dtype.kind == "b":
        data = data.astype(np.uint8)
    low_q, high_q = quantiles
    if not 0 <= low_q < high_q <= 1:
        raise InputError(f"quantiles: found {quantiles}, expected 0 <= low < high <= 1")
    if classes < 2 or bins < classes:
        raise InputError(
            f"classes: found {classes} for {bins} bins, expected at least 2 and no more than bins"
        )
    return _of_numbers(Together(data), classes, bins, quantiles)


def otsu_of(numbers: Numbers) -> tuple[float, float]:
    """Return :func:`otsu` of finite numbers that need not be in one array."""
    found = _of_numbers(numbers, 2, 1024, (0.001, 0.999))
    return float(found.values[0]), found.separability


def _of_numbers(
    numbers: Numbers, classes: int, bins: int, quantiles: tuple[float, float]
) -> Thresholds:
    low, high = numbers.quantiles(quantiles)
    if not high > low:  # all but a few outliers are one value: use the whole range
        low, high = numbers.ends()
    if not high > low:
        return Thresholds(np.full(classes - 1, low), 0.0)
    counts, edges = numbers.histogram(low, high, bins)
    used = np.flatnonzero(counts)
    return _split(counts[used].astype(np.float64), (edges[used] + edges[used + 1]) / 2, classes)


def _split(weight: Float64, level: Float64, classes: int) -> Thresholds:
    """Part the levels (ascending, weights above 0) into ``classes`` runs with the best sum of sum^2 / weight."""
    n = len(level)
    mean = np.average(level, weights=weight)
    total_weight = np.concatenate([[0.0], np.cumsum(weight)])
    total = np.concatenate([[0.0], np.cumsum(weight * (level - mean))])
    count = np.subtract.outer(total_weight, total_weight)  # [end, start]
    score = np.where(
        count > 0, np.subtract.outer(total, total) ** 2 / np.where(count > 0, count, 1.0), -np.inf
    )
    parts = min(classes, n)
    best = score[:, 0].copy()  # of the first `end` levels in one class
    starts = []
    for _ in range(parts - 1):
        step = best[None, :] + score
        starts.append(step.argmax(axis=1))
        best = step.max(axis=1)
    cuts, end = [], n
    for start in reversed(starts):
        end = int(start[end])
        cuts.append((level[end - 1] + level[end]) / 2)
    cuts.reverse()
    cuts += [cuts[-1]] * (classes - parts)
    spread = float(weight @ (level - mean) ** 2)
    return Thresholds(np.array(cuts), float(best[n]) / spread)
