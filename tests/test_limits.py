# SPDX-License-Identifier: BSD-3-Clause
"""The memory limit that counts: the least of the user's, the control groups', the process's and the machine's."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from cryolith.limits import memory_limit

GB = 1 << 30
V1 = "4:memory:/outer/inner\n1:cpu:/\n"
V1_MOUNT = (
    "30 25 0:26 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory\n"
    "31 25 0:27 / /sys/fs/cgroup/cpu rw,nosuid shared:9 - cgroup cgroup rw,cpu\n"
)
V2 = "0::/outer/inner\n"
V2_MOUNT = "30 25 0:26 {top} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def system(tmp_path, groups, mounts, **limits):
    """A folder that looks like the root of a system with these limits, by folder."""
    own = tmp_path / "proc/self"
    own.mkdir(parents=True)
    (own / "cgroup").write_text(groups)
    (own / "mountinfo").write_text(mounts)
    name = "memory.limit_in_bytes" if groups is V1 else "memory.max"
    base = tmp_path / "sys/fs/cgroup" / ("memory" if groups is V1 else "")
    for folder, limit in limits.items():
        place = base / folder.replace("__", "/").replace("top", "")
        place.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(f"{limit}\n")
    return tmp_path


def physical():
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_the_users_limit_counts_when_it_is_the_least(tmp_path):
    assert memory_limit(12345, system=tmp_path) == memory_limit(12345)
    assert (memory_limit(12345).bytes, memory_limit(12345).source) == (12345, "--max-memory")
    assert memory_limit(1 << 60, system=tmp_path).source == "physical memory"
    assert memory_limit(None, system=tmp_path).bytes == physical()


@pytest.mark.parametrize("outer", [1 * GB, 3 * GB])
def test_groups_of_version_1_count_with_those_around_them(outer, tmp_path):
    root = system(tmp_path, V1, V1_MOUNT, top=0x7FFFFFFFFFFFF000, outer=outer, outer__inner=2 * GB)
    found = memory_limit(system=root)
    assert (found.bytes, found.source) == (min(outer, 2 * GB), "control group")


@pytest.mark.parametrize("inner", ["max", str(5 << 20)])
def test_groups_of_version_2_count_with_those_around_them(inner, tmp_path):
    root = system(tmp_path, V2, V2_MOUNT.format(top="/"), outer=GB, outer__inner=inner)
    assert memory_limit(system=root).bytes == (GB if inner == "max" else 5 << 20)


def test_in_a_container_the_mounted_group_is_the_top(tmp_path):
    root = system(tmp_path, V2, V2_MOUNT.format(top="/outer"), top=GB, inner=2 * GB)
    assert memory_limit(system=root).bytes == GB
    root = system(tmp_path / "b", V2, V2_MOUNT.format(top="/elsewhere"), top=GB)
    assert memory_limit(system=root).bytes == GB


@pytest.mark.parametrize("text", ["", "nonsense", "-1", "1e9"])
def test_a_limit_that_is_no_number_is_none(text, tmp_path):
    root = system(tmp_path, V2, V2_MOUNT.format(top="/"), outer=text)
    assert memory_limit(system=root).source == "physical memory"


def in_child(kind, limit):
    """What a child under a limit of the system is told, and whether it can then hold nearly as much."""
    code = f"""
    import mmap, resource
    import numpy as np
    resource.setrlimit(resource.{kind}, ({limit}, {limit}))
    from cryolith.limits import memory_limit
    found = memory_limit()
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    held = int(status["VmRSS"].split()[0]) * 1024
    room = found.bytes - held
    memory = mmap.mmap(-1, room - (8 << 20), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        mmap.mmap(-1, room + (8 << 20), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        print("more")
    except (OSError, MemoryError):
        print(found.bytes, found.source)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    number, source = done.stdout.split(maxsplit=1)
    return int(number), source.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell what is mapped")
@pytest.mark.parametrize("kind", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_limits_on_what_is_mapped_leave_out_what_lies_idle(kind):
    limit = 1 << 30
    number, source = in_child(kind, limit)
    assert source == kind
    assert limit // 3 < number <= limit
