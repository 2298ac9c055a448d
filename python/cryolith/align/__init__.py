# SPDX-License-Identifier: BSD-3-Clause
"""Alignment: registration of images, and the geometry of tilt series on beads or without."""

from .apply import aligned_images
from .beads_remove import remove_beads
from .copies import AlignNeeds, align_needs
from .images import estimate_background
from .movie import MovieAlignment, align_movie
from .registration import Registration, register
from .score import AlignmentScore, score_alignment, score_alignments, unaligned
from .settings import AlignSettings
from .stack import StackRegistration, register_stack
from .tilt_series import align_tilt_series
from .volumes import register_volumes

__all__ = [
    "AlignNeeds",
    "AlignSettings",
    "AlignmentScore",
    "MovieAlignment",
    "Registration",
    "StackRegistration",
    "align_movie",
    "align_needs",
    "align_tilt_series",
    "aligned_images",
    "estimate_background",
    "register",
    "register_stack",
    "register_volumes",
    "remove_beads",
    "score_alignment",
    "score_alignments",
    "unaligned",
]
