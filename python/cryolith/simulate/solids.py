# SPDX-License-Identifier: BSD-3-Clause
"""Convex solids whose line integrals are exact, and the phantom that is a sum of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError

__all__ = ["Phantom", "Solid", "box", "cylinder", "ellipsoid", "layer"]

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Solid:
    """The points p with ``|A (p - centre)| <= 1`` for every ``A`` in ``walls``.

    One row in ``A`` is a slab, two are an elliptic cylinder, three an ellipsoid; an intersection of convex
    bodies is convex, so that a ray meets a solid in one interval.

    Attributes
    ----------
    value : float
        Density; it adds to that of the solids it lies in, so a void in a host is a solid of the host's
        negative value.
    centre : (3,) float64 [px]
        (z, y, x) from the centre of the volume.
    walls : tuple of (k, 3) float64 [1/px]
        The rows act on (z, y, x).
    reach : float [px]
        Radius of a ball around ``centre`` that holds the solid; infinite if it has none.
    """

    value: float
    centre: Float64
    walls: tuple[Float64, ...]
    reach: float = math.inf

    def interval(self, start: Float64, direction: Float64) -> tuple[Float64, Float64]:
        """Return where rays enter and leave: ``start + t direction``; entry >= exit is a miss.

        Parameters
        ----------
        start : (3, ...) float64 [px]
            A point (z, y, x) of each ray, from the centre of the volume.
        direction : (3,) float64
            The same for all rays; the interval is in units of its length.

        Returns
        -------
        enter, leave : (...) float64
        """
        enter = np.full(start.shape[1:], -np.inf)
        leave = np.full(start.shape[1:], np.inf)
        from_centre = start - self.centre.reshape((3,) + (1,) * (start.ndim - 1))
        for wall in self.walls:
            along = wall @ direction
            offset = np.tensordot(wall, from_centre, axes=1)
            aa = float(along @ along)
            inside = np.einsum("k...,k...->...", offset, offset) - 1.0
            if aa <= 1e-24:  # the ray runs along this wall: inside everywhere or nowhere
                leave = np.where(inside <= 0.0, leave, -np.inf)
                continue
            middle = -np.tensordot(along, offset, axes=1) / aa
            half = np.sqrt(np.maximum(middle**2 - inside / aa, 0.0))
            enter = np.maximum(enter, middle - half)
            leave = np.minimum(leave, middle + half)
        return enter, leave


def _axes(rotation: npt.ArrayLike | None) -> Float64:
    if rotation is None:
        return np.eye(3)
    r = np.asarray(rotation, np.float64)
    if r.shape != (3, 3) or not np.allclose(r @ r.T, np.eye(3), atol=1e-9):
        raise InputError(
            "rotation: expected a (3, 3) orthogonal matrix whose rows are the body's axes"
        )
    return r


def _triple(value: npt.ArrayLike, name: str) -> Float64:
    v = np.asarray(value, np.float64)
    if v.shape != (3,) or not np.isfinite(v).all():
        raise InputError(f"{name}: found {value!r}, expected three finite numbers (z, y, x)")
    return v


def _require_positive(value: float, name: str) -> None:
    if not 0.0 < value < math.inf:
        raise InputError(f"{name}: found {value}, expected a positive finite length")


def ellipsoid(
    value: float,
    centre: npt.ArrayLike,
    semi_axes: npt.ArrayLike,
    rotation: npt.ArrayLike | None = None,
) -> Solid:
    """Return an ellipsoid; ``semi_axes`` [px] along the rows of ``rotation`` (default: z, y, x)."""
    half = _triple(semi_axes, "semi_axes")
    _require_positive(half.min(), "semi_axes")
    wall = _axes(rotation) / half[:, None]
    return Solid(
        value=value, centre=_triple(centre, "centre"), walls=(wall,), reach=float(half.max())
    )


def box(
    value: float,
    centre: npt.ArrayLike,
    sizes: npt.ArrayLike,
    rotation: npt.ArrayLike | None = None,
) -> Solid:
    """Return a box; ``sizes`` [px] are whole edges along the rows of ``rotation`` (default: z, y, x)."""
    half = _triple(sizes, "sizes") / 2.0
    _require_positive(half.min(), "sizes")
    walls = tuple((_axes(rotation) / half[:, None])[:, None, :])
    reach = float(np.linalg.norm(half))
    return Solid(value=value, centre=_triple(centre, "centre"), walls=walls, reach=reach)


def layer(value: float, centre: npt.ArrayLike, normal: npt.ArrayLike, thickness: float) -> Solid:
    """Return an endless slab of ``thickness`` [px] across ``normal``."""
    n = _triple(normal, "normal")
    _require_positive(float(np.linalg.norm(n)), "normal")
    _require_positive(thickness, "thickness")
    wall = (n / np.linalg.norm(n) * 2.0 / thickness)[None, :]
    return Solid(value=value, centre=_triple(centre, "centre"), walls=(wall,))


def cylinder(value: float, radius: float) -> Solid:
    """Return an endless cylinder of ``radius`` [px] around the y axis through the centre."""
    _require_positive(radius, "radius")
    wall = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) / radius
    return Solid(value=value, centre=np.zeros(3), walls=(wall,))


@dataclass(frozen=True, kw_only=True, eq=False)
class Phantom:
    """A specimen made of solids, with what is true of it.

    ``numpy.asarray(phantom)`` is its volume, so that it goes wherever an array goes.

    Attributes
    ----------
    shape : tuple of int
        (nz, ny, nx) of its volume.
    solids : tuple of Solid
        Their values add.
    truth : mapping of str to object
        What a measurement should find; the function that made the phantom says which facts.
    """

    shape: tuple[int, int, int]
    solids: tuple[Solid, ...]
    truth: Mapping[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def volume(self) -> npt.NDArray[np.float32]:
        """(nz, ny, nx) float32: mean density of each voxel; exact along z, 3 x 3 rays a voxel across."""
        total = np.zeros(self.shape)
        for solid in self.solids:
            _add_voxels(total, solid)
        out = np.round(total, 12).astype(np.float32)  # faces between voxels leave dust of 1e-15
        out.flags.writeable = False
        return out

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        volume: npt.NDArray[Any] = self.volume.astype(dtype or np.float32, copy=bool(copy))
        return volume

    def project(self, rays: Float64, direction: Float64) -> Float64:
        """Return the line integrals of all solids, averaged over 2 x 2 exact rays in each pixel.

        Parameters
        ----------
        rays : (3, ny, nx) float64 [px]
            A point (z, y, x) on the ray of each pixel's centre, from the centre of the volume, on a
            regular grid.
        direction : (3,) float64
            Unit vector along the beam.

        Returns
        -------
        (ny, nx) float64
            Density times length [px].
        """
        out = np.zeros(rays.shape[1:])
        down, across = _pitch(rays)
        corners = ((a * down + b * across) / 4.0 for a in (-1.0, 1.0) for b in (-1.0, 1.0))
        shift = np.stack(list(corners), axis=1)[:, :, None, None]
        for solid in self.solids:
            window = _window(rays, direction, solid)
            if window is None:
                continue
            enter, leave = solid.interval(rays[:, None, window[0], window[1]] + shift, direction)
            out[window] += solid.value * np.maximum(leave - enter, 0.0).mean(axis=0)
        return out


def _pitch(rays: Float64) -> tuple[Float64, Float64]:
    """Return the steps from a ray to its neighbours below and to the right; 0 where there is none."""
    ny, nx = rays.shape[1:]
    down = (rays[:, -1, 0] - rays[:, 0, 0]) / max(ny - 1, 1)
    across = (rays[:, 0, -1] - rays[:, 0, 0]) / max(nx - 1, 1)
    return down, across


def _window(rays: Float64, direction: Float64, solid: Solid) -> tuple[slice, slice] | None:
    """Return the part of the image that a solid can touch; None if there is none."""
    ny, nx = rays.shape[1:]
    if math.isinf(solid.reach):
        return slice(0, ny), slice(0, nx)
    # Rays form an affine grid: solve for the (row, column) whose ray passes through the centre.
    frame = np.stack([*_pitch(rays), direction], axis=1)
    at, *_ = np.linalg.lstsq(frame, solid.centre - rays[:, 0, 0], rcond=None)
    pitch = np.linalg.norm(frame[:, :2], axis=0)
    reach = solid.reach / np.where(pitch > 0.0, pitch, 1.0) + 1.0
    low = np.maximum(np.floor(at[:2] - reach), 0).astype(int)
    high = np.minimum(np.ceil(at[:2] + reach) + 1, (ny, nx)).astype(int)
    if (low >= high).any():
        return None
    return slice(low[0], high[0]), slice(low[1], high[1])


def _add_voxels(total: Float64, solid: Solid) -> None:
    """Add one solid to a volume: each voxel gets the filled length of 3 x 3 rays along z, averaged."""
    shape = np.array(total.shape)
    half = (shape - 1) / 2.0
    # numpy's minimum and maximum turn an infinite reach into the whole volume.
    low = np.maximum(np.floor(solid.centre + half - solid.reach), 0).astype(int)
    high = np.minimum(np.ceil(solid.centre + half + solid.reach) + 1, shape).astype(int)
    if (low >= high).any():
        return
    z = np.arange(low[0], high[0])[:, None, None] - half[0]
    part = np.zeros(tuple(high - low))
    thirds = (-1 / 3, 0.0, 1 / 3)
    for dy in thirds:
        for dx in thirds:
            y = np.arange(low[1], high[1]) - half[1] + dy
            x = np.arange(low[2], high[2]) - half[2] + dx
            start = np.stack(np.broadcast_arrays(0.0, y[:, None], x[None, :]))
            enter, leave = solid.interval(start, np.array([1.0, 0.0, 0.0]))
            part += np.maximum(np.minimum(leave, z + 0.5) - np.maximum(enter, z - 0.5), 0.0)
    where = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    total[where] += solid.value / 9.0 * part
