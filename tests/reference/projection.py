# SPDX-License-Identifier: BSD-3-Clause
"""The discrete projector as it is defined (design/003-projector.md): slow, obvious, float64."""

from __future__ import annotations

import numpy as np

from .turn import tap_weights, turned

TAPS = 8
STEEP = 1.3  # tangent: 52.4 degrees
# Tangent of the largest angle between tilt axis and image axis that two passes resample
SHEAR = 0.125


def resampling(pose, x_along, step, ny, image_shape, turn):
    """S: (n_along, ny, height, width), the weight of each pixel in each sample of the stretched rows."""
    if turn:
        return turned_resampling(pose, x_along, step, ny, image_shape)
    height, width = image_shape
    _, _, ca, sa, shift_row, shift_column, offset, scale = pose
    margin = 3 * TAPS
    s = np.zeros((len(x_along), ny, height + 2 * margin, width + 2 * margin))
    for i, x in enumerate(x_along):
        for y in range(ny):
            u, v = scale * x * step + offset, scale * (y - (ny - 1) / 2)
            row = (height - 1) / 2 + u * sa + v * ca + shift_row
            column = (width - 1) / 2 + u * ca - v * sa + shift_column
            if not (-TAPS < row < height + TAPS and -TAPS < column < width + TAPS):
                continue
            if abs(ca) >= abs(sa):
                for c, r, w in two_passes(column, row, sa / ca):
                    s[i, y, r + margin : r + margin + TAPS, c + margin] += w
            else:
                for r, c, w in two_passes(row, column, ca / sa):
                    s[i, y, r + margin, c + margin : c + margin + TAPS] += w
    return s[:, :, margin:-margin, margin:-margin]


def turned_resampling(pose, x_along, step, ny, image_shape):
    """The same by way of the image turned, so that the axis lies along its columns: rows are those of the volume.

    It is turned by no more than 45 degrees from an image axis; its columns are a pixel apart, and lie on the image's
    own where nothing has to be turned.
    """
    height, width = image_shape
    _, _, ca, sa, shift_row, shift_column, offset, scale = pose
    main, extent = (sa, height) if abs(sa) > abs(ca) else (ca, width)
    sign = np.copysign(1.0, main)
    u = scale * x_along * step + offset
    # The turned image's column is sign u + this, but for a whole number.
    whole = ((extent - 1) / 2 + sign * (shift_row * sa + shift_column * ca)) % 1.0
    first, last = np.floor(np.min(sign * u)) - TAPS, np.ceil(np.max(sign * u)) + TAPS
    columns = int(last - first) + 1
    u0, v0 = sign * (first - whole), -sign * scale * (ny - 1) / 2
    origin = (
        (height - 1) / 2 + u0 * sa + v0 * ca + shift_row,
        (width - 1) / 2 + u0 * ca - v0 * sa + shift_column,
    )
    along, across = (sign * sa, sign * ca), (sign * scale * ca, -sign * scale * sa)
    pixels = np.eye(height * width).reshape(-1, height, width)
    rows = turned(pixels, origin, along, across, ny, columns)
    s = np.zeros((len(x_along), ny, height * width))
    for i, position in enumerate(sign * u - (first - whole)):
        start = int(np.floor(position))
        for k, w in enumerate(tap_weights(position - start), start - TAPS // 2 + 1):
            if 0 <= k < columns:
                s[i] += w * rows[:, :, k].T
    # Row j of the turned image is row y of the volume, or, with the axis the other way round, ny - 1 - y.
    return (s if sign > 0 else s[:, ::-1]).reshape(len(x_along), ny, height, width)


def near_image_axis(pose):
    """Whether volume rows lie along lines of pixels, one apart, but for SHEAR."""
    scale, (other, main) = pose[7], sorted(np.abs(pose[2:4]))
    return max(other / main, scale * other, abs(scale / main - 1)) <= SHEAR


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
    turn = not all(near_image_axis(pose) for pose in poses)  # then every image is turned first
    for t, pose in enumerate(poses):
        ct, st = pose[:2]
        steep = abs(st) > STEEP * abs(ct)
        along, across = (nz, nx) if steep else (nx, nz)
        step, slope = (st, ct / st) if steep else (ct, st / ct)
        whole, rest = shears(across, slope)
        reach = np.abs(whole).max() + 1
        x_along = np.arange(-reach, along + reach + 1) - (along - 1) / 2
        s = resampling(pose, x_along, step, ny, image_shape, turn)
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
