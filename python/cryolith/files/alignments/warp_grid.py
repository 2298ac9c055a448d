# SPDX-License-Identifier: BSD-3-Clause
"""Warp's GridMovement and the local shifts of an alignment: the same values at the nodes of a grid."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from ...datamodel import Alignment, LocalShifts
from ..angles import parse_number
from ..findings import Notes, fail
from .common import Pose

__all__ = ["Nodes", "grid_nodes", "local_of", "nodes_of", "render_grid"]

Float64 = npt.NDArray[np.float64]

_MOST = 100_000_000  # nodes; a grid of a tilt series has thousands
_ON_THE_GRID = 0.02  # px that a point may lie beside its node: local tables have two decimals
_SIZES = ("Depth", "Height", "Width")


@dataclass(frozen=True, eq=False)
class Nodes:
    """Values at a grid of nodes for each tilt.

    Attributes
    ----------
    values : (n_tilts, n_nodes, 2)
        GridMovementY and X; rows of the grid first.
    shape : (int, int)
        Nodes along y and x.
    margin : (float, float)
        Part of the image, along y and x, by which the outer nodes lie beyond its edges, in the spline's own measure.
    """

    values: Float64
    shape: tuple[int, int]
    margin: tuple[float, float] = (0.0, 0.0)

    @property
    def points(self) -> bool:
        """Whether the values depend on the place in the image."""
        return self.shape != (1, 1)

    def fractions(self) -> Float64:
        """(n_nodes, 2): place of each node as a part of the image, (y, x), 0 at pixel 0."""
        axes = []
        for count, margin in zip(self.shape, self.margin, strict=True):
            at = np.linspace(0.0, 1.0, count) if count > 1 else np.full(1, 0.5)
            axes.append((at - margin) / (1 - 2 * margin) if count > 1 else at)
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)


def grid_nodes(path: str, root: ElementTree.Element, n: int, notes: Notes) -> Nodes | None:
    """Read GridMovementX and Y where they say anything."""
    grids = [_grid(path, root.find(f"GridMovement{c}"), f"GridMovement{c}") for c in "YX"]
    if all(g is None or not g[0].any() for g in grids):
        return None
    pair = [g for g in grids if g is not None]
    shape, margin = pair[0][0].shape[1:], pair[0][1]
    depth = pair[0][0].shape[0]
    if any(g[0].shape != (depth, *shape) or g[1] != margin for g in pair) or depth not in (1, n):
        found = " and ".join("x".join(map(str, g[0].shape)) for g in pair)
        notes.warn(
            "GridMovement",
            f"grids of {found} nodes (tilt, y, x)",
            f"the same for both, with 1 or {n} along the tilts",
            "they are not kept",
        )
        return None
    full = [np.zeros((depth, *shape)) if g is None else g[0] for g in grids]
    values = np.stack([np.broadcast_to(g, (n, *shape)) for g in full], axis=-1)
    return Nodes(values.reshape(n, -1, 2), (shape[0], shape[1]), margin)


def _grid(
    path: str, element: ElementTree.Element | None, name: str
) -> tuple[Float64, tuple[float, float]] | None:
    """Values (tilt, y, x) of one grid and its margins (y, x)."""
    if element is None:
        return None
    sizes = [element.get(s, "1") for s in _SIZES]
    if not all(s.isdecimal() and int(s) > 0 for s in sizes):
        fail(
            path, name, f"sizes {', '.join(sizes)}", "positive numbers of nodes", "repair the file"
        )
    shape = tuple(int(s) for s in sizes)
    nodes = element.findall("Node")
    if len(nodes) != np.prod(shape, dtype=float) or len(nodes) > _MOST:
        fail(path, name, f"{len(nodes)} nodes", f"{' x '.join(sizes)} nodes", "the file is damaged")
    out = np.full(shape, np.nan)
    for node in nodes:
        place = [node.get(c, "0") for c in "ZYX"]
        value = parse_number(node.get("Value", ""))
        inside = all(p.isdecimal() and int(p) < s for p, s in zip(place, shape, strict=True))
        if not inside or value is None or not np.isfinite(value):
            text = ElementTree.tostring(node, encoding="unicode").strip()
            fail(
                path,
                name,
                text[:80],
                f"a place in {' x '.join(sizes)} and a value",
                "repair the file",
            )
        out[tuple(int(p) for p in place)] = value
    if np.isnan(out).any():
        fail(path, name, "a node twice", "each node once", "the file is damaged")
    margins = [parse_number(element.get(f"Margin{c}", "0")) for c in "YX"]
    if not all(m is not None and 0 <= m < 0.5 for m in margins):
        fail(path, name, f"margins {margins}", "0 to 0.5", "repair the file")
    return out, (float(margins[0] or 0), float(margins[1] or 0))


def local_of(nodes: Nodes, shape: tuple[int, int], pixel: float, offset: Float64) -> LocalShifts:
    """Local shifts of a grid; ``offset`` (n_tilts, 2) [angstrom] is Warp's own shift of each tilt.

    Warp looks its grid up at the place in the image, shift included; points count from before the shift.
    """
    n, k = nodes.values.shape[:2]
    place = (nodes.fractions() - 0.5) * np.array(shape)
    return LocalShifts(
        points_px=place - offset[:, None] / pixel,
        shifts_px=-nodes.values / pixel,
        good=np.ones((n, k), bool),
    )


def nodes_of(alignment: Alignment, pose: Pose, shape: tuple[int, int] | None) -> Nodes | None:
    """Nodes of the local shifts, None where there are none or they lie on no grid that spans the image."""
    local = alignment.local
    if local is None or shape is None or not local.good[alignment.kept].all():
        return None
    # Warp's shift is ours less half a pixel; place in the image from its centre at n / 2.
    place = local.points_px + (pose.shifts_px - 0.5)[:, None]
    place = place[alignment.kept]
    rows, columns = (1 + int((np.diff(np.sort(place[0, :, k])) > 1).sum()) for k in (0, 1))
    grid = Nodes(np.nan_to_num(local.shifts_px), (rows, columns))
    if rows * columns != local.good.shape[1] or not grid.points:
        return None
    expected = (grid.fractions() - 0.5) * np.array(shape)
    return grid if np.abs(place - expected).max() <= _ON_THE_GRID else None


def render_grid(root: ElementTree.Element, nodes: Nodes, pixel: float) -> None:
    """Add GridMovementX and GridMovementY of local shifts ``nodes`` [px] to the XML."""
    n = len(nodes.values)
    height, width = nodes.shape
    for k, c in ((1, "X"), (0, "Y")):
        sizes = {"Width": str(width), "Height": str(height), "Depth": str(n)}
        grid = ElementTree.SubElement(
            root, f"GridMovement{c}", {**sizes, "MarginX": "0", "MarginY": "0", "MarginZ": "0"}
        )
        values = -nodes.values[..., k].reshape(n, height, width) * pixel
        for z, y, x in np.ndindex(values.shape):
            place = {"X": str(x), "Y": str(y), "Z": str(z), "Value": f"{values[z, y, x]:.9g}"}
            ElementTree.SubElement(grid, "Node", place)
