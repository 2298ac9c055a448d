# SPDX-License-Identifier: BSD-3-Clause
"""Sheets by matched filters over directions, at a false-discovery rate that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from .. import _core
from ..datamodel import Volume
from ..metrics import NoisePower
from ..projection import Geometry
from ._blob_table import NullCheck
from ._inputs import Float64, Table
from ._oriented_run import Known, find
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
        Points all over the surface of each row: z, y, x [voxel], one for each square pixel of it.
    normals : tuple of (m, 3) float64
        Of the surface at these points.
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
    volume : (nz, ny, nx) real, or Volume
        NaN is refused. With ``halves`` their sum is searched, and this may be None.
    widths : float or (n_widths,) [px], default 1.5
        Standard deviations across: Gaussian profiles to look for, ascending, 1 or more; steps of a factor of 1.3 to
        1.5. With three or more the width of each object is measured.
    length : float [px], optional
        Standard deviation of the filters in the plane of a sheet, default 5 times the largest width: how far data are
        summed up over a sheet that is about flat.
    fdr : float, default 0.05
        The share of false objects in the table, on average.
    halves, noise, geometry, image_shape, solve, transfer
        As for :func:`blobs`: each thing more that is known makes the answer better.
    directions : int, optional
        Of filters on the half sphere; default: as many as lose no more than a tenth of a response.
    margin : int [voxels], optional
        Voxels nearer to a face are not looked at; default 4/3 of the length.
    seed : int, default 0
        Of planned noise.
    pixel_size, threads, cancel
        As for :func:`particles`.

    Returns
    -------
    FoundSheets
        One row of its table for each sheet, the most significant first:

        - ``z_px``, ``y_px``, ``x_px`` (and ``z_nm``, ... from the centre) with ``sigma_``: the most significant point;
        - ``area_px2`` or ``_nm2``: of the surface where the response is at least half as high, as a flat round sheet of
          that area has it; its error is that of the rim;
        - ``normal_z``, ``_y``, ``_x``: unit vector at that point, and ``sigma_normal_deg`` about either axis in the
          sheet;
        - ``width_px`` or ``_nm``: standard deviation across, and ``thickness_``, its full width at half maximum; their
          ``sigma_`` is NaN where fewer than three widths were looked for: the width is then the filter's;
        - ``amplitude``: mean peak value all over it over the surroundings, negative when dark; ``sign`` 1 or -1;
        - ``significance``: of the highest point of the filters' response along the object;
        - ``p_value``: chance that noise alone makes one such extremum or more in the volume; ``q_value``: the
          false-discovery rate of a table that ends with this row, NaN where the null check failed;
        - ``coverage``: share of the power of such an object of this direction that the data hold: how well its
          direction was seen.

    Raises
    ------
    InputError
        NaN, shapes that do not fit, an ``fdr`` outside of 0 to 1, widths below 1 px, noise that cannot be fitted.
    Cancelled
        ``cancel`` was set.

    Notes
    -----
    As for :func:`tubes`, with filters that are wide in two directions.

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
        null=found.null,
        detectability=found.detectability,
        notes=found.notes,
    )
