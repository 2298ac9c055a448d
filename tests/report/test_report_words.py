# SPDX-License-Identifier: BSD-3-Clause
"""Numbers in words: rounding by the error, powers of ten, units."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cryolith.report.findings import _blobs
from cryolith.report.words import (
    NONE,
    bytes_text,
    duration_text,
    heading,
    number,
    plain,
    with_error,
)


@pytest.mark.parametrize(
    ("value", "sigma", "text"),
    [
        (41.234, 0.61, "41.2 ± 0.6"),
        (18.5, 0.149, "18.50 ± 0.15"),
        (148.04, 2.1, "148.0 ± 2.1"),
        (41.23, 2.96, "41 ± 3"),
        (9412.0, 1130.0, "9400 ± 1100"),
        (9412.0, 3130.0, "9000 ± 3000"),
        (1.27e7, 1.5e6, "(1.27 ± 0.15) × 10⁷"),
        (4.2e-6, 3.0e-7, "(4.2 ± 0.3) × 10⁻⁶"),
        (0.0, 0.04, "0.00 ± 0.04"),
        (0.3, 5.0, "0 ± 5"),
        (-3.14159, 0.01, "-3.142 ± 0.010"),
        (12.5, math.nan, "12.5"),
        (12.5, 0.0, "12.5"),
        (math.nan, 0.1, "–"),
        (math.inf, 0.1, "–"),
    ],
)
def test_a_value_is_rounded_to_what_its_error_leaves(value, sigma, text):
    assert with_error(value, sigma) == text


def test_rounding_never_moves_a_value_by_more_than_a_quarter_of_its_error(rng):
    """Worst case: an error of 3 is shown as 3, the value to 1: half a unit is a sixth of the error."""
    for _ in range(2000):
        sigma = float(10 ** rng.uniform(-3, 3))
        value = float(rng.normal(0, 50 * sigma))
        shown = with_error(value, sigma)
        if "×" in shown:
            continue
        a, b = (float(v) for v in shown.split(" ± "))
        assert abs(a - value) <= 0.25 * sigma
        assert abs(b - sigma) <= 0.25 * sigma


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-76.0, "-76"), (6.72, "6.72"), (0.0941, "0.0941"), (27187.4, "27187"),
        (100.0, "100"), (1.589e7, "1.589 × 10⁷"), (2.0e-5, "2 × 10⁻⁵"), (math.nan, "–"),
    ],
)  # fmt: skip
def test_a_number_without_error_has_four_digits(value, text):
    assert number(value) == text


def test_units_are_split_from_column_names():
    assert heading("volume_nm3") == ("volume", "nm³")
    assert heading("shift_row_px") == ("shift row", "px")
    assert heading("touches_border") == ("touches border", "")
    assert heading("nm") == ("nm", "")


def test_bytes_and_times_take_the_unit_that_reads_best():
    assert [bytes_text(v) for v in (12, 2.5e6, 3e12)] == ["12 B", "2.5 MB", "3 TB"]
    assert [duration_text(v) for v in (0.25, 42, 600, 9000)] == [
        "0.25 s",
        "42 s",
        "10 min",
        "2.5 h",
    ]
    assert bytes_text(math.nan) == duration_text(math.inf) == NONE


def test_plain_knows_no_nan():
    value = {"a": np.array([1.0, np.nan]), "b": (np.float32(np.inf), np.int64(3), np.bool_(True))}
    assert plain(value) == {"a": [1.0, None], "b": [None, 3, True]}


def test_blobs_are_told_with_their_rate_and_what_was_out_of_reach():
    seen = {"size_nm": np.array([1.0, 2.0]), "amplitude_half_found": np.array([0.8, 0.25])}
    table = {
        "sign": np.array([1, -1, 1]),
        "diameter_nm": np.array([2.0, 4.0, 6.0]),
        "q_value": np.array([0.001, 0.01, 0.04]),
    }
    said = _blobs({"blobs": table, "blob_detectability": seen}).text
    assert said.startswith("3 blobs down to the noise: 2 bright, 1 dark; median diameter 4 nm; ")
    assert "at most 4 % of them false" in said
    assert "of size 2 nm half of those with a peak of 0.25 would be found" in said
    unsure = _blobs({"blobs": table | {"q_value": np.full(3, np.nan)}}).text
    assert "no false-discovery rate is given" in unsure
    assert _blobs({"blobs": {"sign": np.array([], int)}}).text == "0 blobs down to the noise."
