# SPDX-License-Identifier: BSD-3-Clause
"""scikit-image's sinograms: orders and errors here, the rest against scikit-image itself."""

from __future__ import annotations

import numpy as np
import pytest
from blobs import blobs, error

from cryolith.adapters import skimage as adapter
from cryolith.errors import InputError
from cryolith.projection import Geometry, project
from cryolith.reconstruct import wbp

THETA = np.linspace(0.0, 180.0, 40, endpoint=False)


def test_geometry_and_arrays_go_both_ways(rng):
    for positions, size in ((20, None), (21, None), (29, 20), (30, 21)):
        geometry = adapter.from_geometry(THETA, positions, size)
        assert adapter.to_geometry(geometry, positions, size) == pytest.approx(THETA)
    sinogram, image = rng.random((20, 40)), rng.random((18, 18))
    assert adapter.from_stack(sinogram).shape == (40, 1, 20)
    assert np.shares_memory(adapter.from_stack(sinogram), sinogram)
    assert np.array_equal(adapter.to_stack(adapter.from_stack(sinogram)), sinogram)
    assert np.array_equal(adapter.to_volume(adapter.from_volume(image)), image)


def test_what_it_cannot_say_is_refused():
    with pytest.raises(InputError, match="align the images"):
        adapter.to_geometry(Geometry.single_axis(THETA), 20)  # centres at (n - 1) / 2
    with pytest.raises(InputError, match="found 3 rows"):
        adapter.to_volume(np.ones((4, 3, 4)))
    with pytest.raises(InputError, match="found 0"):
        adapter.from_geometry(THETA, 0)


@pytest.mark.peers
@pytest.mark.parametrize("n", [40, 41])
@pytest.mark.parametrize("circle", [True, False])
def test_sinograms_are_scikit_images(n, circle):
    from skimage.transform import radon

    image = adapter.to_volume(blobs((n, 1, n), width=2.0))
    if circle:
        row, column = np.indices(image.shape) - n // 2
        image = np.where(np.hypot(row, column) < n // 2 - 1, image, 0).astype("f4")
    sinogram = radon(image, THETA, circle=circle)
    geometry = adapter.from_geometry(THETA, len(sinogram), n)
    found = project(adapter.from_volume(image), geometry, (1, len(sinogram)))
    assert error(found, adapter.from_stack(sinogram)) < 0.01


@pytest.mark.peers
@pytest.mark.parametrize("n", [40, 41])
def test_filtered_back_projections_lie_where_its_own_do(n):
    from skimage.transform import iradon, radon

    image = adapter.to_volume(blobs((n, 1, n), width=2.0))
    sinogram = radon(image, THETA, circle=False)
    theirs = iradon(sinogram, THETA, output_size=n, circle=False)
    geometry = adapter.from_geometry(THETA, len(sinogram), n)
    found = wbp(adapter.from_stack(sinogram), geometry, filter="ramp", shape=(n, 1, n))
    assert error(adapter.to_volume(found), theirs) < 0.025
