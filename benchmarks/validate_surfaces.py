# SPDX-License-Identifier: BSD-3-Clause
"""Layers seen through a missing wedge, and the shell of a particle with pinholes: are sizes and errors right?

    python benchmarks/validate_surfaces.py layers --seeds 10   # 2, 3, 5, 8 px thick, +-60 degrees, all directions
    python benchmarks/validate_surfaces.py shell --seeds 10    # 2 to 8 nm on a particle, +-65 degrees, aligned here

``layers``: a cylinder's wall (radius 42 px) about the tilt axis in 128 x 64 x 128 voxels, 61 tilts of counted electrons
(100 a pixel before the specimen), ramp weighted back-projection; its contrast is half of the voxels' noise. Beside it
the width at half maximum of the same patches' mean profiles.
``shell``: a ball with a layer of another density, holes of 2 to 4 px radius in it and particles inside, raw images with
shifts, `align_tilt_series`, `wbp`, `surface`, `layer_thickness`, `pinholes`.
"""

from __future__ import annotations

import argparse
import functools
import math
import sys
import time
from typing import Any

import numpy as np
from tables import share_of

from cryolith import align, detect, simulate
from cryolith.detect._smooth import smooth
from cryolith.projection import Geometry
from cryolith.reconstruct import wbp

SHAPE, RADIUS = (128, 64, 128), 42.0
RAMP = functools.partial(wbp, filter="ramp")


def say(line: str) -> None:
    """Write a line now."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def mean_error(x: np.ndarray) -> str:
    """Return a mean with its standard error."""
    x = x[np.isfinite(x)]
    return f"{x.mean():+.2f} +- {x.std() / math.sqrt(len(x)):.2f}" if len(x) else "-"


class Walls:
    """Tilt series of a cylinder's wall."""

    def __init__(self) -> None:
        self.angles = np.arange(-60.0, 60.1, 2.0)
        self.geometry = Geometry.single_axis(self.angles)
        self.image_shape = (SHAPE[1], math.ceil(1.42 * SHAPE[0]) + 4)
        mean = 100 * np.exp(-0.5 / np.cos(np.deg2rad(self.angles)))
        self.electrons = mean[:, None, None]
        empty = self.halves(
            np.zeros((len(self.angles), *self.image_shape)), np.random.default_rng(7)
        )
        self.contrast = 0.5 * float((empty.first + empty.second).std())

    def chords(self, radius: float, z: float, x: float) -> np.ndarray:
        """Return lengths through a cylinder along y, 8 exact rays a pixel."""
        width = self.image_shape[1]
        u = np.arange(width)[:, None] + (np.arange(8) + 0.5) / 8 - 0.5 - (width - 1) / 2
        rows = []
        for a in np.deg2rad(self.angles):
            away = u - x * np.cos(a) - z * np.sin(a)
            rows.append(2 * np.sqrt(np.maximum(radius**2 - away**2, 0)).mean(axis=1))
        return np.repeat(np.array(rows)[:, None], self.image_shape[0], axis=1)

    def halves(self, lines: np.ndarray, rng: np.random.Generator) -> Any:
        """Count electrons and reconstruct."""
        counts = rng.poisson(self.electrons * np.exp(-lines))
        stack = (-np.log((counts + 0.5) / self.electrons)).astype(np.float32)
        return RAMP(stack, self.geometry, shape=SHAPE, halves="tilts", threads=1)

    def series(self, thickness: float, rng: np.random.Generator) -> Any:
        """Return the halves of a wall about a displaced axis."""
        z, x = rng.uniform(-0.5, 0.5, 2)
        wall = self.chords(RADIUS + thickness / 2, z, x) - self.chords(RADIUS - thickness / 2, z, x)
        return self.halves(self.contrast * wall, rng)


def cylinder() -> detect.Surface:
    """Return the wall's middle as a mesh of about one vertex a square pixel."""
    ny, count = SHAPE[1], round(2 * math.pi * RADIUS)
    turn, along = np.meshgrid(
        np.arange(count) * 2 * math.pi / count, np.arange(ny) - (ny - 1) / 2, indexing="ij"
    )
    vertices = np.stack([RADIUS * np.sin(turn), along, RADIUS * np.cos(turn)], -1).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(count), np.arange(ny - 1), indexing="ij")
    a, b = (i * ny + j).ravel(), ((i + 1) % count * ny + j).ravel()
    faces = np.concatenate([np.stack([a, a + 1, b], 1), np.stack([b, a + 1, b + 1], 1)])
    return detect.Surface(vertices=vertices, faces=faces, shape=SHAPE)


def half_maximum(profile: np.ndarray) -> float:
    """Return the width at half of the highest sample within 5 px of the middle; NaN where it does not fall to it."""
    y = profile - np.median(np.r_[profile[:5], profile[-5:]])
    top = 7 + int(y[7:-7].argmax())
    half = y[top] / 2
    below = np.flatnonzero(y <= half)
    left, right = below[below < top], below[below > top]
    if half <= 0 or not len(left) or not len(right):
        return math.nan
    i, j = left[-1], right[0]
    return float(j - (half - y[j]) / (y[j - 1] - y[j]) - i - (half - y[i]) / (y[i + 1] - y[i]))


def layers(seeds: range) -> None:
    """Print bias and coverage by thickness and by the angle of the normal from the sample plane."""
    walls, mesh = Walls(), cylinder()
    say(
        "thickness, angle: n, measurable, bias, scatter, inside 95 %; width at half maximum: bias, found"
    )
    pooled = []
    for thickness in (2.0, 3.0, 5.0, 8.0):
        rows, contrasts = [], []
        for seed in seeds:
            rng = np.random.default_rng([int(10 * thickness), seed])
            halves = walls.series(thickness, rng)
            found = detect.layer_thickness(
                None, mesh, halves=halves, geometry=walls.geometry, image_shape=walls.image_shape,
                solve=RAMP, patch_px=7, threads=1,
            )  # fmt: skip
            contrasts.append(found.contrast / walls.contrast)
            t = found.table
            widths = [half_maximum(p) for p in mean_profiles(mesh, halves, found)]
            angle = np.rad2deg(np.arctan2(np.abs(t["normal_z"]), np.abs(t["normal_x"])))
            inside = (t["thickness_low_px"] <= thickness) & (thickness <= t["thickness_high_px"])
            rows.append(np.stack([angle, t["thickness_px"] - thickness, inside, t["measurable"],
                                  np.array(widths) - thickness], 1))  # fmt: skip
        every = np.concatenate(rows)
        pooled.append(every)
        say(
            f"{thickness:g} px: contrast over truth {np.mean(contrasts):.3f}, scatter {np.std(contrasts):.3f}"
        )
        for low, high in ((0, 15), (15, 30), (30, 45), (45, 55), (55, 62), (62, 75), (75, 90.1)):
            one_angle(every, low, high)
    total = np.concatenate(pooled)
    seen = total[:, 3] > 0
    say(
        f"all measurable: inside 95 % {share_of(int((total[seen, 2] > 0).sum()), int(seen.sum()))}, n {seen.sum()}"
    )
    below = total[total[:, 0] <= 60, 2] > 0
    say(f"all up to 60 degrees: inside 95 % {share_of(int(below.sum()), len(below))}")


def one_angle(every: np.ndarray, low: float, high: float) -> None:
    """Print one row."""
    mine = every[(every[:, 0] >= low) & (every[:, 0] < high)]
    good = mine[:, 3] > 0
    width = mine[np.isfinite(mine[:, 4]), 4]
    say(f"  {low:g} to {high:g}: {len(mine)}, {good.mean():.2f}, {mean_error(mine[good, 1])}, "
        f"{mine[good, 1].std() if good.any() else math.nan:.2f}, {share_of(int((mine[:, 2] > 0).sum()), len(mine))}; "
        f"{mean_error(width)}, {len(width) / len(mine):.2f}")  # fmt: skip


def mean_profiles(mesh: detect.Surface, halves: Any, found: detect.LayerThickness) -> np.ndarray:
    """Return the patches' mean profiles of the volume, linearly interpolated, for the peer."""
    volume = halves.first + halves.second
    at = np.arange(-12, 13.0)
    points = mesh.voxels()
    turn = points - (np.array(SHAPE) - 1) / 2
    turn[:, 1] = 0
    normal = turn / np.linalg.norm(turn, axis=1)[:, None]
    place = points[:, None] + at[None, :, None] * normal[:, None]
    base = np.clip(np.floor(place).astype(int), 0, np.array(SHAPE) - 2)
    f = place - base
    value = np.zeros(place.shape[:2])
    for corner in np.ndindex(2, 2, 2):
        w = np.prod(np.where(corner, f, 1 - f), axis=-1)
        value += w * volume[tuple(np.moveaxis(base + corner, -1, 0))]
    rows = len(found.table["seen"])
    return np.array([value[found.patch == p].mean(axis=0) for p in range(rows)])


def shell_phantom(rng: np.random.Generator) -> tuple[Any, float, np.ndarray, np.ndarray]:
    """Return a ball with a layer, its thickness, and the holes' places (z, y, x) from the centre and radii."""
    thickness, inner = rng.uniform(2.0, 8.0), 30.0
    outer, layer, ball = inner + thickness, 1.0, 0.5
    solids = [
        simulate.ellipsoid(layer, (0, 0, 0), (outer,) * 3),
        simulate.ellipsoid(ball - layer, (0, 0, 0), (inner,) * 3),
    ]
    for _ in range(8):
        place = rng.normal(size=3)
        place *= rng.uniform(8, 22) / np.linalg.norm(place)
        solids.append(simulate.ellipsoid(2.0, place, (rng.uniform(2, 4),) * 3))
    places, radii = [], []
    while len(radii) < 4:
        azimuth, y = (
            np.deg2rad(rng.uniform(-50, 50)) + rng.choice([0, math.pi]),
            rng.uniform(-0.6, 0.6),
        )
        across = math.sqrt(1 - y * y)
        normal = np.array([across * np.sin(azimuth), y, across * np.cos(azimuth)])
        if any(normal @ p > 0.85 * np.linalg.norm(p) for p in places):
            continue
        radius = rng.uniform(2.5, 4.5)
        solids.append(_plug(-layer, normal, inner, outer, radius))
        places.append(normal * (inner + outer) / 2)
        radii.append(radius)
    return (
        simulate.Phantom(shape=(96, 96, 96), solids=tuple(solids)),
        thickness,
        np.array(places),
        np.array(radii),
    )


def _plug(
    value: float, normal: np.ndarray, inner: float, outer: float, radius: float
) -> simulate.Solid:
    """Return the cylinder along a radius that fills a hole from the inner to the outer surface."""
    side = np.linalg.svd(normal[None])[2][1:]
    # The flat ends lie as far out as the curved surfaces do in the mean over the hole.
    low, high = inner - radius**2 / (4 * inner), outer - radius**2 / (4 * outer)
    return simulate.Solid(
        value=value,
        centre=normal * (low + high) / 2,
        walls=(side / radius, normal[None] * 2 / (high - low)),
        reach=math.hypot(radius, (high - low) / 2),
    )


def shell(seeds: range) -> None:
    """Print thickness, and what was found of the holes, from raw images."""
    within, inside, found_all, false = [], [], [], 0
    radius_error, radius_sigma = [], []
    for seed in seeds:
        began = time.process_time()
        rng = np.random.default_rng([65, seed])
        phantom, thickness, places, radii = shell_phantom(rng)
        angles = np.arange(-65.0, 65.1, 2.0)
        walk = np.cumsum(rng.normal(0, 1.0, (len(angles), 2)), axis=0)
        series, _ = simulate.tilt_series(
            phantom, angles, tilt_axis_deg=rng.uniform(-3, 3), shifts_px=walk - walk[len(angles) // 2],
            image_shape=(112, 112), dose_per_pixel=400.0, background=2.0, seed=seed, pixel_size=10.0,
        )  # fmt: skip
        alignment = align.align_tilt_series(series)
        kept = alignment.kept
        geometry = Geometry.from_alignment(alignment)
        halves = RAMP(
            series.images[kept] - 2.0, geometry, shape=(96, 96, 96), halves="tilts", threads=1
        )
        row = measured(halves, geometry, thickness, places, radii)
        row["cpu"] = time.process_time() - began
        say(f"seed {seed}: {thickness:.2f} nm, found {row['thickness']:.2f} +- {row['sigma']:.2f}; holes "
            f"{row['found']} of {row['wanted']} above the resolution ({len(radii)} in all), false {row['false']}; "
            f"radius error {mean_error(row['radius_error'])}; coverage {row['coverage']:.4f}, "
            f"true {row['true_coverage']:.4f}; contrast {row['contrast']:.2f}, ball {row['inside']:.2f}; "
            f"{row['cpu']:.0f} CPU s")  # fmt: skip
        within.append(abs(row["thickness"] / thickness - 1) < 0.1)
        inside.append(abs(row["thickness"] - thickness) < 1.96 * row["sigma"])
        found_all.append(row["found"] == row["wanted"])
        false += row["false"]
        radius_error.extend(row["radius_error"])
        radius_sigma.extend(row["radius_sigma"])
    n = len(within)
    say(
        f"within 10 %: {share_of(sum(within), n)}; within 1.96 sigma: {share_of(sum(inside), n)}; "
        f"every hole above the resolution found: {share_of(sum(found_all), n)}; false holes {false}"
    )
    error, sigma = np.array(radius_error), np.array(radius_sigma)
    held = np.abs(error) < 1.96 * sigma
    say(
        f"radii: {mean_error(error)}, rms {np.sqrt((error**2).mean()):.2f}, stated {np.sqrt((sigma**2).mean()):.2f}; "
        f"within 1.96 sigma {share_of(int(held.sum()), len(held))}"
    )


def largest_part(mask: np.ndarray) -> np.ndarray:
    """Return the largest component."""
    labels, _ = detect.label(mask)
    return np.asarray(labels == np.bincount(labels.ravel())[1:].argmax() + 1)


def closed(mask: np.ndarray, radius: float) -> np.ndarray:
    """Return a mask with all that a ball of ``radius`` does not fit into from outside."""
    wide = detect.distance(~mask, threads=1) <= radius
    return mask | np.asarray(detect.distance(wide, threads=1) > radius)


def measured(
    halves: Any, geometry: Geometry, thickness: float, places: np.ndarray, radii: np.ndarray
) -> dict[str, Any]:
    """Mesh, measure the layer, look for holes, compare."""
    how: dict[str, Any] = {
        "halves": halves, "geometry": geometry, "image_shape": (112, 112), "solve": RAMP,
        "pixel_size": 10.0, "threads": 1,
    }  # fmt: skip
    # The particle: what is brighter than half of the ball's own level once smoothed, without specks and cavities. It is
    # closed by 6 px first: a dark place inside is a cavity too where a hole leads to it.
    total = halves.first + halves.second
    bright = closed(largest_part(smooth(total, 2.0) > 0.3), 6.0)
    mesh = detect.bridged(detect.surface(None, labels=~largest_part(~bright), **how))
    layer = detect.layer_thickness(
        None, mesh, offset_px=-3.0, shift_px=4.0, most_px=11.0, sides="differ", **how
    )
    best, sigma = layer.mean, layer.sigma_mean
    holes = detect.pinholes(
        None, mesh, best, layer.contrast, inside=layer.inside, offset_px=-best / 2, **how
    )
    at = np.stack([holes.table[f"{a}_nm"] for a in "zyx"], 1)
    vertices = mesh.vertices
    wanted, found, errors, sigmas, used = 0, 0, [], [], set()
    for place, radius in zip(places, radii, strict=True):
        gap = np.linalg.norm(at - place, axis=1) if len(at) else np.array([math.inf])
        near = holes.detectable[np.linalg.norm(vertices - place, axis=1).argmin()]
        wanted += bool(radius > near)
        if gap.min() < max(2.0, radius):
            used.add(int(gap.argmin()))
            found += bool(radius > near)
            errors.append(holes.table["radius_nm"][gap.argmin()] - radius)
            sigmas.append(holes.table["sigma_radius_nm"][gap.argmin()])
    area = sum(math.pi * r * r for r in radii) / (4 * math.pi * np.linalg.norm(places[0]) ** 2)
    return {
        "thickness": best, "sigma": sigma, "wanted": wanted, "found": found, "false": len(at) - len(used),
        "radius_error": np.array(errors), "radius_sigma": np.array(sigmas),
        "coverage": holes.coverage, "true_coverage": 1 - area,
        "contrast": layer.contrast, "inside": layer.inside,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("cases", nargs="+", choices=("layers", "shell"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    for case in arguments.cases:
        say(f"{case}, seeds {seeds.start} to {seeds.stop - 1}")
        {"layers": layers, "shell": shell}[case](seeds)


if __name__ == "__main__":
    main()
