# SPDX-License-Identifier: BSD-3-Clause
"""devices() tells what runs and why the rest does not."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import cryolith


def test_the_cpu_is_usable_and_described():
    found = {d.name: d for d in cryolith.devices()}
    cpu = found["cpu"]
    assert cpu.usable
    assert cpu.isa in ("baseline", "x86-64-v3", "x86-64-v4")
    assert 1 <= cpu.threads <= (os.cpu_count() or 1)
    if hasattr(os, "sched_getaffinity"):
        assert cpu.threads == len(os.sched_getaffinity(0))


def test_what_cannot_run_says_why():
    for device in cryolith.devices():
        if not device.usable:
            assert len(device.description.split()) > 5


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_threads_follow_the_affinity_and_the_isa_can_be_lowered():
    code = (
        "import os, cryolith;"
        "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]);"
        "d = [d for d in cryolith.devices() if d.name == 'cpu'][0];"
        "print(d.threads, d.isa)"
    )
    env = {**os.environ, "CRYOLITH_ISA": "baseline"}
    out = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert out.stdout.split() == ["1", "baseline"]


def test_the_fft_library_of_the_extra_is_found_below_the_package_nvidia(tmp_path, monkeypatch):
    from cryolith import _devices

    monkeypatch.delitem(sys.modules, "nvidia", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    loaded = []
    monkeypatch.setattr(_devices.ctypes, "CDLL", loaded.append)
    _devices.load_fft_library("emulated")
    library = tmp_path / "nvidia" / "cu13" / "lib" / "libcufft.so.12"
    library.parent.mkdir(parents=True)
    library.touch()
    _devices.load_fft_library("cuda:0")
    assert loaded == [str(library)]


def test_the_fft_library_is_there_or_says_what_to_do():
    from cryolith import _core

    try:
        version = _core.cufft_version()
    except cryolith.errors.DeviceError as error:
        advice = str(error)
        assert "cryolith[cuda]" in advice
    else:
        assert version >= 11000


IMPORT = """
import numpy as np, cryolith
from cryolith import _core
from cryolith.projection import Geometry, project
project(np.ones((4, 8, 8), np.float32), Geometry.single_axis([0.0]), (8, 8), device="emulated")
print("libcuda.so" in open("/proc/self/maps").read())
"""
FORK = """
import os, numpy as np, cryolith
from cryolith.projection import Geometry, project

def why():
    try:
        project(np.ones((4, 8, 8), np.float32), Geometry.single_axis([0.0]), (8, 8), device="cuda")
    except cryolith.errors.DeviceError as error:
        return str(error)
    return "it works"

why()
child = os.fork()
if child == 0:
    os._exit(0 if "start workers by spawn" in why() else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def output(code):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.split()


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="no /proc on this system")
def test_the_driver_is_not_loaded_before_it_is_asked_for():
    assert output(IMPORT) == ["False"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_is_refused():
    assert output(FORK) == ["0"]
