# SPDX-License-Identifier: BSD-3-Clause
"""Many series with one configuration: each judged, a failing one set aside, done work never done again."""

from .job import Batch, open_batch
from .ledger import Entry
from .plan import BatchPlan, plan_batch
from .run import Summary, collect, enrol, judge_series, run_batch, run_one

__all__ = [
    "Batch",
    "BatchPlan",
    "Entry",
    "Summary",
    "collect",
    "enrol",
    "judge_series",
    "open_batch",
    "plan_batch",
    "run_batch",
    "run_one",
]
