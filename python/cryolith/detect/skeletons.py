# SPDX-License-Identifier: BSD-3-Clause
"""Lines in the middle of a phase, and the branches that they consist of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import InputError
from ._inputs import Float32, Float64, Mask, Table, as_mask
from ._lines import line_lengths, smooth_lines
from ._spacing import Spacing, as_spacing
from .components import label
from .distances import depth_of

__all__ = ["Branches", "branches", "skeleton"]

_KINDS = np.array(["end-end", "end-junction", "junction-junction", "loop"])


def skeleton(
    mask: npt.ArrayLike,
    *,
    spacing: Spacing = None,
    border: bool = False,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Mask:
    """Thin a phase to lines in its middle that hang together as it does.

    Parameters
    ----------
    mask : (nz, ny, nx) bool or integer
        The phase: pores, fibres, a network.
    spacing : float, three floats or Volume, optional
        Edges of a voxel along z, y, x: what lies in the middle depends on their ratios. Default: cubes.
    border : bool, default False
        Whether the phase ends at the border of the volume. By default it goes on, and lines lead up to the border.
    threads : int, default 0
        For the distances; the thinning itself runs on one thread. The result does not depend on it.
    cancel : CancelToken, optional
        Stops the work from another thread.

    Returns
    -------
    (nz, ny, nx) bool
        Lines one voxel wide. They have as many components (26 neighbours), tunnels and cavities as the phase: a cavity
        keeps a closed surface around itself, so fill those that do not count.

    Raises
    ------
    InputError
        Fractional values, not three axes, lengths that are none; a volume that is phase throughout (without
        ``border``).

    Notes
    -----
    Voxels go in the order of their distance to the surface, as long as they are no ends of lines and nothing falls
    apart, opens or closes. A line ends about where the largest ball inside the tip of the phase has its centre.

    References
    ----------
    Pudney, Comput. Vis. Image Underst. 72 (1998) 404. Whether a voxel may go: Bertrand & Malandain, Pattern Recognit.
    Lett. 15 (1994) 169, theorem 1.
    """
    phase = as_mask(mask, "mask")
    edges = as_spacing(spacing)
    depth = depth_of(phase, edges, border, threads, cancel)
    lines = phase.astype(np.uint8)
    _core.thin(depth, edges, lines, cancel)
    return lines.view(np.bool_)


@dataclass(frozen=True, kw_only=True, eq=False)
class Branches:
    """What :func:`branches` finds.

    Attributes
    ----------
    table : dict of str to (n,) array
        One row per branch: ``branch`` from 1; ``start`` and ``end``, its nodes; ``kind``: "end-end", "end-junction",
        "junction-junction" or "loop" (without any other branch); ``component`` of the skeleton; ``length``;
        ``distance`` between the nodes; ``tortuosity``, their ratio, infinite from a node to itself; ``radius``: mean
        along the branch, with ``radius_min`` and
        ``radius_max``; ``z``, ``y``, ``x`` half way.
    nodes : dict of str to (m,) array
        One row per end, junction, loop or single voxel: ``node`` from 1; ``z``, ``y``, ``x``; ``branches`` that meet
        there; ``radius``.
    loops : int
        Ways around: as many as branches can be cut without anything falling apart.
    lines : (nz, ny, nx) bool
        The skeleton without the spurs.
    paths : list of (k, 3) float64
        Points of each branch, smoothed.

    Notes
    -----
    Lengths, radii and places are in the unit of ``spacing``, places from the centre of the volume.
    """

    table: Table
    nodes: Table
    loops: int
    lines: Mask
    paths: list[Float64]


def branches(
    mask: npt.ArrayLike,
    *,
    spacing: Spacing = None,
    border: bool = False,
    prune: float = 1.0,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Branches:
    """Measure the branches of a phase: how long, how wide, how winding, and where they meet.

    Parameters
    ----------
    mask, spacing, border, threads, cancel
        As for :func:`skeleton`, which is taken.
    prune : float, default 1
        Spurs are left out: branches from a junction to a free end whose length and radius at the end together are at
        most ``prune`` times the radius at the junction, and one voxel. With 1 they stick out of the ball at the
        junction by no more than that voxel. 0 leaves all branches in.

    Returns
    -------
    Branches

    Raises
    ------
    InputError
        As :func:`skeleton`; a ``prune`` that is negative or no number.

    Notes
    -----
    Lengths are those of lines smoothed along themselves (standard deviation 2.5 voxels, without shrinking). Straight
    tubes in random directions come out 0.2 to 0.9 % long, one in ten up to 3 % (where they end in a hook); circles of
    radius 5 px 4 % short, of 8 px 1 %, from 12 px on within 0.3 % (design/026-networks.md). A free end lies at the
    centre of the last ball, to within two voxels: to the tip of the phase it is a radius more.
    Radii reach from the centre of a voxel to that of the first outside, as in :func:`distance`.
    """
    if not (np.isfinite(prune) and prune >= 0):
        raise InputError(f"prune: found {prune}, expected a number of at least 0")
    phase = as_mask(mask, "mask")
    edges = as_spacing(spacing)
    depth = depth_of(phase, edges, border, threads, cancel)
    lines = phase.astype(np.uint8)
    _core.thin(depth, edges, lines, cancel)
    while prune:
        spurs = _Graph(lines, depth, edges).spurs(prune)
        if not len(spurs):
            break
        lines.ravel()[spurs] = 0
        _core.thin(depth, edges, lines, cancel)  # what the spurs hung on
    return _Graph(lines, depth, edges).measured(lines.view(np.bool_), threads)


class _Graph:
    """Nodes and branches of a skeleton with their lengths and radii."""

    def __init__(
        self, lines: npt.NDArray[np.uint8], depth: Float32, edges: tuple[float, float, float]
    ) -> None:
        traced = _core.trace_branches(lines)
        self.places, self.first, self.start, self.end, self.node_places, node_first = traced
        self.edges = edges
        self.radius = depth.ravel().astype(np.float64)
        self.middle = (np.array(lines.shape) - 1) / 2
        self.shape = lines.shape
        self.count = len(self.start)
        each = np.diff(node_first)
        where = self._positions(self.node_places)
        self.nodes = np.add.reduceat(where, node_first[:-1]) if len(each) else where
        self.nodes = self.nodes / each[:, None]
        at_node = self.radius[self.node_places]
        self.node_radius = np.maximum.reduceat(at_node, node_first[:-1]) if len(each) else at_node
        self.node_first = node_first
        self.degree = np.bincount(np.concatenate([self.start, self.end]), minlength=len(each) + 1)[
            1:
        ]
        points = self._positions(self.places)
        points[self.first[:-1]] = self.nodes[self.start - 1]
        points[self.first[1:] - 1] = self.nodes[self.end - 1]
        # A loop that nothing else hangs on goes on where it begins.
        self.loop = (self.start == self.end) & (self.degree[self.start - 1] == 2)
        self.points = smooth_lines(points, self.first, self.loop)
        self.length = line_lengths(self.points, self.first)

    def _positions(self, places: npt.NDArray[np.int64]) -> Float64:
        index = np.stack(np.unravel_index(places, self.shape), axis=1)
        out: Float64 = (index - self.middle) * self.edges
        return out

    def spurs(self, prune: float) -> npt.NDArray[np.int64]:
        """Return the voxels of branches that hardly leave the ball about their junction; one branch of each is kept."""
        free_start, free_end = self.degree[self.start - 1] == 1, self.degree[self.end - 1] == 1
        outer = np.where(free_start, self.start, self.end) - 1
        inner = np.where(free_start, self.end, self.start) - 1
        reach = self.length + self.node_radius[outer]
        short = reach <= prune * self.node_radius[inner] + max(self.edges)
        short &= (free_start ^ free_end) & (self.degree[inner] > 2)
        # Where all branches of a junction are short the longest one stays.
        spared = self.degree.copy()
        np.subtract.at(spared, inner[short], 1)
        order = np.argsort(-self.length, kind="stable")
        for i in order[short[order] & (spared[inner[order]] == 0)]:
            if spared[inner[i]] == 0:
                spared[inner[i]], short[i] = 1, False
        inside = np.ones(len(self.places), bool)
        keep_first, keep_last = ~free_start, ~free_end
        inside[self.first[:-1][keep_first]] = False
        inside[self.first[1:][keep_last] - 1] = False
        inside &= np.repeat(short, np.diff(self.first))
        out: npt.NDArray[np.int64] = self.places[inside]
        return out

    def measured(self, lines: Mask, threads: int) -> Branches:
        free = self.degree[np.stack([self.start, self.end]) - 1] == 1
        kind = np.where(self.loop, 3, 2 - free.sum(axis=0))
        labels, components = label(lines, 26, threads=threads)
        along = self.radius[self.places]
        far = np.linalg.norm(self.nodes[self.start - 1] - self.nodes[self.end - 1], axis=1)
        first = self.first[:-1]
        middle = (self.first[:-1] + self.first[1:] - 1) // 2
        reduced = [
            f.reduceat(along, first) if self.count else np.zeros(0)
            for f in (np.add, np.minimum, np.maximum)
        ]
        table: Table = {
            "branch": np.arange(1, self.count + 1),
            "start": self.start,
            "end": self.end,
            "kind": _KINDS[kind],
            "component": labels.ravel()[self.places[first]].astype(np.int64),
            "length": self.length,
            "distance": far,
            "tortuosity": np.where(
                self.start == self.end, np.inf, self.length / np.where(far > 0, far, np.nan)
            ),
            "radius": reduced[0] / np.diff(self.first),
            "radius_min": reduced[1],
            "radius_max": reduced[2],
        }
        table |= {name: self.points[middle, i] for i, name in enumerate("zyx")}
        nodes: Table = {"node": np.arange(1, len(self.nodes) + 1)}
        nodes |= {name: self.nodes[:, i] for i, name in enumerate("zyx")}
        nodes |= {"branches": self.degree, "radius": self.node_radius}
        return Branches(
            table=table,
            nodes=nodes,
            loops=self.count - len(self.nodes) + components,
            lines=lines,
            paths=np.split(self.points, self.first[1:-1]) if self.count else [],
        )
