# SPDX-License-Identifier: BSD-3-Clause
"""The sample inside the package: there, whole, licensed, and what the script makes of the original."""

from __future__ import annotations

import importlib.resources
import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np

STEM = "haadf_needle_bin2"
ROOT = Path(__file__).resolve().parent.parent


def sample(suffix):
    return Path(str(importlib.resources.files("cryolith") / "data" / f"{STEM}{suffix}"))


def test_the_sample_is_installed_with_its_pixel_size_and_tilts():
    with mrcfile.open(sample(".mrc")) as mrc:
        assert mrc.data.shape == (77, 128, 128)
        assert mrc.data.dtype == np.uint16
        np.testing.assert_allclose(mrc.voxel_size.x, 67.2, rtol=1e-6)
    np.testing.assert_array_equal(np.loadtxt(sample(".rawtlt")), np.arange(-76.0, 77.0, 2.0))
    assert "NIST" in sample(".LICENSE.txt").read_text()


def test_the_sample_is_what_the_script_makes(shared_data, tmp_path):
    script = ROOT / "tools" / "make_sample.py"
    subprocess.run([sys.executable, script, shared_data, tmp_path], check=True, timeout=60)
    made = sorted(p.name for p in tmp_path.iterdir())
    assert made == [f"{STEM}.LICENSE.txt", f"{STEM}.mrc", f"{STEM}.rawtlt"]
    for name in made:
        assert (tmp_path / name).read_bytes() == sample(name[len(STEM) :]).read_bytes()
