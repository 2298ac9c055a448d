# SPDX-License-Identifier: BSD-3-Clause
"""Are the layer thicknesses right, and do their errors hold what they say?

    python benchmarks/validate_layers.py [--seeds 10]

Simulated needles with known layers go through the whole job (align, reconstruct, detect) from images alone. On the
real needle, reconstructions from the even and the odd tilts share the specimen and its alignment but no noise.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from tables import mean_error, shared_folder, write_machine, write_table

from cryolith import Alignment, TiltSeries, align, detect, files, reconstruct, simulate
from cryolith.reconstruct import ReconstructSettings

Float64 = npt.NDArray[np.float64]
Table = dict[str, npt.NDArray[np.generic]]

SHAPE = (64, 112, 64)
ANGLES = np.arange(-70.0, 71.0, 2.5)


def specimen(seed: int) -> simulate.Phantom:
    """Return a needle of seven layers whose thicknesses, contrast and inclination the seed decides."""
    rng = np.random.default_rng([seed, 1])
    thick = rng.uniform(10.0, 16.0, 7)
    dark = rng.uniform(0.4, 0.7)
    layers = [(t, (dark, 1.0)[i % 2]) for i, t in enumerate(thick)]
    return simulate.needle(
        SHAPE,
        layers=layers,
        radius=18.0,
        layer_tilt_deg=rng.uniform(0.0, 6.0),
        layer_azimuth_deg=rng.uniform(0.0, 360.0),
    )


def series_of(phantom: simulate.Phantom, seed: int, dose: float) -> tuple[TiltSeries, Alignment]:
    """Return noisy images that drift by a random walk about a nearly vertical axis."""
    rng = np.random.default_rng([seed, 2])
    walk = np.cumsum(rng.normal(0.0, 1.0, (len(ANGLES), 2)), axis=0)
    return simulate.tilt_series(
        phantom,
        ANGLES,
        tilt_axis_deg=rng.uniform(-4.0, 4.0),
        shifts_px=walk - walk[len(ANGLES) // 2],
        image_shape=(112, 80),
        dose_per_pixel=dose,
        seed=seed,
        pixel_size=10.0,  # angstrom: a nanometre is a pixel
    )


def errors_of(found: Table, truth: Float64) -> tuple[Float64, Float64]:
    """Return (error, sigma) [px] of the layers; NaN for those not found complete.

    Layers are taken in order, which needs all of them: five with both boundaries, between two ends.
    """
    complete = np.asarray(found["complete"], bool)
    if complete.sum() != len(truth):
        return np.full(len(truth), np.nan), np.full(len(truth), np.nan)
    thickness = np.asarray(found["thickness_nm"], np.float64)[complete]
    return thickness - truth, np.asarray(found["sigma_thickness_nm"], np.float64)[complete]


def simulated(seeds: int, dose: float, *, aligned_by_truth: bool) -> list[object]:
    """Return one row: how many layers were found, how wrong they are, and how often within two sigma."""
    bias, rms, sigmas, hits, found_layers = [], [], [], [], []
    for seed in range(seeds):
        phantom = specimen(seed)
        series, truth = series_of(phantom, seed, dose)
        alignment = truth if aligned_by_truth else align.align_tilt_series(series)
        volume = reconstruct.reconstruct(series, alignment)
        error, sigma = errors_of(detect.interfaces(volume), phantom.truth["thickness_px"][1:-1])
        seen = np.isfinite(error)
        found_layers.append(seen.mean())
        if seen.any():
            bias.append(error[seen].mean())
            rms.append(np.sqrt((error[seen] ** 2).mean()))
            sigmas.append(sigma[seen].mean())
            hits.append((np.abs(error[seen]) <= 2 * sigma[seen]).mean())
    how = "true" if aligned_by_truth else "found"
    return [
        f"{dose:g}",
        how,
        f"{100 * np.mean(found_layers):.0f} %",
        mean_error(bias),
        mean_error(rms),
        mean_error(sigmas),
        mean_error(hits, 2),
    ]


def half(alignment: Alignment, first: int) -> Alignment:
    """Return the alignment with every second tilt, from ``first``, left out."""
    left_out = dict.fromkeys(range(first, len(alignment.angles_deg), 2), "the other half")
    return replace(alignment, flags={**alignment.flags, **left_out})


def needle_halves() -> list[list[object]]:
    """Return one row for each layer of the real needle: thickness from all, even and odd tilts."""
    shared = shared_folder()
    if shared is None:
        return []
    series = files.read_tilt_series(shared / "data" / "haadf_needle" / "HAADF.mrc")
    alignment = align.align_tilt_series(series)
    tables = []
    for part in (alignment, half(alignment, 1), half(alignment, 0)):
        volume = reconstruct.reconstruct(series, part, ReconstructSettings(binning=2))
        tables.append(detect.interfaces(volume))
    complete = [np.asarray(t["complete"], bool) for t in tables]
    if len({int(c.sum()) for c in complete}) != 1:
        raise SystemExit(f"the halves show {[int(c.sum()) for c in complete]} complete layers")
    name = np.asarray(tables[0]["name"])[complete[0]]
    thickness, sigma = (
        np.array([np.asarray(t[c], np.float64)[k] for t, k in zip(tables, complete, strict=True)])
        for c in ("thickness_nm", "sigma_thickness_nm")
    )
    gap, expected = thickness[1] - thickness[2], np.hypot(sigma[1], sigma[2])
    return [
        [
            name[i],
            f"{thickness[0, i]:.2f} ± {sigma[0, i]:.2f}",
            f"{thickness[1, i]:.2f} ± {sigma[1, i]:.2f}",
            f"{thickness[2, i]:.2f} ± {sigma[2, i]:.2f}",
            f"{gap[i]:+.2f}",
            f"{expected[i]:.2f}",
        ]
        for i in range(len(name))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    seeds = parser.parse_args().seeds
    write_machine()
    write_table(
        f"Layer thickness on simulated needles [px], mean ± standard error over {seeds} seeds",
        [
            "dose per pixel",
            "alignment",
            "found",
            "bias",
            "rms error",
            "stated sigma",
            "within 2 sigma",
        ],
        [
            simulated(seeds, dose, aligned_by_truth=truth)
            for dose in (30.0, 300.0)
            for truth in (True, False)
        ],
    )
    write_table(
        "Layers of the real needle [nm], from all tilts and from two halves",
        ["layer", "all", "even tilts", "odd tilts", "even - odd", "its stated sigma"],
        needle_halves(),
    )


if __name__ == "__main__":
    main()
