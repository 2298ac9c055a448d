# SPDX-License-Identifier: BSD-3-Clause
"""Media whose statistics are known exactly."""

from __future__ import annotations

import numpy as np

from cryolith.detect import distance


def lattice_ball(radius):
    reach = np.arange(-radius, radius + 1)
    return reach[:, None, None] ** 2 + reach[:, None] ** 2 + reach**2 <= radius**2


def voxel_balls(rng, edge, radius, share):
    """Balls about voxels, each one with the same chance: the Boolean model of the lattice, of a known share.

    A set of m voxels stays outside of all balls with (1 - share)^(voxels of the union of balls about them / voxels of
    a ball).
    """
    chance = 1 - (1 - share) ** (1 / lattice_ball(radius).sum())
    centres = rng.random((edge + 2 * radius,) * 3) < chance
    inner = slice(radius, -radius)
    return (distance(~centres) <= radius)[inner, inner, inner]


def balls(rng, shape, edges, radius, share):
    """Balls anywhere that may overlap, sampled at voxel centres: the Boolean model, of a known share."""
    density = -np.log(1 - share) / (4 / 3 * np.pi * radius**3)
    size = np.multiply(shape, edges)
    count = rng.poisson(density * np.prod(size + 2 * radius))
    mask = np.zeros(shape, bool)
    for centre in rng.uniform(-radius, size + radius, (count, 3)):
        low = np.maximum(np.floor((centre - radius) / edges - 0.5).astype(int), 0)
        high = np.minimum(np.ceil((centre + radius) / edges + 0.5).astype(int), shape)
        if (low < high).all():
            window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            axes = [
                (np.arange(a, b) + 0.5) * e - c
                for a, b, e, c in zip(low, high, edges, centre, strict=True)
            ]
            z, y, x = np.ix_(*axes)
            mask[window] |= z**2 + y**2 + x**2 <= radius**2
    return mask


def surface_of_balls(radius, share):
    """Area per volume of the Boolean model of balls: a ball's own, where no other ball covers it."""
    return -np.log(1 - share) * 3 / radius * (1 - share)


def tube(shape, middle, half, radius, edges=(1.0, 1.0, 1.0)):
    """A rod with round ends about the line from middle - half to middle + half [px]; radius in the unit of edges."""
    half = np.multiply(half, edges)
    at = (np.moveaxis(np.indices(shape), 0, -1) - middle) * edges
    along = np.clip(at @ half / (half @ half), -1, 1)
    return np.linalg.norm(at - along[..., None] * half, axis=-1) < radius


def ring(rng, radius, width):
    """A torus anywhere, in any orientation."""
    n = int(2 * (radius + width) + 8)
    axis = rng.standard_normal(3)
    axis /= np.linalg.norm(axis)
    at = np.moveaxis(np.indices((n,) * 3), 0, -1) - (n - 1) / 2 + rng.uniform(-0.5, 0.5, 3)
    height = at @ axis
    out = np.linalg.norm(at - height[..., None] * axis, axis=-1) - radius
    return np.hypot(height, out) < width


def lattice_of_balls(period, ball, tube_radius, count=2):
    """A cubic lattice of balls that tubes along the axes join."""
    at = (np.indices((period * count,) * 3) + 0.5) % period - period / 2
    mask = (at**2).sum(axis=0) < ball**2
    for axis in range(3):
        mask |= (np.delete(at, axis, axis=0) ** 2).sum(axis=0) < tube_radius**2
    return mask
