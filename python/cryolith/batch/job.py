# SPDX-License-Identifier: BSD-3-Clause
"""What a batch is asked for, and which of its series have to be done."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .._version import __version__
from ..config import Job, job_from_mapping, read_toml
from ..errors import CryolithError, InputError
from ..pipeline import JOB_FILE
from ..records import FOLDER, is_batch
from ..report.overview import OverviewRow
from ..schedule.tasks import RETRIES
from ..settings import to_mapping
from .ledger import Entry, Ledger, Stamps, job_digest, stamp_inputs, stamp_outputs
from .series import find_series, name_series

__all__ = ["Batch", "Item", "items_of", "open_batch"]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Many series, one configuration.

    Attributes
    ----------
    patterns : tuple of str
        Files and patterns of files.
    job : Job
        The settings of every series; ``series.path`` and ``output`` are set for each.
    out : Path
        A folder for each series goes into it, the ledger and the overview.
    retries : int
        How often a series is begun again after a failure that lies not in its files or settings.
    """

    patterns: tuple[str, ...]
    job: Job
    out: Path
    retries: int = RETRIES

    def job_of(self, path: str, name: str) -> Job:
        """Return the job of one series; paths are absolute, so that any worker, anywhere, finds them."""
        s = self.job.series
        frames = s.frames and (os.path.abspath(s.frames[0]), os.path.abspath(s.frames[1]))
        series = replace(
            s,
            path=path,
            angles=None if s.angles is None else os.path.abspath(s.angles),
            frames=frames,
        )
        return replace(self.job, series=series, output=os.path.abspath(self.out / name))

    def ledger(self) -> Ledger:
        """Return the ledger with this batch's question, and what was found before.

        Raises
        ------
        InputError
            The folder holds something else.
        """
        job = to_mapping(self.job_of("", ""))
        job.pop("output")
        patterns = tuple(os.path.abspath(p) for p in self.patterns)
        entries = Ledger.read(self.out).entries if is_batch(self.out) else {}
        if not entries:
            _refuse_foreign(self.out)
        return Ledger(patterns, job, self.retries, entries)


@dataclass(frozen=True, kw_only=True)
class Item:
    """One series of a batch: its job, and why it has to be done; nothing to be done when ``why`` is empty.

    ``before`` is its row in the ledger, where there is one.
    """

    name: str
    path: str
    job: Job
    why: str
    before: OverviewRow | None = None

    @property
    def new(self) -> bool:
        """Whether it was not finished before."""
        return self.before is None or self.before.state in ("waiting", "running")


def open_batch(out: Path) -> Batch:
    """Return the batch of a folder as it was last asked for."""
    ledger = Ledger.read(out)
    return Batch(
        patterns=ledger.patterns,
        job=job_from_mapping(ledger.job),
        out=out,
        retries=ledger.retries,
    )


def items_of(batch: Batch, ledger: Ledger, *, verify: bool = False) -> list[Item]:
    """Return all series that the patterns stand for now, those of before under their names.

    ``verify`` has every one done, so that the sha256 of all its files are looked at.
    """
    paths = find_series(batch.patterns, batch.out)
    items = []
    for path, name in name_series(paths, ledger.names).items():
        job = batch.job_of(os.fspath(path), name)
        entry = ledger.entries.get(name)
        why = "to be verified" if verify else _why(entry, job)
        items.append(
            Item(
                name=name,
                path=os.fspath(path),
                job=job,
                why=why,
                before=None if entry is None else entry.row,
            )
        )
    return items


def _why(entry: Entry | None, job: Job) -> str:
    if entry is None:
        return "it is new"
    row = entry.row
    if row.state in ("waiting", "running"):
        return "it has not finished before"
    if entry.version != __version__:
        return f"it was made by cryolith {entry.version}"
    if entry.job != job_digest(job):
        return _what_changed(job)
    changed = _differing(entry.inputs, stamp_inputs(job))
    if changed:
        return f"its input {Path(changed[0]).name} has changed"
    if row.state == "failed":
        # The file alone is to blame, and it is the same.
        return "" if entry.kind == "FileFormatError" else f"it failed: {row.reason}"
    changed = _differing(entry.outputs, stamp_outputs(Path(job.output)))
    return f"its file {changed[0]} has changed since" if changed else ""


def _differing(before: Stamps, now: Stamps) -> list[str]:
    return [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]


def _what_changed(job: Job) -> str:
    """Name the settings that differ from those of the run in the folder."""
    try:
        before = to_mapping(job_from_mapping(read_toml(Path(job.output) / JOB_FILE)))
    except CryolithError:  # it left no folder, or one that another version wrote
        return "its settings have changed"
    old, new = _flat(before), _flat(to_mapping(job))
    names = [k for k in sorted({*old, *new} - {"output"}) if old.get(k) != new.get(k)]
    words = [f"{name} {old.get(name)} -> {new.get(name)}" for name in names]
    return (
        f"its settings have changed: {', '.join(words)}" if words else "its settings have changed"
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return flat


def _refuse_foreign(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: found a file, expected a folder for the results; name another")
    if (out / JOB_FILE).exists():
        raise InputError(
            f"{out}: found the results of a run, expected a folder for a batch; name another"
        )
    if out.exists() and [p for p in out.iterdir() if p.name != FOLDER]:
        raise InputError(f"{out}: is not empty and not a batch; choose another folder")
