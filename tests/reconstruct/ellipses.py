# SPDX-License-Identifier: BSD-3-Clause
"""Shepp and Logan's head (IEEE Trans. Nucl. Sci. 21 (1974) 21, contrasts of Toft 1996) with exact line integrals."""

from __future__ import annotations

import numpy as np

# contrast, half axes along x and z, centre x and z, in-plane angle [deg]; the field is 2 wide.
HEAD = (
    (1.0, 0.69, 0.92, 0.0, 0.0, 0.0),
    (-0.8, 0.6624, 0.874, 0.0, -0.0184, 0.0),
    (-0.2, 0.11, 0.31, 0.22, 0.0, -18.0),
    (-0.2, 0.16, 0.41, -0.22, 0.0, 18.0),
    (0.1, 0.21, 0.25, 0.0, 0.35, 0.0),
    (0.1, 0.046, 0.046, 0.0, 0.1, 0.0),
    (0.1, 0.046, 0.046, 0.0, -0.1, 0.0),
    (0.1, 0.046, 0.023, -0.08, -0.605, 0.0),
    (0.1, 0.023, 0.023, 0.0, -0.606, 0.0),
    (0.1, 0.023, 0.046, 0.06, -0.605, 0.0),
)
SUPERSAMPLING = 4


def _fine(n):
    return (np.arange(n * SUPERSAMPLING) + 0.5) / (n * SUPERSAMPLING) * 2 - 1


def head(n):
    """(n, n): mean densities of the pixels (z, x)."""
    x, z = np.meshgrid(_fine(n), _fine(n))
    out = np.zeros_like(x)
    for contrast, ax, az, x0, z0, angle in HEAD:
        c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        along, across = (x - x0) * c + (z - z0) * s, (z - z0) * c - (x - x0) * s
        out += contrast * ((along / ax) ** 2 + (across / az) ** 2 <= 1)
    return out.reshape(n, SUPERSAMPLING, n, SUPERSAMPLING).mean((1, 3))


def head_series(n, angles_deg):
    """(n_tilts, 1, n) float32: line integrals averaged over the detector's pixels [density times px]."""
    u, out = _fine(n), np.zeros((len(angles_deg), n * SUPERSAMPLING))
    for row, theta in zip(out, np.deg2rad(angles_deg), strict=True):
        for contrast, ax, az, x0, z0, angle in HEAD:
            turned = theta - np.deg2rad(angle)
            half = (ax * np.cos(turned)) ** 2 + (az * np.sin(turned)) ** 2
            distance = u - x0 * np.cos(theta) - z0 * np.sin(theta)
            chord = np.sqrt(np.maximum(half - distance**2, 0.0)) / half
            row += contrast * 2 * ax * az * chord
    means = out.reshape(len(angles_deg), 1, n, SUPERSAMPLING).mean(3) * n / 2
    return means.astype(np.float32)


def psnr(found, truth):
    """Peak signal (1) to noise [dB] inside the inscribed disk."""
    n = len(truth)
    z, x = np.indices((n, n)) - (n - 1) / 2
    return -10 * np.log10(np.mean((found - truth)[np.hypot(x, z) <= n / 2] ** 2))
