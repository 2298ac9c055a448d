# SPDX-License-Identifier: BSD-3-Clause
"""The examples of docs/embedding.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import scipy.sparse.linalg

from cryolith.projection import Geometry
from cryolith.reconstruct import sirt, wbp

PAGE = Path(__file__).resolve().parents[2] / "docs" / "embedding.md"


def test_the_examples_run(rng):
    def numbers(*shape):
        return rng.random(shape, dtype=np.float32)

    tilts = np.linspace(-60, 60, 7)
    given = {
        "np": np, "scipy": scipy, "sirt": sirt, "wbp": wbp,
        "geometry": Geometry.single_axis(tilts), "stack": numbers(7, 128, 128),
        "proj_geom": {
            "type": "parallel3d", "ProjectionAngles": np.deg2rad(tilts), "DetectorSpacingX": 1.0,
            "DetectorSpacingY": 1.0,
        },
        "sinograms": numbers(6, 7, 20), "nz": 8, "ny": 6, "nx": 20,
        "theta": np.deg2rad(tilts), "tomo": numbers(7, 6, 20), "rotation_center": 10.25,
    }  # fmt: skip
    results = {}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == 5
    for block in blocks:
        if "skimage" in block:
            given |= {"theta": tilts, "sinogram": numbers(20, 7), "image_size": 20}
        if "etspy" in block:
            signal = SimpleNamespace(data=numbers(7, 20, 6), tilts=SimpleNamespace(data=tilts))
            given |= {"stack": signal}
        names = dict(given)
        exec(compile(block, PAGE.name, "exec"), names)
        results |= {k: names[k].shape for k in ("x", "data", "recon", "image", "rec") if k in names}
    assert results == {
        "x": (64, 128, 128), "data": (6, 8, 20), "recon": (6, 20, 20), "image": (20, 20),
        "rec": (6, 200, 20),
    }  # fmt: skip
