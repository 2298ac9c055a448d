# SPDX-License-Identifier: BSD-3-Clause
"""Numbers and column names in words: rounded by their error, with their unit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["NONE", "bytes_text", "duration_text", "heading", "number", "plain", "with_error"]

NONE = "not known"

_UNITS = {
    "nm3": "nm³", "nm2": "nm²", "nm": "nm", "px3": "px³", "px2": "px²", "px": "px", "deg": "°",
    "voxels": "voxels", "e": "e",
}  # fmt: skip


def number(value: float, digits: int = 4) -> str:
    """Write a number with ``digits`` significant digits, without exponent between 1e-3 and 1e6."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if -4 < magnitude < 6:
        return f"{value:.{max(digits - 1 - magnitude, 0)}f}"
    return f"{value:.{digits - 1}e}"


def with_error(value: float, sigma: float) -> str:
    """Write ``value ± sigma``, both to the digit that the error leaves meaning.

    The error gets two digits when it begins with 1 or 2 and one otherwise, the value the same decimals.
    """
    if not math.isfinite(value):
        return "–"
    if not (math.isfinite(sigma) and sigma > 0):
        return number(value)
    exponent = math.floor(math.log10(sigma))
    if round(sigma / 10.0**exponent, 1) < 3:
        exponent -= 1
    decimals = -exponent
    if decimals < 0:
        value, sigma = round(value, decimals), round(sigma, decimals)
    if decimals > 6 or abs(value) >= 1e6:
        return f"{value:.4g} ± {sigma:.1g}"
    return f"{value:.{max(decimals, 0)}f} ± {sigma:.{max(decimals, 0)}f}"


def heading(column: str) -> tuple[str, str]:
    """Split a column name into words and unit: ``sigma_volume_nm3`` is ("sigma volume", "nm³")."""
    stem, _, last = column.rpartition("_")
    if stem and last in _UNITS:
        return stem.replace("_", " "), _UNITS[last]
    return column.replace("_", " "), ""


def bytes_text(count: float) -> str:
    """Write a number of bytes in the decimal unit that reads best."""
    if not math.isfinite(count):
        return NONE
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def duration_text(seconds: float) -> str:
    """Write a time in the unit that reads best."""
    if not math.isfinite(seconds):
        return NONE
    if seconds < 120:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def plain(value: Any) -> Any:
    """Return ``value`` as JSON knows it: NaN and infinity become None, arrays lists."""
    if isinstance(value, np.ndarray):
        return [plain(v) for v in value.tolist()]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)
