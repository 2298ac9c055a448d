# SPDX-License-Identifier: BSD-3-Clause
"""Surfaces of a phase as triangle meshes whose vertices lie on the edge, each with its error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..datamodel import Volume
from ..errors import InputError
from ..metrics import NoisePower
from ..projection import Geometry
from ._curvature import curvatures
from ._edge_refinement import edges_along, neighbours
from ._inputs import Float32, Float64, as_mask, unit_of
from ._known import Known, as_known
from ._mesh import areas_and_normals, relaxed
from ._search_inputs import HalvesLike
from ._smooth import smooth
from ._surface_distance import need
from .thresholds import otsu

__all__ = ["QUADRIC", "Surface", "surface"]

Int64 = npt.NDArray[np.int64]
# Errors of a quadric at its middle over those of the mean of its points. Measured on balls of 20 px in white noise of
# 0.1 and 0.3 of their contrast: scatter over the fit's own sigma 1.19 to 1.25.
QUADRIC = 1.2


@dataclass(frozen=True, kw_only=True, eq=False)
class Surface:
    """A triangle mesh whose faces turn counter-clockwise when seen from outside.

    Attributes
    ----------
    vertices : (n, 3) float64 [nm]
        (z, y, x) from the centre of the volume; in px where the pixel size is not known.
    faces : (m, 3) int64
        Indices of vertices.
    fields : mapping of str to (n,) array
        One number per vertex; the unit is in the name.
    pixel_size : float or None [angstrom]
        Edge of a voxel.
    shape : (int, int, int)
        (nz, ny, nx) of the volume that it lies in.
    """

    vertices: Float64
    faces: Int64
    shape: tuple[int, int, int]
    fields: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    pixel_size: float | None = None

    def __post_init__(self) -> None:
        for name, width in (("vertices", 3), ("faces", 3)):
            value = getattr(self, name)
            if value.ndim != 2 or value.shape[1] != width:
                raise InputError(f"{name}: found shape {value.shape}, expected (n, {width})")
        if len(self.faces) and not (
            self.faces.min() >= 0 and self.faces.max() < len(self.vertices)
        ):
            raise InputError(
                f"faces: found indices {self.faces.min()} to {self.faces.max()}, expected 0 to "
                f"{len(self.vertices) - 1}, those of the vertices"
            )
        for name, value in self.fields.items():
            if value.shape != (len(self.vertices),):
                raise InputError(
                    f"fields: found shape {value.shape} of {name!r}, expected ({len(self.vertices)},), one per vertex"
                )

    @property
    def unit(self) -> str:
        """nm, or px where the pixel size is not known."""
        return "px" if self.pixel_size is None else "nm"

    @property
    def pixel(self) -> float:
        """Edge of a voxel in that unit."""
        return 1.0 if self.pixel_size is None else self.pixel_size / 10.0

    def voxels(self) -> Float64:
        """Return the vertices as (z, y, x) indices of voxels."""
        out: Float64 = self.vertices / self.pixel + (np.array(self.shape) - 1) / 2
        return out


def surface(
    volume: Volume | npt.ArrayLike | None,
    level: float | None = None,
    *,
    labels: npt.ArrayLike | None = None,
    halves: HalvesLike | None = None,
    noise: NoisePower | npt.ArrayLike | None = None,
    geometry: Geometry | None = None,
    image_shape: tuple[int, int] | None = None,
    solve: Callable[..., Any] | None = None,
    smoothing_px: float = 1.5,
    radius_px: float = 3.0,
    curvature_px: float = 6.0,
    blur_px: float = 0.0,
    refine: int = 2,
    pixel_size: float | None = None,
    seed: int = 0,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Surface:
    """Return the surface of the bright phase as a triangle mesh, its vertices moved to where the edge is.

    Parameters
    ----------
    volume : (nz, ny, nx) real, or Volume
        NaN is refused. With ``halves`` their sum is used, and this may be None.
    level : float, optional
        Between the two phases, to find the surface; default Otsu's threshold of the smoothed volume. Where the
        vertices end up does not depend on it as long as it finds the right edges.
    labels : (nz, ny, nx) bool or integer, optional
        In place of a level: the surface around the voxels that are not 0.
    halves, noise, geometry, image_shape, solve, blur_px, seed, threads, cancel
        As for :func:`layer_thickness`. Without any the noise is fitted to the finest terms of the volume.
    smoothing_px : float, default 1.5
        Standard deviation of the Gaussian that the volume or the labels are smoothed by before marching cubes.
    radius_px : float, default 3
        Of the neighbourhood whose mean profile decides where the edge is: finer relief is averaged over.
    curvature_px : float, default 6
        Radius of the neighbourhood that the curvatures are fitted to.
    refine : int, default 2
        How often vertices are moved; 0 leaves them where marching cubes put them, without errors.
    pixel_size : float [angstrom], optional
        Taken from a Volume; without it lengths are in pixels (``_px``).

    Returns
    -------
    Surface
        With these fields per vertex:

        - ``normal_z``, ``normal_y``, ``normal_x``: out of the bright phase; ``area_nm2``: a third of its faces;
        - ``sigma_position_nm``: of the edge along the normal, from the noise; NaN where the fit ran to its end;
        - ``contrast``: step from outside to inside, in the volume's units;
        - ``seen``: share of a thin layer's profile that the volume shows there, 1 without a missing wedge;
        - ``mean_curvature_per_nm``, ``gaussian_curvature_per_nm2``: positive for a ball.

    Raises
    ------
    InputError
        NaN, shapes that do not fit, nothing on either side of the level, scikit-image missing.

    Notes
    -----
    An edge is the body below the surface as the volume would show it: voxels, blur, projection, reconstruction. It is
    moved along the normal until it fits the mean profile best, with level and contrast free, by generalised least
    squares with the noise's covariance. Neighbouring errors are correlated over ``radius_px``.

    References
    ----------
    Marching cubes: Lewiner et al., J. Graph. Tools 8 (2003) 1, by scikit-image. Smoothing: Taubin, SIGGRAPH (1995) 351.
    """
    known = as_known(
        volume, halves, noise, geometry, image_shape, solve, pixel_size, seed, threads, cancel
    )
    for name, value in (
        ("smoothing_px", smoothing_px),
        ("radius_px", radius_px),
        ("curvature_px", curvature_px),
    ):
        if not 0.5 <= value <= 50:
            raise InputError(f"{name}: found {value}, expected 0.5 to 50 px")
    vertices, faces = _marched(known.data, level, labels, smoothing_px)
    fields: dict[str, Float64] = {}
    for _ in range(refine):
        vertices, normals = _levelled(vertices, faces, radius_px)
        edges = edges_along(
            known.spectra,
            known.response,
            known.data,
            known.power,
            vertices,
            normals,
            radius_px,
            blur_px,
        )
        ends = np.abs(edges.offset) > 2.75
        sigma = np.where(ends, np.nan, QUADRIC * edges.sigma)
        vertices = vertices + np.where(ends, 0.0, edges.offset)[:, None] * normals
        vertices, _ = _levelled(vertices, faces, radius_px)
        fields = {"sigma_position": sigma, "contrast": edges.contrast, "seen": edges.seen}
    return _described(vertices, faces, fields, curvature_px, known)


def _marched(
    data: Float32, level: float | None, labels: npt.ArrayLike | None, width: float
) -> tuple[Float64, Int64]:
    """Return vertices [voxels] and faces, counter-clockwise seen from the dark side."""
    measure = need("skimage.measure")
    if labels is not None:
        inside = as_mask(labels, "labels", data.shape)
        field_, level = smooth(inside.astype(np.float32), width), 0.5
    else:
        field_ = smooth(data, width)
        level = otsu(field_)[0] if level is None else level
    if not field_.min() < level < field_.max():
        raise InputError(
            f"level: found {level}, expected one between {field_.min()} and {field_.max()}, the values of the "
            "smoothed volume"
        )
    vertices, faces, _, _ = measure.marching_cubes(field_, level, gradient_direction="descent")
    vertices, faces = vertices.astype(np.float64), faces.astype(np.int64)
    return relaxed(vertices, faces), faces


def _levelled(vertices: Float64, faces: Int64, radius: float) -> tuple[Float64, Float64]:
    """Return vertices moved onto quadrics through their neighbours, and normals; finer relief is noise."""
    _, normals = areas_and_normals(vertices, faces)
    relief = curvatures(vertices, normals, neighbours(vertices, normals, radius)).height
    return vertices + relief[:, None] * normals, normals


def _described(
    vertices: Float64, faces: Int64, fields: dict[str, Float64], radius: float, known: Known
) -> Surface:
    shape, pixel_size = known.data.shape, known.pixel_size
    unit, pixel = unit_of(pixel_size)
    areas, normals = areas_and_normals(vertices, faces)
    bent = curvatures(vertices, normals, neighbours(vertices, normals, radius))
    named = {f"normal_{a}": normals[:, i].copy() for i, a in enumerate("zyx")}
    named[f"area_{unit}2"] = areas * pixel**2
    if fields:
        named[f"sigma_position_{unit}"] = fields["sigma_position"] * pixel
        named |= {name: fields[name] for name in ("contrast", "seen")}
    named[f"mean_curvature_per_{unit}"] = bent.mean / pixel
    named[f"gaussian_curvature_per_{unit}2"] = bent.gaussian / pixel**2
    placed = (vertices - (np.array(shape) - 1) / 2) * pixel
    return Surface(vertices=placed, faces=faces, shape=shape, fields=named, pixel_size=pixel_size)
