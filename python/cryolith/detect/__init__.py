# SPDX-License-Identifier: BSD-3-Clause
"""What is inside the specimen: components, particles, voids and layers, each size with its error."""

from .components import contacts, find_regions, label, regions
from .detection import DetectSettings, detect
from .inclusions import particles, voids
from .interfaces import interfaces
from .slabs import Components
from .thresholds import Thresholds, multi_otsu, otsu

__all__ = [
    "Components",
    "DetectSettings",
    "Thresholds",
    "contacts",
    "detect",
    "find_regions",
    "interfaces",
    "label",
    "multi_otsu",
    "otsu",
    "particles",
    "regions",
    "voids",
]
