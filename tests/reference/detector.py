# SPDX-License-Identifier: BSD-3-Clause
"""Voxels wider than pixels, as they are defined (design/009-general-geometry.md): slow, obvious, float64."""

from __future__ import annotations

import math

import numpy as np

from . import projection

TAPS, BETA = projection.TAPS, 6.0


def stretched_tap(distance):
    """The kernel of 003 at a distance in reduced pixels."""
    if abs(distance) >= TAPS / 2:
        return 0.0
    window = np.i0(BETA * math.sqrt(1 - (2 * distance / TAPS) ** 2)) / np.i0(BETA)
    return float(np.sinc(distance) * window)


def reduction(n, factor):
    """(m, n): weights of n pixels in each reduced pixel, about one centre; a margin of half a kernel on either side."""
    m = math.ceil(n / factor) + TAPS
    out = np.zeros((m, n))
    for j in range(m):
        at = (n - 1) / 2 + factor * (j - (m - 1) / 2)
        reach = math.ceil(TAPS / 2 * factor) + 1
        near = range(math.floor(at) - reach, math.ceil(at) + reach + 1)
        total = sum(stretched_tap((i - at) / factor) for i in near)
        for i in near:
            if 0 <= i < n:
                out[j, i] = stretched_tap((i - at) / factor) / total
    return out


def matrix(geometry, shape, image_shape, factor):
    """A: (n_tilts, height, width, nz, ny, nx), for the pixels of one detector reduced by ``factor``."""
    down, across = (reduction(n, factor) for n in image_shape)
    poses = geometry.poses()
    poses[:, 4:8] /= factor  # shift, axis offset and scale, in reduced pixels
    inner = projection.matrix(poses, shape, (len(down), len(across)))
    weights = geometry.sampling**3 * geometry.magnifications**2
    return np.einsum("t,jh,kw,tjkzyx->thwzyx", weights, down, across, inner, optimize=True)
