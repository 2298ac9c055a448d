# SPDX-License-Identifier: BSD-3-Clause
"""A smooth handed specimen: every program samples it alike, and a wrong sign or order shows."""

from __future__ import annotations

import numpy as np

# Centre (z, y, x) as a fraction of half the extent, amplitude.
BLOBS = [
    (-0.3, -0.4, 0.45, 1.0),
    (0.35, 0.1, 0.1, 0.7),
    (0.1, 0.5, -0.5, 1.3),
    (-0.4, 0.3, -0.1, 0.5),
]


def blobs(shape, width=2.5):
    """(nz, ny, nx) float32: Gaussians."""
    grids = [g - (n - 1) / 2 for g, n in zip(np.indices(shape), shape, strict=True)]
    out = np.zeros(shape)
    for *centre, amplitude in BLOBS:
        square = sum((g - c * n / 2) ** 2 for g, c, n in zip(grids, centre, shape, strict=True))
        out += amplitude * np.exp(-square / (2 * width**2))
    return out.astype(np.float32)


def error(found, expected):
    """|found - expected| / |expected|."""
    found, expected = np.asarray(found, "f8"), np.asarray(expected, "f8")
    assert found.shape == expected.shape
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)
