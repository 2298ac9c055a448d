# SPDX-License-Identifier: BSD-3-Clause
"""The machine's own bound on back-projection, measured between the rounds of the programs: see probe.cpp."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("probe.cpp")
X86 = {"AVX2": ("avx2", 32, ["-mavx2", "-mfma"]), "AVX-512": ("avx512f", 64, ["-mavx512f"])}


class Probe:
    """One program per vector width that this processor has; ``measure`` keeps the best rate of each."""

    def __init__(self, folder: Path, threads: int) -> None:
        self.threads = threads
        self.registers: dict[str, float] = {}
        self.cache: dict[str, float] = {}
        self.programs = {name: compiled(folder, name, *how) for name, how in widths().items()}

    def measure(self) -> None:
        """Run each once, on as many threads at once as the programs use [1e9 updates/s/core]."""
        for name, program in self.programs.items():
            answer = subprocess.run(
                [program, str(self.threads)], check=True, capture_output=True, text=True
            )
            registers, cache = map(float, answer.stdout.split())
            self.registers[name] = max(self.registers.get(name, 0.0), registers)
            self.cache[name] = max(self.cache.get(name, 0.0), cache)

    @property
    def bound(self) -> float:
        """The highest rate of multiply-adds of any width [1e9 updates/s/core]."""
        return max(self.registers.values(), default=float("nan"))


def widths() -> dict[str, tuple[int, list[str]]]:
    """Return bytes and compiler options of each vector width of this processor."""
    if platform.machine() != "x86_64":
        return {"128 bit": (16, [])}
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text().split()) if info.exists() else {"avx2"}
    return {name: (width, options) for name, (flag, width, options) in X86.items() if flag in flags}


def compiled(folder: Path, name: str, width: int, options: list[str]) -> Path:
    compiler = os.environ.get("CXX") or next(
        filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None
    )
    if compiler is None:
        raise SystemExit("probe: found no C++ compiler, expected c++, g++ or clang++, or $CXX")
    program = folder / f"probe-{width}"
    optimise = ["-O3", "-std=c++20", "-ffp-contract=fast", "-pthread", f"-DWIDTH={width}"]
    subprocess.run([compiler, *optimise, *options, str(SOURCE), "-o", str(program)], check=True)
    return program
