# SPDX-License-Identifier: BSD-3-Clause
"""The core after fork and spawn, its threads, its cancellation and Ctrl-C."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest

from cryolith import Cancelled, CancelToken, _core

SECONDS = 20  # a hang becomes a failure


def noise(shape: tuple[int, ...], seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def spectrum_sha(threads: int = 2) -> str:
    """Of 3 M samples: enough for both threads to be at work."""
    x = noise((12, 512, 512))
    plan = _core.FftPlan(x.shape, 2)
    out = np.empty(plan.spectrum, np.complex64)
    plan.rfft(x, out, threads)
    return hashlib.sha256(out).hexdigest()


def child(expected: str) -> None:
    sys.exit(0 if spectrum_sha() == expected else 3)


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    path = [os.path.dirname(__file__), *(p for p in sys.path if p)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=3 * SECONDS
    )


def test_fork_after_use() -> None:
    """In a fresh process: this one may hold threads of other libraries, which do not survive fork."""
    run = run_python(
        "import multiprocessing, test_embedding_processes as t\n"
        "expected = t.spectrum_sha()\n"
        "p = multiprocessing.get_context('fork').Process(target=t.child, args=(expected,))\n"
        f"p.start(); p.join({SECONDS})\n"
        "print(p.exitcode)\n"
        "p.kill()\n"
    )
    assert run.stdout == "0\n", run.stdout + run.stderr


def test_spawn() -> None:
    process = multiprocessing.get_context("spawn").Process(target=child, args=(spectrum_sha(),))
    process.start()
    process.join(SECONDS)
    alive = process.is_alive()
    process.kill()
    process.join()
    assert not alive
    assert process.exitcode == 0


def test_two_python_threads_get_the_same_bits() -> None:
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(spectrum_sha, [1, 2, 1, 2]))
    assert set(results) == {spectrum_sha(3)}


def long_work() -> tuple[_core.FftPlan, npt.NDArray[np.complex64]]:
    """Some seconds of work in blocks of some ms: 4099 is prime and large, so Bluestein's."""
    data = np.zeros((4000, 4099), np.complex64)
    data[:, 1] = 1
    return _core.FftPlan(data.shape, 1, real=False), data


def test_the_gil_is_free_and_cancelling_takes_under_a_second() -> None:
    """Were the GIL held, this thread would see the first row changed only when all were done."""
    plan, data = long_work()
    token = CancelToken()
    ended: list[float] = []

    def work() -> None:
        with pytest.raises(Cancelled):
            plan.fft(data, data, 1, token)
        ended.append(time.monotonic())

    thread = threading.Thread(target=work)
    thread.start()
    while data[0, 0] == 0 and thread.is_alive():
        time.sleep(0.001)
    asked = time.monotonic()
    token.cancel()
    thread.join(SECONDS)
    assert ended, "the transform ended before it could be cancelled, or not at all"
    assert ended[0] - asked < 1
    assert data[-1, 0] == 0, "the last row was done: nothing was cancelled"


def test_ctrl_c_ends_the_work_within_a_second() -> None:
    run = run_python(
        "import os, signal, threading, time, test_embedding_processes as t\n"
        "plan, data = t.long_work()\n"
        "asked = []\n"
        "def interrupt():\n"
        "    while data[0, 0] == 0: time.sleep(0.001)\n"
        "    asked.append(time.monotonic()); os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=interrupt).start()\n"
        "try:\n"
        "    plan.fft(data, data, 1)\n"
        "except KeyboardInterrupt:\n"
        "    print(time.monotonic() - asked[0] < 1, data[-1, 0] == 0)\n"
    )
    assert run.stdout == "True True\n", run.stdout + run.stderr


def test_available_threads_is_what_the_process_may_use() -> None:
    assert _core.available_threads() == len(os.sched_getaffinity(0))
