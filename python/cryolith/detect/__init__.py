# SPDX-License-Identifier: BSD-3-Clause
"""What is inside the specimen: components, particles, voids and layers, each size with its error."""

from .blobs import FoundBlobs, blobs
from .chords import Chords, chord_lengths
from .components import contacts, find_regions, label, regions
from .correlation import TwoPointCorrelation, two_point_correlation
from .detection import DetectSettings, detect
from .distances import DistanceSlabs, distance
from .inclusions import particles, voids
from .interfaces import interfaces
from .local_threshold import hysteresis, local_threshold
from .poses import draw_alignments, pose_volumes
from .segmentation import Segmentation, segment
from .slabs import Components
from .thickness import local_thickness, size_distribution, volume_fraction
from .thresholds import Thresholds, multi_otsu, otsu
from .track import Tracks, track
from .transport import Tortuosity, percolates, tortuosity
from .walker import random_walker

__all__ = [
    "Chords",
    "Components",
    "DetectSettings",
    "DistanceSlabs",
    "FoundBlobs",
    "Segmentation",
    "Thresholds",
    "Tortuosity",
    "Tracks",
    "TwoPointCorrelation",
    "blobs",
    "chord_lengths",
    "contacts",
    "detect",
    "distance",
    "draw_alignments",
    "find_regions",
    "hysteresis",
    "interfaces",
    "label",
    "local_thickness",
    "local_threshold",
    "multi_otsu",
    "otsu",
    "particles",
    "percolates",
    "pose_volumes",
    "random_walker",
    "regions",
    "segment",
    "size_distribution",
    "tortuosity",
    "track",
    "two_point_correlation",
    "voids",
    "volume_fraction",
]
