# SPDX-License-Identifier: BSD-3-Clause
"""The overview page of a watch: a row for each series, with its alerts, loading itself anew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .alerts import Ledger

if TYPE_CHECKING:
    from ..report import OverviewRow
    from .watcher import WatchedSeries

__all__ = ["write_page"]

REFRESH_S = 5
_ORDER = ("collecting", "running", "complete", "failed", "settled")
_SIGNS = {"collecting": "running", "complete": "waiting", "running": "running", "failed": "failed"}


def write_page(
    out: Path,
    watched_folder: Path,
    series: Mapping[str, WatchedSeries],
    ledger: Ledger,
    coarse: str,
) -> None:
    """Write ``overview.html``; series that have ended stand below those on their way, the latest first."""
    from ..report import OverviewRow, write_overview  # matplotlib and jinja: only now

    order = sorted(
        series.items(), key=lambda item: (_ORDER.index(item[1].state), -item[1].last_new)
    )
    rows = [_row(out, name, watched, ledger, coarse) for name, watched in order]
    known = set(series)
    rows += [
        OverviewRow(
            name=name,
            state="failed",
            reason="not read as a series",
            alerts=tuple(a.line for a in ledger.of(name)),
        )
        for name in dict.fromkeys(a.series for a in ledger.alerts if a.series not in known)
    ]
    write_overview(
        out / "overview.html",
        rows,
        title=f"Watching {watched_folder.name}",
        lead=_lead(series, ledger),
        refresh_seconds=REFRESH_S,
    )


def _lead(series: Mapping[str, WatchedSeries], ledger: Ledger) -> str:
    states = [s.state for s in series.values()]
    words = [f"{states.count('collecting')} being recorded", f"{states.count('settled')} settled"]
    return f"{', '.join(words)}; {len(ledger.alerts)} alerts."


def _row(out: Path, name: str, watched: WatchedSeries, ledger: Ledger, coarse: str) -> OverviewRow:
    from ..report import OverviewRow, row_of_run
    from ..report.overview import thumbnail_of

    alerts = tuple(alert.line for alert in ledger.of(name))
    if watched.state == "settled":
        return row_of_run(out / name, name, link=f"{name}/report.html", alerts=alerts)
    records = watched.live.records
    angles = [r.angle_deg for r in records]
    volume = watched.folder / coarse
    return OverviewRow(
        name=name,
        state=_SIGNS[watched.state],
        reason=_reason(watched),
        alerts=alerts,
        thumbnail=thumbnail_of(volume) if volume.exists() else None,
        tilts=len(watched.source.tilts),
        tilts_used=sum(not r.blank for r in records),
        tilt_range_deg=(min(angles), max(angles)) if angles else None,
    )


def _reason(watched: WatchedSeries) -> str:
    if watched.state == "failed":
        return watched.reason
    of = f" of {watched.promised}" if watched.promised else ""
    last = "" if watched.last_deg is None else f", the last at {watched.last_deg:g}°"
    words = {
        "collecting": "collecting",
        "complete": "complete; waits for its run",
        "running": "complete; its run goes on",
    }
    axis = watched.live.tilt_axis_deg
    told = "; no tilt axis is told: until the run finds it, the slice takes the image's +y"
    return f"{words[watched.state]}: {watched.taken}{of} tilts{last}{told if axis is None else ''}"
