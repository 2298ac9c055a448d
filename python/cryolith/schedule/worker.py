# SPDX-License-Identifier: BSD-3-Clause
"""What a process of the pool does: it takes calls from a pipe and sends back what they came to."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import threading
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from .tasks import attempt, failed, packed

__all__ = ["limit_memory", "serve"]


def serve(pipe: Connection, memory_limit: int | None) -> None:
    """Answer calls until the other end is closed, this process is told to stop, or its parent is gone."""
    # Ctrl-C reaches every process of a terminal: the parent decides, and tells its workers to stop by SIGTERM, which
    # ends a call as an interrupt does, with what was half written removed.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _end_with_parent()
    if memory_limit:
        limit_memory(memory_limit)
    with contextlib.suppress(KeyboardInterrupt, EOFError, BrokenPipeError):
        while True:
            pipe.send_bytes(_answer(pipe.recv_bytes()))


def _answer(call: bytes) -> bytes:
    try:
        function, args, kwargs = pickle.loads(call)
    except Exception as error:  # the function or an argument is of a module that is not here
        return packed(replace(failed(error), again=False))
    return packed(attempt(function, args, kwargs))


def _end_with_parent() -> None:
    """End this process when its parent has ended, however that came: nobody would take the answer."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch(sentinel: Any) -> None:
        multiprocessing.connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()


def limit_memory(limit: int) -> None:
    """Let allocations beyond ``limit`` bytes of this process's own memory fail, where the system can.

    Files that are memory-mapped for reading do not count: the system takes their pages back when it needs them.
    """
    try:
        import resource
    except ImportError:
        return
    with contextlib.suppress(ValueError, OSError):  # above a limit that already holds
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
