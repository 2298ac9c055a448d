# SPDX-License-Identifier: BSD-3-Clause
"""The discrete projector as it is defined (design/003-projector.md): slow, obvious, float64."""

from __future__ import annotations

import numpy as np

TAPS, BETA = 8, 6.0
STEEP = 1.3  # tangent: 52.4 degrees
SHEAR = (
    0.125  # tangent of the largest angle between tilt axis and image axis that two passes resample
)


def tap_weights(fraction):
    """Weights of the pixels floor(X) - 3 ... floor(X) + 4 for X - floor(X) = fraction; their sum is 1."""
    d = np.arange(TAPS) - (TAPS // 2 - 1) - fraction
    inside = np.abs(d) < TAPS / 2
    window = np.i0(BETA * np.sqrt(np.where(inside, 1 - (2 * d / TAPS) ** 2, 0))) / np.i0(BETA)
    w = np.where(inside, np.sinc(d) * window, 0)
    return w / w.sum()


def resampling(pose, x_along, step, ny, image_shape):
    """S: (n_along, ny, height, width), the weight of each pixel in each sample of the stretched rows."""
    height, width = image_shape
    _, _, ca, sa, shift_row, shift_column, offset, scale = pose
    margin = 3 * TAPS
    s = np.zeros((len(x_along), ny, height + 2 * margin, width + 2 * margin))
    near, turned = near_image_axis(ca, sa, scale), near_image_axis(sa, ca, scale)
    for i, x in enumerate(x_along):
        for y in range(ny):
            u, v = scale * x * step + offset, scale * (y - (ny - 1) / 2)
            row = (height - 1) / 2 + u * sa + v * ca + shift_row
            column = (width - 1) / 2 + u * ca - v * sa + shift_column
            if not (-TAPS < row < height + TAPS and -TAPS < column < width + TAPS):
                continue
            if near:
                for c, r, w in two_passes(column, row, sa / ca):
                    s[i, y, r + margin : r + margin + TAPS, c + margin] += w
            elif turned:
                for r, c, w in two_passes(row, column, ca / sa):
                    s[i, y, r + margin, c + margin : c + margin + TAPS] += w
            else:
                r, c = int(np.floor(row)), int(np.floor(column))
                w = np.outer(tap_weights(row - r), tap_weights(column - c))
                r, c = r - 3 + margin, c - 3 + margin
                s[i, y, r : r + TAPS, c : c + TAPS] = w
    return s[:, :, margin:-margin, margin:-margin]


def near_image_axis(main, other, scale):
    """Whether volume rows lie along lines of pixels, one apart, but for SHEAR; main, other: cos, sin of the angle."""
    if abs(other) > abs(main):
        return False
    spacing = scale / abs(main)
    return max(abs(other / main), scale * abs(other), abs(spacing - 1)) <= SHEAR


def two_passes(along, across, slope):
    """Pixels along the image axis near u, and for each the first pixel and the weights across.

    First every line of pixels across is interpolated where the volume row crosses it, then those values along the row.
    """
    first = int(np.floor(along)) - TAPS // 2 + 1
    for pixel, weight in enumerate(tap_weights(along % 1.0), first):
        crossing = across + slope * (pixel - along)
        start = int(np.floor(crossing))
        yield pixel, start - TAPS // 2 + 1, weight * tap_weights(crossing - start)


def shears(n_across, slope):
    """Whole voxels and rest of the shear of each line; the rest is a multiple of 2^-20."""
    s = np.round((np.arange(n_across) - (n_across - 1) / 2) * slope * 2**20) / 2**20
    return np.floor(s).astype(int), s - np.floor(s)


def matrix(poses, shape, image_shape):
    """A: (n_tilts, height, width, nz, ny, nx), projections = A volume."""
    nz, ny, nx = shape
    out = np.zeros((len(poses), *image_shape, nz, ny, nx))
    for t, pose in enumerate(poses):
        ct, st = pose[:2]
        steep = abs(st) > STEEP * abs(ct)
        along, across = (nz, nx) if steep else (nx, nz)
        step, slope = (st, ct / st) if steep else (ct, st / ct)
        whole, rest = shears(across, slope)
        reach = np.abs(whole).max() + 1
        x_along = np.arange(-reach, along + reach + 1) - (along - 1) / 2
        s = resampling(pose, x_along, step, ny, image_shape)
        for line in range(across):
            for x in range(along):
                i = x + whole[line] + reach
                # (ny, height, width): what voxel (line, x) of each y gives to each pixel
                w = (1 - rest[line]) * s[i] + rest[line] * s[i + 1]
                for y in range(ny):
                    z, xx = (x, line) if steep else (line, x)
                    out[t, :, :, z, y, xx] = w[y]
    return out


def project(volume, poses, image_shape):
    return np.einsum("thwzyx,zyx->thw", matrix(poses, volume.shape, image_shape), volume)


def backproject(stack, poses, shape):
    return np.einsum("thwzyx,thw->zyx", matrix(poses, shape, stack.shape[1:]), stack)
