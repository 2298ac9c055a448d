# SPDX-License-Identifier: BSD-3-Clause
"""What hears how a run goes on."""

from __future__ import annotations

__all__ = ["Listener"]


class Listener:
    """Hears what a run does; every method may be overridden, none has to be.

    It is entered and left around the run, so that it may take over a terminal and give it back.
    """

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *exc: object) -> None:
        """Give back what was taken."""

    def started(self, stage: str, why: str) -> None:
        """A stage begins, because ``why``."""

    def progress(self, stage: str, fraction: float) -> None:
        """A stage is this far, 0 to 1."""

    def verified(self, stage: str, what: str) -> None:
        """The files of a stage that is about to be skipped have been compared with its record."""

    def skipped(self, stage: str) -> None:
        """A stage is not run again: its record holds."""

    def finished(self, stage: str, seconds: float, peak_bytes: int) -> None:
        """A stage is done; the peak is that of the whole process so far."""

    def message(self, text: str) -> None:
        """Something worth a line."""

    def judged(self, name: str, state: str, reason: str) -> None:
        """A series of a batch is done, or set aside: failed, because ``reason``."""
