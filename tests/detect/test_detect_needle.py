# SPDX-License-Identifier: BSD-3-Clause
"""The real multilayer needle: what a microscopist counts in its slices is what the table says."""

from __future__ import annotations

import numpy as np
import pytest

from cryolith import Volume
from cryolith.detect import detect, interfaces
from cryolith.detect._support import find_support
from cryolith.projection import Geometry
from cryolith.reconstruct import sirt

PIXEL = 33.6 * 2  # angstrom; the images are binned by 2
# Read off the central slices by eye: where each boundary crosses the needle's axis, index along the needle in the
# binned volume, to about 1 px. From the substrate (touches the border) to the tip: dark, bright, dark, bright, dark.
BOUNDARIES = np.array([43.5, 51.5, 61.5, 69.0, 78.5, 87.0])
NAMES = ["end 1", "dark 1", "bright 1", "dark 2", "bright 2", "dark 3", "bright 3"]


def authors_geometry(table, size, axis_deg=-2.793, offset=2.512):
    """The alignment of the data's authors in our convention, for images binned by 2.

    They move an image by (sy, sx), turn it by the axis angle about n / 2 and move it by -offset: their X runs along
    the axis, ours is v; their Y runs across, ours is -u.
    """
    t = np.radians(axis_deg)
    row = 0.5 + 0.5 * np.sin(t) + np.cos(t) * (offset - 0.5) - table[:, 1]
    column = 0.5 - 0.5 * np.cos(t) + np.sin(t) * (offset - 0.5) - table[:, 2]
    return Geometry.single_axis(
        table[:, 0], tilt_axis_deg=-(90 + axis_deg), shifts_px=np.stack([row, column], axis=1) / 2
    )


@pytest.fixture(scope="module")
def needle(shared_data):
    folder = shared_data / "haadf_needle"
    raw = np.fromfile(folder / "HAADF.mrc", "<i2", offset=1024 + 131072).reshape(77, 256, 256)
    images = raw.astype(np.float32) + 32768
    images -= np.percentile(images, 5, axis=(1, 2), keepdims=True).astype(np.float32)
    images = np.maximum(images, 0).reshape(77, 128, 2, 128, 2).mean(axis=(2, 4))
    geometry = authors_geometry(np.loadtxt(folder / "reference_alignment.tsv"), 128)
    data = sirt(images, geometry, n_iter=20, shape=(80, 128, 80))
    return Volume(data=data, pixel_size=PIXEL)


def test_the_layers_are_those_that_one_sees(needle):
    defects = detect(needle)
    layers = defects.layers
    assert layers["name"].tolist() == NAMES
    assert layers["complete"].tolist() == [False, True, True, True, True, True, False]
    got = layers["end_nm"][:-1] / (PIXEL / 10) + 63.5
    assert np.abs(got - BOUNDARIES).max() < 1.0
    thickness, sigma = (layers[f"{s}thickness_nm"][1:-1] for s in ("", "sigma_"))
    assert np.abs(thickness - np.diff(BOUNDARIES) * PIXEL / 10).max() < 1.5 * PIXEL / 10
    # A tenth of a pixel, 0.7 nm, is what edges of this contrast allow; a hundredth would be a boast.
    assert (sigma < 1.5).all()
    assert (sigma > 0.05).all()
    assert (layers["end_tilt_deg"][:-1] < 2).all()
    assert layers["intensity_mean"][2] > 1.2 * layers["intensity_mean"][1]
    assert len(defects.voids["label"]) == 0
    assert len(defects.particles.get("label", ())) == 0


def test_halves_of_the_needle_agree_within_their_errors(needle):
    # Left and right of the axis share no column of voxels (they share the projections' noise).
    middle = needle.data.shape[2] // 2
    masks = np.zeros((2, *needle.data.shape), bool)
    masks[0, :, :, :middle] = masks[1, :, :, middle:] = True
    whole = detect(needle).layers
    support = find_support(needle.data).mask
    tables = [interfaces(needle, axis="y", support=support & m) for m in masks]
    for table in tables:
        found = table["complete"]
        assert found.sum() >= 3
    first, second = (t["thickness_nm"][t["complete"]][:3] for t in tables)
    sigma = np.hypot(*(t["sigma_thickness_nm"][t["complete"]][:3] for t in tables))
    assert (np.abs(first - second) < 3 * sigma).all()
    assert whole["complete"].sum() == 5
