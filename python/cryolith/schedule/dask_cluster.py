# SPDX-License-Identifier: BSD-3-Clause
"""Tasks on Dask: a cluster that is there, or one started on this machine."""

from __future__ import annotations

import importlib.util
import logging
import pickle
import queue
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..errors import CryolithError, InputError
from .pool import share
from .tasks import Outcome, Reply, Scheduler, Started, Task, attempt, failed, packed

__all__ = ["DaskAddress", "DaskLocal"]

CONNECT_SECONDS = 20
WORKER_SECONDS = 120  # a nanny starts another worker within seconds
LOOK_SECONDS = 0.1  # between looks for a worker that has come back


def _call(
    topic: str,
    name: str,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> bytes:
    """Run on a worker: say that an attempt begins, and come back with what it came to."""
    from distributed import get_worker

    get_worker().log_event(topic, name)
    return packed(attempt(function, args, kwargs))


def _distributed() -> Any:
    if importlib.util.find_spec("distributed") is None:
        raise InputError(
            "Dask: found no package `distributed`; install it with `pip install 'cryolith[distributed]'`, or use "
            "--workers N, which needs nothing more"
        )
    import distributed

    return distributed


class _Dask(Scheduler):
    """What both have in common: how tasks are handed over and what comes back."""

    _client: Any = None

    def __exit__(self, *exc: object) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def describe(self) -> list[str]:
        """Name the dashboard, where there is one."""
        link = self._client.dashboard_link if importlib.util.find_spec("bokeh") else None
        return [f"dashboard: {link}"] if link else []

    def _room(self) -> int | None:
        """Return how many tasks the cluster may have now; None without an end."""
        return None

    def outcomes(self, tasks: Iterable[Task], started: Started | None = None) -> Iterator[Outcome]:
        """As in :meth:`Scheduler.outcomes`."""
        run = _Run(self._client, list(tasks), self._room, started)
        try:
            yield from run.outcomes()
        finally:
            run.close()


class _Run:
    """The tasks of one call, followed through one queue: begun, and done."""

    def __init__(
        self,
        client: Any,
        tasks: list[Task],
        room: Callable[[], int | None],
        started: Started | None,
    ) -> None:
        self.client, self.room, self.started = client, room, started
        self.tasks = {t.name: t for t in tasks}
        self.topic = f"cryolith-{uuid.uuid4().hex}"
        self.news: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.waiting = deque(self.tasks)
        self.submitted = dict.fromkeys(self.tasks, 0)
        self.begun = dict.fromkeys(self.tasks, 0)
        self.futures: dict[str, Any] = {}
        self.alone: float | None = None
        client.subscribe_topic(self.topic, lambda event: self.news.put((event[1], None)))

    def outcomes(self) -> Iterator[Outcome]:
        while self.waiting or self.futures:
            self._submit()
            try:
                name, future = self.news.get(timeout=LOOK_SECONDS if self.waiting else None)
            except queue.Empty:
                self._require_workers()
                continue
            self.alone = None
            if future is None:
                self.begun[name] += 1
                if self.started:
                    self.started(name, max(self.submitted[name], self.begun[name]))
                continue
            reply = self._reply(name, future)
            # Held on to, it would be done again when the worker that keeps its result dies.
            self.futures.pop(name).release()
            if reply.again and self.submitted[name] <= self.tasks[name].retries:
                self.waiting.appendleft(name)
            else:
                yield reply.outcome(name, max(self.submitted[name], self.begun[name]))

    def _require_workers(self) -> None:
        """Workers that died come back; where none does, nothing would ever be done."""
        if self.futures or self.room() != 0:
            self.alone = None
            return
        self.alone = self.alone or time.monotonic()
        if time.monotonic() - self.alone > WORKER_SECONDS:
            raise CryolithError(
                f"Dask: found no worker for {WORKER_SECONDS} s, expected the nanny to start another; give the command "
                "again, or use --workers N"
            )

    def _submit(self) -> None:
        while self.waiting:
            room = self.room()
            if room is not None and len(self.futures) >= room:
                return
            name = self.waiting.popleft()
            task = self.tasks[name]
            future = self.client.submit(
                _call,
                self.topic,
                name,
                task.function,
                task.args,
                dict(task.kwargs),
                key=f"{task.function.__name__}-{uuid.uuid4().hex}",
                pure=False,
            )
            self.submitted[name] += 1
            self.futures[name] = future
            future.add_done_callback(lambda done, name=name: self.news.put((name, done)))

    def _reply(self, name: str, future: Any) -> Reply:
        from distributed import KilledWorker

        try:
            reply: Reply = pickle.loads(future.result())
        except KilledWorker as error:
            # A cluster that allows failures has begun it again by itself.
            deaths = error.allowed_failures + 1
            self.begun[name] = max(self.begun[name], deaths)
            return Reply(
                error="its worker died (out of memory, or by hand)"
                if deaths == 1
                else f"{deaths} workers died while running it (out of memory, or by hand)",
                kind="WorkerDied",
                again=deaths == 1,
            )
        except Exception as error:
            if future.cancelled():
                raise CryolithError(
                    "Dask: the scheduler was lost, or the work cancelled there; the same command goes on from what "
                    "is finished"
                ) from error
            reply = failed(error)  # such as a module that the worker does not have
        return reply

    def close(self) -> None:
        if self.client.status == "running":
            if self.futures:
                self.client.cancel(list(self.futures.values()), force=True)
            self.client.unsubscribe_topic(self.topic)


class DaskAddress(_Dask):
    """Carries tasks out on a Dask cluster that is there.

    Its workers must see the same files under the same names, and have cryolith installed.

    Parameters
    ----------
    address : str
        Address of its scheduler, such as "tcp://10.0.0.1:8786".
    threads : int, default 0
        Threads of the core for each task; 0 is one, for a Dask worker runs as many tasks at once as it has threads.
    """

    workers = 0

    def __init__(self, address: str, *, threads: int = 0) -> None:
        self.address, self.threads = address, threads or 1

    def __enter__(self) -> Scheduler:
        distributed = _distributed()
        try:
            self._client = distributed.Client(
                self.address, timeout=CONNECT_SECONDS, set_as_default=False
            )
        except (OSError, TimeoutError, ValueError) as error:
            raise InputError(
                f"--scheduler {self.address}: found no Dask scheduler there within {CONNECT_SECONDS} s; start one "
                "with `dask scheduler`, and workers with `dask worker ADDRESS`"
            ) from error
        return self


class DaskLocal(_Dask):
    """Carries tasks out on a Dask cluster of this machine, started and stopped with it.

    Parameters
    ----------
    workers : int
        Processes, each with one task at a time; a nanny starts another in the place of one that dies.
    threads : int, default 0
        Threads of the core for all workers together; 0 is all that this process may use.
    memory_limit : int [bytes], optional
        For each worker: the nanny ends one that holds 95 % of it. By default an equal part of the machine's.
    """

    def __init__(self, workers: int, *, threads: int = 0, memory_limit: int | None = None) -> None:
        if workers < 1:
            raise InputError(f"workers: found {workers}, expected at least 1")
        self.workers = workers
        self.threads = share(threads, workers)
        self.memory_limit = memory_limit
        self._cluster: Any = None

    def __enter__(self) -> Scheduler:
        distributed = _distributed()
        self._cluster = distributed.LocalCluster(
            n_workers=self.workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            memory_limit=self.memory_limit or "auto",
            dashboard_address="127.0.0.1:0" if importlib.util.find_spec("bokeh") else None,
            scheduler_kwargs={"allowed_failures": 0},  # deaths are counted here
            silence_logs=logging.CRITICAL,  # deaths are told by outcomes
        )
        self._client = distributed.Client(self._cluster, set_as_default=False)
        return self

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None

    @property
    def pids(self) -> list[int]:
        """Ids of the worker processes that are there now."""
        return [nanny.pid for nanny in self._cluster.workers.values() if nanny.pid is not None]

    @property
    def address(self) -> str:
        """Address of the scheduler."""
        return str(self._cluster.scheduler_address)

    def _room(self) -> int:
        """One task for each worker that is there: a second one would be charged with the death of the first.

        A nanny whose worker dies while it starts gives up; the cluster forgets it after a while, and starts another
        when it is told again how many there should be.
        """
        if len(self._cluster.workers) < self.workers:
            self._cluster.scale(self.workers)
        return len(self._cluster.scheduler.workers)
