# SPDX-License-Identifier: BSD-3-Clause
"""Local thickness of a thin layer on a surface, seen through a missing wedge."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .. import _core
from ..datamodel import Volume
from ..errors import InputError
from ..metrics import NoisePower
from ..projection import Geometry
from ._contrast import learned_contrast
from ._inputs import Float64, Table, unit_of
from ._known import as_known, place_columns
from ._layer_fit import Grid, LayerFits, Prior, chi_square, fits_of, make_grid, without_misfit
from ._layer_model import (
    Library,
    Patches,
    Response,
    make_library,
    profile_covariances,
    ridged,
    seen_share,
)
from ._mesh import areas_and_normals, patches_of
from ._search_inputs import HalvesLike
from ._spectrum import Spectra
from ._surface_distance import signed_distance
from .surfaces import Surface

__all__ = ["LayerThickness", "layer_thickness"]

_WINDOW = 12.0  # px on either side of the surface that a profile holds
_LEAST_SEEN = 0.3  # of a layer's own profile: below it a thickness is not measurable
_WELL_SEEN = 0.6
# px: thickness of shells of 2 to 8 px whose noise was negligible, less the truth, rms (design/023-surfaces.md).
_MODEL = 0.05


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerThickness:
    """What :func:`layer_thickness` measured.

    Attributes
    ----------
    table : dict of str to (n_patches,) array
        Its columns are those of :func:`layer_thickness`.
    contrast, sigma_contrast : float
        Of the layer against its surroundings, in the volume's units, as used for all patches.
    inside : float
        Level of what lies below the layer against what lies above it, the median; 0 where the sides are alike.
    mean, sigma_mean : float [nm, or px]
        Thickness over all measurable patches but outliers (holes), weighted by their errors; the contrast's error
        counts once.
    patch : (n_vertices,) int64
        The row of each vertex of the surface, or -1.
    notes : tuple of str
    """

    table: Table
    contrast: float
    sigma_contrast: float
    inside: float
    mean: float
    sigma_mean: float
    patch: npt.NDArray[np.int64]
    notes: tuple[str, ...]


def layer_thickness(
    volume: Volume | npt.ArrayLike | None,
    surface: Surface,
    *,
    halves: HalvesLike | None = None,
    noise: NoisePower | npt.ArrayLike | None = None,
    geometry: Geometry | None = None,
    image_shape: tuple[int, int] | None = None,
    solve: Callable[..., Any] | None = None,
    offset_px: float = 0.0,
    shift_px: float = 2.0,
    most_px: float = 12.0,
    patch_px: float = 6.0,
    contrast: float | tuple[float, float] | None = None,
    sides: Literal["alike", "differ"] = "alike",
    blur_px: float = 0.0,
    pixel_size: float | None = None,
    seed: int = 0,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> LayerThickness:
    """Measure the thickness of a thin layer, patch by patch, from what the reconstruction would show of it.

    Parameters
    ----------
    volume : (nz, ny, nx) real, or Volume
        NaN is refused. With ``halves`` their sum is measured, and this may be None.
    surface : Surface
        Along which the layer lies, closed or not.
    halves : Halves, or (first, second), optional
        Two reconstructions that add up to the volume and whose noise is independent, such as
        ``wbp(stack, angles, halves="tilts")``: their difference gives the spectrum of the noise.
    noise : float, NoisePower or (nz, ny, nx // 2 + 1), optional
        Standard deviation of white noise, shells, or variance per voxel of each Fourier term. Without it and halves the
        noise is that of white images through ``geometry``, scaled to the finest terms of the volume.
    geometry : Geometry, optional
        How the images were taken. Without it the volume is taken to hold every direction.
    image_shape : (int, int), optional
        (height, width) of the images; default (ny, nx).
    solve : callable, default ``wbp``
        How the volume was reconstructed: a solver of :mod:`cryolith.reconstruct` with its options bound by
        ``functools.partial``. It must be linear.
    offset_px : float, default 0
        Where the middle of the layer is expected, from the surface along its normal: half the expected thickness for a
        layer outside of it.
    shift_px : float, default 2
        How far from there the middle may lie.
    most_px : float, default 12
        The greatest thickness that is tried.
    patch_px : float, default 6
        Radius of the patches over which profiles are averaged; errors go as its inverse.
    contrast : float or (float, float), optional
        Of the layer against its surroundings, in the volume's units, with its standard deviation. By default it is
        learned from the patches whose normals were seen well.
    sides : {"alike", "differ"}, default "alike"
        ``differ``: a layer on a body, whose level is found beside the contrast of the layer. Where they are alike,
        saying so makes the errors smaller.
    blur_px : float, default 0
        Standard deviation of blur beyond the width of a pixel: of the microscope, of the alignment.
    pixel_size : float [angstrom], optional
        Taken from the surface; without it lengths are in pixels (``_px``).
    seed : int, default 0
        Of planned noise.
    threads, cancel
        As for :func:`particles`.

    Returns
    -------
    LayerThickness
        One row of its table for each patch:

        - ``z_px``, ``y_px``, ``x_px`` (and ``z_nm``, ... from the centre): its middle; ``normal_z``, ...; ``area_nm2``;
        - ``thickness_nm``, ``sigma_thickness_nm``; ``thickness_low_nm``, ``thickness_high_nm``: 95 % profile-likelihood
          interval, which holds the error of the contrast (common to all rows);
        - ``shift_nm``, ``sigma_shift_nm``: of the layer's middle from ``offset_px``;
        - ``seen``: share of a thin layer's own profile that the volume shows there;
        - ``measurable``: seen is above 0.3 and the interval ends below ``most_px``. Where it is False the thickness is
          NaN; the interval says what is known nevertheless.

    Raises
    ------
    InputError
        NaN, shapes that do not fit, a surface that lies outside of the volume, a contrast that cannot be learned.

    Notes
    -----
    The bodies below the surface moved by -8 to 8 px are projected and reconstructed as the data were; a layer is the
    difference of two of them. Patches are fitted by generalised least squares on every pair of edges, with contrast
    and a sloping background in closed form.

    References
    ----------
    Profile likelihood: Venzon & Moolgavkar, Appl. Stat. 37 (1988) 87. Learned contrast: thicknesses summed over
    (Kiefer & Wolfowitz, Ann. Math. Stat. 27 (1956) 887). design/023-surfaces.md.
    """
    known = as_known(
        volume, halves, noise, geometry, image_shape, solve, pixel_size or surface.pixel_size,
        seed, threads, cancel,
    )  # fmt: skip
    data, spectra, response = known.data, known.spectra, known.response
    _check(surface, data.shape, sides, shift_px, most_px, patch_px, blur_px)
    if contrast is not None:
        _given_contrast(contrast)
    at = np.arange(-_WINDOW, _WINDOW + 0.5)
    vertices = surface.voxels()
    areas, normals = areas_and_normals(vertices, surface.faces)
    middle = vertices + offset_px * normals
    patches, owner = patches_of(
        middle, normals, areas, patch_px, _room(middle, normals, data.shape)
    )
    if patches.count == 0:
        raise InputError(
            f"surface: found no patch of {patch_px} px that is {_WINDOW:g} px inside of the volume, expected one"
        )
    library = _library(spectra, response, middle, normals, patches, most_px / 2 + shift_px, blur_px)
    covariance = ridged(profile_covariances(spectra, known.power, patches, at))
    profiles = patches.profiles(spectra, data, at)
    seen = seen_share(library, at)
    grid = make_grid(library, profiles, covariance, at, most_px, shift_px, sides == "differ")
    grid = without_misfit(grid, seen >= min(_WELL_SEEN, float(np.median(seen))), len(at))
    prior, words = _contrast(grid, seen, contrast)
    fits = fits_of(grid, *chi_square(grid, prior))
    table = _table(fits, patches, areas, owner, seen, data.shape, known.pixel_size, most_px)
    unit, pixel = unit_of(known.pixel_size)
    common = _by_contrast(grid, prior) * pixel
    mean, sigma = _mean(table[f"thickness_{unit}"], fits.sigma * pixel, common, pixel)
    return LayerThickness(
        table=table,
        contrast=prior.mean,
        sigma_contrast=prior.sigma,
        inside=float(np.median(fits.inside[seen >= min(_WELL_SEEN, float(seen.max()))])),
        mean=mean,
        sigma_mean=sigma,
        patch=owner,
        notes=(known.note, words),
    )


def _check(
    surface: Surface,
    shape: tuple[int, ...],
    sides: str,
    shift_px: float,
    most_px: float,
    patch_px: float,
    blur_px: float,
) -> None:
    if surface.shape != shape:
        raise InputError(
            f"surface: found one of a volume of {surface.shape}, expected {shape}, that of the volume"
        )
    if sides not in ("alike", "differ"):
        raise InputError(f"sides: found {sides!r}, expected 'alike' or 'differ'")
    for name, value, low, high in (
        ("shift_px", shift_px, 0.5, 6.0),
        ("most_px", most_px, 1.0, 16.0),
        ("patch_px", patch_px, 1.5, math.inf),
        ("blur_px", blur_px, 0.0, 10.0),
    ):
        if not low <= value <= high:
            raise InputError(f"{name}: found {value}, expected {low:g} to {high:g} px")


def _by_contrast(grid: Grid, prior: Prior) -> Float64:
    """Return how much each thickness changes with one standard deviation of the contrast [px]."""
    ends = [Prior(prior.mean + s * prior.sigma, 0.0) for s in (-1.0, 1.0)]
    low, high = (fits_of(grid, *chi_square(grid, p)).thickness for p in ends)
    return (high - low) / 2


def _mean(
    thickness: Float64, sigma: Float64, by_contrast: Float64, pixel: float
) -> tuple[float, float]:
    """Return the mean of what is measurable and its error: of the scatter, of the contrast and of the model."""
    used = np.isfinite(thickness) & np.isfinite(sigma) & (sigma > 0)
    if used.any():  # patches with holes are no part of the layer
        away = np.abs(thickness - np.median(thickness[used]))
        used &= away <= 4 * np.maximum(1.4826 * np.median(away[used]), sigma)
    if np.count_nonzero(used) < 2:
        return float("nan"), float("nan")
    weight = 1 / sigma[used] ** 2
    weight /= weight.sum()
    mean = float(weight @ thickness[used])
    scatter = float(weight**2 @ (thickness[used] - mean) ** 2) / (1 - float(weight @ weight))
    common = float(weight @ by_contrast[used])
    return mean, math.sqrt(scatter + common**2 + (_MODEL * pixel) ** 2)


def _room(points: Float64, normals: Float64, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Return which points have their whole profile inside of the volume."""
    out = np.ones(len(points), bool)
    for end in (-_WINDOW, _WINDOW):
        place = points + end * normals
        out &= ((place >= 0) & (place <= np.array(shape) - 1)).all(axis=1)
    return out


def _library(
    spectra: Spectra,
    response: Response,
    points: Float64,
    normals: Float64,
    patches: Patches,
    reach: float,
    blur: float,
) -> Library:
    level = signed_distance(spectra.shape, points, normals, reach + 2.0, spectra.threads)
    return make_library(spectra, response, level, patches, _WINDOW, reach, blur)


def _given_contrast(contrast: float | tuple[float, float]) -> Prior:
    mean, sigma = (contrast, 0.0) if isinstance(contrast, int | float) else contrast
    if not (math.isfinite(mean) and mean != 0 and math.isfinite(sigma) and sigma >= 0):
        raise InputError(
            f"contrast: found {contrast}, expected a number other than 0, and its sigma"
        )
    return Prior(float(mean), float(sigma))


def _contrast(
    grid: Grid, seen: Float64, contrast: float | tuple[float, float] | None
) -> tuple[Prior, str]:
    if contrast is not None:
        return _given_contrast(contrast), "contrast: as given"
    well = seen >= _WELL_SEEN
    if np.count_nonzero(well) < 10:
        raise InputError(
            f"contrast: found {np.count_nonzero(well)} patches that were seen well, expected 10 or more to learn it "
            "from; give contrast= or a smaller patch_px"
        )
    prior = learned_contrast(grid, well)
    return prior, f"contrast: learned from {np.count_nonzero(well)} patches that were seen well"


def _table(
    fits: LayerFits,
    patches: Patches,
    areas: Float64,
    owner: npt.NDArray[np.int64],
    seen: Float64,
    shape: tuple[int, ...],
    pixel_size: float | None,
    most: float,
) -> Table:
    unit, pixel = unit_of(pixel_size)
    place, normal = (
        np.stack(
            [
                np.bincount(patches.owner, patches.weights * a[:, i], patches.count)
                for i in range(3)
            ],
            1,
        )
        for a in (patches.points, patches.normals)
    )
    normal = normal / np.linalg.norm(normal, axis=1)[:, None]
    table = place_columns(np.asarray(place, np.float64), shape, pixel_size)
    table |= {f"normal_{a}": normal[:, i].copy() for i, a in enumerate("zyx")}
    used = owner >= 0
    table[f"area_{unit}2"] = np.bincount(owner[used], areas[used], patches.count) * pixel**2
    measurable = (seen >= _LEAST_SEEN) & (fits.high < most)
    for name, value in (("thickness", fits.thickness), ("sigma_thickness", fits.sigma)):
        table[f"{name}_{unit}"] = np.where(measurable, value * pixel, np.nan)
    table[f"thickness_low_{unit}"] = fits.low * pixel
    table[f"thickness_high_{unit}"] = fits.high * pixel
    table[f"shift_{unit}"] = fits.middle * pixel
    table[f"sigma_shift_{unit}"] = fits.sigma_middle * pixel
    return table | {"seen": seen, "measurable": measurable}
