# SPDX-License-Identifier: BSD-3-Clause
"""What `resume` trusts: one record per finished stage, with the sha256 of all that went in and came out.

A stage is skipped when its record holds: same program version, same parameters, inputs with the same
sha256, and outputs that still are on disk with the sha256 they had. The existence of a file proves nothing.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ._version import __version__
from .errors import InputError
from .files.atomic import sha256, sweep, write_json
from .listener import Listener

__all__ = [
    "FOLDER",
    "Record",
    "carry_out",
    "lock",
    "peak_bytes",
    "read_record",
    "sweep_partials",
    "why_stale",
    "write_record",
]

FOLDER = ".cryolith"


@dataclass(frozen=True, kw_only=True)
class Record:
    """What one stage did.

    Attributes
    ----------
    inputs, outputs : mapping of file name to sha256
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
        if sha256(folder / name) != digest:
            return f"its output {name} is not what was written"
    return ""


def carry_out(
    folder: Path,
    stage: str,
    *,
    inputs: Mapping[str, str],
    parameters: Mapping[str, Any],
    work: Callable[[], tuple[list[str], dict[str, Any]]],
    listener: Listener,
) -> None:
    """Do ``work`` and record it, unless the record of an earlier run holds.

    ``work`` returns the names of the files that it wrote in ``folder``, and the facts to keep.
    """
    why = why_stale(folder, stage, inputs, parameters)
    if not why:
        listener.skipped(stage)
        return
    listener.started(stage, why)
    start = time.monotonic()
    outputs, facts = work()
    write_record(
        folder,
        Record(
            stage=stage,
            inputs=inputs,
            parameters=parameters,
            outputs={name: sha256(folder / name) for name in outputs},
            facts=facts,
        ),
    )
    listener.finished(stage, time.monotonic() - start, peak_bytes())


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


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the folder against a second run; the system frees it however the process ends."""
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    with open(folder / FOLDER / "lock", "w") as handle:
        try:
            import fcntl
        except ImportError:  # no advisory locks on this system
            yield
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            raise InputError(
                f"{folder}: another cryolith run is writing here; wait for it or choose another folder"
            ) from e
        yield
