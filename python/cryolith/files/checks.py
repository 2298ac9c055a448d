# SPDX-License-Identifier: BSD-3-Clause
"""`check`: everything that can be said about a file before work starts, data included."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .alignments.own import load_alignment
from .angles import check_angles, read_angle_file
from .findings import Finding, FindingError, Notes
from .image_file import open_image
from .mdoc import read_mdoc
from .metadata import AnglesLike, Given, given_length
from .series import assemble
from .volume import assemble_volume

__all__ = ["check"]

_VOLUME_SUFFIXES = (".rec", ".map", ".zarr")
_DARK = 0.1  # of the median mean intensity: a blocked beam or a closed shutter
_SATURATED = 0.001  # of the pixels


def check(
    path: str | os.PathLike[str],
    angles: AnglesLike = None,
    *,
    mdoc: str | os.PathLike[str] | None = None,
    pixel_size: float | str | None = None,
    kind: Literal["auto", "series", "volume"] = "auto",
    progress: Callable[[float], None] | None = None,
) -> list[Finding]:
    """Look for everything that is wrong or suspect in a file; never raises for the file's sake.

    Headers, angles and their sources are checked as the readers do; then every image (or section)
    is looked at: NaN and infinite pixels, blank, constant, dark and saturated images, and whether
    the header's statistics describe the data. Memory stays at one image.

    Parameters
    ----------
    path : path
        Image file, OME-Zarr, or .tlt, .rawtlt, .mdoc or .json (alignment).
    angles, mdoc, pixel_size
        As in :func:`read_tilt_series`.
    kind : "auto", "series" or "volume"
        "auto" takes .rec, .map and .zarr for volumes, other image files for tilt series.
    progress : callable, optional
        Called with the fraction done, 0 to 1; may raise to stop.

    Returns
    -------
    list of Finding
        Errors first, then warnings, then information; empty never, because the last lines say what
        the file is.
    """
    notes = Notes(os.fspath(path))
    try:
        suffix = Path(path).suffix.lower()
        if suffix in (".tlt", ".rawtlt", ".mdoc", ".json"):
            _check_text(path, suffix, notes)
        elif kind == "volume" or (kind == "auto" and suffix in _VOLUME_SUFFIXES):
            volume = assemble_volume(path, notes)
            _check_sections(volume.data, notes, "section", progress)
            _tell_facts(volume.data, volume.pixel_size, notes)
        else:
            given = Given(angles, given_length(pixel_size, "pixel_size"), mdoc)
            _check_series(path, given, notes, progress)
    except FindingError as error:
        notes.findings.append(error.finding)
    rank = {"error": 0, "warning": 1, "info": 2}
    return sorted(notes.findings, key=lambda f: rank[f.level])


def _check_text(path: str | os.PathLike[str], suffix: str, notes: Notes) -> None:
    if suffix == ".json":
        found = f"{len(load_alignment(path, notes).angles_deg)} tilts"
    else:
        values = read_mdoc(path, notes).angles_deg if suffix == ".mdoc" else read_angle_file(path)
        check_angles(values, os.path.basename(path), len(values), notes)
        found = f"{len(values)} angles, {values.min():g} to {values.max():g} deg"
    notes.info("content", found)


def _check_series(
    path: str | os.PathLike[str],
    given: Given,
    notes: Notes,
    progress: Callable[[float], None] | None,
) -> None:
    """Errors of the angles are told after those of the pixels, so that one look shows both."""
    file = open_image(path, notes)
    problem: FindingError | None = None
    try:
        series = assemble(file, given, notes)
        data, pixel = series.images, series.pixel_size
        angles = series.angles_deg
        found = f"{len(angles)} angles, {angles.min():g} to {angles.max():g} deg"
        notes.info("angles", f"{found} ({notes.facts['angles']})")
    except FindingError as error:
        problem, data, pixel = error, file.load(notes), file.pixel_size
    statistics = _check_sections(data, notes, "image", progress)
    if file.mrc is not None and not isinstance(data, np.ndarray):
        statistics = None  # decoded on reading: the header describes the stored values
    if file.mrc is not None and statistics is not None:
        header = file.mrc.header
        _check_statistics(statistics, header.dmin, header.dmax, notes)
    _tell_facts(data, pixel, notes)
    if problem is not None:
        raise problem


@dataclass
class _Statistics:
    low: float
    high: float


def _check_sections(
    data: Any, notes: Notes, name: str, progress: Callable[[float], None] | None
) -> _Statistics | None:
    n, limit = len(data), _saturation_value(data.dtype)
    low, high, means = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    lost, full = np.zeros(n, np.int64), np.zeros(n)
    for i in range(n):
        image = np.asarray(data[i])
        good = np.isfinite(image) if image.dtype.kind == "f" else np.ones(image.shape, bool)
        lost[i] = image.size - np.count_nonzero(good)
        if lost[i] < image.size:
            values = image[good]
            low[i], high[i] = values.min(), values.max()
            means[i] = values.mean(dtype=np.float64)
            full[i] = np.count_nonzero(values == limit) / values.size if limit is not None else 0
        if progress is not None:
            progress((i + 1) / n)
    _tell_lost(lost, data[0].size, name, notes)
    _tell_flat(low, high, name, notes)
    if name == "image":
        _tell_dark(low, high, means, full, notes)
    return None if np.isnan(low).all() else _Statistics(np.nanmin(low), np.nanmax(high))


def _saturation_value(dtype: np.dtype[Any]) -> float | None:
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" and dtype.itemsize == 2 else None


def _listed(which: npt.NDArray[Any]) -> str:
    text = ", ".join(str(i) for i in which[:10])
    return text + (f" and {len(which) - 10} more" if len(which) > 10 else "")


def _tell_lost(lost: npt.NDArray[np.int64], size: int, name: str, notes: Notes) -> None:
    bad = np.flatnonzero(lost)
    if bad.size:
        notes.warn(
            f"pixels of {name} {_listed(bad)}",
            f"{int(lost.sum())} NaN or infinite",
            "finite values",
            "they are treated as missing" if lost.max() < size else f"leave those {name}s out",
        )


def _tell_flat(
    low: npt.NDArray[np.float64], high: npt.NDArray[np.float64], name: str, notes: Notes
) -> None:
    flat = np.flatnonzero(low == high)
    if flat.size:
        blank = bool((low[flat] == 0).all())
        notes.warn(
            f"pixels of {name} {_listed(flat)}",
            "all zero (blank)" if blank else f"one value ({low[flat[0]]:g}) everywhere",
            "an image",
            f"leave those {name}s out" if name == "image" else "check that the volume is complete",
        )


def _tell_dark(
    low: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
    means: npt.NDArray[np.float64],
    full: npt.NDArray[np.float64],
    notes: Notes,
) -> None:
    above = means - np.nanmin(low) if not np.isnan(low).all() else means
    dark = np.flatnonzero((above < _DARK * np.nanmedian(above)) & (low != high))
    if dark.size and len(means) > 2:
        notes.warn(
            f"mean of image {_listed(dark)}",
            f"{means[dark[0]]:.4g}",
            f"near the median {np.nanmedian(means):.4g}",
            "a blocked beam? leave those images out",
        )
    clipped = np.flatnonzero(full > _SATURATED)
    if clipped.size:
        notes.warn(
            f"pixels of image {_listed(clipped)}",
            f"up to {100 * full.max():.2g} % at the largest value of the type",
            f"less than {100 * _SATURATED:g} %",
            "saturated: intensities there are too low",
        )


def _check_statistics(seen: _Statistics, dmin: float, dmax: float, notes: Notes) -> None:
    """MRC2014: dmax < dmin says that the statistics were not computed."""
    if not np.isfinite([dmin, dmax]).all() or dmax < dmin or (dmin == 0 and dmax == 0):
        return
    span = max(seen.high - seen.low, abs(seen.high), abs(seen.low)) * 1e-5
    if abs(seen.low - dmin) > span or abs(seen.high - dmax) > span:
        notes.warn(
            "dmin, dmax",
            f"{dmin:g}, {dmax:g}",
            f"{seen.low:g}, {seen.high:g}, as in the data",
            "the data were changed after the header was written, or the type is read wrongly",
        )


def _tell_facts(data: Any, pixel: float | None, notes: Notes) -> None:
    shape = " x ".join(map(str, data.shape))
    notes.info("data", f"{shape} {np.dtype(data.dtype).name}")
    if pixel is not None:
        origin = notes.facts.get("pixel_size", "header")
        notes.info("pixel size", f"{pixel:.6g} A ({origin})")
