# SPDX-License-Identifier: BSD-3-Clause
"""One self-contained page that says what is in the specimen and how far to trust it."""

from .content import ReportContent
from .verdict import Check, Verdict, judge
from .write import write_report

__all__ = ["Check", "ReportContent", "Verdict", "judge", "write_report"]
