# SPDX-License-Identifier: BSD-3-Clause
"""Numbers that say how good a result is: resolution, residual, noise, and what the tilts could see at all."""

from .directional import DirectionalFsc, directional_fsc
from .fsc import Fsc, Threshold, fsc
from .noise import NoisePower, noise_power, noise_variance
from .residual import residual, tilt_residuals
from .wedge import coverage, point_spread, sampled_fraction, transfer_function

__all__ = [
    "DirectionalFsc",
    "Fsc",
    "NoisePower",
    "Threshold",
    "coverage",
    "directional_fsc",
    "fsc",
    "noise_power",
    "noise_variance",
    "point_spread",
    "residual",
    "sampled_fraction",
    "tilt_residuals",
    "transfer_function",
]
