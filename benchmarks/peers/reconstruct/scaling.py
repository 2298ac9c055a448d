# SPDX-License-Identifier: BSD-3-Clause
"""How cryolith's time grows with the size, and shrinks with a second thread."""

from __future__ import annotations

from pathlib import Path

from benchmarks import cases
from benchmarks.tables import write_machine, write_table

from .data import Data
from .runs import Child, Setting, one_turn, start

SIZES = ("S", "M", "L")
HEAD = "size | task | ns/update | to S | wall 1 / 2 | CPU 2 / 1 | cores in use"


def write(folder: Path, rounds: int) -> None:
    """Write CPU time per update against S, and what the second thread brings.

    On a busy machine the wall time of two threads says little; "cores in use" (CPU over wall) says how much of the
    second core there was, and CPU 2 / 1 what two threads cost beyond one.
    """
    write_machine()
    table: list[list[object]] = []
    first: dict[str, float] = {}
    for size in SIZES:
        for task in ("backproject", "project", "wbp"):
            table.append(measured(folder, size, task, rounds, first))
    write_table("Scaling of cryolith", HEAD.split(" | "), table)


def measured(
    folder: Path, size: str, task: str, rounds: int, first: dict[str, float]
) -> list[object]:
    one, two = (c.row for c in in_turns(folder, size, task, rounds))
    if one.failed or two.failed:
        return [size, task, one.failed or two.failed]
    cost = one.cpu_s / one.updates * 1e9
    return [
        size,
        task,
        f"{cost:.4f}",
        f"{cost / first.setdefault(task, cost):.3f}",
        f"{one.wall_s / two.wall_s:.2f}",
        f"{two.cpu_s / one.cpu_s:.3f}",
        f"{two.cpu_s / two.wall_s:.2f}",
    ]


def in_turns(folder: Path, size: str, task: str, rounds: int) -> list[Child]:
    """Return the workers with one and with two threads, after their rounds."""
    case: cases.TiltCase = getattr(cases, size)
    data = Data(folder, case)
    data.write(True, whole_volume=task == "project")
    settings = [Setting(case=case, task=task, threads=n) for n in (1, 2)]
    children = [start("cryolith", setting, data) for setting in settings]
    try:
        for child in children:
            child.ask(None)
        for turn in range(rounds + 1):
            for child in children:
                one_turn(child, turn)
    finally:
        for child in children:
            child.stop()
    return children
