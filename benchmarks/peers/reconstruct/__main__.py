# SPDX-License-Identifier: BSD-3-Clause
"""cryolith beside the programs that install: project, back-project, wbp and sirt in one run.

    python -m benchmarks.peers.reconstruct --size S --threads 1 2 --json s.json --plot s.svg

Run it at the root of the repository, in an environment with cryolith and ../requirements.txt; several of them are GPL
and never a dependency. A program that is not installed is named and left out. Each result is checked: images against
exact line integrals, back-projections against the definition in float64, volumes against the specimen. Times are the
least of all rounds; memory is what a call adds to what its process held before, the result included and the input not;
"of bound" is the share of the multiply-adds that a core can do (roofline.cpp, measured between the rounds).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import cases
from benchmarks.roofline import Roofline

from . import report, scaling
from .programs import PROGRAMS, TASKS
from .runs import Row, Setting, compare

SIZES = ("XS", "S", "M", "L")
# Minutes a call: left out unless asked for by name.
TOO_SLOW = {
    "M": {"mbirjax", "svmbir", "etspy", "tomviz-kernels", "scikit-image"},
    "L": {
        "scikit-image",
        "algotom",
        "etspy",
        "svmbir",
        "mbirjax",
        "tomviz-kernels",
        "scipy.sparse",
    },
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers.reconstruct",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--size", choices=SIZES, default="S")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, help="default: all; M and L no sirt")
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, help="default: all that fit")
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=20, help="of sirt")
    parser.add_argument("--axis", type=float, default=0.0, help="tilt axis [deg]; ours alone")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds for one call")
    parser.add_argument(
        "--scaling", action="store_true", help="1 and 2 threads, S to L; ours alone"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="svg or png")
    parser.add_argument("--read", nargs="+", type=Path, metavar="FILE", help="show earlier --json")
    return parser.parse_args()


def run(chosen: argparse.Namespace, rooflines: dict[int, Roofline], folder: Path) -> list[Row]:
    ours = [name for name in PROGRAMS if name.startswith(report.OURS)]
    slow = TOO_SLOW.get(chosen.size, set())
    names = chosen.programs or (ours if chosen.axis else [n for n in PROGRAMS if n not in slow])
    tasks = chosen.tasks or (TASKS if chosen.size in ("XS", "S") else TASKS[:3])
    rows: list[Row] = []
    for threads, roofline in rooflines.items():
        for task in tasks:
            setting = Setting(
                case=getattr(cases, chosen.size),
                task=task,
                threads=threads,
                rounds=chosen.rounds,
                n_iter=chosen.iterations,
                axis_deg=chosen.axis,
                limit_s=chosen.limit,
            )
            rows += compare(names, setting, folder, roofline)
    return rows


def main() -> None:
    chosen = arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if chosen.scaling:
            scaling.write(folder, chosen.rounds)
            return
        if chosen.read:
            facts, rows = report.read_json(chosen.read)
        else:
            at = report.commit()  # before the run: the tree may move on meanwhile
            rooflines = {t: Roofline(folder, t) for t in chosen.threads}
            rows = run(chosen, rooflines, folder)
            facts = report.header(rooflines[chosen.threads[-1]], at)
    for name, fact in facts.items():
        print(f"{name}: {fact}")  # noqa: T201
    report.write_rows(rows)
    if chosen.json:
        report.write_json(chosen.json, facts, rows)
    if chosen.plot:
        report.plot(chosen.plot, facts, rows)
    wrong = [f"{r.task} by {r.program}: error {r.error:.3f}" for r in rows if r.wrong]
    sys.exit("; ".join(wrong) or 0)


if __name__ == "__main__":
    main()
