# SPDX-License-Identifier: BSD-3-Clause
"""How much of a missing wedge comes back? A real needle, measured over the full circle, from part of its tilts.

    python benchmarks/validate_wedge.py

The judge is the reference scripts': measured tilts that the reconstruction has not seen, on their aligned stack with
their projector (peers/real/run_wedge.py), and the widths of the needle's surface along z and y (score_wedge.py). We
reconstruct from the raw images: the axis, 100.4 degrees from y, and the shifts act inside the projector. Needs scipy.
"""

from __future__ import annotations

import argparse
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import needle
import numpy as np
import numpy.typing as npt
from tables import write_machine, write_table

from cryolith.projection import Geometry
from cryolith.reconstruct import sirt, tv, wbp

Float32 = npt.NDArray[np.float32]
TILTS = np.arange(-90, 91, 2.0)
EDGE = 64
LENGTH = 80  # of the volume along the needle: turned images see beyond their own width
COLUMNS = slice(8, 56)  # of the aligned images: those that the judge looks at


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """The raw images, their geometry, and the judge's aligned stack; the same unit of intensity in both."""

    images: Float32
    geometry: Geometry
    aligned: Float32
    judge: Any  # the module score_wedge
    matrix: Any  # proj.matrix


def read_images() -> Float32:
    """Return the 91 images of HAADF.dm3: the one array of that many 16-bit numbers in the file."""
    data = (needle.folder() / "data" / "haadf_full_range" / "HAADF.dm3").read_bytes()
    count = len(TILTS) * EDGE * EDGE
    tag = b"Data%%%%" + struct.pack(">4I", 3, 20, 4, count)  # array, of unsigned shorts, so many
    start = data.index(tag) + len(tag)
    pixels = np.frombuffer(data, "<u2", count, start)
    return pixels.reshape(len(TILTS), EDGE, EDGE).astype(np.float32)


def load() -> Series:
    """Align with the reference script and express its alignment as our geometry."""
    scripts = str(needle.folder() / "peers" / "real")
    if scripts not in sys.path:
        sys.path.append(scripts)
    import align_full_range
    import proj
    import score_alignment
    import score_wedge

    raw = read_images()
    aligned, moved, axis, _ = align_full_range.align(raw, TILTS, log=lambda *_: None)
    unit = np.percentile(aligned[:, :, COLUMNS], 99.5)
    # Their aligned pixel (Y, X) is the raw one at R (Y - n/2, X - n/2) + n/2 - moved; u = Y - (n - 1)/2, v = (n - 1)/2
    # - X.
    c, s = np.cos(np.deg2rad(axis)), np.sin(np.deg2rad(axis))
    shifts = 0.5 - 0.5 * np.array([c - s, c + s]) - moved
    return Series(
        images=(score_alignment.background(raw) / unit).astype(np.float32),
        geometry=Geometry.single_axis(-TILTS, tilt_axis_deg=90 - axis, shifts_px=shifts),
        aligned=(aligned[:, :, COLUMNS] / unit).astype(np.float32),
        judge=score_wedge,
        matrix=proj.matrix,
    )


def theirs(volume: Float32) -> Float32:
    """Return the volume (x along the needle, z, y) as the judge holds it."""
    first = (LENGTH - EDGE) // 2 + COLUMNS.start
    turned = volume[:, ::-1].transpose(1, 0, 2)
    return np.ascontiguousarray(turned[first : first + COLUMNS.stop - COLUMNS.start])


def counting_weights(images: Float32) -> Float32:
    """Return the inverse variance of counts, from smoothed images, level below 5 % of the brightest."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(images, (0, 1, 1))
    return (1 / np.maximum(smooth, 0.05)).astype(np.float32)


def support(volume: Float32) -> npt.NDArray[np.bool_]:
    """Return where the volume is above 5 % of its 99.5 % quantile, the largest piece, without holes."""
    from scipy import ndimage

    labels, count = ndimage.label(volume > 0.05 * np.percentile(volume, 99.5))
    sizes = ndimage.sum_labels(labels > 0, labels, np.arange(1, count + 1))
    filled: npt.NDArray[np.bool_] = ndimage.binary_fill_holes(labels == 1 + np.argmax(sizes))
    return filled


def tv_twice(images: Float32, geometry: Geometry, strength: float) -> Float32:
    """Total variation with counting weights, then on the support that it found."""
    shape, weights = (EDGE, LENGTH, EDGE), counting_weights(images)
    first = tv(images, geometry, shape=shape, strength=strength, weights=weights)
    return tv(
        images,
        geometry,
        shape=shape,
        strength=strength,
        weights=weights,
        n_iter=60,
        init=first,
        mask=support(first),
    )


def methods(strength: float) -> dict[str, Callable[[Float32, Geometry], Float32]]:
    shape = (EDGE, LENGTH, EDGE)
    return {
        "wbp, ramp": lambda images, g: wbp(images, g, shape=shape, filter="ramp"),
        "sirt 200": lambda images, g: sirt(images, g, shape=shape, n_iter=200),
        "tv (default)": lambda images, g: tv(images, g, shape=shape),
        f"tv {strength:g}, counting weights, then support": lambda images, g: tv_twice(
            images, g, strength
        ),
    }


def score(series: Series, volume: Float32, seen: npt.NDArray[np.bool_], mask: Any) -> list[str]:
    """Return residual of the unseen and of the seen tilts, and the widths of the surface [px]."""
    held = theirs(volume)
    flat = held.transpose(1, 2, 0).reshape(EDGE * EDGE, -1)
    projected = (series.matrix(TILTS, EDGE) @ flat).reshape(series.aligned.shape)

    def residual(which: npt.NDArray[np.bool_]) -> str:
        if not which.any():
            return ""
        p = series.aligned[which]
        return f"{np.linalg.norm(p - projected[which]) / np.linalg.norm(p):.4f}"

    width = series.judge.surface_widths(held, mask)
    ratio = f"{width['z'] / width['y']:.2f}"
    return [residual(~seen), residual(seen), f"{width['z']:.2f}", f"{width['y']:.2f}", ratio]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strength", type=float, default=0.0093)
    strength = parser.parse_args().strength
    write_machine()
    series = load()
    full = sirt(series.images, series.geometry, shape=(EDGE, LENGTH, EDGE), n_iter=100)
    mask = series.judge.needle_mask(theirs(full))
    every = np.ones(len(TILTS), bool)
    rows = [["all", "sirt 100", *score(series, full, every, mask)]]
    for top in (60, 70):
        seen = np.abs(TILTS) <= top
        images, geometry = series.images[seen], series.geometry.subset(seen)
        for name, method in methods(strength).items():
            rows.append([f"±{top}°", name, *score(series, method(images, geometry), seen, mask)])
    write_table(
        "Real needle from part of its tilts: |p - q| / |p| of measured tilts, 10-90 % widths of its surface [px]",
        ["tilts", "method", "unseen", "seen", "z", "y", "z / y"],
        rows,
    )


if __name__ == "__main__":
    main()
