# SPDX-License-Identifier: BSD-3-Clause
"""How strong the noise is, and how often it alone makes a peak."""

from __future__ import annotations

import math

import numpy as np

from ._inputs import Float32, Float64, Mask
from ._smooth import erode, smooth

__all__ = ["REST", "SMOOTHING", "false_peaks", "noise_level", "sigma_from", "smallest_size"]

SMOOTHING = 1.0  # px, standard deviation of the Gaussian that objects are looked for with
_WIDE = 3.0  # px, the Gaussian that stands for the specimen's own slow changes
REST = math.sqrt(_WIDE**2 - SMOOTHING**2)  # px, which makes the one of the other
# Share of white noise that smooth(1) - smooth(3) keeps of smooth(1): with v(s) = s^-3 and twice the smoothings'
# overlap ((s^2 + t^2) / 2)^(-3/2) the variance is 1 + 1/27 - 2 / 5^1.5 = 0.858.
_KEPT = math.sqrt(1 + _WIDE**-3 - 2 * ((1 + _WIDE**2) / 2) ** -1.5)


def noise_level(smoothed: Float32, where: Mask) -> float:
    """Return the standard deviation of the noise of a volume smoothed by ``SMOOTHING``, robustly.

    From the median absolute difference to a wider Gaussian, inside ``where`` without its rim; structure finer than
    the wide Gaussian counts as noise, which makes detection stricter, never looser.
    """
    inside = erode(where, 2, (0, 1, 2))
    if not inside.any():
        inside = where
    difference = (smoothed - smooth(smoothed, REST))[inside]
    middle = np.median(difference)
    return sigma_from(float(np.median(np.abs(difference - middle))))


def sigma_from(deviation: float) -> float:
    """Return the standard deviation of the noise from the median deviation of the difference from its median."""
    return 1.4826 * deviation / _KEPT


def false_peaks(height: Float64, voxels: int) -> Float64:
    """Return how many peaks of at least ``height`` standard deviations noise alone makes in ``voxels``.

    The expected Euler characteristic of a Gaussian field above a level, V lambda^(3/2) (z^2 - 1) exp(-z^2 / 2) /
    (2 pi)^2 (Worsley et al., J. Cereb. Blood Flow Metab. 12 (1992) 900, eq. 1), with the roughness lambda = 1 /
    (2 s^2) of white noise smoothed by s = ``SMOOTHING``; noise that was smooth before has fewer peaks.
    """
    z = np.maximum(np.asarray(height, dtype=np.float64), math.sqrt(3))  # the expression peaks there
    roughness = (1 / (2 * SMOOTHING**2)) ** 1.5
    out: Float64 = voxels * roughness * (z * z - 1) * np.exp(-z * z / 2) / (2 * math.pi) ** 2
    return out


def smallest_size() -> int:
    """Return the voxels of a sphere as wide as the smoothing's full width at half maximum: the smallest object."""
    width = 2 * math.sqrt(2 * math.log(2)) * SMOOTHING
    return math.ceil(math.pi / 6 * width**3)
