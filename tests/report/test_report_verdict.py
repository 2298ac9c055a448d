# SPDX-License-Identifier: BSD-3-Clause
"""The verdict follows its stated rules, limits included."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryolith.datamodel import Alignment, Defects, Volume
from cryolith.report import judge


def _words(content):
    return {check.name: check.word for check in judge(content).checks}


@pytest.mark.parametrize(
    ("residual", "word"),
    [(0.0, "OK"), (0.15, "OK"), (0.151, "LOOK"), (0.4, "LOOK"), (0.41, "BAD"), (np.nan, "LOOK")],
)
def test_the_held_out_residual_is_graded(make_content, residual, word):
    content = make_content()
    content = replace(content, alignment=replace(content.alignment, holdout_residual=residual))
    assert _words(content)["Held-out residual"] == word
    assert judge(content).word == word


@pytest.mark.parametrize(("flagged", "word"), [(0, "OK"), (1, "OK"), (2, "LOOK"), (5, "BAD")])
def test_the_share_of_flagged_tilts_is_graded(make_content, flagged, word):
    """Of 21 tilts one is 4.8 %, two are 9.5 %, five are 24 %."""
    content = make_content()
    flags = {i: "blank" for i in range(flagged)}
    content = replace(content, alignment=replace(content.alignment, flags=flags))
    assert judge(content).word == word


@pytest.mark.parametrize(
    ("sigma", "word"), [(1.0, "OK"), (1.01, "LOOK"), (3.3, "LOOK"), (3.4, "BAD")]
)
def test_the_error_of_the_layers_is_graded(make_content, sigma, word):
    layers = {
        "thickness_nm": np.array([10.0, 10.0, 10.0]),
        "sigma_thickness_nm": np.array([sigma, sigma, np.inf]),
    }
    assert _words(make_content(defects=Defects(layers=layers)))["Size error (median)"] == word


def test_voids_then_particles_stand_in_for_layers(make_content):
    full = make_content().defects
    content = make_content(defects=replace(full, layers={}))
    assert "void" in judge(content).checks[2].text
    content = make_content(defects=replace(full, layers={}, voids={}))
    check = judge(content).checks[2]
    assert check.value == pytest.approx(np.median([90 / 960, 41.5 / 320]))
    assert "particle" in check.text


@pytest.mark.parametrize(("top", "word"), [(60.0, "OK"), (59.0, "LOOK"), (39.0, "BAD")])
def test_without_sizes_the_range_of_tilts_is_graded(make_content, top, word):
    content = make_content(defects=Defects())
    angles = content.alignment.angles_deg * (top / 60)
    alignment = Alignment(
        angles_deg=angles, tilt_axis_deg=0.0, shifts_px=np.zeros((21, 2)), holdout_residual=0.1
    )
    assert _words(replace(content, alignment=alignment))["Range of tilts"] == word


def test_one_voxel_that_is_not_finite_is_bad(make_content):
    content = make_content()
    data = content.volume.data.copy()
    data[3, 2, 1] = np.nan
    verdict = judge(replace(content, volume=Volume(data=data)))
    assert verdict.word == "BAD"
    assert verdict.checks[3].value == 1.0
    assert any("1 of 30720 voxels" in reason for reason in verdict.reasons)


def test_every_check_states_its_rule_and_the_worst_one_decides(make_content):
    verdict = judge(make_content())
    assert len(verdict.checks) == 3
    assert all(check.rule and check.target for check in verdict.checks)
    assert (verdict.word, verdict.reasons) == ("OK", ())
