# SPDX-License-Identifier: BSD-3-Clause
"""Offsets that noise alone gives the vertices of a surface, drawn."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .. import _core
from ..errors import InputError
from ._curvature import curvatures
from ._edge_refinement import mean_over, neighbours
from ._edges import SHARPEST
from ._inputs import Float32, Float64
from ._layer_model import KERNEL, spline_coefficients, spline_values
from ._search_inputs import HalvesLike, given_volumes
from ._spectrum import Spectra, measured_noise
from .surfaces import QUADRIC, Surface

__all__ = ["drawn_offsets"]

_REFINED = 2  # times that vertices are moved, the default of surface()


def drawn_offsets(
    surface: Surface,
    points: Float64,
    normals: Float64,
    halves: HalvesLike | None,
    radius: float,
    smoothing: float,
    draws: int,
    seed: int,
    threads: int,
    cancel: _core.CancelToken | None,
) -> Iterator[Float64]:
    """Yield (n,) offsets along the normals [px] of one draw of noise each.

    To first order in the noise, what :func:`surface` does: the start is the smoothed volume's level, edges are fitted
    to profiles averaged over neighbours that lie where the vertices are, quadrics level them before and after.
    """
    spectra = Spectra(surface.shape, threads, cancel)
    root = _root(spectra, surface, halves)
    near = neighbours(points, normals, radius)
    wanted = surface.fields[f"sigma_position_{surface.unit}"] / surface.pixel / QUADRIC
    wanted = np.where(np.isfinite(wanted), wanted, np.nanmedian(wanted))

    def levelled(height: Float64) -> Float64:
        scale = 1e-3  # small enough for the quadrics to be linear in it
        moved = points + scale * height[:, None] * normals
        rest = curvatures(moved, normals, near).height - flat
        out: Float64 = height + rest / scale
        return out

    flat = curvatures(points, normals, near).height
    for i in range(draws):
        noise = np.random.default_rng((seed, i)).standard_normal(surface.shape, np.float32)
        if root is not None:
            noise = spectra.inverse(spectra.forward(noise) * root)
        edge = _edge_offsets(spectra, noise, points, normals)
        mean = mean_over(near, edge)
        factor = wanted / np.sqrt((mean**2).mean())
        mean, start = factor * mean, factor * _level_offsets(spectra, noise, points, smoothing)
        height = levelled(start)
        for _ in range(_REFINED):
            height = levelled(height)
            height = levelled(height - mean_over(near, height) + mean)
        yield height


def _root(spectra: Spectra, surface: Surface, halves: HalvesLike | None) -> Float32 | None:
    if halves is None:
        return None
    data, difference, _ = given_volumes(None, halves, None)
    if data.shape != surface.shape:
        raise InputError(
            f"halves: found shape {data.shape}, expected that of the surface's volume, {surface.shape}"
        )
    assert difference is not None
    out: Float32 = np.sqrt(np.maximum(measured_noise(spectra, difference), 0)).astype(np.float32)
    return out


def _edge_offsets(spectra: Spectra, noise: Float32, points: Float64, normals: Float64) -> Float64:
    """Return the offsets of edges of unit contrast fitted to each vertex's own profile of white noise.

    The step's slope is a Gaussian g of the kernel's width w: g * noise over g * g, which is 1 / (2 sqrt(pi) w).
    """
    width = np.hypot(KERNEL, SHARPEST)
    at = np.arange(-3.0, 3.5, 0.5)
    slope = np.exp(-0.5 * (at / width) ** 2)
    slope *= 2 * np.sqrt(np.pi) * width / slope.sum()
    table = spline_coefficients(spectra, noise)
    out = np.zeros(len(points))
    for depth, weight in zip(at, slope, strict=True):
        out += weight * spline_values(table, points + depth * normals)
    return out


def _level_offsets(spectra: Spectra, noise: Float32, points: Float64, smoothing: float) -> Float64:
    """Return where the level of a volume smoothed by ``smoothing`` moves on an edge of unit contrast."""
    width = np.hypot(smoothing, SHARPEST)
    table = spline_coefficients(spectra, noise, None, smoothing)
    out: Float64 = np.sqrt(2 * np.pi) * width * spline_values(table, points)
    return out
