# SPDX-License-Identifier: BSD-3-Clause
"""How level slabs lie after the alignment, no option set: tilt offset, x-tilt and thickness against the truth.

    python benchmarks/validate_levelling.py [--seeds 5] [--kinds slab section] [--doses 2000 100] [--beads 0]

Each seed lies at a tilt offset within 10 degrees and an x-tilt within 5, drawn anew. ``z`` is the root mean square of
error over stated sigma. A slab's ellipsoids have their centres within 0.16 of the edge and mean semi-axes of 0.015 of
it (``thickness`` is compared with the sum). A "level" slab lies as the stage says.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
from series_cases import EDGE, make_case, score
from tables import mean_error, write_machine, write_table

from cryolith import align

FIRST_SEED = 600
LARGEST_DEG = (10.0, 5.0)
THICKNESS = (0.16 + 2 * 0.015) * EDGE
HEAD = "specimen | dose | lies | offset rms deg | z | x-tilt rms deg | z | thickness - truth px | stated | "
HEAD += "shifts rms px | axis error deg | CPU s"


def one_series(
    kind: str, dose: int, seed: int, lying: tuple[float, float], chosen: argparse.Namespace
) -> dict[str, float]:
    """Return the errors of one series and what was stated, and tell them on standard error."""
    case = make_case(kind, dose=dose, seed=seed, lying=lying, beads=chosen.beads)
    start = time.process_time()
    found = align.align_tilt_series(case.series, threads=chosen.threads)
    out = score(case, found) | {"cpu": time.process_time() - start}
    slab = found.slab
    if slab is None:
        out |= dict.fromkeys(("offset", "x", "z_offset", "z_x", "thick", "stated_thick"), np.nan)
    else:
        offset, x = slab.tilt_offset_deg - lying[0], slab.x_tilt_deg - lying[1]
        out |= {
            "offset": offset,
            "x": x,
            "z_offset": offset / slab.sigma_tilt_offset_deg,
            "z_x": x / slab.sigma_x_tilt_deg,
            "thick": slab.thickness_px - THICKNESS,
            "stated_thick": slab.sigma_thickness_px,
        }
    told = ", ".join(f"{k} {v:.3f}" for k, v in out.items())
    sys.stderr.write(f"{kind} {dose} seed {seed} at {lying[0]:.2f}, {lying[1]:.2f}: {told}\n")
    sys.stderr.write("".join(f"    {note}\n" for note in found.method if "slab:" in note))
    return out


def row(kind: str, dose: int, lies: str, chosen: argparse.Namespace) -> list[object]:
    """Return the figures of one kind of series over its seeds."""
    scores = []
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        rng = np.random.default_rng([seed, dose])
        offset, x = (float(rng.uniform(-most, most)) for most in LARGEST_DEG)
        lying = (offset, x) if lies == "tilted" else (0.0, 0.0)
        scores.append(one_series(kind, dose, seed, lying, chosen))

    def rms(name: str) -> str:
        values = np.array([s[name] for s in scores])
        return f"{np.sqrt(np.nanmean(values**2)):.2f}"

    thick = mean_error([s["thick"] for s in scores], 1)
    means = {k: mean_error([s[k] for s in scores], 3) for k in ("rms", "axis")}
    return [
        kind, dose, lies, rms("offset"), rms("z_offset"), rms("x"), rms("z_x"), thick, rms("stated_thick"),
        means["rms"], means["axis"], mean_error([s["cpu"] for s in scores], 0),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=FIRST_SEED)
    parser.add_argument("--kinds", nargs="+", default=["slab"])
    parser.add_argument("--doses", nargs="+", type=int, default=[2000, 100])
    parser.add_argument("--lies", nargs="+", default=["tilted"], choices=("tilted", "level"))
    parser.add_argument("--beads", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    write_machine()
    write_table(
        f"Slabs laid level, {chosen.seeds} seeds from {chosen.first}",
        HEAD.split(" | "),
        [
            row(kind, dose, lies, chosen)
            for kind in chosen.kinds
            for dose in chosen.doses
            for lies in chosen.lies
        ],
    )


if __name__ == "__main__":
    main()
