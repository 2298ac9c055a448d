# SPDX-License-Identifier: BSD-3-Clause
"""Tasks carried out in this process, in a local pool or by Dask: the same tasks, the same outcomes.

A task must be idempotent: it may be begun again after its worker died, and be done twice.
"""

from .choice import scheduler_for
from .dask_cluster import DaskAddress, DaskLocal
from .here import Here
from .pool import Pool
from .tasks import Outcome, Scheduler, Task

__all__ = [
    "DaskAddress",
    "DaskLocal",
    "Here",
    "Outcome",
    "Pool",
    "Scheduler",
    "Task",
    "scheduler_for",
]
