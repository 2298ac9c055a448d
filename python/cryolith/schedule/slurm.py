# SPDX-License-Identifier: BSD-3-Clause
"""Plain scripts for Slurm's sbatch, and handing them to it.

A script is what a user of a cluster can read, change and keep; nothing of ours runs between the queue and the work.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .._version import __version__
from ..config import read_toml
from ..errors import ConfigError, InputError
from ..files.atomic import write_text
from ..settings import from_mapping, setting, settings

__all__ = [
    "SlurmSettings",
    "array_script",
    "read_slurm",
    "require_sbatch",
    "single_script",
    "submit",
    "write_script",
]

MEMORY_FOR_WORK = 0.9  # of what the queue grants; the rest is for what a plan does not count
CRYOLITH = f"{shlex.quote(sys.executable)} -m cryolith"


@settings
class SlurmSettings:
    """The resources of each job in a queue: the table [slurm]; what is not given is left to the site."""

    partition: str | None = setting(None, "queue")
    account: str | None = setting(None, "whom the time is charged to")
    time: str | None = setting(None, 'most time of each job, as sbatch takes it ("02:00:00")')
    memory: int | None = setting(None, "memory of each job", unit="bytes", minimum=1e6)
    cpus: int | None = setting(None, "cores of each job, which are its threads", minimum=1)
    at_once: int | None = setting(None, "most jobs of an array at once", minimum=1)
    lines: tuple[str, ...] = setting(
        (), "further lines: those that begin with #SBATCH for the queue, others before the work"
    )


def read_slurm(path: Path | None, *, needed: bool = True) -> SlurmSettings:
    """Read the resources from the table [slurm] of a TOML file.

    Raises
    ------
    ConfigError
        The file or, where it is ``needed``, the table is missing, or holds what is not known.
    """
    tables = read_toml(path) if path is not None else {}
    if "slurm" not in tables:
        if not needed:
            return SlurmSettings()
        raise ConfigError(
            f"{path}: found no table [slurm], expected one with partition, time, memory, cpus, account or lines"
        )
    found = tables["slurm"]
    if isinstance(found, dict) and isinstance(found.get("lines"), list):
        found = {**found, "lines": tuple(found["lines"])}
    made = from_mapping(SlurmSettings, found, "slurm")
    for value in (made.partition, made.account, made.time, *made.lines):
        if value is not None and "\n" in value:
            raise ConfigError(f"slurm: found a line break in {value!r}, expected one line")
    return made


def _head(slurm: SlurmSettings, name: str, log: Path, more: Sequence[str] = ()) -> list[str]:
    options = {
        "partition": slurm.partition,
        "account": slurm.account,
        "time": slurm.time,
        "mem": None if slurm.memory is None else f"{slurm.memory // 1_048_576}M",
        "cpus-per-task": slurm.cpus,
    }
    given = [f"--{k}={v}" for k, v in options.items() if v is not None]
    # sbatch reads these lines by itself: it knows no quotes of the shell, only double ones.
    lines = [f"--job-name={name}", f'--output="{log}"', *more, *given]
    extra = [line for line in slurm.lines if line.startswith("#SBATCH")]
    return [*(f"#SBATCH {line}" for line in lines), *extra]


def _body(slurm: SlurmSettings) -> list[str]:
    return [line for line in slurm.lines if not line.startswith("#SBATCH")]


def _how(slurm: SlurmSettings) -> str:
    threads = '--threads "${SLURM_CPUS_PER_TASK:-0}"'
    if slurm.memory is None:
        return threads
    return f"{threads} --max-memory {shlex.quote(f'{int(MEMORY_FOR_WORK * slurm.memory)} B')}"


def array_script(out: Path, names: Sequence[str], slurm: SlurmSettings, logs: Path) -> str:
    """Return the script of a batch: a series for each index of an array, then the overview.

    Each index runs one command that can be given again; the overview waits for all, however they ended.
    """
    limit = "" if slurm.at_once is None else f"%{slurm.at_once}"
    array = f"--array=0-{len(names) - 1}{limit}"
    folder = shlex.quote(os.path.abspath(out))
    lines = [
        "#!/bin/bash",
        f"# {len(names)} series of the batch in {_comment(out)}, one for each index.",
        f"# Written by cryolith {__version__}.",
        "#   bash FILE     submits the array and, for when all of it has ended, the overview",
        "#   sbatch FILE   submits the array alone; `cryolith report FOLDER` then writes the overview",
        *_head(slurm, "cryolith", logs / "%A_%a.log", [array]),
        "set -eu",
        f"out={folder}",
        'if [ -z "${SLURM_ARRAY_TASK_ID:-}" ]; then',
        '  job=$(sbatch --parsable "$0")',
        '  echo "array job ${job%%;*}"',
        '  sbatch --dependency=afterany:"${job%%;*}" --array=0 "$0" overview',
        "  exit",
        "fi",
        *_body(slurm),
        'if [ "${1:-}" = overview ]; then',
        f'  exec {CRYOLITH} report "$out"',
        "fi",
        "series=(",
        *(f"  {shlex.quote(name)}" for name in names),
        ")",
        f'exec {CRYOLITH} resume "$out" --series "${{series[$SLURM_ARRAY_TASK_ID]}}" {_how(slurm)}',
    ]
    return "\n".join(lines) + "\n"


def single_script(out: Path, slurm: SlurmSettings, log: Path) -> str:
    """Return the script of one run, whose job lies in its folder."""
    lines = [
        "#!/bin/bash",
        f"# The run in {_comment(out)}; written by cryolith {__version__}. Submitted again it goes on.",
        *_head(slurm, "cryolith", log),
        "set -eu",
        f"cd {shlex.quote(os.getcwd())}",
        *_body(slurm),
        f"exec {CRYOLITH} resume {shlex.quote(os.path.abspath(out))} {_how(slurm)}",
    ]
    return "\n".join(lines) + "\n"


def _comment(path: Path) -> str:
    return os.path.abspath(path).replace("\n", " ")


def write_script(path: Path, text: str) -> None:
    """Write a script that may be started."""
    write_text(path, text)
    path.chmod(path.stat().st_mode | 0o111)


def require_sbatch() -> None:
    """Refuse to go on where jobs cannot be submitted."""
    if shutil.which("sbatch") is None:
        raise InputError(
            "--slurm: found no sbatch here, expected a machine that hands jobs to Slurm; write the script with "
            "--emit-sbatch FILE and submit it there"
        )


def submit(command: Sequence[str]) -> str:
    """Start ``command``, which calls sbatch, and return what it said.

    Raises
    ------
    InputError
        There is no sbatch here, or it refused.
    """
    require_sbatch()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"--slurm: sbatch found {done.stderr.strip()}; mend [slurm] and try again")
    return done.stdout.strip()
