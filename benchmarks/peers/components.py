# SPDX-License-Identifier: BSD-3-Clause
"""cryolith beside connected-components-3d: components and their tables of 512^3 voxels, time and memory.

    PYTHONPATH=benchmarks python benchmarks/peers/components.py [--edge 512] [--rounds 3] [--keep FOLDER] [--peers]

CPU seconds of one thread, the least of all rounds. Volumes: ``pores`` (a smooth random field, 10 %), ``bed`` (jittered
balls that touch), ``noise`` (half of the voxels). ``--keep`` stores them between calls. Memory is the growth of the
process's peak, measured before all timings.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.ndimage as ndi
from tables import write_machine, write_table
from timing import in_turns

from cryolith import _core, detect

Mask = npt.NDArray[np.bool_]
MIB = 2**20


def pores(edge: int) -> tuple[Mask, npt.NDArray[np.float32]]:
    noise = np.random.default_rng(7).standard_normal((edge,) * 3, dtype=np.float32)
    field = ndi.gaussian_filter(noise, 4.0, mode="wrap", truncate=3)
    return field > np.quantile(field[::2, ::2, ::2], 0.9), field


def bed(edge: int) -> Mask:
    """Return balls of radius 4.6 to 6.1 px, one in each cell of 12.2 px, moved by up to 2 px along each axis."""
    rng = np.random.default_rng(8)
    count = max(1, round(edge / 12.2))
    centres = (np.indices((count,) * 3).reshape(3, -1).T + 0.5) * edge / count
    centres += rng.uniform(-2, 2, centres.shape)
    out = np.zeros((edge,) * 3, bool)
    for centre, radius in zip(centres, rng.uniform(4.6, 6.1, len(centres)), strict=True):
        low = np.maximum(np.floor(centre - radius).astype(int), 0)
        high = np.minimum(np.ceil(centre + radius).astype(int) + 1, edge)
        z, y, x = (np.arange(a, b) - c for a, b, c in zip(low, high, centre, strict=True))
        near = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 <= radius**2
        out[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] |= near
    return out


def noise(edge: int) -> Mask:
    return np.random.default_rng(9).random((edge,) * 3, dtype=np.float32) < 0.5


def kept(folder: Path | None, name: str, make: Callable[[], Any]) -> Any:
    if folder is None:
        return make()
    file = folder / f"{name}.npy"
    if not file.exists():
        np.save(file, make())
    return np.load(file)


def peak() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def beyond(work: Callable[[], Any]) -> int:
    """Return by how much the peak of memory grew over what the process held [bytes]."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak becomes what is held now
    before = peak()
    work()
    return peak() - before


def measured(mask: Mask, connectivity: int, field: Any = None, **options: Any) -> Any:
    found, table = detect.find_regions(mask, field, connectivity, threads=1, **options)
    return found.labels(threads=1), table


def tasks(mask: Mask, field: npt.NDArray[np.float32]) -> dict[str, Callable[[], Any]]:
    def counted() -> int:
        found = detect.Components(mask.shape, measure=None)
        found.add(mask, threads=1)
        return found.count

    every = ("axes", "surface", "holes")
    return {
        "26, counted, no labels": counted,
        "26, labels": lambda: detect.label(mask, threads=1),
        "26, labels, box, axes, surface, border": lambda: measured(mask, 26),
        "26, the same with intensity": lambda: measured(mask, 26, field),
        "26, the same with holes": lambda: measured(mask, 26, measure=every),
        "18, labels": lambda: detect.label(mask, 18, threads=1),
        "6, labels": lambda: detect.label(mask, 6, threads=1),
        "6, labels, box, axes, surface, border": lambda: measured(mask, 6),
    }


def peers(mask: Mask) -> dict[str, Callable[[], Any]]:
    import cc3d

    return {
        "26, labels: cc3d": lambda: cc3d.connected_components(mask, connectivity=26),
        "26, labels, box, centroid: cc3d": lambda: cc3d.statistics(
            cc3d.connected_components(mask, connectivity=26)
        ),
        "6, labels: cc3d": lambda: cc3d.connected_components(mask, connectivity=6),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edge", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--only", nargs="*", default=["pores", "bed", "noise"])
    chosen = parser.parse_args()
    edge, folder = chosen.edge, chosen.keep
    field = kept(folder, "field", lambda: pores(edge)[1])
    makers = {
        "pores": lambda: pores(edge)[0],
        "bed": lambda: bed(edge),
        "noise": lambda: noise(edge),
    }
    write_machine()
    for name in chosen.only:
        mask = kept(folder, name, makers[name])
        count = detect.label(mask)[1]
        runs = tasks(mask, field)
        memory = {task: beyond(run) / MIB for task, run in runs.items()}
        timed = in_turns(runs | (peers(mask) if chosen.peers else {}), chosen.rounds)
        rows = [
            [task, f"{t.seconds:.3f}", f"{memory[task]:.0f}" if task in memory else ""]
            for task, t in timed.items()
        ]
        title = f"{name}: {edge}^3 voxels, {100 * mask.mean():.0f} % set, {count} components (26), {_core.isa()}"
        write_table(title, ["task", "CPU s", "memory MiB, output included"], rows)


if __name__ == "__main__":
    main()
