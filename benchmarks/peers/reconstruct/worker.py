# SPDX-License-Identifier: BSD-3-Clause
"""A child process with one program in it: it runs when told, and says what that took.

python -m benchmarks.peers.reconstruct.worker '{"program": ..., "task": ..., ...}' reads "run", "check" and "end" from
standard input and answers each with one line of JSON.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks import cases

from .data import Data, check
from .programs import PROGRAMS, Program

MEGABYTE = 1e6


class Worker:
    """The program, and what its calls take beyond what was there before the first."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        case = cases.TiltCase(**job["case"])
        self.data = Data(Path(job["folder"]), case, job["axis_deg"])
        self.kind = PROGRAMS[job["program"]]
        forward, half = job["task"] == "project", self.kind.half
        # A program gets what its task reads, so that memory is counted alike.
        nothing = np.empty((0, 0, 0), np.float32)
        stack = self.data.read("stack", half)
        self.program: Program = self.kind(
            case,
            job["task"],
            stack,
            self.data.read("volume", half) if forward else nothing,
            threads=job["threads"],
            n_iter=job["n_iter"],
            axis_deg=job["axis_deg"],
        )
        self.result: np.ndarray | None = None
        gc.collect()
        self.before = memory("VmRSS")

    def run(self) -> dict[str, float]:
        self.result = None
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
        wall, cpu = time.perf_counter(), cpu_seconds()
        self.result = self.program.run()
        wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
        return {"wall": wall, "cpu": cpu, "peak_mb": (self.peak() - self.before) / MEGABYTE}

    def peak(self) -> int:
        """Return the high-water mark, with what forked workers added to it."""
        largest_child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        added = max(0, largest_child - self.before) * self.job["threads"]
        return memory("VmHWM") + added

    def check(self) -> dict[str, float]:
        assert self.result is not None
        return {"error": check(self.data, self.job["task"], self.kind.half, self.result)}


def memory(name: str) -> int:
    """Return VmRSS or VmHWM of this process [bytes]."""
    found = re.search(rf"^{name}:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def cpu_seconds() -> float:
    """Return user and system time of this process and of children that have ended."""
    uses = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(u.ru_utime + u.ru_stime for u in uses)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a program prints is no answer

    def answer(**what: object) -> None:
        answers.write(json.dumps(what) + "\n")
        answers.flush()

    try:
        worker = Worker(json.loads(sys.argv[1]))
        answer(ready=True)
        for line in sys.stdin:
            order = line.strip()
            if order == "end":
                break
            answer(**{"run": worker.run, "check": worker.check}[order]())
    except Exception as error:  # a program that fails is a row of the table, not the end of it
        with contextlib.suppress(BrokenPipeError):
            answer(failed=f"{type(error).__name__}: {error}"[:200])


if __name__ == "__main__":
    main()
