# SPDX-License-Identifier: BSD-3-Clause
"""cryolith beside scikit-image, porespy and SciPy: skeleton, pore network, tortuosity of one random medium.

    PYTHONPATH=benchmarks python benchmarks/peers/network.py [--edge 128] [--rounds 3] [--without porespy]

Our skeleton has to have the Euler number of the phase, the others' are shown; tortuosities have to agree to 3e-4.
porespy's (``tortuosity_fd``, algebraic multigrid of pyamg) holds concentrations at the centres of the first and the
last voxels instead of their faces, and may differ by one over the edge.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.ndimage as ndi
import scipy.sparse as sparse
import scipy.sparse.linalg as solvers
from skimage.measure import euler_number
from skimage.morphology import skeletonize
from tables import write_machine, write_table
from timing import in_turns, ratio

from cryolith import detect

Mask = npt.NDArray[np.bool_]


def by_scipy(mask: Mask) -> float:
    """Return the tortuosity along z by conjugate gradients on a sparse matrix, scaled by the diagonal."""
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(mask.sum())
    pairs = []
    for axis in range(3):
        low, high = (np.moveaxis(number, axis, 0)[cut].ravel() for cut in (np.s_[:-1], np.s_[1:]))
        both = (low >= 0) & (high >= 0)
        pairs.append(np.stack([low[both], high[both]]))
    one, other = np.concatenate(pairs, axis=1)
    count = int(mask.sum())
    bonds = sparse.coo_matrix((np.ones(len(one)), (one, other)), (count, count))
    bonds = (bonds + bonds.T).tocsr()
    diagonal = np.asarray(bonds.sum(axis=1)).ravel()
    source = np.zeros(count)
    inlet, outlet = (number[end][number[end] >= 0] for end in (0, -1))
    source[inlet] = 2
    diagonal[inlet] += 2
    diagonal[outlet] += 2
    matrix = (sparse.diags(diagonal) - bonds).tocsr()
    values, _ = solvers.cg(matrix, source, rtol=1e-4, M=sparse.diags(1 / diagonal))
    flow = (2 * (1 - values[inlet])).sum() / len(mask)
    return float(mask.mean() / flow)


def network_of_porespy(mask: Mask) -> int:
    """Return how many pores porespy finds."""
    import porespy

    porespy.settings.tqdm["disable"] = True
    return len(porespy.networks.snow2(mask, boundary_width=0).network["pore.coords"])


def flow_of_porespy(mask: Mask) -> float:
    """Return the tortuosity along z that porespy finds."""
    import porespy

    return float(porespy.simulations.tortuosity_fd(mask, axis=0).tortuosity)


def check_tortuosity(program: str, result: float, ours: float, edge: int) -> None:
    allowed = {"cryolith": 0, "scipy": 3e-4, "porespy": 1 / edge}[program]
    if abs(result - ours) > allowed * ours:
        raise SystemExit(f"wrong: tortuosity by {program}, {result:.6g} in place of {ours:.6g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edge", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without", nargs="*", default=[], help="programs to leave out")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    write_machine()
    noise = np.random.default_rng(0).standard_normal((chosen.edge,) * 3)
    mask = ndi.gaussian_filter(noise, 4) > 0
    labels, _ = detect.label(mask, 6)
    through = np.intersect1d(labels[0], labels[-1])
    spanning = np.isin(labels, through[through > 0])
    runs: dict[str, dict[str, Callable[[], Any]]] = {
        "skeleton": {
            "cryolith": lambda: detect.skeleton(mask, threads=1),
            "scikit-image": lambda: skeletonize(mask),
        },
        "pore network": {
            "cryolith": lambda: len(detect.pore_network(mask, threads=1).pores["pore"]),
            "porespy": lambda: network_of_porespy(mask),
        },
        "tortuosity": {
            "cryolith": lambda: detect.tortuosity(spanning, "z", threads=1).tortuosity,
            "scipy": lambda: by_scipy(spanning),
            "porespy": lambda: flow_of_porespy(spanning),
        },
    }
    euler = euler_number(mask, 3)
    rows = []
    for name, programs in runs.items():
        kept = {p: run for p, run in programs.items() if p not in chosen.without}
        timed = in_turns(kept, chosen.rounds)
        ours = timed["cryolith"].seconds
        for program, t in timed.items():
            found = (
                f"{t.result:.6g}"
                if name != "skeleton"
                else f"Euler number {euler_number(t.result, 3)}"
            )
            if name == "skeleton" and program == "cryolith" and found != f"Euler number {euler}":
                raise SystemExit(f"wrong: skeleton by {program}, {found}, not {euler}")
            rows.append([name, program, f"{t.seconds:.3g}", ratio(t.seconds, ours), found])
            if name == "tortuosity":
                check_tortuosity(program, t.result, timed["cryolith"].result, chosen.edge)
    write_table(
        f"{chosen.edge}^3 voxels, Euler number {euler}, one thread",
        ["what", "program", "CPU s", "ours = 1", "found"],
        rows,
    )


if __name__ == "__main__":
    main()
