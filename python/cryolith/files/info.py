# SPDX-License-Identifier: BSD-3-Clause
"""`info`: what the headers of a file say. No pixel is read."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .findings import FindingError, Notes
from .image_file import ImageFile, open_image
from .metadata import Given
from .series import decide, is_offset
from .volume import describe_volume, is_zarr

__all__ = ["info"]


def info(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the facts of an image file or OME-Zarr from its headers alone.

    Returns
    -------
    dict
        ``path, format, bytes, shape, dtype, pixel_size_angstrom, tilts, angles_deg,
        tilt_axis_deg, dose, labels, extended_header, facts, warnings, problems``; lists and plain
        numbers only, ready for JSON. ``problems`` holds what would stop :func:`read_tilt_series`,
        for example that no source tells the angles (a volume has none).

    Raises
    ------
    FileFormatError
        The headers themselves cannot be read.
    """
    notes = Notes(os.fspath(path))
    if is_zarr(path):
        return describe_volume(path, notes)
    file = open_image(path, notes)
    out: dict[str, Any] = {
        "path": notes.path,
        "format": file.format,
        "bytes": file.opened.size,
        "shape": list(file.shape),
        "dtype": "uint16" if file.mrc and is_offset(file.mrc) else file.dtype.name,
    }
    out.update(_mrc_facts(file))
    problems = []
    try:
        facts = decide(file, Given(), notes)
        out["pixel_size_angstrom"] = facts.pixel_size
        out["angles_deg"] = facts.angles_deg.tolist()
        out["tilt_axis_deg"] = facts.tilt_axis_deg
        out["dose"] = None if facts.dose is None else facts.dose.tolist()
    except FindingError as error:
        problems.append(str(error))
        out["pixel_size_angstrom"] = file.pixel_size
    out["facts"] = dict(notes.facts)
    out["warnings"] = list(notes.warning_lines)
    out["problems"] = problems
    return out


def _mrc_facts(file: ImageFile) -> dict[str, Any]:
    if file.mrc is None:
        return {}
    header, extended = file.mrc.header, file.mrc.extended
    statistics = [header.dmin, header.dmax, header.dmean]
    return {
        "mode": header.mode,
        "byte_order": "little" if header.order == "<" else "big",
        "axes": [a + 1 for a in header.axes],
        "voxel_angstrom": list(header.voxel) if header.voxel else None,
        "min_max_mean": [v if np.isfinite(v) else None for v in statistics],
        "labels": list(header.labels),
        "extended_header": None
        if not header.extended_bytes
        else {
            "bytes": header.extended_bytes,
            "type": extended.name if extended else header.extended_type or "unknown",
            **(extended.more if extended else {}),
        },
    }
