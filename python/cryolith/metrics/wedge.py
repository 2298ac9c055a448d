# SPDX-License-Identifier: BSD-3-Clause
"""What a geometry can see: of the specimen's places, and of its spatial frequencies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_angles, as_core, as_output
from ..errors import InputError
from ..projection import Geometry, backproject, project
from ..reconstruct import wbp
from ..reconstruct.filters import Filter
from ..reconstruct.inputs import Float32

__all__ = ["coverage", "point_spread", "sampled_fraction", "transfer_function"]


def coverage(
    geometry: Geometry,
    shape: tuple[int, int, int],
    image_shape: tuple[int, int],
    *,
    seen: npt.ArrayLike | None = None,
    out: Float32 | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float32:
    """Count the views that saw each voxel.

    Parameters
    ----------
    geometry : Geometry
    shape : (int, int, int)
        (nz, ny, nx) of the volume.
    image_shape : (int, int)
        (height, width) of the images.
    seen : (n_tilts, height, width), optional
        0 (False) where a pixel is missing, for example ``numpy.isfinite(stack)``; default all are there.
    out : (nz, ny, nx) float32, optional
    threads, cancel
        As in :func:`cryolith.projection.project`.

    Returns
    -------
    (nz, ny, nx) float32
        Whole numbers, 0 to n_tilts. A view counts where its pixels make up more than half of what it
        interpolates there, which puts the border at the edge of its outermost pixels.
    """
    count = as_output(out, shape)
    count[:] = 0.0
    if seen is None:
        there = np.ones((len(geometry), *image_shape), np.float32)
    else:
        there = (as_core(seen, "seen", ("n_tilts", "height", "width")) != 0).astype(np.float32)
        if there.shape != (len(geometry), *image_shape):
            raise InputError(
                f"seen: found shape {there.shape}, expected {(len(geometry), *image_shape)}"
            )
    view = np.empty(shape, np.float32)
    for i in range(len(geometry)):
        backproject(
            there[i : i + 1], geometry.subset([i]), shape, out=view, threads=threads, cancel=cancel
        )
        count += view > 0.5
    return count


def point_spread(
    geometry: Geometry,
    shape: tuple[int, int, int],
    image_shape: tuple[int, int],
    *,
    filter: Filter = "ramp",
    n_iter: int = 10,
    cutoff: float = 0.25,
    order: int = 4,
    out: Float32 | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float32:
    """Return what :func:`cryolith.reconstruct.wbp` makes of one bright voxel.

    Parameters
    ----------
    geometry, shape, image_shape
        As in :func:`coverage`.
    filter, n_iter, cutoff, order, out, threads, cancel
        As in :func:`cryolith.reconstruct.wbp`.

    Returns
    -------
    (nz, ny, nx) float32
        The voxel of value 1 was at (nz // 2, ny // 2, nx // 2); the missing wedge makes it longer across.
    """
    point = np.zeros(shape, np.float32)
    point[tuple(n // 2 for n in shape)] = 1.0
    images = project(point, geometry, image_shape, threads=threads, cancel=cancel)
    return wbp(
        images,
        geometry,
        shape=shape,
        filter=filter,
        n_iter=n_iter,
        cutoff=cutoff,
        order=order,
        out=out,
        threads=threads,
        cancel=cancel,
    )


def transfer_function(
    geometry: Geometry,
    shape: tuple[int, int, int],
    image_shape: tuple[int, int],
    *,
    filter: Filter = "ramp",
    n_iter: int = 10,
    cutoff: float = 0.25,
    order: int = 4,
    out: Float32 | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float32:
    """Return how much of each spatial frequency of the specimen a weighted back-projection gives back.

    The transform of the :func:`point_spread`: projection, interpolation, filter and sampling in one.

    Parameters
    ----------
    geometry, shape, image_shape
        As in :func:`coverage`.
    filter, n_iter, cutoff, order, threads, cancel
        As in :func:`cryolith.reconstruct.wbp`.
    out : (nz, ny, nx // 2 + 1) float32, optional

    Returns
    -------
    (nz, ny, nx // 2 + 1) float32
        In the order of ``numpy.fft.rfftn``. 1: comes back as it was; 0: was not seen, the missing wedge. Between the
        planes of the tilts it falls to 0 where they lie further apart than the specimen is thick.

    Notes
    -----
    Holds for voxels that all views saw, near the middle of the volume; towards its border :func:`coverage` falls.
    """
    result = as_output(out, (shape[0], shape[1], shape[2] // 2 + 1))
    spread = point_spread(
        geometry,
        shape,
        image_shape,
        filter=filter,
        n_iter=n_iter,
        cutoff=cutoff,
        order=order,
        threads=threads,
        cancel=cancel,
    )
    result[:] = np.fft.rfftn(np.fft.ifftshift(spread)).real
    return result


def sampled_fraction(angles_deg: npt.ArrayLike, thickness_over_pixel: float) -> float:
    """Return the fraction of Fourier space, inside the sphere of 0.5 cycles/px, that the tilts measure.

    A projection measures a plane that is as thick as the reciprocal of the specimen, 1 / (D px); the
    planes of one tilt axis overlap near it (Crowther, DeRosier & Klug 1970, Proc. R. Soc. A 317, 319).
    With many tilts this becomes the angular range over 180 degrees: the rest is the missing wedge.

    Parameters
    ----------
    angles_deg : (n_tilts,) [deg]
    thickness_over_pixel : float
        Diameter of the specimen across the tilt axis, in pixels.
    """
    if not thickness_over_pixel >= 1.0:
        raise InputError(
            f"thickness_over_pixel: found {thickness_over_pixel}, expected 1 or more pixels"
        )
    directions = np.unique(np.deg2rad(as_angles(angles_deg, "angles_deg")) % np.pi)
    gaps = np.diff(np.append(directions, directions[0] + np.pi))
    radii = (np.arange(512) + 0.5) / 1024.0
    half = np.arcsin(np.minimum(0.5 / (thickness_over_pixel * radii), 1.0))
    # On a circle of radius r each plane covers +-half; neighbours closer than that share.
    covered = np.minimum(gaps[:, None], 2.0 * half).sum(axis=0) / np.pi
    # Circles of radius r across the axis have the length 2 sqrt(1/4 - r^2) inside the sphere.
    weight = radii * np.sqrt(0.25 - radii**2)
    return float((covered * weight).sum() / weight.sum())
