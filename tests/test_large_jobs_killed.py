# SPDX-License-Identifier: BSD-3-Clause
"""Reconstructions in slabs, killed at random moments and begun again: the bytes of an undisturbed one."""

import concurrent.futures
import multiprocessing
import random
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest

from cryolith.reconstruct import ReconstructSettings
from cryolith.reconstruct.store import Store
from cryolith.reconstruct.to_disk import reconstruct_to_disk
from cryolith.simulate import needle, tilt_series

METHODS = {"wbp": {}, "sirt": {"n_iter": 6}, "tv": {"n_iter": 5}}
LITTLE = 4_200_000  # [bytes]


def case():
    series, alignment = tilt_series(
        needle(voids=3), range(-60, 61, 12), tilt_axis_deg=87, dose_per_pixel=50, background=1.0
    )
    return replace(series, images=np.tile(series.images, (1, 1, 4))), alignment


def work(method, folder):
    """Reconstruct into the folder, from what is there; cut into slabs, every iteration saved."""
    folder.mkdir(exist_ok=True)
    settings = ReconstructSettings(
        method=method, background="none", thickness=240.0, halves="tilts", **METHODS[method]
    )
    names = ("volume.mrc", "volume_half1.mrc", "volume_half2.mrc")
    reconstruct_to_disk(
        *case(),
        settings,
        paths=tuple(folder / name for name in names),
        store=Store(folder / "work", method, every=0.0),
        max_memory=LITTLE,
        threads=1,
    )
    (folder / "done").touch()


@pytest.fixture(scope="module")
def start():
    """Start `work` in a process of its own: the child of one that has imported everything and runs no thread."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cryolith.reconstruct.to_disk", "cryolith.simulate"])

    def started(*args):
        process = context.Process(target=work, args=args)
        process.start()
        return process

    return started


def finish(process):
    process.join()
    assert process.exitcode == 0


def volumes(folder):
    return {p.name: p.read_bytes() for p in folder.glob("*.mrc")}


@pytest.fixture(scope="module")
def undisturbed(start, tmp_path_factory):
    """By method: the bytes, and how long they took."""
    out = {}
    for method in METHODS:
        folder = tmp_path_factory.mktemp(method)
        begun = time.monotonic()
        finish(start(method, folder))
        out[method] = volumes(folder), time.monotonic() - begun
        assert len(out[method][0]) == 3
    return out


def kill_until_done(start, method, folder, delays, reference):
    """Kill one life after the other; what has its final name is whole at every moment."""
    for delay in delays:
        process = start(method, folder)
        process.join(delay)
        process.kill()
        process.join()
        for name, data in volumes(folder).items():
            assert data == reference[name], f"{name} after {delay:.2f} s"
    finish(start(method, folder))
    assert volumes(folder) == reference
    shutil.rmtree(folder)


def kill_at_random(start, undisturbed, tmp_path, *, folders, lives, seed):
    rng = random.Random(seed)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = []
        for method, (reference, seconds) in undisturbed.items():
            for k in range(folders):
                delays = [rng.uniform(0, 0.7 * seconds) for _ in range(lives)]
                folder = tmp_path / f"{method}{k}"
                args = (start, method, folder, delays, reference)
                jobs.append(pool.submit(kill_until_done, *args))
        for job in jobs:
            job.result()


def test_sigkill_at_nine_random_moments(start, undisturbed, tmp_path):
    kill_at_random(start, undisturbed, tmp_path, folders=1, lives=3, seed=20261128)


@pytest.mark.validation
def test_sigkill_at_54_random_moments(start, undisturbed, tmp_path):
    kill_at_random(start, undisturbed, tmp_path, folders=6, lives=3, seed=20261129)
