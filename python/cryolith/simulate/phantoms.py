# SPDX-License-Identifier: BSD-3-Clause
"""Specimens with known truth: a layered needle, a free particle, a dense slab, a handed figure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .solids import Phantom, Solid, box, cylinder, ellipsoid, layer

__all__ = ["chiral", "needle", "particle", "slab"]

Float64 = npt.NDArray[np.float64]
Shape = tuple[int, int, int]


def needle(
    shape: Shape = (64, 96, 64),
    *,
    layers: Sequence[tuple[float, float]] | None = None,
    layer_tilt_deg: float = 0.0,
    layer_azimuth_deg: float = 0.0,
    radius: float | None = None,
    voids: int = 0,
    inclusions: int = 0,
    seed: int = 0,
) -> Phantom:
    """Return a rod along y made of layers, as cut by a focused ion beam.

    Parameters
    ----------
    shape : (nz, ny, nx)
    layers : sequence of (thickness [px], density), optional
        From -y to +y, centred as a whole. The first and the last go on beyond the volume, so their
        thickness only places the others. Default: seven layers, alternately 0.4 and 1.
    layer_tilt_deg, layer_azimuth_deg : float [deg]
        Angle of the layers' normal with +y, and the direction it leans to: 0 towards +x, 90 towards +z.
    radius : float [px], optional
        Default: 0.3 of the smaller of nz and nx.
    voids, inclusions : int
        Spheres of density 0, or of 1.5 times the densest layer, each inside one layer, apart from each other.
    seed : int
        Of the spheres.

    Returns
    -------
    Phantom
        ``truth``: ``values`` (n,), ``boundaries_px`` (n - 1,) positions along ``normal`` (3,) from the
        centre, ``thickness_px`` (n,) with NaN for the first and the last, ``radius_px``, and ``voids``
        and ``inclusions`` (k, 4) rows (z, y, x, radius) [px].

    Raises
    ------
    InputError
        No room for that many spheres.
    """
    nz, ny, nx = shape
    radius = 0.3 * min(nz, nx) if radius is None else radius
    if layers is None:
        layers = tuple((ny / 7.0, (0.4, 1.0)[i % 2]) for i in range(7))
    thickness, values = np.array(layers, np.float64).T
    edges = np.concatenate([[0.0], np.cumsum(thickness)]) - thickness.sum() / 2.0
    ends = np.concatenate(
        [[edges[0] - 4.0 * max(shape)], edges[1:-1], [edges[-1] + 4.0 * max(shape)]]
    )
    tilt, azimuth = np.deg2rad([layer_tilt_deg, layer_azimuth_deg])
    normal = np.array(
        [np.sin(tilt) * np.sin(azimuth), np.cos(tilt), np.sin(tilt) * np.cos(azimuth)]
    )
    round_wall = cylinder(1.0, radius).walls
    solids = []
    for low, high, value in zip(ends[:-1], ends[1:], values, strict=True):
        plate = layer(value, (low + high) / 2.0 * normal, normal, high - low)
        # The cylinder's wall acts on p - centre, and a leaning plate's centre is off the rod's axis:
        # move along the plate to the axis (y only), which changes neither.
        centre = np.array([0.0, (low + high) / 2.0 / normal[1], 0.0])
        solids.append(Solid(value=value, centre=centre, walls=plate.walls + round_wall))
    spheres = _spheres_in_layers(shape, edges, normal, radius, voids + inclusions, seed)
    host = values[np.searchsorted(edges[1:-1], spheres[:, :3] @ normal)]
    for i, (z, y, x, r) in enumerate(spheres):
        target = 0.0 if i < voids else 1.5 * values.max()
        solids.append(ellipsoid(target - host[i], (z, y, x), (r, r, r)))
    inner = thickness.copy()
    inner[[0, -1]] = np.nan
    truth = {
        "values": values,
        "boundaries_px": edges[1:-1],
        "thickness_px": inner,
        "normal": normal,
        "radius_px": radius,
        "voids": spheres[:voids],
        "inclusions": spheres[voids:],
    }
    return Phantom(shape=shape, solids=tuple(solids), truth=truth)


def _spheres_in_layers(
    shape: Shape, edges: Float64, normal: Float64, radius: float, count: int, seed: int
) -> Float64:
    """Draw spheres (z, y, x, r) that lie inside the rod, inside one layer, and a radius apart."""
    rng = np.random.default_rng(seed)
    found = np.empty((0, 4))
    for _ in range(20_000):
        if len(found) == count:
            return found
        r = rng.uniform(0.12, 0.22) * radius
        limit = np.array([radius, shape[1] / 2.0 - 2.0 * r, radius])
        at = rng.uniform(-1.0, 1.0, 3) * limit
        apart = np.linalg.norm(found[:, :3] - at, axis=1) - found[:, 3] - r
        in_rod = np.hypot(at[0], at[2]) + r < 0.9 * radius
        in_layer = np.abs(edges[1:-1] - at @ normal).min(initial=np.inf) > r + 1.0
        if in_rod and in_layer and (apart > r).all():
            found = np.vstack([found, [*at, r]])
    if len(found) == count:
        return found
    raise InputError(f"voids, inclusions: found room for {len(found)} spheres, expected {count}")


def _rotation(rng: np.random.Generator) -> Float64:
    """Draw a uniformly distributed rotation matrix from a unit quaternion."""
    w, x, y, z = rng.standard_normal(4)
    n = np.sqrt(w * w + x * x + y * y + z * z)
    w, x, y, z = w / n, x / n, y / n, z / n
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def particle(shape: Shape = (64, 64, 64), seed: int = 0, *, blobs: int = 12) -> Phantom:
    """Return an isolated, irregular cluster of ellipsoids, off-centre, wholly seen at every tilt.

    ``truth``: ``mass`` (sum of density times volume [px^3]) and ``centroid_px`` (z, y, x), both exact.
    """
    rng = np.random.default_rng(seed)
    size = float(min(shape))
    offset = rng.uniform(-0.08, 0.08, 3) * size
    solids = []
    mass, moment = 0.0, np.zeros(3)
    for _ in range(blobs):
        direction = rng.standard_normal(3)
        direction *= rng.uniform(0.0, 0.18) * size / np.linalg.norm(direction)
        semi_axes = rng.uniform(0.04, 0.11, 3) * size
        value = rng.uniform(0.5, 1.5)
        solids.append(ellipsoid(value, offset + direction, semi_axes, _rotation(rng)))
        part = value * 4.0 / 3.0 * np.pi * float(semi_axes.prod())
        mass += part
        moment += part * (offset + direction)
    truth = {"mass": mass, "centroid_px": moment / mass}
    return Phantom(shape=shape, solids=tuple(solids), truth=truth)


def slab(
    shape: Shape = (32, 64, 64),
    seed: int = 0,
    *,
    thickness: float | None = None,
    filling: float = 0.3,
    overhang: float = 3.0,
) -> Phantom:
    """Return a dense slab that fills every image, with material that only some tilts see.

    Parameters
    ----------
    shape : (nz, ny, nx)
    seed : int
    thickness : float [px], optional
        Default: 0.7 nz. The matrix has density 1.
    filling : float
        Expected fraction of the slab's volume in ellipsoids, dense ones and pores; no density is below 0.3.
    overhang : float
        The ellipsoids reach ``overhang`` times nx / 2 and 1.5 times ny / 2 from the centre; the matrix
        is endless.

    Returns
    -------
    Phantom
        ``truth``: ``thickness_px`` and ``matrix``, its density.
    """
    rng = np.random.default_rng(seed)
    nz, ny, nx = shape
    depth = 0.7 * nz if thickness is None else thickness
    solids = [layer(1.0, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), depth)]
    small, large = 0.06 * depth, 0.18 * depth
    # Mean of a product of three independent uniform radii.
    mean_volume = 4.0 / 3.0 * np.pi * ((small + large) / 2.0) ** 3
    room = np.array([depth / 2.0 - large, 0.75 * ny, overhang * nx / 2.0])
    count = int(filling * 8.0 * room.prod() / mean_volume)
    pores = np.empty((0, 3))
    for _ in range(count):
        at = rng.uniform(-1.0, 1.0, 3) * room
        value = rng.uniform(0.3, 1.0)
        apart = np.linalg.norm(pores - at, axis=1).min(initial=np.inf) > 2.0 * large
        if apart and rng.random() < 0.5:  # pores keep apart: no density falls below 0.3
            value = -rng.uniform(0.3, 0.7)
            pores = np.vstack([pores, at])
        solids.append(ellipsoid(value, at, rng.uniform(small, large, 3), _rotation(rng)))
    return Phantom(shape=shape, solids=tuple(solids), truth={"thickness_px": depth, "matrix": 1.0})


def chiral(shape: Shape = (64, 64, 64)) -> Phantom:
    """Return a handed figure of density 1: arms of three lengths from a cube, along +x, +y and +z.

    The arms are about 0.2 (x), 0.3 (y) and 0.4 (z) of the smallest extent; a mirrored copy cannot be turned
    into the figure. Every face lies between two voxels, so each voxel is 0 or 1.

    ``truth``: ``arms_px``, the length of each arm outside the cube by name, and ``mass`` [px^3].
    """
    size = min(shape)
    # Even along an axis of even length, odd along an odd one: then faces fall between voxels.
    cube = np.array([2 * round(0.05 * size) + n % 2 for n in shape], np.float64)
    arms = {"z": round(0.4 * size), "y": round(0.3 * size), "x": round(0.2 * size)}
    solids = [box(1.0, (0.0, 0.0, 0.0), cube)]
    for axis, length in enumerate(arms.values()):
        sizes, centre = cube.copy(), np.zeros(3)
        sizes[axis] = length
        centre[axis] = (cube[axis] + length) / 2.0
        solids.append(box(1.0, centre, sizes))
    mass = cube.prod() * (1.0 + sum(n / c for n, c in zip(arms.values(), cube, strict=True)))
    return Phantom(shape=shape, solids=tuple(solids), truth={"arms_px": arms, "mass": float(mass)})
