# SPDX-License-Identifier: BSD-3-Clause
"""The key results in sentences, with their numbers and errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datamodel import Slab, Volume
from ..metrics import Fsc, Threshold
from .content import ReportContent
from .facts import missing_wedge_deg
from .words import heading, number, with_error

__all__ = ["Finding", "find", "measure", "resolution"]

Table = Mapping[str, npt.NDArray[Any]]
MOST_LAYERS = 12
_DETECTABILITY = "blob_detectability"  # what was looked for, no objects


class Finding(tuple[str, tuple[str, ...]]):
    """A sentence and, below it, its details."""

    __slots__ = ()

    @property
    def text(self) -> str:
        """Both in one line."""
        return f"{self[0]}: {'; '.join(self[1])}." if self[1] else f"{self[0]}."


def find(content: ReportContent) -> list[Finding]:
    """Say what is in the specimen first, then what it rests on."""
    defects = content.defects
    return [
        _layers(defects.layers),
        _objects(defects.voids, "void", "voids"),
        _objects(defects.particles, "particle", "particles"),
        *(_searched(name, defects.tables) for name in defects.tables if name != _DETECTABILITY),
        _alignment(content),
        _reconstruction(content),
        *([] if content.halves is None else [resolution(content.halves, content.volume)]),
    ]


def resolution(curve: Fsc, volume: Volume) -> Finding:
    """Say how far the halves of the data agree."""
    unit = "px" if volume.pixel_size is None else "nm"
    lines = []
    thresholds: dict[str, Threshold] = {"0.143": 0.143, "half-bit": "half-bit"}
    for name, threshold in thresholds.items():
        period = curve.resolution(threshold)
        if np.isfinite(period):
            error = curve.sigma_resolution(threshold)
            lines.append(f"{with_error(period, error)} {unit} at {name}")
        else:
            least = curve.half_bit[0] if threshold == "half-bit" else threshold
            above = bool(curve.correlation[0] > least)  # and then never below
            limit = f"to the sampling's limit, {number(2 * curve.pixel_size, 3)} {unit}"
            lines.append(f"{limit}, at {name}" if above else f"nowhere at {name}")
    return Finding(("Halves of the data agree", tuple(lines)))


def measure(table: Table, column: str, row: int) -> str:
    """Return value, error and unit of one cell ("41.2 ± 0.6 nm"), or "" without the column."""
    if column not in table:
        return ""
    sigma = float(table[f"sigma_{column}"][row]) if f"sigma_{column}" in table else float("nan")
    unit = heading(column)[1]
    text = with_error(float(table[column][row]), sigma)
    return f"{text} {unit}".rstrip()


def _first(table: Table, *columns: str) -> str:
    return next((c for c in columns if c in table), "")


def _layers(table: Table) -> Finding:
    count = len(next(iter(table.values()))) if table else 0
    if not count:
        return _nothing(table, "layers")
    thickness = _first(table, "thickness_nm", "thickness_px")
    unit = thickness.rpartition("_")[2]
    lines = []
    for row in range(min(count, MOST_LAYERS)):
        name = str(table["name"][row]) if "name" in table else f"layer {row + 1}"
        whole = bool(thickness) and np.isfinite(float(table[thickness][row]))
        parts = [
            f"{measure(table, thickness, row)} thick" if whole else "only one boundary measured"
        ]
        rough = [measure(table, f"{side}_roughness_{unit}", row) for side in ("start", "end")]
        rough = [text.removesuffix(f" {unit}") for text in rough if text and "–" not in text]
        if rough:
            parts.append(f"roughness {' and '.join(rough)} {unit}")
        lines.append(f"{name}: {', '.join(parts)}")
    if count > MOST_LAYERS:
        lines.append(f"{count - MOST_LAYERS} more in layers.csv")
    return Finding(
        (f"{count} layer{'s' if count > 1 else ''} in order along the specimen", tuple(lines))
    )


def _nothing(table: Table, many: str) -> Finding:
    """A table without rows says that nothing is there, one without columns that nobody looked."""
    said = f"No {many} were found" if table else f"{many.capitalize()} were not looked for"
    return Finding((said, ()))


def _objects(table: Table, one: str, many: str) -> Finding:
    count = len(next(iter(table.values()))) if table else 0
    if not count:
        return _nothing(table, many)
    size = _first(table, "volume_nm3", "volume_px3", "voxels")
    lines = []
    if size:
        values = np.asarray(table[size], float)
        largest = int(np.nanargmax(values)) if np.isfinite(values).any() else 0
        lines.append(f"the largest {measure(table, size, largest)}")
        diameter = _first(table, "diameter_nm", "equivalent_diameter_nm", "diameter_px")
        if diameter:
            lines[-1] += f", diameter {measure(table, diameter, largest)}"
            middle = float(np.nanmedian(np.asarray(table[diameter], float)))
            lines.append(f"median diameter {number(middle, 3)} {heading(diameter)[1]}")
        lines.append(f"together {number(float(np.nansum(values)))} {heading(size)[1]}")
    if "q_value" in table:
        largest_q = float(np.nanmax(np.asarray(table["q_value"], float), initial=0.0))
        lines.append(f"at most a share of {number(largest_q, 2)} of them false")
    if "touches_border" in table:
        cut = int(np.count_nonzero(table["touches_border"]))
        if cut:
            lines.append(
                f"{cut} reach{'es' if cut == 1 else ''} the volume's border and may be larger"
            )
    if "elongation_flag" in table:
        freed = int(np.count_nonzero(np.asarray(table["elongation_flag"]) == ""))
        lines.append(f"axes of {freed} freed from the missing wedge's elongation")
    return Finding((f"{count} {one if count == 1 else many}", tuple(lines)))


def _searched(name: str, tables: Mapping[str, Table]) -> Finding:
    """Say what a table beside those of every detection holds, whoever made it."""
    if name == "blobs" and {"sign", "q_value"} <= tables[name].keys():
        return _blobs(tables)
    return _objects(tables[name], name.removesuffix("s"), name)


def _blobs(tables: Mapping[str, Table]) -> Finding:
    """Say how many blobs, how sure, and what could not have been found."""
    table, seen = tables["blobs"], tables.get(_DETECTABILITY, {})
    count = len(table["sign"])
    lines = []
    if count:
        bright = int(np.count_nonzero(table["sign"] > 0))
        lines.append(f"{bright} bright, {count - bright} dark")
        diameter = _first(table, "diameter_nm", "diameter_px")
        middle = float(np.median(table[diameter]))
        lines.append(f"median diameter {number(middle, 3)} {heading(diameter)[1]}")
        worst = float(np.max(table["q_value"]))
        lines.append(
            f"at most {number(100 * worst, 2)} % of them false"
            if np.isfinite(worst)
            else "their noise is not understood, so no false-discovery rate is given"
        )
    size = _first(seen, "size_nm", "size_px")
    if size and len(seen[size]):
        at = len(seen[size]) // 2
        lines.append(
            f"of size {number(float(seen[size][at]), 3)} {heading(size)[1]} half of those with a peak of "
            f"{number(float(seen['amplitude_half_found'][at]), 3)} would be found"
        )
    return Finding((f"{count} blob{'' if count == 1 else 's'} down to the noise", tuple(lines)))


def _alignment(content: ReportContent) -> Finding:
    a, n = content.alignment, len(content.series)
    used = n - len(a.flags)
    lines = [
        f"tilt axis {with_error(a.tilt_axis_deg, a.sigma_tilt_axis_deg)}° from the image's +y",
        f"shifts up to {number(float(np.max(np.hypot(*a.shifts_px.T))), 3)} px",
    ]
    if np.isfinite(a.holdout_residual):
        lines.append(f"held-out residual {number(float(a.holdout_residual), 3)}")
    if a.slab is not None:
        lines.append(_slab(a.slab, content.series.pixel_size))
    angles = np.sort(content.series.angles_deg)
    head = f"{used} of {n} tilts used, {number(angles[0])}° to {number(angles[-1])}°"
    return Finding((head, tuple(lines)))


def _slab(slab: Slab, pixel_size: float | None) -> str:
    lies = (
        f"tilt offset {with_error(slab.tilt_offset_deg, slab.sigma_tilt_offset_deg)}°, "
        f"x-tilt {with_error(slab.x_tilt_deg, slab.sigma_x_tilt_deg)}°"
    )
    nm = 1.0 if pixel_size is None else pixel_size / 10
    thickness = with_error(slab.thickness_px * nm, slab.sigma_thickness_px * nm)
    return f"the slab lay in the holder at {lies}; thickness {thickness} {'px' if pixel_size is None else 'nm'}"


def _reconstruction(content: ReportContent) -> Finding:
    volume = content.volume
    nz, ny, nx = volume.data.shape
    lines = []
    if volume.pixel_size is None:
        lines.append("no source tells the pixel size, so lengths are in pixels")
    else:
        nm = volume.pixel_size / 10
        lines.append(
            f"{number(nx * nm, 3)} × {number(ny * nm, 3)} × {number(nz * nm, 3)} nm (x, y, z)"
        )
        lines.append(f"voxel {number(nm, 3)} nm")
    wedge = missing_wedge_deg(content)
    lines.append(
        f"missing wedge {number(wedge, 3)}°: edges facing the beam are blurred"
        if wedge > 0
        else "no missing wedge"
    )
    return Finding((f"Volume of {nx} × {ny} × {nz} voxels", tuple(lines)))
