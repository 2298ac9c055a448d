# SPDX-License-Identifier: BSD-3-Clause
"""The bound that the projector runs against, measured on the spot: ``python -m benchmarks.roofline [THREADS]``."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("roofline.cpp")
X86 = {"AVX2": ("avx2", 32, ["-mavx2", "-mfma"]), "AVX-512": ("avx512f", 64, ["-mavx512f"])}


@dataclass
class Bound:
    """G voxel updates/s of one core: two fused multiply-adds for every lane, alone and with a load from L1 each."""

    multiply_add: float = 0.0
    with_load: float = 0.0

    def raise_to(self, multiply_add: float, with_load: float) -> None:
        self.multiply_add = max(self.multiply_add, multiply_add)
        self.with_load = max(self.with_load, with_load)


class Roofline:
    """One small program per vector width that this processor has, compiled into ``folder``.

    Other work slows it as it slows what is measured beside it: measure between rounds; the best of each width is kept.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self.threads = threads
        self.programs = {name: compiled(folder, *how) for name, how in widths().items()}
        self.widths = {name: Bound() for name in self.programs}

    def measure(self) -> None:
        """Run each once, on ``threads`` threads at once."""
        for name, program in self.programs.items():
            words = [program, str(self.threads)]
            answer = subprocess.run(words, check=True, capture_output=True, text=True).stdout
            self.widths[name].raise_to(*map(float, answer.split()))

    @property
    def best(self) -> Bound:
        """The highest rates of any width."""
        out = Bound()
        for found in self.widths.values():
            out.raise_to(found.multiply_add, found.with_load)
        return out


def widths() -> dict[str, tuple[int, list[str]]]:
    """Return bytes and compiler options of each vector width of this processor."""
    if platform.machine() != "x86_64":
        return {"128 bit": (16, [])}
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text().split()) if info.exists() else {"avx2"}
    return {name: (width, options) for name, (flag, width, options) in X86.items() if flag in flags}


def compiled(folder: Path, width: int, options: list[str]) -> Path:
    compiler = os.environ.get("CXX") or next(
        filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None
    )
    if compiler is None:
        raise SystemExit("roofline: found no C++ compiler, expected c++, g++ or clang++, or $CXX")
    program = folder / f"roofline-{width}"
    optimise = ["-O3", "-std=c++20", "-ffp-contract=fast", "-pthread", f"-DWIDTH={width}"]
    subprocess.run([compiler, *optimise, *options, str(SOURCE), "-o", str(program)], check=True)
    return program


def main() -> None:
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    with tempfile.TemporaryDirectory() as folder:
        roofline = Roofline(Path(folder), threads)
        roofline.measure()
    for name, found in roofline.widths.items():
        sys.stdout.write(
            f"{name}: {found.multiply_add:.1f} G updates/s a core by multiply-adds alone, "
            f"{found.with_load:.1f} with a load from L1 for each\n"
        )


if __name__ == "__main__":
    main()
