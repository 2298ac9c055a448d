# SPDX-License-Identifier: BSD-3-Clause
"""Every solver beside ASTRA's and scikit-image's on the Shepp-Logan picture: PSNR, SSIM and NMSE in the disk.

    python -m benchmarks.peers.quality [--seeds 5] [--methods ...] [--cases ...]

Noise differs from seed to seed; cases without noise run once. Programs that are not installed are left out. All run
with the settings named in the table, the same for all cases. A second table says what one lost pixel costs the solvers
that know of missing pixels.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.tables import mean_error, write_machine, write_table

from cryolith import reconstruct

from .shepp_logan import SIZE, Case, Score, levels, uneven

Array = npt.NDArray[np.floating]
Method = Callable[[Array, Array], Array]

CASES = (
    Case("180 views", np.arange(-90.0, 90.0)),
    Case("±70, 71 views", np.linspace(-70, 70, 71)),
    Case("±60, 61 views", np.linspace(-60, 60, 61)),
    Case("±60, 2 % noise", np.linspace(-60, 60, 61), noise=0.02),
    Case("uneven", uneven()),
)


def ours(solver: str, **options: Any) -> Method:
    """Return a solver of cryolith as a function of a sinogram and its angles."""

    def run(sinogram: Array, angles_deg: Array) -> Array:
        function = getattr(reconstruct, solver)
        found = function(sinogram[:, None], angles_deg, thickness=SIZE, threads=1, **options)
        return np.asarray(found)[:, 0]

    return run


def astra_by(algorithm: str, n_iter: int = 1, **options: Any) -> Method:
    def run(sinogram: Array, angles_deg: Array) -> Array:
        import astra

        detector = astra.create_proj_geom("parallel", 1.0, SIZE, -np.deg2rad(angles_deg))
        slices = astra.create_vol_geom(SIZE, SIZE)
        config = astra.astra_dict(algorithm)
        config["ProjectorId"] = astra.create_projector("linear", detector, slices)
        config["ProjectionDataId"] = astra.data2d.create("-sino", detector, sinogram)
        config["ReconstructionDataId"] = astra.data2d.create("-vol", slices)
        config["option"] = options
        astra.algorithm.run(astra.algorithm.create(config), n_iter)
        found = np.array(astra.data2d.get(config["ReconstructionDataId"]))
        astra.clear()
        return found

    return run


def skimage_fbp(sinogram: Array, angles_deg: Array) -> Array:
    from skimage.transform import iradon

    return iradon(sinogram.T, -angles_deg, filter_name="ramp", circle=True)


METHODS: dict[str, Method] = {
    "ASTRA FBP ram-lak": astra_by("FBP", FilterType="ram-lak"),
    "ASTRA SIRT 100, >= 0": astra_by("SIRT", 100, MinConstraint=0.0),
    "ASTRA CGLS 15": astra_by("CGLS", 15),
    "scikit-image FBP ramp": skimage_fbp,
    "cryolith wbp ramp": ours("wbp", filter="ramp"),
    "cryolith wbp ramp-aperture": ours("wbp", filter="ramp-aperture"),
    "cryolith wbp hamming": ours("wbp", filter="hamming"),
    "cryolith sirt 100": ours("sirt", n_iter=100),
    "cryolith sirt 100, relaxation 1.1": ours("sirt", n_iter=100, relaxation=1.1),
    "cryolith sart 5": ours("sart", n_iter=5),
    "cryolith os-sirt 10 x 10": ours("sart", n_iter=10, subsets=10, relaxation=1.0),
    "cryolith cgls 15": ours("cgls", n_iter=15),
    "cryolith cgls 15, >= 0": ours("cgls", n_iter=15, lower=0.0),
    "cryolith lsqr 30, damp 1": ours("lsqr", n_iter=30),
    "cryolith mlem 100": ours("mlem", n_iter=100),
    "cryolith tv 150, strength 0.08": ours("tv", n_iter=150, strength=0.08),
    "cryolith dart, levels told": ours("dart", levels=levels()),
}


def missing(name: str) -> bool:
    """Return whether the program that a method belongs to is not installed."""
    return name.startswith("ASTRA") and not importlib.util.find_spec("astra")


def scores(method: str, case: Case, seeds: int) -> list[Score]:
    half = not method.startswith("scikit-image")
    return [
        Score.of(METHODS[method](case.data(seed, half=half), case.angles_deg))
        for seed in range(seeds if case.noise else 1)
    ]


def lost_pixel(method: str, case: Case) -> str:
    """Return what a NaN pixel in the middle image changes the PSNR by [dB]."""
    whole, less = (replace(case, lost_pixel=lost).data(0) for lost in (False, True))
    found = [Score.of(METHODS[method](data, case.angles_deg)).psnr for data in (whole, less)]
    return f"{found[1] - found[0]:+.3f}"


def cell(found: list[Score]) -> str:
    """Return "PSNR / SSIM / NMSE", the PSNR with its standard error where there are seeds."""
    mean = [float(np.mean([getattr(s, name) for s in found])) for name in ("ssim", "nmse")]
    psnr = [s.psnr for s in found]
    if not np.isfinite(psnr).all():
        return "not finite"
    text = mean_error(psnr, 2) if len(psnr) > 1 else f"{psnr[0]:.2f}"
    return f"{text} / {mean[0]:.3f} / {mean[1]:.3f}"


def main() -> None:
    known = [m for m in METHODS if not missing(m)]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--methods", nargs="+", metavar="WORD", default=[""], help="parts of names")
    parser.add_argument("--cases", nargs="+", type=int, default=range(len(CASES)))
    chosen = parser.parse_args()
    names = [m for m in known if any(word in m for word in chosen.methods)]
    chosen_cases = [CASES[i] for i in chosen.cases]
    write_machine()
    rows: list[list[object]] = []
    for name in names:
        start = time.process_time()
        cells = [cell(scores(name, case, chosen.seeds)) for case in chosen_cases]
        rows.append([name, *cells, f"{time.process_time() - start:.0f}"])
        sys.stderr.write(f"{name}\n")
    write_table(
        f"PSNR dB / SSIM / NMSE, mean ± standard error over {chosen.seeds} seeds of the noise",
        ["method", *(c.name for c in chosen_cases), "CPU s, all"],
        rows,
    )
    own = [name for name in names if name.startswith("cryolith")]
    rows = [[name, *(lost_pixel(name, case) for case in chosen_cases)] for name in own]
    write_table(
        "One NaN pixel: change of the PSNR [dB]", ["method", *(c.name for c in chosen_cases)], rows
    )
    absent = [m for m in METHODS if missing(m)]
    if absent:
        sys.stdout.write("\nNot installed: " + "; ".join(absent) + "\n")


if __name__ == "__main__":
    main()
