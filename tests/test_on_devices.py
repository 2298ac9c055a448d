# SPDX-License-Identifier: BSD-3-Clause
"""Where a card is demanded, a test that it did not run fails the session."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

from on_devices import CARDS, EveryTestOnEveryCard


def report(nodeid, when="call", passed=True):
    return SimpleNamespace(nodeid=nodeid, when=when, passed=passed)


def test_every_test_that_ran_emulated_is_asked_of_every_card():
    plugin = EveryTestOnEveryCard(["cuda:0", "cuda:1"])
    for name in ("a.py::x[0-emulated]", "a.py::x[0-cuda:0]", "a.py::x[0-cuda:1]", "a.py::y"):
        plugin.pytest_runtest_logreport(report(name))
    assert plugin.missing() == []
    plugin.pytest_runtest_logreport(report("a.py::z[emulated]"))
    plugin.pytest_runtest_logreport(report("a.py::z[cuda:0]"))
    plugin.pytest_runtest_logreport(report("a.py::z[cuda:1]", passed=False))
    assert plugin.missing() == ["did not pass: a.py::z[cuda:1]"]


def test_a_session_that_demands_a_card_fails_where_there_is_none(tmp_path):
    (tmp_path / "test_one.py").write_text("def test_one():\n    pass\n")
    (tmp_path / "conftest.py").write_text(
        "from on_devices import EveryTestOnEveryCard\n"
        "def pytest_configure(config):\n"
        "    config.pluginmanager.register(EveryTestOnEveryCard([]))\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    here = __file__.rpartition("/")[0]
    done = subprocess.run(
        command, env={"PYTHONPATH": ":".join([here, *sys.path])}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "1 passed" in done.stdout
    assert "not run on every card" in done.stdout
    if not CARDS:
        assert "no card: " in done.stdout
