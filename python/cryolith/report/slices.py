# SPDX-License-Identifier: BSD-3-Clause
"""Planes of the volume as pictures, with what was found drawn over them as vectors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import contourpy
import numpy as np
import numpy.typing as npt

from ..datamodel import Defects, Volume
from ..defects import place_columns
from ..units import format_length
from .layers import Line, Name, boundary_lines, layer_names
from .pictures import Picture, Window, picture, plane_at, reduce

__all__ = ["Outline", "Plane", "ScaleBar", "central_planes", "plane", "spread_planes"]

# (rows, columns, cut) of each plane as axes of the volume (z, y, x)
PLANES = {"xy": (1, 2, 0), "xz": (0, 2, 1), "zy": (1, 0, 2)}
AXES = "zyx"
NAME_HEIGHT = 0.036  # of a picture's width
# Characters of path data of one kind in one plane; beyond it the outline is drawn coarser.
MAX_OUTLINE = 60_000
LEAST_RADIUS = 1.5  # px
POINT_LENGTH = 12  # of "L123.5 456.0"


@dataclass(frozen=True)
class ScaleBar:
    """A bar of round length: its length on the picture [px] and in words."""

    length: float
    text: str

    @classmethod
    def of(cls, width: float, pixel_size: float | None) -> ScaleBar:
        """Choose 1, 2 or 5 times a power of ten of about a quarter of ``width`` [px]."""
        unit = 1.0 if pixel_size is None else pixel_size
        target = width * unit / 4
        power = 10.0 ** math.floor(math.log10(target))
        length = max(m * power for m in (1, 2, 5) if m * power <= target * 1.0001)
        text = f"{length:.4g} px" if pixel_size is None else format_length(length)
        return cls(length / unit, text)


@dataclass(frozen=True)
class Outline:
    """Closed lines around one class of objects, as an SVG path in pixels of the plane."""

    kind: str
    path: str


@dataclass(frozen=True)
class Plane:
    """One plane ready for the page; sizes and positions in pixels of the volume."""

    name: str
    picture: Picture
    width: int
    height: int
    across: str
    down: str
    cut: str
    index: int
    bar: ScaleBar
    outlines: tuple[Outline, ...]
    layers: tuple[Line, ...]
    names: tuple[Name, ...]
    name_height: float

    @property
    def words(self) -> str:
        """Name the plane and where it lies."""
        return f"{self.name} plane at {self.cut} = {self.index}"


def plane(
    volume: Volume,
    name: str,
    index: int,
    window: Window,
    defects: Defects,
    side: int = 512,
    field: float | None = None,
) -> Plane:
    """Cut one plane out of the volume at ``index`` along its third axis.

    ``field`` [px] is the width of the view that it is part of; it sets the length of the scale bar
    and the size of the names, so that they agree between planes. By default the plane's own.
    """
    rows, columns, cut = PLANES[name]
    image = _cut(volume.data, rows, columns, cut, index)
    outlines: tuple[Outline, ...] = ()
    labels, layers = defects.labels, defects.layers
    if labels is not None:
        found = _cut(labels, rows, columns, cut, index)
        pairs = (("particle", _path(found > 0)), ("void", _path(found < 0)))
        outlines = tuple(Outline(kind, path) for kind, path in pairs if path)
    circles = _circles(defects, volume, PLANES[name], index)
    outlines += (Outline("place", circles),) if circles else ()
    width = image.shape[1]
    own_bar = ScaleBar.of(width, volume.pixel_size)
    bar = own_bar if field is None else ScaleBar.of(field / 2, volume.pixel_size)
    height = NAME_HEIGHT * (width if field is None else field / 2)
    return Plane(
        name=name,
        picture=picture(window.bytes_of(reduce(image, side))),
        width=image.shape[1],
        height=image.shape[0],
        across=AXES[columns],
        down=AXES[rows],
        cut=AXES[cut],
        index=index,
        bar=bar if bar.length < 0.8 * image.shape[1] else own_bar,
        outlines=outlines,
        layers=boundary_lines(layers, volume, PLANES[name], index),
        names=layer_names(layers, volume, PLANES[name], index, height),
        name_height=height,
    )


def _circles(defects: Defects, volume: Volume, axes: tuple[int, int, int], index: int) -> str:
    """Draw where balls of the found places and diameters cut a plane; what has no diameter is drawn 3 px wide."""
    rows, columns, cut = axes
    parts: list[str] = []
    length = 0
    for table in defects.tables.values():
        places, radii = _balls(table, volume)
        chords = np.sqrt(np.maximum(radii**2 - (places[:, cut] - index) ** 2, 0))
        for place, chord in zip(places[chords > 0], chords[chords > 0], strict=True):
            x, y = place[columns] + 0.5, place[rows] + 0.5
            r = round(max(float(chord), LEAST_RADIUS), 1)  # both arcs of one radius, to the digit
            arc = f"a{r:.1f} {r:.1f} 0 1 0"
            parts.append(f"M{x - r:.1f} {y:.1f}{arc} {2 * r:.1f} 0{arc} {-2 * r:.1f} 0Z")
            length += len(parts[-1])
            if length > MAX_OUTLINE:
                return "".join(parts)
    return "".join(parts)


def _balls(
    table: Mapping[str, npt.NDArray[Any]], volume: Volume
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return places (n, 3) as array indices and radii (n,) [px] of what a table holds, where it says places."""
    columns = place_columns(table)
    if not columns:
        return np.zeros((0, 3)), np.zeros(0)
    places = np.stack([np.asarray(table[c], np.float64) for c in columns], axis=1)
    unit, pixel = "px", 1.0
    if columns[0].endswith("_nm"):
        unit, pixel = "nm", (volume.pixel_size or 10.0) / 10
        places = places / pixel + (np.array(volume.data.shape) - 1) / 2
    diameters = np.asarray(table.get(f"diameter_{unit}", np.zeros(len(places))), np.float64)
    radii = np.maximum(diameters / 2 / pixel, LEAST_RADIUS)
    good = np.isfinite(places).all(axis=1) & np.isfinite(radii)
    return places[good], radii[good]


def central_planes(volume: Volume, window: Window, defects: Defects) -> dict[str, Plane]:
    """Return the three planes through the centre of the volume."""
    shape = volume.data.shape
    field = float(shape[0] + shape[2])
    return {
        name: plane(volume, name, shape[cut] // 2, window, defects, field=field)
        for name, (_, _, cut) in PLANES.items()
    }


def spread_planes(
    volume: Volume, window: Window, defects: Defects, count: int = 6
) -> Iterator[Plane]:
    """Yield up to ``count`` xy planes spread evenly over the depth of what was found."""
    depths = _depths(volume, defects)
    if not depths.size:
        return
    picks = np.linspace(0, len(depths) - 1, count + 2)[1:-1].round().astype(int)
    for index in np.unique(depths[picks]).tolist():
        yield plane(volume, "xy", index, window, defects, side=256)


def _depths(volume: Volume, defects: Defects) -> npt.NDArray[np.int64]:
    """Return the planes with something outlined or, where there are only layers, bright ones."""
    if defects.labels is not None:
        found = np.flatnonzero([(plane != 0).any() for plane in defects.labels])
        if found.size:
            return found
    depths = [_balls(table, volume)[0][:, 0] for table in defects.tables.values()]
    near = np.unique(np.rint(np.concatenate([np.zeros(0), *depths])).astype(np.int64))
    near = near[(near >= 0) & (near < len(volume.data))]
    if near.size:
        return near
    if not any(len(column) for column in defects.layers.values()):
        return np.zeros(0, np.int64)
    means = np.array(
        [np.nanmean(plane) if np.isfinite(plane).any() else 0.0 for plane in volume.data]
    )
    return np.flatnonzero(means >= (means.min() + means.max()) / 2)


def _cut(data: npt.NDArray[Any], rows: int, columns: int, cut: int, index: int) -> npt.NDArray[Any]:
    image = plane_at(data, cut, index)
    return image if rows < columns else image.T


def _path(mask: npt.NDArray[np.bool_]) -> str:
    """Trace the borders of a mask, coarser where they would fill the page.

    Coarser means that a block is inside if one of its pixels is: small objects stay to be seen.
    """
    if not mask.any():
        return ""
    small, step = np.pad(mask, 1), 1
    while _borders(small) * POINT_LENGTH > MAX_OUTLINE and min(small.shape) > 32:
        step *= 2
        ny, nx = mask.shape
        whole = np.pad(mask, ((0, -ny % step), (0, -nx % step)))
        blocks = whole.reshape(whole.shape[0] // step, step, whole.shape[1] // step, step)
        small = np.pad(blocks.any(axis=(1, 3)), 1)
    return _trace(small, step)


def _borders(mask: npt.NDArray[np.bool_]) -> int:
    """Count the sides between inside and outside; the contour has a point on each."""
    across = np.count_nonzero(mask[:, 1:] != mask[:, :-1])
    return int(across + np.count_nonzero(mask[1:] != mask[:-1]))


def _trace(mask: npt.NDArray[np.bool_], step: int) -> str:
    lines = contourpy.contour_generator(z=mask.astype(float)).lines(0.5)
    parts = []
    for line in lines:
        # A padded pixel centre i sits at (i - 1 + 1/2) steps from the left edge of the picture.
        points = (np.asarray(line) - 0.5) * step
        text = "L".join(f"{x:.1f} {y:.1f}" for x, y in points[:-1])
        parts.append(f"M{text}Z")
    return "".join(parts)
