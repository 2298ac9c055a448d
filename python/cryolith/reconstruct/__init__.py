# SPDX-License-Identifier: BSD-3-Clause
"""From aligned images to a volume: filtered back-projection and SIRT."""

from .filters import filter_projections, tilt_weights
from .sirt import sirt
from .wbp import wbp

__all__ = ["filter_projections", "sirt", "tilt_weights", "wbp"]
