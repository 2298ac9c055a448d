# SPDX-License-Identifier: BSD-3-Clause
"""What a report is made from: the results of every stage and the record of how they were made."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._version import __version__
from ..datamodel import Alignment, Defects, TiltSeries, Volume
from ..errors import InputError
from ..metrics import Fsc

__all__ = ["ReportContent"]

TAKEN = ("tilts", "fsc")  # tables of the report itself


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportContent:
    """Everything a report tells, and nothing that changes from run to run.

    Measured times, thread counts and output folders have no place here: the same results must give
    the same bytes. The command line shows those, and keeps them with ``--timing FILE``.

    Attributes
    ----------
    series : TiltSeries
        The raw series, as read.
    alignment : Alignment
        One entry per image of ``series``.
    volume : Volume
        The reconstruction.
    defects : Defects
        Tables of what was found in ``volume``; ``labels``, if given, has the shape of
        ``volume.data``.
    convergence : sequence of float
        Relative data residual after each iteration of the solver; empty for a direct method.
    halves : Fsc, optional
        Correlation of the volumes of two halves of the data, lengths in nm (px without a pixel size).
    parameters : mapping
        The settings of the job, nested by stage.
    inputs : sequence of (name, sha256, bytes)
        The input files.
    command : str
        The command line that repeats the run.
    plan : mapping of str to (seconds, bytes)
        Planned time and memory of each stage.
    version : str
        Version of cryolith that made the results.
    notes : sequence of str
        Further remarks, one line each.
    title : str
        Heading; the name of the series' file when empty.
    """

    series: TiltSeries
    alignment: Alignment
    volume: Volume
    defects: Defects = field(default_factory=Defects)
    convergence: Sequence[float] = ()
    halves: Fsc | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: Sequence[tuple[str, str, int]] = ()
    command: str = ""
    plan: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    version: str = __version__
    notes: Sequence[str] = ()
    title: str = ""

    def __post_init__(self) -> None:
        tilts, images = len(self.alignment.angles_deg), len(self.series)
        if tilts != images:
            raise InputError(f"alignment: found {tilts} tilts, expected {images}, one per image")
        labels = self.defects.labels
        if labels is not None and labels.shape != self.volume.data.shape:
            raise InputError(
                f"defects.labels: found shape {labels.shape}, expected the volume's "
                f"{self.volume.data.shape}"
            )
        for name, table in self.defects.all_tables.items():
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in TAKEN:
                raise InputError(
                    f"defects.tables: found {name!r}, expected small letters, digits and _, for it names a file, "
                    f"and not {' or '.join(TAKEN)}"
                )
            lengths = {column: len(v) for column, v in table.items()}
            if len(set(lengths.values())) > 1:
                raise InputError(
                    f"defects.{name}: found columns of lengths {lengths}, expected equal lengths"
                )

    @property
    def name(self) -> str:
        """What to call the specimen: the title, or the file's name without its folder."""
        file = self.series.source.path.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
        return self.title or file or "tilt series"
