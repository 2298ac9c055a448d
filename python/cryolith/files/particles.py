# SPDX-License-Identifier: BSD-3-Clause
"""Particle lists as STAR files that RELION 5 and subtomogram tools read.

RELION counts a centred coordinate from voxel int(n / 2) in angstrom, ours is from (n - 1) / 2 in nm; pixels are array
indices in both. Columns of RELION come first, ours follow as ``cryolith_<column>``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .._version import __version__
from ..errors import InputError
from .alignments.star import numbers, parse_star, render_block
from .angles import read_text
from .atomic import write_text
from .findings import fail
from .table import columns_of, typed

__all__ = ["read_particles", "write_particles"]

Float64 = npt.NDArray[np.float64]

_LARGEST = 1 << 31  # bytes
_OWN = "cryolith_"
_PIXEL = "rlnTomoTiltSeriesPixelSize"


def write_particles(
    path: str | os.PathLike[str],
    table: Mapping[str, npt.ArrayLike],
    *,
    shape: Sequence[int],
    pixel_size: float,
    tomogram: str = "tomogram",
) -> None:
    """Write a table with places as a particle list (``.star``), whole or not at all.

    Parameters
    ----------
    path : path
    table : mapping of str to (n,) array_like
        With ``z_px``, ``y_px``, ``x_px``: array indices. Every column is also kept as it is.
    shape : (nz, ny, nx)
        Of the volume: RELION counts from voxel int(n / 2).
    pixel_size : float [angstrom]
        Edge of a voxel; coordinates in pixels are voxels of this volume.
    tomogram : str
        ``rlnTomoName``.

    Raises
    ------
    InputError
        No places, places that are not finite, a shape or pixel size that is none.
    FileFormatError
        The folder is missing or not writable.

    References
    ----------
    Zivanov et al., eLife 11 (2022) e83724 (particle sets); RELION 5, tomo_backproject_program.cpp (centre of volumes).
    """
    columns = columns_of(table)
    places = _places(columns)
    if len(shape) != 3 or any(int(n) != n or n < 1 for n in shape):
        raise InputError(f"shape: found {tuple(shape)}, expected three numbers of voxels")
    if not (np.isfinite(pixel_size) and pixel_size > 0):
        raise InputError(f"pixel_size: found {pixel_size}, expected a positive length in angstrom")
    rows = len(places)
    centred = (places - [n // 2 for n in shape]) * pixel_size
    block: dict[str, list[str]] = {"rlnTomoName": [_word(tomogram)] * rows}
    for i, axis in reversed(tuple(enumerate("ZYX"))):
        block[f"rlnCoordinate{axis}"] = [repr(float(v)) for v in places[:, i]]
    for i, axis in reversed(tuple(enumerate("ZYX"))):
        block[f"rlnCenteredCoordinate{axis}Angst"] = [repr(float(v)) for v in centred[:, i]]
    block["rlnTomoParticleId"] = [str(i + 1) for i in range(rows)]
    block["rlnOpticsGroup"] = ["1"] * rows
    block |= {f"{_OWN}{name}": _words(column) for name, column in columns.items()}
    optics = {
        "rlnOpticsGroup": ["1"],
        "rlnOpticsGroupName": ["opticsGroup1"],
        _PIXEL: [repr(float(pixel_size))],
    }
    head = f"# cryolith {__version__}\n\n"
    write_text(path, head + render_block("optics", optics) + render_block("particles", block))


def _places(columns: Mapping[str, npt.NDArray[Any]]) -> Float64:
    names = [f"{axis}_px" for axis in "zyx"]
    missing = [name for name in names if name not in columns]
    if missing:
        raise InputError(
            f"table: found no column {missing[0]!r}, expected the places z_px, y_px and x_px"
        )
    places = np.stack([columns[name].astype(np.float64) for name in names], axis=1)
    bad = np.flatnonzero(~np.isfinite(places).all(axis=1))
    if bad.size:
        raise InputError(
            f"table: found a place that is not finite in row {bad[0]}, expected finite numbers; leave it out"
        )
    return places


def _words(column: npt.NDArray[Any]) -> list[str]:
    if column.dtype.kind == "f" and column.dtype.itemsize < 8:
        return [repr(float(str(v))) for v in column]
    return [_word(v) if isinstance(v, str) else repr(v) for v in column.tolist()]


def _word(text: str) -> str:
    """A text on one line, without the quotes that the form has no way to write."""
    return " ".join(text.replace('"', "'").split())


def read_particles(path: str | os.PathLike[str]) -> tuple[dict[str, npt.NDArray[Any]], float]:
    """Read a particle list: ours, or one of RELION that gives its coordinates in pixels.

    Returns
    -------
    table : dict of str to (n,) array
        ``z_px``, ``y_px``, ``x_px`` and, of a list of ours, its other columns (types as :func:`read_table` gives them
        for CSV).
    pixel_size : float [angstrom]

    Raises
    ------
    FileFormatError
        The file is missing, is no STAR file, or has no coordinates in pixels or no pixel size.
    """
    name = os.fspath(path)
    blocks = parse_star(read_text(path, "a STAR file", _LARGEST), name)
    for needed in ("particles", "optics"):
        if needed not in blocks:
            fail(
                name,
                f"data_{needed}",
                "no such block",
                "it",
                "give a particle list of RELION 4 or 5",
            )
    particles = blocks["particles"]
    pixel = numbers(name, blocks["optics"], _PIXEL)
    if len(set(pixel)) != 1 or not pixel[0] > 0:
        fail(name, _PIXEL, pixel.tolist(), "one positive length", "split the list by pixel size")
    table: dict[str, npt.NDArray[Any]] = {
        column[len(_OWN) :]: typed(words)
        for column, words in particles.items()
        if column.startswith(_OWN)
    }
    for axis in "ZYX":
        table.setdefault(f"{axis.lower()}_px", numbers(name, particles, f"rlnCoordinate{axis}"))
    return table, float(pixel[0])
