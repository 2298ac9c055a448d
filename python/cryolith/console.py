# SPDX-License-Identifier: BSD-3-Clause
"""How a run is shown: bars with the time left on a terminal, plain lines elsewhere, JSON for machines."""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from .listener import Listener

__all__ = ["BarListener", "JsonListener", "PlainListener", "listener_for"]


def _size(n: int) -> str:
    return f"{n / 1e9:.1f} GB" if n >= 1e9 else f"{n / 1e6:.0f} MB"


class PlainListener(Listener):
    """One line when a stage begins or ends: for logs and pipes."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    def _line(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    def started(self, stage: str, why: str) -> None:
        self._line(f"{stage}: starts, {why}")

    def verified(self, stage: str, what: str) -> None:
        self._line(f"{stage}: verified by SHA-256: {what}")

    def skipped(self, stage: str) -> None:
        self._line(f"{stage}: skipped, its record holds (inputs, parameters and outputs unchanged)")

    def finished(self, stage: str, seconds: float, peak_bytes: int) -> None:
        self._line(f"{stage}: done in {seconds:.1f} s, peak memory so far {_size(peak_bytes)}")

    def message(self, text: str) -> None:
        self._line(text)

    def judged(self, name: str, state: str, reason: str) -> None:
        self._line(_judged(name, state, reason))


def _judged(name: str, state: str, reason: str) -> str:
    return f"{name}: {state}" + (f", {reason}" if reason else "")


class JsonListener(Listener):
    """One JSON object a line on standard output."""

    def _emit(self, **event: Any) -> None:
        sys.stdout.write(json.dumps(event, sort_keys=True) + "\n")
        sys.stdout.flush()

    def started(self, stage: str, why: str) -> None:
        self._emit(event="started", stage=stage, why=why)

    def progress(self, stage: str, fraction: float) -> None:
        self._emit(event="progress", stage=stage, fraction=round(fraction, 4))

    def verified(self, stage: str, what: str) -> None:
        self._emit(event="verified", stage=stage, what=what)

    def skipped(self, stage: str) -> None:
        self._emit(event="skipped", stage=stage, why="its record holds")

    def finished(self, stage: str, seconds: float, peak_bytes: int) -> None:
        self._emit(event="finished", stage=stage, seconds=round(seconds, 3), peak_bytes=peak_bytes)

    def message(self, text: str) -> None:
        self._emit(event="message", text=text)

    def judged(self, name: str, state: str, reason: str) -> None:
        self._emit(event="judged", series=name, state=state, reason=reason)


class BarListener(Listener):
    """A progress bar for each stage, with the time that is left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("[bold]{task.description:<12}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Listener:
        self._bars.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bars.stop()

    def started(self, stage: str, why: str) -> None:
        self._tasks[stage] = self._bars.add_task(stage, total=1.0)

    def progress(self, stage: str, fraction: float) -> None:
        self._bars.update(self._tasks[stage], completed=fraction)

    def verified(self, stage: str, what: str) -> None:
        self._console.print(f"{stage}: verified by SHA-256: {what}", highlight=False, markup=False)

    def skipped(self, stage: str) -> None:
        self._console.print(f"{stage}: skipped, its record holds", highlight=False)

    def finished(self, stage: str, seconds: float, peak_bytes: int) -> None:
        self._bars.update(self._tasks[stage], completed=1.0)

    def message(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False)

    def judged(self, name: str, state: str, reason: str) -> None:
        self.message(_judged(name, state, reason))


def listener_for(*, as_json: bool, quiet: bool) -> Listener:
    """Return the listener that fits the flags and the terminal."""
    if as_json:
        return JsonListener()
    if quiet:
        return Listener()
    console = Console(stderr=True)
    return BarListener(console) if console.is_terminal else PlainListener()
