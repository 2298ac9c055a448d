# SPDX-License-Identifier: BSD-3-Clause
"""From aligned images to a volume: weighted back-projection and SIRT."""

from .filters import filter_projections
from .halves import Halves, solve_halves, split_tilts
from .planning import Plan, plan
from .settings import ReconstructSettings
from .sirt import sirt
from .stage import reconstruct
from .thickness import estimate_thickness_px
from .wbp import wbp
from .weights import tilt_weights

__all__ = [
    "Halves",
    "Plan",
    "ReconstructSettings",
    "estimate_thickness_px",
    "filter_projections",
    "plan",
    "reconstruct",
    "sirt",
    "solve_halves",
    "split_tilts",
    "tilt_weights",
    "wbp",
]
