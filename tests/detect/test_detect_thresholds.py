# SPDX-License-Identifier: BSD-3-Clause
"""otsu and multi_otsu: the exact optimum, outliers, and values that part into nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import detect as reference

from cryolith import InputError
from cryolith.detect import multi_otsu, otsu


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 9), min_size=3, max_size=9),
    classes=st.integers(2, 3),
)
def test_the_cuts_are_the_best_of_all(counts, classes):
    # Integer values 0..n-1, one bin for each: the histogram is exact.
    values = np.repeat(np.arange(len(counts)), counts)
    found = multi_otsu(values, classes, bins=len(counts), quantiles=(0.0, 1.0))
    best = reference.best_separability(np.array(counts), np.arange(len(counts)), classes)
    parted = np.digitize(values, found.values, right=True)
    mean = values.mean()
    between = sum(
        (parted == k).sum() * (values[parted == k].mean() - mean) ** 2 for k in np.unique(parted)
    )
    # Bin centres are (n - 1) / n apart instead of 1: separability is a ratio and does not see it.
    assert found.separability == pytest.approx(best, rel=1e-9)
    assert between / values.size / values.var() == pytest.approx(best, rel=1e-9)


def test_two_and_three_normal_classes_are_parted_between_them():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        parts = [rng.normal(m, 1, 4000) for m in (0, 10, 20)]
        cut, separability = otsu(np.concatenate(parts[:2]))
        # Nothing lies within 4 standard deviations of 5 from both sides; the gap's middle is uncertain by 1.
        assert 3.5 < cut < 6.5
        # Between 25, within 1: 25 / 26 in the limit of many values.
        assert separability == pytest.approx(25 / 26, abs=0.005)
        found = multi_otsu(np.concatenate(parts), 3)
        assert 3.5 < found.values[0] < 6.5
        assert 13.5 < found.values[1] < 16.5


def test_outliers_neither_stretch_the_bins_nor_pull_a_class():
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(0, 1, 5000), rng.normal(10, 1, 5000)])
    clean, _ = otsu(values)
    values[:5] = 1e6
    values[5:10] = -1e6
    assert abs(otsu(values)[0] - clean) < 0.5


def test_a_single_normal_class_reaches_no_more_than_two_over_pi():
    for seed in range(5):
        values = np.random.default_rng(seed).standard_normal(100000)
        # Standard error of the ratio for 1e5 values: about 0.002; 5 of them.
        assert otsu(values)[1] == pytest.approx(2 / np.pi, abs=0.01)


def test_constant_and_nearly_constant_values():
    assert otsu(np.full(10, 3.0)) == (3.0, 0.0)
    assert otsu([5]) == (5.0, 0.0)
    cut, separability = otsu(np.r_[np.zeros(10000), 1.0])  # one outlier is all there is
    assert 0 < cut < 1
    assert separability == pytest.approx(1.0)
    found = multi_otsu([1, 1, 2, 2], 4)
    assert found.values.tolist() == [1.5, 1.5, 1.5]


def test_masks_and_integers_and_memory_order_do_not_matter():
    values = np.random.default_rng(0).integers(0, 1000, (6, 7, 8))
    expected = otsu(values)
    assert otsu(values.astype(">i2")) == expected
    assert otsu(np.asfortranarray(values.astype(np.float64))) == expected
    assert otsu(np.array([False, True, True])) == pytest.approx(
        (0.5, 1.0), abs=0.002
    )  # the quantile


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([], {}, "values: found 0"),
        ([1.0, np.nan], {}, "finite real numbers"),
        ([1j], {}, "finite real numbers"),
        ([1, 2], {"classes": 1}, "classes: found 1"),
        ([1, 2], {"quantiles": (0.9, 0.1)}, "quantiles"),
    ],
)
def test_refuses_by_name(values, options, message):
    with pytest.raises(InputError, match=message):
        multi_otsu(values, **{"classes": 2, **options})
