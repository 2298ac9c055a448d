# SPDX-License-Identifier: BSD-3-Clause
"""A growing volume killed at each thing that it asks of the disk: nothing half under the final name, and it goes on."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal

import numpy as np
import pytest

from cryolith.files import write_volume
from cryolith.files.atomic import sweep
from cryolith.files.growing import GrowingVolume, SlabWritten, volume_digest

SHAPE, SLABS = (6, 64, 40), [(0, 16), (16, 48), (48, 64)]
ABOUT = {"chunks": (4, 16, 16), "pixel_size": 2.0}
CALLS = ("pwrite", "ftruncate", "fsync", "replace", "rename", "mkdir", "close")


def array():
    return np.random.default_rng(4).standard_normal(SHAPE).astype("f4")


class Death:
    """Kills its own process at the n-th call that changes something on disk; what it writes then is written half."""

    def __init__(self, at):
        self.at, self.calls = at, 0
        for name in CALLS:
            setattr(os, name, self.counted(name, getattr(os, name)))

    def counted(self, name, real):
        def call(*args, **named):
            self.calls += 1
            if self.calls == self.at:
                if name == "pwrite":
                    view = memoryview(args[1]).cast("B")
                    real(args[0], view[: view.nbytes // 2], args[2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **named)

        return call


def grow(folder, suffix, at, answer):
    """One life of a job: keep what is held, write the rest, publish; a ledger says what was written."""
    death = Death(at)
    data, work, final = array(), folder / f"w{suffix}", folder / f"v{suffix}"
    ledger = folder / "ledger"
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    events = [json.loads(line) for line in lines]
    expected = [e["digest"] for e in events if "digest" in e]
    with open(ledger, "a", buffering=1) as out:
        if not (expected and final.exists() and volume_digest(final) == expected[-1]):
            written = [SlabWritten.from_mapping(e) for e in events if "first" in e]
            go_on = work.exists() and any("begun" in e for e in events)
            begin = GrowingVolume.open if go_on else GrowingVolume.create
            with begin(work, SHAPE, **ABOUT) as volume:
                out.write('{"begun": true}\n')
                done = {slab.first: slab for slab in written if volume.holds(slab)}
                for first, last in SLABS:
                    if first not in done:
                        done[first] = volume.write(first, data[:, first:last])
                        out.write(json.dumps(done[first].to_mapping()) + "\n")

                def announce(digest):
                    out.write(json.dumps({"digest": digest}) + "\n")

                volume.publish(done.values(), final, announce=announce)
    answer.send(death.calls)


@pytest.fixture(scope="module")
def live():
    """Let a job live once in a process of its own; returns how often it asked the disk, None where it was killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cryolith.files.growing"])

    def lived(folder, suffix, at=0):
        answer, end = context.Pipe(duplex=False)
        process = context.Process(target=grow, args=(folder, suffix, at, end))
        process.start()
        end.close()
        try:
            calls = answer.recv()
        except EOFError:
            calls = None
        process.join()
        assert process.exitcode == (-signal.SIGKILL if calls is None else 0)
        return calls

    return lived


def digest(path):
    return volume_digest(path) if path.exists() else None


@pytest.mark.parametrize("old", [False, True], ids=["new", "replaces"])
@pytest.mark.parametrize("suffix", [".mrc", ".zarr"])
def test_a_job_killed_at_any_moment_goes_on(suffix, old, live, tmp_path):
    calls = live(tmp_path, suffix)
    final = digest(tmp_path / f"v{suffix}")
    rng = random.Random(20261128)
    moments = sorted({*rng.sample(range(1, calls), min(10, calls - 1)), calls - 1, calls})
    for at in moments:
        folder = tmp_path / str(at)
        folder.mkdir()
        before = None
        if old:
            write_volume(folder / f"v{suffix}", array()[:2])
            before = digest(folder / f"v{suffix}")
        assert live(folder, suffix, at) is None
        sweep(folder)  # as a run does that goes on
        assert digest(folder / f"v{suffix}") in (before, final)
        assert live(folder, suffix) is not None
        assert digest(folder / f"v{suffix}") == final
