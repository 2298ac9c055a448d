# SPDX-License-Identifier: BSD-3-Clause
"""Alerts, each raised once, and the file that keeps them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ..files.atomic import write_json

__all__ = ["KINDS", "Alert", "Ledger"]

KINDS = ("blank", "intensity", "drift", "angle", "file")


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Something that deserves a look while the specimen is still in the microscope.

    Attributes
    ----------
    series : str
        Its name; of a file that belongs to none, that of the file.
    kind : {"blank", "intensity", "drift", "angle", "file"}
    tilt : int or None
        Which image of the series, counted from 0.
    angle_deg : float or None
    text : str
        What was found.
    about : str
        What it is about, for good: the same event of the same image is the same alert.
    """

    series: str
    kind: str
    text: str
    tilt: int | None = None
    angle_deg: float | None = None
    about: str = ""

    @property
    def line(self) -> str:
        """For people."""
        at = "" if self.angle_deg is None else f" ({self.angle_deg:g}°)"
        where = "" if self.tilt is None else f"tilt {self.tilt}{at}: "
        return f"{self.kind}: {where}{self.text}"


class Ledger:
    """The alerts so far, in the order in which they were raised; written whole at each new one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.alerts: list[Alert] = _read(path)
        self._known = {_identity(alert) for alert in self.alerts}

    def raise_new(self, alerts: list[Alert]) -> list[Alert]:
        """Add alerts that have not been raised before, and return those."""
        new = []
        for alert in alerts:
            if _identity(alert) not in self._known:
                self._known.add(_identity(alert))
                new.append(alert)
        if new:
            self.alerts += new
            write_json(self.path, {"alerts": [asdict(alert) for alert in self.alerts]})
        return new

    def of(self, series: str) -> list[Alert]:
        """Return those of a series."""
        return [alert for alert in self.alerts if alert.series == series]


def _identity(alert: Alert) -> tuple[str, str, str]:
    return alert.series, alert.kind, alert.about


def _read(path: Path) -> list[Alert]:
    """What an earlier watch has raised; a file that is none of ours is as good as none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["alerts"]
        return [Alert(**alert) for alert in found]
    except (OSError, ValueError, TypeError, KeyError):
        return []
