# SPDX-License-Identifier: BSD-3-Clause
"""Tubes fitted again with all others taken out: pieces change hands, twins go, neighbours stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from line_phantoms import WIDTH, N, bank_of, beads_along

from cryolith.detect._imaging import Plain
from cryolith.detect._oriented_bank import OrientedBank
from cryolith.detect._oriented_objects import Traced
from cryolith.detect._tube_fit import LineFit, length_of
from cryolith.detect._tube_paths import as_traced
from cryolith.detect._tube_settling import Settling, _unsure

LEVEL = 5.0
T = np.linspace(0, 1, 301)[:, None]


@pytest.fixture(scope="module")
def bank() -> OrientedBank:
    return bank_of(WIDTH)


def straight(start: list[float], end: list[float]) -> np.ndarray:
    return np.array(start) + T * (np.array(end) - np.array(start))


class Scene:
    """Tubes in noise, and what a search may have made of them."""

    def __init__(self, bank: OrientedBank, *lines: np.ndarray) -> None:
        rng = np.random.default_rng(4)
        noise = rng.standard_normal((N, N, N), dtype=np.float32)
        self.bank, self.volume = bank, 1.5 * sum(map(beads_along, lines)) + noise
        self.field = bank.spectra.inverse(bank.filtered(self.volume))

    def drawn(self, *knots: list[float], amplitude: float = 1.5) -> Traced:
        """Return a tube as it was traced."""
        line = np.array(knots)
        fit = LineFit(line, length_of(line), 1.0, amplitude, 50.0)
        return as_traced(self.bank, self.field, fit, WIDTH, 1, 0)

    def settled(self, *objects: Traced) -> list[Traced]:
        imaging = Plain(self.bank.spectra, None)
        settling = Settling(self.bank, imaging, self.volume, self.field, LEVEL)
        return settling.run(list(objects))


def test_a_piece_that_another_tube_took_is_given_back(bank: OrientedBank) -> None:
    first = straight([24, 9, 7], [24, 9, 24])
    second = straight([24, 14, 36], [24, 42, 36])
    scene = Scene(bank, first, second)
    # The first was followed into the second: as long as that is subtracted, the second ends where it begins.
    long = scene.drawn([24, 9, 7], [24, 9, 24], [24, 16, 36], [24, 28, 36], amplitude=1.2)
    found = scene.settled(long, scene.drawn([24, 14, 36], [24, 42, 36], amplitude=1.2))
    assert len(found) == 2
    for o, line, length in zip(found, (first, second), (17, 28), strict=True):
        assert abs(o.extent - length) < 3 * o.sigma_extent < 4.5
        assert np.linalg.norm(o.nodes[:, None] - line[None], axis=2).min(axis=1).max() < 3


def test_a_twin_of_a_tube_goes_and_a_neighbour_stays(bank: OrientedBank) -> None:
    line, beside = straight([24, 20, 8], [24, 20, 40]), straight([24, 28, 10], [24, 28, 38])
    scene = Scene(bank, line, beside)
    one = scene.drawn([24, 20, 8], [24, 20, 40], amplitude=1.0)
    twin = scene.drawn([22.5, 18.5, 12], [22.5, 18.5, 36], amplitude=0.5)
    other = scene.drawn([24, 28, 10], [24, 28, 38])
    assert twin.peak < one.peak
    found = scene.settled(one, twin, other)
    assert len(found) == 2
    np.testing.assert_allclose([o.extent for o in found], [32, 28], atol=2.0)
    # 28 px of a tube hold 28 pi w^2 of noise: amplitudes are known to 0.07.
    np.testing.assert_allclose([o.amplitudes.mean() for o in found], 1.5, atol=0.25)


def test_an_end_goes_to_the_tube_that_it_continues(bank: OrientedBank) -> None:
    long, short = straight([24, 15, 33], [24, 43, 33]), straight([24, 24, 7], [24, 24, 29])
    scene = Scene(bank, long, short)
    # The short one was followed into the end of the long one, which has the rest: neither finds back alone.
    bent = scene.drawn([24, 24, 7], [24, 24, 28], [24, 16, 33])
    cut = scene.drawn([24, 26, 33], [24, 43, 33])
    found = scene.settled(cut, bent)
    assert len(found) == 2
    for o, line, length in zip(found, (long, short), (28, 22), strict=True):
        assert abs(o.extent - length) < 3 * o.sigma_extent < 4.5
        assert np.linalg.norm(o.nodes[:, None] - line[None], axis=2).min(axis=1).max() < 3


def test_errors_hold_the_chance_that_an_end_is_anothers(bank: OrientedBank) -> None:
    scene = Scene(bank, straight([24, 24, 8], [24, 24, 40]))
    one = replace(scene.drawn([24, 24, 8], [24, 24, 40]), sigma_extent=0.6)
    other = replace(scene.drawn([24, 24, 8], [24, 24, 44]), sigma_extent=0.8)
    assert _unsure(one, other, 0.0).sigma_extent == 0.6
    expected = np.sqrt(0.75 * 0.6**2 + 0.25 * (0.8**2 + 4.0**2))
    assert _unsure(one, other, 0.25).sigma_extent == pytest.approx(expected, rel=1e-3)
