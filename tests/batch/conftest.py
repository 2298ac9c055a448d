# SPDX-License-Identifier: BSD-3-Clause
"""Files that stand for series."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def raw(tmp_path: Path) -> Callable[..., Path]:
    """Make files that a pretender takes for series: ``raw("a/ts.mrc", ...)`` returns their folder."""

    def make(*names: str) -> Path:
        for name in names:
            path = tmp_path / "raw" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"images")
        return tmp_path / "raw"

    return make
