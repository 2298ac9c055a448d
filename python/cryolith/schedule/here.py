# SPDX-License-Identifier: BSD-3-Clause
"""Tasks one after the other in this process: for one task, for debuggers and for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .tasks import Outcome, Scheduler, Started, Task, attempt

__all__ = ["Here"]


class Here(Scheduler):
    """Carries tasks out in this process, one after the other.

    Parameters
    ----------
    threads : int, default 0
        Threads of the core for each task; 0 is all that this process may use.
    """

    def __init__(self, *, threads: int = 0) -> None:
        self.threads = threads

    def outcomes(self, tasks: Iterable[Task], started: Started | None = None) -> Iterator[Outcome]:
        """As in :meth:`Scheduler.outcomes`; an interrupt passes through."""
        for task in tasks:
            for count in range(1, task.retries + 2):
                if started:
                    started(task.name, count)
                reply = attempt(task.function, task.args, task.kwargs)
                if not reply.again:
                    break
            yield reply.outcome(task.name, count)
