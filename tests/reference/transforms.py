# SPDX-License-Identifier: BSD-3-Clause
"""The definitions behind registration with rotation and scale: slow, obvious, float64."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from . import projection

Array = npt.NDArray[np.float64]


def warped(values: Array, affine: Array, shape: tuple[int, ...]) -> Array:
    """What lies at affine (p, 1), pixels counted from the first; the projector's kernel along each axis, 0 outside."""
    out = np.zeros(shape)
    for p in np.ndindex(*shape):
        at = affine @ np.array([*p, 1.0])
        first = np.floor(at).astype(int)
        cut = values
        for axis, (start, x) in enumerate(zip(first, at, strict=True)):
            taps = start - projection.TAPS // 2 + 1 + np.arange(projection.TAPS)
            inside = (taps >= 0) & (taps < values.shape[axis])
            weights = projection.tap_weights(x - start)[inside]
            # Each axis that has been summed is gone: the next one is first.
            cut = np.tensordot(weights, cut[taps[inside]], axes=1)
        out[p] = cut
    return out


def log_polar(power: Array, nx: int, low: float, high: float, shape: tuple[int, int]) -> Array:
    """Bilinear samples of a half spectrum along half a turn, radii in geometric progression."""
    ny, out = len(power), np.empty(shape)
    for i, j in np.ndindex(*shape):
        angle = np.pi * (i / shape[0] - 0.5)
        f = low * (high / low) ** (j / (shape[1] - 1))
        y, x = f * ny * np.sin(angle), max(0.0, f * nx * np.cos(angle))
        y0, x0 = int(np.floor(y)), int(x)
        for k, across in ((y0, y0 + 1 - y), (y0 + 1, y - y0)):
            row = power[k % ny]
            if k == y0:
                out[i, j] = 0
            out[i, j] += across * ((x0 + 1 - x) * row[x0] + (x - x0) * row[x0 + 1])
    return out


def displacement_sums(a: Array, b: Array, axes: Array) -> Array:
    """Slopes and bends of a correlation under displacements e_i m (design/016-transforms.md, eqs. 3 and 4)."""
    d = len(axes)
    shape = a.shape[-d:]
    a, b = (v.reshape(1 + d, *shape) for v in (a, b))
    points = np.meshgrid(
        *(o + s * np.arange(n) for (o, s), n in zip(axes, shape, strict=True)), indexing="ij"
    )
    terms = [np.ones(shape), *points]
    slopes = [(m * (a[1 + i] * b[0] - b[1 + i] * a[0])).sum() / 2 for i in range(d) for m in terms]
    bends = [
        (terms[m] * terms[n] * (a[1 + i] * b[1 + j] + a[1 + j] * b[1 + i])).sum() / 2
        for i in range(d)
        for j in range(i, d)
        for m in range(1 + d)
        for n in range(m, 1 + d)
    ]
    return np.array([*slopes, *bends])
