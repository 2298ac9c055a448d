# SPDX-License-Identifier: BSD-3-Clause
"""Where fits of lines start, which of their tops count, and that no tube is a row twice."""

from __future__ import annotations

import numpy as np
import pytest
from tube_phantoms import within_tilts

from cryolith.detect._gaussian_blobs import gaussian_blobs
from cryolith.detect._imaging import Plain
from cryolith.detect._oriented_bank import OrientedBank
from cryolith.detect._oriented_objects import Traced
from cryolith.detect._oriented_search import _distinct
from cryolith.detect._spectrum import Spectra
from cryolith.detect._tube_fit import Beads, LineFit, best_piece, fit_line, likeliest
from cryolith.detect._tube_starts import chord, hopeful, lengthened, swung_piece, worst_way

N, WIDTH = 48, 1.5


def straight(first: list[float], last: list[float], count: int = 97) -> np.ndarray:
    return np.linspace(np.array(first), np.array(last), count)


@pytest.fixture(scope="module")
def wedged() -> tuple[OrientedBank, Beads]:
    """A tube of 26 px along x, and filters, as +-60 degrees about y show them."""
    spectra = Spectra((N, N, N), 1, None)
    corner = np.zeros((N, N, N), np.float32)
    corner[0, 0, 0] = 1
    transfer = spectra.forward(within_tilts(corner, 60.0).astype(np.float32)).real.copy()
    imaging = Plain(spectra, transfer)
    power = np.ones(spectra.terms, np.float32)
    bank = OrientedBank(spectra, imaging, "tubes", np.array([WIDTH]), 5.0, power, directions=31)
    line = straight([24, 23, 11], [24, 23, 37])
    share = 26 / len(line) / (np.sqrt(2 * np.pi) * WIDTH)
    volume = gaussian_blobs(
        (N, N, N), line, np.full(len(line), WIDTH), np.full(len(line), 3 * share)
    )
    seen = imaging.show(volume).both
    return bank, Beads(bank, bank.spectra.inverse(bank.filtered(seen)), WIDTH)


def test_a_line_is_found_again_far_off_along_the_way_that_is_seen_worst(
    wedged: tuple[OrientedBank, Beads],
) -> None:
    bank, beads = wedged
    axis = np.array([0.0, 0, 1])
    way = worst_way(bank.metric_at(axis, WIDTH)[0], axis)
    assert abs(way[0]) > 0.95  # the beam
    start = straight([36, 23, 16], [27, 23, 26])  # up to 12 px above it, tilted, half as long
    along = best_piece(beads, lengthened(start, beads.length), 1)[1]
    piece, gain = swung_piece(beads, start, np.array([1.0, 0, 0]), 1)
    fit = fit_line(beads, piece, 1)
    assert fit is not None
    assert along < 0.8 * fit.gain < 0.95 * fit.gain < gain <= fit.gain
    ends = piece[[0, -1]][np.argsort(piece[[0, -1], 2])]
    np.testing.assert_allclose(ends, [[24, 23, 11], [24, 23, 37]], atol=2.6)  # one trial or bead
    assert fit.length == pytest.approx(26, abs=0.5)


def test_the_worst_way_is_across_and_where_the_metric_is_least() -> None:
    metric = np.diag([0.1, 1.0, 0.01])
    np.testing.assert_allclose(np.abs(worst_way(metric, np.array([0.0, 0, 1]))), [1, 0, 0])
    np.testing.assert_allclose(np.abs(worst_way(metric, np.array([1.0, 0, 0]))), [0, 0, 1])


def test_chords_run_through_places_and_along_the_axis_where_there_are_too_few() -> None:
    places = straight([3, 4, 5], [9, 4, 13], 11)
    line = chord(places, np.array([1.0, 0, 0]))
    np.testing.assert_allclose(sorted(line[[0, -1], 0]), [3 - 1.2, 9 + 1.2])
    few = chord(places[:2], np.array([0.0, 1, 0]))
    np.testing.assert_allclose(few[:, 0], places[:2, 0].mean())


def test_starts_are_tried_once_each_and_only_if_they_may_win() -> None:
    one, other = straight([10, 10, 5], [10, 10, 40]), straight([18, 10, 5], [14, 10, 40])
    starts = [(one + 0.5, 90.0), (one[::-1], 100.0), (other, 70.0), (other + 9, 50.0)]
    tried = hopeful(starts)
    assert len(tried) == 2
    np.testing.assert_array_equal(tried[0], one[::-1])
    np.testing.assert_array_equal(tried[1], other)
    assert hopeful([(one, -np.inf), (other, -1.0)]) == []


def test_errors_of_lengths_count_other_tops_as_much_as_they_are_likely() -> None:
    knots = straight([0, 0, 0], [0, 0, 1], 2)
    best, near = LineFit(knots, 30.0, 1.0, 2.0, 50.0), LineFit(knots, 36.0, 2.0, 2.0, 49.0)
    found = likeliest([near, None, best])
    assert found is not None
    assert (found.length, found.gain) == (30.0, 50.0)
    share = np.exp(-1) / (1 + np.exp(-1))
    assert found.sigma_length == pytest.approx(np.sqrt((1 - share) + share * (4 + 36)))
    assert likeliest([None, None]) is None
    far = likeliest([best, near._replace(gain=10.0)])
    assert far is not None
    assert far.sigma_length == pytest.approx(1.0)


def drawn(line: np.ndarray) -> Traced:
    """A tube along a line."""
    n, ones = len(line), np.ones(len(line))
    axis = (line[-1] - line[0]) / np.linalg.norm(line[-1] - line[0])
    return Traced(
        nodes=line,
        axes=np.tile(axis, (n, 1)),
        shares=ones,
        width=1.5,
        heights=ones,
        sign=1,
        peak=1.0,
        place=line[0],
        axis=axis,
        extent=float(np.linalg.norm(line[-1] - line[0])),
        sigma_extent=1.0,
        amplitudes=ones,
        group=0,
    )


def test_a_tube_on_a_longer_or_a_known_one_is_no_other_tube() -> None:
    long, piece = drawn(straight([9, 9, 5], [9, 9, 40])), drawn(straight([10, 9, 30], [11, 9, 8]))
    beside, branch = (
        drawn(straight([15, 9, 5], [15, 9, 39])),
        drawn(straight([9, 9, 9], [9, 40, 9])),
    )
    assert _distinct([piece, long, beside, branch], []) == [long, beside, branch]
    assert _distinct([piece, beside], [long]) == [beside]
