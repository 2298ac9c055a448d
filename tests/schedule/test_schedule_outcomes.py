# SPDX-License-Identifier: BSD-3-Clause
"""The same tasks come to the same outcomes on every engine."""

from __future__ import annotations

import deeds
import pytest

from cryolith.schedule import Task


def task(name, function, *args, **more):
    return Task(name=name, function=function, args=args, **more)


def lines(path):
    return path.read_text().splitlines()


def test_every_task_has_one_outcome_with_its_value(engine):
    begun = []
    tasks = [task(f"t{i}", deeds.double, i) for i in range(7)]
    outcomes = list(engine.outcomes(tasks, lambda name, count: begun.append((name, count))))
    assert {o.name: o.value for o in outcomes} == {f"t{i}": 2 * i for i in range(7)}
    assert all(o.ok and o.attempts == 1 and not o.error for o in outcomes)
    assert sorted(begun) == [(f"t{i}", 1) for i in range(7)]


def test_no_tasks_no_outcomes(engine):
    assert list(engine.outcomes([])) == []


def test_what_lies_in_the_input_is_not_tried_again(engine, tmp_path):
    (outcome,) = engine.outcomes([task("t", deeds.refuse, str(tmp_path / "mark"))])
    assert (outcome.ok, outcome.attempts, outcome.kind) == (False, 1, "FileFormatError")
    assert outcome.error == "broken.mrc: data: found 3 bytes, expected 12; copy it again"
    assert outcome.detail == ""
    assert len(lines(tmp_path / "mark")) == 1


@pytest.mark.parametrize(("times", "ok"), [(2, True), (3, False)])
def test_what_may_pass_is_tried_again_as_often_as_asked(engine, tmp_path, times, ok):
    (outcome,) = engine.outcomes(
        [task("t", deeds.stumble, str(tmp_path / "mark"), times, retries=2)]
    )
    assert (outcome.ok, outcome.attempts) == (ok, 3)
    assert len(lines(tmp_path / "mark")) == 3
    if not ok:
        assert outcome.error == "OSError: the disk was away"
        assert "deeds.py" in outcome.detail


def test_a_value_that_cannot_be_sent_is_an_outcome(processes):
    outcomes = list(processes.outcomes([task("t", deeds.closure), task("u", deeds.double, 4)]))
    found = {o.name: o for o in outcomes}
    assert not found["t"].ok
    assert "closure" in found["t"].error
    assert found["u"].value == 8


def test_the_death_of_a_worker_costs_an_attempt_of_its_task_only(processes, tmp_path):
    tasks = [
        task("dies", deeds.die, str(tmp_path / "dies"), 1),
        task("hopeless", deeds.die, str(tmp_path / "hopeless"), 99, retries=1),
        *(task(f"t{i}", deeds.stumble, str(tmp_path / f"t{i}"), 0, retries=0) for i in range(6)),
    ]
    found = {o.name: o for o in processes.outcomes(tasks)}
    assert len(found) == len(tasks)
    assert found["dies"].value == "lived"
    assert found["dies"].attempts == 2
    assert (found["hopeless"].kind, found["hopeless"].attempts) == ("WorkerDied", 2)
    assert "worker" in found["hopeless"].error
    assert len(set(lines(tmp_path / "hopeless"))) == 2  # another process each time
    assert [found[f"t{i}"].value for i in range(6)] == ["done"] * 6
    assert [len(lines(tmp_path / f"t{i}")) for i in range(6)] == [1] * 6
