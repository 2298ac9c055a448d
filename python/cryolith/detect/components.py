# SPDX-License-Identifier: BSD-3-Clause
"""Connected components, and regions measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core
from ..datamodel import Volume
from ..errors import Cancelled, InputError
from ._inputs import AXES, Table, as_field, as_mask
from ._region_table import Sums, as_pixel, contact_table, region_table
from .slabs import Components, Connectivity, Measure, bounds_of, label_array, wanted_of

__all__ = ["EDGE", "contacts", "find_regions", "label", "regions"]

Labels = npt.NDArray[Any]  # uint8, uint16 or int32
EDGE = 1 / math.sqrt(12)


def label(
    image: npt.ArrayLike,
    connectivity: Connectivity = 26,
    *,
    above: float | None = None,
    below: float | None = None,
    same_value: bool = False,
    delta: float | None = None,
    out: Labels | None = None,
    dtype: npt.DTypeLike | None = None,
    device: str = "cpu",
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> tuple[Labels, int]:
    """Number the connected components of an image.

    Parameters
    ----------
    image : (nz, ny, nx) bool or integer; real with ``above``, ``below`` or ``delta``
        Without further words non-zero is foreground.
    connectivity : {26, 18, 6}
        Voxels belong together that share a face (6), a face or an edge (18), a face, an edge or a corner (26).
    above, below : float, optional
        Foreground is what lies above and below, both excluded, compared in float32 as NumPy does. NaN is background.
        No mask is made.
    same_value : bool, default False
        Neighbours belong together only where their values are equal (integers). 0 is background.
    delta : float, optional
        Neighbours belong together only where their values differ by no more than this, in float32. 0, NaN and
        infinite values are background.
    out : (nz, ny, nx) array of uint8, uint16 or int32, optional
        Where the labels go.
    dtype : {uint8, uint16, int32}, optional
        Of new labels; without it the smallest one that holds the count. Convert before you calculate with them:
        unsigned numbers wrap around below 0.
    device : str, default "cpu"
        "cuda" or "cuda:1" for a GPU, "emulated" for its code on the CPU, slowly, with every access checked
        (:func:`cryolith.devices`): the same labels. Neither ``same_value`` nor ``delta``; fewer than 2^31 voxels, in
        the device's memory as a whole.
    threads : int, default 0
        0 uses all processors the process may use. The labels do not depend on it.
    cancel : CancelToken, optional
        Stops the work from another thread; on a device other than the CPU before it begins.

    Returns
    -------
    labels : (nz, ny, nx) uint8, uint16 or int32
        0 is background; components are numbered from 1 by their first voxel in raster order.
    count : int
        Number of components.

    Raises
    ------
    InputError
        Fractional values without ``above``, ``below`` or ``delta``, complex ones, not three axes, an unknown
        connectivity, options that exclude each other or that ``device`` does not take, an ``out`` or ``dtype`` that
        does not hold the labels.
    DeviceError
        There is no such device, or it failed its self-test or this call.

    References
    ----------
    Runs of packed bits with union-find: He, Chao & Suzuki, IEEE Trans. Image Process. 17 (2008) 749, section III,
    carried over to blocks of 2 x 2 rows (design/019-components.md). On a GPU: Playne & Hawick, IEEE Trans. Parallel
    Distrib. Syst. 29 (2018) 1217; Allegretti, Bolelli & Grana, ibid. 31 (2020) 423.
    """
    if device != "cpu":
        if same_value or delta is not None:
            raise InputError(
                f"device: found {device!r} for same_value or delta, expected 'cpu': other devices take masks"
            )
        mask = _foreground(image, connectivity, above, below)
        if cancel is not None and cancel.cancelled:
            raise Cancelled("cancelled before the labels were begun")
        on_device = _core.DeviceComponents(mask, connectivity, device)
        return _labels_from(on_device, mask.shape, out, dtype), on_device.count()
    found = Components(
        np.shape(image), connectivity, same_value=same_value, delta=delta, measure=None
    )
    found.add(image, above=above, below=below, threads=threads, cancel=cancel)
    return found.labels(out=out, dtype=dtype, threads=threads, cancel=cancel), found.count


def _foreground(
    image: npt.ArrayLike, connectivity: Connectivity, above: float | None, below: float | None
) -> npt.NDArray[np.uint8]:
    """Return as a mask what :class:`Components` takes for foreground."""
    shape = np.shape(image)
    Components(shape, connectivity)  # asks of both what it always asks
    if above is None and below is None:
        return as_mask(image, "image").view(np.uint8)
    numbers = as_core(image, "image", AXES)
    low, high = bounds_of(above, below)
    return ((numbers >= low) & (numbers <= high)).view(np.uint8)


def _labels_from(
    found: _core.DeviceComponents,
    shape: tuple[int, ...],
    out: Labels | None,
    dtype: npt.DTypeLike | None,
) -> Labels:
    """Write the labels of a device, which are of int32, to an array that may be of a smaller type."""
    labels = label_array(shape, found.count(), out, dtype)
    if labels.dtype == np.int32:
        found.write(labels)
        return labels
    wide = np.empty(shape, np.int32)
    found.write(wide)
    labels[...] = wide
    return labels


def find_regions(
    image: npt.ArrayLike,
    intensity: Volume | npt.ArrayLike | None = None,
    connectivity: Connectivity = 26,
    *,
    above: float | None = None,
    below: float | None = None,
    same_value: bool = False,
    delta: float | None = None,
    pixel_size: float | Sequence[float] | None = None,
    measure: Sequence[Measure] = ("axes", "surface"),
    edge_sigma_px: float = EDGE,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> tuple[Components, Table]:
    """Number the connected components of an image and measure them, in one pass: label and regions without labels.

    Parameters
    ----------
    image, connectivity, above, below, same_value, delta
        As for :func:`label`.
    intensity, pixel_size, measure, edge_sigma_px
        As for :func:`regions`. ``measure`` also takes "holes" (a mask, connectivity 6 or 26).
    threads, cancel
        As for :func:`label`.

    Returns
    -------
    components : Components
        Writes the labels when asked: ``components.labels()``. It holds a bit per voxel and 4 bytes a run.
    table : dict of str to (n,) array
        As of :func:`regions`. With "holes" also, for the region itself and what it encloses:

        - ``euler``: the Euler number, 1 + holes - tunnels, of cubes that meet as the connectivity says;
        - ``holes``: cavities, that is components of the background (6 neighbours where the regions have 26, else 26)
          that lie in it and do not reach the border of the volume; ``hole_voxels``: their voxels;
        - ``tunnels``: independent ways through it;
        - ``enclosed_by``: label of the region whose hole it lies in, or 0.

    Raises
    ------
    InputError
        As for :func:`label` and :func:`regions`.
    """
    values, pixel_size = as_field(intensity, pixel_size, np.shape(image))
    found = Components(
        np.shape(image),
        connectivity,
        same_value=same_value,
        delta=delta,
        intensity=values is not None,
        measure=measure,
    )
    found.add(image, values, above=above, below=below, threads=threads, cancel=cancel)
    table = found.regions(pixel_size, edge_sigma_px=edge_sigma_px, threads=threads, cancel=cancel)
    return found, table


def regions(
    labels: npt.ArrayLike,
    intensity: Volume | npt.ArrayLike | None = None,
    *,
    pixel_size: float | Sequence[float] | None = None,
    measure: Sequence[Literal["axes", "surface"]] = ("axes", "surface"),
    edge_sigma_px: float = EDGE,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Table:
    """Measure every region of a label volume in one pass.

    Parameters
    ----------
    labels : (nz, ny, nx) integer
        0 is background; every positive value is one region, connected or not. uint8, uint16 and int32 are read as they
        are, others converted.
    intensity : (nz, ny, nx) real, or Volume, optional
        Adds the intensity columns, in its own units. A Volume also brings the pixel size.
    pixel_size : float or (3,) floats [angstrom], optional
        Edge of a voxel, or its edges along z, y, x. Without it lengths are in pixels and column names end in ``_px`` in
        place of ``_nm``.
    measure : sequence of {"axes", "surface"}
        Groups of columns beside the count, the volume and the box. What is left out costs no time and no memory.
    edge_sigma_px : float [px], default 0.289
        Standard error of the position of a region's surface, see Notes.
    threads, cancel
        As for :func:`label`.

    Returns
    -------
    dict of str to (n,) array
        One row per label that occurs, in ascending order:

        - ``label``; ``voxels`` (count); ``volume_nm3``; ``diameter_nm`` (sphere of equal volume);
        - ``z0``, ``y0``, ``x0``, ``z1``, ``y1``, ``x1``: bounding box as slices, upper end excluded;
        - ``touches_border``: the region reaches the edge of the volume (axes of length 1 do not count), so its
          size is a lower bound;
        - "axes": ``z_nm``, ``y_nm``, ``x_nm``: centroid from the volume's centre (docs/conventions.md);
          ``z_px``, ``y_px``, ``x_px``: centroid as an array index;
          ``axis1_nm`` >= ``axis2_nm`` >= ``axis3_nm``: full axes of the ellipsoid with the region's second
          moments, each voxel counted as a box; ``axis1_z``, ``axis1_y``, ``axis1_x`` ...: their unit vectors,
          the component of largest size positive;
        - "surface": ``surface_nm2``: Crofton's formula over 13 directions; ``sphericity``: surface of the sphere of
          equal volume over the region's, 1 for a sphere (meaningless below some 20 voxels); ``border_nm2``: how much
          of the border of the volume is the region's; ``sigma_volume_nm3``, ``sigma_diameter_nm``;
        - with an intensity: ``intensity_mean``, ``intensity_sd``, ``intensity_min``, ``intensity_max``,
          ``intensity_sum``.

    Raises
    ------
    InputError
        Fractional, negative or too many axes of labels; NaN in the intensity of a region; shapes that differ.

    Notes
    -----
    ``sigma_volume`` = surface x ``edge_sigma_px``: the surface of a thresholded region is known to within the
    voxel that it passes through, uniformly, hence 1/sqrt(12) px (of a cube of the voxel's volume), and the error is
    taken as common to the whole surface, as an error of the threshold is. It is therefore an upper bound where the
    errors of neighbouring patches are independent, and it does not hold the elongation by a missing wedge.

    Crofton's formula is right for the mean over all orientations of a surface. A plane along an axis of the grid comes
    out 7 % small.

    References
    ----------
    Surface: Legland, Kieu & Devaux, Image Anal. Stereol. 26 (2007) 83, eq. 10: S = 4 sum_d c_d N_d a_d with N_d
    the chords ended along direction d, a_d the area of the lattice cell across it and c_d its share of the sphere.
    """
    wanted = wanted_of(measure, ("axes", "surface"))
    numbers, names = _as_labels(labels)
    values, pixel_size = as_field(intensity, pixel_size, numbers.shape)
    pixel = as_pixel(pixel_size)
    sums = Sums.empty(len(names), euler=False, intensity=values is not None, **wanted)
    _core.region_sums(
        numbers, len(names), values, sums.columns(), False, threads=threads, cancel=cancel
    )
    there = sums.extent[:, 0] > 0
    if not there.all():
        sums, names = sums.only(there), names[there]
    return region_table(names, sums, numbers.shape, pixel, edge_sigma_px)


def contacts(
    labels: npt.ArrayLike,
    *,
    pixel_size: float | Sequence[float] | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Table:
    """Measure where the regions of a label volume meet.

    Parameters
    ----------
    labels, pixel_size, threads, cancel
        As for :func:`regions`.

    Returns
    -------
    dict of str to (n,) array
        One row per pair of regions with neighbouring voxels (26), by their labels:

        - ``label`` < ``other``;
        - ``faces``: voxel faces that they share (0 where they meet at edges and corners alone);
        - ``contact_nm2``: area of the contact by Crofton's formula, as ``surface_nm2`` of :func:`regions`: over all
          contacts of a region, background and border included, both add up to the same;
        - ``sigma_contact_nm2``: its error as that of voxels alone. Holds that 13 directions are few, where the lattice
          lies, and what lines miss along the rim: about 0.3 voxels times its length too little, taken as that of a
          disc, which a contact without a rim does not have. It does not hold the error of the labels.

    Raises
    ------
    InputError
        As for :func:`regions`.
    """
    numbers, names = _as_labels(labels)
    pixel = as_pixel(pixel_size)
    columns = _core.RegionColumns(None, None, None, None, None)
    found = _core.region_sums(
        numbers, len(names), None, columns, True, threads=threads, cancel=cancel
    )
    assert found is not None
    return contact_table(found, names, pixel)


def _as_labels(labels: npt.ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Return labels as uint8, uint16 or int32 from 1 to n, and what each was called."""
    a = np.asarray(labels)
    if a.dtype.kind not in "biu" or a.ndim != 3 or 0 in a.shape:
        raise InputError(
            f"labels: found {a.dtype} {a.shape}, expected integers with axes (nz, ny, nx)"
        )
    low, high = int(a.min()) if a.dtype.kind == "i" else 0, int(a.max())
    if low < 0:
        raise InputError(
            f"labels: found {low}, expected 0 for background and positive numbers; "
            "give each class of regions on its own"
        )
    if high <= a.size and high < 2**31:
        kind: npt.DTypeLike = np.int32
        if a.dtype.kind in "ub" and a.dtype.itemsize <= 2:
            kind = np.uint8 if a.dtype.itemsize == 1 else np.uint16
        return np.require(a, kind, ["C", "A"]), np.arange(1, high + 1, dtype=np.int64)
    # A few huge numbers: rows are made for those that occur only.
    names, numbers = np.unique(a, return_inverse=True)
    shift = 0 if names[0] == 0 else 1
    compact: npt.NDArray[np.int32] = (np.reshape(numbers, a.shape) + shift).astype(np.int32)
    return compact, names[names > 0].astype(np.int64)
