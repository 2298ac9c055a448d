# SPDX-License-Identifier: BSD-3-Clause
"""One self-contained page that says what is in the specimen and how far to trust it."""

from .content import ReportContent
from .overview import OverviewRow, row_of_run, write_overview
from .verdict import Check, Verdict, judge
from .write import write_report

__all__ = [
    "Check",
    "OverviewRow",
    "ReportContent",
    "Verdict",
    "judge",
    "row_of_run",
    "write_overview",
    "write_report",
]
