# SPDX-License-Identifier: BSD-3-Clause
"""Write the report: one page, the same facts for machines, and the tables."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from ..errors import InputError
from ..files import write_table
from ..files.atomic import write_text
from .content import ReportContent
from .facts import collect, fsc_table, tilt_table
from .findings import find
from .movie import make_movie
from .page import render
from .verdict import Verdict, judge

__all__ = ["write_report"]


def write_report(
    content: ReportContent,
    folder: str | os.PathLike[str],
    *,
    progress: Callable[[float], None] | None = None,
) -> Verdict:
    """Write report.html, report.json, layers.csv, voids.csv, particles.csv, tilts.csv, from halves fsc.csv, and
    a file for each further table.

    The same content gives the same bytes. Each file appears whole or not at all; report.html, the
    last, appears when the others are there.

    Parameters
    ----------
    content : ReportContent
        What to report.
    folder : path
        An existing folder; files of these names in it are replaced.
    progress : callable, optional
        Called with the fraction done, 0 to 1.

    Returns
    -------
    Verdict
        What the first line of the report says.

    Raises
    ------
    InputError
        ``folder`` is not a folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            f"folder: found {folder.name!r}, expected an existing folder; make it first"
        )
    tell = progress or (lambda _: None)
    tell(0.0)
    movie = make_movie(content.series, content.alignment)
    tell(0.3)
    verdict, findings = judge(content), find(content)
    facts = collect(content, verdict, [f.text for f in findings], movie.mean)
    page = render(content, verdict, findings, facts, movie, tell)
    tables = {**content.defects.all_tables, "tilts": tilt_table(content, movie.mean)}
    if content.halves is not None:
        tables["fsc"] = fsc_table(content)
    for name, table in tables.items():
        write_table(folder / f"{name}.csv", table)
    text = json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(folder / "report.json", text + "\n")
    write_text(folder / "report.html", page)
    tell(1.0)
    return verdict
