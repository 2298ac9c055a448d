# SPDX-License-Identifier: BSD-3-Clause
"""What is inside the specimen: components, particles, voids and layers, each size with its error."""

from .blobs import FoundBlobs, blobs
from .components import label, regions
from .detection import DetectSettings, detect
from .inclusions import particles, voids
from .interfaces import interfaces
from .thresholds import Thresholds, multi_otsu, otsu

__all__ = [
    "DetectSettings",
    "FoundBlobs",
    "Thresholds",
    "blobs",
    "detect",
    "interfaces",
    "label",
    "multi_otsu",
    "otsu",
    "particles",
    "regions",
    "voids",
]
