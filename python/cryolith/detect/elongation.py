# SPDX-License-Identifier: BSD-3-Clause
"""Axes of regions freed from the elongation by a missing wedge, or flagged where they cannot be."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import Cancelled, InputError
from ..projection import Geometry
from ..reconstruct import wbp
from ._ellipsoid_imaging import PAIRS, EllipsoidImaging, Shown
from ._inputs import Float64, Table
from ._region_table import pointing

__all__ = ["correct_elongation", "directions_seen", "seen_axes"]

_SMALLEST = 3.0  # px, the shortest axis seen
_SOLID = 0.8  # volume over that of the ellipsoid of equal second moments: a cube has 0.89
_KNOWN = 0.3  # relative error of a length above which nothing is known of it
_POINTS = 400  # on an ellipsoid's surface
_NONE = Shown(np.full((3, 3), np.nan), np.full((6, 6), np.nan), np.nan)


def correct_elongation(
    table: Table,
    geometry: Geometry,
    *,
    solve: Callable[..., Any] | None = None,
    cut: npt.ArrayLike = 0.5,
    smoothing_px: float = 1.0,
    edge_sigma_px: float = 0.1,
    model_error: float = 0.02,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Table:
    """Return a table of regions with their axes corrected for what the imaging does to an ellipsoid.

    Parameters
    ----------
    table : dict of str to (n,) array
        Of :func:`regions`, :func:`particles` or :func:`voids`, with axes.
    geometry : Geometry
        How the images were taken; tilts about the volume's y.
    solve : callable, default ``wbp``
        How the volume was reconstructed, as for :func:`layer_thickness`; it must be linear.
    cut : float or (n,), default 0.5
        Where each region was cut, as a share of its greatest value above the surroundings.
    smoothing_px : float, default 1
        Standard deviation of the Gaussian that the volume was smoothed by before it was cut, as :func:`particles` does.
    edge_sigma_px : float, default 0.1
        Standard deviation of the surface's place along each axis, from noise and from the threshold.
    model_error : float, default 0.02
        Of lengths, relative, for what is not in the model: bodies that are no ellipsoids, bounds of a solver.
    threads, cancel
        As for :func:`label`.

    Returns
    -------
    dict of str to (n,) array
        The columns of ``table`` and

        - ``coverage``: share of the body's surface, taken as an ellipsoid's, whose normal some tilt saw, 0 to 1: about
          0.67 for a ball within +-60 degrees, 0 for a flat disc that faces the wedge;
        - ``true_axis1_nm`` >= ``true_axis2_nm`` >= ``true_axis3_nm`` with ``sigma_``: full lengths of the axes of the
          ellipsoid that would be shown as this; ``true_axis1_z`` ... ``true_axis3_x``: their directions;
          ``sigma_true_axis1_deg``, ``sigma_true_axis3_deg``: of the directions of the longest and the shortest;
        - ``true_volume_nm3`` with ``sigma_``: the volume as those axes change it;
        - ``elongation``: the largest ratio of a seen axis to the corrected one;
        - ``elongation_flag``: "" or why there is no corrected ellipsoid (NaN): "touches the border", "too small" (below
          3 px), "not of an ellipsoid's form", "not seen" (a length known to 30 % or less).

    Raises
    ------
    InputError
        A table without axes, a cut outside of 0 to 1, an error below 0.

    Notes
    -----
    What is shown of a narrow blob gives the share of each wave that the volume holds; the closed transform of an
    ellipsoid times that, smoothed and cut as the region was, gives the second moments that are seen. They are inverted
    for all three axes and directions at once (fixed point, then Newton), and errors go back along the same derivatives.
    It holds for bodies that stand apart; side lobes of neighbours are not in it.

    References
    ----------
    Elongation by a missing wedge: Radermacher & Hoppe, Proc. 7th Eur. Congr. Electron Microsc. 1 (1980) 132.
    """
    unit = "nm" if "axis1_nm" in table else "px"
    if f"axis1_{unit}" not in table:
        raise InputError(
            "table: found no column axis1_nm or axis1_px, expected one of regions with measure='axes'"
        )
    axes, vectors = seen_axes(table)
    n = len(axes)
    cuts = np.broadcast_to(np.asarray(cut, np.float64), n)
    if not ((cuts > 0) & (cuts < 1)).all():
        raise InputError(f"cut: found {cuts}, expected shares between 0 and 1")
    for name, value in (("edge_sigma_px", edge_sigma_px), ("model_error", model_error)):
        if not (np.isfinite(value) and value >= 0):
            raise InputError(f"{name}: found {value}, expected 0 or more")
    pixel = float(np.cbrt(np.median(table[f"volume_{unit}3"] / table["voxels"]))) if n else 1.0
    flags = _flags(table, axes / pixel, unit)
    seen = np.einsum("nij,nj,nkj->nik", vectors, 2 * np.log(axes / (2 * pixel)), vectors)
    imaging = EllipsoidImaging(geometry, solve or functools.partial(wbp), smoothing_px, cancel)

    def behind(row: int) -> Shown | None:
        if cancel is not None and cancel.cancelled:
            raise Cancelled("cancelled by the caller")
        return imaging.behind(seen[row], float(cuts[row])) if flags[row] == "" else _NONE

    with ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool:
        found = list(pool.map(behind, range(n)))
    flags[[f is None for f in found]] = "not of an ellipsoid's form"
    shown = [f or _NONE for f in found]
    rows = [
        _row(s, axes[k] / pixel, vectors[k], edge_sigma_px, model_error)
        for k, s in enumerate(shown)
    ]
    true = _columns(np.array(rows).reshape(n, _WIDTH), axes, table, unit, pixel, flags)
    lengths, turned = axes.copy(), vectors.copy()
    good = flags == ""
    lengths[good] = np.stack([true[f"true_axis{k}_{unit}"] for k in (1, 2, 3)], 1)[good]
    turned[good] = np.stack(
        [[true[f"true_axis{k}_{a}"] for k in (1, 2, 3)] for a in "zyx"]
    ).transpose(2, 0, 1)[good]
    covered = directions_seen(lengths, turned, geometry)
    return dict(table) | {"coverage": covered} | true | {"elongation_flag": flags}


def seen_axes(table: Table) -> tuple[Float64, Float64]:
    """Return (n, 3) full lengths, longest first, and (n, 3, 3) directions in columns."""
    unit = "nm" if "axis1_nm" in table else "px"
    axes = np.stack([table[f"axis{k}_{unit}"] for k in (1, 2, 3)], axis=1)
    vectors = np.stack(
        [np.stack([table[f"axis{k}_{a}"] for a in "zyx"], axis=1) for k in (1, 2, 3)], axis=2
    )
    return axes, vectors


def _flags(table: Table, axes: Float64, unit: str) -> npt.NDArray[np.str_]:
    flags = np.full(len(axes), "", dtype="U40")
    solid = table["voxels"] / np.maximum(np.pi / 6 * axes.prod(axis=1), 1e-9)
    flags[solid < _SOLID] = "not of an ellipsoid's form"
    flags[axes[:, 2] < _SMALLEST] = "too small"
    flags[np.asarray(table["touches_border"], bool)] = "touches the border"
    return flags


# axes, sigmas of their logs, directions in rows, sigmas of two directions, sigma of the log of the volume, solid
_WIDTH = 3 + 3 + 9 + 2 + 1 + 1


def _row(shown: Shown, axes: Float64, vectors: Float64, error: float, model: float) -> Float64:
    """Return the true ellipsoid with its errors, from those of the surface that is seen [px]."""
    if not np.isfinite(shown.log).all():
        return np.full(_WIDTH, np.nan)
    value, turned = np.linalg.eigh(shown.log)
    value, turned = value[::-1], turned[:, ::-1]
    into, back = _turned(vectors), _turned(turned.T)
    # Logs of squared semi-axes are off by 4 error / axis where the surface is by `error`, at either end.
    own = np.array([16 / axes[i] / axes[j] * error**2 * (1 if i == j else 0.5) for i, j in PAIRS])
    own += np.array([1.0 if i == j else 0.5 for i, j in PAIRS]) * (2 * model) ** 2
    covariance = into @ np.diag(own) @ into.T
    inverse = np.linalg.inv(shown.slope)
    covariance = back @ inverse @ covariance @ inverse.T @ back.T
    variance = np.diag(covariance)
    apart = np.maximum(
        np.array([value[0] - value[1], value[0] - value[2], value[1] - value[2]]), 1e-6
    )
    off = np.sqrt(variance[3:]) / apart  # rotations about the third, the second and the first axis
    angles = [np.hypot(off[0], off[1]), np.hypot(off[1], off[2])]
    whole = np.array([1.0, 1, 1, 0, 0, 0])
    return np.concatenate([
        2 * np.exp(value / 2), np.sqrt(variance[:3]) / 2, pointing(turned.T).ravel(),
        np.minimum(np.rad2deg(angles), 90.0), [np.sqrt(whole @ covariance @ whole) / 2, shown.solid],
    ])  # fmt: skip


def _turned(vectors: Float64) -> Float64:
    """Return (6, 6): what a symmetric matrix's six numbers become under M -> V M V^T."""
    out = np.empty((6, 6))
    for n, (i, j) in enumerate(PAIRS):
        unit = np.zeros((3, 3))
        unit[i, j] = unit[j, i] = 1.0
        moved = vectors @ unit @ vectors.T
        out[:, n] = [moved[k, m] for k, m in PAIRS]
    return out


def _columns(
    rows: Float64, axes: Float64, table: Table, unit: str, pixel: float, flags: npt.NDArray[np.str_]
) -> Table:
    """Return the columns of the true ellipsoids; flags those of which too little is known."""
    poor = (rows[:, 3:6] > _KNOWN).any(axis=1)
    flags[poor & (flags == "")] = "not seen"
    rows[flags != ""] = np.nan
    true = rows[:, :3] * pixel
    out: Table = {}
    for k in range(3):
        out[f"true_axis{k + 1}_{unit}"] = true[:, k].copy()
        out[f"sigma_true_axis{k + 1}_{unit}"] = true[:, k] * rows[:, 3 + k]
    for k in range(3):
        for i, a in enumerate("zyx"):
            out[f"true_axis{k + 1}_{a}"] = rows[:, 6 + 3 * k + i].copy()
    out["sigma_true_axis1_deg"], out["sigma_true_axis3_deg"] = (
        rows[:, 15].copy(),
        rows[:, 16].copy(),
    )
    volume = table[f"volume_{unit}3"] * (true / axes).prod(axis=1) / rows[:, 18]
    out[f"true_volume_{unit}3"] = volume
    out[f"sigma_true_volume_{unit}3"] = volume * rows[:, 17]
    out["elongation"] = (axes / true).max(axis=1) if len(axes) else np.zeros(0)
    return out


def directions_seen(axes: Float64, vectors: Float64, geometry: Geometry) -> Float64:
    """Return (n,) shares of ellipsoids' surfaces, axes (n, 3) along columns (n, 3, 3), whose normals a tilt saw."""
    i = np.arange(_POINTS) + 0.5
    height, turn = 1 - 2 * i / _POINTS, np.pi * (1 + 5**0.5) * i
    across = np.sqrt(1 - height**2)
    ball = np.stack([height, across * np.cos(turn), across * np.sin(turn)], axis=1)
    normal = (
        ball[None] / axes[:, None]
    )  # of the ellipsoid's surface, as long as its area over the ball's
    weight = np.linalg.norm(normal, axis=2)
    normal = np.einsum("nij,npj->npi", vectors, normal)
    angle = np.rad2deg(np.arctan2(normal[..., 0], normal[..., 2])) % 180
    views = np.sort(geometry.angles_deg % 180)
    # A tilt sees the waves along (z, x) = (sin, cos) of its angle, and those as near as half a step.
    ordered = np.diff(np.sort(geometry.angles_deg))
    reach = 0.51 * float(np.median(ordered)) if len(ordered) else 0.5
    views = np.concatenate([views[-1:] - 180, views, views[:1] + 180])
    right = np.clip(np.searchsorted(views, angle), 1, len(views) - 1)
    near = np.minimum(angle - views[right - 1], views[right] - angle) <= reach
    out: Float64 = (weight * near).sum(axis=1) / weight.sum(axis=1)
    return out
