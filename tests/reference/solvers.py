# SPDX-License-Identifier: BSD-3-Clause
"""The iterative solvers as they are defined, on an explicit matrix A (rays, voxels): slow, obvious, float64.

b, w and x are flat; ``shape`` is (nz, ny, nx). Each returns the volume after ``n`` iterations.
"""

from __future__ import annotations

import numpy as np


def invert(sums):
    """Inverse sums; what meets less than half a voxel says nothing, what meets less than one counts as one."""
    return np.where(sums > 0.5, 1 / np.maximum(sums, 1), 0)


def golden_order(count):
    return np.argsort((np.arange(count) * (np.sqrt(5) - 1) / 2) % 1.0, kind="stable")


def sirt(a, b, w, n, lower=0.0, upper=np.inf, mask=1.0, relaxation=1.0, parts=None, x=None):
    """``parts``: the rays of each subset in the order of their turns."""
    parts = [np.arange(len(b))] if parts is None else parts
    x = np.zeros(a.shape[1]) if x is None else x * mask
    columns = invert(np.max([a[p].T @ w[p] for p in parts], 0)) * mask
    rows = invert(a.sum(1))
    for _ in range(n):
        for p in parts:
            step = relaxation * columns * (a[p].T @ (rows[p] * w[p] * (b[p] - a[p] @ x)))
            x = np.where(columns > 0, np.clip(x + step, lower, upper), x)
    return x


def differences(shape):
    """D: forward differences along z, y and x, one after the other; 0 across the faces."""
    size = int(np.prod(shape))
    index = np.arange(size).reshape(shape)
    blocks = []
    for axis in range(3):
        d = np.zeros((size, size))
        here = np.take(index, range(shape[axis] - 1), axis).ravel()
        there = np.take(index, range(1, shape[axis]), axis).ravel()
        d[here, here], d[here, there] = -1.0, 1.0
        blocks.append(d)
    return np.stack(blocks)


def krylov(a, b, w, n, rows=None):
    """Least squares of W^(1/2) A x = W^(1/2) b, rows x = 0 in the n-th Krylov space of the normal equations."""
    weighted = np.sqrt(w)[:, None] * a
    full = weighted if rows is None else np.concatenate([weighted, rows])
    right = np.concatenate([np.sqrt(w) * b, np.zeros(len(full) - len(b))])
    basis = []
    v = full.T @ right
    for _ in range(n):
        for u in basis * 2:
            v = v - (u @ v) * u
        if np.linalg.norm(v) == 0:
            break
        basis.append(v / np.linalg.norm(v))
        v = full.T @ (full @ basis[-1])
    space = np.stack(basis, 1)
    return space @ np.linalg.lstsq(full @ space, right, rcond=None)[0]


def open_gaps(a, b, w, images, longest=8):
    """The problem with the values of short gaps as further unknowns, each seen by its own ray alone.

    ``images`` (n_tilts, height, width), gaps along the width. Returns matrix, data and weights.
    """
    b, w, mean, open_rays = b.copy(), w.copy(), w[w > 0].mean(), []
    missing = (w == 0).reshape(-1, images[2])
    for line, row in enumerate(missing):
        column = 0
        while column < len(row):
            end = column
            while end < len(row) and row[end]:
                end += 1
            if column < end <= column + longest and column > 0 and end < len(row):
                before, after = (line * len(row) + c for c in (column - 1, end))
                for ray in range(before + 1, after):
                    share = (ray - before) / (after - before)
                    b[ray], w[ray] = (1 - share) * b[before] + share * b[after], mean
                    open_rays.append(ray)
            column = end + 1
    columns = np.zeros((len(b), len(open_rays)))
    columns[open_rays, np.arange(len(open_rays))] = -1.0
    return np.hstack([a, columns]), b, w


def mlem(a, b, w, n, parts=None):
    parts = [np.arange(len(b))] if parts is None else parts
    b, rays = np.maximum(b, 0), np.count_nonzero(w)
    w = np.where(a.sum(1) >= 0.5, w, 0)
    least = 1e-3 * (w @ b) / rays
    x = np.full(a.shape[1], (w @ b) / (w @ np.maximum(a.sum(1), 0)))
    for _ in range(n):
        for p in parts:
            ratio = w[p] * b[p] / np.maximum(a[p] @ x, least)
            gain = invert(a[p].T @ w[p])
            x = np.where(gain > 0, x * gain * np.maximum(a[p].T @ ratio, 0), x)
    return x


def tv_objective(a, b, w, x, shape, strength, axis=(1.0, 1.0, 1.0), huber=0.0):
    d = differences(shape) @ x * np.asarray(axis)[:, None]
    size = np.sqrt((d**2).sum(0))
    smooth = size**2 / (2 * huber) if huber else 0.0
    penalty = np.where(size < huber, smooth, size - huber / 2)
    return 0.5 * (w * (b - a @ x) ** 2).sum() + strength * penalty.sum()


def tv(a, b, w, n, shape, strength, axis=(1.0, 1.0, 1.0), huber=0.0, rounds=3, upper=np.inf):
    """FISTA with a diagonal metric, the proximal map by ``rounds`` projected ascents of its dual from the last one."""
    d = differences(shape) * np.asarray(axis)[:, None, None]
    curvature = a.T @ (w * (a @ np.ones(a.shape[1])))
    metric = 1 / np.maximum(curvature, 0.05 * curvature.max())
    beside = [np.abs(differences(shape)[i]) @ metric for i in range(3)]
    alone = [
        np.where(m == 0, 2 * metric, m) for m in beside
    ]  # no neighbour: as if it were the voxel itself
    step = 1 / (2 * max(axis) * sum(axis) * np.max(alone, 0))
    x, ahead, earlier = np.zeros((3, a.shape[1]))
    dual = np.zeros((3, a.shape[1]))
    pace = 1.0
    for _ in range(n):
        z = ahead + metric * (a.T @ (w * (b - a @ ahead)))

        def primal(q, z=z):
            return np.clip(z - metric * sum(d[i].T @ q[i] for i in range(3)), 0, upper)

        x = primal(dual)
        for _ in range(rounds):
            dual = (dual + step * (d @ x)) / (1 + step * huber / strength)
            dual = dual / np.maximum(1, np.sqrt((dual**2).sum(0)) / strength)
            x = primal(dual)
        if (ahead - x) @ (x - earlier) > 0:
            pace = 1.0
        faster = (1 + np.sqrt(1 + 4 * pace**2)) / 2
        ahead, earlier = x + (pace - 1) / faster * (x - earlier), x
        pace = faster
    return x


def uniform(seed, count):
    """SplitMix64 over a counter, in [0, 1)."""
    with np.errstate(over="ignore"):
        v = np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15) * np.arange(
            1, count + 1, dtype=np.uint64
        )
        v = (v ^ (v >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        v = (v ^ (v >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((v ^ (v >> np.uint64(31))) >> np.uint64(11)).astype(float) * 2.0**-53


def around(shape):
    """N: 1 where two voxels are among each other's 26 neighbours."""
    at = np.stack(np.unravel_index(np.arange(int(np.prod(shape))), shape), 1)
    apart = np.abs(at[:, None] - at[None]).max(2)
    return apart == 1


def dart(a, b, w, n, shape, levels, first, inner, chance, smoothing, seed=0):
    """Levels given."""
    levels = np.sort(levels)
    near = around(shape)
    grey = sirt(a, b, w, first)
    labels = np.searchsorted((levels[1:] + levels[:-1]) / 2, grey)
    for k in range(n):
        other = (near & (labels[:, None] != labels[None])).any(1)
        free = other | (uniform(seed + k, len(grey)) < chance)
        grey = np.where(free, grey, levels[labels])
        columns = invert(a.T @ w) * free
        for _ in range(inner):
            step = columns * (a.T @ (invert(a.sum(1)) * w * (b - a @ grey)))
            grey = np.where(columns > 0, np.maximum(grey + step, 0), grey)
        mean = near @ grey / near.sum(1)
        grey = np.where(free, (1 - smoothing) * grey + smoothing * mean, grey)
        labels = np.searchsorted((levels[1:] + levels[:-1]) / 2, grey)
    return levels[labels]
