# SPDX-License-Identifier: BSD-3-Clause
"""Slow, obvious definition of residuals free of local intensities (cryolith.align.flicker)."""

from __future__ import annotations

import numpy as np


def local_intensities(predicted, window_px=1.0, reach=4, least_power=0.01):
    """(pixels, pixels) matrix M = (1 - K)^2, K = p n^-1/2 G n^-1/2 p, n = G p^2 + c, of one image (height, width)."""
    height, width = predicted.shape
    y, x = (a.ravel() for a in np.mgrid[:height, :width])

    def window(at):
        d = np.subtract.outer(at, at)
        line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / window_px) ** 2)
        return np.where(abs(d) <= reach, np.exp(-0.5 * (d / window_px) ** 2), 0) / line.sum()

    g = window(y) * window(x)
    p = np.maximum(predicted, 0).ravel()
    q = p / np.sqrt(g @ p**2 + least_power)
    m = np.eye(len(p)) - q[:, None] * g * q
    return m @ m
