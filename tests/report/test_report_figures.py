# SPDX-License-Identifier: BSD-3-Clause
"""The diagrams: inline, in the page's colours, whatever matplotlib is set to elsewhere."""

from __future__ import annotations

import itertools
import re
import threading
import xml.etree.ElementTree

import matplotlib as mpl
import numpy as np
import pytest

from cryolith.report import figures

ANGLES = np.arange(-60.0, 61.0, 10.0)
N = len(ANGLES)


def _paints() -> dict[str, figures.Paint]:
    rng = np.random.default_rng(4)
    lines = rng.random((N, 21)).astype(np.float32)
    return {
        "shifts": figures.shifts(ANGLES, rng.normal(size=(N, 2)), None, [2, 5], "shift (px)"),
        "errors": figures.shifts(ANGLES, np.ones((N, 2)), np.full((N, 2), np.nan), [], "shift"),
        "residuals": figures.residuals(ANGLES, rng.random(N), [1], 0.3),
        "unknown": figures.residuals(ANGLES, None, [1], float("nan")),
        "convergence": figures.convergence(np.array([0.5, 0.2, 0.0])),
        "halves": figures.correlation(
            np.arange(1, 9) / 16, np.linspace(1, -0.2, 8), np.full(8, 0.1), np.full(8, 0.5), "1/nm"
        ),
        "one": figures.convergence(np.array([0.5])),
        "sinogram": figures.sinogram(ANGLES, lines, lines, 10.0, "nm"),
        "dark": figures.sinogram(ANGLES * 0, lines * 0, lines * np.nan, 10.0, "px"),
        "power": figures.power(rng.random((9, 9)), 0.5, (-60.0, 60.0), "1/nm"),
        "flat": figures.power(np.zeros((1, 1)), 0.5, (0.0, 0.0), "1/px"),
        "few": figures.sizes(
            np.array([3.0, 4.0]), np.array([0.1, np.nan]), "diameter (nm)", "voids"
        ),
        "many": figures.sizes(rng.gamma(2, 2, 900), None, "diameter (nm)", "particles"),
        "many with errors": figures.sizes(
            rng.gamma(2, 2, 90), np.full(90, 0.3), "diameter (nm)", "blobs"
        ),
        "same": figures.sizes(np.full(20, 3.0), None, "diameter (nm)", "particles"),
    }


@pytest.mark.parametrize("name", _paints())
def test_a_diagram_is_inline_svg_without_a_colour_or_font_of_its_own(name):
    svg = figures.draw(name, _paints()[name])
    xml.etree.ElementTree.fromstring(svg)
    assert svg.startswith('<svg viewBox="')
    assert "http" not in svg
    assert "#0102" not in svg
    assert "currentColor" in svg
    assert "<text" not in svg
    assert "<style" not in svg
    assert all(i.startswith(f"{name}-") for i in re.findall(r'\sid="([^"]*)"', svg))


def test_settings_of_the_user_neither_change_a_diagram_nor_are_changed():
    plain = figures.draw("a", _paints()["shifts"])
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "none"}):
        before = dict(mpl.rcParams)
        assert figures.draw("a", _paints()["shifts"]) == plain
        assert dict(mpl.rcParams) == before


def test_two_threads_draw_the_same():
    found: list[str] = []
    workers = [
        threading.Thread(target=lambda: found.append(figures.draw("a", _paints()["residuals"])))
        for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [figures.draw("a", _paints()["residuals"])] * 2


def test_flagged_tilts_are_crossed_and_named_once():
    rng = np.random.default_rng(4)
    values = rng.normal(size=(N, 2))
    none, one, two = (
        figures.draw("a", figures.shifts(ANGLES, values, None, flags, "shift (px)"))
        for flags in ([], [2], [2, 5])
    )
    assert none.count("var(--bad)") == none.count("var(--card)") == 0
    assert two.count("var(--bad)") > one.count("var(--bad)") > 0
    # only a name has a halo of the card's colour
    assert two.count("var(--card)") == 2 * one.count("var(--card)") > 0


def test_the_missing_wedge_is_named_and_a_full_range_has_none():
    spectrum = np.random.default_rng(0).random((9, 9))
    wedge = "#ffb27a"  # the colour of the words in it
    assert wedge in figures.draw("a", figures.power(spectrum, 0.5, (-60.0, 60.0), "1/nm"))
    assert wedge not in figures.draw("a", figures.power(spectrum, 0.5, (-90.0, 90.0), "1/nm"))


def test_the_error_of_a_bar_is_that_of_objects_that_may_lie_beside_it(rng):
    """Against drawing the sizes again and again within their errors."""
    sizes, sigma = rng.uniform(0, 10, 60), rng.uniform(0.1, 1.0, 60)
    sigma[:3] = np.nan
    bins = np.linspace(0, 10, 6)
    draws = 20000
    moved = sizes + np.nan_to_num(sigma) * rng.normal(size=(draws, 60))
    counts = np.stack(
        [((moved >= a) & (moved < b)).sum(axis=1) for a, b in itertools.pairwise(bins)]
    )
    expected = counts.std(axis=1)
    got = figures._count_errors(sizes, sigma, bins)
    # A standard deviation from n draws is known to 1 / sqrt(2 n); four times that.
    assert np.allclose(got, expected, rtol=4 / np.sqrt(2 * draws))
    assert figures._count_errors(sizes, np.zeros(60), bins).tolist() == [0.0] * 5
