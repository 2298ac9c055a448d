# SPDX-License-Identifier: BSD-3-Clause
"""How wrong are the voxels? wbp and sirt against a specimen that is known, from exact noisy line integrals.

python benchmarks/validate_reconstruction.py [--seeds 5]
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import cases
import numpy as np
import numpy.typing as npt
from tables import mean_error, write_machine, write_table

from cryolith import TiltSeries, simulate
from cryolith.reconstruct import sirt, wbp

Float32 = npt.NDArray[np.float32]
METHODS = {
    "wbp, ramp": lambda series, shape: wbp(series, shape=shape, filter="ramp"),
    "wbp, hamming (default)": lambda series, shape: wbp(series, shape=shape),
    "sirt 30 (default)": lambda series, shape: sirt(series, shape=shape, n_iter=30),
    "sirt 100": lambda series, shape: sirt(series, shape=shape, n_iter=100),
}


def error(volume: Float32, truth: Float32) -> float:
    """Return |volume - truth| / |truth|: no gain is fitted, the values themselves are judged."""
    return float(np.linalg.norm(volume - truth) / np.linalg.norm(truth))


def errors(
    case: cases.TiltCase, dose: float, seeds: int, *, lost_pixel: bool = False
) -> dict[str, list[float]]:
    """Return the error of each method for each seed of specimen and noise."""
    out: dict[str, list[float]] = {name: [] for name in METHODS}
    for seed in range(seeds):
        phantom = cases.grains(case, seed=seed)
        series, _ = simulate.tilt_series(phantom, case.angles_deg, dose_per_pixel=dose, seed=seed)
        if lost_pixel:
            images = np.array(series.images)
            images[case.n_tilts // 2, case.ny // 2, case.nx // 2] = np.nan
            series = TiltSeries(images=images, angles_deg=series.angles_deg)
        for name, method in METHODS.items():
            out[name].append(error(method(series, case.shape), phantom.volume))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = parser.parse_args().seeds
    write_machine()
    tilts = {
        f"±{top:g}°, dose {dose:g}": (replace(cases.XS, max_tilt=top, n_tilts=n), dose)
        for top, n, dose in ((60, 61, 100.0), (70, 71, 100.0), (89, 90, 100.0), (60, 61, 10.0))
    }
    measured = {name: errors(case, dose, seeds) for name, (case, dose) in tilts.items()}
    write_table(
        f"Error |volume - truth| / |truth| of 64 x 64 x 128 voxels, mean ± standard error over {seeds} seeds",
        ["method", *tilts],
        [[m, *(mean_error(e[m]) for e in measured.values())] for m in METHODS],
    )
    name, (case, dose) = next(iter(tilts.items()))
    lost = errors(case, dose, seeds, lost_pixel=True)
    write_table(
        f"Change of that error by one NaN pixel, {name}",
        ["method", "change, % of the error"],
        [[m, mean_error(100 * (np.array(lost[m]) / measured[name][m] - 1), 4)] for m in METHODS],
    )


if __name__ == "__main__":
    main()
