# SPDX-License-Identifier: BSD-3-Clause
"""Shifts of many images of one scene."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._device_arrays import DeviceArray
from ..errors import Cancelled, InputError
from .registration import images_on, reach

__all__ = ["StackRegistration", "frame_pairs", "register_frames", "register_stack", "solve_pairs"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_PAIR_COLUMNS, _FRAME_COLUMNS = 12, 6
_ALL_PAIRS = 16  # images up to which each is compared with each
_CONVEX = 10  # rounds of least absolute disagreement, which has one minimum, before maxima compete
_SWEEPS = 3  # of the vote that follows
_LOWER = 0.3  # what a lower maximum costs there; 1: to disagree. A crystal has one for every place
_ROBUST = 8  # rounds of robust least squares after it
_PLACES = 3  # how often windows are put on what the images share, at most
# What is left of an error of the windows' place, as in register.cpp.
_PULL_PX, _MOST_PULL = 40, 0.2


@dataclass(frozen=True, kw_only=True, eq=False)
class StackRegistration:
    """The shifts of images of one scene.

    Attributes
    ----------
    shifts_px : (n, 2) float64 [px]
        (row, column) with mean zero: image i shows the scene moved by ``shifts_px[i]``.
    sigma_px : (n, 2) float64 [px]
        Standard deviation of each, from the Fisher information; infinite where an image has nothing in common with
        the others.
    peaks : (n,) float64
        Normalised correlation of each image with the sum of all others, weighted as for its shift.
    transitivity_px : float [px]
        Median over pairs of images of \\|shift of the pair - difference of the two shifts\\|, on the binned images of
        the search: shifts around a closed loop have to add up to nothing.
    jumps : int
        Pairs whose highest maximum contradicts the others but one of whose next maxima does not: on a crystal, shifts
        that are wrong by a unit cell. The next maximum is used.
    """

    shifts_px: Float64
    sigma_px: Float64
    peaks: Float64
    transitivity_px: float
    jumps: int


def frame_pairs(n: int) -> Int64:
    """Return the pairs (m, 2) to compare: all of few images, of many each with those 1, 2, 4, ... farther on."""
    lags = range(1, n) if n <= _ALL_PAIRS else [2**k for k in range(n.bit_length()) if 2**k < n]
    return np.array([(i, i + lag) for lag in lags for i in range(n - lag)], np.int64)


def solve_pairs(pairs: Int64, found: Float64, n: int) -> tuple[Float64, float, int]:
    """Find the shifts that agree best with those of pairs, robustly.

    Parameters
    ----------
    pairs : (m, 2) int64
    found : (m, 4, 2) float64 [px]
        Shift of image ``pairs[:, 1]`` against ``pairs[:, 0]``: the highest maximum and up to three others, NaN where
        there is none.
    n : int

    Returns
    -------
    shifts (n, 2) with mean zero, median disagreement of a pair [px], number of pairs that use another maximum.

    Notes
    -----
    Least absolute disagreement r of the highest maxima first, by weights 1 / r; a vote of all maxima about each image;
    then least squares with weights 1 / (1 + (r / 2 s)^2)^2, s the robust scale of r (Geman and McClure 1987), each
    pair with the maximum nearest to what the others say. B. H. Savitzky et al., Ultramicroscopy 191 (2018) 56, section
    2.3, correct such pairs afterwards.
    """
    m = len(pairs)
    design = np.zeros((m, n))
    design[np.arange(m), pairs[:, 1]] += 1
    design[np.arange(m), pairs[:, 0]] -= 1
    shifts: Float64 = np.zeros((n, 2))
    weight, distance = np.ones(m), np.zeros(m)
    for _ in range(_CONVEX):
        shifts = _weighted(design, found[:, 0], weight)
        distance = np.linalg.norm(found[:, 0] - design @ shifts, axis=1)
        weight = 1 / np.sqrt(np.maximum(distance, 0.01))
    shifts = _voted(pairs, found, shifts, _scale(distance))
    chosen = np.zeros(m, np.int64)
    for _ in range(_ROBUST):
        away = _distances(found, design @ shifts)
        chosen = np.argmin(away, axis=1)
        distance = away[np.arange(m), chosen]
        weight = 1 / (1 + (distance / (2 * _scale(distance))) ** 2)
        shifts = _weighted(design, found[np.arange(m), chosen], weight)
    distance = np.linalg.norm(found[np.arange(m), chosen] - design @ shifts, axis=1)
    return shifts - shifts.mean(axis=0), float(np.median(distance)), int((chosen > 0).sum())


def _weighted(design: Float64, used: Float64, weight: Float64) -> Float64:
    # The constant, which pairs leave open, is what the pseudo-inverse leaves out.
    return np.asarray(
        np.linalg.lstsq(design * weight[:, None], used * weight[:, None], rcond=None)[0]
    )


def _scale(distance: Float64) -> float:
    return max(1.4826 * float(np.median(distance)), 1e-3)


def _distances(found: Float64, predicted: Float64) -> Float64:
    """Return how far each maximum is from what the shifts say; infinite where there is none."""
    away = np.linalg.norm(found - predicted[..., None, :], axis=-1)
    return np.where(np.isnan(away), np.inf, away)


def _voted(pairs: Int64, found: Float64, shifts: Float64, scale: float) -> Float64:
    """Move each image, in turns, to where most of its pairs have a maximum.

    An image most of whose highest maxima are wrong pulls any average along; all its right ones agree.
    """
    shifts = shifts.copy()
    cap = 3 * scale
    for _ in range(_SWEEPS):
        for k in range(len(shifts)):
            after, before = pairs[:, 1] == k, pairs[:, 0] == k
            places = np.concatenate(
                [
                    shifts[pairs[after, 0]][:, None] + found[after],
                    shifts[pairs[before, 1]][:, None] - found[before],
                ]
            )
            tried = np.vstack([shifts[k], places.reshape(-1, 2)])
            tried = tried[np.isfinite(tried).all(axis=1)]
            away = np.linalg.norm(places[None] - tried[:, None, None], axis=-1)
            cost = np.where(np.isnan(away), 1.0, np.minimum(away / cap, 1.0))
            cost[:, :, 1:] += _LOWER
            shifts[k] = tried[np.argmin(cost.min(axis=2).sum(axis=1))]
    return shifts


def register_frames(
    parts: Callable[[], Iterator[tuple[int, Float32 | _core.DeviceTensor]]],
    n: int,
    shape: tuple[int, int],
    max_shift: float | None,
    device: str,
    threads: int,
    cancel: _core.CancelToken | None,
) -> StackRegistration:
    """Register frames that ``parts`` yields some at a time, with the number of the first: two to four times over."""
    size = (n, *shape, reach(max_shift) or min(shape) / 2)
    # On a device frames may be tensors that lie there.
    stack: Any = (
        _core.FrameStack(*size) if device == "cpu" else _core.DeviceFrameStack(device, *size)
    )
    for first, frames in parts():
        stack.look(first, frames, threads, cancel)
    pairs = frame_pairs(n)
    rows = np.empty((len(pairs), _PAIR_COLUMNS))
    stack.pairs(pairs, rows, threads, cancel)
    peaks = rows.reshape(len(pairs), -1, 3)
    found = np.where(peaks[..., 2:] > 0, peaks[..., :2], np.nan)
    found[:, 0] = peaks[:, 0, :2]  # images without contrast have no maximum: no shift
    shifts, transitivity, jumps = solve_pairs(pairs, found, n)
    out = np.empty((n, _FRAME_COLUMNS))
    for _ in range(_PLACES):
        for first, frames in parts():
            stack.place(first, frames, shifts, threads, cancel)
        stack.refine(out, threads, cancel)
        moved = np.abs(out[:, :2] - shifts).max()
        shifts = np.ascontiguousarray(out[:, :2])
        sigma = np.sqrt(out[:, 2:4])
        if not min(_MOST_PULL, _PULL_PX / min(shape)) * moved > 0.1 * sigma.max():
            break
    return StackRegistration(
        shifts_px=shifts,
        sigma_px=sigma,
        peaks=out[:, 5].copy(),
        transitivity_px=transitivity,
        jumps=jumps,
    )


def register_stack(
    stack: npt.ArrayLike | DeviceArray,
    *,
    max_shift: float | None = None,
    device: str | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> StackRegistration:
    """Find the shifts of images of one scene: from pairs first, then each against the sum of all others.

    Parameters
    ----------
    stack : (n, ny, nx) array_like of real numbers, or DeviceArray of float32
        At least two images of about equal dose. NaN is a missing pixel: filled by the mean of those around.
    max_shift : float, optional [px]
        Between any two images; half of the shorter edge when not given.
    device : str, optional
        Where images are compared (:func:`cryolith.devices`): by default where they lie. The shifts are the CPU's but
        for the rounding of transforms. All spectra stay on the device.
    threads, cancel
        As everywhere.

    Returns
    -------
    StackRegistration

    Raises
    ------
    InputError
        Fewer than two images, or smaller than 4 x 4 pixels; an unknown device, or another than the one they lie on.
    Cancelled
        ``cancel`` was set.
    DeviceError
        There is no such device, it has too little memory, or failed its self-test.

    Notes
    -----
    The shifts maximise the likelihood of all images at once, for a scene that is not known and noise that is white
    (design/012-registration.md, eq. 5). Errors: eq. 6.
    """
    images, where = images_on(device, [stack], ["stack"], ("n", "ny", "nx"))
    n, ny, nx = images[0].shape
    if n < 2:
        raise InputError(f"stack: found {n} image, expected at least two")
    if min(ny, nx) < 4:
        raise InputError(f"stack: found {ny} x {nx} pixels, expected at least 4 x 4")

    def parts() -> Iterator[tuple[int, Float32 | _core.DeviceTensor]]:
        if cancel is not None and cancel.cancelled:
            raise Cancelled("register_stack: cancelled")
        yield 0, images[0]

    return register_frames(parts, n, (ny, nx), max_shift, where, threads, cancel)
