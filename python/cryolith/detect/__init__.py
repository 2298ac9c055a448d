# SPDX-License-Identifier: BSD-3-Clause
"""What is inside the specimen: components, particles, voids and layers, each size with its error."""

from ._needs import DetectNeeds, detect_needs
from .blobs import FoundBlobs, blobs
from .bridging import bridged
from .chords import Chords, chord_lengths
from .collection import collect
from .columns import ColumnCount, count_columns
from .components import contacts, find_regions, label, regions
from .correlation import TwoPointCorrelation, two_point_correlation
from .cross_sections import CrossSection, TubeAxis, cross_section, tube_axis
from .detection import DetectSettings, detect
from .distances import DistanceSlabs, distance
from .elongation import correct_elongation
from .geodesics import GeometricTortuosity, geodesic_distance, geometric_tortuosity
from .inclusions import particles, voids
from .interfaces import interfaces
from .layer_thickness import LayerThickness, layer_thickness
from .local_threshold import hysteresis, local_threshold
from .networks import PoreNetwork, pore_network
from .pinholes import Pinholes, pinholes
from .poses import draw_alignments, pose_volumes
from .ridges import ridges
from .roughness import roughness
from .segmentation import Segmentation, segment
from .sheets import FoundSheets, sheets
from .skeletons import Branches, branches, skeleton
from .slabs import Components
from .surface_profile import SurfaceProfile, profile
from .surfaces import Surface, surface
from .thickness import local_thickness, size_distribution, volume_fraction
from .thresholds import Thresholds, multi_otsu, otsu
from .track import Tracks, track
from .transport import Tortuosity, percolates, tortuosity
from .tubes import FoundTubes, tubes
from .walker import random_walker

__all__ = [
    "Branches",
    "Chords",
    "ColumnCount",
    "Components",
    "CrossSection",
    "DetectNeeds",
    "DetectSettings",
    "DistanceSlabs",
    "FoundBlobs",
    "FoundSheets",
    "FoundTubes",
    "GeometricTortuosity",
    "LayerThickness",
    "Pinholes",
    "PoreNetwork",
    "Segmentation",
    "Surface",
    "SurfaceProfile",
    "Thresholds",
    "Tortuosity",
    "Tracks",
    "TubeAxis",
    "TwoPointCorrelation",
    "blobs",
    "branches",
    "bridged",
    "chord_lengths",
    "collect",
    "contacts",
    "correct_elongation",
    "count_columns",
    "cross_section",
    "detect",
    "detect_needs",
    "distance",
    "draw_alignments",
    "find_regions",
    "geodesic_distance",
    "geometric_tortuosity",
    "hysteresis",
    "interfaces",
    "label",
    "layer_thickness",
    "local_thickness",
    "local_threshold",
    "multi_otsu",
    "otsu",
    "particles",
    "percolates",
    "pinholes",
    "pore_network",
    "pose_volumes",
    "profile",
    "random_walker",
    "regions",
    "ridges",
    "roughness",
    "segment",
    "sheets",
    "size_distribution",
    "skeleton",
    "surface",
    "tortuosity",
    "track",
    "tube_axis",
    "tubes",
    "two_point_correlation",
    "voids",
    "volume_fraction",
]
