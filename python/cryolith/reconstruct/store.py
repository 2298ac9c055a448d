# SPDX-License-Identifier: BSD-3-Clause
"""Where a reconstruction grows on disk: its volumes, a ledger of their slabs, and what solvers save.

Everything lies in one folder until it is whole. The ledger says, for each slab, the sha256 of what was written; what is
found after a kill counts only if it still has it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._fields import Shape3
from ..files.atomic import write_bytes
from ..files.growing import GrowingVolume, SlabWritten, volume_digest, writing
from .checkpoint import EVERY, Checkpoint
from .inputs import Float32

__all__ = ["Store", "Target", "WorkFile"]

LEDGER = "ledger.jsonl"
CHUNKS = (128, 16, 128)  # of OME-Zarr: 1 MiB, and as few rows as the thinnest slab has
Put = Callable[[int, Float32], None]


@dataclass(frozen=True, kw_only=True)
class WorkFile:
    """A volume on its way to disk as any process can open it.

    Attributes
    ----------
    path : str
    shape : (nz, ny, nx)
    pixel_size : float or None [angstrom]
    labels : tuple of str
    """

    path: str
    shape: Shape3
    pixel_size: float | None
    labels: tuple[str, ...]

    def open(self, *, new: bool = False) -> GrowingVolume:
        """Open it, or begin it."""
        begin = GrowingVolume.create if new else GrowingVolume.open
        about = {"pixel_size": self.pixel_size, "labels": self.labels, "chunks": CHUNKS}
        return begin(self.path, self.shape, **about)


class Store:
    """The folder of one reconstruction in progress.

    Parameters
    ----------
    folder : path
        Of its own, on the file system of the results; made when it is needed.
    key : str
        Of all that the result depends on: what was begun under another key is removed.
    labels : sequence of str
        Of the files.
    every : float [s]
        From one save of a solver to the next; 0: after each iteration.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        key: str,
        *,
        labels: Sequence[str] = (),
        every: float = EVERY,
    ) -> None:
        self.folder, self.key, self.labels, self.every = Path(folder), key, tuple(labels), every
        self._entries = self._read_ledger()

    def checkpoint(self, name: str) -> Checkpoint:
        """Return where the solver of a volume saves."""
        return Checkpoint(self.folder / f"{name}.checkpoint", self.key, every=self.every)

    def target(self, final: Path, shape: Shape3, *, pixel_size: float | None) -> Target:
        """Return a volume that is to lie at ``final``, with what there is of it."""
        mine = [entry for entry in self._entries if entry.get("volume") == final.name]
        return Target(self, final, shape, pixel_size, mine)

    def tell(self, **entry: Any) -> None:
        """Add a line to the ledger."""
        with open(self.folder / LEDGER, "a", encoding="utf-8") as ledger:
            ledger.write(json.dumps(entry, sort_keys=True) + "\n")

    def clear(self) -> None:
        """Remove the folder: its results have their names."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read_ledger(self) -> list[dict[str, Any]]:
        entries = list(_lines(self.folder / LEDGER))
        if entries and entries[0].get("key") == self.key:
            with open(self.folder / LEDGER, "ab") as ledger:
                ledger.write(b"\n")  # ends a line that a kill has cut short
            return entries[1:]
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        write_bytes(self.folder / LEDGER, (json.dumps({"key": self.key}) + "\n").encode())
        return []


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Read the ledger, but for lines that a kill has cut short."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return
    for line in text.split("\n")[:-1]:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry


class Target:
    """One volume on its way to disk.

    Attributes
    ----------
    facts : mapping or None
        What was said when its solver had finished.
    digest : str or None
        Of the file, where it has its name already.
    work : WorkFile
        Where its rows lie until then.
    """

    def __init__(
        self,
        store: Store,
        final: Path,
        shape: Shape3,
        pixel_size: float | None,
        entries: list[dict[str, Any]],
    ) -> None:
        self.store, self.final, self.shape = store, final, shape
        self.facts: Mapping[str, Any] | None = None
        self.digest: str | None = None
        self._written: dict[int, SlabWritten] = {}
        for entry in entries:
            self.facts = entry.get("solved", self.facts)
        path = os.path.abspath(store.folder / final.name)
        self.work = WorkFile(path=path, shape=shape, pixel_size=pixel_size, labels=store.labels)
        if not os.path.lexists(path):
            self.digest = self._published(entries)
            if self.digest is not None:
                return
            entries = []
        self._volume = self.work.open(new=not entries)
        self._take_up(entries)

    @property
    def name(self) -> str:
        """Of the file, and of this volume in the ledger."""
        return self.final.name

    def missing(self, rows: int = 0) -> list[tuple[int, int]]:
        """Return first and last row of slabs of so many rows (0: as many as there are) that are not on disk."""
        if self.digest is not None:
            return []
        out, row, ny = [], 0, self.shape[1]
        for first in [*sorted(self._written), ny]:
            step = rows or first - row
            out += [(at, min(first, at + step)) for at in range(row, first, step)] if step else []
            row = self._written[first].last if first < ny else ny
        return out

    @contextmanager
    def writing(self) -> Iterator[Put]:
        """Give ``put(first, rows)``, which writes in the background; each slab goes into the ledger."""
        with writing(self._volume, done=self.take) as put:
            yield put

    def take(self, slab: SlabWritten) -> None:
        """Note a slab that was written, here or by another process."""
        self.store.tell(volume=self.name, slab=slab.to_mapping())
        self._written[slab.first] = slab

    def solved(self, facts: Mapping[str, Any]) -> None:
        """Note what a solver says of its result, all of whose rows are written."""
        self.facts = facts
        self.store.tell(volume=self.name, solved=dict(facts))

    def publish(self) -> str:
        """Give the file its name; return its digest."""
        if self.digest is None:
            self.digest = self._volume.publish(
                self._written.values(),
                self.final,
                announce=lambda digest: self.store.tell(volume=self.name, published=digest),
            )
        return self.digest

    def _published(self, entries: list[dict[str, Any]]) -> str | None:
        """Return the digest of the final file if it is the one that was announced before a kill."""
        told = [entry["published"] for entry in entries if "published" in entry]
        if told and self.final.exists() and volume_digest(self.final) == told[-1]:
            return str(told[-1])
        return None

    def _take_up(self, entries: list[dict[str, Any]]) -> None:
        """Keep the slabs of the ledger that are on disk as they were written."""
        latest = {}
        for entry in entries:
            if "slab" in entry:
                slab = SlabWritten.from_mapping(entry["slab"])
                latest[slab.first] = slab
        with ThreadPoolExecutor(2) as threads:
            held = list(threads.map(self._volume.holds, latest.values()))
        row = 0
        for slab in sorted(
            (s for s, h in zip(latest.values(), held, strict=True) if h), key=_first
        ):
            if slab.first >= row:  # of two cuts that overlap, the first
                self._written[slab.first], row = slab, slab.last
        if len(self._written) < len(latest):
            self.facts = None


def _first(slab: SlabWritten) -> int:
    return slab.first
