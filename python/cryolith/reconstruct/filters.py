# SPDX-License-Identifier: BSD-3-Clause
"""Filters of weighted back-projection: exact discrete ramp, windows, and the weight of each tilt."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_angles, as_core, as_output
from ..errors import InputError
from ..projection import Geometry
from .inputs import Float32
from .missing import fill_missing

__all__ = ["FILTERS", "Filter", "filter_gains", "filter_projections", "tilt_weights"]

Float64 = npt.NDArray[np.float64]
Filter = str | Callable[[Float64], Float64]

FILTERS: dict[str, Callable[[Float64], Float64]] = {
    "ramp": np.ones_like,
    "shepp-logan": np.sinc,
    "cosine": lambda f: np.cos(np.pi * f),
    "hann": lambda f: 0.5 + 0.5 * np.cos(2 * np.pi * f),
    "hamming": lambda f: 0.54 + 0.46 * np.cos(2 * np.pi * f),
}
# A gap between tilts beyond this many median gaps is a missing wedge, not tilts that were left out.
WEDGE_GAP = 2.5


def tilt_weights(angles_deg: npt.ArrayLike) -> Float64:
    """Return how much of the half circle each tilt stands for [rad].

    A tilt's weight is half the distance to its neighbours on either side, modulo 180 degrees: uneven, unsorted
    and missing tilts come out right, and tilts at the same angle share one weight. A full range (0 to 180, -90 to
    90) closes on itself and its weights sum to pi. The missing wedge of a limited range belongs to nobody: its two
    border tilts count their inner distance twice.

    Parameters
    ----------
    angles_deg : (n_tilts,) [deg]

    Returns
    -------
    (n_tilts,) float64 [rad]
    """
    angles = np.round(np.mod(as_angles(angles_deg, "angles_deg"), 180.0), 9) % 180.0
    unique, inverse, counts = np.unique(angles, return_inverse=True, return_counts=True)
    gaps = np.diff(unique, append=unique[:1] + 180.0)  # gaps[i] lies after unique[i]
    if len(unique) > 2:
        widest = int(np.argmax(gaps))
        if gaps[widest] > WEDGE_GAP * np.median(gaps):
            before, after = gaps[widest - 1], gaps[(widest + 1) % len(gaps)]
            left, right = gaps.copy(), gaps.copy()
            left[widest], right[widest] = before, after
            gaps_before = np.roll(right, 1)
            return np.asarray(np.deg2rad((left + gaps_before) / 2 / counts)[inverse])
    return np.asarray(np.deg2rad((gaps + np.roll(gaps, 1)) / 2 / counts)[inverse])


def window(name: Filter, frequency: Float64, n_iter: int, path: float) -> Float64:
    """Return the window of a filter at ``frequency`` [cycles/px]; 0 above the detector's 1/2."""
    if callable(name):
        values = np.asarray(name(frequency), dtype=np.float64)
        if values.shape != frequency.shape or not np.isfinite(values).all():
            raise InputError("filter: the function must return one finite number per frequency")
    elif name == "sirt-like":
        rate = np.minimum(1.0, 1.0 / np.maximum(np.pi * frequency * path, 1e-12))
        values = 1.0 - (1.0 - rate) ** n_iter
    elif name in FILTERS:
        values = FILTERS[name](frequency)
    else:
        known = [*FILTERS, "sirt-like"]
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"filter: found {name!r}, expected one of {', '.join(known)}{hint}")
    return np.where(frequency <= 0.5 + 1e-9, values, 0.0)


def ramp_spectrum(n: int) -> Float64:
    """Spectrum (n/2 + 1,) of the band-limited ramp sampled in space: no DC error, no wrap-around.

    Kak & Slaney, Principles of Computerized Tomographic Imaging, eq. 3.61, unit spacing.
    """
    m = np.arange(n)
    m = np.minimum(m, n - m)
    kernel = np.zeros(n)
    odd = m % 2 == 1
    kernel[odd] = -1.0 / (np.pi * m[odd]) ** 2
    kernel[0] = 0.25
    return np.fft.rfft(kernel).real


def filter_gains(
    spacings: npt.NDArray[np.float64],
    weights: Float64,
    lengths: Sequence[int],
    name: Filter,
    n_iter: int,
    path: float,
) -> Float32:
    """Return the spectra that the core multiplies with, 1/n included: (n_tilts, max(lengths)/2 + 1).

    ``spacings`` [px] is the distance of the samples of each tilt's rows, ``lengths`` n the length of its transform;
    row i holds the frequencies k / n_i, k <= n_i / 2.
    """
    out = np.zeros((len(spacings), max(lengths) // 2 + 1), np.float32)
    tilts_of = {n: np.flatnonzero(np.asarray(lengths) == n) for n in set(lengths)}
    for n, tilts in tilts_of.items():  # one call of the window for all tilts of one length
        spacing = spacings[tilts, None]
        frequency = np.arange(n // 2 + 1) / n / spacing
        factors = window(name, frequency.ravel(), n_iter, path).reshape(frequency.shape)
        factors *= ramp_spectrum(n) * (weights[tilts, None] / spacing / n)
        out[tilts, : n // 2 + 1] = factors
    return out


def filter_projections(
    stack: npt.ArrayLike,
    angles_deg: npt.ArrayLike | Geometry,
    filter: Filter = "ramp",
    *,
    n_iter: int = 10,
    thickness: float | None = None,
    weights: bool = True,
    out: Float32 | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float32:
    """Filter projections across the tilt axis, so that back-projecting them gives the specimen.

    Parameters
    ----------
    stack : (n_tilts, height, width) array_like
        Missing pixels (NaN) are filled by interpolation across the axis.
    angles_deg : (n_tilts,) [deg] or Geometry
        Angles mean a tilt axis along the image's y. The axis of a geometry must be a multiple of
        90 degrees; for any other :func:`wbp` filters inside the projector.
    filter : str or callable
        ``ramp``, ``shepp-logan``, ``cosine``, ``hann``, ``hamming``, ``sirt-like``, or a function that returns
        the factor to the ramp at frequencies (n,) [cycles/px].
    n_iter : int, default 10
        Iterations that ``sirt-like`` imitates.
    thickness : float, optional [px]
        Length of the rays in the specimen for ``sirt-like``; default the images' extent.
    weights : bool, default True
        Multiply each tilt with its :func:`tilt_weights`.
    out, threads, cancel
        As in :func:`cryolith.projection.project`.

    Returns
    -------
    (n_tilts, height, width) float32

    Notes
    -----
    ``sirt-like`` is the ramp times 1 - (1 - 1 / (pi f L))^n, what n SIRT iterations leave of frequency f for rays
    of length L: eigenvalues of the normalised A'A in a full range of tilts.
    """
    images = as_core(stack, "stack", ("n_tilts", "height", "width"))
    geometry = angles_deg if isinstance(angles_deg, Geometry) else Geometry.single_axis(angles_deg)
    if len(geometry) != len(images):
        raise InputError(f"stack: found {len(images)} images, expected {len(geometry)}, one a tilt")
    axis = geometry.tilt_axis_deg + geometry.rotations_deg
    if np.any(axis % 90.0 != 0.0) or np.ptp(axis % 180.0) != 0.0:
        raise InputError(
            f"geometry: found a tilt axis at {axis[0]:g} deg, expected a multiple of 90; use wbp"
        )
    result = as_output(out, images.shape)
    images = fill_missing(images, geometry, threads, cancel)
    turned = axis[0] % 180.0 != 0.0
    if turned:
        images = np.ascontiguousarray(images.swapaxes(1, 2))
    width = images.shape[2]
    n = _core.filter_length(width)
    factors = tilt_weights(geometry.angles_deg) if weights else np.ones(len(images))
    path = float(width if thickness is None else thickness)
    gains = filter_gains(np.ones(len(images)), factors, [n] * len(images), filter, n_iter, path)
    target = np.empty_like(images) if turned else result
    _core.filter_stack(images, gains, n, target, threads, cancel)
    if turned:
        result[:] = target.swapaxes(1, 2)
    return result
