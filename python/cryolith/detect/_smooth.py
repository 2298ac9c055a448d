# SPDX-License-Identifier: BSD-3-Clause
"""Small separable filters in NumPy."""

from __future__ import annotations

import numpy as np

from ._inputs import Float32, Float64, Mask

__all__ = ["convolve", "convolve_padded", "erode", "gaussian_kernel", "grow_along", "smooth"]


def gaussian_kernel(sigma: float, derivative: bool = False) -> Float64:
    """Return a Gaussian of unit sum, or its derivative with unit response to a unit ramp."""
    x = np.arange(-int(np.ceil(4 * sigma)), int(np.ceil(4 * sigma)) + 1)
    g: Float64 = np.exp(-0.5 * (x / sigma) ** 2)
    g = g / g.sum()
    if derivative:
        g = -x * g
        g = g / -(x * g).sum()
    return g


def convolve(volume: Float32, kernel: Float64, axis: int) -> Float32:
    """Correlate one axis with ``kernel``; the ends are continued by their last value."""
    reach = len(kernel) // 2
    padding = [(reach, reach) if i == axis else (0, 0) for i in range(volume.ndim)]
    return convolve_padded(np.pad(volume, padding, mode="edge"), kernel, axis)


def convolve_padded(padded: Float32, kernel: Float64, axis: int) -> Float32:
    """Correlate one axis with ``kernel`` where all of it lies inside."""
    count = padded.shape[axis] - len(kernel) + 1
    window: list[slice] = [slice(None)] * padded.ndim
    window[axis] = slice(count)
    out = np.zeros_like(padded[tuple(window)])
    for k, weight in enumerate(kernel):
        window[axis] = slice(k, k + count)
        out += np.float32(weight) * padded[tuple(window)]
    return out


def smooth(volume: Float32, sigma: float, derivative: int | None = None) -> Float32:
    """Smooth with a Gaussian of ``sigma`` [px]; along ``derivative`` take the slope per pixel."""
    for axis in range(volume.ndim):
        if volume.shape[axis] > 1:
            kernel = gaussian_kernel(sigma, axis == derivative)
            volume = convolve(volume, kernel[::-1] if axis == derivative else kernel, axis)
        elif axis == derivative:
            return np.zeros_like(volume)
    return volume


def erode(mask: Mask, steps: int, axes: tuple[int, ...]) -> Mask:
    """Peel ``steps`` voxels off a mask along ``axes``: an octagon; outside of the array counts as empty."""
    out = mask.copy()
    for step in range(steps):
        source = out.copy()
        for axis in axes:
            if out.shape[axis] == 1:
                continue
            # A cross and a square in turn make an octagon, the roundest of the cheap shapes.
            view = np.moveaxis(source if step % 2 == 0 else out.copy(), axis, 0)
            target = np.moveaxis(out, axis, 0)
            target[1:] &= view[:-1]
            target[:-1] &= view[1:]
            target[0] = target[-1] = False
    return out


def grow_along(mask: Mask, allowed: Mask, steps: int, axis: int) -> Mask:
    """Extend a mask along one axis, both ways, by up to ``steps`` voxels of ``allowed``."""
    out = mask.copy()
    for _ in range(steps):
        source = np.moveaxis(out.copy(), axis, 0)
        target, may = np.moveaxis(out, axis, 0), np.moveaxis(allowed, axis, 0)
        target[1:] |= source[:-1] & may[1:]
        target[:-1] |= source[1:] & may[:-1]
    return out
