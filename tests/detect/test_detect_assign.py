# SPDX-License-Identifier: BSD-3-Clause
"""The assignment is the cheapest of all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import detect as reference
from scipy.optimize import linear_sum_assignment

from cryolith import Cancelled, CancelToken, InputError, _core


def assigned(costs, alone):
    """Return the partners for dense costs (rows, columns); infinite ones cannot be made."""
    listed = [np.flatnonzero(np.isfinite(row)) for row in costs]
    begins = np.concatenate([[0], np.cumsum([len(c) for c in listed])]).astype(np.int64)
    columns = np.concatenate([*listed, []]).astype(np.int64)
    values = np.concatenate([*(row[c] for row, c in zip(costs, listed, strict=True)), []])
    partner = np.empty(len(costs), np.int64)
    _core.assign(begins, columns, values, np.asarray(alone, float), costs.shape[1], partner)
    return partner


def price(costs, alone, partner):
    assert len(set(partner[partner >= 0])) == np.count_nonzero(partner >= 0)
    return sum(alone[i] if j < 0 else costs[i, j] for i, j in enumerate(partner))


@settings(max_examples=150, deadline=None)
@given(data=st.data(), rows=st.integers(0, 4), columns=st.integers(1, 4))
def test_it_is_the_cheapest_of_all(data, rows, columns):
    number = st.integers(-6, 6).map(float)
    row = st.lists(number | st.just(np.inf), min_size=columns, max_size=columns)
    listed = data.draw(st.lists(row, min_size=rows, max_size=rows))
    costs = np.array(listed).reshape(rows, columns)
    alone = np.array(data.draw(st.lists(number, min_size=rows, max_size=rows)), float)
    assert price(costs, alone, assigned(costs, alone)) == reference.cheapest(costs, alone)


@pytest.mark.parametrize(
    ("rows", "columns", "share"), [(60, 60, 0.1), (80, 40, 0.3), (40, 90, 1.0)]
)
def test_it_is_scipys_where_rows_may_stay_alone(rows, columns, share):
    rng = np.random.default_rng(rows)
    costs = rng.exponential(size=(rows, columns))
    costs[rng.random(costs.shape) > share] = np.inf
    alone = rng.exponential(size=rows)
    # A column of its own for each row that stays alone; what cannot be made costs more than all of that.
    dense = np.full((rows, columns + rows), 1e6)
    dense[:, :columns] = np.minimum(costs, 1e6)
    dense[np.arange(rows), columns + np.arange(rows)] = alone
    expected = dense[linear_sum_assignment(dense)].sum()
    assert price(costs, alone, assigned(costs, alone)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"begins": [0, 3]}, "begins"),
        ({"columns": [0, 5]}, "columns: found 5"),
        ({"columns": [1, 0]}, "ascending"),
        ({"costs": [1.0, np.nan]}, "not finite"),
        ({"alone": [np.inf]}, "not finite"),
        ({"costs": [1.0]}, "costs: found 1"),
    ],
    ids=str,
)
def test_bad_input_is_named(change, word):
    good = {"begins": [0, 2], "columns": [0, 1], "costs": [1.0, 2.0], "alone": [3.0]}
    kinds = {"begins": np.int64, "columns": np.int64, "costs": float, "alone": float}
    given_ = {k: np.array((good | change)[k], kinds[k]) for k in good}
    with pytest.raises(InputError, match=word):
        _core.assign(**given_, n_columns=2, partner=np.empty(1, np.int64))


def test_it_can_be_cancelled():
    token = CancelToken()
    token.cancel()
    costs = np.array([[1.0]])
    with pytest.raises(Cancelled):
        _core.assign(
            np.array([0, 1]),
            np.array([0]),
            costs[0],
            np.array([2.0]),
            1,
            np.empty(1, np.int64),
            token,
        )
