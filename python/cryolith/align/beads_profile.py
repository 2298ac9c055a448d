# SPDX-License-Identifier: BSD-3-Clause
"""What a bead is fitted with: the noise of a pixel by its brightness, and the brightness of a bead by the radius."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["REACH", "STEP", "Noise", "Profile", "measure_noise"]

Float64 = npt.NDArray[np.float64]

REACH = 1.6  # radii of a bead that a filter and a fit look at
STEP = 0.25  # px between the samples of a profile
_SOFT = 0.25  # exponent of the first profile: between a disc (0) and the chord of a sphere (1 / 2)
_BLOCK = 16
_LEVELS = 12
_FLAT = 0.4  # quantile of the blocks of one brightness that has no structure in it


@dataclass(frozen=True)
class Noise:
    """Variance of a pixel: ``constant + slope * brightness``."""

    constant: float
    slope: float

    def variance(self, brightness: Float64) -> Float64:
        """Variance at each brightness; never below 1 % of the constant's and the mean's."""
        if not brightness.size:
            return brightness
        least = 0.01 * (self.constant + self.slope * max(float(np.mean(brightness)), 0.0)) + 1e-30
        return np.maximum(self.constant + self.slope * brightness, least)


def measure_noise(images: npt.NDArray[np.float32]) -> Noise:
    """Find the noise of images (n, ny, nx) from their finest differences, by brightness.

    Each pixel against the mean of its four neighbours has 5 / 4 of the variance of a pixel; blocks with the least
    of it among those of one brightness have no structure.
    """
    a = images.astype(np.float64)
    around = a[:, :-2, 1:-1] + a[:, 2:, 1:-1] + a[:, 1:-1, :-2] + a[:, 1:-1, 2:]
    fine = (a[:, 1:-1, 1:-1] - around / 4) ** 2 / 1.25
    size = max(2, min(_BLOCK, min(fine.shape[1:]) // 2))
    by, bx = fine.shape[1] // size, fine.shape[2] // size

    def means(values: Float64) -> Float64:
        cut = values[:, : by * size, : bx * size]
        return np.asarray(cut.reshape(-1, by, size, bx, size).mean(axis=(2, 4)).ravel())

    level, variance = means(a[:, 1:-1, 1:-1]), means(fine)
    edges = np.quantile(level, np.linspace(0, 1, _LEVELS + 1))
    bins = np.clip(np.searchsorted(edges, level, side="right") - 1, 0, _LEVELS - 1)
    used = [bins == k for k in range(_LEVELS) if (bins == k).any()]
    x = np.array([level[u].mean() for u in used])
    y = np.array([np.quantile(variance[u], _FLAT) for u in used])
    weight = 1 / np.maximum(y, 1e-3 * y.max() + 1e-30)
    slope = 0.0
    if np.ptp(x) > 0:
        slope = max(0.0, float(np.polyfit(x, y, 1, w=weight)[0]))
    constant = float(np.average(y - slope * x, weights=weight**2))
    if constant < 0 and x.min() > 0:
        constant, slope = 0.0, float(np.average(y / x, weights=weight**2))
    return Noise(constant, slope)


@dataclass(frozen=True, eq=False)
class Profile:
    """Brightness of a bead by the distance from its middle [px]: 1 in the middle, 0 outside.

    ``radius_px`` is where the profile of a soft disc ends; ``values`` are samples a quarter pixel apart.
    """

    radius_px: float
    values: Float64

    @classmethod
    def soft_disc(cls, radius_px: float) -> Profile:
        """(1 - (r / R)^2)^(1/4), averaged over a pixel."""
        r = np.arange(0, (REACH + 0.5) * radius_px + 3, STEP)
        sharp = np.maximum(1 - (r / radius_px) ** 2, 0) ** _SOFT
        width = round(1 / STEP)
        kernel = np.hanning(2 * width + 1)
        both = np.concatenate([sharp[:0:-1], sharp])
        soft = np.convolve(both, kernel / kernel.sum(), mode="same")[len(sharp) - 1 :]
        return cls(radius_px, soft / soft[0])

    @property
    def reach(self) -> int:
        """Half the edge of the window that a fit looks at [px]."""
        return int(np.ceil(REACH * self.radius_px)) + 1

    def at(self, r: Float64) -> Float64:
        """Brightness at distances [px]."""
        return np.interp(r, np.arange(len(self.values)) * STEP, self.values, right=0.0)

    def slope(self, r: Float64) -> Float64:
        """Derivative of the brightness [1/px]."""
        return (self.at(r + STEP) - self.at(np.maximum(r - STEP, 0))) / (
            r + STEP - np.maximum(r - STEP, 0)
        )
