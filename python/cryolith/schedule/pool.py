# SPDX-License-Identifier: BSD-3-Clause
"""A pool of processes of this machine that outlives the death of any of them."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import pickle
import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from .tasks import Outcome, Reply, Scheduler, Started, Task
from .worker import serve

__all__ = ["Pool", "share"]

STOP_SECONDS = 5.0  # what a worker has for tidying up; the core looks for signals 20 times a second


def share(threads: int, workers: int) -> int:
    """Return the threads for each of ``workers``; ``threads`` is for all of them, 0 all that this process may use."""
    from .._core import available_threads

    return max(1, (threads or available_threads()) // workers)


@dataclass
class _Running:
    task: Task
    count: int
    call: bytes


class _Worker:
    """One process of the pool and the pipe to it."""

    def __init__(self, memory_limit: int | None) -> None:
        # Spawned: a forked child would inherit threads' locks, open files and the lock of a run's folder.
        context = multiprocessing.get_context("spawn")
        self.pipe, far = context.Pipe()
        self.process = context.Process(target=serve, args=(far, memory_limit), daemon=True)
        self.process.start()
        far.close()  # else the death of the worker would not end the pipe
        self.running: _Running | None = None

    def answer(self) -> Reply | None:
        """Return what came back; None when the worker has died instead."""
        try:
            reply: Reply = pickle.loads(self.pipe.recv_bytes())
        except (EOFError, OSError):
            return None
        return reply

    def stop(self) -> None:
        self.process.terminate()

    def end(self, until: float) -> None:
        self.process.join(max(0.0, until - time.monotonic()))
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.pipe.close()


class Pool(Scheduler):
    """Carries tasks out in processes of this machine.

    A worker that dies costs an attempt of the task that it ran and nothing else: another takes its place. Leaving the
    pool, Ctrl-C included, stops all workers; they also end when this process is killed.

    Parameters
    ----------
    workers : int
        Processes.
    threads : int, default 0
        Threads of the core for all workers together; 0 is all that this process may use.
    memory_limit : int [bytes], optional
        Most memory of each worker's own; beyond it an allocation fails with MemoryError.
    """

    def __init__(self, workers: int, *, threads: int = 0, memory_limit: int | None = None) -> None:
        if workers < 1:
            raise InputError(f"workers: found {workers}, expected at least 1")
        self.workers = workers
        self.threads = share(threads, workers)
        self.memory_limit = memory_limit
        self._workers: list[_Worker] = []

    @property
    def pids(self) -> list[int]:
        """Ids of the processes that are there now."""
        return [w.process.pid for w in self._workers if w.process.pid is not None]

    def __exit__(self, *exc: object) -> None:
        self._stop(self._workers)

    def _stop(self, workers: list[_Worker]) -> None:
        for worker in workers:
            worker.stop()
        until = time.monotonic() + STOP_SECONDS
        for worker in list(workers):
            worker.end(until)
            self._workers.remove(worker)

    def outcomes(self, tasks: Iterable[Task], started: Started | None = None) -> Iterator[Outcome]:
        """As in :meth:`Scheduler.outcomes`."""
        waiting = deque(
            _Running(t, 1, pickle.dumps((t.function, t.args, dict(t.kwargs)))) for t in tasks
        )
        try:
            while waiting or any(w.running for w in self._workers):
                self._hand_out(waiting, started)
                for worker in self._ready():
                    outcome = self._settle(worker, waiting)
                    if outcome is not None:
                        yield outcome
        finally:  # nobody waits any more: what still runs would only be in the way
            self._stop([w for w in self._workers if w.running])

    def _hand_out(self, waiting: deque[_Running], started: Started | None) -> None:
        while waiting:
            worker = next((w for w in self._workers if w.running is None), None)
            if worker is None:
                if len(self._workers) >= self.workers:
                    return
                worker = _Worker(self.memory_limit)
                self._workers.append(worker)
            try:
                worker.pipe.send_bytes(waiting[0].call)
            except OSError:  # it died idle, which is no task's fault
                self._stop([worker])
                continue
            worker.running = waiting.popleft()
            if started:
                started(worker.running.task.name, worker.running.count)

    def _ready(self) -> list[_Worker]:
        busy = {w.pipe: w for w in self._workers if w.running}
        return [busy[pipe] for pipe in multiprocessing.connection.wait(list(busy))]  # type: ignore[index]

    def _settle(self, worker: _Worker, waiting: deque[_Running]) -> Outcome | None:
        """Take what a worker has to say; a task that gets another attempt goes to the front."""
        running = worker.running
        if running is None:
            raise AssertionError("an idle worker says nothing")
        reply = worker.answer()
        worker.running = None
        if reply is None:
            worker.process.join(STOP_SECONDS)
            reply = _death(worker.process.exitcode, self.memory_limit)
            self._stop([worker])
        if reply.again and running.count <= running.task.retries:
            waiting.appendleft(_Running(running.task, running.count + 1, running.call))
            return None
        return reply.outcome(running.task.name, running.count)


def _death(code: Any, limit: int | None) -> Reply:
    how = f"ended with exit code {code}"
    if code is not None and code < 0:
        how = f"was killed by {signal.Signals(-code).name}"
        if -code == signal.SIGKILL:
            how += " (out of memory, or by hand)"
    hint = "" if limit else "; fewer workers leave each more memory"
    return Reply(error=f"its worker {how}{hint}", kind="WorkerDied", again=True)
