# SPDX-License-Identifier: BSD-3-Clause
"""What is inside the specimen: components, particles, voids and layers, each size with its error."""

from .blobs import FoundBlobs, blobs
from .chords import Chords, chord_lengths
from .columns import ColumnCount, count_columns
from .components import contacts, find_regions, label, regions
from .correlation import TwoPointCorrelation, two_point_correlation
from .cross_sections import CrossSection, TubeAxis, cross_section, tube_axis
from .detection import DetectSettings, detect
from .distances import DistanceSlabs, distance
from .inclusions import particles, voids
from .interfaces import interfaces
from .local_threshold import hysteresis, local_threshold
from .poses import draw_alignments, pose_volumes
from .segmentation import Segmentation, segment
from .sheets import FoundSheets, sheets
from .skeletons import Branches, branches, skeleton
from .slabs import Components
from .thickness import local_thickness, size_distribution, volume_fraction
from .thresholds import Thresholds, multi_otsu, otsu
from .track import Tracks, track
from .transport import Tortuosity, percolates, tortuosity
from .tubes import FoundTubes, tubes

__all__ = [
    "Branches",
    "Chords",
    "ColumnCount",
    "Components",
    "CrossSection",
    "DetectSettings",
    "DistanceSlabs",
    "FoundBlobs",
    "FoundSheets",
    "FoundTubes",
    "Segmentation",
    "Thresholds",
    "Tortuosity",
    "Tracks",
    "TubeAxis",
    "TwoPointCorrelation",
    "blobs",
    "branches",
    "chord_lengths",
    "contacts",
    "count_columns",
    "cross_section",
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
    "regions",
    "segment",
    "sheets",
    "size_distribution",
    "skeleton",
    "tortuosity",
    "track",
    "tube_axis",
    "tubes",
    "two_point_correlation",
    "voids",
    "volume_fraction",
]
