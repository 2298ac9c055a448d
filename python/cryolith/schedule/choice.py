# SPDX-License-Identifier: BSD-3-Clause
"""From the options of a command to a scheduler."""

from __future__ import annotations

from ..errors import ConfigError
from .dask_cluster import DaskAddress, DaskLocal
from .here import Here
from .pool import Pool
from .tasks import Scheduler

__all__ = ["scheduler_for"]


def scheduler_for(
    *,
    scheduler: str | None = None,
    local: int | None = None,
    workers: int | None = None,
    threads: int = 0,
    memory_limit: int | None = None,
) -> Scheduler:
    """Return the scheduler that options of a command name; by default tasks run in this process.

    Parameters
    ----------
    scheduler : str, optional
        Address of a Dask cluster.
    local, workers : int, optional
        Workers of a Dask cluster on this machine; processes of a pool without Dask.
    threads : int, default 0
        Of the core, for all workers of this machine; of a cluster elsewhere, for each task.
    memory_limit : int [bytes], optional
        For all workers of this machine.

    Raises
    ------
    ConfigError
        More than one of the first three is given.
    """
    options = {"--scheduler": scheduler, "--local": local, "--workers": workers}
    named = [name for name, value in options.items() if value is not None]
    if len(named) > 1:
        raise ConfigError(
            f"found {' and '.join(named)}, expected one of them; leave the others out"
        )
    if scheduler is not None:
        return DaskAddress(scheduler, threads=threads)
    if local is not None:
        return DaskLocal(local, threads=threads, memory_limit=_part(memory_limit, local))
    if workers is not None:
        return Pool(workers, threads=threads, memory_limit=_part(memory_limit, workers))
    return Here(threads=threads)


def _part(memory: int | None, workers: int) -> int | None:
    return None if memory is None else memory // max(1, workers)
