# SPDX-License-Identifier: BSD-3-Clause
"""Slow, obvious definitions of the statistics of a porous medium in cryolith.detect."""

from __future__ import annotations

import itertools

import numpy as np


def pairs(mask, lag):
    """Pairs of voxels p, p + lag inside of the volume, and how many of them lie in the phase with both."""
    here = [slice(max(0, -h), max(0, min(n, n - h))) for h, n in zip(lag, mask.shape, strict=True)]
    there = [slice(max(0, h), max(0, min(n, n + h))) for h, n in zip(lag, mask.shape, strict=True)]
    both = mask[tuple(here)] & mask[tuple(there)]
    return both.size, int(both.sum())


def two_point(mask, edges, reach):
    """Rows of (mean distance, probability), by distance rounded to the shortest edge; and along z, y, x."""
    bins = {}
    for lag in itertools.product(*(range(1 - n, n) for n in mask.shape)):
        far = float(np.linalg.norm(np.multiply(lag, edges)))
        if far <= reach:
            whole, both = pairs(mask, lag)
            total = bins.setdefault(round(far / min(edges)), np.zeros(3))
            total += [whole, both, whole * far]
    radial = np.array([(d / w, b / w) for _, (w, b, d) in sorted(bins.items())])
    along = []
    for axis, (n, edge) in enumerate(zip(mask.shape, edges, strict=True)):
        rows = []
        for k in range(n):
            if k * edge <= reach:
                whole, both = pairs(mask, tuple(k if a == axis else 0 for a in range(3)))
                rows.append((k * edge, both / whole))
        along.append(np.array(rows))
    return radial, along


def chords(mask, way, border):
    """Chords along ``way``, one voxel after the other: (voxels, places at which it fits with both ends)."""

    def inside(at):
        return all(0 <= a < n for a, n in zip(at, mask.shape, strict=True))

    def step(at, sign):
        return tuple(a + sign * d for a, d in zip(at, way, strict=True))

    out = []
    for start in zip(*np.nonzero(mask), strict=True):
        before = step(start, -1)
        if inside(before) and mask[before]:
            continue
        n, at = 0, start
        while inside(at) and mask[at]:
            n, at = n + 1, step(at, 1)
        if border or (inside(before) and inside(at)):
            room = [m - (n + 1) * abs(d) for m, d in zip(mask.shape, way, strict=True)]
            out.append((n, 1 if border else int(np.prod(room))))
    return out


def diffusivity(mask, axis, edges):
    """Effective diffusivity from the equations of all voxels, solved at once; components that span only."""
    voxels = list(zip(*np.nonzero(mask), strict=True))
    number = {at: i for i, at in enumerate(voxels)}
    matrix, source = np.zeros((len(voxels),) * 2), np.zeros(len(voxels))
    area = np.prod(edges) / np.array(edges)
    for at, i in number.items():
        for a, sign in itertools.product(range(3), (-1, 1)):
            to = tuple(p + sign * (k == a) for k, p in enumerate(at))
            if to in number:
                matrix[i, i] += area[a] / edges[a]
                matrix[i, number[to]] -= area[a] / edges[a]
            elif a == axis and not 0 <= to[a] < mask.shape[a]:
                matrix[i, i] += 2 * area[a] / edges[a]
                source[i] += 2 * area[a] / edges[a] * (sign < 0)
    # Closed pockets have equations without a source: any solution does.
    values = np.linalg.lstsq(matrix, source, rcond=None)[0]
    flux = sum(
        2 * area[axis] / edges[axis] * (1 - values[number[at]]) for at in voxels if at[axis] == 0
    )
    length = np.multiply(mask.shape, edges)
    return flux * length[axis] ** 2 / length.prod()


def sampling_sigma(deviations, reach, widened):
    """Standard error of a sum over voxels: products of all pairs within a distance [px] that is ``reach`` radii.

    ``widened``: by degrees of freedom. None where no distance is far enough.
    """
    at = np.argwhere(np.ones(deviations.shape, bool)).astype(float)
    far = np.rint(np.linalg.norm(at[:, None] - at, axis=-1)).astype(int)
    product = np.multiply.outer(deviations.ravel(), deviations.ravel())
    shares, radii = [0.0], [0.0]
    for step in range(far.max() + 1):
        near = far <= step
        shares.append(near.mean())
        radii.append(step + 0.5)
    for share, radius, step in zip(shares[2:], radii[2:], itertools.count(1)):
        if share >= 1:
            return None
        variance = max(product[far <= step].sum() / (1 - share), 0.0)
        single = np.interp(variance / (deviations**2).sum() / deviations.size, shares, radii)
        if radius >= reach * single:
            return np.sqrt(variance) * widened(1 / share)
    return None
