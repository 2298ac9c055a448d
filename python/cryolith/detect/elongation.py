# SPDX-License-Identifier: BSD-3-Clause
"""Sizes of regions freed from the elongation by a missing wedge, or flagged where they cannot be."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import InputError
from ..projection import Geometry
from ..reconstruct import wbp
from ._inputs import Float32, Float64, Table
from ._layer_model import Response
from ._smooth import smooth

__all__ = ["correct_elongation"]

_BOX = 4.0  # edges of the volume that a ball is imaged in, over its diameter
_SIZES = np.geomspace(3.0, 24.0, 6)  # px, diameters of the balls
_AXES = np.array([0.5, 0.7, 1.0, 1.4, 2.0])  # length along the beam over that across
_FLAGGED = 1.3  # elongation beyond which a size is called elongated


def correct_elongation(
    table: Table,
    geometry: Geometry,
    *,
    solve: Callable[..., Any] | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Table:
    """Return a table of regions with sizes along z corrected for what the imaging does to an ellipsoid.

    Parameters
    ----------
    table : dict of str to (n,) array
        Of :func:`regions`, :func:`particles` or :func:`voids`, with axes.
    geometry : Geometry
        How the images were taken.
    solve : callable, default ``wbp``
        How the volume was reconstructed, as for :func:`layer_thickness`.
    threads, cancel
        As for :func:`label`.

    Returns
    -------
    dict of str to (n,) array
        The columns of ``table`` and

        - ``coverage``: mean share of waves along the region's shortest axis that the tilts sampled, 0 to 1, over
          directions within 15 degrees of it;
        - ``elongation``: length along the beam over length across it and the tilt axis, as the reconstruction would
          show a ball of this size, above half of its greatest value;
        - ``extent_z_nm``, ``extent_x_nm``: lengths of the ellipsoid of equal second moments along z and x, as seen;
        - ``true_extent_z_nm``: length along z of the ellipsoid that would be shown as this; NaN where flagged;
        - ``true_volume_nm3``: the volume with that length;
        - ``elongation_flag``: "" or why there is no corrected length: "touches the border", "too small" (below 3 px),
          "not of an ellipsoid's form" (longer or shorter than any ellipsoid of that width would be shown).

    Raises
    ------
    InputError
        A table without second moments.

    Notes
    -----
    Ellipsoids of 3 to 24 px across and of 0.5 to 2 times that along the beam are projected, reconstructed, cut at half
    of their greatest value and measured; the table of what is seen against what is there is inverted. It holds for
    regions that were cut near half of their height and stand apart; side lobes of neighbours are not in it.

    References
    ----------
    Elongation by a missing wedge: Radermacher & Hoppe, Proc. 7th Eur. Congr. Electron Microsc. 1 (1980) 132.
    """
    unit = "nm" if "axis1_nm" in table else "px"
    if f"axis1_{unit}" not in table:
        raise InputError(
            "table: found no column axis1_nm or axis1_px, expected one of regions with measure='axes'"
        )
    seen_z, seen_x = _extents(table, unit)
    pixel = (
        float(np.cbrt(np.median(table[f"volume_{unit}3"] / table["voxels"])))
        if len(seen_z)
        else 1.0
    )
    shown_z, shown_x = _shown(geometry, solve or functools.partial(wbp), threads, cancel)
    width, length = seen_x / pixel, seen_z / pixel
    ratio, inside = _inverted(shown_z, shown_x, width, length)
    flags = np.full(len(width), "", dtype="U40")
    flags[~inside] = "not of an ellipsoid's form"
    flags[(width < _SIZES[0]) | (length < _SIZES[0])] = "too small"
    flags[np.asarray(table["touches_border"], bool)] = "touches the border"
    good = flags == ""
    true_z = np.where(good, ratio * pixel, np.nan)
    ball = np.array([np.interp(w, shown_x[:, 2], shown_z[:, 2] / shown_x[:, 2]) for w in width])
    volume = table[f"volume_{unit}3"] * true_z / np.where(seen_z > 0, seen_z, 1)
    return dict(table) | {
        "coverage": _sampled(table, geometry),
        "elongation": ball.reshape(len(width)),
        f"extent_z_{unit}": seen_z,
        f"extent_x_{unit}": seen_x,
        f"true_extent_z_{unit}": true_z,
        f"true_volume_{unit}3": volume,
        "elongation_flag": flags,
    }


def _extents(table: Table, unit: str) -> tuple[Float64, Float64]:
    """Return full lengths along z and x of the ellipsoids of equal second moments."""
    parts = {
        a: [(table[f"axis{k}_{unit}"] * table[f"axis{k}_{a}"]) ** 2 for k in (1, 2, 3)]
        for a in "zx"
    }
    return np.sqrt(np.sum(parts["z"], axis=0)), np.sqrt(np.sum(parts["x"], axis=0))


def _shown(
    geometry: Geometry,
    solve: Callable[..., Any],
    threads: int,
    cancel: _core.CancelToken | None,
) -> tuple[Float64, Float64]:
    """Return (n_sizes, n_axes) lengths along z and x at which ellipsoids are shown."""
    shown = np.empty((2, len(_SIZES), len(_AXES)))
    plain = Geometry.single_axis(geometry.angles_deg)
    for i, size in enumerate(_SIZES):
        n = int(_BOX * max(size, 8.0)) | 1
        shape = (n, n, n)
        response = Response(plain, (n, math.ceil(1.42 * n)), solve, threads, cancel)
        for j, axis in enumerate(_AXES):
            shown[:, i, j] = _measured(response.show(_ellipsoid(shape, size, axis)))
    return shown[0], shown[1]


def _ellipsoid(shape: tuple[int, int, int], size: float, axis: float) -> Float32:
    z, y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    r = np.sqrt((z[:, None, None] / axis) ** 2 + y[None, :, None] ** 2 + x[None, None] ** 2)
    return smooth(np.clip(size / 2 - r + 0.5, 0, 1).astype(np.float32), 1.0)


def _measured(volume: Float32) -> tuple[float, float]:
    """Return full lengths along z and x of what is above half of the greatest value and joined to the middle."""
    middle = tuple(n // 2 for n in volume.shape)
    inside = volume > volume[middle] / 2
    z, _, x = np.nonzero(_joined(inside, middle))
    return tuple(2 * math.sqrt(5 * (float(a.var()) + 1 / 12)) for a in (z, x))  # type: ignore[return-value]


def _joined(inside: npt.NDArray[np.bool_], middle: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    from .components import label

    labels, _ = label(inside, 6)
    return np.asarray(labels == labels[middle])


def _inverted(
    shown_z: Float64, shown_x: Float64, width: Float64, length: Float64
) -> tuple[Float64, npt.NDArray[np.bool_]]:
    """Return the true lengths [px] along z of ellipsoids shown with these widths and lengths, and if there are any."""
    true = _SIZES[:, None] * _AXES
    out, inside = np.empty(len(width)), np.zeros(len(width), bool)
    for k, (w, h) in enumerate(zip(width, length, strict=True)):
        # What ellipsoids of each axis ratio look like at this width; beyond the largest, its ratios.
        scale = max(w / shown_x[-1, 2], 1.0)
        seen = (
            np.array(
                [np.interp(w / scale, shown_x[:, j], shown_z[:, j]) for j in range(len(_AXES))]
            )
            * scale
        )
        real = (
            np.array([np.interp(w / scale, shown_x[:, j], true[:, j]) for j in range(len(_AXES))])
            * scale
        )
        rising = np.maximum.accumulate(seen) + 1e-9 * np.arange(len(seen))
        inside[k] = 0.95 * rising[0] <= h <= 1.05 * rising[-1]
        out[k] = np.interp(h, rising, real)
    return out, inside


def _sampled(table: Table, geometry: Geometry) -> Float64:
    """Return the share of directions within 15 degrees of the shortest axis that some view's plane holds."""
    axis = np.stack([table[f"axis3_{a}"] for a in "zyx"], axis=1)
    rng = np.random.default_rng(0)
    jitter = rng.standard_normal((200, 3))
    jitter *= (
        np.tan(np.deg2rad(15))
        * rng.random((200, 1)) ** 0.5
        / np.linalg.norm(jitter, axis=1)[:, None]
    )
    around = axis[:, None] + jitter[None]
    turn = np.rad2deg(np.arctan2(around[..., 0], around[..., 2])) % 180
    views = np.sort(np.unique(np.round(geometry.angles_deg % 180, 6)))
    gap = np.abs(turn[..., None] - views)
    nearest = np.minimum(gap, 180 - gap).min(axis=-1)
    steps = np.diff(np.sort(geometry.angles_deg))
    spacing = float(np.median(steps)) if len(steps) else 1.0
    out: Float64 = (nearest <= 0.51 * spacing).mean(axis=1)
    return out
