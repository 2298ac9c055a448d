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
from .ridges import ridges
from .sheets import FoundSheets, sheets
from .slabs import Components
from .thickness import local_thickness, size_distribution, volume_fraction
from .thresholds import Thresholds, multi_otsu, otsu
from .transport import Tortuosity, percolates, tortuosity
from .tubes import FoundTubes, tubes

__all__ = [
    "Chords",
    "Components",
    "DetectSettings",
    "DistanceSlabs",
    "FoundBlobs",
    "FoundSheets",
    "FoundTubes",
    "Thresholds",
    "Tortuosity",
    "TwoPointCorrelation",
    "blobs",
    "chord_lengths",
    "contacts",
    "detect",
    "distance",
    "find_regions",
    "interfaces",
    "label",
    "local_thickness",
    "multi_otsu",
    "otsu",
    "particles",
    "percolates",
    "regions",
    "ridges",
    "sheets",
    "size_distribution",
    "tortuosity",
    "tubes",
    "two_point_correlation",
    "voids",
    "volume_fraction",
]
