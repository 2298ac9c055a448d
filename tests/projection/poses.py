# SPDX-License-Identifier: BSD-3-Clause
"""Geometries of every kind, and the exact images of a phantom at any pose: no projector involved."""

from __future__ import annotations

import numpy as np

from cryolith.projection import Geometry, rotation_matrix


def exact_images(phantom, geometry, image_shape):
    """(n, height, width) float32: line integrals of the solids, in pixels of the specimen frame, magnification 1."""
    m, out = geometry.matrices(), np.empty((len(geometry), *image_shape))
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in image_shape)
    for i, (beam, down, across) in enumerate(geometry.rotations()):
        r = (rows - m[i, 0, 3])[None, :, None] * down[:, None, None]
        c = (columns - m[i, 1, 3])[None, None, :] * across[:, None, None]
        out[i] = phantom.project(r + c, beam)
    return out.astype("f4")


def random_rotations(rng, n):
    """(n, 3, 3) rotations, uniform."""
    q = np.array([np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(n)])
    return q * np.linalg.det(q)[:, None, None]


def kinds():
    """One geometry of every kind, by name."""
    rng = np.random.default_rng(4)
    angles = np.array([-60.0, -25.0, 0.0, 40.0, 90.0])
    single = Geometry.single_axis(
        angles, tilt_axis_deg=12.0, shifts_px=rng.normal(size=(5, 2)), axis_offset_px=0.7
    )
    turned = single.oriented(
        rotation_matrix(x_deg=1.5, y_deg=-2.0, z_deg=90.0), displacement_px=(2.0, -1.0, 3.0)
    )
    x_tilts = Geometry.single_axis(
        angles, tilt_axis_deg=12.0, x_tilts_deg=[0, 3.0, -8.0, 30.0, 0], magnifications=1.02
    )
    return {
        "single": single,
        "x-tilt on some": x_tilts,
        "dual": Geometry.joined(single, turned),
        "conical": Geometry.conical([0.0, 75.0, 140.0, 290.0], 55.0, tilt_axis_deg=33.0),
        "laminography": Geometry.conical(np.arange(0.0, 360.0, 50.0), 70.0),
        "free": Geometry.from_poses(random_rotations(rng, 6), shifts_px=rng.normal(size=(6, 2))),
        "elsewhere": x_tilts.for_volume(centre_px=(3.0, -5.0, 2.5), sampling=1.3),
        "finer": single.for_volume(centre_px=(-2.0, 1.0, 4.0), sampling=0.6),
        "coarser": turned.for_volume(sampling=2.5),
    }
