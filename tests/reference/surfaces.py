# SPDX-License-Identifier: BSD-3-Clause
"""Slow definitions of what is measured on surfaces, and meshes whose curvatures are known."""

from __future__ import annotations

import numpy as np

from cryolith.detect import Surface


def tube_mesh(radius, shape, spacing=1.0, pixel_size=None, scale=1.0):
    """Return a cylinder about the y axis through the middle, as long as the volume, normals outwards."""
    count = round(2 * np.pi * radius / spacing)
    along = np.arange(0, shape[1], spacing) - (shape[1] - 1) / 2
    turn, y = np.meshgrid(np.arange(count) * 2 * np.pi / count, along, indexing="ij")
    vertices = np.stack([radius * np.sin(turn), y, radius * np.cos(turn)], -1).reshape(-1, 3)
    return Surface(
        vertices=vertices * scale,
        faces=_grid_faces(count, len(along), closed=False),
        shape=shape,
        pixel_size=pixel_size,
    )


def torus_mesh(large, small, shape):
    """Return a torus about the z axis, and the Gaussian curvature of each vertex."""
    n, m = round(2 * np.pi * large), round(2 * np.pi * small)
    around, turn = np.meshgrid(
        np.arange(n) * 2 * np.pi / n, np.arange(m) * 2 * np.pi / m, indexing="ij"
    )
    away = large + small * np.cos(turn)
    vertices = np.stack([small * np.sin(turn), away * np.sin(around), away * np.cos(around)], -1)
    gaussian = np.cos(turn) / (small * away)
    mean = (large + 2 * small * np.cos(turn)) / (2 * small * away)
    faces = _grid_faces(n, m, closed=True)[:, ::-1].copy()
    mesh = Surface(vertices=vertices.reshape(-1, 3), faces=faces, shape=shape)
    return mesh, mean.ravel(), gaussian.ravel()


def grid_faces(n, m):
    """Return the faces of an open sheet of n times m vertices."""
    i, j = np.meshgrid(np.arange(n - 1), np.arange(m - 1), indexing="ij")
    a, b, c, d = (((i + p) * m + j + q).ravel() for p, q in ((0, 0), (1, 0), (0, 1), (1, 1)))
    return np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])


def _grid_faces(n, m, closed):
    i, j = np.meshgrid(np.arange(n), np.arange(m if closed else m - 1), indexing="ij")
    a, b = (i * m + j).ravel(), ((i + 1) % n * m + j).ravel()
    c, d = (i * m + (j + 1) % m).ravel(), ((i + 1) % n * m + (j + 1) % m).ravel()
    return np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])


def smoothed_samples(volume, places, width):
    """Return the periodic volume convolved with a Gaussian of unit sum, at places [voxels], voxel by voxel."""
    out = np.empty(len(places))
    for k, place in enumerate(places):
        weights = []
        for p, n in zip(place, volume.shape, strict=True):
            away = (np.arange(n) - p + n / 2) % n - n / 2
            g = np.exp(-0.5 * (away / width) ** 2)
            weights.append(g / (width * np.sqrt(2 * np.pi)))
        out[k] = np.einsum("zyx,z,y,x->", volume, *weights)
    return out


def noise_covariance(power, shape, patches, at, width):
    """Return the covariance of the patches' mean profiles by pairs of samples, from the spectrum itself."""
    k = [2 * np.pi * np.fft.fftfreq(n) for n in shape]
    kz, ky, kx = np.meshgrid(*k, indexing="ij")
    full = np.abs(power) * np.exp(-(width**2) * (kz**2 + ky**2 + kx**2)) / np.prod(shape)
    places = patches.points[:, None] + at[None, :, None] * patches.normals[:, None]
    phase = np.exp(
        1j * np.einsum("pri,ik->prk", places, np.stack([kz.ravel(), ky.ravel(), kx.ravel()]))
    )
    profile = np.einsum("p,prk->rk", patches.weights, phase)
    return np.einsum("rk,k,sk->rs", profile, full.ravel(), profile.conj()).real


def best_layer(shapes, i, j, data, covariance, ground, prior, differ):
    """Return chi squared and contrast of the layer between two edges, by one dense least-squares fit."""
    columns = [shapes[j] - shapes[i], *ground]
    if differ:
        columns.append(shapes[i])
    root = np.linalg.cholesky(covariance)
    design = np.linalg.solve(root, np.stack(columns, 1))
    target = np.linalg.solve(root, data)
    if prior is not None:
        row = np.zeros(len(columns))
        row[0] = 1 / prior.sigma
        design = np.vstack([design, row])
        target = np.append(target, prior.mean / prior.sigma)
    solution = np.linalg.lstsq(design, target, rcond=None)[0]
    return float(((target - design @ solution) ** 2).sum()), float(solution[0])
