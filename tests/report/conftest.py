# SPDX-License-Identifier: BSD-3-Clause
"""Contents to report: one with every part in it, one with the least."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from report_content import build_content

from cryolith.datamodel import Alignment, TiltSeries, Volume
from cryolith.report import ReportContent


@pytest.fixture
def make_content() -> Callable[..., ReportContent]:
    """The function that builds a full report's content."""
    return build_content


@pytest.fixture
def bare() -> ReportContent:
    """The least that a report can be made from: one image, nothing known, nothing found."""
    return ReportContent(
        series=TiltSeries(images=np.ones((1, 5, 7), np.int8), angles_deg=np.zeros(1)),
        alignment=Alignment(angles_deg=np.zeros(1), tilt_axis_deg=0.0, shifts_px=np.zeros((1, 2))),
        volume=Volume(data=np.zeros((3, 5, 7), np.float32)),
    )
