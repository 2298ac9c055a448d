# SPDX-License-Identifier: BSD-3-Clause
"""What is inside the specimen: components, particles, voids and layers, each size with its error."""

from .blobs import FoundBlobs, blobs
from .chords import Chords, chord_lengths
from .components import contacts, find_regions, label, regions
from .correlation import TwoPointCorrelation, two_point_correlation
from .detection import DetectSettings, detect
from .distances import DistanceSlabs, distance
from .geodesics import GeometricTortuosity, geodesic_distance, geometric_tortuosity
from .inclusions import particles, voids
from .interfaces import interfaces
from .networks import PoreNetwork, pore_network
from .skeletons import Branches, branches, skeleton
from .slabs import Components
from .thickness import local_thickness, size_distribution, volume_fraction
from .thresholds import Thresholds, multi_otsu, otsu
from .transport import Tortuosity, percolates, tortuosity

__all__ = [
    "Branches",
    "Chords",
    "Components",
    "DetectSettings",
    "DistanceSlabs",
    "FoundBlobs",
    "GeometricTortuosity",
    "PoreNetwork",
    "Thresholds",
    "Tortuosity",
    "TwoPointCorrelation",
    "blobs",
    "branches",
    "chord_lengths",
    "contacts",
    "detect",
    "distance",
    "find_regions",
    "geodesic_distance",
    "geometric_tortuosity",
    "interfaces",
    "label",
    "local_thickness",
    "multi_otsu",
    "otsu",
    "particles",
    "percolates",
    "pore_network",
    "regions",
    "size_distribution",
    "skeleton",
    "tortuosity",
    "two_point_correlation",
    "voids",
    "volume_fraction",
]
