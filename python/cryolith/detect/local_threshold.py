# SPDX-License-Identifier: BSD-3-Clause
"""Thresholds that follow the volume, and thresholds of two strengths."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core
from ..errors import InputError
from ._inputs import AXES, Float32, Float64, Mask
from .components import find_regions

__all__ = ["hysteresis", "local_threshold"]

_SLAB = 32  # slices at a time: scratch of 64-bit sums stays small


def hysteresis(
    volume: npt.ArrayLike,
    low: float,
    high: float,
    connectivity: Literal[6, 18, 26] = 26,
    *,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Mask:
    """Return what lies above ``low`` and is connected there to something above ``high``.

    Parameters
    ----------
    volume : (nz, ny, nx) real
        NaN is background.
    low, high : float
        Excluded; ``low`` no higher than ``high``.
    connectivity, threads, cancel
        As for :func:`label`.

    Returns
    -------
    (nz, ny, nx) bool
        The same for any number of threads. Memory: the labels, 1 to 4 bytes a voxel, and the mask.

    Raises
    ------
    InputError
        Thresholds that are not finite or out of order, not three axes.

    References
    ----------
    Canny, IEEE Trans. Pattern Anal. Mach. Intell. 8 (1986) 679, section VI.
    """
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise InputError(f"low, high: found {low} and {high}, expected finite numbers in order")
    data: Float32 = as_core(volume, "volume", AXES)
    found, table = find_regions(
        data, data, connectivity, above=low, measure=(), threads=threads, cancel=cancel
    )
    strong = np.concatenate([[False], table["intensity_max"] > np.float32(high)])
    return np.asarray(strong[found.labels(threads=threads, cancel=cancel)], np.bool_)


def local_threshold(
    volume: npt.ArrayLike,
    radius: int,
    method: Literal["mean", "niblack", "sauvola"] = "mean",
    *,
    k: float | None = None,
    spread: float | None = None,
) -> Float32:
    """Return a threshold for each voxel, from the mean m and standard deviation s of a window about it.

    Parameters
    ----------
    volume : (nz, ny, nx) real
        NaN is missing: it has no weight in any window.
    radius : int [voxels]
        The window is a cube of 2 radius + 1 voxels, cut off at the faces of the volume. Wider than the objects.
    method : {"mean", "niblack", "sauvola"}
        m; m + k s; m (1 + k (s / spread - 1)).
    k : float, optional
        Default -0.2 for ``niblack`` and 0.2 for ``sauvola``.
    spread : float, optional
        R of Sauvola, in the volume's units: default half of the range of its values.

    Returns
    -------
    (nz, ny, nx) float32
        NaN where a window holds no value. O(n) for any radius; memory beyond it about 4 float64 for each voxel of 32
        + 2 radius slices.

    Raises
    ------
    InputError
        Infinite values, not three axes, a radius below 1, an unknown method, ``k`` with ``mean``.

    Notes
    -----
    Sauvola's formula knows dark objects on a bright, positive ground; for others turn the values round.

    References
    ----------
    Niblack, An Introduction to Digital Image Processing (1986), p. 115; Sauvola & Pietikainen, Pattern Recognit. 33
    (2000) 225, eq. 5. Running sums: Crow, Comput. Graph. 18 (1984) 207.
    """
    data: Float32 = as_core(volume, "volume", AXES)
    if np.isinf(data).any():
        raise InputError("volume: found infinite values, expected finite numbers or NaN")
    if radius < 1:
        raise InputError(f"radius: found {radius}, expected 1 or more voxels")
    if method not in ("mean", "niblack", "sauvola"):
        raise InputError(f"method: found {method!r}, expected 'mean', 'niblack' or 'sauvola'")
    if (method == "mean" and k is not None) or (method != "sauvola" and spread is not None):
        raise InputError(f"k, spread: found with method {method!r}, which has none")
    if not np.isfinite(data).any():
        return np.full(data.shape, np.nan, np.float32)
    middle = float(np.nanmean(data, dtype=np.float64))
    if method == "sauvola" and spread is None:
        spread = float(np.nanmax(data) - np.nanmin(data)) / 2 or 1.0
    factor = {"mean": 0.0, "niblack": -0.2, "sauvola": 0.2}[method] if k is None else k
    out = np.empty_like(data)
    for start in range(0, len(data), _SLAB):
        stop = min(start + _SLAB, len(data))
        mean, sd = _window_moments(data, start, stop, radius, middle, method != "mean")
        if method == "sauvola":
            assert spread is not None
            out[start:stop] = mean * (1 + factor * (sd / spread - 1))
        else:
            out[start:stop] = mean + factor * sd
    return out


def _window_moments(
    data: Float32, start: int, stop: int, radius: int, middle: float, spread: bool
) -> tuple[Float64, Float64]:
    """Return means and standard deviations of the windows about slices ``start`` to ``stop``."""
    low, high = max(start - radius, 0), min(stop + radius, len(data))
    part = data[low:high].astype(np.float64) - middle  # digits are not lost on a high level
    there = np.isfinite(part)
    part[~there] = 0
    inner = slice(start - low, stop - low)
    count = _window_sums(there.astype(np.float64), radius, inner)
    with np.errstate(invalid="ignore"):
        mean = _window_sums(part, radius, inner) / count
        mean[count < 0.5] = np.nan
        if not spread:
            return mean + middle, np.zeros_like(mean)
        square = _window_sums(part**2, radius, inner) / count
    return mean + middle, np.sqrt(np.maximum(square - mean**2, 0))


def _window_sums(values: Float64, radius: int, inner: slice) -> Float64:
    """Return sums over windows about the voxels of slices ``inner``, by running sums along each axis."""
    out: npt.NDArray[Any] = values
    for axis in range(3):
        n = out.shape[axis]
        running = np.cumsum(np.moveaxis(out, axis, 0), axis=0)
        places = np.arange(n)[inner] if axis == 0 else np.arange(n)
        above = running[np.minimum(places + radius, n - 1)]
        below = places - radius - 1
        held = below >= 0
        above[held] -= running[below[held]]
        out = np.moveaxis(above, 0, axis)
    return out
