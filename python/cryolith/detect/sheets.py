# SPDX-License-Identifier: BSD-3-Clause
"""Sheets by matched filters over directions, at a false-discovery rate that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..datamodel import Volume
from ..files.mesh import Mesh
from ..metrics import NoisePower
from ..projection import Geometry
from ._blob_table import NullCheck
from ._inputs import Float64, Table
from ._oriented_run import Found, Known, find
from ._oriented_table import OrientedDetectability
from ._search_inputs import HalvesLike

__all__ = ["FoundSheets", "sheets"]


@dataclass(frozen=True, kw_only=True, eq=False)
class FoundSheets:
    """What :func:`sheets` found, and what it could have found.

    Attributes
    ----------
    table : dict of str to (n,) array
        Its columns are those of :func:`sheets`.
    surfaces : tuple of (m, 3) float64
        Points all over the surface of each row: z, y, x [voxel], about one for each square pixel of it.
    normals : tuple of (m, 3) float64
        Of the surface at these points.
    mesh : Mesh
        All of them as triangles, in nm (px without a pixel size) from the centre of the volume, for
        :func:`cryolith.files.write_surface`. Fields: ``sheet``, the row, and ``significance`` of each vertex. Where a
        surface that is no quadric turns from one axis of the volume to another the mesh has a seam.
    null : NullCheck
        Extrema of noise against their expected number; ``spread`` has one number a width.
    detectability : OrientedDetectability
        The chance to find a sheet by its direction, amplitude and extent.
    notes : tuple of str
        Where the noise comes from, what was refused.
    """

    table: Table
    surfaces: tuple[Float64, ...]
    normals: tuple[Float64, ...]
    mesh: Mesh
    null: NullCheck
    detectability: OrientedDetectability
    notes: tuple[str, ...]


def sheets(
    volume: Volume | npt.ArrayLike | None,
    *,
    widths: npt.ArrayLike = 1.5,
    length: float | None = None,
    fdr: float = 0.05,
    halves: HalvesLike | None = None,
    noise: NoisePower | npt.ArrayLike | None = None,
    geometry: Geometry | None = None,
    image_shape: tuple[int, int] | None = None,
    solve: Callable[..., Any] | None = None,
    transfer: npt.ArrayLike | None = None,
    directions: int | None = None,
    margin: int | None = None,
    seed: int = 0,
    pixel_size: float | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> FoundSheets:
    """Find bright and dark sheets: cracks, grain boundaries, planar faults, membranes.

    Parameters
    ----------
    volume, widths, fdr, halves, noise, geometry, image_shape, solve, transfer, directions, margin, seed, pixel_size
        As for :func:`tubes`.
    length : float [px], optional
        Standard deviation of the filters in the plane of a sheet, default 5 times the largest width: how far data are
        summed up over a sheet that is about flat.
    threads, cancel
        As for :func:`particles`.

    Returns
    -------
    FoundSheets
        One row of its table for each sheet, the most significant first:

        - ``area_px2`` or ``_nm2``: within the outline that fits best, and the error of that. Of a sheet that is no
          quadric over its mean plane, or is 50 widths across or more: of where the response is at least half as high,
          as a flat round sheet of that area has it, and the error of that rim;
        - ``normal_z``, ``_y``, ``_x``: unit vector at that point, and ``sigma_normal_deg`` about either axis in the
          sheet;
        - ``thickness_px`` or ``_nm``: full width at half maximum, of ``width_``;
        - place, ``width``, ``amplitude``, ``sign``, ``significance``, ``p_value``, ``q_value`` and ``coverage`` as for
          :func:`tubes`.

    Raises
    ------
    InputError, Cancelled
        As for :func:`tubes`.

    Notes
    -----
    As for :func:`tubes`, with filters that are wide in two directions. A sheet is fitted as a line is, where it is
    found: beads on a quadric, within an outline that is a Fourier series of the angle, up to twice (or four times)
    around.

    References
    ----------
    As for :func:`tubes`; area and errors: design/022-tubes-and-sheets.md.
    """
    known = Known(halves, noise, geometry, image_shape, solve, transfer, pixel_size, seed)
    found = find("sheets", volume, widths, length, fdr, directions, margin, known, threads, cancel)
    return FoundSheets(
        table=found.table,
        surfaces=tuple(o.nodes for o in found.objects),
        normals=tuple(o.axes for o in found.objects),
        mesh=_mesh_of(found),
        null=found.null,
        detectability=found.detectability,
        notes=found.notes,
    )


def _mesh_of(found: Found) -> Mesh:
    """Return all surfaces as one mesh."""
    objects = found.objects
    start = np.cumsum([0, *(len(o.nodes) for o in objects)])
    nodes = np.concatenate([np.empty((0, 3)), *(o.nodes for o in objects)])
    return Mesh(
        vertices=(nodes - found.middle) * found.pixel,
        faces=np.concatenate(
            [
                np.empty((0, 3), np.int64),
                *(o.faces + n for o, n in zip(objects, start, strict=False)),
            ]
        ),
        fields={
            "sheet": np.repeat(np.arange(len(objects)), np.diff(start)),
            "significance": np.concatenate([np.empty(0), *(o.heights for o in objects)]),
        },
    )
