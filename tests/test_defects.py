# SPDX-License-Identifier: BSD-3-Clause
"""Tables with units, covariance and provenance."""

from __future__ import annotations

import numpy as np
import pytest

import cryolith
from cryolith import Defects, InputError, simulate
from cryolith.units import column_unit

PLACES = {f"{p}{a}_nm": np.array([1.0, 2.0]) for p in ("", "sigma_") for a in "zyx"}


@pytest.mark.parametrize(
    ("column", "unit"),
    [
        ("diameter_nm", "nm"),
        ("sigma_volume_nm3", "nm3"),
        ("start_tilt_deg", "deg"),
        ("x_px", "px"),
        ("nm", ""),
        ("axis1_z", ""),
        ("significance", ""),
    ],
)
def test_units_stand_in_the_names(column: str, unit: str) -> None:
    assert column_unit(column) == unit


def test_tables_by_name() -> None:
    found = Defects(voids={"volume_nm3": np.ones(1)}, tables={"blobs": PLACES})
    assert list(found.all_tables) == ["layers", "voids", "particles", "blobs"]
    assert found.units("voids") == {"volume_nm3": "nm3"}
    with pytest.raises(InputError, match="found 'tubes', expected one of layers, voids"):
        found.table("tubes")
    with pytest.raises(InputError, match="tables: found voids"):
        Defects(tables={"voids": {}})


def test_covariance_of_places() -> None:
    full = np.arange(18.0).reshape(2, 3, 3)
    given = Defects(tables={"blobs": PLACES}, covariances={"blobs": full})
    assert given.position_covariance("blobs") is full
    errors = {"sigma_z_nm": np.array([0.1, 0.2]), "sigma_y_nm": np.array([0.3, 0.4])}
    derived = Defects(tables={"blobs": PLACES | errors}).position_covariance("blobs")
    assert derived is not None
    assert np.allclose(derived[1], np.diag([0.2, 0.4, 2.0]) ** 2)
    without = {k: v for k, v in PLACES.items() if k != "sigma_x_nm"}
    assert Defects(tables={"blobs": without}).position_covariance("blobs") is None
    assert Defects().position_covariance("voids") is None
    with pytest.raises(InputError, match=r"covariances: found shape \(1, 3, 3\) for 'blobs'"):
        Defects(tables={"blobs": PLACES}, covariances={"blobs": full[:1]})


def test_rows_by_label() -> None:
    found = Defects(
        particles={"label": np.array([1, 2]), "d_nm": np.array([1.5, 2.5])},
        voids={"label": np.array([1]), "depth": np.array([0.5])},
    )
    assert found.label_properties() == {
        1: {"kind": "particle", "d_nm": 1.5},
        2: {"kind": "particle", "d_nm": 2.5},
        -1: {"kind": "void", "depth": 0.5},
    }


def test_detect_says_what_it_was_told() -> None:
    volume = cryolith.Volume(data=simulate.needle((24, 32, 24), seed=1).volume, pixel_size=20.0)
    settings = cryolith.detect.DetectSettings(layers=False, particles=False)
    found = cryolith.detect.detect(volume, settings)
    assert found.pixel_size == 20.0
    assert found.provenance.made_by == "cryolith.detect.detect"
    assert found.provenance.version == cryolith.__version__
    assert found.provenance.settings["layers"] is False
    assert found.provenance.settings["alpha"] == 0.01
