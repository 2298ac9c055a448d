# SPDX-License-Identifier: BSD-3-Clause
"""Tables as the page shows them: the columns that matter, the largest rows, cut-outs."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datamodel import Volume
from .pictures import Picture, Window, picture, reduce
from .words import heading, number, with_error

__all__ = ["Cell", "ShownTable", "cutouts", "exact", "show"]

MOST_ROWS = 50
_SIZES = ("volume_nm3", "volume_px3", "voxels", "diameter_nm", "diameter_px")
# Bounding boxes, directions and spreads are for programs; they stay in the CSV.
_HIDDEN = re.compile(
    r"label|kind|complete|[zyx][01]|.*_[zyx]|intensity_(sd|min|max|sum)|.*_tilt_deg"
)
# Where a table has axes freed from the missing wedge, they stand for those as seen.
_FREED = re.compile(r"true_axis[13]_(nm|px)|true_volume_(nm|px)3|coverage|elongation_flag")
_AS_SEEN = re.compile(r"axis\d_(nm|px)|surface_(nm|px)2|border_(nm|px)2|sphericity")
_PLACE = re.compile(r"[zyx]_(nm|px)")  # of a layer: its boundaries say it
MOST_COLUMNS = 11


@dataclass(frozen=True)
class Cell:
    """What is shown and the exact value behind it, as the CSV file has it."""

    text: str
    value: str
    numeric: bool


@dataclass(frozen=True)
class ShownTable:
    """A table on the page: heads as (words, unit), rows by index in the full table."""

    heads: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    indices: tuple[int, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: int
    more_columns: int


def exact(value: Any) -> str:
    """Write a value as the CSV file has it: nothing is lost, NaN is "nan"."""
    if isinstance(value, np.floating) and value.dtype.itemsize < 8:
        return repr(float(str(value)))
    value = value.item() if isinstance(value, np.generic) else value
    return repr(value) if isinstance(value, float) else str(value)


def show(
    table: Mapping[str, npt.NDArray[Any]], *, largest_first: bool = True, most: int = MOST_ROWS
) -> ShownTable:
    """Choose rows and columns of ``table``; errors are shown beside their values.

    The largest come first or, where the table says how significant they are, the most significant.
    """
    total = len(next(iter(table.values()))) if table else 0
    size = next((c for c in ("significance", *_SIZES) if c in table), "")
    indices = np.arange(total)
    if largest_first and size:
        keys = np.nan_to_num(np.asarray(table[size], float), nan=-np.inf)
        indices = np.argsort(-keys, kind="stable")
    indices = indices[:most]
    columns = _choose(table)
    rows = tuple(tuple(_cell(table, column, int(i)) for column in columns) for i in indices)
    return ShownTable(
        heads=tuple(heading(c) for c in columns),
        columns=columns,
        indices=tuple(int(i) for i in indices),
        rows=rows,
        total=total,
        more_columns=len(table) - len(columns),
    )


def _choose(table: Mapping[str, npt.NDArray[Any]]) -> tuple[str, ...]:
    """Leave out errors (shown with their value), directions, and pixels where nanometres stand."""
    layers = "start_nm" in table or "start_px" in table
    shown = []
    for column in table:
        if column.startswith("sigma_") and column[6:] in table:
            continue
        if _HIDDEN.fullmatch(column) or (layers and _PLACE.fullmatch(column)):
            continue
        if column.endswith("_px") and f"{column[:-3]}_nm" in table:
            continue
        if column == "voxels" and "volume_nm3" in table:
            continue
        shown.append(column)
    freed = [c for c in shown if _FREED.fullmatch(c)] if "elongation_flag" in shown else []
    if freed:
        shown = [c for c in shown if c not in freed and not _AS_SEEN.fullmatch(c)]
    return (*shown[: MOST_COLUMNS - len(freed)], *freed)


def _cell(table: Mapping[str, npt.NDArray[Any]], column: str, row: int) -> Cell:
    value = table[column][row]
    kind = np.asarray(value).dtype.kind
    if kind == "b":
        return Cell("yes" if value else "no", exact(value), False)
    if kind in "iu":
        return Cell(str(int(value)), exact(value), True)
    if kind != "f":
        return Cell(str(value), exact(value), False)
    if f"sigma_{column}" in table:
        text = with_error(float(value), float(table[f"sigma_{column}"][row]))
    else:
        text = number(float(value))
    return Cell(text, exact(value), True)


def cutouts(
    volume: Volume, labels: npt.NDArray[np.int32], wanted: list[int], window: Window, side: int = 64
) -> dict[int, Picture]:
    """Return for each wanted label a square of the xy plane through its middle, its border marked.

    The square is at least 16 voxels wide and 1.8 times as wide as the object. One pass over the
    labels.
    """
    spans: dict[int, _Span] = {}
    for z, plane in enumerate(labels):
        inside = np.nonzero(np.isin(plane, wanted))
        values = plane[inside]
        for label in np.unique(values).tolist():
            y, x = (axis[values == label] for axis in inside)
            spans.setdefault(label, _Span()).add(z, y, x)
    return {
        label: _cutout(volume, labels, label, spans[label], window, side)
        for label in wanted
        if label in spans
    }


@dataclass
class _Span:
    """Where an object lies: its fullest plane and its extent (y, x)."""

    plane: int = 0
    most: int = 0
    low: tuple[int, int] = (sys.maxsize, sys.maxsize)
    high: tuple[int, int] = (-1, -1)

    def add(self, z: int, y: npt.NDArray[np.int64], x: npt.NDArray[np.int64]) -> None:
        if len(y) > self.most:
            self.plane, self.most = z, len(y)
        self.low = min(self.low[0], int(y.min())), min(self.low[1], int(x.min()))
        self.high = max(self.high[0], int(y.max())), max(self.high[1], int(x.max()))


def _cutout(
    volume: Volume,
    labels: npt.NDArray[np.int32],
    label: int,
    span: _Span,
    window: Window,
    side: int,
) -> Picture:
    z, (_, ny, nx) = span.plane, labels.shape
    tall, wide = (b - a + 1 for a, b in zip(span.low, span.high, strict=True))
    half = int(max(8, 0.9 * tall, 0.9 * wide))
    cy, cx = ((a + b) // 2 for a, b in zip(span.low, span.high, strict=True))
    rows, columns = np.arange(cy - half, cy + half), np.arange(cx - half, cx + half)
    at = np.ix_(np.clip(rows, 0, ny - 1), np.clip(columns, 0, nx - 1))
    image = np.array(volume.data[z][at], np.float32)
    image[(rows < 0) | (rows >= ny)] = np.nan
    image[:, (columns < 0) | (columns >= nx)] = np.nan
    grey = window.bytes_of(image)
    repeat = max(1, side // len(grey))
    grey = np.kron(grey, np.ones((repeat, repeat), np.uint8))
    inside = np.kron(labels[z][at] == label, np.ones((repeat, repeat), bool))
    colour = np.repeat(grey[:, :, None], 3, axis=2)
    colour[_border(inside)] = (80, 220, 255) if label < 0 else (255, 176, 40)
    if len(colour) > 2 * side:
        small = [reduce(colour[:, :, c], side) for c in range(3)]
        colour = np.stack(small, axis=2).astype(np.uint8)
    return picture(colour)


def _border(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    pad = np.pad(mask, 1)
    inner = pad[:-2, 1:-1] & pad[2:, 1:-1] & pad[1:-1, :-2] & pad[1:-1, 2:]
    return mask & ~inner
