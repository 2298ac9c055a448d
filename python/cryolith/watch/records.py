# SPDX-License-Identifier: BSD-3-Clause
"""What is kept of each tilt that was taken, on disk too: a watch that is started again goes on from it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..files.atomic import write_json
from .measures import Look

__all__ = ["Kept", "Record", "read_kept", "write_kept"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """One tilt.

    Attributes
    ----------
    key : str
        Which one (:class:`sources.Tilt`).
    tilt : int
        Place in the series.
    angle_deg : float
    check : int
        Sum over its pixels: another image under the same key has another.
    look : Look
    position_px : (float, float) [px]
        (row, column) where the specimen is, from where it was in the first tilt.
    placed : bool
        Whether that is known: the image had one best fit to its neighbour.
    jump : float
        ln of the intensity against that of the first tilts, trend taken off.
    alerts : dict of kind to text
        "blank" among them keeps the image out of the volume.
    """

    key: str
    tilt: int
    angle_deg: float
    check: int
    look: Look
    position_px: tuple[float, float] = (0.0, 0.0)
    placed: bool = True
    jump: float = 0.0
    alerts: dict[str, str] = field(default_factory=dict)

    @property
    def blank(self) -> bool:
        """Whether it shows no specimen."""
        return "blank" in self.alerts


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a folder keeps of a series: its tilts, and of how many a finished run was made."""

    records: tuple[Record, ...] = ()
    settled: int = 0


def write_kept(path: Path, kept: Kept) -> None:
    """Write it, whole or not at all."""
    write_json(path, asdict(kept))


def read_kept(path: Path) -> Kept:
    """Read it; a file that is missing or not understood keeps nothing: everything is then done anew."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        records = tuple(
            Record(
                **{
                    **record,
                    "look": Look(**record["look"]),
                    "position_px": tuple(record["position_px"]),
                }
            )
            for record in found["records"]
        )
        return Kept(records=records, settled=int(found["settled"]))
    except (OSError, ValueError, TypeError, KeyError):
        return Kept()
