# SPDX-License-Identifier: BSD-3-Clause
"""Files in and out: every reader checks before it believes, every writer publishes whole files only."""

from __future__ import annotations

from . import atomic
from .series import read_tilt_series
from .volume import read_volume, write_volume

__all__ = ["atomic", "read_tilt_series", "read_volume", "write_volume"]
