# SPDX-License-Identifier: BSD-3-Clause
"""What is inside the specimen: components, particles, voids and layers, each size with its error."""

from .blobs import FoundBlobs, blobs
from .bridging import bridged
from .chords import Chords, chord_lengths
from .components import contacts, find_regions, label, regions
from .correlation import TwoPointCorrelation, two_point_correlation
from .detection import DetectSettings, detect
from .distances import DistanceSlabs, distance
from .elongation import correct_elongation
from .inclusions import particles, voids
from .interfaces import interfaces
from .layer_thickness import LayerThickness, layer_thickness
from .pinholes import Pinholes, pinholes
from .roughness import roughness
from .slabs import Components
from .surface_profile import SurfaceProfile, profile
from .surfaces import Surface, surface
from .thickness import local_thickness, size_distribution, volume_fraction
from .thresholds import Thresholds, multi_otsu, otsu
from .transport import Tortuosity, percolates, tortuosity

__all__ = [
    "Chords",
    "Components",
    "DetectSettings",
    "DistanceSlabs",
    "FoundBlobs",
    "LayerThickness",
    "Pinholes",
    "Surface",
    "SurfaceProfile",
    "Thresholds",
    "Tortuosity",
    "TwoPointCorrelation",
    "blobs",
    "bridged",
    "chord_lengths",
    "contacts",
    "correct_elongation",
    "detect",
    "distance",
    "find_regions",
    "interfaces",
    "label",
    "layer_thickness",
    "local_thickness",
    "multi_otsu",
    "otsu",
    "particles",
    "percolates",
    "pinholes",
    "profile",
    "regions",
    "roughness",
    "size_distribution",
    "surface",
    "tortuosity",
    "two_point_correlation",
    "voids",
    "volume_fraction",
]
