# SPDX-License-Identifier: BSD-3-Clause
"""What `resume` trusts: one record per finished stage, with the sha256 of all that went in and came out.

A stage is skipped when its record holds: same program version, same parameters, inputs with the same
sha256, and outputs that still are on disk with the sha256 they had. The existence of a file proves nothing.
Of a volume the digest is :func:`cryolith.files.volume_digest`, which is known when it has been written.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import locking
from ._version import __version__
from .files.atomic import sweep, write_json
from .files.disk import clear_errors
from .files.growing import volume_digest
from .listener import Listener

__all__ = [
    "BATCH",
    "FOLDER",
    "Made",
    "Record",
    "carry_out",
    "digest_of",
    "forget",
    "is_batch",
    "know",
    "lock",
    "peak_bytes",
    "read_record",
    "sweep_partials",
    "why_stale",
    "write_record",
]

FOLDER = ".cryolith"
Made = tuple[list[str] | Mapping[str, str], dict[str, Any]]
"""Files that a stage wrote, with their digests if it knows them, and facts to keep."""
BATCH = "batch.json"  # in it, of a folder that holds a run for each series of a batch


@dataclass(frozen=True, kw_only=True)
class Record:
    """What one stage did.

    Attributes
    ----------
    inputs, outputs : mapping of file name to digest (:func:`digest_of`)
        Outputs are named relative to the run's folder.
    parameters : mapping
        Every setting that the result depends on.
    facts : mapping
        Numbers that later stages show and that stand in no other file (convergence, thickness).
    """

    stage: str
    inputs: Mapping[str, str]
    parameters: Mapping[str, Any]
    outputs: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)
    version: str = __version__


def lock(folder: Path) -> contextlib.AbstractContextManager[str]:
    """Hold a run's folder against a second run; see :func:`cryolith.locking.lock`."""
    return locking.lock(folder / FOLDER)


def is_batch(folder: Path) -> bool:
    """Return whether a folder is that of a batch, not of one run."""
    return (folder / FOLDER / BATCH).is_file()


def _path(folder: Path, stage: str) -> Path:
    return folder / FOLDER / f"{stage}.json"


def write_record(folder: Path, record: Record) -> None:
    """Publish the record of a finished stage; its outputs must be in place already."""
    write_json(_path(folder, record.stage), asdict(record))


def read_record(folder: Path, stage: str) -> Record | None:
    """Return a stage's record, or None when there is none or it cannot be understood."""
    try:
        return Record(**json.loads(_path(folder, stage).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def why_stale(
    folder: Path, stage: str, inputs: Mapping[str, str], parameters: Mapping[str, Any]
) -> str:
    """Return why a stage has to run, or an empty string when its record holds."""
    record = read_record(folder, stage)
    if record is None:
        return "it has not finished before"
    if record.version != __version__:
        return f"it was made by cryolith {record.version}"
    for name in sorted({*inputs, *record.inputs}):
        if inputs.get(name) != record.inputs.get(name):
            return f"its input {name} has changed"
    plain = json.loads(json.dumps(parameters))  # tuples read back as lists
    changed = [
        k for k in sorted({*plain, *record.parameters}) if plain.get(k) != record.parameters.get(k)
    ]
    if changed:
        return f"its parameter {', '.join(changed)} has changed"
    for name, digest in record.outputs.items():
        if not (folder / name).exists():
            return f"its output {name} is missing"
        if digest_of(folder / name) != digest:
            return f"its output {name} is not what was written"
    return ""


_TICK_NS = 100_000_000  # a file that changed just now may change again without its times telling
_known: dict[tuple[str, int, int, int, int], str] = {}


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, or a volume's digest; a file is read once in the life of a process.

    A file that was read counts as the same while its place, size and times do not change: a run holds its folder's
    lock. A resumed run is a new process, and reads everything.
    """
    key = _key(path)
    if key in _known:
        return _known[key]
    digest = volume_digest(path)
    if time.time_ns() - key[-1] > _TICK_NS:
        _known[key] = digest
    return digest


def know(path: Path, digest: str) -> None:
    """Take a digest that was made while the file was written (:meth:`cryolith.files.GrowingVolume.publish`)."""
    _known[_key(path)] = digest


def _key(path: Path) -> tuple[str, int, int, int, int]:
    """Place and times of a file; of a folder, those of the newest file in it, and the size of all."""
    items = [p.stat() for p in path.rglob("*")] if path.is_dir() else []
    own = path.stat()
    size = sum(s.st_size for s in items) + own.st_size
    newest = max((s.st_ctime_ns for s in items), default=0)
    return os.path.abspath(path), own.st_ino, size, own.st_mtime_ns, max(newest, own.st_ctime_ns)


def forget(folder: Path, stages: Sequence[str]) -> None:
    """Remove the records of stages, so that they are done again."""
    for stage in stages:
        _path(folder, stage).unlink(missing_ok=True)


def carry_out(
    folder: Path,
    stage: str,
    *,
    inputs: Mapping[str, str],
    parameters: Mapping[str, Any],
    work: Callable[[], Made],
    listener: Listener,
    asked: bool = False,
) -> None:
    """Do ``work`` and record it, unless the record of an earlier run holds; ``asked``: in any case.

    ``work`` returns the names of the files that it wrote in ``folder``, with their digests if it knows them, and the
    facts to keep.
    """
    why = "as asked" if asked else why_stale(folder, stage, inputs, parameters)
    if not why:
        listener.verified(stage, _verified(folder, stage))
        listener.skipped(stage)
        return
    listener.started(stage, why)
    start = time.monotonic()
    with clear_errors(folder):  # a full disk, met where a stage keeps what is not in memory
        made, facts = work()
    known = made if isinstance(made, Mapping) else dict.fromkeys(made, "")
    for name, digest in known.items():
        if digest:
            know(folder / name, digest)
    write_record(
        folder,
        Record(
            stage=stage,
            inputs=inputs,
            parameters=parameters,
            outputs={name: digest_of(folder / name) for name in known},
            facts=facts,
        ),
    )
    listener.finished(stage, time.monotonic() - start, peak_bytes())


def _verified(folder: Path, stage: str) -> str:
    """What has been read and compared before a stage is skipped."""
    record = read_record(folder, stage)
    if record is None:
        raise AssertionError(f"{stage}: the record was read before")
    size = sum(_size(folder / name) for name in record.outputs)
    inputs, outputs = ", ".join(record.inputs) or "none", ", ".join(record.outputs) or "none"
    return f"inputs {inputs}; outputs {outputs} ({size / 1e6:.1f} MB)"


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(p.stat().st_size for p in files if p.is_file())


def peak_bytes() -> int:
    """Return the most memory that this process has held; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024


def sweep_partials(folder: Path) -> None:
    """Remove what a killed run left unfinished; call it while holding the lock."""
    for place in (folder, folder / FOLDER):
        sweep(place)
