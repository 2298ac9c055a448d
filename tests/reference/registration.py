# SPDX-License-Identifier: BSD-3-Clause
"""The definition of the last step of a registration: slow, in double precision."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .fft import fast_size

Array = npt.NDArray[np.float64]

TOP = 0.45  # cycles/px
TAPER, LEAST_TAPER_PX, TAPER_PX, MOST_TAPER = 0.03, 3, 8, 0.25
STILL = 0.01  # cycles of the highest frequency in use: a step after which weights stay as they are
NEIGHBOURS = 0.15
SIGNIFICANT = 3.0


def window(n: int, offset: float) -> Array:
    """A raised cosine at each end, moved by ``offset``."""
    t = np.arange(n) - offset
    taper = min(MOST_TAPER * n, np.clip(TAPER * n, LEAST_TAPER_PX, TAPER_PX))
    inside = np.clip(np.minimum(t, n - 1 - t) / max(1.0, taper), 0, 1)
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


def rings_of(shape: tuple[int, ...]) -> Array:
    """The ring of each coefficient; 0: not used."""
    ny, nx = shape
    f = np.hypot(np.fft.fftfreq(ny)[:, None], np.fft.fftfreq(nx))
    return np.asarray(np.where(f <= TOP, np.floor(f * max(ny, nx) + 0.5), 0).astype(int))


def fitted(power: Array, cross: Array, count: Array, n: int) -> tuple[Array, Array, Array]:
    """Signal and noise of rings 1, 2, ... by maximum likelihood, and the spread of the signal of one coefficient.

    ``power`` and ``cross`` are means over ``count`` independent coefficients of rings of n images. The noise is white,
    the logarithm of the signal a parabola in that of the frequency.
    """
    x = np.log(np.arange(1, len(power) + 1))
    x = x - np.average(x, weights=count)
    x /= np.sqrt(np.average(x**2, weights=count))
    basis = np.stack([np.ones_like(x), x, x**2])
    total, rest = power + (n - 1) * cross, power - cross

    def value(t: Array) -> float:
        noise = np.exp(t[3])
        v = n * np.exp(t[:3] @ basis) + noise
        return float((count * (np.log(v) + total / v + (n - 1) * (t[3] + rest / noise))).sum())

    noise = np.average(rest, weights=count)
    signal = max(np.average(total - rest, weights=count) / n, 1e-3 * noise)
    t, damping = np.array([np.log(signal), -1.0, 0.0, np.log(noise)]), 0.01
    for _ in range(200):
        noise = np.exp(t[3])
        s = n * np.exp(t[:3] @ basis)
        d = np.vstack([s * basis, np.full_like(s, noise)]) / (s + noise)
        slope = d @ (count * (total / (s + noise) - 1))
        slope[3] += (n - 1) * (count * (rest / noise - 1)).sum()
        information = (count * d) @ d.T
        information[3, 3] += (n - 1) * count.sum()
        move = np.linalg.solve(information + damping * np.diag(np.diag(information)), slope)
        move *= min(1.0, 1.0 / np.abs(move).max())
        better = value(t + move) <= value(t)
        t, damping = (t + move, damping / 10) if better else (t, damping * 10)
        if np.abs(move).max() < 1e-9:
            break
    s, noise = np.exp(t[:3] @ basis), np.exp(t[3])
    spread = np.sqrt((n * s + noise) ** 2 + noise**2 / (n - 1)) / n
    return s, np.full_like(s, noise), spread


def neighbours(values: Array, r: int) -> Array:
    reach = max(1, int(NEIGHBOURS * r))
    return values[max(1, r - reach) - 1 : r + reach]


def ring_weights(power: Array, cross: Array, counts: Array, n: int, independent: float) -> Array:
    """r / (noise (1 + n r)) of rings 1, 2, ..., r signal over noise, up to where 99 % of the information lies."""
    count = counts * independent / 2
    floor = 1e-4 * power.max()
    power = power + floor
    signal, noise, spread = fitted(power, cross, count, n)
    found = {"signal": cross, "noise": np.maximum(power - cross, floor)}
    spreads = {"signal": spread, "noise": noise / np.sqrt(n - 1)}
    model = {"signal": signal, "noise": noise}
    for kind, least in (("signal", 0.0), ("noise", 1e-4)):
        followed = model[kind].copy()
        for r in range(1, len(power) + 1):
            c = neighbours(count, r)
            seen = (c * neighbours(found[kind], r)).sum()
            was = (c * neighbours(model[kind], r)).sum()
            if abs(seen - was) > SIGNIFICANT * spreads[kind][r - 1] * np.sqrt(c.sum()):
                followed[r - 1] *= max(least, seen / was)
        model[kind] = followed
    ratio = np.minimum(1e4, model["signal"] / model["noise"])
    weight = ratio / (model["noise"] * (1 + n * ratio))
    worth = counts * np.arange(1, len(power) + 1) ** 2 * ratio**2 / (1 + n * ratio)
    upto = np.cumsum(worth)
    weight[np.argmax(upto > 0.99 * upto[-1]) + 1 :] = 0
    return np.asarray(weight)


def ring_means(values: Array, ring: Array) -> tuple[Array, Array]:
    """Means over rings 1, 2, ..., and how many coefficients each has."""
    counts = np.bincount(ring.ravel())[1:]
    return np.bincount(ring.ravel(), values.ravel())[1:] / counts, counts


def weights(a: Array, b: Array, cross: Array, independent: float) -> Array:
    """The weight of each coefficient of a pair."""
    ring = rings_of(a.shape)
    both = [ring_means(np.abs(v) ** 2, ring)[0] for v in (a, b)]
    common, counts = ring_means(cross, ring)
    w = ring_weights(np.sqrt(both[0] * both[1]), common, counts, 2, independent)
    return np.concatenate([[0.0], w])[ring]


def searched_weights(a: Array, b: Array, independent: float) -> Array:
    """The same before images are in place: all power above the mean of the highest third of the rings is common."""
    ring = rings_of(a.shape)
    both = [ring_means(np.abs(v) ** 2, ring)[0] for v in (a, b)]
    counts = ring_means(np.ones(a.shape), ring)[1]
    power = np.sqrt(both[0] * both[1])
    rings = max(a.shape) // 2 + 2
    high = np.arange(1, len(power) + 1) >= rings - rings // 3
    common = power - np.average(power[high], weights=counts[high])
    w = ring_weights(power, common, counts, 2, independent)
    return np.concatenate([[0.0], w])[ring]


def registered(a: Array, b: Array, place: Array, *, searched: bool) -> Array:
    """The maximum of the weighted correlation, windows at ``place``; weights there, then at the maximum if far.

    ``searched``: the place is that of a search; a step with weights that do not need the images in place goes before.
    """
    counts = all((v >= 0).all() and (v == np.round(v)).all() for v in (a, b))
    images = [np.sqrt(v + 1) if counts else v for v in (a, b)]
    (fa, fb), left, independent = overlap(images, place)
    ny, nx = fa.shape
    fy, fx = np.fft.fftfreq(ny)[:, None], np.fft.fftfreq(nx)[None]

    def back(s: Array) -> Array:
        return np.asarray(np.exp(2j * np.pi * (fy * s[0] + fx * s[1])))

    cross, s, ring = fa.conj() * fb, left.copy(), rings_of(fa.shape)
    for round_ in range(-1 if searched else 0, 2):
        if round_ < 0:
            w = searched_weights(fa, fb, independent)
        else:
            w = weights(fa, fb, (cross * back(s)).real, independent)
        before = s.copy()
        for _ in range(20):
            c = w * cross * back(s)
            slope = -np.array([(fy * c.imag).sum(), (fx * c.imag).sum()])
            bend = [[(p * q * c.real).sum() for q in (fy, fx)] for p in (fy, fx)]
            s += np.linalg.solve(np.array(bend), slope) / (2 * np.pi)
        top = (ring[w > 0].max() + 0.5) / max(ny, nx)
        if round_ == 0 and top * np.hypot(*(s - before)) <= STILL:
            break
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
    ring = rings_of(total.shape)
    power, counts = ring_means((np.abs(moved) ** 2).mean(axis=0), ring)
    common = (ring_means(np.abs(total) ** 2, ring)[0] - n * power) / (n * (n - 1))
    w = ring_weights(power, common, counts, n, float(independent))
    weight = np.concatenate([[0.0], w])[ring]
    slopes, bends = np.empty((n, 2)), np.empty((n, 2))
    for i, one in enumerate(moved):
        c = weight * (total - one).conj() * one
        for k, f in enumerate((fy, fx)):
            slopes[i, k] = -2 * np.pi * (f * c.imag).sum()
            bends[i, k] = (2 * np.pi) ** 2 * (f**2 * c.real).sum()
    return slopes, bends
