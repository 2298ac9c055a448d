# SPDX-License-Identifier: BSD-3-Clause
"""Tubes and sheets planted in tilt series: are the rates, recalls and lengths of ``detect.tubes`` what it says?

    python benchmarks/validate_tubes.py null recall false --kind tubes     # 80^3 from 61 tilts, +-60 degrees
    python benchmarks/validate_tubes.py null recall false --kind sheets
    python benchmarks/validate_tubes.py long                               # 128^3 from 66 tilts, +-65 degrees
    python benchmarks/validate_tubes.py areas --kind sheets                # 80^3
    python benchmarks/validate_tubes.py speed                              # 128^3

``null`` counts extrema of noise and of decoys against their expectation, and volumes with a call. ``recall`` plants
eight objects of one orientation a volume (turned by 6 degrees at random) and compares the share found at fdr 0.05 with
the prediction for each object's own direction. ``false`` plants objects of all orientations and counts rows that lie on
none of them. ``long`` measures the length of straight and curved tubes at +-65 degrees, ``areas`` discs far from each
other. Intervals are 95 %.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
import time
import warnings
from typing import Any

import numpy as np
from planted_tubes import HALF, ORIENTATIONS, RADIUS, WIDTH, Found, Planted, Series, plant
from tables import share_of

from cryolith import _core
from cryolith.detect import FoundTubes, ridges
from cryolith.detect._gaussian_blobs import gaussian_blobs
from cryolith.reconstruct import Halves


def say(line: str) -> None:
    """Write a line now."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def matches(kind: str, found: Found, truth: Planted, sign: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which planted objects were found, and which rows lie on none of them.

    An object is found when a quarter of its points have a row's line or surface, of its sign, within 3 px. A row lies
    on none where its most significant point is 8 px or more from every object.
    """
    table = found.table
    at = np.stack([table[f"{a}_px"] for a in "zyx"], axis=1)
    drawn = found.lines if isinstance(found, FoundTubes) else found.surfaces
    own = [nodes for nodes, s in zip(drawn, table["sign"], strict=True) if s == sign]
    nodes = np.concatenate([np.empty((0, 3)), *own])
    hit, stray = np.zeros(len(truth.places), bool), np.ones(len(at), bool)
    for i, points in enumerate(truth.points):
        gap = np.array([np.linalg.norm(nodes - p, axis=1).min(initial=np.inf) for p in points])
        hit[i] = (gap < 3).mean() >= 0.25
        stray &= np.linalg.norm(at[:, None] - points[None], axis=2).min(axis=1, initial=np.inf) > 8
    return hit, stray


def noise_only(kind: str, series: Series, seeds: range) -> None:
    """Count extrema of noise against their expectation, and tables that are not empty."""
    observed, decoys, expected, called, rows, cpu = 0, 0, 0, 0, 0, 0.0
    for seed in seeds:
        halves = series.taken(None, np.random.default_rng(1000 + seed))
        begin = time.process_time()
        result = series.look(kind, halves)
        cpu += time.process_time() - begin
        total = series.whole(halves)
        swapped = Halves(
            first=total / 2, second=-total / 2, full=total, split="frames", index=halves.index
        )
        # The sum of the halves as decoys; its own noise spectrum is that of a sum with random signs: the same.
        observed = observed + series.look(kind, swapped).null.observed
        decoys = decoys + result.null.observed
        expected = expected + result.null.expected
        called += len(result.table["z_px"]) > 0
        rows += len(result.table["z_px"])
    n = len(seeds)
    say(f"  expected a volume {np.round(expected / n, 1)} beyond {np.round(result.null.levels, 2)}; "
        f"observed / expected {np.round(observed / expected, 2)}; "
        f"decoys {np.round(decoys / expected, 2)}")  # fmt: skip
    say(f"  calls at fdr 0.05: {rows} in {n} volumes ({0.05 * n:.2f} expected), in {called} of them, "
        f"{share_of(called, n)}; {cpu / n:.1f} CPU s each")  # fmt: skip


def hessians(kind: str, volume: np.ndarray) -> dict[str, np.ndarray]:
    """Return responses of plain ridge filters: ours and, where it is installed, scikit-image's."""
    sign = 1 if kind == "tubes" else -1
    out = {"ridges": ridges(volume, 1.5 * WIDTH, kind, bright=sign > 0, threads=1)}
    if kind == "tubes" and importlib.util.find_spec("skimage") is not None:
        from skimage.filters import sato

        out["sato"] = sato(volume, sigmas=[1.5 * WIDTH], black_ridges=False).astype(np.float32)
    return out


def thresholds(kind: str, series: Series, count: int) -> dict[str, float]:
    """Return the level of each plain filter that noise alone exceeds in half a maximum a volume."""
    tops: dict[str, list[np.ndarray]] = {}
    for seed in range(count):
        halves = series.taken(None, np.random.default_rng(77000 + seed))
        for name, response in hessians(kind, series.whole(halves)).items():
            peaks = _core.volume_extrema(np.ascontiguousarray(response), 8, 0.0, 1, None)[:, 0]
            tops.setdefault(name, []).append(np.sort(peaks)[-20:])
    return {n: float(np.sort(np.concatenate(t))[-max(1, count // 2)]) for n, t in tops.items()}


def touched(response: np.ndarray, level: float, truth: Planted) -> list[bool]:
    """Return which objects have any point with a voxel beyond the level within 1 voxel: generous."""
    out = []
    for points in truth.points:
        at = np.clip(np.rint(points).astype(int), 1, response.shape[0] - 2)
        cubes = [response[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2].max() for z, y, x in at]
        out.append(max(cubes) > level)
    return out


def recall(kind: str, series: Series, seeds: range, snr: float, apart: bool) -> None:
    """Plant one orientation a volume and compare the share found with the prediction, and with plain filters."""
    sign = 1 if kind == "tubes" else -1
    extent = 2 * HALF if kind == "tubes" else math.pi * RADIUS**2
    levels = thresholds(kind, series, 8)
    for name in ORIENTATIONS:
        hits, predicted, coverage = [], [], []
        plain: dict[str, list[bool]] = {n: [] for n in levels}
        for seed in seeds:
            rng = np.random.default_rng(5000 + seed * 37 + sum(map(ord, name)))
            volume, truth = plant(kind, series.n, [name], snr * series.noise_sd, rng, apart)
            halves = series.taken(volume, rng)
            result = series.look(kind, halves)
            hits += list(matches(kind, result, truth, sign)[0])
            near = np.abs(truth.axes @ result.detectability.axes.T).argmax(axis=1)
            chance = result.detectability.recall(snr * series.noise_sd, extent)
            predicted += list(chance[near])
            coverage += list(result.detectability.coverage[0][near])
            for n, response in hessians(kind, series.whole(halves)).items():
                plain[n] += touched(response, levels[n], truth)
        k, n_all = int(np.sum(hits)), len(hits)
        others = ", ".join(f"{n} {np.mean(v):.2f}" for n, v in plain.items())
        say(f"  {name}: found {share_of(k, n_all)}, predicted {np.mean(predicted):.2f}, "
            f"coverage {np.mean(coverage):.2f}; {others}")  # fmt: skip


def extents_of(rows: list[Any], extent: float, height: float, wanted: int) -> str:
    """Return what measured lengths or areas and amplitudes, and their stated errors, are like."""
    if not rows:
        return "never found"
    value, sigma, amplitude, sigma_amplitude = np.array(rows).T
    error, other = value - extent, amplitude - height
    return (
        f"found {share_of(len(rows), wanted)}; error {100 * error.mean() / extent:+.1f} % on average, "
        f"{100 * np.abs(error).max() / extent:.1f} % at most, {over(error, sigma)}; "
        f"of amplitude {100 * other.mean() / height:+.1f} %, {over(other, sigma_amplitude)}"
    )


def over(error: np.ndarray, stated: np.ndarray) -> str:
    """Return how large errors are by those stated, and how many these hold."""
    held = int((np.abs(error) < 1.96 * stated).sum())
    return (
        f"rms over stated {math.sqrt(((error / stated) ** 2).mean()):.2f}, 1.96 of it hold {held}"
    )


def long_tubes(series: Series, seeds: range, snr: float) -> None:
    """Plant a straight tube along each of x, y, z, an oblique one and an arc; compare lengths."""
    n = series.n
    t = np.linspace(-0.5, 0.5, 321)
    lines = {
        "along x, 70 px": (70.0, np.stack([0 * t + 28, 0 * t + 30, 63.5 + 70 * t], 1)),
        "along y, 80 px": (80.0, np.stack([0 * t + 30, 63.5 + 80 * t, 0 * t + 100], 1)),
        "along z, 70 px": (70.0, np.stack([64 + 70 * t, 0 * t + 100, 0 * t + 30], 1)),
        "oblique, 76 px": (76.0, np.stack([80 + 24 * t, 40 + 48 * t, 80 + 53.8 * t], 1)),
        "arc of 45 px over 100 deg": (
            45 * math.radians(100),
            np.stack([0 * t + 98, 64 + 45 * np.sin(1.745 * t), 68 + 45 * np.cos(1.745 * t)], 1),
        ),
    }
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in lines}
    extra, cpu = [], 0.0
    for seed in seeds:
        rng = np.random.default_rng(3000 + seed)
        shift = rng.uniform(-2, 2, (len(lines), 3))
        volume = np.zeros((n, n, n), np.float32)
        for (length, line), by in zip(lines.values(), shift, strict=True):
            share = length / len(line) / (math.sqrt(2 * math.pi) * WIDTH)
            heights = np.full(len(line), snr * series.noise_sd * share)
            volume += gaussian_blobs(volume.shape, line + by, np.full(len(line), WIDTH), heights)
        halves, begin = series.taken(volume, rng), time.process_time()
        found = series.look("tubes", halves)
        cpu += time.process_time() - begin
        own = set()
        for (name, (_, line)), by in zip(lines.items(), shift, strict=True):
            own |= measured_at(found, found.lines, line[160] + by, "length_px", rows[name])
        extra.append(len(found.lines) - len(own))
    for name, (length, line) in lines.items():
        # Beads a step apart make a tube one step longer than from the first to the last, and thinner by as much.
        step = length / (len(line) - 1)
        height = snr * series.noise_sd * length / (length + step)
        say(f"  {name}: {extents_of(rows[name], length + step, height, len(seeds))}")
    say(f"  other rows a volume: {np.mean(extra):.2f}; {cpu / len(seeds):.1f} CPU s each")


def disc_areas(series: Series, seeds: range, snr: float) -> None:
    """Plant two discs a volume, in opposite corners; compare areas."""
    names = [n for n in ORIENTATIONS if n not in ("z", "xz60")]  # those are all but hidden
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in names}
    planted, extra = dict.fromkeys(names, 0), []
    for seed in seeds:
        rng = np.random.default_rng(4000 + seed)
        chosen = [names[seed % 4], names[(seed + seed // 4 + 1) % 4]]
        volume, truth = plant("sheets", series.n, chosen, snr * series.noise_sd, rng, apart=True)
        found = series.look("sheets", series.taken(volume, rng))
        own = set()
        for name, place in zip(chosen, truth.places, strict=True):
            planted[name] += 1
            own |= measured_at(found, found.surfaces, place, "area_px2", rows[name])
        extra.append(len(found.surfaces) - len(own))
    for name, wanted in planted.items():
        height = -snr * series.noise_sd
        say(f"  {name}: {extents_of(rows[name], math.pi * RADIUS**2, height, wanted)}")
    say(f"  other rows a volume: {np.mean(extra):.2f}")


def measured_at(
    found: Found, drawn: tuple[np.ndarray, ...], place: np.ndarray, extent: str, rows: list[Any]
) -> set[int]:
    """Add what is measured of the object that passes within 4 px of a place; return its row."""
    gaps = [np.linalg.norm(nodes - place, axis=1).min() for nodes in drawn]
    if min(gaps, default=math.inf) >= 4:
        return set()
    row = int(np.argmin(gaps))
    columns = (extent, f"sigma_{extent}", "amplitude", "sigma_amplitude")
    rows.append(tuple(found.table[c][row] for c in columns))
    return {row}


def false_rows(kind: str, series: Series, seeds: range, snr: float) -> None:
    """Plant all orientations and count rows that lie on nothing."""
    sign = 1 if kind == "tubes" else -1
    far: dict[float, list[tuple[int, int]]] = {0.05: [], 0.10: []}
    hits, passed = [], 0
    for seed in seeds:
        rng = np.random.default_rng(9000 + seed)
        names = list(rng.permutation(list(ORIENTATIONS)))
        volume, truth = plant(kind, series.n, names, snr * series.noise_sd, rng)
        result = series.look(kind, series.taken(volume, rng), fdr=0.10)
        hit, stray = matches(kind, result, truth, sign)
        hits += list(hit)
        passed += result.null.passed
        for rate, rows in far.items():
            kept = result.table["q_value"] <= rate
            rows.append((int(stray[kept].sum()), int(kept.sum())))
    say(
        f"  null check passed in {passed} of {len(seeds)}; found {share_of(int(np.sum(hits)), len(hits))}"
    )
    for rate, rows in far.items():
        k, n = np.sum(rows, axis=0)
        share = [a / max(b, 1) for a, b in rows]
        say(f"  far rows at fdr {rate}: {k} of {n}; mean share {np.mean(share):.3f} +- "
            f"{1.96 * np.std(share) / math.sqrt(len(share)):.3f}")  # fmt: skip


def speed(kind: str) -> None:
    """Time one search of noise."""
    series = Series(128, 60.0)
    halves = series.taken(None, np.random.default_rng(1))
    for directions in (50, None):
        times = []
        for _ in range(3):
            begin = time.process_time()
            result = series.look(kind, halves, directions=directions)
            times.append(time.process_time() - begin)
        say(f"  128^3, {len(result.detectability.axes)} directions: {min(times):.2f} CPU s")


def main() -> None:
    """Run the cases that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "cases", nargs="+", choices=["null", "recall", "false", "long", "areas", "speed"]
    )
    parser.add_argument("--kind", choices=["tubes", "sheets"], default="tubes")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--first", type=int, default=300)
    parser.add_argument("--n", type=int, default=80)
    parser.add_argument("--tilt", type=float, default=60.0)
    parser.add_argument(
        "--snr",
        type=float,
        help="peak over the voxels' noise; default 0.8 (long: 2) and 0.25 (areas: 0.5)",
    )
    parser.add_argument(
        "--apart", action="store_true", help="recall: two objects a volume, not eight"
    )
    a = parser.parse_args()
    seeds = range(a.first, a.first + a.seeds)
    snr = a.snr or (0.8 if a.kind == "tubes" else 0.25)
    for case in a.cases:
        say(
            f"{case}, {a.kind}, {a.n}^3, +-{a.tilt:g} degrees, snr {snr:g}, seeds {seeds.start} to {seeds.stop - 1}"
        )
        if case == "speed":
            speed(a.kind)
            continue
        if case == "long":
            long_tubes(Series(128, 65.0), seeds, a.snr or 2.0)
            continue
        series = Series(a.n, a.tilt)
        if case == "null":
            noise_only(a.kind, series, seeds)
        elif case == "areas":
            disc_areas(series, seeds, a.snr or 0.5)
        elif case == "recall":
            recall(a.kind, series, seeds, snr, a.apart)
        else:
            false_rows(a.kind, series, seeds, snr)


if __name__ == "__main__":
    warnings.simplefilter("error", RuntimeWarning)
    main()
