# SPDX-License-Identifier: BSD-3-Clause
"""The ordinary run of a complete series: in a process of its own, so that the watch goes on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..config import Job, job_to_toml
from ..errors import CryolithError
from ..files.atomic import write_text

__all__ = ["HereRunner", "Outcome", "ProcessRunner", "Runner"]

_BUSY = "another cryolith run is writing here"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended; ``busy``: another process is running it."""

    ok: bool
    reason: str = ""
    busy: bool = False


class Runner(Protocol):
    """Does one run at a time."""

    def start(self, job: Job, live: Path) -> None:
        """Begin; ``live`` is a folder for its own files."""

    def outcome(self) -> Outcome | None:
        """Return how it ended; None while it goes on."""

    def stop(self) -> None:
        """End it now; what it has finished stays."""


class HereRunner:
    """Runs in this process, before :meth:`start` returns: for tests and scripts."""

    def __init__(self, run: Callable[[Job], object]) -> None:
        self._run = run
        self._outcome: Outcome | None = None

    def start(self, job: Job, live: Path) -> None:
        """Run it."""
        try:
            self._run(job)
            self._outcome = Outcome(ok=True)
        except (CryolithError, OSError, MemoryError) as error:
            text = str(error) or type(error).__name__
            self._outcome = Outcome(ok=False, reason=text, busy=_BUSY in text)

    def outcome(self) -> Outcome | None:
        """Return how it ended."""
        return self._outcome

    def stop(self) -> None:
        """Do nothing: it has ended."""


class ProcessRunner:
    """Runs ``cryolith run`` in a process of its own."""

    def __init__(self, threads: int = 0, max_memory: str | None = None) -> None:
        self._more = ["--threads", str(threads)]
        self._more += ["--max-memory", max_memory] if max_memory else []
        self._process: subprocess.Popen[bytes] | None = None
        self._log = Path()

    def start(self, job: Job, live: Path) -> None:
        """Begin, with the job and what the run says in files of ``live``."""
        self._log = live / "run.log"
        write_text(live / "job.toml", job_to_toml(job))
        command = [sys.executable, "-m", "cryolith", "run", job.series.path, "-o", job.output]
        command += ["-c", str(live / "job.toml"), *self._more]
        with open(self._log, "wb") as log:
            # A session of its own: a Ctrl-C ends the watch, which then ends the run.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def outcome(self) -> Outcome | None:
        """Return how it ended; the reason is the last error that it told."""
        if self._process is None or (code := self._process.poll()) is None:
            return None
        if code == 0:
            return Outcome(ok=True)
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        told = [line for line in lines if line.startswith("error: ")]
        reason = (
            told[-1].removeprefix("error: ") if told else f"cryolith run ended with code {code}"
        )
        return Outcome(ok=False, reason=reason, busy=_BUSY in reason)

    def stop(self) -> None:
        """Interrupt it, and wait for its end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
