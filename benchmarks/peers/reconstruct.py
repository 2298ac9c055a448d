# SPDX-License-Identifier: BSD-3-Clause
"""cryolith beside ASTRA, scikit-image and a sparse matrix: project, back-project, wbp and sirt in one run.

    PYTHONPATH=benchmarks python benchmarks/peers/reconstruct.py [--case S] [--rounds 5]

Needs requirements.txt of this folder, in an environment of its own: ASTRA is GPL and never a dependency. Each result is
checked: images against exact line integrals, back-projections against the definition in float64, volumes against the
specimen.
"""

from __future__ import annotations

import argparse
import functools

import cases
import numpy as np
import numpy.typing as npt
from programs import N_ITER, PROGRAMS, TASKS, Program
from tables import write_machine, write_table
from timing import in_turns, ratio

Array = npt.NDArray[np.floating]
# Twice what working programs show on S (ray-driven weights of the adjoint: 0.053); data with the sign of the tilts
# turned round must stay above: the wedge leaves wbp and sirt at 0.5 to 0.6.
LIMITS = {"backproject": 0.1, "project": 0.02, "wbp": 0.75, "sirt": 0.75}


def error_of(found: Array, truth: Array) -> float:
    """Return the rms difference over the truth's standard deviation, gain and offset fitted.

    Programs scale a limited tilt range differently; that is no error of theirs.
    """
    x, y = (np.asarray(a, np.float64).ravel() for a in (found, truth))
    x, y = x - x.mean(), y - y.mean()
    return float(np.sqrt(((x @ y) / (x @ x) * x - y).var() / y.var()))


def backprojected(case: cases.TiltCase, stack: Array, half: bool) -> Array:
    """Return the definition: linear interpolation at u = x cos + z sin, float64; middle rows only."""
    shift = 0.5 if half else 0.0
    x, z = (np.arange(n) - n // 2 + shift for n in (case.nx, case.nz))
    out = np.zeros((case.nz, stack.shape[1], case.nx))
    for image, angle in zip(stack.astype(np.float64), np.deg2rad(case.angles_deg), strict=True):
        u = x * np.cos(angle) + z[:, None] * np.sin(angle) + case.nx // 2 - shift
        for row in range(image.shape[0]):
            out[:, row] += np.interp(u, np.arange(case.nx), image[row], left=0, right=0)
    return out


def middle(case: cases.TiltCase) -> tuple[slice, slice, slice]:
    """Return the inner part: every program's own border handling left out."""
    row = case.ny // 2
    return (
        slice(case.nz // 5, -(case.nz // 5)),
        slice(row - 8, row + 8),
        slice(case.nx // 5, -(case.nx // 5)),
    )


def check(program: Program) -> float:
    """Return the error of one result that was timed."""
    case, result = program.case, program.result
    inner = middle(case)
    if program.task == "project":
        return error_of(result[:, inner[1]], program.stack[:, inner[1]])
    if program.task == "backproject":
        truth = backprojected(case, program.stack[:, inner[1]], program.half)
        return error_of(result[inner], truth[inner[0], :, inner[2]])
    return error_of(result[inner], program.volume[inner])


def compare(case: cases.TiltCase, task: str, rounds: int) -> list[list[object]]:
    """Return one row per program."""
    # An even number of pixels has its middle between two; programs that turn about a pixel get data made for it.
    data = {
        half: (cases.tilt_images(case, offset), cases.grains(case, offset).volume)
        for half, offset in ((True, 0.0), (False, 0.5))
    }
    programs = {p.name: p(case, task, *data[p.half]) for p in PROGRAMS if task in p.tasks}
    timed = in_turns({name: p.run for name, p in programs.items()}, rounds)
    rows: list[list[object]] = []
    for name, program in programs.items():
        program.result = timed[name].result
        error = check(program)
        if error > LIMITS[task]:
            raise SystemExit(f"{task} by {name}: error {error:.3f}, above {LIMITS[task]}")
        seconds = timed[name].seconds
        passes = 2 * N_ITER if task == "sirt" else 1
        rate = passes * case.updates / seconds / 1e9
        ours = timed["cryolith"].seconds
        rows.append(
            [
                task if task != "sirt" else f"sirt, {N_ITER} iterations",
                name,
                f"{seconds:.3g}",
                ratio(seconds, ours),
                f"{rate:.3g}",
                f"{error:.4f}",
                program.note,
            ]
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=["XS", "S", "M"], default="S")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    chosen = parser.parse_args()
    case = getattr(cases, chosen.case)
    write_machine()
    rows = functools.reduce(
        list.__add__, (compare(case, task, chosen.rounds) for task in chosen.tasks)
    )
    write_table(
        f"{case.name}: {case.n_tilts} x {case.ny} x {case.nx} -> {case.nz}, one thread",
        ["task", "program", "CPU s", "ours = 1", "GUPS", "error", "note"],
        rows,
    )


if __name__ == "__main__":
    main()
