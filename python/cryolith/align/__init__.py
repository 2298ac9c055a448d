# SPDX-License-Identifier: BSD-3-Clause
"""Alignment: registration of images, and the geometry of tilt series without beads."""

from .apply import aligned_images
from .images import estimate_background
from .movie import MovieAlignment, align_movie
from .registration import Registration, register
from .score import AlignmentScore, score_alignment, score_alignments, unaligned
from .settings import AlignSettings
from .stack import StackRegistration, register_stack
from .tilt_series import align_tilt_series

__all__ = [
    "AlignSettings",
    "AlignmentScore",
    "MovieAlignment",
    "Registration",
    "StackRegistration",
    "align_movie",
    "align_tilt_series",
    "aligned_images",
    "estimate_background",
    "register",
    "register_stack",
    "score_alignment",
    "score_alignments",
    "unaligned",
]
