# SPDX-License-Identifier: BSD-3-Clause
"""Tests that run on every device but the CPU: emulated, and each card that is there."""

from __future__ import annotations

import os
import re

import pytest

import cryolith

CARDS = [d.name for d in cryolith.devices() if d.usable and d.name.startswith("cuda")]
# The device among the parameters in the name of a test: x[emulated-3], x[3-emulated].
EMULATED = re.compile(r"(?<=[\[-])emulated(?=[\]-])")
on_devices = pytest.mark.parametrize("device", ["emulated", *CARDS])


def cuda_demanded() -> bool:
    """Return whether CRYOLITH_REQUIRE_CUDA says that a test which no card ran is a failure."""
    return os.environ.get("CRYOLITH_REQUIRE_CUDA", "") not in ("", "0")


class EveryTestOnEveryCard:
    """A pytest plugin: what passed on the emulated device has to have passed on every card too."""

    def __init__(self, cards: list[str]) -> None:
        self.cards = cards
        self.passed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.passed.add(report.nodeid)

    def missing(self) -> list[str]:
        """Return a line for each test that ran on no card, or not on all of them."""
        emulated = sorted(name for name in self.passed if EMULATED.search(name))
        if not self.cards:
            why = next(d.description for d in cryolith.devices() if d.name.startswith("cuda"))
            return [f"no card: {why}"]
        wanted = [EMULATED.sub(card, name, count=1) for name in emulated for card in self.cards]
        return [f"did not pass: {name}" for name in wanted if name not in self.passed]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        # A worker of pytest-xdist sees only its own tests.
        if not hasattr(session.config, "workerinput") and self.missing():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if lines := self.missing():
            terminalreporter.section("CRYOLITH_REQUIRE_CUDA: not run on every card", red=True)
            for line in lines:
                terminalreporter.write_line(line)
