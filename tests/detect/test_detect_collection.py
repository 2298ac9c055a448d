# SPDX-License-Identifier: BSD-3-Clause
"""What several searches found, put together."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import cryolith
from cryolith import Defects, InputError, Volume
from cryolith.detect import collect

VOLUME = Volume(data=np.zeros((5, 6, 8), np.float32), pixel_size=20.0)
BLOBS = SimpleNamespace(
    table={"z_px": np.zeros(2), "y_px": np.zeros(2), "x_px": np.zeros(2)}, notes=("noise: given",)
)
TUBES = SimpleNamespace(
    table={"length_nm": np.array([4.0])},
    lines=(np.array([[2.0, 2.5, 3.5], [2, 2.5, 5.5]]),),
    notes=(),
)
MESH = SimpleNamespace(vertices=np.zeros((0, 3)), faces=np.zeros((0, 3), int), fields={})
SHEETS = SimpleNamespace(table={"area_nm2": np.ones(1)}, mesh=MESH, notes=("a", "b"))


def test_tables_lines_surfaces_and_notes_come_together():
    base = Defects(voids={"volume_nm3": np.ones(1)}, notes=("voids: 1",), thresholds={"void": 1.0})
    found = collect(
        VOLUME,
        base,
        blobs=BLOBS,
        tubes=TUBES,
        sheets=SHEETS,
        surfaces={"shell": MESH},
        tables={"own": {}},
    )
    assert list(found.all_tables) == [
        "layers",
        "voids",
        "particles",
        "blobs",
        "tubes",
        "sheets",
        "own",
    ]
    assert found.voids is base.voids
    # The middle of (5, 6, 8) voxels of 2 nm is (2, 2.5, 3.5).
    assert found.lines["tubes"][0].tolist() == [[0, 0, 0], [0, 0, 4]]
    assert found.notes == ("voids: 1", "blobs: noise: given", "sheets: a", "sheets: b")
    assert list(found.surfaces) == ["sheets", "shell"]
    assert found.surfaces["sheets"] is SHEETS.mesh
    assert found.pixel_size == 20.0
    assert found.thresholds == {"void": 1.0}


def test_without_a_detection_before_it_says_who_made_it():
    found = collect(VOLUME, blobs=BLOBS)
    assert found.provenance.made_by == "cryolith.detect.collect"
    assert found.provenance.version == cryolith.__version__
    assert found.voids == {}


def test_a_table_twice_is_refused():
    once = collect(VOLUME, blobs=BLOBS)
    for again in ({"blobs": BLOBS}, {"tables": {"blobs": {}}}):
        with pytest.raises(InputError, match="found 'blobs' twice"):
            collect(VOLUME, once, **again)
    with pytest.raises(InputError, match="found 'blobs' twice"):
        collect(VOLUME, blobs=BLOBS, tables={"blobs": {}})
