# SPDX-License-Identifier: BSD-3-Clause
"""Where the layers of the table lie in a plane of the volume, and a cut-out of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datamodel import Volume
from .pictures import Picture, Window, picture, plane_at

__all__ = ["Boundary", "Line", "Name", "Table", "boundary_lines", "layer_cutouts", "layer_names"]

Table = Mapping[str, npt.NDArray[Any]]
Line = tuple[float, float, float, float]
_PINK = (255, 111, 174)


@dataclass(frozen=True)
class Boundary:
    """A plane r . normal = position, (z, y, x) from the volume's centre [px]."""

    normal: tuple[float, float, float]
    position: float


@dataclass(frozen=True)
class Name:
    """A layer's name and the place (x, y) in a picture where its end may stand."""

    text: str
    x: float
    y: float


def boundary_lines(
    table: Table, volume: Volume, axes: tuple[int, int, int], index: int
) -> tuple[Line, ...]:
    """Return where the boundaries cross a plane, as (x1, y1, x2, y2) in pixels from its corner.

    ``axes`` are the rows, columns and cut of the plane as axes of the volume.
    """
    sides = [_boundaries(table, volume, side) for side in ("start", "end")]
    distinct = {b for side in sides for b in side.values()}
    found = sorted(distinct, key=lambda b: (b.position, b.normal))
    lines = (_line(b, volume.data.shape, axes, index) for b in found)
    return tuple(line for line in lines if line is not None)


def layer_names(
    table: Table, volume: Volume, axes: tuple[int, int, int], index: int, height: float
) -> tuple[Name, ...]:
    """Return the names that fit between their boundaries, ``height`` [px] high, at the right end."""
    starts, ends = (_boundaries(table, volume, side) for side in ("start", "end"))
    out = []
    for row in sorted(starts.keys() | ends.keys()):
        low, high, place = starts.get(row), ends.get(row), _middle(table, volume, row)
        if "name" not in table or (low and high and abs(high.position - low.position) < height):
            continue
        known = low or high
        if low and high:
            middle = Boundary(low.normal, (low.position + high.position) / 2)
        elif known and place is not None:
            middle = Boundary(known.normal, float(place @ np.array(known.normal)))
        else:
            continue
        line = _line(middle, volume.data.shape, axes, index)
        if line is not None:
            x, y = max((line[:2], line[2:]))
            out.append(Name(str(table["name"][row]), x, y))
    return tuple(out)


def layer_cutouts(
    volume: Volume, table: Table, window: Window, wanted: tuple[int, ...], side: int = 64
) -> dict[int, Picture]:
    """Return for each layer a square around its middle in a plane across it, boundaries marked."""
    known = [_boundaries(table, volume, name) for name in ("start", "end")]
    out: dict[int, Picture] = {}
    for row in wanted:
        middle = _middle(table, volume, row)
        both = [boundaries[row] for boundaries in known if row in boundaries]
        if middle is not None and both:
            out[row] = _cutout(volume, middle, both, window, side)
    return out


def _scale(table: Table, volume: Volume) -> tuple[str, float]:
    """Return the unit of the lengths in a table, and pixels per unit."""
    if "start_nm" in table and volume.pixel_size:
        return "nm", 10.0 / volume.pixel_size
    return "px", 1.0


def _boundaries(table: Table, volume: Volume, side: str) -> dict[int, Boundary]:
    unit, scale = _scale(table, volume)
    column, normal = f"{side}_{unit}", [f"normal_{a}" for a in "zyx"]
    if any(name not in table for name in (column, *normal)):
        return {}
    out = {}
    for row, position in enumerate(np.asarray(table[column], float)):
        z, y, x = (float(table[name][row]) for name in normal)
        if np.isfinite([position, z, y, x]).all():
            out[row] = Boundary((z, y, x), float(position) * scale)
    return out


def _middle(table: Table, volume: Volume, row: int) -> npt.NDArray[np.float64] | None:
    unit, scale = _scale(table, volume)
    columns = [f"{axis}_{unit}" for axis in "zyx"]
    if any(column not in table for column in columns):
        return None
    middle = np.array([float(table[column][row]) for column in columns]) * scale
    return middle if np.isfinite(middle).all() else None


def _line(
    boundary: Boundary, shape: tuple[int, ...], axes: tuple[int, int, int], index: int
) -> Line | None:
    """Clip the boundary to the plane's rectangle; None where it runs beside or along the plane."""
    rows, columns, cut = axes
    a, b = boundary.normal[rows], boundary.normal[columns]
    if np.hypot(a, b) < 0.5:
        return None
    d = boundary.position - boundary.normal[cut] * (index - (shape[cut] - 1) / 2)
    half = np.array([shape[rows] / 2, shape[columns] / 2])
    foot = np.array([a, b]) * d / (a * a + b * b)
    along = np.array([-b, a]) / np.hypot(a, b)
    low, high = -np.inf, np.inf
    for p, v, h in zip(foot, along, half, strict=True):
        if abs(v) < 1e-9:
            if abs(p) > h:
                return None
            continue
        ends = sorted(((-h - p) / v, (h - p) / v))
        low, high = max(low, ends[0]), min(high, ends[1])
    if low >= high:
        return None
    (y1, x1), (y2, x2) = foot + low * along + half, foot + high * along + half
    return (round(x1, 2), round(y1, 2), round(x2, 2), round(y2, 2))


def _cutout(
    volume: Volume,
    middle: npt.NDArray[np.float64],
    boundaries: list[Boundary],
    window: Window,
    side: int,
) -> Picture:
    """Cut along x and the axis nearest to the normal, or along z and x for layers in xy."""
    normal = np.array(boundaries[0].normal)
    rows, columns, cut = (0, 2, 1) if np.abs(normal).argmax() == 0 else (1, 2, 0)
    distance = max(abs(b.position - float(middle @ normal)) for b in boundaries)
    half = max(8.0, 1.8 * distance)
    steps = (np.arange(side) + 0.5) / side * 2 * half - half
    shape = volume.data.shape
    places = {rows: middle[rows] + steps, columns: middle[columns] + steps}
    at = {axis: np.rint(p + (shape[axis] - 1) / 2).astype(int) for axis, p in places.items()}
    fixed = int(np.clip(round(middle[cut] + (shape[cut] - 1) / 2), 0, shape[cut] - 1))
    plane = plane_at(volume.data, cut, fixed)
    inside = {axis: (i >= 0) & (i < shape[axis]) for axis, i in at.items()}
    r, c = (np.clip(at[axis], 0, shape[axis] - 1) for axis in (rows, columns))
    image = np.where(np.outer(inside[rows], inside[columns]), plane[np.ix_(r, c)], np.nan)
    colour = np.repeat(window.bytes_of(image)[:, :, None], 3, axis=2)
    height = normal[rows] * places[rows][:, None] + normal[columns] * places[columns]
    height = height + normal[cut] * middle[cut]
    for boundary in boundaries:
        colour[np.abs(height - boundary.position) < 2 * half / side] = _PINK
    return picture(colour)
