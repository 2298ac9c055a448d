# SPDX-License-Identifier: BSD-3-Clause
"""Connected components and what can be measured of them."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .. import _core
from ..datamodel import Volume
from ..errors import InputError
from ._inputs import Float64, Table, as_mask, as_volume, unit_of

__all__ = ["label", "regions"]

# Columns of _core.region_sums; cpp/detect/region_sums.hpp has the same.
_VOXELS, _SUM, _SQUARES, _LOW, _HIGH, _EXITS, _COLUMNS = 0, 1, 4, 10, 13, 16, 29
_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))  # of the squares: zz yy xx zy zx yx

# Share of the sphere of directions that is nearest to each of the 13 lattice directions, by the kind of the
# direction (face, edge, corner neighbour): Legland, Kieu & Devaux 2007, table of 3-D weights for 13 directions.
_SHARE = {1: 0.09155578240952, 2: 0.07396125575216, 3: 0.07039127956464}
_KINDS = (1, 2, 1, 2, 3, 2, 3, 2, 1, 2, 3, 2, 3)

Connectivity = Literal[6, 18, 26]


def label(
    mask: npt.ArrayLike,
    connectivity: Connectivity = 26,
    *,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> tuple[npt.NDArray[np.int32], int]:
    """Number the connected components of a mask.

    Parameters
    ----------
    mask : (nz, ny, nx) bool or integer
        Non-zero is foreground.
    connectivity : {26, 18, 6}
        Voxels belong together that share a face (6), a face or an edge (18), a face, an edge or a corner (26).
    threads : int, default 0
        0 uses all processors the process may use. The labels do not depend on it.
    cancel : CancelToken, optional
        Stops the work from another thread.

    Returns
    -------
    labels : (nz, ny, nx) int32
        0 is background; components are numbered from 1 by their first voxel in raster order.
    count : int
        Number of components.

    Raises
    ------
    InputError
        Fractional or complex values, not three axes, an unknown connectivity.

    References
    ----------
    Runs of packed bits with union-find: He, Chao & Suzuki, IEEE Trans. Image Process. 17 (2008) 749, section III,
    carried over to blocks of 2 x 2 rows (design/005-detection.md).
    """
    if connectivity not in (6, 18, 26):
        raise InputError(f"connectivity: found {connectivity!r}, expected 6, 18 or 26")
    inside = as_mask(mask, "mask")
    labels = np.empty(inside.shape, np.int32)
    count = _core.label(inside.view(np.uint8), connectivity, labels, threads, cancel)
    return labels, count


def regions(
    labels: npt.ArrayLike,
    intensity: Volume | npt.ArrayLike | None = None,
    *,
    pixel_size: float | None = None,
    edge_sigma_px: float = 1 / math.sqrt(12),
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Table:
    """Measure every region of a label volume in one pass.

    Parameters
    ----------
    labels : (nz, ny, nx) integer
        0 is background; every positive value is one region, connected or not.
    intensity : (nz, ny, nx) real, or Volume, optional
        Adds the intensity columns, in its own units. A Volume also brings the pixel size.
    pixel_size : float [angstrom], optional
        Edge of a voxel. Without it lengths are in pixels and column names end in ``_px`` in place of ``_nm``.
    edge_sigma_px : float [px], default 0.289
        Standard error of the position of a region's surface, see Notes.
    threads, cancel
        As for :func:`label`.

    Returns
    -------
    dict of str to (n,) array
        One row per label that occurs, in ascending order:

        - ``label``; ``voxels`` (count);
        - ``volume_nm3``, ``sigma_volume_nm3``; ``diameter_nm``, ``sigma_diameter_nm`` (sphere of equal volume);
        - ``z_nm``, ``y_nm``, ``x_nm``: centroid from the volume's centre (docs/conventions.md);
          ``z_px``, ``y_px``, ``x_px``: centroid as an array index;
        - ``z0``, ``y0``, ``x0``, ``z1``, ``y1``, ``x1``: bounding box as slices, upper end excluded;
        - ``axis1_nm`` >= ``axis2_nm`` >= ``axis3_nm``: full axes of the ellipsoid with the region's second
          moments, each voxel counted as a cube; ``axis1_z``, ``axis1_y``, ``axis1_x`` ...: their unit vectors,
          the component of largest size positive;
        - ``surface_nm2``: Crofton's formula over 13 directions; ``sphericity``: surface of the sphere of equal
          volume over the region's, 1 for a sphere (meaningless below some 20 voxels);
        - ``intensity_mean``, ``intensity_sd``, ``intensity_min``, ``intensity_max``, ``intensity_sum``;
        - ``touches_border``: the region reaches the edge of the volume (axes of length 1 do not count), so its
          size is a lower bound.

    Raises
    ------
    InputError
        Fractional, negative or too many axes of labels; NaN in the intensity; shapes that differ.

    Notes
    -----
    ``sigma_volume`` = surface x ``edge_sigma_px``: the surface of a thresholded region is known to within the
    voxel that it passes through, uniformly, hence 1/sqrt(12) px, and the error is taken as common to the whole
    surface, as an error of the threshold is. It is therefore an upper bound where the errors of neighbouring
    patches are independent, and it does not hold the elongation by a missing wedge.

    References
    ----------
    Surface: Legland, Kieu & Devaux, Image Anal. Stereol. 26 (2007) 83, eq. 10: S = 4 sum_d c_d N_d a_d with N_d
    the chords ended along direction d, a_d the area of the lattice cell across it and c_d its share of the sphere.
    """
    numbers, names = _as_labels(labels)
    values, centre = None, 0.0
    if intensity is not None:
        values, pixel_size = as_volume(intensity, pixel_size, "intensity")
        if values.shape != numbers.shape:
            raise InputError(
                f"intensity: found shape {values.shape}, expected {numbers.shape} as in labels"
            )
        centre = float(values.mean(dtype=np.float64))
    if not (math.isfinite(edge_sigma_px) and edge_sigma_px >= 0):
        raise InputError(f"edge_sigma_px: found {edge_sigma_px}, expected a length of 0 or more")
    sums = np.empty((len(names), _COLUMNS), np.int64)
    moments = np.empty((len(names), 4), np.float64)
    _core.region_sums(numbers, values, centre, sums, moments, threads, cancel)
    found = sums[:, _VOXELS] > 0
    sums, moments = sums[found], moments[found]
    table: Table = {"label": names[found], "voxels": sums[:, _VOXELS].copy()}
    table |= _sizes(sums, pixel_size, edge_sigma_px)
    table |= _places(sums, numbers.shape, pixel_size)
    table |= _axes(sums, pixel_size)
    if values is not None:
        table |= _intensities(sums[:, _VOXELS], moments, centre)
    edge = np.array([n if n > 1 else -1 for n in numbers.shape])
    low, high = sums[:, _LOW:_HIGH], sums[:, _HIGH:_EXITS]
    table["touches_border"] = (((low == 0) & (edge > 0)) | (high == edge - 1)).any(axis=1)
    return table


def _as_labels(labels: npt.ArrayLike) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Return labels as int32 1..n, and what each was called."""
    a = np.asarray(labels)
    if a.dtype.kind not in "biu" or a.ndim != 3 or 0 in a.shape:
        raise InputError(
            f"labels: found {a.dtype} {a.shape}, expected integers with axes (nz, ny, nx)"
        )
    low, high = int(a.min()), int(a.max())
    if low < 0:
        raise InputError(
            f"labels: found {low}, expected 0 for background and positive numbers; "
            "give each class of regions on its own"
        )
    if high <= a.size and high < 2**31:
        return np.require(a, np.int32, ["C", "A"]), np.arange(1, high + 1, dtype=np.int64)
    # A few huge numbers: rows are made for those that occur only.
    names, numbers = np.unique(a, return_inverse=True)
    shift = 0 if names[0] == 0 else 1
    compact: npt.NDArray[np.int32] = (np.reshape(numbers, a.shape) + shift).astype(np.int32)
    return compact, names[names > 0].astype(np.int64)


def _sizes(sums: npt.NDArray[np.int64], pixel_size: float | None, edge_sigma_px: float) -> Table:
    unit, pixel = unit_of(pixel_size)
    volume = sums[:, _VOXELS].astype(np.float64)
    kind = np.array(_KINDS)
    weight = 4 * np.array([_SHARE[k] for k in _KINDS]) / np.sqrt(kind)
    surface = sums[:, _EXITS:] @ weight
    sigma = surface * edge_sigma_px
    diameter = np.cbrt(6 * volume / math.pi)
    return {
        f"volume_{unit}3": volume * pixel**3,
        f"sigma_volume_{unit}3": sigma * pixel**3,
        f"diameter_{unit}": diameter * pixel,
        f"sigma_diameter_{unit}": diameter * sigma / (3 * volume) * pixel,
        f"surface_{unit}2": surface * pixel**2,
        "sphericity": math.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / surface,
    }


def _places(sums: npt.NDArray[np.int64], shape: tuple[int, ...], pixel_size: float | None) -> Table:
    unit, pixel = unit_of(pixel_size)
    table: Table = {}
    centroid = sums[:, _SUM:_SQUARES] / sums[:, _VOXELS, None]
    if unit == "nm":
        for i, name in enumerate("zyx"):
            table[f"{name}_nm"] = (centroid[:, i] - (shape[i] - 1) / 2) * pixel
    for i, name in enumerate("zyx"):
        table[f"{name}_px"] = centroid[:, i].copy()
    for i, name in enumerate("zyx"):
        table[f"{name}0"] = sums[:, _LOW + i].copy()
    for i, name in enumerate("zyx"):
        table[f"{name}1"] = sums[:, _HIGH + i] + 1
    return table


def _axes(sums: npt.NDArray[np.int64], pixel_size: float | None) -> Table:
    unit, pixel = unit_of(pixel_size)
    n = sums[:, _VOXELS]
    # Shifted to the corner of the box in integers first: exact, and no digits are lost far from the origin.
    low = sums[:, _LOW:_HIGH]
    first = sums[:, _SUM:_SQUARES] - n[:, None] * low
    covariance = np.empty((len(n), 3, 3))
    for k, (i, j) in enumerate(_PAIRS):
        square = sums[:, _SQUARES + k]
        square = (
            square
            - low[:, i] * sums[:, _SUM + j]
            - low[:, j] * sums[:, _SUM + i]
            + n * low[:, i] * low[:, j]
        )
        value = square / n - (first[:, i] / n) * (first[:, j] / n)
        covariance[:, i, j] = covariance[:, j, i] = value + (i == j) / 12
    spread, vectors = np.linalg.eigh(covariance)
    table: Table = {}
    # A solid ellipsoid of semi-axis a has the second moment a^2 / 5 along it.
    full = 2 * np.sqrt(5 * np.maximum(spread, 0))[:, ::-1] * pixel
    for k in range(3):
        table[f"axis{k + 1}_{unit}"] = full[:, k].copy()
    for k in range(3):
        vector = _pointing(vectors[:, :, 2 - k])
        for i, name in enumerate("zyx"):
            table[f"axis{k + 1}_{name}"] = vector[:, i].copy()
    return table


def _pointing(vectors: Float64) -> Float64:
    """Turn unit vectors so that their largest component is positive."""
    largest = np.abs(vectors).argmax(axis=1)
    sign = np.sign(np.take_along_axis(vectors, largest[:, None], axis=1))
    out: Float64 = vectors * sign
    return out


def _intensities(n: npt.NDArray[Any], moments: Float64, centre: float) -> Table:
    mean = moments[:, 0] / n
    return {
        "intensity_mean": mean + centre,
        "intensity_sd": np.sqrt(np.maximum(moments[:, 1] / n - mean**2, 0)),
        "intensity_min": moments[:, 2].copy(),
        "intensity_max": moments[:, 3].copy(),
        "intensity_sum": moments[:, 0] + n * centre,
    }
