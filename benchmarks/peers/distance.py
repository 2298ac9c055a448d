# SPDX-License-Identifier: BSD-3-Clause
"""cryolith beside edt and SciPy: the exact Euclidean distance of masks.

    PYTHONPATH=benchmarks python benchmarks/peers/distance.py [--edge 512] [--rounds 5] [--without scipy]

Every result is compared with ours, voxel by voxel. `used` says that the output had been written to before.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import cases
import edt
import numpy as np
import numpy.typing as npt
import scipy.ndimage as ndi
from tables import write_machine, write_table
from timing import in_turns, ratio

from cryolith import detect

Mask = npt.NDArray[np.bool_]
Edges = tuple[float, float, float]
EQUAL = (1.0, 1.0, 1.0)
HALVES = (2.0, 1.0, 1.0)
ANY = (1.3, 0.7, 0.45)


def masks(edge: int) -> Iterator[tuple[str, Mask, Edges]]:
    """Return what is measured: pores, the solid between them, and what searches far."""
    pores, _ = cases.pores(edge)
    yield "pores, 10 %", pores, EQUAL
    yield f"the same, voxels {HALVES}", pores, HALVES
    yield f"the same, voxels {ANY}", pores, ANY
    yield "the solid around them", ~pores, EQUAL
    yield f"the same, voxels {ANY}", ~pores, ANY
    yield "noise, 50 %", np.random.default_rng(0).random((edge,) * 3, dtype=np.float32) < 0.5, EQUAL
    square = (np.arange(edge) - edge / 2) ** 2
    yield "one ball", square[:, None, None] + square[:, None] + square < (0.4 * edge) ** 2, EQUAL
    point = np.ones((edge,) * 3, bool)
    point[edge // 5, edge // 3, edge // 2] = False
    yield "far from one voxel", point, EQUAL


def runs_of(
    mask: Mask, edges: Edges, used: npt.NDArray[np.float32], without: list[str]
) -> dict[str, Callable[[], Any]]:
    runs: dict[str, Callable[[], Any]] = {
        "cryolith": lambda: detect.distance(mask, spacing=edges, threads=1),
        "cryolith, used": lambda: detect.distance(mask, spacing=edges, threads=1, out=used),
        "edt": lambda: edt.edt(mask, anisotropy=edges, black_border=False, parallel=1),
        "scipy": lambda: ndi.distance_transform_edt(mask, sampling=edges),
    }
    return {name: run for name, run in runs.items() if name not in without}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edge", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without", nargs="*", default=[], help="programs to leave out")
    parser.add_argument("--only", type=int, default=99, help="how many of the masks")
    chosen = parser.parse_args()
    write_machine()
    used = np.ones((chosen.edge,) * 3, np.float32)
    rows = []
    for index, (name, mask, edges) in enumerate(masks(chosen.edge)):
        if index >= chosen.only:
            break
        timed = in_turns(runs_of(mask, edges, used, chosen.without), chosen.rounds)
        ours = timed["cryolith"]
        for program, t in timed.items():
            worst = float((np.abs(t.result - ours.result) / np.maximum(ours.result, 1e-9)).max())
            if worst > 1e-6:
                raise SystemExit(f"wrong: {name} by {program}, {worst:.2g} of the distance")
            rows.append(
                [name, program, f"{t.seconds:.3g}", ratio(t.seconds, ours.seconds), f"{worst:.1e}"]
            )
    title = f"{chosen.edge}^3 voxels, one thread"
    write_table(title, ["mask", "program", "CPU s", "ours = 1", "differs by"], rows)


if __name__ == "__main__":
    main()
