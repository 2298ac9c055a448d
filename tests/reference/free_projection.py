# SPDX-License-Identifier: BSD-3-Clause
"""The projector of free poses as it is defined (design/009-general-geometry.md): slow, obvious, float64."""

from __future__ import annotations

import numpy as np

from .projection import STEEP, shears
from .turn import turned

# The axis summed across, of z, y, x, and those along the rows and the columns of the sheared image.
PLANES = {0: (1, 2), 1: (0, 2), 2: (0, 1)}


def plane_axis(beam):
    """The axis of (z, y, x) that is summed across; the first of equals, to rounding."""
    z, y, x = np.abs(beam)
    if max(y, x) <= STEEP * z * (1 + 1e-9):
        return 0
    return 2 if x > y * (1 + 1e-9) else 1


def view_matrix(m, shape, image_shape):
    """(height, width, nz, ny, nx) of one view m (2, 4): (row, column) from the image's centre = m (z, y, x, 1)."""
    beam = np.cross(m[0, :3], m[1, :3])
    across = plane_axis(beam)
    down, along = PLANES[across]
    middle = (np.array(shape) - 1) / 2
    shift_down, rest_down = shears(shape[across], -beam[down] / beam[across])
    shift_along, rest_along = shears(shape[across], -beam[along] / beam[across])
    # Samples that some voxel takes, as many on either side of the middle row, about which the last pass shears.
    first = np.array([shift_down.min() - 1, shift_along.min() - 1])
    extent = [shape[down] - 2 * first[0], shape[along] - 2 * first[1]]
    origin = m[:, down] * (first[0] - middle[down]) + m[:, along] * (first[1] - middle[along])
    origin = origin + m[:, 3] + (np.array(image_shape) - 1) / 2
    pixels = np.eye(np.prod(image_shape)).reshape(-1, *image_shape)
    samples = turned(pixels, origin, m[:, along], m[:, down], *extent)

    def sheared(j, i):  # sample (j, i) of the sheared image, from voxel (0, 0) of the middle plane
        return samples[:, j - first[0], i - first[1]].reshape(image_shape)

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
