# SPDX-License-Identifier: BSD-3-Clause
"""What a batch knows of its series: one file, published whole, that says of each how far it is and why.

Whether a series is done is decided without reading its data again: by the settings, and by size, times and number of
its files as they were when it was done, which no writing program leaves as they are. Wherever these differ, the
records of the run and their sha256 decide.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from .._version import __version__
from ..config import Job
from ..errors import InputError
from ..files.atomic import PARTIAL, write_json
from ..files.metadata import find_beside
from ..records import BATCH, FOLDER
from ..report.overview import OverviewRow, Thumbnail
from ..report.pictures import Picture
from ..settings import to_mapping
from .series import natural

__all__ = [
    "Entry",
    "Ledger",
    "job_digest",
    "stamp_inputs",
    "stamp_outputs",
]

FORMAT = 1
Stamps = dict[str, list[int]]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One series in the ledger.

    Attributes
    ----------
    path : str
        Its file, absolute.
    row : OverviewRow
        Name, state, reason, attempts and the deciding numbers, as the overview shows them.
    kind : str
        Of a failed one: the class of the error.
    detail : str
        Of an error that was not foreseen: the traceback.
    version, job : str
        The program and the digest of the settings that the state was found with.
    inputs, outputs : mapping of path to [size, time of change of the data, of the file, its number]
        The series' file and those beside it, before it was begun; the files of its folder, when it was done.
    """

    path: str
    row: OverviewRow
    kind: str = ""
    detail: str = ""
    version: str = __version__
    job: str = ""
    inputs: Stamps = field(default_factory=dict)
    outputs: Stamps = field(default_factory=dict)

    def to_mapping(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Entry:
        """Read it back from plain data."""
        row = dict(values["row"])
        if row["thumbnail"] is not None:
            picture = Picture(**row["thumbnail"]["picture"])
            row["thumbnail"] = Thumbnail(**{**row["thumbnail"], "picture": picture})
        if row["tilt_range_deg"] is not None:
            row["tilt_range_deg"] = tuple(row["tilt_range_deg"])
        row["alerts"] = tuple(row["alerts"])
        return cls(**{**values, "row": OverviewRow(**row)})


@dataclass
class Ledger:
    """The state of a batch: its question, and an entry for each series by name."""

    patterns: tuple[str, ...]
    job: dict[str, Any]
    retries: int
    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def names(self) -> dict[str, str]:
        """Path of each series to its name."""
        return {entry.path: name for name, entry in self.entries.items()}

    @property
    def rows(self) -> list[OverviewRow]:
        """The rows of the overview, in natural order of the names."""
        return [self.entries[name].row for name in sorted(self.entries, key=natural)]

    def tell(self, name: str, **changes: Any) -> None:
        """Change fields of a series' row."""
        entry = self.entries[name]
        self.entries[name] = replace(entry, row=replace(entry.row, **changes))

    def write(self, out: Path) -> None:
        """Publish it in the batch's folder."""
        write_json(
            out / FOLDER / BATCH,
            {
                "format": FORMAT,
                "cryolith": __version__,
                "patterns": list(self.patterns),
                "retries": self.retries,
                "job": self.job,
                "series": {name: entry.to_mapping() for name, entry in self.entries.items()},
            },
        )

    @classmethod
    def read(cls, out: Path) -> Ledger:
        """Read it from the batch's folder.

        Raises
        ------
        InputError
            There is none, or it cannot be understood.
        """
        path = out / FOLDER / BATCH
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["format"] != FORMAT:
                raise ValueError(f"format {found['format']}")
            entries = {name: Entry.from_mapping(e) for name, e in found["series"].items()}
            return cls(tuple(found["patterns"]), found["job"], found["retries"], entries)
        except FileNotFoundError as error:
            raise InputError(
                f"{out}: found no {BATCH}, expected the folder of a batch; start one with `cryolith batch`"
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: found {error}, expected the ledger of a batch of this version; remove the file and give the "
                "command again: finished series are recognised by their own records"
            ) from error


def job_digest(job: Job) -> str:
    """Return a digest of all settings but the folder of the results."""
    values = to_mapping(job)
    values.pop("output")
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def stamp_inputs(job: Job) -> Stamps:
    """Stamp the series and whatever beside it, or named by the job, has a say in the result."""
    path = job.series.path
    beside = find_beside(path)
    more = [p for _, p in beside.angles] + [beside.mdoc, beside.log, job.series.angles]
    return _stamps([path, *(p for p in more if p is not None), *(job.series.frames or ())])


def stamp_outputs(folder: Path) -> Stamps:
    """Stamp what a run left in its folder; names are relative to it."""
    found = [
        p
        for p in folder.rglob("*")
        if p.is_file() and p != folder / FOLDER / "lock" and not p.name.endswith(PARTIAL)
    ]
    stamps = _stamps(map(os.fspath, found))
    return {os.path.relpath(name, folder): stamp for name, stamp in sorted(stamps.items())}


def _stamps(paths: Iterable[str]) -> Stamps:
    stamps = {}
    for path in paths:
        try:
            s = os.stat(path)
        except OSError:  # what is not there has no stamp: it will differ from one that is
            continue
        stamps[path] = [s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino]
    return stamps
