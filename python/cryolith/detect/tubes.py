# SPDX-License-Identifier: BSD-3-Clause
"""Tubes by matched filters over directions, at a false-discovery rate that is asked for."""

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

__all__ = ["FoundTubes", "tubes"]


@dataclass(frozen=True, kw_only=True, eq=False)
class FoundTubes:
    """What :func:`tubes` found, and what it could have found.

    Attributes
    ----------
    table : dict of str to (n,) array
        Its columns are those of :func:`tubes`.
    lines : tuple of (m, 3) float64
        The centre line of each row: z, y, x [voxel], about half a pixel apart.
    null : NullCheck
        Extrema of noise against their expected number; ``spread`` has one number a width.
    detectability : OrientedDetectability
        The chance to find a tube by its direction, amplitude and extent.
    notes : tuple of str
        Where the noise comes from, what was refused.
    """

    table: Table
    lines: tuple[Float64, ...]
    null: NullCheck
    detectability: OrientedDetectability
    notes: tuple[str, ...]


def tubes(
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
) -> FoundTubes:
    """Find bright and dark tubes: dislocation lines, filaments, fibres, pores that run along a line.

    Parameters
    ----------
    volume : (nz, ny, nx) real, or Volume
        NaN is refused. With ``halves`` their sum is searched, and this may be None.
    widths : float or (n_widths,) [px], default 1.5
        Standard deviations across: Gaussian profiles to look for, ascending, 1 or more; steps of a factor of 1.3 to
        1.5. With three or more the width of each object is measured.
    length : float [px], optional
        Standard deviation of the filters along a tube, default 5 times the largest width: how far data are summed up
        along a tube that is about straight.
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
    FoundTubes
        One row of its table for each tube or branch, the most significant first:

        - ``z_px``, ``y_px``, ``x_px`` (and ``z_nm``, ... from the centre) with ``sigma_``: the most significant point;
        - ``length_px`` or ``_nm``: of the centre line that fits best, with all other objects taken out; its error is
          that of the fit, ends and bends;
        - ``direction_z``, ``_y``, ``_x``: unit vector at that point, and ``sigma_direction_deg`` about either axis
          across;
        - ``width_px`` or ``_nm``: standard deviation across, and ``diameter_``, its full width at half maximum; their
          ``sigma_`` is NaN where fewer than three widths were looked for: the width is then the filter's;
        - ``amplitude``: mean peak value along it over the surroundings, negative when dark; ``sign`` 1 or -1;
        - ``significance``: of the highest point of the filters' response along the object;
        - ``p_value``: chance that noise alone makes one such extremum or more in the volume; ``q_value``: the
          false-discovery rate of a table that ends with this row, NaN where the null check failed;
        - ``coverage``: share of the power of such an object of this direction that the data hold: how well its
          direction was seen;
        - ``network``: the same number for branches of one.

    Raises
    ------
    InputError
        NaN, shapes that do not fit, an ``fdr`` outside of 0 to 1, widths below 1 px, noise that cannot be fitted.
    Cancelled
        ``cancel`` was set.

    Notes
    -----
    The filter of a direction is T / (P (1 + (k0 / k)^4)): T is the transform of what the reconstruction shows of a
    Gaussian tube of that direction, P the power of the noise, k0 = 0.5 / length. Each is divided by the standard
    deviation of its own noise, so that a direction in the missing wedge makes no more false calls than any other.
    Extrema over place and direction beyond a level grow along ridges of the highest response over directions. A spline
    of as few knots as the data ask for is fitted to each, ends and all: its log likelihood over no line is S^2 / (2 Q),
    S the sum of the filter's output along it, Q that of what the reconstruction shows of its parts at each other. What
    the reconstruction shows of all is subtracted, and the rest is searched again.

    Noise alone makes E(z) extrema beyond z (expected Euler characteristic over place, direction and width). An object
    counts by its highest point: q is E(z) over the number of objects as high, after Benjamini & Hochberg; with halves
    also (1 + decoys) / found where 2 / fdr objects or more were found, the larger of both; with fewer, E is scaled by
    decoys over expected. If decoys and expectation differ by more than a factor of 2, no q-values are given.

    References
    ----------
    North & Moore (matched filter): Proc. IEEE 51 (1963) 1016; Adler & Taylor, Random Fields and Geometry (2007),
    theorem 12.4.1; Benjamini & Hochberg, J. R. Stat. Soc. B 57 (1995) 289; errors: design/022-tubes-and-sheets.md.
    """
    known = Known(halves, noise, geometry, image_shape, solve, transfer, pixel_size, seed)
    found = find("tubes", volume, widths, length, fdr, directions, margin, known, threads, cancel)
    return FoundTubes(
        table=found.table,
        lines=tuple(o.nodes for o in found.objects),
        null=found.null,
        detectability=found.detectability,
        notes=found.notes,
    )
