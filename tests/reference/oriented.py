# SPDX-License-Identifier: BSD-3-Clause
"""Slow definitions of the kernels for tubes and sheets."""

from __future__ import annotations

import itertools
import math

import numpy as np


def exponent(shape: tuple[int, int, int], six: np.ndarray, whole: bool = False) -> np.ndarray:
    """Return k^T S k of each term of rfftn (or of fftn); products with a frequency n / 2 of another axis are 0."""
    k = [2 * np.pi * np.fft.fftfreq(n) for n in shape]
    if not whole:
        k[2] = 2 * np.pi * np.fft.rfftfreq(shape[2])
    odd = [np.where(np.isclose(np.abs(f), np.pi), 0.0, f) for f in k]
    z, y, x = np.meshgrid(*k, indexing="ij")
    cz, cy, cx = np.meshgrid(*odd, indexing="ij")
    products = (z * z, y * y, x * x, 2 * cz * cy, 2 * cz * cx, 2 * cy * cx)
    return sum(s * p for s, p in zip(six, products, strict=True))


def field(
    base: np.ndarray, shape: tuple[int, int, int], six: np.ndarray, gain: float
) -> np.ndarray:
    """Return gain times the inverse transform of base exp(-k^T S k / 2)."""
    filtered = base * np.exp(-0.5 * exponent(shape, six))
    return gain * np.fft.irfftn(filtered, shape, axes=(0, 1, 2))


def sums(weight: np.ndarray, nx: int, six: np.ndarray) -> np.ndarray:
    """Return the 28 sums over the whole transform: 1, the products q of k, and products of two of these."""
    nz, ny, _ = weight.shape
    shape = (nz, ny, nx)
    full = np.empty(shape)
    for i, j, m in itertools.product(*map(range, shape)):
        at = (i, j, m) if m <= nx // 2 else (-i % nz, -j % ny, nx - m)
        full[i, j, m] = weight[at]
    full *= np.exp(-0.5 * exponent(shape, six, whole=True))
    unit = np.eye(6)
    q = [exponent(shape, unit[i], whole=True) / (1 if i < 3 else 2) for i in range(6)]
    pairs = itertools.combinations_with_replacement(range(6), 2)
    columns = [np.ones(shape), *q, *(q[i] * q[j] for i, j in pairs)]
    return np.array([(full * c).sum() for c in columns])


def profile(
    weight: np.ndarray,
    nx: int,
    six: np.ndarray,
    axis: np.ndarray,
    across: bool,
    reach: float,
    bins: int,
) -> np.ndarray:
    """Return the sum by |k . axis|, or by k across the axis, in bins up to ``reach``."""
    nz, ny, terms = weight.shape
    k = np.meshgrid(
        *(2 * np.pi * f for f in (np.fft.fftfreq(nz), np.fft.fftfreq(ny), np.fft.rfftfreq(nx))),
        indexing="ij",
    )
    # The sign of a frequency n / 2 is that of the core: positive.
    k = [np.where(np.isclose(np.abs(f), np.pi), np.pi, f) for f in k]
    along = sum(a * f for a, f in zip(axis, k, strict=True))
    square = sum(f * f for f in k) - along**2
    size = np.sqrt(np.maximum(square, 0)) if across else np.abs(along)
    twice = np.full(terms, 2.0)
    twice[0] = 1.0
    if nx % 2 == 0:
        twice[-1] = 1.0
    value = weight * twice * np.exp(-0.5 * exponent((nz, ny, nx), six))
    index = np.minimum((size / reach * bins).astype(int), bins - 1)
    return np.bincount(index.ravel(), value.ravel(), bins)


def sample(values: np.ndarray, place: np.ndarray, matrix: np.ndarray) -> float:
    """Return the periodic field times a Gaussian of unit sum and a covariance about ``place``."""
    inverse, total = np.linalg.inv(matrix), 0.0
    reach = math.ceil(math.sqrt(20 * np.linalg.eigvalsh(matrix)[-1])) + 1
    middle = np.floor(place).astype(int)
    for d in itertools.product(range(-reach, reach + 2), repeat=3):
        at = middle + d
        square = float((at - place) @ inverse @ (at - place))
        if square <= 20:
            total += math.exp(-0.5 * square) * values[tuple(at % values.shape)]
    return total / ((2 * math.pi) ** 1.5 * math.sqrt(np.linalg.det(matrix)))


def spline_sample(coefficients: np.ndarray, place: np.ndarray) -> float:
    """Return the periodic sum of coefficients times cubic B-splines about their voxels."""

    def weight(u: float) -> float:
        u = abs(u)
        return (4 - 6 * u**2 + 3 * u**3) / 6 if u < 1 else max(2 - u, 0.0) ** 3 / 6

    total, middle = 0.0, np.floor(place).astype(int)
    for d in itertools.product(range(-1, 3), repeat=3):
        at = middle + d
        share = math.prod(weight(float(u)) for u in at - place)
        total += share * float(coefficients[tuple(at % coefficients.shape)])
    return total
