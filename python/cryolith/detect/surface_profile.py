# SPDX-License-Identifier: BSD-3-Clause
"""Profiles of co-registered signals, such as element maps, against the distance from a surface."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .._arrays import as_core
from ..datamodel import Volume
from ..errors import InputError
from ._edges import normal_cdf
from ._inputs import Float64, Table, as_mask
from ._mesh import areas_and_normals
from ._surface_distance import signed_distance
from .surfaces import Surface

__all__ = ["SurfaceProfile", "profile"]

_ROUNDS = 60


class SurfaceProfile(NamedTuple):
    """What :func:`profile` measured.

    Attributes
    ----------
    table : dict of str to (n_bins,) array
        Its columns are those of :func:`profile`.
    step : dict of str to float
        The blurred step through the profile: ``position``, ``width`` (10-90 %, as seen), ``own_width`` (freed from the
        resolution) in the surface's unit, ``inside`` and ``outside``, each with a ``sigma_``.
    """

    table: Table
    step: dict[str, float]


def profile(
    signal: Volume | npt.ArrayLike,
    surface: Surface | npt.ArrayLike,
    *,
    reach_px: float = 10.0,
    bin_px: float = 1.0,
    counts: bool = False,
    mask: npt.ArrayLike | None = None,
    resolution_px: float = 0.0,
    sigma_resolution_px: float = 0.0,
    threads: int = 0,
) -> SurfaceProfile:
    """Average a signal over shells of equal distance from a surface, and fit a blurred step to it.

    Parameters
    ----------
    signal : (nz, ny, nx) real, or Volume
        Registered with the volume that the surface was found in. NaN is left out.
    surface : Surface, or (nz, ny, nx) real
        The surface, or signed distances [px] from it, positive outside.
    reach_px : float, default 10
        Greatest distance on either side.
    bin_px : float, default 1
        Width of the shells.
    counts : bool, default False
        The signal is counts: errors are those of Poisson's distribution. Else they come from how the values scatter.
    mask : (nz, ny, nx) bool, optional
        Voxels to average over, for example where the direction was seen.
    resolution_px, sigma_resolution_px : float, default 0
        Standard deviation of the blur of signal and surface together along the normal, and its error.
    threads : int, default 0
        0 uses all processors the process may use.

    Returns
    -------
    SurfaceProfile
        One row of its table for each shell: ``distance_nm`` (``_px`` without a pixel size), positive outside;
        ``mean`` and ``sigma_mean`` of the signal per voxel; ``voxels``.

    Raises
    ------
    InputError
        Shapes that differ, negative counts, lengths that are none, fewer than six shells with voxels.

    Notes
    -----
    Poisson errors are sqrt(N + 1) / n for N counts in n voxels, so that a shell without counts has one. The width's own
    part is sqrt(w^2 - (2.563 r)^2), r the resolution: 0 with an upper-reaching sigma where the edge is no wider than
    that. Voxels of a reconstruction are not independent: errors by scatter are too small by the root of the volume of
    its correlation [voxels].

    References
    ----------
    Proximity histograms: Hellman et al., Microsc. Microanal. 6 (2000) 437.
    """
    data = _signal(signal, counts)
    level, pixel, unit = _distances(surface, data.shape, reach_px, threads)
    for name, value, low in (("reach_px", reach_px, 2.0), ("bin_px", bin_px, 0.25)):
        if not low <= value <= 100:
            raise InputError(f"{name}: found {value}, expected {low:g} to 100 px")
    for name, value in (
        ("resolution_px", resolution_px),
        ("sigma_resolution_px", sigma_resolution_px),
    ):
        if not 0 <= value <= 100:
            raise InputError(f"{name}: found {value}, expected 0 to 100 px")
    used = np.isfinite(data) & (np.abs(level) < reach_px)
    if mask is not None:
        used &= as_mask(mask, "mask", data.shape)
    half = math.ceil(reach_px / bin_px)
    index = np.floor(level[used] / bin_px).astype(np.int64) + half
    values = data[used].astype(np.float64)
    n = np.bincount(index, minlength=2 * half).astype(np.float64)
    total = np.bincount(index, values, 2 * half)
    square = np.bincount(index, values**2, 2 * half)
    place = np.bincount(index, level[used], 2 * half)
    there = n >= (1 if counts else 2)
    if np.count_nonzero(there) < 6:
        raise InputError(
            f"surface: found {np.count_nonzero(there)} shells with voxels, expected six or more"
        )
    number, mean = n[there], (total[there] / n[there])
    at: Float64 = place[there] / number
    scatter = square[there] / number - mean**2
    variance = (total[there] + 1) / number**2 if counts else np.maximum(scatter, 0) / (number - 1)
    sigma = np.sqrt(variance)
    sigma = np.maximum(sigma, 1e-9 * float(np.abs(mean).max()) + 1e-300)
    step = _step_fit(at, mean, sigma, bin_px, resolution_px, sigma_resolution_px, pixel)
    table: Table = {
        f"distance_{unit}": at * pixel,
        "mean": mean,
        "sigma_mean": sigma,
        "voxels": number.astype(np.int64),
    }
    return SurfaceProfile(table, step)


def _signal(signal: Volume | npt.ArrayLike, counts: bool) -> npt.NDArray[np.float32]:
    values = signal.data if isinstance(signal, Volume) else signal
    data: npt.NDArray[np.float32] = as_core(values, "signal", ("nz", "ny", "nx"))
    if counts and np.nanmin(data) < 0:
        raise InputError(
            f"signal: found {np.nanmin(data)}, expected counts of 0 or more; or counts=False"
        )
    return data


def _distances(
    surface: Surface | npt.ArrayLike, shape: tuple[int, ...], reach: float, threads: int
) -> tuple[npt.NDArray[np.float32], float, str]:
    """Return signed distances [px], the length of a pixel and its unit."""
    if isinstance(surface, Surface):
        if surface.shape != shape:
            raise InputError(f"surface: found one of a volume of {surface.shape}, expected {shape}")
        points = surface.voxels()
        _, normals = areas_and_normals(points, surface.faces)
        level = signed_distance(surface.shape, points, normals, reach + 1.0, threads)
        return level, surface.pixel, surface.unit
    given: npt.NDArray[np.float32] = as_core(surface, "surface", ("nz", "ny", "nx"))
    if given.shape != shape:
        raise InputError(f"surface: found shape {given.shape}, expected {shape} as in signal")
    return np.where(np.isfinite(given), given, np.float32(np.inf)), 1.0, "px"


def _step_fit(
    at: Float64,
    mean: Float64,
    sigma: Float64,
    bin_px: float,
    resolution: float,
    sigma_resolution: float,
    pixel: float,
) -> dict[str, float]:
    """Fit outside + (inside - outside) Phi((p - d) / w) by weighted Gauss-Newton; the shells' width is taken off."""
    top = (at.max() - at.min()) / 2
    best = min(
        (
            _levels(at, mean, sigma, p, w)
            for p in np.linspace(at[1], at[-2], 41)
            for w in np.geomspace(0.3, top, 12)
        ),
        key=lambda trial: trial[0],
    )
    parameters = np.array(best[1:])  # outside, step, position, width
    for _ in range(_ROUNDS):
        slopes = _slopes(at, parameters) / sigma[:, None]
        rest = (mean - _model(at, parameters)) / sigma
        move = np.linalg.lstsq(slopes, rest, rcond=1e-12)[0]
        parameters = (
            parameters + np.clip(move, -np.abs(parameters) - 1, np.abs(parameters) + 1) * 0.7
        )
        parameters[3] = np.clip(parameters[3], 0.05, 2 * top)
    covariance: Float64 = np.asarray(np.linalg.pinv(slopes.T @ slopes), np.float64)
    resolved = (resolution, sigma_resolution)
    return _step_columns(parameters, covariance, bin_px, resolved, pixel)


def _step_columns(
    parameters: Float64,
    covariance: Float64,
    bin_px: float,
    resolved: tuple[float, float],
    pixel: float,
) -> dict[str, float]:
    """Return the step in the surface's unit, its width with and without the resolution."""
    errors = np.sqrt(np.maximum(np.diag(covariance), 0))
    resolution, sigma_resolution = resolved
    outside, rise, position, width = parameters
    wide = 2.5631031310892007
    blur = bin_px**2 / 12
    seen = math.sqrt(max(width**2 - blur, 0.0))
    sigma_seen = width * errors[3] / max(seen, errors[3])
    own = math.sqrt(max(seen**2 - resolution**2, 0.0))
    error_square = math.hypot(2 * width * errors[3], 2 * resolution * sigma_resolution)
    return {
        "position": position * pixel,
        "sigma_position": errors[2] * pixel,
        "width": wide * seen * pixel,
        "sigma_width": wide * sigma_seen * pixel,
        "own_width": wide * own * pixel,
        # sqrt(w^2 + s) - w is s / (2 w) where w is well measured, and sqrt(s) where it is not.
        "sigma_own_width": wide * (math.sqrt(own**2 + error_square) - own) * pixel,
        "inside": outside + rise,
        "sigma_inside": math.sqrt(
            max(covariance[0, 0] + covariance[1, 1] + 2 * covariance[0, 1], 0)
        ),
        "outside": outside,
        "sigma_outside": errors[0],
    }


def _levels(
    at: Float64, mean: Float64, sigma: Float64, position: float, width: float
) -> tuple[float, float, float, float, float]:
    """Return the misfit with the best levels, and the parameters."""
    design = (
        np.stack([np.ones_like(at), normal_cdf((position - at) / width)], axis=1) / sigma[:, None]
    )
    levels, *_ = np.linalg.lstsq(design, mean / sigma, rcond=None)
    misfit = float((((mean / sigma) - design @ levels) ** 2).sum())
    return misfit, float(levels[0]), float(levels[1]), position, width


def _model(at: Float64, parameters: Float64) -> Float64:
    out: Float64 = parameters[0] + parameters[1] * normal_cdf((parameters[2] - at) / parameters[3])
    return out


def _slopes(at: Float64, parameters: Float64) -> Float64:
    _, rise, position, width = parameters
    u = (position - at) / width
    density = np.exp(-0.5 * u * u) / (math.sqrt(2 * math.pi) * width)
    return np.stack([np.ones_like(at), normal_cdf(u), rise * density, -rise * u * density], axis=1)
