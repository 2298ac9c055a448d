# SPDX-License-Identifier: BSD-3-Clause
"""The pool's processes: limited, replaced, and gone when nobody needs them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import deeds
import psutil
import pytest

from cryolith import _core
from cryolith.errors import ConfigError, InputError
from cryolith.schedule import DaskAddress, DaskLocal, Here, Pool, Task, dask_cluster, scheduler_for


def test_workers_share_the_threads_and_never_get_none():
    available = _core.available_threads()
    assert Pool(1).threads == available
    assert Pool(available).threads == 1
    assert Pool(64).threads == 1
    assert Pool(3, threads=12).threads == 4
    assert DaskLocal(3, threads=12).threads == 4


def test_a_task_beyond_the_memory_limit_fails_and_no_other():
    tasks = [
        Task(name="large", function=deeds.take, args=(2_000_000_000,), retries=0),
        Task(name="small", function=deeds.take, args=(1_000_000,)),
    ]
    with Pool(1, memory_limit=1_000_000_000) as pool:
        found = {o.name: o for o in pool.outcomes(tasks)}
    assert found["large"].kind == "MemoryError"
    assert found["small"].value == 1_000_000


def test_a_worker_that_dies_idle_is_replaced_at_no_cost():
    with Pool(1) as pool:
        (first,) = pool.outcomes([Task(name="t", function=deeds.pid, retries=0)])
        (worker,) = [psutil.Process(pid) for pid in pool.pids]
        os.kill(first.value, signal.SIGKILL)
        psutil.wait_procs([worker], timeout=10)
        (second,) = pool.outcomes([Task(name="t", function=deeds.pid, retries=0)])
    assert second.ok
    assert second.value != first.value


def test_a_pool_left_half_way_is_fit_for_more(tmp_path):
    tasks = [
        Task(name="quick", function=deeds.double, args=(1,)),
        Task(name="endless", function=deeds.wait, args=(str(tmp_path / "mark"),)),
    ]
    with Pool(2) as pool:
        outcomes = pool.outcomes(tasks)
        assert next(outcomes).name == "quick"
        outcomes.close()
        assert [o.value for o in pool.outcomes(tasks[:1])] == [2]


def start_a_pool(tmp_path: Path) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """Start a process whose pool of two never ends; return it and its two workers, which are at work."""
    script = tmp_path / "main.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(Path(deeds.__file__).parent)!r})
        import deeds
        from cryolith.schedule import Pool, Task
        if __name__ == "__main__":
            tasks = [Task(name=n, function=deeds.wait, args=({str(tmp_path)!r} + "/" + n,)) for n in "ab"]
            with Pool(2) as pool:
                print(len(list(pool.outcomes(tasks, lambda *_: print("begun", flush=True)))))
        """)
    )
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in "ab"] == ["begun\n"] * 2
    marks = [tmp_path / name for name in "ab"]
    for mark in marks:
        deeds.until(mark.exists)
    return process, [psutil.Process(int(mark.read_text())) for mark in marks]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_its_parent(tmp_path, how):
    process, workers = start_a_pool(tmp_path)
    with process:
        process.send_signal(how)
        process.wait(20)
    gone, alive = psutil.wait_procs(workers, timeout=10)
    for worker in alive:
        worker.kill()
    assert not alive
    assert len(gone) == 2


def test_options_name_one_engine():
    assert isinstance(scheduler_for(), Here)
    pool = scheduler_for(workers=2, memory_limit=4_000)
    assert isinstance(pool, Pool)
    assert (pool.workers, pool.memory_limit) == (2, 2_000)
    assert isinstance(scheduler_for(local=2), DaskLocal)
    assert isinstance(scheduler_for(scheduler="tcp://host:1"), DaskAddress)
    with pytest.raises(ConfigError, match="--local and --workers"):
        scheduler_for(local=2, workers=2)
    with pytest.raises(InputError, match="at least 1"):
        Pool(0)


def test_without_dask_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr(dask_cluster.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'cryolith\[distributed\]'"):
        DaskLocal(2).__enter__()


def test_an_address_where_nobody_listens_is_told(monkeypatch):
    monkeypatch.setattr(dask_cluster, "CONNECT_SECONDS", 1)
    with pytest.raises(InputError, match="found no Dask scheduler"):
        DaskAddress("tcp://127.0.0.1:9").__enter__()


def test_a_cluster_that_is_there_takes_the_same_tasks(dask):
    with DaskAddress(dask.address) as cluster:
        assert cluster.threads == 1
        tasks = [Task(name=str(i), function=deeds.double, args=(i,)) for i in range(5)]
        assert sorted(o.value for o in cluster.outcomes(tasks)) == [0, 2, 4, 6, 8]
