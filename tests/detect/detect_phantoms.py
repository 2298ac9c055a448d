# SPDX-License-Identifier: BSD-3-Clause
"""Specimens with known contents, in plain NumPy."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr


def noise(shape, sd, rng, blur=0.0):
    """Gaussian noise of standard deviation ``sd``; ``blur`` px correlates neighbours."""
    from scipy.ndimage import gaussian_filter

    out = rng.standard_normal(shape)
    if blur:
        out = gaussian_filter(out, blur, mode="wrap")
        out /= out.std()
    return sd * out


def layered(
    shape,
    boundaries,
    levels,
    *,
    slopes=None,
    width=0.9,
    radius=14.0,
    taper=0.0,
    cupping=0.0,
    roughness=None,
):
    """A needle along y whose level steps at ``boundaries`` [index along y], blurred by ``width`` px.

    ``slopes`` (n, 2): how far each boundary moves along y per px along z and x. ``radius`` px shrinks by ``taper``
    px per px along y. ``roughness`` (n, nz, nx): further displacement of each boundary.
    """
    z, y, x = (g.astype(float) for g in np.indices(shape))
    z -= (shape[0] - 1) / 2
    x -= (shape[2] - 1) / 2
    inside = np.full(shape, float(levels[0]))
    for k, at in enumerate(boundaries):
        tilt = (0.0, 0.0) if slopes is None else slopes[k]
        surface = at + tilt[0] * z + tilt[1] * x
        if roughness is not None:
            surface = surface + roughness[k][:, None, :]
        inside += (levels[k + 1] - levels[k]) * ndtr((y - surface) / width)
    r = np.hypot(z, x)
    inside *= 1 - cupping * (1 - (r / radius) ** 2)
    return inside * ndtr((radius - taper * y - r) / width)
