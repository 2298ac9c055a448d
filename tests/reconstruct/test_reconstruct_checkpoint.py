# SPDX-License-Identifier: BSD-3-Clause
"""A solver that was killed goes on from its checkpoint and ends with the bytes of an undisturbed one."""

import json

import numpy as np
import pytest
from test_reconstruct_cut import SOLVERS, case

from cryolith import reconstruct as r
from cryolith.reconstruct.checkpoint import Checkpoint
from cryolith.reconstruct.cut import WHOLE, Cut

ALL = {
    **SOLVERS,
    "dart": (r.dart, {"n_iter": 3, "first": 3, "inner": 2}),
    "lsqr, damped and smooth within bounds": (
        r.lsqr,
        {"n_iter": 4, "damp": 0.7, "smooth": 0.3, "lower": 0.0},
    ),
}
CANNOT_BE_CUT = ("dart", "lsqr, damped and smooth within bounds")
IN_PARTS = Cut(rows=16, layers=2, turned=True)


class KilledError(Exception):
    """Stands for a kill: nothing after it is written."""


def killed_after(iteration):
    def callback(i, state):
        if i == iteration:
            raise KilledError

    return callback


def solve(solver, checkpoint, **more):
    function, how = ALL[solver]
    stack, geometry, options = case(92.8)
    given = {**options, **how, "n_iter": 4, "checkpoint": checkpoint, **more}
    return function(stack, geometry, **given)


def after_a_kill(solver, folder, iteration, cut=WHOLE):
    """Leave what a solver that was killed in this iteration has saved."""
    checkpoint = Checkpoint(folder, "key", every=0.0)
    with pytest.raises(KilledError):
        solve(solver, checkpoint, callback=killed_after(iteration), cut=cut)


@pytest.mark.parametrize("iteration", [2, 3])
@pytest.mark.parametrize("solver", ALL)
def test_the_same_bytes_after_a_kill(solver, iteration, tmp_path):
    whole = solve(solver, None)
    for cut in (WHOLE,) if solver in CANNOT_BE_CUT else (WHOLE, IN_PARTS):
        folder = tmp_path / str(cut.rows)
        after_a_kill(solver, folder, iteration, cut)
        told = []
        again = Checkpoint(folder, "key", every=1e9)
        found = solve(solver, again, cut=cut, callback=lambda i, s, told=told: told.append(i))
        assert told == list(range(iteration - 1, 5))
        assert found.tobytes() == whole.tobytes()
        assert found.history == whole.history


def test_work_that_was_cut_goes_on_uncut_and_the_other_way_round(tmp_path):
    whole = solve("tv", None)
    for first, second in [(WHOLE, IN_PARTS), (IN_PARTS, Cut(rows=32, layers=3))]:
        after_a_kill("tv", tmp_path / "saved", 3, first)
        found = solve("tv", Checkpoint(tmp_path / "saved", "key", every=0.0), cut=second)
        assert found.tobytes() == whole.tobytes()


@pytest.mark.parametrize("solver", ["cgls", "tv"])
def test_on_a_device(solver, tmp_path):
    function, _ = ALL[solver]
    stack = np.random.default_rng(20261128).random((3, 20, 16)).astype("f4")
    how = {"thickness": 4, "n_iter": 4, "device": "emulated"}
    angles = [-40.0, 0.0, 40.0]
    whole = function(stack, angles, **how)
    saving = Checkpoint(tmp_path, "key", every=0.0)
    with pytest.raises(KilledError):
        function(stack, angles, **how, checkpoint=saving, callback=killed_after(3))
    found = function(stack, angles, **how, checkpoint=Checkpoint(tmp_path, "key"))
    assert found.tobytes() == whole.tobytes()


def test_what_does_not_verify_is_not_gone_on_from(tmp_path):
    after_a_kill("sirt", tmp_path, 4)
    checkpoint = Checkpoint(tmp_path, "key")
    latest = checkpoint.saved()
    assert latest.iteration == 3
    assert Checkpoint(tmp_path, "another key").saved() is None
    damaged = bytearray((latest.folder / "volume").read_bytes())
    damaged[100] ^= 1
    (latest.folder / "volume").write_bytes(bytes(damaged))
    assert checkpoint.saved().iteration == 2
    (tmp_path / "0" / "state.json").write_text("{")
    (tmp_path / "1" / "state.json").write_text(json.dumps({"key": "key"}))
    assert checkpoint.saved() is None
    assert solve("sirt", Checkpoint(tmp_path, "key")).tobytes() == solve("sirt", None).tobytes()


def test_a_save_that_is_cut_short_leaves_the_one_before(tmp_path, monkeypatch):
    after_a_kill("sirt", tmp_path, 3)
    before = Checkpoint(tmp_path, "key").saved().iteration

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cryolith._fields.os.pwrite", full)
    with pytest.raises(OSError, match="No space left"):
        solve("sirt", Checkpoint(tmp_path, "key", every=0.0))
    assert Checkpoint(tmp_path, "key").saved().iteration == before


def test_slow_saves_are_rare():
    now = [0.0]
    checkpoint = Checkpoint("nowhere", "key", every=100.0, clock=lambda: now[0])
    now[0] = 99.0
    assert not checkpoint.due
    now[0] = 100.0
    assert checkpoint.due
    checkpoint._took = 50.0  # as a save of a large volume would
    assert not checkpoint.due
    now[0] = 450.0
    assert checkpoint.due


def test_nothing_is_saved_after_the_last_iteration(tmp_path):
    found = solve("sirt", Checkpoint(tmp_path, "key", every=0.0), n_iter=1)
    assert np.isfinite(found).all()
    assert list(tmp_path.iterdir()) == []
