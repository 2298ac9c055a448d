# SPDX-License-Identifier: BSD-3-Clause
"""The projector of free poses as it is defined (design/009-general-geometry.md): slow, obvious, float64."""

from __future__ import annotations

import numpy as np

from .projection import STEEP, TAPS, shears, tap_weights

# The axis summed across, of z, y, x, and those along the rows and the columns of the sheared image.
PLANES = {0: (1, 2), 1: (0, 2), 2: (0, 1)}


def plane_axis(beam):
    """The axis of (z, y, x) that is summed across; the first of equals, to rounding."""
    z, y, x = np.abs(beam)
    if max(y, x) <= STEEP * z * (1 + 1e-9):
        return 0
    return 2 if x > y * (1 + 1e-9) else 1


def sample(row, column, image_shape):
    """(height, width): the weight of each pixel in the image interpolated at (row, column)."""
    height, width = image_shape
    out = np.zeros((height + 2 * TAPS, width + 2 * TAPS))
    r, c = int(np.floor(row)), int(np.floor(column))
    if -TAPS < r < height + TAPS and -TAPS < c < width + TAPS:
        w = np.outer(tap_weights(row - r), tap_weights(column - c))
        r, c = r - 3 + TAPS, c - 3 + TAPS
        r0, c0, r1, c1 = max(r, 0), max(c, 0), min(r + TAPS, len(out)), min(c + TAPS, out.shape[1])
        out[r0:r1, c0:c1] = w[r0 - r : r1 - r, c0 - c : c1 - c]
    return out[TAPS:-TAPS, TAPS:-TAPS]


def view_matrix(m, shape, image_shape):
    """(height, width, nz, ny, nx) of one view m (2, 4): (row, column) from the image's centre = m (z, y, x, 1)."""
    beam = np.cross(m[0, :3], m[1, :3])
    across = plane_axis(beam)
    down, along = PLANES[across]
    middle = (np.array(shape) - 1) / 2
    shift_down, rest_down = shears(shape[across], -beam[down] / beam[across])
    shift_along, rest_along = shears(shape[across], -beam[along] / beam[across])
    samples = {}

    def sheared(j, i):  # sample (j, i) of the sheared image, from voxel (0, 0) of the middle plane
        if (j, i) not in samples:
            at = m[:, down] * (j - middle[down]) + m[:, along] * (i - middle[along]) + m[:, 3]
            samples[j, i] = sample(*(at + (np.array(image_shape) - 1) / 2), image_shape)
        return samples[j, i]

    out = np.zeros((*image_shape, *shape))
    for voxel in np.ndindex(*shape):
        p = voxel[across]
        j, i = voxel[down] + shift_down[p], voxel[along] + shift_along[p]
        fj, fi = rest_down[p], rest_along[p]
        out[(slice(None), slice(None), *voxel)] = (1 - fj) * (
            (1 - fi) * sheared(j, i) + fi * sheared(j, i + 1)
        ) + fj * ((1 - fi) * sheared(j + 1, i) + fi * sheared(j + 1, i + 1))
    return out


def matrix(matrices, shape, image_shape):
    """A: (n_views, height, width, nz, ny, nx), projections = A volume, before any weight of a view."""
    return np.array([view_matrix(m, shape, image_shape) for m in matrices])
