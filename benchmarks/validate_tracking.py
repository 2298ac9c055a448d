# SPDX-License-Identifier: BSD-3-Clause
"""Objects that move, vanish for a frame, merge and split: does ``detect.track`` find their histories, and how fast?

    python benchmarks/validate_tracking.py density   # wrong and missed links by density, and of nearest neighbours
    python benchmarks/validate_tracking.py events    # mergers and splits found, and false ones
    python benchmarks/validate_tracking.py growth    # coverage of 95 % intervals of the rates of growth
    python benchmarks/validate_tracking.py speed     # CPU seconds for 10^4 objects x 20 frames
    python benchmarks/validate_tracking.py density --first 100 --seeds 5

Worlds are those of tests/detect/histories.py. The baseline links each object to the nearest one of the last frame (or
of the one before it), nearest pairs first, within a given distance, as the simplest trackers do; it is given the best
of a row of distances, found with the truth.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "detect"))
from histories import World, links_of, true_links

from cryolith.detect import track
from cryolith.detect._moments import near_pairs


def say(line: str) -> None:
    """Write a line now."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def nearest_links(tables, names, distance):
    """Return the links of greedy nearest neighbours, gaps of one frame included."""
    places = [np.stack([t[f"{a}_px"] for a in "zyx"], axis=1) for t in tables]
    found, lonely = set(), np.zeros(0, int)
    for i in range(1, len(places)):
        free = np.ones(len(places[i]), bool)
        next_lonely = np.ones(len(places[i - 1]), bool)
        for back, rows in ((i - 1, np.arange(len(places[i - 1]))), (i - 2, lonely)):
            if back < 0:
                continue
            a, b = near_pairs(places[back][rows], places[i], distance)
            order = np.argsort(((places[back][rows][a] - places[i][b]) ** 2).sum(axis=1))
            used = np.zeros(len(rows), bool)
            for k in order:
                if not used[a[k]] and free[b[k]]:
                    used[a[k]], free[b[k]] = True, False
                    row = rows[a[k]]
                    found.add(((back, int(names[back][row])), (i, int(names[i][b[k]]))))
                    if back == i - 1:
                        next_lonely[row] = False
        lonely = np.flatnonzero(next_lonely)
    return found


def errors(found, truth):
    """Return the shares of links made that are wrong, and of true links that are missing."""
    return len(found - truth) / max(len(found), 1), len(truth - found) / len(truth)


def density(seeds):
    say("motion / spacing | ours wrong, missed | places only | nearest neighbours, best distance")
    for motion in (0.5, 1.0, 1.5, 2.0):
        rows = []
        for seed in seeds:
            world = World(np.random.default_rng(seed), 1000, edge=100.0, motion=motion)
            for _ in range(8):
                world.show()
            tables, names = world.seen(sigma=0.2, sigma_volume=10.0, missed=0.03)
            truth = true_links(names)
            ours = errors(links_of(track(tables), names), truth)
            blind = errors(links_of(track(tables, size=None), names), truth)
            near = [nearest_links(tables, names, d * motion) for d in (2.0, 2.5, 3.0, 4.0, 5.0)]
            rows.append((*ours, *blind, *min((errors(n, truth) for n in near), key=sum)))
        mean = np.mean(rows, axis=0) * 100
        say(
            f"{motion / 10:.2f} | {mean[0]:.2f} % {mean[1]:.2f} % | {mean[2]:.2f} % {mean[3]:.2f} % | "
            f"{mean[4]:.2f} % {mean[5]:.2f} %"
        )


def events(seeds):
    """Forty mergers and forty splits of a world of 300, one of each in ten frames."""
    found, planted, false = 0, 0, 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        world = World(rng, 300, edge=120.0, motion=0.3, volume=(150.0, 400.0))
        told = []
        for i in range(10):
            world.show()
            if i == 9:
                break
            for _ in range(4):
                name = int(rng.choice(list(world.place)))
                if rng.random() < 0.5:
                    apart = rng.standard_normal(3)
                    apart *= 7 / np.linalg.norm(apart)
                    told.append((i + 1, frozenset(world.split(name, rng.uniform(0.3, 0.7), apart))))
                    continue
                others = [n for n in world.place if n != name]
                gaps = [np.linalg.norm(world.place[n] - world.place[name]) for n in others]
                other = others[int(np.argmin(gaps))]
                if min(gaps) > 9:
                    continue
                told.append((i + 1, frozenset([world.merge(name, other)])))
        tables, names = world.seen(sigma=0.2, sigma_volume=8.0, missed=0.01)
        seen = [set(n.tolist()) for n in names]
        told = [t for t in told if t[1] <= seen[t[0]]]
        got = track(tables)
        begun: dict[tuple, set] = {}
        for t, f, r, e in zip(
            *(got.links[k] for k in ("track", "frame", "row", "event")), strict=True
        ):
            if e in ("merge", "split"):
                key = (int(f), str(e), int(got.tracks["parent1"][t]), int(got.tracks["parent2"][t]))
                begun.setdefault(key, set()).add(int(names[f][r]))
        calls = [(key[0], frozenset(v)) for key, v in begun.items()]
        hits = len(set(calls) & set(told))
        found, planted, false = found + hits, planted + len(told), false + len(calls) - hits
    say(f"mergers and splits: {found} of {planted} found, {false} false")


def growth(seeds):
    z, chances = [], []
    for seed in seeds:
        world = World(np.random.default_rng(seed), 500, motion=0.3, rate=3.0)
        for _ in range(10):
            world.show()
        tables, names = world.seen(missed=0.03)
        found = track(tables)
        t = found.tracks
        first = {}
        for k, f, r in zip(*(found.links[c] for c in ("track", "frame", "row")), strict=True):
            first.setdefault(int(k), int(names[f][r]))
        for k in np.flatnonzero(t["count"] >= 3):
            z.append((t["growth"][k] - world.rates[first[int(k)]]) / t["sigma_growth"][k])
            chances.append(t["p_growth"][k])
    z = np.array(z)
    half = 1.96 * np.sqrt(0.95 * 0.05 / len(z))
    say(
        f"growth: {len(z)} tracks, 95 % intervals hold {100 * np.mean(np.abs(z) < 1.96):.1f} % +- {100 * half:.1f}, "
        f"mean {z.mean():.3f}, sd {z.std():.3f}; p below 0.05: {100 * np.mean(np.array(chances) < 0.05):.1f} %"
    )


def speed(seeds):
    world = World(np.random.default_rng(seeds[0]), 10_000, edge=300.0, motion=1.0)
    for _ in range(20):
        world.show()
    tables, names = world.seen(sigma_volume=10.0, missed=0.02)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        found = track(tables)
        seconds.append(time.process_time() - start)
    wrong, missed = errors(links_of(found, names), true_links(names))
    say(
        f"10^4 x 20: {min(seconds):.1f} CPU s (least of 3), wrong {100 * wrong:.2f} %, missed {100 * missed:.2f} %"
    )


CASES = {"density": density, "events": events, "growth": growth, "speed": speed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("cases", nargs="+", choices=CASES)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=9000)
    chosen = parser.parse_args()
    for name in chosen.cases:
        CASES[name](range(chosen.first, chosen.first + chosen.seeds))


if __name__ == "__main__":
    main()
