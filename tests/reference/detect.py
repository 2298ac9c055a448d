# SPDX-License-Identifier: BSD-3-Clause
"""Slow, obvious definitions of what cryolith.detect computes."""

from __future__ import annotations

import itertools

import numpy as np

DIRECTIONS = [
    (dz, dy, dx)
    for dz in (0, 1)
    for dy in (-1, 0, 1)
    for dx in (-1, 0, 1)
    if (dz, dy, dx) > (0, 0, 0)
]


def neighbours(connectivity):
    """Offsets to the neighbours that share a face (6), or also an edge (18), or also a corner (26)."""
    reach = {6: 1, 18: 2, 26: 3}[connectivity]
    return [o for o in itertools.product((-1, 0, 1), repeat=3) if 0 < np.abs(o).sum() <= reach]


def label(mask, connectivity, joined=lambda a, b: True):
    """Flood fill from each voxel in raster order, on to neighbours whose values are ``joined`` with its own."""
    labels = np.zeros(mask.shape, np.int32)
    count = 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        count += 1
        labels[start] = count
        front = [start]
        while front:
            at = front.pop()
            for offset in neighbours(connectivity):
                to = tuple(a + o for a, o in zip(at, offset, strict=True))
                inside = all(0 <= t < n for t, n in zip(to, mask.shape, strict=True))
                if inside and mask[to] and not labels[to] and joined(mask[at], mask[to]):
                    labels[to] = count
                    front.append(to)
    return labels, count


def exits(labels, value):
    """How many voxels of a region have a neighbour of another label, for each of 13 directions."""
    padded = np.pad(labels, 1, constant_values=-1)
    inside = labels == value
    out = []
    for offset in DIRECTIONS:
        window = tuple(slice(1 + o, 1 + o + n) for o, n in zip(offset, labels.shape, strict=True))
        out.append(int((padded[window][inside] != value).sum()))
    return out


def border(labels, value):
    """How many voxel faces of a region lie on the border of the volume, across z, y, x."""
    inside = labels == value
    return [int(inside.take(0, a).sum() + inside.take(-1, a).sum()) for a in range(3)]


def contacts(labels):
    """How often two labels are neighbours along each of 13 directions, by pair."""
    out = {}
    for d, offset in enumerate(DIRECTIONS):
        here = tuple(
            slice(max(0, -o), n - max(0, o)) for o, n in zip(offset, labels.shape, strict=True)
        )
        there = tuple(
            slice(max(0, o), n - max(0, -o)) for o, n in zip(offset, labels.shape, strict=True)
        )
        a, b = labels[here].ravel(), labels[there].ravel()
        for pair in zip(
            a[(a != b) & (a > 0) & (b > 0)], b[(a != b) & (a > 0) & (b > 0)], strict=True
        ):
            out.setdefault(tuple(sorted(int(p) for p in pair)), np.zeros(13, int))[d] += 1
    return out


def euler(inside, connectivity):
    """Euler number of closed cubes (26) or of open ones that meet by their faces (6): cells counted one by one."""
    voxels = set(zip(*(2 * i + 1 for i in np.nonzero(inside)), strict=True))
    cells = {
        tuple(v + s for v, s in zip(voxel, step, strict=True))
        for voxel in voxels
        for step in itertools.product((-1, 0, 1), repeat=3)
    }
    if connectivity == 6:  # a cell between voxels counts if all of them are there
        around = {
            cell: [
                tuple(p)
                for p in itertools.product(*((c,) if c % 2 else (c - 1, c + 1) for c in cell))
            ]
            for cell in cells
        }
        cells = {cell for cell in cells if voxels.issuperset(around[cell])}
        return sum((-1) ** sum(c % 2 == 0 for c in cell) for cell in cells)
    return sum((-1) ** sum(c % 2 for c in cell) for cell in cells)


def fill_basins(values, outlet):
    """Relax until nothing changes: a voxel holds the lowest of its neighbours' water, or itself if higher."""
    open_ = outlet.copy()
    for axis in range(3):
        if values.shape[axis] > 1:
            face = np.moveaxis(open_, axis, 0)
            face[0] = face[-1] = True
    if not open_.any():
        return values.copy()
    water = np.where(open_, values, np.inf)
    while True:
        padded = np.pad(water, 1, constant_values=np.inf)
        lowest = water.copy()
        for offset in neighbours(6):
            window = tuple(
                slice(1 + o, 1 + o + n) for o, n in zip(offset, values.shape, strict=True)
            )
            lowest = np.minimum(lowest, padded[window])
        new = np.minimum(water, np.maximum(values, lowest))
        if (new == water).all():
            return new
        water = new


def best_separability(counts, levels, classes):
    """Largest variance between classes over the whole variance, trying every set of cuts."""
    mean = np.average(levels, weights=counts)
    whole = np.average((levels - mean) ** 2, weights=counts)
    best = 0.0
    for cuts in itertools.combinations(range(1, len(levels)), classes - 1):
        between = 0.0
        for low, high in itertools.pairwise((0, *cuts, len(levels))):
            weight = counts[low:high]
            if weight.sum():
                centre = np.average(levels[low:high], weights=weight)
                between += weight.sum() * (centre - mean) ** 2
        best = max(best, between / counts.sum() / whole)
    return best


def distance(labels, spacing=(1.0, 1.0, 1.0), signed=False, border=False):
    """From each voxel to the nearest one with another label, of all pairs."""
    outside = int(labels.max()) + 1 if border else None
    padded = np.pad(labels, 1, constant_values=outside) if border else labels
    places = np.argwhere(np.ones(padded.shape, bool)) * np.asarray(spacing)
    values = padded.ravel()
    out = np.full(values.shape, np.inf)
    for i, (place, value) in enumerate(zip(places, values, strict=True)):
        # Beyond the border lies background: another label than all but zeros.
        other = (values != value) if value else (values != 0) & (values != outside)
        if value != outside and other.any() and (value or signed):
            out[i] = np.sqrt(((places[other] - place) ** 2).sum(axis=1).min())
    out = out.reshape(padded.shape)
    if border:
        out = out[1:-1, 1:-1, 1:-1]
    return np.where(labels == 0, -out if signed else 0.0, out)


def local_thickness(mask, spacing=(1.0, 1.0, 1.0), border=False):
    """Twice the largest distance of all voxels whose ball holds a voxel, of all pairs."""
    depth = distance(mask.astype(int), spacing, border=border).ravel()
    places = np.argwhere(np.ones(mask.shape, bool)) * np.asarray(spacing)
    out = np.zeros(depth.shape)
    for place, radius in zip(places, depth, strict=True):
        squares = ((places - place) ** 2).sum(axis=1)
        held = squares * (1 + 1e-9) < radius**2  # the nearest background voxel is not
        out[held] = np.maximum(out[held], 2 * radius)
    return out.reshape(mask.shape)


def cheapest(costs, alone):
    """Least sum of costs of rows that take a column of their own or pay for staying alone, of all ways."""
    if not len(costs):
        return 0.0
    best = alone[0] + cheapest(costs[1:], alone[1:])
    for column in np.flatnonzero(np.isfinite(costs[0])):
        rest = costs[1:].copy()
        rest[:, column] = np.inf
        best = min(best, costs[0, column] + cheapest(rest, alone[1:]))
    return best


def walker_chances(values, seeds, beta, least=1e-6):
    """Chances (n_labels, ...) of a random walker to meet the seeds of each label first, by dense equations."""
    open_ = np.isfinite(values)
    places = np.argwhere(np.ones(values.shape, bool))
    flat, marks, way = values.ravel(), seeds.ravel(), open_.ravel()
    apart = np.abs(places[:, None] - places).sum(axis=2)
    with np.errstate(invalid="ignore"):
        weight = np.exp(-beta * (flat[:, None] - flat) ** 2) + least
    weight = np.where((apart == 1) & way[:, None] & way, weight, 0)
    laplacian = np.diag(weight.sum(axis=1)) - weight
    unknown = (marks == 0) & way
    inner, out = laplacian[np.ix_(unknown, unknown)], []
    for label in np.unique(marks[(marks > 0) & way]):
        mine = (marks == label) & way
        chance = mine.astype(float)
        # Least squares: an island without seeds has no equation, and gets 0.
        chance[unknown] = np.linalg.lstsq(
            inner, weight[np.ix_(unknown, mine)].sum(axis=1), rcond=None
        )[0]
        out.append(chance.reshape(values.shape))
    return np.array(out)


def local_threshold(values, radius, method, k, spread=None):
    """Thresholds from the mean and standard deviation of each window, one by one."""
    out = np.empty(values.shape)
    for place in np.ndindex(values.shape):
        window = values[tuple(slice(max(c - radius, 0), c + radius + 1) for c in place)]
        window = window[np.isfinite(window)].astype(float)
        if not window.size:
            out[place] = np.nan
            continue
        mean, sd = window.mean(), window.std()
        out[place] = mean + k * sd if method != "sauvola" else mean * (1 + k * (sd / spread - 1))
    return out
