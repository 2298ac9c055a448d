# SPDX-License-Identifier: BSD-3-Clause
"""Fourier shell correlation within cones: how the resolution depends on direction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .._arrays import as_core
from ..errors import InputError
from .fsc import Threshold, crossing, half_bit, standard_error
from .shells import Float64, Shells, as_pair

__all__ = ["DirectionalFsc", "directional_fsc"]


@dataclass(frozen=True, kw_only=True, eq=False)
class DirectionalFsc:
    """Fourier shell correlation in cones about some directions.

    Attributes
    ----------
    directions : (n_directions, 3) float64
        Unit vectors (z, y, x).
    frequency : (n_shells,) float64 [cycles/px]
    correlation, sigma_correlation : (n_directions, n_shells) float64
        NaN where a cone holds no term of a shell, or no signal: the missing wedge shows as NaN or near 0.
    count : (n_directions, n_shells) int64
        Independent terms of each shell in each cone.
    half_angle_deg : float [deg]
        Of the cones.
    pixel_size : float
    """

    directions: Float64
    frequency: Float64
    correlation: Float64
    sigma_correlation: Float64
    count: npt.NDArray[np.int64]
    half_angle_deg: float
    pixel_size: float = 1.0

    def resolution(self, threshold: Threshold = 0.143) -> Float64:
        """Return (n_directions,) the period at which each curve first falls below ``threshold``.

        As :meth:`Fsc.resolution`; shells without a term are skipped; infinite where the first shell that has any
        is already below.
        """
        out = np.full(len(self.directions), math.nan)
        for i, curve in enumerate(self.correlation):
            seen = self.count[i] > 0
            c, f = np.nan_to_num(curve[seen]), self.frequency[seen]
            level = (
                half_bit(self.count[i][seen].astype(np.float64))
                if threshold == "half-bit"
                else np.full(len(c), float(threshold))
            )
            if len(c) and c[0] < level[0]:
                out[i] = math.inf
            else:
                out[i] = self.pixel_size / crossing(f, c, level)[0]
        return out


def directional_fsc(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    directions: npt.ArrayLike | int = 64,
    *,
    half_angle_deg: float = 20.0,
    pixel_size: float = 1.0,
) -> DirectionalFsc:
    """Correlate two volumes shell by shell within cones: resolution by direction.

    Parameters
    ----------
    a, b : (nz, ny, nx) array_like
        Of equal shape; multiply a soft mask into both beforehand where there is much empty space.
    directions : int or (n_directions, 3) array_like
        How many, spread evenly over the half sphere, or vectors (z, y, x) of any length: ``[(1, 0, 0)]`` is along z.
    half_angle_deg : float, default 20 [deg]
        Between a cone's axis and its rim.
    pixel_size : float, default 1

    Returns
    -------
    DirectionalFsc

    Raises
    ------
    InputError
        Shapes that differ, a direction of length 0, an angle beyond 90 degrees.

    References
    ----------
    Diebolder et al. (2015), J. Struct. Biol. 190, 215 (conical FSC); Tan et al. (2017), Nat. Methods 14, 793 (3DFSC).
    """
    first, second = as_pair(a, b)
    if first.ndim != 3:
        raise InputError(f"a: found shape {first.shape}, expected (nz, ny, nx)")
    if not 0.0 < half_angle_deg <= 90.0:
        raise InputError(f"half_angle_deg: found {half_angle_deg}, expected above 0 to 90 degrees")
    if not (math.isfinite(pixel_size) and pixel_size > 0):
        raise InputError(f"pixel_size: found {pixel_size}, expected a length above 0")
    axes = _as_directions(directions)
    shells = Shells(first.shape)
    fa, fb = np.fft.rfftn(first), np.fft.rfftn(second)
    reach = shells.radius * math.cos(math.radians(half_angle_deg))
    one = np.ones(shells.radius.shape)
    correlation = np.empty((len(axes), len(shells.frequency)))
    terms, effective = np.empty_like(correlation), np.empty_like(correlation)
    for i, axis in enumerate(axes):
        along = sum(c * g for c, g in zip(axis, shells.components, strict=True))
        inside = np.abs(along) >= reach - 1e-12
        correlation[i] = shells.correlation(fa, fb, inside)
        terms[i] = shells.total(one, inside)
        effective[i] = terms[i] / 2.0 * shells.evenness(fa, fb, inside)
    count = np.ceil(terms / 2.0).astype(np.int64)
    return DirectionalFsc(
        directions=axes,
        frequency=shells.frequency,
        correlation=correlation,
        sigma_correlation=standard_error(correlation, effective),
        count=count,
        half_angle_deg=float(half_angle_deg),
        pixel_size=float(pixel_size),
    )


def _as_directions(directions: npt.ArrayLike | int) -> Float64:
    if isinstance(directions, (int, np.integer)):
        if directions < 1:
            raise InputError(f"directions: found {directions}, expected at least 1")
        # Fibonacci's lattice: equal areas, successive points a golden angle apart.
        i = np.arange(directions) + 0.5
        z, turn = i / directions, i * math.pi * (3.0 - math.sqrt(5.0))
        ring = np.sqrt(1.0 - z**2)
        return np.stack([z, ring * np.sin(turn), ring * np.cos(turn)], axis=1)
    given: Float64 = as_core(directions, "directions", ("n_directions", "3"), np.float64)
    length = np.linalg.norm(given, axis=1, keepdims=True)
    if given.shape[1] != 3 or not (np.isfinite(given).all() and (length > 0).all()):
        raise InputError(
            f"directions: found shape {given.shape} or a length of 0, expected vectors (z, y, x)"
        )
    return np.asarray(given / length)
