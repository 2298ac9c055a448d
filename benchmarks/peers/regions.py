# SPDX-License-Identifier: BSD-3-Clause
"""cryolith beside SciPy, scikit-image and connected-components-3d: label a volume, measure its regions.

    PYTHONPATH=benchmarks python benchmarks/peers/regions.py [--edge 192] [--rounds 5]

Every labelling is compared with SciPy's, voxel by voxel; volumes and centroids with sums over the voxels.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import cases
import cc3d
import numpy as np
import numpy.typing as npt
import scipy.ndimage as ndi
import skimage.measure
from tables import write_machine, write_table
from timing import Timed, in_turns, ratio

from cryolith import detect

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.integer]
Sizes = tuple[npt.NDArray[np.number], npt.NDArray[np.floating]]


def same_parts(labels: Labels, reference: Labels) -> bool:
    """Return whether both number the same parts, in whatever order."""
    pairs = np.unique(labels.astype(np.int64) * (int(reference.max()) + 1) + reference).size
    return bool(pairs == reference.max() + 1 == labels.max() + 1)


def label_runs(mask: Mask, rank: int) -> Mapping[str, Callable[[], Labels]]:
    neighbours = {1: 6, 2: 18, 3: 26}[rank]
    structure = ndi.generate_binary_structure(3, rank)
    return {
        "cryolith": lambda: detect.label(mask, neighbours, threads=1)[0],
        "connected-components-3d": lambda: cc3d.connected_components(mask, connectivity=neighbours),
        "scipy.ndimage": lambda: ndi.label(mask, structure)[0],
        "scikit-image": lambda: skimage.measure.label(mask, connectivity=rank),
    }


def region_runs(labels: Labels, field: npt.NDArray[np.float32]) -> Mapping[str, Callable[[], Any]]:
    index = np.arange(1, labels.max() + 1)
    unsigned = labels.astype(np.uint32)  # what cc3d hands out itself
    wanted = ("area", "centroid", "bbox", "inertia_tensor_eigvals", "intensity_mean")
    return {
        "cryolith": lambda: detect.regions(labels, field, threads=1),
        "connected-components-3d": lambda: cc3d.statistics(unsigned),
        "scipy.ndimage": lambda: (
            ndi.sum_labels(labels > 0, labels, index),
            ndi.center_of_mass(labels > 0, labels, index),
            ndi.find_objects(labels),
            ndi.mean(field, labels, index),
        ),
        "scikit-image": lambda: skimage.measure.regionprops_table(labels, field, properties=wanted),
    }


GIVES = {
    "cryolith": "volume, centroid, box, axes, surface, intensity, border, errors",
    "connected-components-3d": "volume, centroid, box",
    "scipy.ndimage": "volume, centroid, box, intensity",
    "scikit-image": "volume, centroid, box, moments, intensity",
}


def sizes_of(name: str, found: Any) -> Sizes:
    """Return the volumes [voxels] and the centroids along z [index] that a program found."""
    if name == "cryolith":
        return found["voxels"], found["z_px"]
    if name == "connected-components-3d":
        return found["voxel_counts"][1:], found["centroids"][1:, 0]
    if name == "scipy.ndimage":
        return found[0], np.array(found[1])[:, 0]
    return found["area"], found["centroid-0"]


def require(holds: bool, what: str) -> None:
    if not holds:
        raise SystemExit(f"wrong: {what}")


def rows_of(task: str, timed: Mapping[str, Timed], notes: Mapping[str, str]) -> list[list[object]]:
    ours = timed["cryolith"].seconds
    return [
        [task, name, f"{1e3 * t.seconds:.3g}", ratio(t.seconds, ours), notes.get(name, "")]
        for name, t in timed.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edge", type=int, default=cases.DETECT_EDGE)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    mask, field = cases.pores(chosen.edge)
    write_machine()
    rows = []
    for rank, name in ((3, "label, 26 neighbours"), (1, "label, 6 neighbours")):
        timed = in_turns(label_runs(mask, rank), chosen.rounds)
        for program, t in timed.items():
            require(same_parts(t.result, timed["scipy.ndimage"].result), f"{name} by {program}")
        rows += rows_of(name, timed, {})
    labels, count = detect.label(mask)
    volumes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    z = np.broadcast_to(np.arange(chosen.edge)[:, None, None], labels.shape)
    centroids = np.bincount(labels.ravel(), z.ravel())[1:] / volumes
    timed = in_turns(region_runs(labels, field), chosen.rounds)
    for program, t in timed.items():
        found = sizes_of(program, t.result)
        require(np.array_equal(found[0], volumes), f"volumes by {program}")
        require(np.allclose(found[1], centroids, rtol=0, atol=1e-3), f"centroids by {program}")
    rows += rows_of(f"{count} regions", timed, GIVES)
    title = f"{chosen.edge}^3 voxels, {100 * mask.mean():.0f} % of them set, one thread"
    write_table(title, ["task", "program", "CPU ms", "ours = 1", "gives"], rows)


if __name__ == "__main__":
    main()
