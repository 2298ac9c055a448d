# SPDX-License-Identifier: BSD-3-Clause
"""Alerts of `cryolith watch` on simulated series: false ones on clean series, and planted events that are missed.

    python benchmarks/validate_watch.py [--series 10] [--doses 1 3 10 100] [--first-seed 0]

41 tilts of 256 x 256 px, -60 to 60 deg: dose-symmetric, from end to end, or from 0 outward to one side and then to the
other, in turn. Slabs in dark and in bright field, needles, particles; every image shifted at random by 1 % of its edge
(standard deviation), and by a specimen that lies off the tilt axis; slabs lie up to 8 deg inclined. Of each series one
clean copy, and one with three events at tilts drawn from the fourth on: a blank tilt (beam blanked, or nothing
in it), an intensity that falls or rises by 40 to 150 % (for one tilt, or from then on), and a shift by 15 to 35 % of
the edge (likewise). ``dose`` is the mean number of electrons a pixel.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from tables import share_of, write_machine, write_table

from cryolith.projection import Geometry, project
from cryolith.watch import WatchSettings
from cryolith.watch.growing import GrowingFile
from cryolith.watch.live import LiveSeries
from cryolith.watch.sources import Source, Tilt

EDGE = 256
KINDS = ("slab, dark field", "slab, bright field", "needle", "particle")
AXIS_DEG = 4.0
EVENTS = ("blank", "intensity", "drift")
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Remembered(GrowingFile):
    """A file that is an array."""

    pixels: Any = None

    def image(self, i: int) -> Any:
        return self.pixels


@dataclass
class Case:
    """Noiseless images in the order of recording, and what was planted: (tilt, kind)."""

    images: npt.NDArray[np.float32]
    angles: Float64
    planted: set[tuple[int, str]] = field(default_factory=set)


def smooth(rng: np.random.Generator, shape: tuple[int, ...], width: float) -> npt.NDArray[Any]:
    """Noise of structures about ``width`` px wide, with standard deviation 1."""
    f = np.fft.rfftn(rng.normal(0, 1, shape).astype(np.float32))
    axes = [np.fft.fftfreq(n) for n in shape[:-1]] + [np.fft.rfftfreq(shape[-1])]
    q = sum(
        a.reshape([-1 if i == j else 1 for j in range(len(shape))]) ** 2 for i, a in enumerate(axes)
    )
    out = np.fft.irfftn(f * np.exp(-2 * (np.pi * width) ** 2 * q), shape, axes=range(len(shape)))
    return (out / out.std()).astype(np.float32)


def specimen(kind: str, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    if kind.startswith("slab"):
        body = smooth(rng, (32, EDGE + 64, 3 * EDGE), 2.5)
        return np.clip(1 + 0.35 * body, 0.05, None)
    z, y, x = np.ogrid[-64:64, -EDGE // 2 : EDGE // 2, -64:64]
    if kind == "needle":
        inside = z**2 + x**2 < 55**2
        edges = (
            np.cumsum(rng.uniform(8, 40, 40)) - EDGE
        )  # a period would make shifts ambiguous by it
        layers = 0.4 + 0.6 * (np.searchsorted(edges, (y + 0.2 * x)) % 2)
        return (inside * layers * (1 + 0.15 * smooth(rng, (128, EDGE, 128), 3))).astype(np.float32)
    total = np.zeros((128, EDGE, 128), np.float32)
    for _ in range(15):
        at = rng.uniform(-35, 35, 3)
        r = rng.uniform(8, 20)
        total += rng.uniform(0.4, 1) * (
            (z - at[0]) ** 2 + (y - at[1]) ** 2 + (x - at[2]) ** 2 < r**2
        )
    return total


def scheme(i: int) -> Float64:
    angles = np.arange(-60.0, 61.0, 3.0)
    if i % 3 == 0:
        return angles[np.lexsort((-angles, np.abs(angles)))]
    return angles if i % 3 == 1 else np.concatenate([angles[20::-1], angles[21:]])


def clean_case(kind: str, seed: int) -> Case:
    rng = np.random.default_rng(seed)
    angles = scheme(seed)
    shifts = rng.normal(0, 0.01 * EDGE, (len(angles), 2))
    off_axis, inclined = rng.normal(0, 0.03 * EDGE), rng.uniform(-8, 8)
    shifts[:, 1] += off_axis * np.sin(np.deg2rad(angles))
    seen = angles + inclined if kind.startswith("slab") else angles
    return Case(exposed(kind, specimen(kind, rng), seen, shifts), angles)


def exposed(kind: str, body: Any, angles: Float64, shifts: Float64) -> Any:
    geometry = Geometry.single_axis(angles, tilt_axis_deg=AXIS_DEG, shifts_px=shifts)
    path = np.maximum(project(body, geometry, (EDGE, EDGE)), 0.0)
    if kind == "slab, bright field":
        return np.exp(-0.6 * path / 32)
    return path + (0.0 if kind.startswith("slab") else 0.05 * path.max())


def planted_case(kind: str, seed: int) -> Case:
    """The same series with three events, each four tilts or more from the others."""
    rng = np.random.default_rng(seed)
    angles = scheme(seed)
    shifts = rng.normal(0, 0.01 * EDGE, (len(angles), 2))
    off_axis, inclined = rng.normal(0, 0.03 * EDGE), rng.uniform(-8, 8)
    shifts[:, 1] += off_axis * np.sin(np.deg2rad(angles))
    seen = angles + inclined if kind.startswith("slab") else angles
    body = specimen(kind, rng)
    at = {
        name: int(rng.integers(4 + 12 * i, 13 + 12 * i))
        for i, name in enumerate(rng.permutation(EVENTS))
    }
    turn, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.35) * EDGE
    long = slice(at["drift"], None if rng.random() < 0.5 else at["drift"] + 1)
    shifts[long] += far * np.array([np.sin(turn), np.cos(turn)])
    images = exposed(kind, body, seen, shifts)
    factor = rng.uniform(1.4, 2.5) ** rng.choice([-1, 1])
    images[at["intensity"] : None if rng.random() < 0.5 else at["intensity"] + 1] *= factor
    level = 1e-3 * images.mean() if rng.random() < 0.5 else images[at["blank"]].mean()
    images[at["blank"]] = level
    return Case(images, angles, {(tilt, name) for name, tilt in at.items()})


def watched(case: Case, dose: float, seed: int) -> set[tuple[int, str]]:
    """What is said of a series whose images come one by one."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(case.images * (dose / case.images.mean())).astype(np.float32)
    live = LiveSeries(
        "simulated", WatchSettings(binning=2), tilt_axis_deg=[AXIS_DEG, None][seed % 2]
    )
    tilts: list[Tilt] = []
    said: set[tuple[int, str]] = set()
    for i, angle in enumerate(case.angles):
        file = Remembered(
            path=str(i), shape=(EDGE, EDGE), whole=1, promised=1, extended=None, pixel_size=None,
            labels=(), header=None, tiff=None, pixels=counts[i],
        )  # fmt: skip
        tilts.append(Tilt(key=str(i), angle_deg=float(angle), origin="", file=file, frames=(0, 1)))
        source = Source(
            name="simulated",
            path=None,
            tilts=tuple(tilts),
            promised=0,
            pixel_size=None,
            tilt_axis_deg=None,
        )
        _, alerts = live.take(source)
        said |= {(a.tilt, a.kind) for a in alerts if a.tilt is not None}
    return said


def rows(kinds: list[str], doses: list[float], count: int, first: int) -> Iterator[list[object]]:
    for kind in kinds:
        clean = [clean_case(kind, first + i) for i in range(count)]
        planted = [planted_case(kind, first + i) for i in range(count)]
        for dose in doses:
            false: Counter[str] = Counter()
            found: Counter[str] = Counter()
            other, more, series = 0, 0, 0
            for i in range(count):
                said = watched(clean[i], dose, first + i)
                false.update(name for _, name in said)
                series += bool(said)
                said = watched(planted[i], dose, first + i)
                found.update(name for _, name in said & planted[i].planted)
                known = {tilt for tilt, _ in planted[i].planted}
                other += sum(tilt not in known for tilt, _ in said)
                more += sum(tilt in known for tilt, _ in said - planted[i].planted)
            tilts = count * len(clean[0].angles)
            yield [
                kind, f"{dose:g}", share_of(series, count),
                *(share_of(false[name], tilts) for name in EVENTS),
                *(share_of(found[name], count) for name in EVENTS), more, other,
            ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--series", type=int, default=10)
    parser.add_argument("--doses", type=float, nargs="+", default=[1, 3, 10, 100])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS))
    parser.add_argument("--first-seed", type=int, default=0)
    chosen = parser.parse_args()
    write_machine()
    head = ["specimen", "dose", "clean series with an alert"]
    head += [f"false {name}, of tilts" for name in EVENTS]
    head += [f"{name} found" for name in EVENTS]
    write_table(
        "Alerts of the watch",
        [*head, "second of a planted tilt", "elsewhere"],
        rows(chosen.kinds, chosen.doses, chosen.series, chosen.first_seed),
    )


if __name__ == "__main__":
    main()
