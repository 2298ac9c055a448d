# SPDX-License-Identifier: BSD-3-Clause
"""Files in and out: every reader checks before it believes, every writer publishes whole files."""

from __future__ import annotations

from . import atomic
from .alignment import read_alignment, read_imod, write_alignment, write_imod
from .alignments import Known
from .angles import read_angle_file, write_angle_file
from .checks import check
from .defects import read_defects, write_defects
from .findings import Finding
from .growing import GrowingVolume, SlabWritten, volume_digest, writing
from .info import info
from .labels import Labels, read_labels, write_labels
from .mdoc import Mdoc, read_mdoc
from .mesh import Mesh, read_lines, read_surface, write_lines, write_surface
from .movie import Movie, open_movie, read_bad_pixels, read_gain
from .particles import read_particles, write_particles
from .sample import sample_path
from .series import read_tilt_series
from .stored import open_volume
from .table import read_table, write_table
from .volume import open_slabs, read_volume, write_volume

__all__ = [
    "Finding",
    "GrowingVolume",
    "Known",
    "Labels",
    "Mdoc",
    "Mesh",
    "Movie",
    "SlabWritten",
    "atomic",
    "check",
    "info",
    "open_movie",
    "open_slabs",
    "open_volume",
    "read_alignment",
    "read_angle_file",
    "read_bad_pixels",
    "read_defects",
    "read_gain",
    "read_imod",
    "read_labels",
    "read_lines",
    "read_mdoc",
    "read_particles",
    "read_surface",
    "read_table",
    "read_tilt_series",
    "read_volume",
    "sample_path",
    "volume_digest",
    "write_alignment",
    "write_angle_file",
    "write_defects",
    "write_imod",
    "write_labels",
    "write_lines",
    "write_particles",
    "write_surface",
    "write_table",
    "write_volume",
    "writing",
]
