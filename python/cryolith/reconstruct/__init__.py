# SPDX-License-Identifier: BSD-3-Clause
"""From images to a volume: weighted back-projection, and iterative solvers for what it cannot do."""

from .dart import dart
from .filters import filter_projections
from .halves import Halves, split_tilts
from .incremental import GrowingWbp
from .iterate import Reconstruction, State
from .krylov import cgls, lsqr
from .mlem import mlem
from .options import Options
from .planning import Plan, plan
from .prepare import check_halves
from .settings import ReconstructSettings
from .sirt import sart, sirt
from .stage import linear_solver, reconstruct
from .thickness import estimate_thickness_px
from .variation import tv
from .wbp import wbp
from .weights import tilt_weights

__all__ = [
    "GrowingWbp",
    "Halves",
    "Options",
    "Plan",
    "ReconstructSettings",
    "Reconstruction",
    "State",
    "cgls",
    "check_halves",
    "dart",
    "estimate_thickness_px",
    "filter_projections",
    "linear_solver",
    "lsqr",
    "mlem",
    "plan",
    "reconstruct",
    "sart",
    "sirt",
    "split_tilts",
    "tilt_weights",
    "tv",
    "wbp",
]
