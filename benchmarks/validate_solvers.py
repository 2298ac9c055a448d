# SPDX-License-Identifier: BSD-3-Clause
"""Every solver on the Shepp-Logan phantom: the full circle, two wedges, noise, uneven tilts, a lost pixel.

    python benchmarks/validate_solvers.py [--seeds 3]

PSNR [dB] / NMSE inside the disk of 256 pixels; truth and projections are exact, averaged over 16 and 4 points a pixel.
Where ASTRA is installed (benchmarks/peers/requirements.txt) its solvers of the same kind are run on the same numbers.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from tables import mean_error, write_machine, write_table

from cryolith.reconstruct import cgls, dart, lsqr, mlem, sart, sirt, tv, wbp

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Method = Callable[[Float32, Float64], Float32]
EDGE = 256
# Density, half axes along x and z, centre (x, z), angle [deg]; half the edge is 1. The usual contrast-enhanced form.
ELLIPSES = (
    (1.0, 0.69, 0.92, 0.0, 0.0, 0.0),
    (-0.8, 0.6624, 0.874, 0.0, 0.0184, 0.0),
    (-0.2, 0.11, 0.31, 0.22, 0.0, 18.0),
    (-0.2, 0.16, 0.41, -0.22, 0.0, -18.0),
    (0.1, 0.21, 0.25, 0.0, -0.35, 0.0),
    (0.1, 0.046, 0.046, 0.0, -0.1, 0.0),
    (0.1, 0.046, 0.046, 0.0, 0.1, 0.0),
    (0.1, 0.046, 0.023, -0.08, 0.605, 0.0),
    (0.1, 0.023, 0.023, 0.0, 0.606, 0.0),
    (0.1, 0.023, 0.046, 0.06, 0.605, 0.0),
)
CASES = {
    "180 views": (np.arange(0.0, 180.0), 0.0),
    "±70°, 71 views": (np.arange(-70.0, 71.0, 2.0), 0.0),
    "±60°, 61 views": (np.arange(-60.0, 61.0, 2.0), 0.0),
    "±60°, 2 % noise": (np.arange(-60.0, 61.0, 2.0), 0.02),
}
METHODS: dict[str, Method] = {
    "wbp, ramp": lambda s, a: wbp(s, a, filter="ramp"),
    "wbp, hamming (default)": wbp,
    "sirt 100": lambda s, a: sirt(s, a, n_iter=100),
    "sirt 100, relaxation 1.1": lambda s, a: sirt(s, a, n_iter=100, relaxation=1.1),
    "sart 5": lambda s, a: sart(s, a, n_iter=5),
    "os-sirt 10 x 10": lambda s, a: sart(s, a, n_iter=10, subsets=10, relaxation=1.0),
    "cgls 15": lambda s, a: cgls(s, a, n_iter=15),
    "cgls 15, lower 0": lambda s, a: cgls(s, a, n_iter=15, lower=0.0),
    "lsqr 30, damp 1": lambda s, a: lsqr(s, a, n_iter=30),
    "mlem 100": lambda s, a: mlem(s, a, n_iter=100),
    "tv 150, strength 0.08": lambda s, a: tv(s, a, n_iter=150, strength=0.08),
    "dart, 5 levels": lambda s, a: dart(s, a, levels=[0.0, 0.1, 0.2, 0.3, 1.0]),
}
PEERS = {"FBP ram-lak": ("FBP", 1), "SIRT 100, >= 0": ("SIRT", 100), "CGLS 15": ("CGLS", 15)}


def phantom() -> Float64:
    """Return the phantom [z, x], each pixel the mean of 4 x 4 points."""
    n = 4 * EDGE
    z, x = (np.indices((n, n)) - (n - 1) / 2) * 2 / n
    out = np.zeros((n, n))
    for value, along_x, along_z, x0, z0, angle in ELLIPSES:
        c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        u, v = (x - x0) * c - (z - z0) * s, (x - x0) * s + (z - z0) * c
        out += value * ((u / along_x) ** 2 + (v / along_z) ** 2 <= 1)
    return out.reshape(EDGE, 4, EDGE, 4).mean((1, 3))


def projections(angles_deg: Float64) -> Float64:
    """Return its line integrals (n_tilts, EDGE) [px], each the mean of 4 rays; u = x cos + z sin."""
    n = 4 * EDGE
    u = (np.arange(n) - (n - 1) / 2) * 2 / n
    out = np.zeros((len(angles_deg), n))
    for i, tilt in enumerate(np.deg2rad(angles_deg)):
        for value, along_x, along_z, x0, z0, angle in ELLIPSES:
            turned = tilt + np.deg2rad(angle)
            half = np.hypot(along_x * np.cos(turned), along_z * np.sin(turned))
            off = u - x0 * np.cos(tilt) - z0 * np.sin(tilt)
            chord = np.sqrt(np.maximum(half**2 - off**2, 0)) * 2 * along_x * along_z / half**2
            out[i] += value * chord * EDGE / 2
    return out.reshape(len(angles_deg), EDGE, 4).mean(2)


TRUTH = phantom()
DISK = np.hypot(*(np.indices((EDGE, EDGE)) - (EDGE - 1) / 2)) <= EDGE / 2


def noisy(angles_deg: Float64, noise: float, seed: int) -> Float32:
    """Return (n_tilts, 1, EDGE) images with noise of a share of their largest value."""
    s = projections(angles_deg)
    s += np.random.default_rng(seed).normal(0.0, noise * s.max(), s.shape)
    return s[:, None].astype(np.float32)


def psnr(volume: Float32) -> float:
    error = (np.asarray(volume, np.float64).reshape(EDGE, EDGE) - TRUTH)[DISK]
    return float(10 * np.log10(np.ptp(TRUTH) ** 2 / np.mean(error**2)))


def nmse(db: float) -> float:
    return float(10 ** (-db / 10) * np.ptp(TRUTH) ** 2 / np.mean(TRUTH[DISK] ** 2))


def astra(kind: str, iterations: int) -> Method:
    """Return an ASTRA solver with its linear projector."""
    import astra as toolbox

    def solve(stack: Float32, angles_deg: Float64) -> Float32:
        volume = toolbox.create_vol_geom(EDGE, EDGE)
        rays = toolbox.create_proj_geom("parallel", 1.0, EDGE, -np.deg2rad(angles_deg))
        made: dict[str, Any] = toolbox.astra_dict(kind)
        made["ProjectorId"] = toolbox.create_projector("linear", rays, volume)
        made["ProjectionDataId"] = toolbox.data2d.create("-sino", rays, stack[:, 0])
        made["ReconstructionDataId"] = toolbox.data2d.create("-vol", volume, 0)
        if kind == "SIRT":
            made["option"] = {"MinConstraint": 0}
        toolbox.algorithm.run(toolbox.algorithm.create(made), iterations)
        out: Float32 = toolbox.data2d.get(made["ReconstructionDataId"])
        return out

    return solve


def methods() -> dict[str, Method]:
    found = dict(METHODS)
    if importlib.util.find_spec("astra"):
        found |= {f"ASTRA {name}": astra(*how) for name, how in PEERS.items()}
    return found


def quality(seeds: int) -> None:
    """Write the four cases; only noise needs more than one seed."""
    rows = []
    for name, method in methods().items():
        row = [name]
        for angles, noise in CASES.values():
            count = seeds if noise else 1
            db = [psnr(method(noisy(angles, noise, seed), angles)) for seed in range(count)]
            row.append(
                f"{mean_error(db, 2) if count > 1 else f'{db[0]:.2f}'} / {nmse(float(np.mean(db))):.3f}"
            )
        rows.append(row)
    write_table(
        f"Shepp-Logan 256: PSNR [dB] / NMSE, mean ± standard error over {seeds} seeds of the noise",
        ["method", *CASES],
        rows,
    )


def uneven() -> None:
    """Write wbp and FBP of 2 degrees below +10, 1 degree above, 8 views missing."""
    angles = np.concatenate([np.arange(-60.0, 10.0, 2.0), np.arange(10.0, 61.0)])
    keep = np.ones(len(angles), bool)
    keep[np.random.default_rng(0).choice(len(angles), 8, replace=False)] = False
    stack = noisy(angles[keep], 0.0, 0)
    names = ("wbp, ramp", "wbp, hamming (default)", "ASTRA FBP ram-lak")
    rows = [[n, f"{psnr(m(stack, angles[keep])):.2f}"] for n, m in methods().items() if n in names]
    write_table("Uneven tilts: PSNR [dB]", ["method", f"{keep.sum()} views"], rows)


def lost_pixel() -> None:
    """Write what one NaN pixel in the middle of the middle tilt costs."""
    rows = []
    for name, method in METHODS.items():
        row = [name]
        for angles, noise in CASES.values():
            stack = noisy(angles, noise, 0)
            whole = psnr(method(stack, angles))
            stack[len(angles) // 2, 0, EDGE // 2] = np.nan
            row.append(f"{psnr(method(stack, angles)) - whole:+.3f}")
        rows.append(row)
    write_table("One NaN pixel: change of the PSNR [dB]", ["method", *CASES], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    write_machine()
    quality(seeds)
    uneven()
    lost_pixel()


if __name__ == "__main__":
    main()
