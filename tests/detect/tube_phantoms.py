# SPDX-License-Identifier: BSD-3-Clause
"""Straight tubes whose wall is made of columns, in noise, with or without a missing wedge."""

from __future__ import annotations

import numpy as np


def tube(
    n,
    *,
    shape=(40, 96, 72),
    direction=(0.02, 1.0, -0.25),
    centre_px=(20.3, 47.5, 34.6),
    spacing_px=5.2,
    elongation=1.0,
    contrast=1.0,
    noise=1.0,
    tilt_deg=None,
    seed=0,
):
    """Return a volume and what it holds: ``n`` columns (Gaussians of 1.4 px) at equal distances along an ellipse.

    ``noise`` is the standard deviation of white noise, ``contrast`` the density in the middle of a column. With
    ``tilt_deg`` only what images within plus and minus so many degrees hold is left, of the noise too.
    """
    axis = np.asarray(direction, float)
    axis /= np.linalg.norm(axis)
    first = np.array([1.0, 0, 0]) - axis * axis[0]
    first /= np.linalg.norm(first)
    second = np.cross(first, axis)
    away = np.moveaxis(np.indices(shape).astype(float), 0, -1) - centre_px
    row, column = away @ first, away @ second
    radius = n * spacing_px / (2 * np.pi)
    turn = np.linspace(0, 2 * np.pi, 4001)
    stretch = (elongation - 1) / (elongation + 1)
    distance = radius * (1 + stretch * np.cos(2 * turn))
    curve = distance * np.cos(turn), distance * np.sin(turn)
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(curve, axis=1)))])
    at = (np.arange(n) + 0.3) / n * along[-1]
    volume = np.zeros(shape)
    for y, x in zip(np.interp(at, along, curve[0]), np.interp(at, along, curve[1]), strict=True):
        volume += contrast * np.exp(-((row - y) ** 2 + (column - x) ** 2) / (2 * 1.4**2))
    volume += np.random.default_rng(seed).normal(0, noise, shape)
    if tilt_deg is not None:
        volume = within_tilts(volume, tilt_deg)
    truth = {
        "direction": axis * np.sign(axis[np.abs(axis).argmax()]),
        "centre_px": np.asarray(centre_px),
        "radius_px": radius,
        "spacing_px": along[-1] / n,
    }
    return volume.astype(np.float32), truth


def within_tilts(volume, tilt_deg):
    """Remove the frequencies that no image within plus and minus ``tilt_deg`` holds; the mean stays."""
    kz, kx = np.fft.fftfreq(volume.shape[0]), np.fft.rfftfreq(volume.shape[2])
    steep = np.abs(kz)[:, None, None] > np.tan(np.deg2rad(tilt_deg)) * kx
    terms = np.fft.rfftn(volume)
    steep = np.broadcast_to(steep, terms.shape).copy()
    steep[0, 0, 0] = False
    terms[steep] = 0
    return np.fft.irfftn(terms, volume.shape, axes=(0, 1, 2))
