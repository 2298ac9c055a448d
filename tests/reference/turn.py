# SPDX-License-Identifier: BSD-3-Clause
"""An image sampled on a lattice at any angle to its pixels, one direction at a time (design/003-projector.md)."""

from __future__ import annotations

import numpy as np

TURN_TAPS, TURN_BETA = 12, 7.0


def tap_weights(fraction, taps=8, beta=6.0):
    """Weights of the ``taps`` pixels around floor(X), of 8 floor(X) - 3 ... + 4, for X - floor(X) = fraction; sum 1."""
    d = np.arange(taps) - (taps // 2 - 1) - np.asarray(fraction)[..., None]
    inside = np.abs(d) < taps / 2
    window = np.i0(beta * np.sqrt(np.where(inside, 1 - (2 * d / taps) ** 2, 0))) / np.i0(beta)
    w = np.where(inside, np.sinc(d) * window, 0)
    return w / w.sum(-1, keepdims=True)


def interpolated(lines, first, positions):
    """(..., n) values at ``positions`` of lines (..., length) whose value 0 lies at ``first``; zero outside."""
    whole = np.floor(positions)
    taps = tap_weights(positions - whole, TURN_TAPS, TURN_BETA)
    pixel = whole.astype(int)[:, None] - TURN_TAPS // 2 + 1 - first + np.arange(TURN_TAPS)
    weights = np.zeros((len(positions), lines.shape[-1] + 1))  # the last column: beyond the line
    inside = (pixel >= 0) & (pixel < lines.shape[-1])
    np.add.at(weights, (np.arange(len(positions))[:, None], np.where(inside, pixel, -1)), taps)
    return lines @ weights[:, :-1].T


def turned(images, origin, step, lane, rows, columns):
    """Sample (j, i) of ``images`` (..., height, width): (..., rows, columns).

    It lies at ``origin + i step + j lane``, each (row, column). Spacings of one pixel, to rounding, are copied: their
    fraction of a pixel is part of the shear before or after.
    """
    if abs(step[0]) > abs(step[1]):  # the samples' rows lie nearer to the columns of the image
        images, origin, step, lane = images.swapaxes(-1, -2), origin[::-1], step[::-1], lane[::-1]
    height, width = images.shape[-2:]
    (y, x), (step_y, step_x), (lane_y, lane_x) = origin, step, lane
    length = np.copysign(np.hypot(step_y, step_x), step_x)
    cosine, sine = step_x / length, step_y / length
    a, b = (cosine - 1) / sine if sine else 0.0, sine

    # x, y = turned x (cosine, sine) + turned y (a, 1), from the middle of the image.
    y, x = y - (height - 1) / 2, x - (width - 1) / 2
    x = x - a * y
    y = y - b * x
    x, y = x + (width - 1) / 2, y + (height - 1) / 2
    along, across = length, cosine * lane_y - sine * lane_x
    slope = (lane_x - a * lane_y) / along
    x += slope * along * (rows - 1) / 2  # of the middle row, on which no shear acts
    raised, moved = 0.0, 0.0
    if abs(along - 1) < 1e-8:
        along, moved, x = 1.0, x % 1.0, np.floor(x)
    if abs(abs(across) - 1) < 1e-8:
        across, raised, y = np.sign(across), y % 1.0, np.floor(y)

    shift = slope * (np.arange(rows) - (rows - 1) / 2) + moved
    spots = np.arange(np.floor(shift.min()) - TURN_TAPS, columns + np.ceil(shift.max()) + TURN_TAPS)
    spots, lines = x + along * spots, y + across * np.arange(rows)
    xs, ys = around(spots), around(lines)
    values = np.stack(
        [
            interpolated(images[..., r, :], 0, xs + a * (r - (height - 1) / 2))
            for r in range(height)
        ],
        -2,
    )
    values = np.stack(
        [
            interpolated(values[..., k], 0, ys + b * (c - (width - 1) / 2) + raised)
            for k, c in enumerate(xs)
        ],
        -1,
    )
    values = interpolated(values, xs[0], spots)
    values = interpolated(values.swapaxes(-1, -2), ys[0], lines).swapaxes(-1, -2)
    first = int(np.floor(shift.min())) - TURN_TAPS
    return np.stack(
        [
            interpolated(values[..., j, :], first, np.arange(columns) + shift[j])
            for j in range(rows)
        ],
        -2,
    )


def around(positions):
    """Whole pixels that the taps of some positions lie on."""
    low, high = positions.min(), positions.max()
    return np.arange(int(np.floor(low)) - TURN_TAPS, int(np.ceil(high)) + TURN_TAPS)
