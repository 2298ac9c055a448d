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
from .info import info
from .mdoc import Mdoc, read_mdoc
from .movie import Movie, open_movie, read_bad_pixels, read_gain
from .sample import sample_path
from .series import read_tilt_series
from .table import write_table
from .volume import open_slabs, read_volume, write_volume

__all__ = [
    "Finding",
    "Known",
    "Mdoc",
    "Movie",
    "atomic",
    "check",
    "info",
    "open_movie",
    "open_slabs",
    "read_alignment",
    "read_angle_file",
    "read_bad_pixels",
    "read_defects",
    "read_gain",
    "read_imod",
    "read_mdoc",
    "read_tilt_series",
    "read_volume",
    "sample_path",
    "write_alignment",
    "write_angle_file",
    "write_defects",
    "write_imod",
    "write_table",
    "write_volume",
]
