# SPDX-License-Identifier: BSD-3-Clause
"""The error of the discrete projector pair against a band-limited truth, beside linear interpolation's.

``python benchmarks/validate_projection.py`` prints the tables of design/003-projector.md. The truth is known
everywhere: images are sums of plane waves (noise) or projections of Gaussian blobs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from tables import write_machine, write_table

from cryolith.projection import Geometry, backproject, project

Float64 = npt.NDArray[np.float64]
Images = Callable[[int, Float64, Float64], Float64]

ANGLES = np.linspace(-60, 60, 61)
NZ, NX = 128, 256
AXES = [0.0, 2.8, 10.4, 30.0]
X, Z = np.meshgrid(np.arange(NX) - (NX - 1) / 2, np.arange(NZ) - (NZ - 1) / 2)


def waves(highest: float, ramp: bool, seed: int = 0, count: int = 24) -> Images:
    """Return noise: plane waves of random direction and phase, their frequencies even over a disk [cycles/px]."""
    rng = np.random.default_rng(seed)
    shape = (len(ANGLES), count)
    frequency = highest * np.sqrt(rng.uniform(0, 1, shape))
    turn, phase = rng.uniform(0, 2 * np.pi, (2, *shape))
    size = frequency * np.cos(np.pi * frequency) if ramp else np.ones(shape)

    def image(tilt: int, u: Float64, v: Float64) -> Float64:
        out = np.zeros(np.broadcast(u, v).shape)
        for f, a, p, s in zip(frequency[tilt], turn[tilt], phase[tilt], size[tilt], strict=True):
            out += s * np.cos(2 * np.pi * f * (u * np.cos(a) + v * np.sin(a)) + p)
        return out

    return image


def blobs(seed: int = 0, count: int = 40) -> tuple[Images, Float64]:
    """Return the projections of Gaussian blobs, sigma 1.2 to 4 px, and the blobs' middle plane (nz, nx)."""
    rng = np.random.default_rng(seed)
    at = rng.uniform(-1, 1, (count, 3)) * np.array([50.0, 0.0, 50.0])
    sigma, value = rng.uniform(1.2, 4, count), rng.uniform(0.5, 1.5, count)

    def image(tilt: int, u: Float64, v: Float64) -> Float64:
        t = np.deg2rad(ANGLES[tilt])
        out = np.zeros(np.broadcast(u, v).shape)
        for (bz, by, bx), s, a in zip(at, sigma, value, strict=True):
            centre = bx * np.cos(t) + bz * np.sin(t)
            square = (u - centre) ** 2 + (v - by) ** 2
            out += a * s * np.sqrt(2 * np.pi) * np.exp(-square / (2 * s * s))
        return out

    plane = np.zeros((NZ, NX))
    for (bz, _, bx), s, a in zip(at, sigma, value, strict=True):
        plane += a * np.exp(-((X - bx) ** 2 + (Z - bz) ** 2) / (2 * s * s))
    return image, plane


def on_detector(images: Images, geometry: Geometry, extent: int) -> Float64:
    """Sample the images: (n_tilts, extent, extent)."""
    row, column = np.mgrid[0:extent, 0:extent] - (extent - 1) / 2
    axis = np.deg2rad(geometry.tilt_axis_deg)
    u = column * np.cos(axis) + row * np.sin(axis)
    v = row * np.cos(axis) - column * np.sin(axis)
    return np.stack([images(i, u, v) for i in range(len(ANGLES))])


def linear(stack: Float64, geometry: Geometry) -> Float64:
    """Back-project the plane y = 0 by bilinear interpolation between the detector's pixels."""
    out, middle = np.zeros(X.shape), (stack.shape[1] - 1) / 2
    axis = np.deg2rad(geometry.tilt_axis_deg)
    for image, t in zip(stack, np.deg2rad(ANGLES), strict=True):
        u = X * np.cos(t) + Z * np.sin(t)
        row, column = middle + u * np.sin(axis), middle + u * np.cos(axis)
        r, c = np.floor(row).astype(int), np.floor(column).astype(int)
        fr, fc = row - r, column - c
        for dr, wr in ((0, 1 - fr), (1, fr)):
            for dc, wc in ((0, 1 - fc), (1, fc)):
                inside = np.minimum(r + dr, len(image) - 1), np.minimum(c + dc, len(image) - 1)
                out += wr * wc * image[inside]
    return out


def relative(found: Float64, truth: Float64) -> float:
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


def back_projection(images: Images, axis: float) -> tuple[float, float]:
    """Return the relative errors of cryolith and of bilinear interpolation, where all rays are measured."""
    extent = 401  # odd: y = 0 lies on a pixel; holds every ray of the plane
    geometry = Geometry.single_axis(ANGLES, tilt_axis_deg=axis)
    stack = on_detector(images, geometry, extent)
    truth = np.zeros(X.shape)
    for i, t in enumerate(np.deg2rad(ANGLES)):
        truth += images(i, X * np.cos(t) + Z * np.sin(t), np.zeros(()))
    ours = backproject(stack, geometry, (NZ, 1, NX))[:, 0].astype(np.float64)
    return relative(ours, truth), relative(linear(stack, geometry), truth)


def projection(axis: float) -> float:
    """Return cryolith's relative error of the projections of blobs drawn out along y, in the middle row's rays."""
    images, plane = blobs()
    geometry = Geometry.single_axis(ANGLES, tilt_axis_deg=axis)
    y = np.arange(-24, 25.0)
    columns = np.repeat(plane[:, None].astype(np.float32), len(y), 1)  # the same in every plane
    extent = 401
    got = project(columns, geometry, (extent, extent)).astype(np.float64)
    column = np.arange(extent) - (extent - 1) / 2
    u = column * np.cos(np.deg2rad(axis))
    row, line = np.broadcast_to((extent - 1) // 2, column.shape), np.arange(extent)
    v = -column * np.sin(np.deg2rad(axis))
    inside = np.abs(v) < 16
    truth = np.stack([images(i, u, np.zeros(())) for i in range(len(ANGLES))])
    return relative(got[:, row, line][:, inside], truth[:, inside])


def main() -> None:
    write_machine()
    cases = {
        "blobs, sigma 1.2 to 4 px": blobs()[0],
        "noise to 0.35 cycles/px": waves(0.35, ramp=False),
        "noise to 0.5, ramp x cosine (worst)": waves(0.5, ramp=True),
    }
    rows = []
    for name, images in cases.items():
        errors = [back_projection(images, axis) for axis in AXES]
        rows.append([name, *(f"{ours:.4f} / {plain:.4f}" for ours, plain in errors)])
    head = ["error of back-projection, cryolith / linear", *(f"axis {a:g} deg" for a in AXES)]
    write_table("Back-projection against a band-limited truth", head, rows)
    row = ["blobs", *(f"{projection(axis):.4f}" for axis in AXES)]
    write_table("Projection", ["error", *head[1:]], [row])


if __name__ == "__main__":
    main()
