# SPDX-License-Identifier: BSD-3-Clause
"""Alignment: registration of images, and the geometry of tilt series without beads."""

from .apply import aligned_images
from .images import estimate_background
from .registration import Registration, StackRegistration, register, register_stack
from .settings import AlignSettings
from .tilt_series import align_tilt_series

__all__ = [
    "AlignSettings",
    "Registration",
    "StackRegistration",
    "align_tilt_series",
    "aligned_images",
    "estimate_background",
    "register",
    "register_stack",
]
