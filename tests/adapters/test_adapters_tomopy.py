# SPDX-License-Identifier: BSD-3-Clause
"""tomopy's orders and its ray: tomopy itself is not on the package index, so its formula is written out here."""

from __future__ import annotations

import numpy as np
import pytest
from blobs import blobs, error

from cryolith.adapters import tomopy as adapter
from cryolith.errors import InputError
from cryolith.projection import Geometry, project

THETA = np.deg2rad(np.linspace(-70, 60, 9))


def tomopy_project(recon, theta, center, width):
    """Line integrals along the rays of tomopy 1.15 (libtomo, project.c and utils.c, preprocessing and calc_coords).

    Column d looks along (cos, sin) through (-y sin, y cos) with y = d + 1/2 - center, in a slice (x, y) whose centre
    is the origin. The volume (slice, x, y) is sampled linearly every half pixel.
    """
    n_slices, nx, ny = recon.shape
    t = np.arange(-max(nx, ny), max(nx, ny), 0.5)
    out = np.zeros((len(theta), n_slices, width))
    for i, angle in enumerate(theta):
        c, s = np.cos(angle), np.sin(angle)
        for d in range(width):
            y = d + 0.5 - center
            u, v = t * c - y * s + (nx - 1) / 2, t * s + y * c + (ny - 1) / 2
            j, k = np.floor(u).astype(int), np.floor(v).astype(int)
            inside = (j >= 0) & (k >= 0) & (j < nx - 1) & (k < ny - 1)
            j, k, fu, fv = (
                j[inside],
                k[inside],
                (u - np.floor(u))[inside],
                (v - np.floor(v))[inside],
            )
            value = recon[:, j, k] * (1 - fu) * (1 - fv) + recon[:, j + 1, k] * fu * (1 - fv)
            value += recon[:, j, k + 1] * (1 - fu) * fv + recon[:, j + 1, k + 1] * fu * fv
            out[i, :, d] = value.sum(1) * 0.5
    return out


@pytest.mark.parametrize("center", [None, 21.25])
def test_projections_follow_tomopys_formula(center):
    recon = adapter.to_volume(blobs((30, 5, 36)))
    assert recon.shape == (5, 30, 36)
    tomo = tomopy_project(recon, THETA, 20.0 if center is None else center, 40)
    geometry = adapter.from_geometry(THETA, 40, center)
    found = project(adapter.from_volume(recon), geometry, (5, 40))
    assert error(found, adapter.from_stack(tomo)) < 0.005


def test_geometry_and_arrays_go_both_ways(rng):
    theta, center = adapter.to_geometry(adapter.from_geometry(THETA, 40, 18.75), 40)
    assert theta == pytest.approx(THETA)
    assert center == 18.75
    tomo, recon = rng.random((9, 5, 40)), rng.random((5, 30, 36))
    assert adapter.from_stack(tomo) is tomo
    assert adapter.to_stack(tomo, sinogram_order=True).shape == (5, 9, 40)
    assert np.array_equal(
        adapter.from_stack(adapter.to_stack(tomo, sinogram_order=True), sinogram_order=True), tomo
    )
    assert np.shares_memory(adapter.from_volume(recon), recon)
    assert np.array_equal(adapter.to_volume(adapter.from_volume(recon)), recon)


def test_what_tomopy_cannot_say_is_refused():
    with pytest.raises(InputError, match="align the images"):
        adapter.to_geometry(Geometry.single_axis([0.0, 1.0], tilt_axis_deg=3.0), 10)
    with pytest.raises(InputError, match="center: found nan"):
        adapter.from_geometry(THETA, 40, np.nan)
    with pytest.raises(InputError, match="tomo: found shape"):
        adapter.from_stack(np.ones((3, 4)))
