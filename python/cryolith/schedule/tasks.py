# SPDX-License-Identifier: BSD-3-Clause
"""What is to be done and what came of it, whatever engine does it."""

from __future__ import annotations

import pickle
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .. import errors
from ..errors import CryolithError, InputError, InUseError

__all__ = ["RETRIES", "Outcome", "Reply", "Scheduler", "Started", "Task", "attempt"]

# Three attempts: a worker lost to a neighbour's memory or a node's reboot is forgiven, a task that kills its worker
# is not begun for ever. Warp and Dask count three as well.
RETRIES = 2

Started = Callable[[str, int], None]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One piece of work.

    Attributes
    ----------
    name : str
        Names its outcome; unique among the tasks that are handed over together.
    function : callable
        A function of a module, found there by the process that runs it. It must bear being begun again.
    args, kwargs
        What it is called with; they must be picklable, and so must what it returns.
    retries : int
        How often it is begun again after a failure that another attempt may not meet.
    """

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    retries: int = RETRIES


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a task.

    Attributes
    ----------
    name : str
        The task's.
    value : object
        What its function returned; None when it failed.
    error : str
        Why it failed, in words; empty when it did not.
    kind : str
        Name of the exception's class (of our own, that in `cryolith.errors`) or "WorkerDied"; empty when it did not
        fail.
    detail : str
        The traceback of an error that was not foreseen.
    attempts : int
        How often it was begun.
    """

    name: str
    value: Any = None
    error: str = ""
    kind: str = ""
    detail: str = ""
    attempts: int = 1

    @property
    def ok(self) -> bool:
        """Whether there is a value."""
        return not self.kind


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What one attempt came to; ``again`` says whether another one might come to something else."""

    value: Any = None
    error: str = ""
    kind: str = ""
    detail: str = ""
    again: bool = False

    def outcome(self, name: str, attempts: int) -> Outcome:
        """Return it as the last word on a task."""
        return Outcome(
            name=name,
            value=self.value,
            error=self.error,
            kind=self.kind,
            detail=self.detail,
            attempts=attempts,
        )


def attempt(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Reply:
    """Call a function; what it raises becomes a reply.

    An :class:`InputError` lies in the input: another attempt would meet it again, so there is none. An
    :class:`InUseError` passes.
    """
    try:
        return Reply(value=function(*args, **kwargs))
    except Exception as error:
        return failed(error)


def failed(error: Exception) -> Reply:
    """Return the reply that an exception makes."""
    foreseen = isinstance(error, CryolithError)
    kind = next(
        (c for c in type(error).__mro__ if c.__module__ == errors.__name__), type(error)
    ).__name__
    text = str(error)
    if not foreseen:
        text = f"{kind}: {text}" if text else kind
    return Reply(
        error=text or kind,
        kind=kind,
        detail="" if foreseen else "".join(traceback.format_exception(error)),
        again=not isinstance(error, InputError) or isinstance(error, InUseError),
    )


def packed(reply: Reply) -> bytes:
    """Return a reply as bytes; a value that cannot be pickled becomes the reply that says so."""
    try:
        return pickle.dumps(reply)
    except Exception as error:
        return pickle.dumps(replace(failed(error), again=False))


class Scheduler(ABC):
    """Carries tasks out; entered and left, so that what it started is stopped.

    Attributes
    ----------
    workers : int
        Tasks that are done at once; 0 where that is not known.
    threads : int
        Threads that each task may give to the core, so that workers and threads do not multiply; 0 is all there are.
    """

    workers: int = 1
    threads: int = 0

    def __enter__(self) -> Scheduler:
        return self

    def __exit__(self, *exc: object) -> None:  # noqa: B027 - there may be nothing to stop
        """Stop whatever still runs."""

    def describe(self) -> list[str]:
        """Return what a user should know of it, a line each."""
        return []

    @abstractmethod
    def outcomes(self, tasks: Iterable[Task], started: Started | None = None) -> Iterator[Outcome]:
        """Yield the outcome of each task as it is done, in the order of being done.

        Parameters
        ----------
        tasks : iterable of Task
            They are begun in this order.
        started : callable, optional
            Called in this thread with the name of a task and the number of the attempt when one begins.
        """
