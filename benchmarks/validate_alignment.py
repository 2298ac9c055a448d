# SPDX-License-Identifier: BSD-3-Clause
"""How well is a tilt series aligned? Simulated series against their truth, the real needle against its reference.

    python benchmarks/validate_alignment.py [--seeds 5]

The real needle's judge is independent of cryolith: it predicts tilts that its own SIRT has not seen.
"""

from __future__ import annotations

import argparse

import needle
import numpy as np
from tables import mean_error, write_machine, write_table

from cryolith import Alignment, TiltSeries, align, simulate

EDGE = 96
ANGLES = np.linspace(-60.0, 60.0, 41)


def phantom_of(kind: str, seed: int) -> simulate.Phantom:
    shape = (EDGE, EDGE, EDGE)
    if kind == "particle":
        return simulate.particle(shape, seed)
    if kind == "slab":
        return simulate.slab((EDGE // 4, EDGE, EDGE), seed, overhang=2.0)
    return simulate.needle(shape, layer_tilt_deg=5.0, voids=4, inclusions=4, radius=16.0, seed=seed)


def drifting(kind: str, seed: int) -> tuple[TiltSeries, Alignment]:
    """Return a series whose images wander by 2 px from tilt to tilt, about an axis anywhere within 10 degrees."""
    rng = np.random.default_rng([seed, 3])
    walk = np.cumsum(rng.normal(0.0, 2.0, (len(ANGLES), 2)), axis=0)
    return simulate.tilt_series(
        phantom_of(kind, seed),
        ANGLES,
        tilt_axis_deg=rng.uniform(-10.0, 10.0),
        shifts_px=walk - walk[len(ANGLES) // 2],
        image_shape=(EDGE, EDGE),
        dose_per_pixel=50.0,
        background=0.2,
        seed=seed,
    )


def simulated(kind: str, seeds: int) -> list[object]:
    """Return one row: errors [px, deg] free of gauge, and how often shifts lie within two stated sigma."""
    axis, axis_sigma, across, along, sigmas, hits, left_out = [], [], [], [], [], [], 0
    for seed in range(seeds):
        series, truth = drifting(kind, seed)
        found = align.align_tilt_series(series)
        axis.append(abs((found.tilt_axis_deg - truth.tilt_axis_deg + 90) % 180 - 90))
        axis_sigma.append(found.sigma_tilt_axis_deg)
        kept = found.kept
        left_out += int((~kept).sum())
        error = needle.without_gauge(
            (found.shifts_px - truth.shifts_px)[kept], ANGLES[kept], truth.tilt_axis_deg
        )
        across.append(np.sqrt((error[0] ** 2).mean()))
        along.append(np.sqrt((error[1] ** 2).mean()))
        if found.sigma_shifts_px is not None:
            # The axis is within 10 degrees of the columns: rows run along it, columns across.
            sigma = found.sigma_shifts_px[kept]
            sigmas.append(np.sqrt((sigma**2).mean()))
            hits.append((np.abs(np.stack(error, 1)[:, ::-1]) <= 2 * sigma).mean())
    columns = [mean_error(v) for v in (axis, axis_sigma, across, along, sigmas)]
    return [kind, *columns, mean_error(hits, 2), f"{left_out} of {seeds * len(ANGLES)}"]


def real() -> list[list[object]]:
    """Return one row each for no alignment, the reference and ours."""
    series, reference = needle.series(), needle.reference()
    found = align.align_tilt_series(series)
    shifts, axis = reference.ours()
    none = needle.Etspy(np.zeros((len(series), 2)), 0.0, 0.5)
    rows: list[list[object]] = []
    for name, candidate in (
        ("none", none),
        ("authors' reference (ETSpy)", reference),
        ("cryolith", needle.Etspy.of(found)),
    ):
        difference = needle.without_gauge(candidate.ours()[0] - shifts, series.angles_deg, axis)
        rms = [f"{np.sqrt((d**2).mean()):.2f}" for d in difference]
        total = np.sqrt(sum((d**2).mean() for d in difference))
        score = needle.held_out(candidate)
        turned = f"{candidate.axis:.2f}" if name != "none" else "0"
        rows.append(
            [name, turned, *rms, f"{total:.2f}", f"{score['mean']:.4f}", f"{score['worst']:.4f}"]
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = parser.parse_args().seeds
    write_machine()
    write_table(
        "Alignment of the real needle [deg, px]; differences are to the reference, gauge removed",
        ["alignment", "axis from x", "across", "along", "both", "held-out residual", "worst tilt"],
        real(),
    )
    write_table(
        f"Alignment of simulated series [deg, px], mean ± standard error over {seeds} seeds",
        [
            "specimen",
            "axis error",
            "its sigma",
            "rms across",
            "rms along",
            "their sigma",
            "within 2 sigma",
            "tilts left out",
        ],
        [simulated(kind, seeds) for kind in ("needle", "particle", "slab")],
    )


if __name__ == "__main__":
    main()
