# SPDX-License-Identifier: BSD-3-Clause
"""Runs programs in turns, each in a child process of its own, with the machine's bound measured between the rounds."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import cases
from benchmarks.roofline import Roofline

from .data import LIMITS, Data
from .programs import PROGRAMS

# A program whose calls take longer is not asked again: one call is long enough to be a mean. The first may hold imports
# and compilation, so it has to be longer still.
SLOW_S, SLOW_FIRST_S = 5.0, 30.0


@dataclass(frozen=True)
class Setting:
    """What is the same for all programs of one comparison."""

    case: cases.TiltCase
    task: str
    threads: int = 1
    rounds: int = 5
    n_iter: int = 20
    axis_deg: float = 0.0
    limit_s: float = 900.0

    @property
    def updates(self) -> int:
        """Voxel updates of the whole task; SIRT projects and back-projects once an iteration."""
        return self.case.updates * (2 * self.n_iter if self.task == "sirt" else 1)


@dataclass
class Row:
    """One program's figures: the least over the rounds. ``failed`` says why there are none."""

    program: str
    task: str
    size: str
    threads: int
    axis_deg: float
    note: str
    updates: int
    wall_s: float = float("inf")
    cpu_s: float = float("inf")
    peak_mb: float = float("inf")
    error: float = float("nan")
    bound: float = float("nan")
    calls: int = 0
    failed: str = ""

    def add(self, answer: dict[str, float]) -> None:
        first = self.calls == 0
        # The first call pays for imports and plans: its times count only if nothing else will.
        if first or self.calls == 1:
            self.wall_s, self.cpu_s = answer["wall"], answer["cpu"]
        self.wall_s, self.cpu_s = min(self.wall_s, answer["wall"]), min(self.cpu_s, answer["cpu"])
        self.peak_mb = min(self.peak_mb, answer["peak_mb"])
        self.calls += 1

    @property
    def rate(self) -> float:
        """1e9 voxel updates a second of wall time."""
        return self.updates / self.wall_s / 1e9

    @property
    def rate_core(self) -> float:
        """1e9 voxel updates a CPU second."""
        return self.updates / self.cpu_s / 1e9

    @property
    def wrong(self) -> bool:
        return not self.failed and not self.error <= LIMITS[self.task]

    def to_mapping(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Child:
    """A worker process and the row that its answers fill."""

    row: Row
    process: subprocess.Popen[str] = field(repr=False)
    limit_s: float

    def ask(self, order: str | None) -> dict[str, Any]:
        """Send an order (None: only listen) and return the answer; no answer in time is a failure."""
        assert self.process.stdin
        assert self.process.stdout
        try:
            if order:
                self.process.stdin.write(order + "\n")
                self.process.stdin.flush()
            ready, _, _ = select.select([self.process.stdout], [], [], self.limit_s)
            line = self.process.stdout.readline() if ready else ""
        except BrokenPipeError:
            line = ""
        answer: dict[str, Any] = json.loads(line) if line else {}
        if "failed" in answer or not answer:
            self.row.failed = answer.get("failed") or self.silence()
            self.stop()
        return answer

    def silence(self) -> str:
        if self.process.poll() is None:
            return f"no answer in {self.limit_s:g} s"
        return f"ended with status {self.process.returncode}"

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


def start(program: str, setting: Setting, data: Data) -> Child:
    """Start a worker; libraries read the number of threads before they are imported."""
    job = {
        "program": program,
        "task": setting.task,
        "threads": setting.threads,
        "n_iter": setting.n_iter,
        "axis_deg": setting.axis_deg,
        "case": asdict(setting.case),
        "folder": str(data.folder),
    }
    names = ("OMP", "OPENBLAS", "MKL", "NUMBA")
    threads = {f"{name}_NUM_THREADS": str(setting.threads) for name in names}
    process = subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.worker", json.dumps(job)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **threads},
    )
    row = Row(
        program=program,
        task=setting.task,
        size=setting.case.name,
        threads=setting.threads,
        axis_deg=setting.axis_deg,
        note=PROGRAMS[program].note,
        updates=setting.updates,
    )
    return Child(row, process, setting.limit_s)


def compare(names: list[str], setting: Setting, folder: Path, roofline: Roofline) -> list[Row]:
    """Return one row per program that has the task, in the order of ``names``."""
    chosen = [n for n in names if setting.task in PROGRAMS[n].tasks]
    data = Data(folder, setting.case, setting.axis_deg)
    for half in {PROGRAMS[n].half for n in chosen}:
        data.write(half, whole_volume=setting.task == "project")
    children = [start(n, setting, data) for n in chosen]
    try:
        for child in children:  # one after another: set-up is not to disturb set-up
            child.ask(None)
        for turn in range(setting.rounds + 1):
            sys.stderr.write(f"{setting.case} {setting.task}: round {turn} of {setting.rounds}\n")
            roofline.measure()
            for child in children:
                one_turn(child, turn)
    finally:
        for child in children:
            child.stop()
    for child in children:
        child.row.bound = roofline.best.multiply_add
    return [child.row for child in children]


def one_turn(child: Child, turn: int) -> None:
    row = child.row
    slow = SLOW_FIRST_S if row.calls == 1 else SLOW_S
    if row.failed or (row.calls and row.cpu_s > slow):
        return
    answer = child.ask("run")
    if row.failed:
        return
    row.add(answer)
    if turn == 0:  # results do not change from call to call; the first is judged
        row.error = child.ask("check").get("error", float("nan"))
