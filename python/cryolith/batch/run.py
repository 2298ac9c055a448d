# SPDX-License-Identifier: BSD-3-Clause
"""A batch carried out: each series a task, each outcome at once in the ledger and on the overview."""

from __future__ import annotations

import json
import os
import platform
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import pipeline, records
from .._version import __version__
from ..config import Job
from ..errors import CryolithWarning, InputError, InUseError
from ..files.atomic import write_json
from ..listener import Listener
from ..locking import BEAT_SECONDS, STALE_SECONDS, read_holder
from ..report.overview import STATES, OverviewRow, row_of_run, write_overview
from ..schedule import Outcome, Scheduler, Task
from .job import Batch, Item, items_of
from .ledger import Entry, Ledger, job_digest, stamp_inputs, stamp_outputs

__all__ = ["OVERVIEW", "Summary", "collect", "enrol", "judge_series", "run_batch", "run_one"]

OVERVIEW = "overview.html"
OUTCOMES = "outcomes"  # of series that jobs of a queue did, each by itself; `collect` brings them into the ledger
REFRESH_SECONDS = 10
LOOK_SECONDS = 2.0  # between looks at a folder that is held


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What came of a batch.

    Attributes
    ----------
    overview : Path
    counts : dict of state to number of series
    done : tuple of str
        Names of the series that were done now; the others were as they should be.
    """

    overview: Path
    counts: dict[str, int]
    done: tuple[str, ...]

    @property
    def words(self) -> str:
        """The counts in a line."""
        told = [f"{self.counts[s]} {s}" for s in STATES if self.counts.get(s)]
        return f"{sum(self.counts.values())} series: {', '.join(told)}"


def judge_series(job: Job, name: str, **how: Any) -> OverviewRow:
    """Run one series and return its row: what a worker does. Idempotent, as its stages are.

    ``how`` takes the keywords of :func:`cryolith.pipeline.run`.
    """
    with warnings.catch_warnings():  # the report names them; a worker's terminal is nobody's
        warnings.simplefilter("ignore", CryolithWarning)
        _run_when_free(job, **how)
        return row_of_run(job.output, name, link=f"{name}/report.html")


def _run_when_free(job: Job, **how: Any) -> None:
    """Run a job; the lock of a worker that died on another machine counts until it has been silent for long enough."""
    until = time.monotonic() + STALE_SECONDS + BEAT_SECONDS
    while True:
        try:
            pipeline.run(job, **how)
            return
        except InUseError:
            holder = read_holder(Path(job.output) / records.FOLDER)
            if holder is None or holder.host == platform.node() or time.monotonic() > until:
                raise
        time.sleep(LOOK_SECONDS)


def run_batch(
    batch: Batch,
    scheduler: Scheduler,
    *,
    max_memory: int | None = None,
    verify: bool = False,
    listener: Listener | None = None,
) -> Summary:
    """Do every series of a batch that is not done; also how one that was stopped goes on.

    Parameters
    ----------
    batch : Batch
    scheduler : Scheduler
        It must have been entered.
    max_memory : int [bytes], optional
        Most memory of one series.
    verify : bool, default False
        Look at the sha256 of all files of series that are done, rather than at their times and sizes.
    listener : Listener, optional
        Hears of each series as it is judged.

    Raises
    ------
    InputError
        The patterns match nothing, the folder holds something else, or another batch is writing there.
    """
    listener = listener or Listener()
    ledger = batch.ledger()
    items_of(batch, ledger)  # refuses before a folder is made
    batch.out.mkdir(parents=True, exist_ok=True)
    with records.lock(batch.out):
        records.sweep_partials(batch.out)
        ledger = batch.ledger()
        _bring_in(batch.out, ledger)
        items = items_of(batch, ledger, verify=verify)
        _Course(batch, ledger, scheduler, listener).carry_out(items, max_memory)
    return _summary(batch, ledger, tuple(i.name for i in items if i.why))


class _Course:
    """One batch on its way."""

    def __init__(
        self, batch: Batch, ledger: Ledger, scheduler: Scheduler, listener: Listener
    ) -> None:
        self.batch, self.ledger = batch, ledger
        self.scheduler, self.listener = scheduler, listener

    def carry_out(self, items: Sequence[Item], max_memory: int | None) -> None:
        todo = {item.name: item for item in items if item.why}
        for item in todo.values():
            self.ledger.entries[item.name] = _entry(item, row=_waiting(item))
        if not todo:
            self._publish(False)
            return
        self._publish(True)
        self.listener.started(
            "batch", f"{len(todo)} of {len(self.ledger.entries)} series to be done"
        )
        for line in self.scheduler.describe():
            self.listener.message(line)
        try:
            self._follow(todo, max_memory)
        finally:
            self._stand_still()

    def _follow(self, todo: Mapping[str, Item], max_memory: int | None) -> None:
        outcomes = self.scheduler.outcomes(self._tasks(todo.values(), max_memory), self._begin)
        for count, outcome in enumerate(outcomes, 1):
            entry = settle(todo[outcome.name], self.ledger.entries[outcome.name].inputs, outcome)
            self.ledger.entries[outcome.name] = entry
            self._publish(True)
            self.listener.judged(outcome.name, entry.row.state, entry.row.reason)
            self.listener.progress("batch", count / len(todo))

    def _stand_still(self) -> None:
        """Nothing runs any more, however it came: the page must not say so, nor load itself anew."""
        for name, entry in self.ledger.entries.items():
            if entry.row.state == "running":
                self.ledger.tell(name, state="waiting", reason="stopped before it was done")
        self._publish(False)

    def _tasks(self, todo: Iterable[Item], max_memory: int | None) -> list[Task]:
        how = {"threads": self.scheduler.threads, "max_memory": max_memory}
        return [
            Task(
                name=item.name,
                function=judge_series,
                args=(item.job, item.name),
                kwargs=how,
                retries=self.batch.retries,
            )
            for item in todo
        ]

    def _begin(self, name: str, attempt: int) -> None:
        self.ledger.tell(name, state="running", reason="", attempts=attempt)
        self._publish(True)

    def _publish(self, under_way: bool) -> None:
        self.ledger.write(self.batch.out)
        _write_page(self.batch, self.ledger, REFRESH_SECONDS if under_way else None)


def _write_page(batch: Batch, ledger: Ledger, refresh: int | None) -> None:
    shown = [os.path.relpath(p, batch.out) for p in ledger.patterns]
    write_overview(
        batch.out / OVERVIEW,
        ledger.rows,
        title=shown[0] if len(shown) == 1 else batch.out.absolute().name,
        lead="" if len(shown) == 1 else f"{len(shown)} files or patterns of files",
        refresh_seconds=refresh,
    )


def _waiting(item: Item) -> OverviewRow:
    return OverviewRow(name=item.name, state="waiting", reason="" if item.new else item.why)


def _entry(item: Item, **more: Any) -> Entry:
    """A new entry, with the stamps of what is read: taken before it is read."""
    made = {"version": __version__, "job": job_digest(item.job), "inputs": stamp_inputs(item.job)}
    return Entry(path=item.path, **{**made, **more})


def settle(item: Item, inputs: dict[str, list[int]], outcome: Outcome) -> Entry:
    """Return what the ledger keeps of an outcome."""
    if outcome.ok:
        row = replace(outcome.value, attempts=outcome.attempts)
        outputs = stamp_outputs(Path(item.job.output))
        return _entry(item, row=row, inputs=inputs, outputs=outputs)
    row = OverviewRow(
        name=item.name, state="failed", reason=outcome.error, attempts=outcome.attempts
    )
    return _entry(item, row=row, inputs=inputs, kind=outcome.kind, detail=outcome.detail)


def _summary(batch: Batch, ledger: Ledger, done: tuple[str, ...]) -> Summary:
    counts = Counter(row.state for row in ledger.rows)
    return Summary(overview=batch.out / OVERVIEW, counts=dict(counts), done=done)


def run_one(
    batch: Batch,
    name: str,
    scheduler: Scheduler,
    *,
    max_memory: int | None = None,
    listener: Listener | None = None,
) -> Entry:
    """Do one series of a batch by itself, as a job of a queue does; what came of it goes into a file of its own.

    Raises
    ------
    InputError
        The batch has no series of this name.
    """
    ledger = batch.ledger()
    entry = ledger.entries.get(name)
    if entry is None:
        raise InputError(f"--series: found {name!r}, expected one of {', '.join(ledger.entries)}")
    item = Item(name=name, path=entry.path, job=batch.job_of(entry.path, name), why="asked for")
    inputs = stamp_inputs(item.job)
    place = batch.out / records.FOLDER / OUTCOMES
    place.mkdir(exist_ok=True)
    begun = OverviewRow(name=name, state="running", attempts=1)
    write_json(place / f"{name}.json", _entry(item, row=begun, inputs=inputs).to_mapping())
    how = {"threads": scheduler.threads, "max_memory": max_memory, "listener": listener}
    task = Task(
        name=name,
        function=judge_series,
        args=(item.job, name),
        kwargs=how,
        retries=batch.retries,
    )
    (outcome,) = scheduler.outcomes([task])
    made = settle(item, inputs, outcome)
    write_json(place / f"{name}.json", made.to_mapping())
    return made


def enrol(batch: Batch) -> list[str]:
    """Enter the series that are to be done into the ledger, for jobs of a queue to do; return their names."""
    batch.ledger()  # refuses before a folder is made
    batch.out.mkdir(parents=True, exist_ok=True)
    with records.lock(batch.out):
        ledger = batch.ledger()
        _bring_in(batch.out, ledger)
        todo = [item for item in items_of(batch, ledger) if item.why]
        for item in todo:
            ledger.entries[item.name] = _entry(item, row=_waiting(item))
        ledger.write(batch.out)
        _write_page(batch, ledger, None)
    return [item.name for item in todo]


def collect(batch: Batch) -> Summary:
    """Bring what the jobs of a queue left into the ledger, and write the overview."""
    with records.lock(batch.out):
        ledger = batch.ledger()
        _bring_in(batch.out, ledger)
        ledger.write(batch.out)
        _write_page(batch, ledger, None)
    return _summary(batch, ledger, ())


def _bring_in(out: Path, ledger: Ledger) -> None:
    place = out / records.FOLDER / OUTCOMES
    for name in list(ledger.entries):
        path = place / f"{name}.json"
        try:
            entry = Entry.from_mapping(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            continue
        if entry.row.state == "running":
            if _in_use(out / name):
                ledger.entries[name] = entry
                continue
            reason = "its job ended without a word (killed, or out of time or memory): see its log"
            row = replace(entry.row, state="failed", reason=reason)
            entry = replace(entry, row=row, kind="WorkerDied")
        ledger.entries[name] = entry
        path.unlink()


def _in_use(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    try:
        with records.lock(folder):
            return False
    except InUseError:
        return True
