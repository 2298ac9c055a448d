# SPDX-License-Identifier: BSD-3-Clause
"""The covariance that an alignment carries: what it says by name, and what is none."""

from __future__ import annotations

import numpy as np
import pytest

from cryolith import Alignment, Covariance
from cryolith.errors import InputError

NAMES = ("shift_row_px[0]", "shift_row_px[2]", "tilt_axis_deg")
MATRIX = np.array([[4.0, 3.0, 0.0], [3.0, 9.0, 0.0], [0.0, 0.0, 0.0]])


def test_errors_and_correlations_by_name() -> None:
    c = Covariance(names=NAMES, matrix=MATRIX)
    np.testing.assert_array_equal(c.sigma("shift_row_px", 3), [2.0, np.nan, 3.0])
    assert np.isnan(c.sigma("rotation_deg", 3)).all()
    np.testing.assert_array_equal(c.correlation(), [[1, 0.5, 0], [0.5, 1, 0], [0, 0, 0]])


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (MATRIX[:2], r"matrix: found shape \(2, 3\), expected \(3, 3\)"),
        (np.where(MATRIX == 9, np.nan, MATRIX), "matrix: found values that are not finite"),
        (np.where(MATRIX == 9, -9, MATRIX), "matrix: found a negative variance"),
        (np.where(MATRIX == 3, 6.1, MATRIX), "matrix: found .* correlation above 1"),
        (np.triu(MATRIX), "matrix: found one that is not symmetric"),
    ],
)
def test_what_is_no_covariance_is_refused(matrix: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Covariance(names=NAMES, matrix=matrix)


@pytest.mark.parametrize(
    "name", ["shift", "shift_row_px", "shift_row_px[-1]", "shift_row_px[1", "x[0]"]
)
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"names: found .*expected one of tilt_axis_deg"):
        Covariance(names=(name,), matrix=np.ones((1, 1)))


def test_names_twice_and_tilts_beyond_the_series_are_refused() -> None:
    with pytest.raises(InputError, match="names: found a name twice"):
        Covariance(names=("tilt_axis_deg",) * 2, matrix=np.eye(2))
    with pytest.raises(InputError, match="covariance: found tilt 2, expected 0 to 1"):
        Alignment(
            angles_deg=np.zeros(2),
            tilt_axis_deg=0.0,
            shifts_px=np.zeros((2, 2)),
            covariance=Covariance(names=NAMES, matrix=MATRIX),
        )
