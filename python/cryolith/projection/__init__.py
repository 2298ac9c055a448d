# SPDX-License-Identifier: BSD-3-Clause
"""The projector pair that alignment and reconstruction stand on, and the geometry it works in."""

from .geometry import Geometry
from .linear_operator import linear_operator
from .operators import backproject, project
from .rotations import rotation_matrix

__all__ = ["Geometry", "backproject", "linear_operator", "project", "rotation_matrix"]
