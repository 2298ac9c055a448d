# SPDX-License-Identifier: BSD-3-Clause
"""ETSpy's stacks, shifts and volumes: orders here, the rest against ETSpy itself."""

from __future__ import annotations

import numpy as np
import pytest
from blobs import blobs, error

from cryolith.adapters import etspy as adapter
from cryolith.errors import InputError
from cryolith.projection import Geometry, project
from cryolith.reconstruct import sirt

TILTS = np.arange(-70.0, 71.0, 4.0)
SHAPE = (30, 6, 32)  # nz, ny, nx: ETSpy's thickness, x and y


def test_geometry_and_arrays_go_both_ways(rng):
    shifts = rng.normal(size=(len(TILTS), 2))
    tilts, back = adapter.to_geometry(adapter.from_geometry(TILTS[:, None], shifts))
    assert np.array_equal(tilts, TILTS)
    assert back == pytest.approx(shifts)
    _, moved = adapter.to_geometry(Geometry.single_axis(TILTS, tilt_axis_deg=-90, axis_offset_px=2))
    # Row = -u - 2: the image has to come back by 2 rows.
    assert moved == pytest.approx(np.tile([2.0, 0.0], (len(TILTS), 1)))
    stack, rec = rng.random((36, 32, 6)), rng.random((6, 30, 32))
    assert adapter.from_stack(stack) is stack
    assert np.shares_memory(adapter.from_volume(rec), rec)
    assert adapter.from_volume(rec).shape == SHAPE
    assert np.array_equal(adapter.to_volume(adapter.from_volume(rec)), rec)


def test_other_axes_are_refused():
    for axis in (0.0, 90.0):
        with pytest.raises(InputError, match="expected -90"):
            adapter.to_geometry(Geometry.single_axis(TILTS, tilt_axis_deg=axis))
    with pytest.raises(InputError, match="stack: found shape"):
        adapter.from_stack(np.ones((3, 4)))


def etspy_stack(volume, geometry):
    from etspy.base import TomoStack

    images = project(volume, geometry, (SHAPE[2], SHAPE[1]))
    return TomoStack(adapter.to_stack(images), tilts=TILTS[:, None])


@pytest.mark.peers
def test_its_reconstruction_comes_out_where_ours_does():
    volume = blobs(SHAPE)
    stack = etspy_stack(volume, adapter.from_geometry(TILTS))
    rec = stack.reconstruct(
        "SIRT", iterations=30, thickness=SHAPE[0], cuda=False, show_progressbar=False
    )
    theirs = adapter.from_volume(rec)
    found = sirt(
        adapter.from_stack(stack),
        adapter.from_geometry(stack.tilts),
        shape=SHAPE,
        n_iter=30,
        lower=-np.inf,
    )
    assert error(found, theirs) < 0.03
    assert error(theirs, volume) < 0.3
    # The other direction of the axis is the mirrored volume, far away.
    assert error(theirs[::-1], volume) > 0.8


@pytest.mark.peers
def test_its_shifts_move_images_as_the_geometry_says(rng):
    from etspy.align import apply_shifts

    volume = blobs(SHAPE)
    shifts = rng.integers(-3, 4, (len(TILTS), 2)).astype(float)
    raw = etspy_stack(volume, adapter.from_geometry(TILTS, shifts))
    aligned = apply_shifts(raw, shifts, method="interp", cuda=False)
    straight = project(volume, adapter.from_geometry(TILTS), (SHAPE[2], SHAPE[1]))
    inside = (slice(None), slice(4, -4), slice(None))
    columns = np.abs(shifts[:, 1]) == 0  # a short axis: compare images that did not move along it
    assert error(aligned.data[columns][inside], straight[columns][inside]) < 0.02
