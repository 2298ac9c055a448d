# SPDX-License-Identifier: BSD-3-Clause
"""The projector pair that alignment and reconstruction stand on, and the geometry it works in."""

from .geometry import Geometry
from .linear_operator import linear_operator
from .on_devices import SlabPlan
from .operators import backproject, plan_slabs, project
from .rotations import rotation_matrix

__all__ = [
    "Geometry",
    "SlabPlan",
    "backproject",
    "linear_operator",
    "plan_slabs",
    "project",
    "rotation_matrix",
]
