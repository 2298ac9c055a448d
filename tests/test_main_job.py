# SPDX-License-Identifier: BSD-3-Clause
"""The main job on the real needle, with no option but the output: what a microscopist gets."""

import json
import re

import numpy as np
import pytest

# The layers of this specimen, read off its profile by eye: alternating, between the open tip and the base.
LAYERS = ["bright 1", "dark 1", "bright 2", "dark 2", "bright 3", "dark 3", "end 1"]


pytestmark = pytest.mark.validation


def test_pixel_size_and_tilts_come_from_the_file(needle_job):
    facts = json.loads((needle_job / "report.json").read_text())
    assert facts["series"]["pixel_size_nm"] == pytest.approx(3.36)
    tilts = np.genfromtxt(needle_job / "tilts.csv", delimiter=",", names=True, usecols=(0, 1))
    assert len(tilts) == 77


def test_the_axis_lies_along_x_turned_by_2_8_degrees(needle_job):
    axis = json.loads((needle_job / "alignment.json").read_text())["tilt_axis_deg"]
    assert abs(axis - 92.793) < 1.0


def test_the_report_names_the_layers_with_thickness_and_error(needle_job):
    table = json.loads((needle_job / "report.json").read_text())["tables"]["layers"]
    assert table["name"] == LAYERS
    measured = np.array(
        [t for t in zip(table["thickness_nm"], table["sigma_thickness_nm"], strict=True) if t[0]],
        float,
    )
    assert len(measured) == 5
    assert np.all((measured[:, 0] > 50) & (measured[:, 0] < 70))
    assert np.all((measured[:, 1] > 0) & (measured[:, 1] < 2))
    page = re.sub(r"<[^>]+>", "", (needle_job / "report.html").read_text()).replace(
        "\N{NO-BREAK SPACE}", " "
    )
    for name in LAYERS[1:-1]:
        assert re.search(rf"{name}:\s*\d+\.\d+ ± \d+\.\d+ nm thick", page, re.IGNORECASE), name
