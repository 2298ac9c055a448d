# SPDX-License-Identifier: BSD-3-Clause
"""Blobs planted in noise and in tilt series: are the rates, sizes and errors of ``detect.blobs`` what it says?

    python benchmarks/validate_blobs.py white wedge             # 256^3, white noise, without and with a wedge of 60 deg
    python benchmarks/validate_blobs.py null weak mixed bright  # 128^3 from 61 tilts of counted electrons, +-60 degrees
    python benchmarks/validate_blobs.py weak --solver sirt --tilt 70 --seeds 10 --first 100

Each line is the mean over seeds with a 95 % interval (Student's t over seeds; Wilson's for single events). A call is a
match within max(2 px, one size) of a planted blob of its sign, each planted blob once, and far when it is farther than
three sizes from every planted blob. ``log`` is the Laplacian of Gaussian of the same module. With ``--peers``
scikit-image's blob_log looks at the same volumes, with the smallest size (2 to 5 px) and threshold of best F1 in each
"""

from __future__ import annotations

import argparse
import functools
import math
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from tables import share_of

from cryolith.detect import FoundBlobs, blobs
from cryolith.detect._gaussian_blobs import gaussian_blobs
from cryolith.projection import Geometry, project
from cryolith.reconstruct import Halves, cgls, sirt, wbp

DOSE, THICKNESS_OVER_PATH = (
    100.0,
    0.5,
)  # electrons a pixel before the specimen; slab over mean free path
SMALLEST, LARGEST = 2.0, 6.0
LADDER = 1.4 * np.exp(0.2 * np.arange(10))
RATES = (0.05, 0.10)


def say(line: str) -> None:
    """Write a line now."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Truth(NamedTuple):
    """Planted blobs."""

    places: np.ndarray
    sizes: np.ndarray
    heights: np.ndarray


def plant(shape: int, count: int, rng: np.random.Generator, heights: np.ndarray) -> Truth:
    """Return blobs of random place and size, three sums of sizes apart."""
    places, sizes = [], []
    while len(places) < count:
        size = rng.uniform(SMALLEST, LARGEST)
        edge = 3 * size + 2 if shape > 200 else max(10, 2 * size + 2)
        place = rng.uniform(edge, shape - edge - 1, 3)
        if all(
            np.linalg.norm(place - p) > 3 * (size + s) for p, s in zip(places, sizes, strict=True)
        ):
            places.append(place)
            sizes.append(size)
    return Truth(np.array(places), np.array(sizes), heights)


class Score(NamedTuple):
    """One table against the truth."""

    found: int
    matched: int
    far: int
    planted: int
    rows: np.ndarray  # significance, then error and sigma of z, y, x, log size, log height

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.matched / (self.found + self.planted)


def score(result: FoundBlobs, truth: Truth, chosen: Any = slice(None)) -> Score:
    """Match a table's rows, one to one, nearest first."""
    table = {k: v[chosen] for k, v in result.table.items()}
    at = np.stack([table[f"{a}_px"] for a in "zyx"], axis=1)
    gap = np.linalg.norm(at[:, None] - truth.places[None], axis=2)
    same = table["sign"][:, None] == np.sign(truth.heights)[None]
    pairs = sorted(
        (gap[i, j], i, j) for i, j in np.argwhere(same & (gap < np.maximum(2, truth.sizes)))
    )
    mine: dict[int, int] = {}
    for _, i, j in pairs:
        if i not in mine and j not in mine.values():
            mine[int(i)] = int(j)
    far = int((gap > 3 * truth.sizes).all(axis=1).sum())
    rows = []
    for i, j in mine.items():
        size = table["size_px"][i]
        height = truth.heights[j]
        rows.append(
            [
                table["significance"][i],
                *(at[i] - truth.places[j]),
                math.log(size / truth.sizes[j]),
                math.log(table["amplitude"][i] / height),
                *(table[f"sigma_{a}_px"][i] for a in "zyx"),
                table["sigma_size_px"][i] / size,
                table["sigma_amplitude"][i] / abs(table["amplitude"][i]),
            ]
        )
    return Score(len(at), len(mine), far, len(truth.sizes), np.array(rows).reshape(-1, 11))


class Series:
    """A tilt series of counted electrons and its reconstruction in halves."""

    def __init__(self, n: int, tilt: float, solver: str, split: str, n_iter: int) -> None:
        self.n, self.split = n, split
        self.angles = np.arange(-tilt, tilt + 1e-6, 2.0)
        self.geometry = Geometry.single_axis(self.angles)
        self.image_shape = (n, math.ceil(1.42 * n) + 4)
        ways: dict[str, Callable[..., Any]] = {
            "wbp": functools.partial(wbp, filter="ramp"),
            "sirt": functools.partial(sirt, n_iter=n_iter or 20, lower=-np.inf),
            "cgls": functools.partial(cgls, n_iter=n_iter or 15),
        }
        self.electrons = DOSE * np.exp(-THICKNESS_OVER_PATH / np.cos(np.deg2rad(self.angles)))
        # Of the ramp WBP whatever the solver: all of them are shown the same specimens.
        self.solve = ways["wbp"]
        self.noise_sd = float(self.reconstructed(None, np.random.default_rng(12345)).full.std())
        self.solve = ways[solver]

    def reconstructed(self, volume: np.ndarray | None, rng: np.random.Generator) -> Halves:
        """Count electrons and reconstruct."""
        shape = (len(self.angles), *self.image_shape)
        lines = np.zeros(shape, np.float32)
        if volume is not None:
            project(volume, self.geometry, self.image_shape, out=lines, threads=1)

        def counted(share: float) -> np.ndarray:
            mean = share * self.electrons[:, None, None]
            counts = rng.poisson(mean * np.exp(-lines))
            return (-np.log((counts + 0.5) / mean)).astype(np.float32)

        cube = (self.n,) * 3
        how: dict[str, Any] = {"shape": cube, "halves": self.split, "whole": False, "threads": 1}
        stack: Any = counted(1.0) if self.split == "tilts" else (counted(0.5) / 2, counted(0.5) / 2)
        found: Halves = self.solve(stack, self.geometry, **how)
        return found

    def look(self, halves: Halves, **options: Any) -> FoundBlobs:
        """Look for blobs with all that is known."""
        return blobs(
            None,
            sizes=LADDER,
            halves=halves,
            geometry=self.geometry,
            image_shape=self.image_shape,
            solve=self.solve,
            margin=8,
            threads=1,
            **options,
        )


def oracle(volume: np.ndarray, truth: Truth, smallest: float) -> tuple[float, float]:
    """Return the best F1 of scikit-image's blob_log over thresholds, and the share of far calls there."""
    from scipy.ndimage import gaussian_laplace, map_coordinates
    from skimage.feature import blob_log

    sizes = np.arange(smallest, LARGEST + 1)
    fields = {s: -(s**2) * gaussian_laplace(volume, s) for s in sizes}
    rows = []
    for sign in (1.0, -1.0):
        found = blob_log(
            sign * volume,
            min_sigma=smallest,
            max_sigma=LARGEST,
            num_sigma=len(sizes),
            threshold=3 * fields[smallest].std(),
            overlap=0.5,
        )
        for *place, size in found:
            near = sizes[np.abs(sizes - size).argmin()]
            at = np.array(place)[:, None]
            rows.append([*place, sign, sign * map_coordinates(fields[near], at, order=1)[0]])
    table = np.array(rows).reshape(-1, 5)
    table = table[np.argsort(-table[:, 4])]
    gap = np.linalg.norm(table[:, None, :3] - truth.places[None], axis=2)
    near_enough = gap < np.maximum(2, truth.sizes)
    same = near_enough & (table[:, 3, None] == np.sign(truth.heights))
    far = np.cumsum((gap > 3 * truth.sizes).all(axis=1))
    taken, matched, best = np.zeros(len(truth.sizes), bool), 0, (0.0, 0.0)
    for i, row in enumerate(same):
        free = np.flatnonzero(row & ~taken)
        if len(free):
            taken[free[gap[i, free].argmin()]] = True
            matched += 1
        best = max(best, (2 * matched / (i + 1 + len(taken)), float(far[i]) / (i + 1)))
    return best


def interval(values: list[float] | np.ndarray) -> str:
    """Return mean and 95 % interval over seeds."""
    x = np.array(values, float)
    if len(x) < 2:
        return f"{x.mean():.3f}"
    t = {2: 12.7, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 8: 2.36, 10: 2.26, 12: 2.20, 20: 2.09}
    factor = t.get(len(x), 2.0 + 2.6 / (len(x) - 1))
    return f"{x.mean():.3f} +- {factor * x.std(ddof=1) / math.sqrt(len(x)):.3f}"


def report(name: str, scores: list[Score]) -> None:
    """Print rates, sizes and coverage of some tables."""
    say(f"  {name}: F1 {interval([s.f1 for s in scores])}, "
          f"recall {interval([s.matched / s.planted for s in scores])}, "
          f"far calls {interval([s.far / max(s.found, 1) for s in scores])}, "
          f"unmatched {interval([1 - s.matched / max(s.found, 1) for s in scores])}")  # fmt: skip
    rows = np.concatenate([s.rows for s in scores])
    if not len(rows):
        return
    strong = rows[rows[:, 0] > 6]
    names = ("z", "y", "x", "size", "height")
    inside = (np.abs(rows[:, 1:6]) < 1.96 * rows[:, 6:]).sum(axis=0)
    shares = [f"{n} {share_of(int(k), len(rows))}" for n, k in zip(names, inside, strict=True)]
    say("    inside 95 % intervals: " + ", ".join(shares))
    say(f"    above significance 6: size bias {100 * strong[:, 4].mean():.1f} +- "
          f"{196 * strong[:, 4].std() / math.sqrt(len(strong)):.1f} %, "
          f"height {100 * np.median(strong[:, 5]):.1f} % (median), "
          f"n {len(strong)} of {len(rows)}")  # fmt: skip


def noise_only(series: Series, seeds: range) -> None:
    """Count extrema of noise against their expectation, and tables that are not empty."""
    observed, decoys, expected, any_, cpu = [], [], [], 0, 0.0
    for seed in seeds:
        halves = series.reconstructed(None, np.random.default_rng(1000 + seed))
        begin = time.process_time()
        result = series.look(halves, injections=0)
        cpu += time.process_time() - begin
        observed.append(extrema_of(series, halves))
        decoys.append(result.null.observed)
        expected.append(result.null.expected)
        any_ += len(result.table["z_px"]) > 0
    say(f"  levels {result.null.levels}, expected {np.round(np.sum(expected, axis=0), 1)}")
    for name, counts in (("volumes", observed), ("decoys", decoys)):
        total = np.sum(counts, axis=0)
        ratio = np.array(counts) / np.mean(expected, axis=0)
        say(f"  {name}: {total}, over expected: " + "; ".join(interval(r) for r in ratio.T))
    say(f"  volumes with a call at fdr 0.05: {any_} of {len(seeds)}, {share_of(any_, len(seeds))}; "
          f"{cpu / len(seeds):.1f} CPU s each")  # fmt: skip


def extrema_of(series: Series, halves: Halves) -> np.ndarray:
    """Return the counts of extrema of the volume itself, by handing its sum in as the difference."""
    total = halves.first + halves.second
    result = series.look(
        Halves(first=total / 2, second=-total / 2, full=total, split="frames", index=halves.index),
        injections=0,
    )
    return result.null.observed


def heights_of(kind: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return signed peak values over the voxels' noise in a ramp WBP: weak 0.3, bright 1, mixed half of each."""
    share = {"weak": 0.0, "mixed": 0.5, "bright": 1.0}[kind]
    size = np.where(np.arange(count) < share * count, 1.0, 0.3)
    return size * rng.choice([-1.0, 1.0], count)


def expected_recall(result: FoundBlobs, truth: Truth) -> np.ndarray:
    """Return the chance to find each planted blob by the map of detectability."""
    seen = result.detectability
    size = np.abs(np.subtract.outer(np.log(truth.sizes), np.log(seen.sizes))).argmin(axis=1)
    return np.array(
        [seen.recall(h)[0, i] for h, i in zip(np.abs(truth.heights), size, strict=True)]
    )


def detected(result: FoundBlobs, truth: Truth) -> float:
    """Return the share of planted blobs with a row of their sign within two sizes, wherever its fit has moved."""
    at = np.stack([result.table[f"{a}_px"] for a in "zyx"], axis=1)
    gap = np.linalg.norm(at[:, None] - truth.places[None], axis=2)
    same = result.table["sign"][:, None] == np.sign(truth.heights)
    return float((same & (gap < 2 * truth.sizes)).any(axis=0).mean())


def planted(series: Series, kind: str, seeds: range, count: int, peers: bool) -> None:
    """Plant, reconstruct, find, score."""
    scores: dict[str, list[Score]] = {}
    expected: list[float] = []
    near: list[float] = []
    best: list[tuple[float, float]] = []
    cpu, checks = 0.0, 0
    for seed in seeds:
        rng = np.random.default_rng(1000 + seed)
        heights = heights_of(kind, count, rng) * series.noise_sd
        truth = plant(series.n, count, rng, heights)
        volume = gaussian_blobs((series.n,) * 3, *truth)
        halves = series.reconstructed(volume, rng)
        begin = time.process_time()
        result = series.look(halves, fdr=max(RATES))
        cpu += time.process_time() - begin
        checks += result.null.passed
        expected.append(float(expected_recall(result, truth).mean()))
        if peers:
            whole = halves.first + halves.second
            best.append(max(oracle(whole, truth, smallest) for smallest in (2.0, 3.0, 4.0, 5.0)))
        near.append(detected(result, truth))
        for rate in RATES:
            chosen = result.table["q_value"] <= rate
            scores.setdefault(f"matched, fdr {rate}", []).append(score(result, truth, chosen))
        plain = blobs(None, sizes=LADDER, halves=halves, margin=8, method="log", threads=1)
        scores.setdefault("log, fdr 0.05", []).append(score(plain, truth))
        ours, log = scores[f"matched, fdr {RATES[0]}"][-1], scores["log, fdr 0.05"][-1]
        say(f"  seed {seed}: F1 {ours.f1:.3f}, far {ours.far} of {ours.found}; log {log.f1:.3f}")
    say(f"  null check passed in {checks} of {len(seeds)}, {cpu / len(seeds):.1f} CPU s each")
    say(f"  recall at {max(RATES)} expected by the map {interval(expected)}")
    mine, plain_f1 = (
        [s.f1 for s in scores[name]] for name in (f"matched, fdr {RATES[0]}", "log, fdr 0.05")
    )
    say(f"  F1 at {RATES[0]} less that of log {interval(np.subtract(mine, plain_f1))}")
    say(
        f"  rows within two sizes of a planted blob, at {max(RATES)}, over planted {interval(near)}"
    )
    if best:
        say(
            f"  F1 at {RATES[0]} less that of blob_log {interval(np.subtract(mine, [b[0] for b in best]))}"
        )
        say(f"  scikit-image blob_log, oracle threshold: F1 {interval([b[0] for b in best])}, "
              f"far calls {interval([b[1] for b in best])}")  # fmt: skip
    for name, each in scores.items():
        report(name, each)


def white(seeds: range, wedge: float) -> None:
    """Blobs of 1 to 34 significances in white noise of 256^3, also behind a wedge."""
    n, count = 256, 300
    transfer = None
    if wedge:
        kz, kx = np.abs(np.fft.fftfreq(n))[:, None, None], np.abs(np.fft.rfftfreq(n))[None, None]
        seen = kz <= np.tan(np.deg2rad(wedge)) * kx + 1e-9
        transfer = np.broadcast_to(seen, (n, n, n // 2 + 1)).astype(np.float32)
    scores: dict[str, list[Score]] = {"matched": [], "log": []}
    cpu = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        truth = plant(n, count, rng, np.ones(count))
        volume = gaussian_blobs((n,) * 3, *truth) + rng.standard_normal((n,) * 3, np.float32)
        if transfer is not None:
            spectrum = np.fft.rfftn(volume) * transfer
            volume = np.fft.irfftn(spectrum, volume.shape, axes=(0, 1, 2)).astype(np.float32)
        for method in ("matched", "log"):
            begin = time.process_time()
            given = transfer if method == "matched" else None
            found = blobs(volume, sizes=[2, 3, 4, 5, 6], transfer=given, method=method, threads=1)
            if method == "matched":
                cpu.append(time.process_time() - begin)
            scores[method].append(score(found, truth))
    say(f"  CPU seconds {interval(cpu)}, least {min(cpu):.2f}")
    for name, each in scores.items():
        report(name, each)


def main() -> None:
    """Run the cases that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cases = ["white", "wedge", "null", "weak", "mixed", "bright"]
    parser.add_argument("cases", nargs="+", choices=cases)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=100)
    parser.add_argument("--n", type=int, default=128)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--tilt", type=float, default=60.0)
    parser.add_argument("--solver", choices=["wbp", "sirt", "cgls"], default="wbp")
    parser.add_argument("--iterations", type=int, default=0, help="0: 20 of sirt, 15 of cgls")
    parser.add_argument("--split", choices=["tilts", "frames"], default="tilts")
    parser.add_argument("--peers", action="store_true")
    a = parser.parse_args()
    seeds = range(a.first, a.first + a.seeds)
    for case in a.cases:
        if case in ("white", "wedge"):
            say(f"{case}: 256^3, seeds {seeds.start} to {seeds.stop - 1}")
            white(seeds, 60.0 if case == "wedge" else 0.0)
            continue
        solver = f"{a.solver} {a.iterations}" if a.iterations else a.solver
        say(
            f"{case}: {a.n}^3, +-{a.tilt:g} degrees, {solver}, {a.split}, seeds {seeds.start} to {seeds.stop - 1}"
        )
        series = Series(a.n, a.tilt, a.solver, a.split, a.iterations)
        if case == "null":
            noise_only(series, seeds)
        else:
            planted(series, case, seeds, a.count, a.peers)


if __name__ == "__main__":
    warnings.simplefilter("error", RuntimeWarning)
    main()
