# SPDX-License-Identifier: BSD-3-Clause
"""Alignment of 41 x 512 x 512 tilt series, no option set, against the goals and what the photons allow.

    python benchmarks/validate_tilt_series.py [--seeds 5] [--kinds slab needle] [--doses 2000 100] [--faults none]
    python benchmarks/validate_tilt_series.py --beads 12 --kinds particle needle section slab

Gauge removed (a cos + b sin across the axis, a constant along it). ``floor`` is the Cramer-Rao bound with the object
unknown (../shared/field/joint_alignment.md); peers reach 0.65 px on the slab and 1.8 px on the particle.
With ``--beads`` the specimens carry as many; the goal is 0.1 px and no floor is given. "on beads" and
"with local shifts" count series. "local px" is the error of places in an image against each other
(series_cases.local_error).
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from typing import Literal

from series_cases import FAULTS, local_error, make_case, score
from tables import mean_error, write_machine, write_table

from cryolith import align

# (kind, dose): root mean square [px] wanted, and the floor.
GOALS = {
    ("particle", 2000): (0.15, 0.058),
    ("particle", 100): (0.45, 0.24),
    ("needle", 2000): (0.18, 0.09),
    ("needle", 100): (0.5, 0.40),
    ("slab", 2000): (0.25, 0.01),
    ("slab", 100): (0.25, 0.04),
}
Local = Literal["auto", "yes", "no"]
BEADS_GOAL = 0.1
FIRST_SEED = 100
HEAD = [
    "specimen",
    "dose",
    "fault",
    "rms px",
    "goal",
    "floor",
    "across",
    "along",
    "stated sigma",
    "axis error deg",
    "good tilts lost",
    "spoilt tilts kept",
    "on beads",
    "local px, by shifts of whole images",
    "local px",
    "with local shifts",
    "CPU s",
]


def row(
    kind: str, dose: int, fault: str, seeds: range, threads: int, beads: int, local: Local
) -> list[object]:
    """Return the means of one case over its seeds; each seed is told on standard error."""
    scores = []
    for seed in seeds:
        case = make_case(kind, dose=dose, seed=seed, fault=fault, beads=beads)
        start = time.process_time()
        found = align.align_tilt_series(
            case.series, settings=align.AlignSettings(local=local), threads=threads
        )
        one = score(case, found) | {"cpu": time.process_time() - start}
        one["on_beads"] = float(found.beads is not None)
        one["bent"] = float(found.local is not None)
        one["local"] = local_error(case, found)
        one["straight"] = local_error(case, replace(found, local=None))
        scores.append(one)
        told = ", ".join(f"{k} {v:.3f}" for k, v in one.items())
        sys.stderr.write(f"{kind} {dose} {fault} seed {seed}: {told}\n")
        sys.stderr.write("".join(f"    {note}\n" for note in (*found.method, *found.flags.items())))
    goal, floor = (BEADS_GOAL, "none") if beads else GOALS.get((kind, dose), ("none", "none"))
    means = {k: mean_error([s[k] for s in scores], 3) for k in scores[0]}
    total = {k: f"{sum(s[k] for s in scores):.0f}" for k in ("lost", "missed", "on_beads", "bent")}
    return [
        kind, dose, fault, means["rms"], goal, floor, means["across"], means["along"], means["stated"],
        means["axis"], total["lost"], total["missed"],
        total["on_beads"], means["straight"], means["local"], total["bent"], mean_error([s["cpu"] for s in scores], 1),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=FIRST_SEED)
    parser.add_argument("--kinds", nargs="+", default=["particle", "needle", "slab"])
    parser.add_argument("--doses", nargs="+", type=int, default=[2000, 100])
    parser.add_argument("--faults", nargs="+", default=["none"], choices=FAULTS)
    parser.add_argument("--beads", type=int, default=0)
    parser.add_argument("--local", default="no", choices=["no", "auto", "yes"])
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    write_machine()
    write_table(
        f"Alignment of simulated series, mean ± standard error over {chosen.seeds} seeds",
        HEAD,
        [
            row(kind, dose, fault, seeds, chosen.threads, chosen.beads, chosen.local)
            for kind in chosen.kinds
            for dose in chosen.doses
            for fault in chosen.faults
        ],
    )


if __name__ == "__main__":
    main()
