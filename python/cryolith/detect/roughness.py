# SPDX-License-Identifier: BSD-3-Clause
"""How rough a surface is, by wavelength."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ._curvature import tangents
from ._inputs import Float64, Table
from ._mesh import areas_and_normals, patches_owner
from ._surface_distance import need
from .surfaces import Surface

__all__ = ["roughness"]

_NEAREST = 3  # vertices that a height on the grid is taken from


def roughness(surface: Surface, patch_px: float = 16.0) -> Table:
    """Return the power spectrum of a surface's height over its smooth part.

    Parameters
    ----------
    surface : Surface
        Nearly flat or closed.
    patch_px : float, default 16
        Radius of the patches; a quadric through each is its smooth part, so that waves longer than that do not count.

    Returns
    -------
    dict of str to (n,) array
        ``wavelength_nm``, descending; ``power_nm4`` with ``sigma_power_nm4``: spectral density of the height in two
        dimensions, the mean over patches and directions; ``rms_nm``: root of the power of all waves at least as
        long, the last of them the whole.

    Raises
    ------
    InputError
        A patch of less than 4 px; fewer than two whole patches.

    Notes
    -----
    Heights are taken on a grid of one pixel in the square within each patch, tapered by a Hann window; int int C d^2q
    is the mean square, q in cycles per length. The noise of the vertices is in it, and relief finer than the
    ``radius_px`` of :func:`surface` is not. Errors are those of the mean over patches.

    References
    ----------
    Jacobs, Junge & Pastewka, Surf. Topogr. 5 (2017) 013001, eq. 7 (two-dimensional power spectrum).
    """
    if not patch_px >= 4:
        raise InputError(f"patch_px: found {patch_px}, expected 4 px or more")
    points = surface.voxels()
    areas, normals = areas_and_normals(points, surface.faces)
    owner, count = patches_owner(points, normals, areas, patch_px, np.ones(len(points), bool))
    side = max(4, math.floor(patch_px * math.sqrt(2)))
    spectra = [_spectrum(points[owner == p], normals[owner == p], side) for p in range(count)]
    whole = np.array([s for s in spectra if s is not None])
    if len(whole) < 2:
        raise InputError(
            f"surface: found {len(whole)} whole patches of {patch_px} px, expected two or more"
        )
    pixel, unit = surface.pixel, surface.unit
    q = np.arange(1, whole.shape[1] + 1) / side
    power, error = whole.mean(axis=0), whole.std(axis=0, ddof=1) / math.sqrt(len(whole))
    # Rings of the grid of frequencies, 1 / side wide; the outermost is as much of it as there is.
    ring = np.bincount(_ring(side).ravel(), minlength=len(q) + 1)[1 : len(q) + 1] / side**2
    return {
        f"wavelength_{unit}": pixel / q,
        f"power_{unit}4": power * pixel**4,
        f"sigma_power_{unit}4": error * pixel**4,
        f"rms_{unit}": np.sqrt(np.cumsum(power * ring)) * pixel,
    }


def _ring(side: int) -> npt.NDArray[np.int64]:
    f = np.fft.fftfreq(side) * side
    return np.asarray(np.rint(np.hypot(f[:, None], f[None])), np.int64)


def _spectrum(points: Float64, normals: Float64, side: int) -> Float64 | None:
    """Return the mean power in rings of one patch; None where its square is not filled."""
    normal = normals.mean(axis=0)
    normal /= np.linalg.norm(normal)
    first, second = tangents(normal[None])
    away = points - points.mean(axis=0)
    u, v, h = away @ first[0], away @ second[0], away @ normal
    design = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], 1)
    rest = h - design @ np.linalg.lstsq(design, h, rcond=None)[0]
    at = np.arange(side) - (side - 1) / 2
    grid = np.stack(np.meshgrid(at, at, indexing="ij"), -1).reshape(-1, 2)
    gap, index = need("scipy.spatial").cKDTree(np.stack([u, v], 1)).query(grid, k=_NEAREST)
    if gap[:, 0].max() > 2.0:
        return None
    weight = 1 / (gap**2 + 1e-3)
    height = ((rest[index] * weight).sum(axis=1) / weight.sum(axis=1)).reshape(side, side)
    taper = np.outer(*[np.hanning(side + 2)[1:-1]] * 2)
    power = np.abs(np.fft.fft2(height * taper)) ** 2 / (taper**2).sum()
    ring = _ring(side)
    total, size = np.bincount(ring.ravel(), power.ravel()), np.bincount(ring.ravel())
    out: Float64 = (total / size)[1 : side // 2 + 1]
    return out
