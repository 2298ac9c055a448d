# SPDX-License-Identifier: BSD-3-Clause
"""What several searches of one volume found, in one place, to be written, shown and reported together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from .._version import __version__
from ..datamodel import Defects, Provenance, Volume
from ..defects import SurfaceLike
from ..errors import InputError
from ._inputs import Table, unit_of
from .blobs import FoundBlobs
from .sheets import FoundSheets
from .tubes import FoundTubes

__all__ = ["collect"]


def collect(
    volume: Volume,
    defects: Defects | None = None,
    *,
    blobs: FoundBlobs | None = None,
    tubes: FoundTubes | None = None,
    sheets: FoundSheets | None = None,
    surfaces: Mapping[str, SurfaceLike] | None = None,
    tables: Mapping[str, Table] | None = None,
) -> Defects:
    """Put what several searches of a volume found into one ``Defects``.

    Parameters
    ----------
    volume : Volume
        That was searched: its pixel size, and the centre that places count from.
    defects : Defects, optional
        To add to, such as :func:`detect` returns.
    blobs, tubes, sheets : optional
        Of :func:`blobs`, :func:`tubes`, :func:`sheets`: their tables, the lines of the tubes, the mesh of the sheets.
    surfaces : mapping of str to Surface, optional
    tables : mapping of str to table, optional
        Further tables by name.

    Returns
    -------
    Defects
        Lines in nm from the centre of the volume (px without a pixel size); notes with the name of their search.

    Raises
    ------
    InputError
        A table that is there twice.
    """
    base = Defects() if defects is None else defects
    parts = {"blobs": blobs, "tubes": tubes, "sheets": sheets}
    found = {name: part for name, part in parts.items() if part is not None}
    added: dict[str, Table] = {name: part.table for name, part in found.items()}
    twice = sorted(
        (set(added) & set(tables or {})) | (set(base.tables) & {*added, *(tables or {})})
    )
    if twice:
        raise InputError(
            f"tables: found {twice[0]!r} twice, expected each once; give it another name"
        )
    _, pixel = unit_of(volume.pixel_size)
    middle = (np.array(volume.data.shape) - 1) / 2
    lines = {} if tubes is None else {"tubes": [(line - middle) * pixel for line in tubes.lines]}
    meshes = {} if sheets is None else {"sheets": sheets.mesh}
    made = base.provenance
    if defects is None:
        made = Provenance(made_by="cryolith.detect.collect", version=__version__)
    return replace(
        base,
        tables={**base.tables, **added, **(tables or {})},
        lines={**base.lines, **lines},
        surfaces={**base.surfaces, **meshes, **(surfaces or {})},
        notes=(*base.notes, *(f"{n}: {note}" for n, part in found.items() for note in part.notes)),
        pixel_size=volume.pixel_size,
        provenance=made,
    )
