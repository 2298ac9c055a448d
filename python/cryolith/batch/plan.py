# SPDX-License-Identifier: BSD-3-Clause
"""What a batch would do, said before it does anything: which series and why, time, memory and disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import fitting
from ..calibration import BUILT_IN, Rates
from ..errors import CryolithError
from ..job_series import read_job_series
from ..limits import MemoryLimit, memory_limit
from ..planning import Plan, require_room, size_words
from ..report.words import duration_text
from .job import Batch, Item, items_of

__all__ = ["BatchPlan", "plan_batch"]


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """Needs of a batch.

    Attributes
    ----------
    out : Path
    workers : int
        Series that are done at once.
    items : tuple of Item
        Every series, with why it has to be done.
    plans : dict of name to Plan
        Of those that have to be done, as if every stage had to.
    broken : dict of name to str
        Of those that cannot be planned, why.
    """

    out: Path
    workers: int
    items: tuple[Item, ...]
    plans: dict[str, Plan]
    broken: dict[str, str]

    @property
    def seconds(self) -> float:
        """Time of all series, shared by the workers; not less than the longest takes."""
        each = [p.seconds for p in self.plans.values()]
        return max(sum(each) / self.workers, max(each, default=0.0))

    @property
    def bytes_memory(self) -> int:
        """Memory of the largest series that may meet."""
        most = sorted((p.bytes_memory for p in self.plans.values()), reverse=True)
        return sum(most[: self.workers])

    @property
    def bytes_disk(self) -> int:
        """Disk of all series to be done."""
        return sum(p.bytes_disk for p in self.plans.values())

    def to_mapping(self) -> dict[str, Any]:
        """Return the plan as plain data."""
        return {
            "series": [
                {
                    "name": i.name,
                    "path": i.path,
                    "why": i.why,
                    "broken": self.broken.get(i.name),
                    "plan": self.plans[i.name].to_mapping() if i.name in self.plans else None,
                }
                for i in self.items
            ],
            "workers": self.workers,
            "seconds": self.seconds,
            "bytes_memory": self.bytes_memory,
            "bytes_disk": self.bytes_disk,
        }

    def lines(self) -> list[str]:
        """Return the plan in words."""
        width = max((len(i.name) for i in self.items), default=0)
        lines = [f"{i.name:<{width}}  {self._words(i)}" for i in self.items]
        todo = sum(bool(i.why) for i in self.items)
        at_once = f"{self.workers} at once" if self.workers > 1 else "one after the other"
        return [
            *lines,
            f"{todo} of {len(self.items)} series to be done, {at_once}: about {duration_text(self.seconds)}, "
            f"{size_words(self.bytes_memory)} memory, {size_words(self.bytes_disk)} disk",
        ]

    def _words(self, item: Item) -> str:
        if not item.why:
            row = item.before
            aside = row is not None and row.state == "failed"
            return f"stays set aside: {row.reason}" if row and aside else "done"
        reason = self.broken.get(item.name)
        if reason:
            return f"will be set aside: {reason}"
        seconds = self.plans[item.name].seconds
        state = "new" if item.new else item.why
        return f"{state}; at most about {duration_text(seconds)}"

    def require_fits(self) -> None:
        """Refuse a batch that needs more disk than there is; a series that needs too much memory is set aside."""
        require_room(self.bytes_disk, self.out)


def plan_batch(
    batch: Batch,
    *,
    workers: int = 1,
    memory: MemoryLimit | None = None,
    rates: Rates = BUILT_IN,
    verify: bool = False,
) -> BatchPlan:
    """Return what a batch would do; reads headers of the series that are to be done, and writes nothing.

    Parameters
    ----------
    batch : Batch
    workers : int, default 1
        Series that are done at once.
    memory : MemoryLimit, optional
        Of each worker; by default an equal share of what this process may hold.
    rates : Rates, optional
        How fast this machine is.
    verify : bool, default False
        As in :func:`run_batch`.
    """
    items = items_of(batch, batch.ledger(), verify=verify)
    if memory is None:
        found = memory_limit()
        memory = MemoryLimit(found.bytes // workers, found.source)
    plans, broken = {}, {}
    for item in items:
        if not item.why:
            continue
        try:
            made = fitting.require_fits(item.job, read_job_series(item.job), memory)
            plans[item.name] = made.at(rates)
        except CryolithError as error:
            broken[item.name] = str(error)
    return BatchPlan(out=batch.out, workers=workers, items=tuple(items), plans=plans, broken=broken)
