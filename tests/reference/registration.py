# SPDX-License-Identifier: BSD-3-Clause
"""The definition of the last step of a registration: slow, in double precision."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .fft import fast_size

Array = npt.NDArray[np.float64]

TOP = 0.45  # cycles/px
TAPER, TAPER_PX = 0.03, 24
NEIGHBOURS = 0.15
SIGNIFICANT = 3.0


def window(n: int, offset: float) -> Array:
    """A raised cosine at each end, moved by ``offset``."""
    t = np.arange(n) - offset
    inside = np.clip(np.minimum(t, n - 1 - t) / max(1.0, min(TAPER_PX, TAPER * n)), 0, 1)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * inside))


def overlap(images: list[Array], shift: Array) -> tuple[list[Array], Array, float]:
    """Windowed spectra of what two images have in common, what of the shift is left, independent coefficients."""
    whole = np.round(shift).astype(int)
    left = shift - whole
    ny, nx = images[0].shape
    size = np.array([ny, nx]) - np.abs(whole)
    first = np.maximum(0, -whole)
    padded = [fast_size(n) for n in (ny, nx)]
    spectra = []
    for image, origin, offset in zip(images, (first, first + whole), (0 * left, left), strict=True):
        w = window(size[0], offset[0])[:, None] * window(size[1], offset[1])
        cut = image[origin[0] : origin[0] + size[0], origin[1] : origin[1] + size[1]]
        apart = max(1, size[0] // 64)
        mean = (w * cut)[::apart].sum() / w[::apart].sum()
        spectra.append(np.fft.fft2(w * (cut - mean), s=padded))
    independent = (w**2).sum() ** 2 / (w**4).sum() / np.prod(padded)
    return spectra, left, float(independent)


def weights(
    a: Array, b: Array, cross: Array, independent: float, top: float
) -> tuple[Array, float]:
    """The weight of each coefficient, from signal and noise of its ring and those beside it, and the highest used."""
    ny, nx = a.shape
    f = np.hypot(np.fft.fftfreq(ny)[:, None], np.fft.fftfreq(nx))
    longest = max(ny, nx)
    ring = np.where(f <= TOP, np.floor(f * longest + 0.5), 0).astype(int)
    out = np.zeros(longest)

    def mean(values: Array, r: int) -> float:
        reach = max(1, int(NEIGHBOURS * r))
        near = (ring >= max(1, r - reach)) & (ring <= r + reach)
        return float(values[near].mean())

    rings = range(1, ring.max() + 1)
    used = 0.0
    power = [np.sqrt(mean(np.abs(a) ** 2, r) * mean(np.abs(b) ** 2, r)) for r in rings]
    for r, p in zip(rings, np.array(power) + 1e-4 * max(power), strict=True):
        reach = max(1, int(NEIGHBOURS * r))
        count = ((ring >= max(1, r - reach)) & (ring <= r + reach)).sum()
        c = min(0.9999, mean(cross, r) / p)
        if r <= top * longest and c > SIGNIFICANT / np.sqrt(max(1.0, count * independent)):
            out[r] = c / (p * (1 - c) ** 2 * (1 + 2 * c / (1 - c)))
            used = (r + 0.5) / longest
    return np.asarray(out[ring]), used


def registered(a: Array, b: Array, place: Array) -> Array:
    """The maximum of the weighted correlation, windows at ``place``; weights there, then at the maximum."""
    counts = all((v >= 0).all() and (v == np.round(v)).all() for v in (a, b))
    images = [np.sqrt(v + 1) if counts else v for v in (a, b)]
    (fa, fb), left, independent = overlap(images, place)
    ny, nx = fa.shape
    fy, fx = np.fft.fftfreq(ny)[:, None], np.fft.fftfreq(nx)[None]

    def back(s: Array) -> Array:
        return np.asarray(np.exp(2j * np.pi * (fy * s[0] + fx * s[1])))

    cross, s, top = fa.conj() * fb, left.copy(), 1.0
    for _ in range(2):
        w, top = weights(fa, fb, (cross * back(s)).real, independent, top)
        for _ in range(20):
            c = w * cross * back(s)
            slope = -np.array([(fy * c.imag).sum(), (fx * c.imag).sum()])
            bend = [[(p * q * c.real).sum() for q in (fy, fx)] for p in (fy, fx)]
            s += np.linalg.solve(np.array(bend), slope) / (2 * np.pi)
    return np.asarray(place - left + s)


def stack_slopes(images: Array, shifts: Array) -> tuple[Array, Array]:
    """First derivative and minus the second of sum over k of w |sum over i of F_i exp(2 pi i f s_i)|^2 / 2.

    Per image and component; windows on what all images share at ``shifts``, w from the rings there.
    """
    n, ny, nx = images.shape
    whole = np.round(shifts).astype(int)
    left = shifts - whole
    first, size = -whole.min(axis=0), np.array([ny, nx]) - np.ptp(whole, axis=0)
    padded = [fast_size(m) for m in (ny, nx)]
    fy, fx = np.fft.fftfreq(padded[0])[:, None], np.fft.fftfreq(padded[1])[None]
    moved = []
    for image, k, d in zip(images, whole, left, strict=True):
        w = window(size[0], d[0])[:, None] * window(size[1], d[1])
        y, x = first + k
        cut = np.sqrt(image[y : y + size[0], x : x + size[1]] + 1)
        apart = max(1, size[0] // 64)
        mean = (w * cut)[::apart].sum() / w[::apart].sum()
        spectrum = np.fft.fft2(w * (cut - mean), s=padded)
        moved.append(spectrum * np.exp(2j * np.pi * (fy * d[0] + fx * d[1])))
    total = np.sum(moved, axis=0)
    independent = (w**2).sum() ** 2 / (w**4).sum() / np.prod(padded)
    weight = stack_weights(np.array(moved), total, independent)
    slopes, bends = np.empty((n, 2)), np.empty((n, 2))
    for i, one in enumerate(moved):
        c = weight * (total - one).conj() * one
        for k, f in enumerate((fy, fx)):
            slopes[i, k] = -2 * np.pi * (f * c.imag).sum()
            bends[i, k] = (2 * np.pi) ** 2 * (f**2 * c.real).sum()
    return slopes, bends


def stack_weights(moved: Array, total: Array, independent: float) -> Array:
    """r / (noise (1 + n r)) of each ring, r its signal over noise."""
    n, ny, nx = moved.shape
    longest = max(ny, nx)
    f = np.hypot(np.fft.fftfreq(ny)[:, None], np.fft.fftfreq(nx))
    ring = np.where(f <= TOP, np.floor(f * longest + 0.5), 0).astype(int)
    power = (np.abs(moved) ** 2).mean(axis=0)
    cross = (np.abs(total) ** 2 - n * power) / (n * (n - 1))
    out = np.zeros(longest)
    for r in range(1, ring.max() + 1):
        reach = max(1, int(NEIGHBOURS * r))
        near = (ring >= max(1, r - reach)) & (ring <= r + reach)
        p, s = power[near].mean(), cross[near].mean()
        if s / p > SIGNIFICANT / np.sqrt(max(1.0, near.sum() * independent / 2 * n * (n - 1))):
            ratio = s / (p - s)
            out[r] = ratio / ((p - s) * (1 + n * ratio))
    return np.asarray(out[ring])
