# SPDX-License-Identifier: BSD-3-Clause
"""How rough a surface is, by wavelength, free of the noise of its vertices."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import InputError
from ._curvature import tangents
from ._inputs import Float64, Table
from ._mesh import areas_and_normals, patches_owner
from ._search_inputs import HalvesLike
from ._surface_distance import need
from ._vertex_noise import drawn_offsets
from .surfaces import Surface

__all__ = ["roughness"]

_NEAREST = 3  # vertices that a height on the grid is taken from
_DRAWS = 8  # of the vertices' noise
_ALIKE = 0.2  # of its power: what is drawn against smooth balls in white noise and in that of a reconstruction


def roughness(
    surface: Surface,
    patch_px: float = 16.0,
    *,
    halves: HalvesLike | None = None,
    radius_px: float = 3.0,
    smoothing_px: float = 1.5,
    seed: int = 0,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Table:
    """Return the power spectrum of a surface's height over its smooth part, less that of its vertices' noise.

    Parameters
    ----------
    surface : Surface
        Nearly flat or closed. Its field ``sigma_position`` says how large the noise is; without it none is taken off.
    patch_px : float, default 16
        Radius of the patches; a quadric through each is its smooth part, so that waves longer than that do not count.
    halves : Halves, or (first, second), optional
        The two reconstructions that the surface was found in: their difference gives the colour of the noise, which is
        taken for white without them.
    radius_px, smoothing_px : float, default 3 and 1.5
        Those that :func:`surface` was made with: over them neighbouring errors are correlated.
    seed : int, default 0
        Of the noise that is drawn.
    threads, cancel
        As for :func:`label`.

    Returns
    -------
    dict of str to (n,) array
        ``wavelength_nm``, descending; ``power_nm4`` with ``sigma_power_nm4``: spectral density of the height in two
        dimensions, the mean over patches and directions, less ``noise_power_nm4``, that of the noise; ``rms_nm`` with
        ``sigma_rms_nm``: root of the power of all waves at least as long, the last of them the whole; 0 where noise
        alone would have more power.

    Raises
    ------
    InputError
        A patch of less than 4 px; fewer than two whole patches; halves of another shape than the surface's volume.

    Notes
    -----
    Heights are taken on a grid of one pixel in the square within each patch, tapered by a Hann window; int int C d^2q
    is the mean square, q in cycles per length. Relief finer than ``radius_px`` is averaged over. Volumes of noise are
    drawn and go through what :func:`surface` does to vertices, to first order, scaled to their errors; their heights
    take the same way as the surface's. Errors are those of the mean over patches and over draws, and 20 % of the noise.

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
    members = [np.flatnonzero(owner == p) for p in range(count)]
    whole = _spectra(points, normals, members, side)
    if len(whole) < 2:
        raise InputError(
            f"surface: found {len(whole)} whole patches of {patch_px} px, expected two or more"
        )
    power, error = whole.mean(axis=0), whole.std(axis=0, ddof=1) / math.sqrt(len(whole))
    noise = np.zeros((1, *whole.shape[1:]))
    if f"sigma_position_{surface.unit}" in surface.fields:
        offsets = drawn_offsets(
            surface, points, normals, halves, radius_px, smoothing_px, _DRAWS, seed, threads, cancel
        )
        noise = np.stack(
            [_spectra(points, normals, members, side, o).mean(axis=0) for o in offsets]
        )
    taken = noise.mean(axis=0)
    if len(noise) > 1:
        drawn = noise.std(axis=0, ddof=1) / math.sqrt(len(noise))
        error = np.sqrt(error**2 + drawn**2 + (_ALIKE * taken) ** 2)
    return _table(power - taken, error, taken, side, surface)


def _table(power: Float64, error: Float64, noise: Float64, side: int, surface: Surface) -> Table:
    pixel, unit = surface.pixel, surface.unit
    q = np.arange(1, len(power) + 1) / side
    # Rings of the grid of frequencies, 1 / side wide; the outermost is as much of it as there is.
    ring = np.bincount(_ring(side).ravel(), minlength=len(q) + 1)[1 : len(q) + 1] / side**2
    rms = np.sqrt(np.maximum(np.cumsum(power * ring), 0))
    spread = np.sqrt(np.cumsum((error * ring) ** 2))
    return {
        f"wavelength_{unit}": pixel / q,
        f"power_{unit}4": power * pixel**4,
        f"sigma_power_{unit}4": error * pixel**4,
        f"noise_power_{unit}4": noise * pixel**4,
        f"rms_{unit}": rms * pixel,
        # Of a root: half of the square's over it, but no more than the root of the square's.
        f"sigma_rms_{unit}": np.minimum(spread / np.maximum(2 * rms, 1e-12), np.sqrt(spread))
        * pixel,
    }


def _ring(side: int) -> npt.NDArray[np.int64]:
    f = np.fft.fftfreq(side) * side
    return np.asarray(np.rint(np.hypot(f[:, None], f[None])), np.int64)


def _spectra(
    points: Float64,
    normals: Float64,
    members: list[npt.NDArray[np.int64]],
    side: int,
    height: Float64 | None = None,
) -> Float64:
    """Return (n_whole, n_rings) mean powers of the patches whose square is filled: of ``height``, or of the points'."""
    found = (
        _spectrum(points[m], normals[m], side, None if height is None else height[m])
        for m in members
    )
    return np.array([s for s in found if s is not None])


def _spectrum(
    points: Float64, normals: Float64, side: int, height: Float64 | None
) -> Float64 | None:
    normal = normals.mean(axis=0)
    normal /= np.linalg.norm(normal)
    first, second = tangents(normal[None])
    away = points - points.mean(axis=0)
    u, v = away @ first[0], away @ second[0]
    h = away @ normal if height is None else height
    design = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], 1)
    rest = h - design @ np.linalg.lstsq(design, h, rcond=None)[0]
    at = np.arange(side) - (side - 1) / 2
    grid = np.stack(np.meshgrid(at, at, indexing="ij"), -1).reshape(-1, 2)
    gap, index = need("scipy.spatial").cKDTree(np.stack([u, v], 1)).query(grid, k=_NEAREST)
    if gap[:, 0].max() > 2.0:
        return None
    weight = 1 / (gap**2 + 1e-3)
    filled = ((rest[index] * weight).sum(axis=1) / weight.sum(axis=1)).reshape(side, side)
    taper = np.outer(*[np.hanning(side + 2)[1:-1]] * 2)
    power = np.abs(np.fft.fft2(filled * taper)) ** 2 / (taper**2).sum()
    ring = _ring(side)
    total, size = np.bincount(ring.ravel(), power.ravel()), np.bincount(ring.ravel())
    out: Float64 = (total / size)[1 : side // 2 + 1]
    return out
