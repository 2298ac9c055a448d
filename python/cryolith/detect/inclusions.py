# SPDX-License-Identifier: BSD-3-Clause
"""Particles and voids: compact bright objects, and dark ones that the specimen encloses."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _core
from ..datamodel import Volume
from ..errors import InputError
from ._inputs import Float32, Float64, Mask, Table, as_mask, as_volume, unit_of
from ._noise import SMOOTHING, false_peaks, noise_level, smallest_size
from ._smooth import erode, smooth
from ._support import SEPARABLE, find_support
from .components import find_regions, label, regions
from .thresholds import otsu

__all__ = ["Found", "find_particles", "find_voids", "no_table", "particles", "voids", "widen"]


class Found(NamedTuple):
    """A table of objects, their labels (object i has label i + 1) and the threshold that made them.

    ``cut``: where each was cut, as a share of its greatest smoothed value above the surroundings.
    """

    table: Table
    labels: npt.NDArray[np.int32]
    threshold: float
    cut: Float64


def particles(
    volume: Volume | npt.ArrayLike,
    threshold: float | None = None,
    *,
    min_size: int | None = None,
    alpha: float = 0.01,
    pixel_size: float | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Table:
    """Find bright objects: particles in the vacuum, or bright inclusions in a specimen.

    Parameters
    ----------
    volume : (nz, ny, nx) real, or Volume
        NaN is refused.
    threshold : float, optional
        In the volume's units. By default Otsu's threshold inside the specimen where that parts two phases
        (separability above 0.75), else the one that parts the specimen from the vacuum.
    min_size : int [voxels], optional
        By default 7: a sphere as wide as the smoothing (below), 2.4 px.
    alpha : float, default 0.01
        Chance that noise alone makes one object or more in the volume (family-wise).
    pixel_size : float [angstrom], optional
        Taken from a Volume; without it lengths are in pixels (``_px``).
    threads, cancel
        As for :func:`label`.

    Returns
    -------
    dict of str to (n,) array
        The columns of :func:`regions` and

        - ``contrast``: highest smoothed value above the level of the surroundings, in the volume's units;
        - ``significance``: that over the noise of the smoothed surroundings;
        - ``p_value``: chance that noise alone makes such a peak anywhere in them.

        ``sigma_volume`` and ``sigma_diameter`` also hold how far the smoothing moves a curved edge, s^2 / r.

    Raises
    ------
    InputError
        NaN, not three axes, a threshold that is not finite, an alpha outside of 0 to 1.

    Notes
    -----
    Objects are components (26) of the volume smoothed by a Gaussian of 1 px above the threshold. The p-value is
    the expected Euler characteristic of Gaussian noise (Worsley et al. 1992, eq. 1); streaks of a reconstruction
    are no Gaussian noise, so a p-value speaks of noise only.
    """
    data, pixel_size = as_volume(volume, pixel_size)
    found = find_particles(data, threshold, min_size, alpha, pixel_size, threads, cancel)
    return found.table


def voids(
    volume: Volume | npt.ArrayLike,
    support: npt.ArrayLike | None = None,
    threshold: float | None = None,
    min_size: int | None = None,
    *,
    min_contrast: float = 0.2,
    alpha: float = 0.01,
    pixel_size: float | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Table:
    """Find dark regions that the specimen encloses: pores, bubbles, voids.

    Parameters
    ----------
    volume : (nz, ny, nx) real, or Volume
        NaN is refused.
    support : (nz, ny, nx) bool, optional
        The specimen, its voids filled: what is dark in it and does not run out of it counts. By default found.
    threshold : float, optional
        With it a void is a component of values below it that does not reach the outside. By default each void has
        its own, half-way between its floor and the level at which it would run over to the outside: layers of
        different brightness and slow changes of the background make no voids.
    min_size : int [voxels], optional
        By default 7, as for :func:`particles`.
    min_contrast : float, default 0.2
        Least depth of a void, as a share of the specimen's mean level above the vacuum.
    alpha, pixel_size, threads, cancel
        As for :func:`particles`.

    Returns
    -------
    dict of str to (n,) array
        The columns of :func:`regions` and ``contrast`` (depth), ``significance`` (depth over the noise of the
        smoothed specimen) and ``p_value``; errors of size as in :func:`particles`.

    Raises
    ------
    InputError
        NaN, not three axes, a support of another shape, an alpha or min_contrast outside of 0 to 1.

    Notes
    -----
    The volume is smoothed by a Gaussian of 1 px and filled from the outside by priority-flood; the filled volume
    minus the smoothed one is the depth of each basin. A pore open to the outside counts from its narrowest neck.

    References
    ----------
    Barnes, Lehman & Mulla, Computers & Geosciences 62 (2014) 117, algorithm 2; Soille, Morphological Image Analysis
    (2003), section 6.3.7 (fill-hole); p-values as for :func:`particles`.
    """
    data, pixel_size = as_volume(volume, pixel_size)
    inside = None if support is None else as_mask(support, "support", data.shape)
    found = find_voids(
        data, inside, threshold, min_size, min_contrast, alpha, pixel_size, threads, cancel
    )
    return found.table


def find_particles(
    data: Float32,
    threshold: float | None,
    min_size: int | None,
    alpha: float,
    pixel_size: float | None,
    threads: int,
    cancel: _core.CancelToken | None,
) -> Found:
    """Do :func:`particles` and return the labels too."""
    _check(alpha, "alpha")
    if threshold is not None and not math.isfinite(threshold):
        raise InputError(f"threshold: found {threshold}, expected a finite number")
    smoothed = smooth(data, SMOOTHING)
    cut = _particle_threshold(data, smoothed, threads) if threshold is None else threshold
    bright = smoothed > cut
    if not bright.any() or bright.all():
        return _nothing(data, cut, pixel_size)
    labels, _ = label(bright, dtype=np.int32, threads=threads, cancel=cancel)
    noise = _Noise(smoothed, ~bright, alpha, min_size)
    around = float(np.median(smoothed[~bright]))
    level = np.full(int(labels.max()) + 1, cut - around)
    height = smoothed - np.float32(around)
    return _select(data, labels, height, level, noise, cut, pixel_size, threads, cancel)


def _particle_threshold(data: Float32, smoothed: Float32, threads: int) -> float:
    """Return the threshold between two phases inside the specimen, or to the vacuum; NaN if nothing parts."""
    support = find_support(data, threads)
    inside = erode(support.mask, 2, (0, 1, 2))
    if inside.sum() > 0.25 * support.mask.sum():
        cut, separability = otsu(smoothed[inside])
        if separability > SEPARABLE:
            return cut
    return math.nan if support.mask.all() else support.threshold


def find_voids(
    data: Float32,
    support: Mask | None,
    threshold: float | None,
    min_size: int | None,
    min_contrast: float,
    alpha: float,
    pixel_size: float | None,
    threads: int,
    cancel: _core.CancelToken | None,
) -> Found:
    """Do :func:`voids` and return the labels too."""
    _check(alpha, "alpha")
    _check(min_contrast, "min_contrast")
    if threshold is not None and not math.isfinite(threshold):
        raise InputError(f"threshold: found {threshold}, expected a finite number")
    found = find_support(data, threads)
    inside = _without_holes(found.mask, threads) if support is None else support
    if not inside.any() or float(np.ptp(data)) == 0:
        return _nothing(data, math.nan, pixel_size)
    level = float(data[inside].mean(dtype=np.float64)) - found.background
    smoothed = smooth(data, SMOOTHING)
    if threshold is None:
        depth = _basins(smoothed, inside, cancel)
        least = min_contrast * abs(level)
        candidates, cuts = _halves(depth, least, threads, cancel)
        threshold = least
    else:
        depth = np.where(inside, np.float32(found.background + level) - smoothed, np.float32(0))
        candidates = _enclosed((smoothed < threshold) & inside, support is None, threads, cancel)
        cuts = np.full(int(candidates.max()) + 1, found.background + level - threshold)
    noise = _Noise(smoothed, inside & (candidates == 0), alpha, min_size)
    return _select(data, candidates, depth, cuts, noise, threshold, pixel_size, threads, cancel)


def _without_holes(mask: Mask, threads: int) -> Mask:
    """Return a mask with all that it encloses."""
    return mask | (_enclosed(~mask, True, threads, None) > 0)


def _enclosed(
    mask: Mask, drop: bool, threads: int, cancel: _core.CancelToken | None
) -> npt.NDArray[np.int32]:
    """Label a mask (26), without the components that reach the border of the volume if ``drop``."""
    found, table = find_regions(mask, measure=(), threads=threads, cancel=cancel)
    labels = found.labels(dtype=np.int32, threads=threads, cancel=cancel)
    if drop:
        number = np.zeros(found.count + 1, np.int32)
        number[1:] = np.where(table["touches_border"], 0, table["label"])
        labels = number[labels]
    return labels


def _basins(smoothed: Float32, inside: Mask, cancel: _core.CancelToken | None) -> Float32:
    """Return how deep each voxel lies below the level at which it would run over to the outside."""
    ranges = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {i}))) for i in range(3)]
    box = tuple(
        slice(max(int(r[0]) - 1, 0), min(int(r[-1]) + 2, n))
        for r, n in zip(ranges, inside.shape, strict=True)
    )
    values = np.ascontiguousarray(smoothed[box])
    outlet = np.ascontiguousarray(~inside[box]).view(np.uint8)
    filled = np.empty_like(values)
    _core.fill_basins(values, outlet, filled, cancel)
    depth = np.zeros_like(smoothed)
    depth[box] = filled - values
    return depth


def _halves(
    depth: Float32, least: float, threads: int, cancel: _core.CancelToken | None
) -> tuple[npt.NDArray[np.int32], Float64]:
    """Label the basins of at least ``least``, each down from half of the depth of its floor; return that by label.

    The floor is the mean over the deepest quarter of the range: the deepest voxel alone is the noise's choice.
    """
    found, table = find_regions(
        depth, depth, above=least / 2, measure=(), threads=threads, cancel=cancel
    )
    basins = found.labels(dtype=np.int32, threads=threads, cancel=cancel)
    if found.count == 0:
        return basins, np.zeros(1)
    deepest = np.full(found.count + 1, np.inf, np.float32)
    deepest[1:] = np.where(table["intensity_max"] >= least, table["intensity_max"], np.inf)
    floor = np.where(depth > np.float32(0.75) * deepest[basins], basins, np.int32(0))
    if not floor.any():
        return floor, np.zeros(1)
    floors = regions(floor, depth, measure=(), threads=threads, cancel=cancel)
    half = np.full(found.count + 1, np.inf, np.float32)
    half[floors["label"]] = floors["intensity_mean"] / 2
    labels, count = label(depth > half[basins], dtype=np.int32, threads=threads, cancel=cancel)
    cuts = np.zeros(count + 1)
    cuts[labels.ravel()] = half[basins.ravel()]
    return labels, cuts


class _Noise(NamedTuple):
    """Where the noise is measured, and what may pass for an object."""

    smoothed: Float32
    where: Mask
    alpha: float
    min_size: int | None


def _select(
    data: Float32,
    labels: npt.NDArray[np.int32],
    height: Float32,
    cut: Float64,
    noise: _Noise,
    threshold: float,
    pixel_size: float | None,
    threads: int,
    cancel: _core.CancelToken | None,
) -> Found:
    """Measure the objects that are large and high enough, numbered from 1 again; ``cut``: of ``height``, by label."""
    peaks = regions(labels, height, measure=(), threads=threads, cancel=cancel)
    sigma = noise_level(noise.smoothed, noise.where) if noise.where.any() else 0.0
    sigma = max(sigma, 1e-6 * float(np.ptp(noise.smoothed)))
    significance = peaks["intensity_max"] / sigma
    # One minus the Poisson chance of no such peak.
    p_value = -np.expm1(-false_peaks(significance, max(int(noise.where.sum()), 1)))
    size = smallest_size() if noise.min_size is None else noise.min_size
    keep = (peaks["voxels"] >= size) & (p_value <= noise.alpha)
    number = np.zeros(int(labels.max()) + 1, np.int32)
    number[peaks["label"][keep]] = np.arange(1, int(keep.sum()) + 1)
    final = number[labels]
    table = regions(final, data, pixel_size=pixel_size, threads=threads, cancel=cancel)
    widen(table, pixel_size)
    table["contrast"] = peaks["intensity_max"][keep]
    table["significance"] = significance[keep]
    table["p_value"] = p_value[keep]
    share = cut[peaks["label"][keep]] / peaks["intensity_max"][keep]
    return Found(table, final, threshold, share)


def widen(table: Table, pixel_size: float | None) -> None:
    """Add to the errors of size how far the smoothing moves a curved edge: s^2 / r, inwards, for a sphere."""
    unit, pixel = unit_of(pixel_size)
    surface, diameter = table[f"surface_{unit}2"], table[f"diameter_{unit}"]
    shift = 2 * (SMOOTHING * pixel) ** 2 / diameter
    table[f"sigma_volume_{unit}3"] = np.hypot(table[f"sigma_volume_{unit}3"], surface * shift)
    table[f"sigma_diameter_{unit}"] = (
        diameter * table[f"sigma_volume_{unit}3"] / (3 * table[f"volume_{unit}3"])
    )


def _nothing(data: Float32, threshold: float, pixel_size: float | None) -> Found:
    empty = np.zeros(data.shape, np.int32)
    return Found(no_table(pixel_size), empty, threshold, np.zeros(0))


def no_table(pixel_size: float | None) -> Table:
    """Return the columns of :func:`particles` and :func:`voids` without a row."""
    table = regions(np.zeros((1, 1, 1), np.int32), np.zeros((1, 1, 1)), pixel_size=pixel_size)
    for name in ("contrast", "significance", "p_value"):
        table[name] = np.zeros(0)
    return table


def _check(value: float, name: str) -> None:
    if not 0 < value < 1:
        raise InputError(f"{name}: found {value}, expected a number between 0 and 1")
