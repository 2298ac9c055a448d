# SPDX-License-Identifier: BSD-3-Clause
"""The bound that the projector's sums run against, measured on the spot: ``python benchmarks/roofline.py``."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Bound:
    """G voxel updates/s of one core with AVX2: two fused multiply-adds for eight voxels."""

    multiply_add: float
    with_load: float


def bound() -> Bound:
    """Compile and run the probe (``$CXX``, default ``c++``); best of 20 short repetitions."""
    source = Path(__file__).with_name("roofline.cpp")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "roofline"
        compiler = os.environ.get("CXX", "c++")
        options = ["-std=c++20", "-O3", "-march=x86-64-v3"]
        subprocess.run([compiler, *options, str(source), "-o", str(program)], check=True)
        out = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
    return Bound(*map(float, out.split()))


if __name__ == "__main__":
    found = bound()
    sys.stdout.write(
        f"{found.multiply_add:.1f} G updates/s a core by multiply-adds alone, "
        f"{found.with_load:.1f} with a load from L1 for each\n"
    )
