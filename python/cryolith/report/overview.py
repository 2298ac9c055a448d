# SPDX-License-Identifier: BSD-3-Clause
"""One page for many series: a row for each, with a picture, the numbers that decide, and the way to its report."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .._version import __version__
from ..errors import InputError
from ..files import read_volume
from ..files.atomic import write_text
from .page import environment
from .pictures import Picture, Window, picture, reduce
from .slices import ScaleBar

__all__ = ["STATES", "OverviewRow", "Thumbnail", "row_of_run", "thumbnail_of", "write_overview"]

# In the order of the counts at the top; a click on the heading sorts by it.
STATES = ("failed", "bad", "look", "ok", "running", "waiting")
SIDE = 128  # px of a thumbnail
THUMBNAIL_BYTES = 9_000
USUAL_COUNTS = ("layers", "voids", "particles")


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A small picture of a series, with its scale bar: length in per cent of the width, and in words."""

    picture: Picture
    bar_percent: float
    bar_text: str


@dataclass(frozen=True, kw_only=True)
class OverviewRow:
    """What the page says about one series; None where it is not known (yet).

    Attributes
    ----------
    name : str
        Name of the series.
    state : {"failed", "bad", "look", "ok", "running", "waiting"}
        The report's verdict, or how far the series is.
    reason : str
        Why it is not ok, or what it waits for; may be empty.
    alerts : tuple of str
        What happened that deserves a look, a line each.
    link : str, optional
        Path of the report, relative to the page.
    thumbnail : Thumbnail, optional
        A central slice.
    tilts, tilts_used : int, optional
        Images of the series, and those that the alignment kept.
    tilt_range_deg : (float, float), optional [deg]
        Smallest and largest tilt.
    axis_deg, sigma_axis_deg : float, optional [deg]
        Tilt axis and its standard error.
    residual : float, optional
        Held-out residual, as a part of the signal.
    unit : {"nm", "px"}
        Of the lengths below.
    thickness, resolution : float, optional [unit]
        Thickness of the slab where one was found, otherwise of the volume; resolution from halves at 0.143.
    counts : mapping of table to number of rows
        What was found: layers, voids, particles and others.
    attempts : int
        How often the series was begun.
    """

    name: str
    state: str
    reason: str = ""
    alerts: tuple[str, ...] = ()
    link: str | None = None
    thumbnail: Thumbnail | None = None
    tilts: int | None = None
    tilts_used: int | None = None
    tilt_range_deg: tuple[float, float] | None = None
    axis_deg: float | None = None
    sigma_axis_deg: float | None = None
    residual: float | None = None
    unit: str = "nm"
    thickness: float | None = None
    resolution: float | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    attempts: int = 0

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise InputError(f"state: found {self.state!r}, expected one of {', '.join(STATES)}")

    @property
    def href(self) -> str:
        """The link as an address: names of files may hold anything."""
        return quote(self.link or "")

    @property
    def rank(self) -> int:
        """Place of the state in the order of the counts."""
        return STATES.index(self.state)


def write_overview(
    path: str | os.PathLike[str],
    rows: Sequence[OverviewRow],
    *,
    title: str,
    lead: str = "",
    refresh_seconds: int | None = None,
) -> None:
    """Write the page that shows all series, whole or not at all.

    Parameters
    ----------
    path : path
        The page; links of the rows are relative to its folder.
    rows : sequence of OverviewRow
        A row for each series, in the order in which the page first shows them.
    title : str
        What the series are, for the head of the page.
    lead : str, optional
        A sentence below it.
    refresh_seconds : int, optional [s]
        The open page loads itself anew so often, keeping its order: while series are on their way.
    """
    counted = Counter(row.state for row in rows)
    tables = [*USUAL_COUNTS, *sorted({n for row in rows for n in row.counts} - {*USUAL_COUNTS})]
    template = environment().get_template("overview.html.j2")
    write_text(
        path,
        template.render(
            title=title,
            lead=lead,
            rows=rows,
            counts=[(state, counted[state]) for state in STATES if counted[state]],
            tables=[name for name in tables if any(name in row.counts for row in rows)],
            units=sorted({row.unit for row in rows if row.thickness is not None}),
            halves=any(row.resolution is not None for row in rows),
            refresh_seconds=refresh_seconds,
            version=__version__,
        ),
    )


def row_of_run(folder: str | os.PathLike[str], name: str, **more: Any) -> OverviewRow:
    """Read the row of a finished run from its folder: report.json, and one slice of its volume.

    ``more`` takes further fields of the row, such as ``link`` and ``attempts``.

    Raises
    ------
    FileNotFoundError
        The folder holds no finished run.
    """
    folder = Path(folder)
    facts = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    verdict, aligned = facts["verdict"], facts["alignment"]
    series, made = facts["series"], facts["reconstruction"]
    unit = "px" if series["pixel_size_nm"] is None else "nm"
    resolution = made["resolution"] or {}
    row: dict[str, Any] = {
        "state": verdict["word"].lower(),
        "reason": "; ".join(verdict["reasons"]),
        "thumbnail": thumbnail_of(folder / "volume.mrc"),
        "tilts": series["n_tilts"],
        "tilts_used": series["n_tilts"] - series["n_flagged"],
        "tilt_range_deg": (series["angle_min_deg"], series["angle_max_deg"]),
        "axis_deg": aligned["tilt_axis_deg"],
        "sigma_axis_deg": aligned["sigma_tilt_axis_deg"],
        "residual": aligned["holdout_residual"],
        "unit": unit,
        "thickness": _thickness(facts),
        "resolution": resolution.get(f"resolution_{unit}"),
        "counts": _counts(facts["detection"]),
    }
    return OverviewRow(name=name, **{**row, **more})


def _counts(detection: Mapping[str, Any]) -> dict[str, int]:
    """What was not looked for is not nought."""
    found = {k[2:]: v for k, v in detection.items() if k.startswith("n_")}
    passed = [
        n for n in found if any(t.startswith(f"{n}: not looked for") for t in detection["notes"])
    ]
    return {name: int(count) for name, count in found.items() if name not in passed}


def _thickness(facts: Mapping[str, Any]) -> float | None:
    """The slab's own thickness says more than that of the box around it."""
    made, slab = facts["reconstruction"], facts["alignment"]["slab"]
    pixel = facts["series"]["pixel_size_nm"]
    if slab is not None and slab["thickness_px"] is not None:
        return float(slab["thickness_px"] * (1.0 if pixel is None else pixel))
    return float(made["shape_voxels"][0] if made["size_nm"] is None else made["size_nm"][0])


def thumbnail_of(volume: str | os.PathLike[str]) -> Thumbnail:
    """Return the central xy slice of a volume's file; no other slice is read."""
    read = read_volume(volume)
    plane = read.data[len(read.data) // 2]
    small = reduce(plane, SIDE)
    bar = ScaleBar.of(plane.shape[1], read.pixel_size)
    return Thumbnail(
        picture=picture(Window.of(small).bytes_of(small), THUMBNAIL_BYTES),
        bar_percent=100 * bar.length / plane.shape[1],
        bar_text=bar.text,
    )
