# SPDX-License-Identifier: BSD-3-Clause
"""Quantities in words: ``"0.34 nm"`` becomes 3.4 (angstrom), ``"2 GB"`` 2e9 (bytes)."""

from __future__ import annotations

import math
import re
import unicodedata

from .errors import ConfigError

__all__ = ["column_unit", "format_length", "parse_bytes", "parse_length"]

_LENGTHS = {
    "m": 1e10, "mm": 1e7, "um": 1e4, "µm": 1e4, "μm": 1e4, "nm": 10.0, "pm": 0.01,
    "a": 1.0, "å": 1.0, "ang": 1.0, "angstrom": 1.0, "angstroms": 1.0,
}  # fmt: skip
_BYTES = {
    "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_COLUMNS = ("nm3", "nm2", "nm", "px3", "px2", "px", "deg", "voxels", "e")
_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([^\d\s]*)\s*")


def _parse(text: str, name: str, units: dict[str, float], example: str) -> float:
    # NFC makes one character of a letter and its ring, as some keyboards and PDFs write the angstrom sign.
    match = _QUANTITY.fullmatch(unicodedata.normalize("NFC", text))
    unit = match.group(2).lower() if match else ""
    if match is None or unit not in units:
        known = ", ".join(units)
        raise ConfigError(
            f"{name}: found {text!r}, expected a number and a unit such as {example!r}; "
            f"known units: {known}"
        )
    value = float(match.group(1)) * units[unit]
    if not math.isfinite(value):
        raise ConfigError(f"{name}: found {text!r}, expected a finite number")
    return value


def parse_length(text: str, name: str = "length") -> float:
    """Return a length in angstrom from a number with a unit; a bare number is refused."""
    return _parse(text, name, _LENGTHS, "0.34 nm")


def parse_bytes(text: str, name: str = "memory") -> int:
    """Return a number of bytes from ``"2 GB"`` or ``"512 MiB"``; a bare number is refused."""
    return int(_parse(text, name, dict(_BYTES), "8 GB"))


def format_length(angstrom: float) -> str:
    """Write a length in the unit that reads best: pm below 0.1 nm, um from 1000 nm, else nm."""
    nm = angstrom / 10.0
    if nm == 0.0:
        return "0 nm"
    unit, scale = ("pm", 1e3) if abs(nm) < 0.1 else ("µm", 1e-3) if abs(nm) >= 1000 else ("nm", 1.0)
    return f"{nm * scale:.4g} {unit}"


def column_unit(column: str) -> str:
    """Return the unit in the name of a table's column: "nm3" of ``sigma_volume_nm3``, "" where there is none."""
    stem, _, last = column.rpartition("_")
    return last if stem and last in _COLUMNS else ""
