# SPDX-License-Identifier: BSD-3-Clause
"""Tilt series while they are recorded: a coarse volume after every tilt, alerts, and the run when it is complete."""

from .alerts import Alert
from .running import HereRunner, ProcessRunner
from .settings import WatchSettings
from .watcher import Watch

__all__ = ["Alert", "HereRunner", "ProcessRunner", "Watch", "WatchSettings"]
