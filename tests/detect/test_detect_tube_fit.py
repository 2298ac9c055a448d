# SPDX-License-Identifier: BSD-3-Clause
"""Centre lines by likelihood: splines, the best piece of a line, ends and their errors."""

from __future__ import annotations

import numpy as np
import pytest
from line_phantoms import WIDTH, N, bank_of, beads_along

from cryolith.detect import tubes
from cryolith.detect._oriented_bank import OrientedBank
from cryolith.detect._tube_fit import (
    BeadFields,
    Beads,
    Rows,
    best_piece,
    fit_line,
    fit_together,
    length_of,
    spline_points,
)


@pytest.fixture(scope="module")
def bank() -> OrientedBank:
    return bank_of(WIDTH)


def seen(bank: OrientedBank, volume: np.ndarray) -> Beads:
    return Beads(bank, bank.spectra.inverse(bank.filtered(volume)), WIDTH)


def arc(span: float) -> np.ndarray:
    t = np.linspace(-span / 2, span / 2, 301)
    return np.stack([24 + 0 * t, 23 + 18 * np.sin(t), 10 + 18 * np.cos(t)], axis=1)


def test_splines_go_through_their_knots_and_have_their_lengths() -> None:
    knots = np.array([[1.0, 2, 3], [4, 6, 3], [9, 7, 2], [12, 12, 12]])
    fine = spline_points(knots, 3000)[0]
    for knot in knots:
        assert np.linalg.norm(fine - knot, axis=1).min() < 0.01
    steps = np.linalg.norm(np.diff(fine, axis=0), axis=1).sum()
    assert length_of(knots) == pytest.approx(steps, rel=2e-3)
    places, tangents, shares = spline_points(knots[:2], 5)
    np.testing.assert_allclose(shares, 1.0)
    np.testing.assert_allclose(tangents, np.tile([0.6, 0.8, 0.0], (5, 1)))
    np.testing.assert_allclose(places[2], knots[:2].mean(axis=0))


def test_without_noise_ends_amplitude_and_bends_are_those_of_the_tube(bank: OrientedBank) -> None:
    line = arc(1.6)
    beads = seen(bank, beads_along(line, 2.0))
    start = line[40:280:3] + np.array([0.7, -0.5, 0.4])  # too short, and beside it
    fit = fit_line(beads, start, 1)
    assert fit is not None
    assert fit.length == pytest.approx(18 * 1.6, abs=0.3)
    assert fit.amplitude == pytest.approx(2.0, rel=0.02)
    # Natural splines are straight at their ends: they leave a bend of 18 px by half a pixel.
    for end, knot in ((line[0], fit.knots[0]), (line[-1], fit.knots[-1])):
        np.testing.assert_allclose(knot, end, atol=0.7)
    assert fit_line(beads, start, -1) is None


def test_the_best_piece_of_a_line_is_what_is_there(bank: OrientedBank) -> None:
    line = np.stack([np.full(301, 24.0), np.full(301, 20.0), np.linspace(2, 46, 301)], axis=1)
    beads = seen(bank, beads_along(line[80:200]))
    piece, gain = best_piece(beads, line, 1)
    assert abs(np.linalg.norm(piece[-1] - piece[0]) - 44 * 120 / 300) < 2.5  # beads of 1.8 px
    assert gain > best_piece(beads, line[100:180], 1)[1] > 0
    assert best_piece(beads, line + 100.0, 1)[1] == -np.inf  # nothing of it is inside


def test_lengths_in_noise_are_wrong_by_as_much_as_is_said(bank: OrientedBank) -> None:
    # 16 errors over their standard deviation: the sum of squares is within 5.8 to 32 (98 %) if the errors are right.
    line = arc(1.3)
    rng = np.random.default_rng(5)
    errors = []
    for _ in range(16):
        noise = rng.standard_normal((N, N, N), dtype=np.float32)
        fit = fit_line(seen(bank, beads_along(line) + noise), line[::6], 1)
        assert fit is not None
        errors.append((fit.length - 18 * 1.3) / fit.sigma_length)
    assert 5.8 < np.square(errors).sum() < 32


def test_a_tube_that_ends_beside_another_keeps_its_length(rng: np.random.Generator) -> None:
    t = np.linspace(0, 1, 301)[:, None]
    long = np.array([24.0, 8, 30]) + t * np.array([0, 32.0, 0])
    short = np.array([24.0, 24, 9]) + t * np.array([0, 0, 16.0])  # ends 5 px from it
    volume = 2 * (beads_along(long) + beads_along(short))
    volume += rng.standard_normal((N, N, N), dtype=np.float32)
    found = tubes(volume, widths=WIDTH, length=5.0, noise=1.0, margin=5, threads=1)
    lengths = sorted(found.table["length_px"])
    assert len(lengths) == 2
    np.testing.assert_allclose(lengths, [16, 32], atol=1.6)


def test_lines_together_share_out_what_is_there() -> None:
    bank = bank_of(WIDTH, 2.0)
    t = np.linspace(0, 1, 301)[:, None]
    long = np.array([24.0, 8, 24]) + t * np.array([0, 32.0, 0])
    short = np.array([24.0, 25, 12]) + t * np.array(
        [2.0, 0, 26.0]
    )  # crosses it, and is thicker and dark
    volume = beads_along(long, 2.0) + beads_along(short, -1.0, 2.0)
    fields = BeadFields(bank, bank.spectra.inverse(bank.filtered(volume)))
    rows = Rows([fields.of(WIDTH), fields.of(2.0)], [1, -1], [2, 3])
    knots = np.concatenate([long[[0, -1]], short[[0, 150, -1]]])
    np.testing.assert_allclose(rows.amplitudes(knots), [2.0, -1.0], rtol=0.02)
    total, power = rows.sums(knots)
    assert (
        np.abs(total / np.diagonal(power) - [2.0, -1.0]) > 0.1
    ).all()  # alone, either has of the other
    assert rows.of(knots) == pytest.approx(0.5 * total @ np.linalg.inv(power) @ total)
    bright = Rows(rows.beads, [1, 1], [2, 3])
    one = Rows([fields.of(WIDTH)], [1], [2])
    assert one.of(knots[:2]) == pytest.approx(total[0] ** 2 / (2 * power[0, 0]))
    lost = total[1] ** 2 / (2 * power[1, 1])
    assert bright.of(knots) == pytest.approx(one.of(knots[:2]) - lost)
    moves = rows.moves(knots)
    assert moves.shape == (6 + 8, 5, 3)
    np.testing.assert_allclose(np.linalg.norm(moves, axis=(1, 2)), 1.0)
    assert rows.inside(knots)
    assert not rows.inside(knots + 40.0)


def test_lengths_of_tubes_that_meet_are_wrong_by_as_much_as_is_said(bank: OrientedBank) -> None:
    # 16 errors over their standard deviation: the sum of squares is within 5.8 to 32 (98 %) if the errors are right.
    t = np.linspace(0, 1, 301)[:, None]
    long = np.array([24.0, 9, 30]) + t * np.array([0, 30.0, 0])
    short = np.array([24.0, 24, 9]) + t * np.array([0, 0, 18.0])  # ends 3 px from it
    volume = 1.2 * (beads_along(long) + beads_along(short))
    knots = np.concatenate([long[[0, -1]], short[[0, -1]]])
    rng = np.random.default_rng(8)
    errors = []
    for _ in range(8):
        noise = rng.standard_normal((N, N, N), dtype=np.float32)
        beads = seen(bank, volume + noise)
        fits = fit_together(Rows([beads, beads], [1, 1], [2, 2]), knots)
        errors += [
            (f.length - true) / f.sigma_length for f, true in zip(fits, (30, 18), strict=True)
        ]
    assert 5.8 < np.square(errors).sum() < 32
