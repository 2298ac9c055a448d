# SPDX-License-Identifier: BSD-3-Clause
"""Slow, obvious definitions of thinning and of the graph of a skeleton in cryolith.detect."""

from __future__ import annotations

import numpy as np
from reference.detect import label, neighbours


def is_simple(cube):
    """Whether a volume of 3 x 3 x 3 voxels keeps its topology without the one in the middle."""
    inside = cube.copy()
    inside[1, 1, 1] = False
    if label(inside, 26)[1] != 1:
        return False
    near = np.abs(np.indices((3, 3, 3)) - 1).sum(axis=0)
    outside, _ = label(~cube & (near <= 2) & (near > 0), 6)
    return len(set(outside[near == 1]) - {0}) == 1


def ends_phase(distance, at, spacing):
    """Whether three steps up, each to the highest neighbour, rise by at most 0.6 a length."""
    top = at
    for _ in range(3):
        beside = [tuple(np.add(top, o)) for o in neighbours(26)]
        beside = [
            p for p in beside if all(0 <= a < n for a, n in zip(p, distance.shape, strict=True))
        ]
        best = max(beside, key=lambda p: distance[p], default=top)
        if not distance[best] > distance[top]:
            break
        top = best
    far = float(np.linalg.norm(np.subtract(top, at) * spacing))
    return float(distance[top]) - float(distance[at]) <= 0.6 * far


def thin(mask, distance, spacing=(1.0, 1.0, 1.0)):
    """Levels of distance from below; in each, the eight parities of place in turn; again what has lost a neighbour."""
    left = np.pad(mask, 1)
    parity = (np.indices(mask.shape) % 2 * np.array([4, 2, 1])[:, None, None, None]).sum(axis=0)
    for level in np.unique(distance[mask]):
        due = mask & (distance == level)
        while due.any():
            later = np.zeros(mask.shape, bool)
            for turn in range(8):
                for at in np.argwhere(due & (parity == turn)):
                    due[tuple(at)] = False
                    cube = left[tuple(slice(a, a + 3) for a in at)]
                    end = cube.sum() == 2
                    if ends_phase(distance, tuple(at), spacing) if end else not is_simple(cube):
                        continue
                    left[tuple(at + 1)] = False
                    around = tuple(slice(max(a - 1, 0), a + 2) for a in at)
                    later[around] |= (distance[around] <= level) & ~due[around]
            due = later & left[1:-1, 1:-1, 1:-1]
    return left[1:-1, 1:-1, 1:-1]


def graph(lines):
    """Nodes as sets of voxels, and branches as (node, node, voxels between them)."""
    voxels = {tuple(v) for v in np.argwhere(lines)}
    beside = {
        v: [u for o in neighbours(26) if (u := tuple(np.add(v, o))) in voxels] for v in voxels
    }
    node = {v: v for v in voxels if len(beside[v]) < 2}  # voxel to the first one of its node
    for v in sorted(voxels):
        if len(beside[v]) < 3 or v in node:
            continue
        front, node[v] = [v], v
        while front:
            for u in beside[front.pop()]:
                if len(beside[u]) > 2 and u not in node:
                    node[u] = v
                    front.append(u)
    edges = []
    for v in node:
        edges += [(node[v], node[u], 0) for u in beside[v] if u in node and node[u] > node[v]]
    rest = lines.copy()
    for v in node:
        rest[v] = False
    labels, count = label(rest, 26)
    for k in range(1, count + 1):
        chain = [tuple(v) for v in np.argwhere(labels == k)]
        ends = sorted(node[u] for v in chain for u in beside[v] if u in node)
        edges.append((*(ends or [min(chain)] * 2), len(chain)))
    return set(node.values()), sorted(edges)
