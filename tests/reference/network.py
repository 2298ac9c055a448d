# SPDX-License-Identifier: BSD-3-Clause
"""Slow, obvious definition of the partition of a phase into pores in cryolith.detect."""

from __future__ import annotations

import numpy as np
from reference.detect import label, neighbours


def beside(at, mask):
    """Face neighbours inside of the phase, in raster order."""
    found = (tuple(int(v) for v in np.add(at, o)) for o in sorted(neighbours(6)))
    return [
        p for p in found if all(0 <= a < n for a, n in zip(p, mask.shape, strict=True)) and mask[p]
    ]


def peaks(mask, distance, least, share):
    """Maxima that stand out: a lower one counts unless it meets a higher one above peak - max(least, share peak)."""
    order = sorted(
        (tuple(int(v) for v in p) for p in np.argwhere(mask)),
        key=lambda p: (-distance[p], [-v for v in p]),
    )
    basin = {}
    parent = {}

    def root(p):
        while parent[p] != p:
            p = parent[p]
        return p

    for at in order:
        own = None
        for to in beside(at, mask):
            if to not in basin:
                continue
            other = root(basin[to])
            if own is None or own == other:
                own = other
                continue
            if (-distance[other], other) < (-distance[own], own):
                own, other = other, own
            top = float(distance[other])
            if top - float(distance[at]) <= max(least, share * top):
                parent[other] = own
        if own is None:
            own = parent[at] = at
        basin[at] = own
    return sorted(p for p in parent if parent[p] == p)


def flood(mask, distance, markers):
    """From the highest level down, each level breadth first from what was reached: its number goes on to neighbours."""
    labels = np.zeros(mask.shape, np.int32)
    queues = {}
    for number, at in enumerate(markers, 1):
        labels[at] = number
        queues.setdefault(distance[at], []).append(at)
    for level in np.unique(distance[mask])[::-1]:
        queue = queues.setdefault(level, [])
        while queue:
            at = queue.pop(0)
            for to in beside(at, mask):
                if labels[to] == 0:
                    labels[to] = labels[at]
                    queues.setdefault(
                        min(distance[to], level), queue if distance[to] >= level else []
                    ).append(to)
    return labels


def parts(labels):
    """How many pieces each label falls into."""
    return [label(labels == k, 6)[1] for k in range(1, labels.max() + 1)]
