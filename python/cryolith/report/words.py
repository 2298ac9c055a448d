# SPDX-License-Identifier: BSD-3-Clause
"""Numbers and column names in words: rounded by their error, with their unit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..units import column_unit

__all__ = ["NONE", "bytes_text", "duration_text", "heading", "number", "plain", "with_error"]

NONE = "not known"

_SIGNS = {"nm3": "nm³", "nm2": "nm²", "px3": "px³", "px2": "px²", "deg": "°"}


def number(value: float, digits: int = 4) -> str:
    """Write a number with at most ``digits`` significant digits, outside 1e-4..1e5 as power."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if -4 < magnitude < 5:
        text = f"{value:.{max(digits - 1 - magnitude, 0)}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa = f"{value / 10.0**magnitude:.{digits - 1}f}".rstrip("0").rstrip(".")
    return f"{mantissa} × 10{_raised(magnitude)}"


def with_error(value: float, sigma: float) -> str:
    """Write ``value ± sigma``, both to the digit that the error leaves meaning.

    The error gets two digits when it begins with 1 or 2 and one otherwise, the value the same
    decimals.
    """
    if not math.isfinite(value):
        return "–"
    if not (math.isfinite(sigma) and sigma > 0):
        return number(value)
    magnitude = math.floor(math.log10(max(abs(value), sigma)))
    if not -4 < magnitude < 5:
        scale = 10.0**magnitude
        return f"({with_error(value / scale, sigma / scale)}) × 10{_raised(magnitude)}"
    last = math.floor(math.log10(sigma))
    if round(sigma / 10.0**last, 1) < 3:
        last -= 1
    if last > 0:
        value, sigma = round(value, -last), round(sigma, -last)
    decimals = min(max(-last, 0), 6)
    return f"{value:.{decimals}f} ± {sigma:.{decimals}f}"


def _raised(exponent: int) -> str:
    return str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def heading(column: str) -> tuple[str, str]:
    """Split a column name into words and unit: ``sigma_volume_nm3`` is ("sigma volume", "nm³")."""
    unit = column_unit(column)
    words = column[: -len(unit) - 1] if unit else column
    return words.replace("_", " "), _SIGNS.get(unit, unit)


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
        if value.dtype.kind == "f" and value.dtype.itemsize < 8:
            return [plain(float(str(v))) for v in value]  # 0.1, not 0.10000000149011612
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
