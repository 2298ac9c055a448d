# SPDX-License-Identifier: BSD-3-Clause
"""Read a tilt series: images lazily, angles and units from wherever they stand."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..datamodel import Source, TiltSeries
from .findings import Notes
from .image_file import ImageFile, open_image
from .lazy import OffsetStack
from .metadata import AnglesLike, Facts, Given, Header, choose, given_length
from .mrc_read import MrcFile

__all__ = ["assemble", "decide", "is_offset", "read_tilt_series"]

_ANISOTROPY = 0.01  # of the pixel size


def read_tilt_series(
    path: str | os.PathLike[str],
    angles: AnglesLike = None,
    *,
    pixel_size: float | str | None = None,
    mdoc: str | os.PathLike[str] | None = None,
    tilt_axis_deg: float | None = None,
) -> TiltSeries:
    """Read a tilt series from MRC (plain, .gz or .bz2) or multi-page TIFF.

    The images of plain MRC and uncompressed TIFF stay on disk as a read-only memory map and are
    read where they are looked at; compressed files and packed 4-bit pixels are decoded into memory.
    FEI files that hold unsigned counts minus 32768 are shown as the unsigned counts
    (``source.facts["intensity"]``).

    Parameters
    ----------
    path : path
        Image file. What it is, is told by its content, not by its name.
    angles : array_like or path, optional [deg]
        One angle per image, or a .tlt, .rawtlt, text or .mdoc file of them. Without it they are
        taken from the extended header, else ``.tlt`` or ``.rawtlt`` beside the file, else ``.mdoc``
        beside it.
    pixel_size : float or str, optional [angstrom]
        Overrides every other source; a string takes a unit ("3.36 nm").
    mdoc : path, optional
        SerialEM .mdoc of these images; without it ``<name>.mdoc`` or ``<stem>.mdoc`` beside the
        file is used.
    tilt_axis_deg : float, optional [deg]
        Nominal in-plane angle of the tilt axis, counter-clockwise from the image's +y.

    Returns
    -------
    TiltSeries
        ``source.facts`` says where each fact came from, ``source.warnings`` what deserves a look.

    Raises
    ------
    FileFormatError
        The file is no tilt series, is damaged, or no source tells its angles.
    InputError
        An argument cannot be used.

    Warns
    -----
    CryolithWarning
        Two sources disagree, or a value is suspect and work can go on.
    """
    notes = Notes(os.fspath(path))
    given = Given(angles, given_length(pixel_size, "pixel_size"), mdoc, tilt_axis_deg)
    series = assemble(open_image(path, notes), given, notes)
    notes.tell()
    return series


def assemble(file: ImageFile, given: Given, notes: Notes) -> TiltSeries:
    """Make the series of an opened file, leaving the warnings in ``notes``."""
    facts = decide(file, given, notes)
    return TiltSeries(
        images=_images(file, notes),
        angles_deg=facts.angles_deg,
        pixel_size=facts.pixel_size,
        tilt_axis_deg=facts.tilt_axis_deg,
        dose=facts.dose,
        order=facts.order,
        source=Source(path=notes.path, facts=dict(notes.facts), warnings=notes.warning_lines),
    )


def decide(file: ImageFile, given: Given, notes: Notes) -> Facts:
    """Decide angles, pixel size, axis, dose and order without reading a pixel."""
    if file.tiff is not None:
        header = Header(file.opened.path, file.shape[0], "ImageJ's unit", file.tiff.pixel_size)
        return choose(header, given, notes)
    assert file.mrc is not None
    header = Header(
        file.opened.path,
        file.shape[0],
        "header",
        _pixel(file.mrc, notes),
        labels=file.mrc.header.labels,
        extended=file.mrc.extended,
    )
    return choose(header, given, notes)


def _images(file: ImageFile, notes: Notes) -> Any:
    if file.mrc is not None and file.mrc.header.volumes > 1:
        notes.warn(
            "ispg",
            f"a stack of {file.mrc.header.volumes} volumes",
            "a stack of images",
            "all sections are read as images; use read_volume for volumes",
        )
    data = file.load(notes)
    if file.mrc is not None and is_offset(file.mrc):
        notes.facts["intensity"] = (
            "stored as int16 = counts - 32768 (the FEI header's mean intensity tells it); "
            "shown as counts, uint16"
        )
        return OffsetStack(data)
    notes.facts["intensity"] = f"as stored ({data.dtype.name})"
    return data


def is_offset(mrc: MrcFile) -> bool:
    """Whether int16 holds unsigned counts minus 32768, decided from the headers alone.

    The FEI extended header keeps the mean that the microscope recorded; if the header's mean of the
    data plus 32768 comes nearer to it than the mean itself does, the data was shifted on writing.
    """
    extended, header = mrc.extended, mrc.header
    if extended is None or extended.mean_intensity is None or header.mode != 1:
        return False
    if not np.isfinite([header.dmean, header.dmin]).all() or header.dmin >= 0:
        return False
    recorded = float(np.mean(extended.mean_intensity))
    return abs(header.dmean + 32768 - recorded) < abs(header.dmean - recorded)


def _pixel(mrc: MrcFile, notes: Notes) -> float | None:
    """The header's pixel size along x of the images as they are handed out."""
    voxel = mrc.header.voxel
    if voxel is None:
        return None
    if abs(voxel[0] - voxel[1]) > _ANISOTROPY * voxel[0]:
        notes.warn(
            "pixel size",
            f"{voxel[0]:.6g} A along x, {voxel[1]:.6g} A along y",
            "square pixels",
            "the value along x is taken; resample the images or give pixel_size=",
        )
    return voxel[0]
