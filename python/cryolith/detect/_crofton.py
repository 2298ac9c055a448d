# SPDX-License-Identifier: BSD-3-Clause
"""Areas of surfaces from how often lines in 13 directions cross them."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import numpy.typing as npt

from ._inputs import Float64

__all__ = ["DIRECTIONS", "FACES", "area_errors", "area_weights", "direction_shares"]

# (dz, dy, dx) in the order of the exits; cpp/detect/region_groups.hpp has the same.
DIRECTIONS = tuple(d for d in itertools.product((0, 1), (-1, 0, 1), (-1, 0, 1)) if d > (0, 0, 0))
FACES = tuple(DIRECTIONS.index(d) for d in ((1, 0, 0), (0, 1, 0), (0, 0, 1)))


@functools.lru_cache(maxsize=16)
def _shares(spacing: tuple[float, float, float]) -> Float64:
    along = np.array(DIRECTIONS) * spacing
    unit = along / np.linalg.norm(along, axis=1)[:, None]
    both = np.concatenate([unit, -unit])
    out = np.array([_cell(both, i) for i in range(len(unit))])
    return out / (2 * np.pi)


def direction_shares(spacing: tuple[float, float, float]) -> Float64:
    """Return the share of the sphere of directions that is nearest to each of the 13 lattice directions.

    Parameters
    ----------
    spacing : (3,) tuple of float
        Size of a voxel along z, y, x, in any unit.

    References
    ----------
    Legland, Kieu & Devaux, Image Anal. Stereol. 26 (2007) 83, table of 3-D weights for 13 directions (cubic voxels).
    """
    return _shares(spacing).copy()


def _cell(points: Float64, i: int) -> float:
    """Return the solid angle that is nearer to unit vector i than to the others."""
    others = np.delete(points, i, axis=0)
    walls = points[i] - others  # v in the cell: walls @ v >= 0
    first, second = np.triu_indices(len(walls), 1)
    corners = np.cross(walls[first], walls[second])
    length = np.linalg.norm(corners, axis=1)
    corners = corners[length > 1e-9] / length[length > 1e-9, None]
    corners = np.concatenate([corners, -corners])
    corners = corners[(corners @ walls.T >= -1e-9).all(axis=1)]
    # In order around the centre; a corner that several pairs of walls share comes up again, which adds nothing.
    side = corners[0] - (corners[0] @ points[i]) * points[i]
    angle = np.arctan2(corners @ np.cross(points[i], side), corners @ side)
    corners = corners[np.argsort(angle)]
    return float(
        sum(
            _triangle(points[i], a, b)
            for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)
        )
    )


def _triangle(a: Float64, b: Float64, c: Float64) -> float:
    """Return the solid angle of a spherical triangle (van Oosterom & Strackee 1983, eq. 8)."""
    volume = float(a @ np.cross(b, c))
    return 2 * float(np.arctan2(volume, 1 + a @ b + b @ c + c @ a))


def area_weights(spacing: npt.ArrayLike) -> Float64:
    """Return (13,) weights: area = sum over the directions of weight times the lines that end there.

    Crofton's formula: 4 c_d a_d with c_d the share of the direction and a_d the area of the lattice cell across it.
    """
    size = np.asarray(spacing, np.float64)
    length = np.linalg.norm(np.array(DIRECTIONS) * size, axis=1)
    scale = float(size.max())  # shares do not depend on the unit
    shares = _shares((float(size[0]) / scale, float(size[1]) / scale, float(size[2]) / scale))
    out: Float64 = 4 * shares * size.prod() / length
    return out


# Of an area in voxel edges: chance of where the lines lie, times A^(1/4), and what they miss along the rim, A^(1/2).
# Measured on balls, and on discs, caps and rods between two parts of a ball: design/019-components.md.
_LINES = 0.8
_RIM = 1.1


def area_errors(lines: Float64, spacing: npt.ArrayLike) -> Float64:
    """Return (n,) standard errors of areas by :func:`area_weights`, from (n, 13) lines that end in each direction.

    Three parts: 13 directions are too few the more the lines' numbers differ between them (1.96 of it hold the worst
    plane); the rim of a disc of this area, along which lines cross a third region instead, which adds to that as both
    make areas too small; and chance.
    """
    size = np.asarray(spacing, np.float64)
    scale = float(size.max())
    unit = (float(size[0]) / scale, float(size[1]) / scale, float(size[2]) / scale)
    weights, shares = area_weights(size), _shares(unit)
    area = lines @ weights
    spread = np.sqrt((lines * weights / shares - area[:, None]) ** 2 @ shares)
    edges = area / np.cbrt(size.prod()) ** 2
    missed = _worst_plane(unit) * spread + area * _RIM * edges**-0.5
    out: Float64 = np.hypot(missed, area * _LINES * edges**-0.75)
    return out


@functools.lru_cache(maxsize=16)
def _worst_plane(spacing: tuple[float, float, float]) -> float:
    """Return the error of a plane's area in the worst direction, as a share of its lines' spread, over 1.96."""
    along = np.array(DIRECTIONS) * spacing
    unit = along / np.linalg.norm(along, axis=1)[:, None]
    # The directions themselves and where two of the great circles across them meet, at which the area has its kinks:
    # within 3 % of the worst of 300000 random planes, for edges up to 1 : 2 : 3.
    first, second = np.triu_indices(len(unit), 1)
    normals = np.cross(unit[first], unit[second])
    length = np.linalg.norm(normals, axis=1)
    normals = np.concatenate([unit, normals[length > 1e-9] / length[length > 1e-9, None]])
    seen = 2 * np.abs(normals @ unit.T)
    shares = _shares(spacing)
    area = seen @ shares
    spread = np.sqrt((seen - area[:, None]) ** 2 @ shares)
    return float((np.abs(area - 1) / spread).max() / 1.96)
