# SPDX-License-Identifier: BSD-3-Clause
"""Slow definitions of the scale-space kernels."""

from __future__ import annotations

import itertools
import math

import numpy as np


def frequencies(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return k [rad/px] of each term of rfftn, broadcast."""
    z, y, x = np.meshgrid(
        np.fft.fftfreq(shape[0]),
        np.fft.fftfreq(shape[1]),
        np.fft.rfftfreq(shape[2]),
        indexing="ij",
    )
    return 2 * np.pi * z, 2 * np.pi * y, 2 * np.pi * x


def field(base: np.ndarray, shape: tuple[int, int, int], decay: float, gain: float) -> np.ndarray:
    """Return gain times the inverse transform of base exp(-decay k^2 / 2)."""
    square = sum(k**2 for k in frequencies(shape))
    return gain * np.fft.irfftn(base * np.exp(-0.5 * decay * square), shape, axes=(0, 1, 2))


def extrema(fields: np.ndarray, margin: int, threshold: float) -> list[tuple[int, ...]]:
    """Return (scale, z, y, x) of every voxel that no neighbour in place and scale exceeds, in magnitude and sign."""
    found = []
    scales, nz, ny, nx = fields.shape
    steps = [d for d in itertools.product((-1, 0, 1), repeat=4) if any(d)]
    for s in range(scales):
        for z in range(margin, nz - margin):
            for y in range(margin, ny - margin):
                for x in range(margin, nx - margin):
                    own = fields[s, z, y, x]
                    if abs(own) <= threshold:
                        continue
                    near = [
                        fields[s + a, z + b, y + c, x + d]
                        for a, b, c, d in steps
                        if 0 <= s + a < scales
                    ]
                    if all(np.sign(own) * v < abs(own) for v in near):
                        found.append((s, z, y, x))
    return found


def spectrum_sums(weight: np.ndarray, nx: int, bins: int) -> np.ndarray:
    """Return (bins, 7) sums over the whole transform, made of both halves."""
    nz, ny, _ = weight.shape
    axes = [[2 * math.pi * f for f in np.fft.fftfreq(n)] for n in (nz, ny, nx)]
    out = np.zeros((bins, 7))
    for i, j, m in itertools.product(range(nz), range(ny), range(nx)):
        # The other half: the term at -k.
        at = (i, j, m) if m <= nx // 2 else (-i % nz, -j % ny, nx - m)
        k = np.array([axes[0][i], axes[1][j], axes[2][m]])
        edge = [n % 2 == 0 and p == n // 2 for n, p in zip((nz, ny, nx), (i, j, m), strict=True)]
        both = [0.0 if edge[a] or edge[b] else k[a] * k[b] for a, b in ((0, 1), (0, 2), (1, 2))]
        bin_ = int(np.linalg.norm(k) * bins / (math.sqrt(3) * math.pi * (1 + 1e-12)))
        out[bin_] += weight[at] * np.array([1.0, *(k**2), *both])
    return out


def gaussian_sample(values: np.ndarray, place: np.ndarray, width: float) -> np.ndarray:
    """Return the periodic field times a Gaussian about ``place``, with its slopes and second derivatives by place."""
    out = np.zeros(7)
    reach = math.ceil(4.5 * width) + 1
    middle = np.floor(place).astype(int)
    for d in itertools.product(range(-reach, reach + 2), repeat=3):
        at = middle + d
        u = (at - place) / width
        g = math.exp(-0.5 * float(u @ u)) / (2 * math.pi) ** 1.5 / width**3
        v = values[tuple(at % values.shape)]
        out += v * g * np.array([1.0, *(u / width), *((u * u - 1) / width**2)])
    return out
