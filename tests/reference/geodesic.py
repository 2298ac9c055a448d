# SPDX-License-Identifier: BSD-3-Clause
"""Slow, obvious definition of the lengths of shortest ways in cryolith.detect: fast marching of second order."""

from __future__ import annotations

import numpy as np


def arrival(length, known, at, edges):
    """The largest t with sum of ((t - from) / step)^2 = 1 over the axes that lower it."""
    slopes = []
    for axis, h in enumerate(edges):
        near = {}
        for sign in (-1, 1):
            for steps in (1, 2):
                to = tuple(p + sign * steps * (a == axis) for a, p in enumerate(at))
                inside = all(0 <= p < n for p, n in zip(to, length.shape, strict=True))
                near[sign, steps] = float(length[to]) if inside and known[to] else np.inf
        sign = -1 if near[-1, 1] <= near[1, 1] else 1
        one, two = near[sign, 1], near[sign, 2]
        if np.isfinite(one):
            slopes.append(((4 * one - two) / 3, 2 * h / 3) if two <= one else (one, h))
    best = np.inf
    for count in range(1, len(slopes) + 1):
        start, step = np.array(sorted(slopes)[:count]).T
        if start[-1] >= best:
            break
        a, b, c = (1 / step**2).sum(), (start / step**2).sum(), (start**2 / step**2).sum() - 1
        if b * b < a * c:
            break
        best = (b + np.sqrt(b * b - a * c)) / a
    return best


def geodesic(mask, start, edges):
    length = np.where(mask & start, 0.0, np.inf).astype(np.float32)
    known = ~mask
    while True:
        waiting = np.where(known, np.inf, length)
        at = np.unravel_index(np.argmin(waiting), mask.shape)
        if not np.isfinite(waiting[at]):
            return length
        known[at] = True
        for axis in range(3):
            for sign in (-1, 1):
                to = tuple(int(p) + sign * (a == axis) for a, p in enumerate(at))
                inside = all(0 <= p < n for p, n in zip(to, mask.shape, strict=True))
                if inside and not known[to]:
                    length[to] = min(
                        length[to], np.float32(arrival(length, known & mask, to, edges))
                    )
