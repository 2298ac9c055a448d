# SPDX-License-Identifier: BSD-3-Clause
"""Local shifts, as they are defined (design/009-general-geometry.md): slow, obvious, float64."""

from __future__ import annotations

import numpy as np

from .turn import tap_weights


def thin_plate(points, values, at):
    """Values (m, 2) at places ``at`` of the surface of least bending through ``values`` (k, 2) at ``points``."""
    k = len(points)

    def bend(p, q):
        square = ((p[:, None] - q[None]) ** 2).sum(-1)
        return np.where(square > 0, square * np.log(np.where(square > 0, square, 1)), 0)

    def plane(p):
        return np.column_stack([np.ones(len(p)), p])

    system = np.block([[bend(points, points), plane(points)], [plane(points).T, np.zeros((3, 3))]])
    solved = np.linalg.lstsq(system, np.vstack([values, np.zeros((3, 2))]), rcond=None)[0]
    return bend(at, points) @ solved[:k] + plane(at) @ solved[k:]


def displacement(nodes, spacing, r, c):
    """(row, column) displacement of a pixel: linear between nodes (2, rows, columns)."""
    y, x = r // spacing, c // spacing
    f, g = (r % spacing) / spacing, (c % spacing) / spacing
    y1, x1 = min(y + 1, nodes.shape[1] - 1), min(x + 1, nodes.shape[2] - 1)
    upper = (1 - g) * nodes[:, y, x] + g * nodes[:, y, x1]
    lower = (1 - g) * nodes[:, y1, x] + g * nodes[:, y1, x1]
    return (1 - f) * upper + f * lower


def matrix(nodes, spacing, shape):
    """(height, width, height, width): what each pixel of a straightened image takes of those of the image."""
    height, width = shape
    out = np.zeros((height, width, height, width))
    for r in range(height):
        for c in range(width):
            dr, dc = displacement(nodes, spacing, r, c)
            for i, w in taps(r + dr):
                for j, v in taps(c + dc):
                    if 0 <= i < height and 0 <= j < width:
                        out[r, c, i, j] += w * v
    return out


def taps(position):
    """(pixel, weight) of the kernel of 003 around a position."""
    first = int(np.floor(position))
    return list(enumerate(tap_weights(position - first), first - 3))
