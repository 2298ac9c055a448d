# SPDX-License-Identifier: BSD-3-Clause
"""The tilt series that comes with the package."""

from __future__ import annotations

from pathlib import Path

from ..errors import FileFormatError, report_line

__all__ = ["sample_path"]

_SAMPLE = Path(__file__).parent.parent / "data" / "haadf_needle_bin2.mrc"


def sample_path() -> Path:
    """Return the path of the sample, ``haadf_needle`` binned to 77 x 128 x 128, angles beside it.

    Raises
    ------
    FileFormatError
        The installed package has lost its data.
    """
    if not _SAMPLE.is_file():
        raise FileFormatError(
            report_line(_SAMPLE, "file", "no such file", "the sample", "install cryolith again")
        )
    return _SAMPLE
