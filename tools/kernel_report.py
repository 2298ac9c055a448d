# SPDX-License-Identifier: BSD-3-Clause
"""Registers, shared memory and spills of every CUDA kernel, from ptxas: ``python tools/kernel_report.py``.

Ends with 1 where a kernel spills registers or has a stack frame. Needs nvcc, no GPU.
"""

from __future__ import annotations

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
# One kernel in what ptxas says.
ENTRY = re.compile(
    r"Compiling entry function '(?P<name>\S+)' for '(?P<arch>\S+)'"
    r".*?(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads"
    r".*?Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
    re.DOTALL,
)


def kernel_name(mangled: str) -> str:
    """Return ``ShearSum<ShearShape<24, 2, 1, 16, 2, 1>, true>`` of a mangled ``run<...>``."""
    plain = subprocess.run(
        ["c++filt", mangled], capture_output=True, text=True, check=True
    ).stdout.strip()
    inside = re.search(r"run<(.*)>\(", plain)
    name = inside.group(1) if inside else plain
    return re.sub(r"cryolith::cuda::|\(int\)|\(bool\)", "", name)


def report(source: pathlib.Path, arch: str) -> list[dict[str, str | int]]:
    """Return a row for each kernel of a source file."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["-std=c++20", "-O3", f"-I{ROOT / 'cpp'}", f"-arch={arch}", "-diag-suppress=554"]
        out = pathlib.Path(folder) / "out.o"
        said = subprocess.run(
            ["nvcc", *options, "-Xptxas", "-v", "-c", str(source), "-o", str(out)],
            capture_output=True,
            text=True,
        )
    if said.returncode:
        sys.exit(said.stderr)
    rows = []
    for entry in ENTRY.finditer(said.stderr):
        shared = re.search(r"(\d+) bytes smem", entry["rest"])
        rows.append(
            {
                "kernel": kernel_name(entry["name"]),
                "arch": entry["arch"],
                "registers": int(entry["registers"]),
                "static shared": int(shared.group(1)) if shared else 0,
                "stack": int(entry["stack"]),
                "spilled": int(entry["stores"]) + int(entry["loads"]),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", nargs="+", default=["sm_80", "sm_90"])
    options = parser.parse_args()
    if shutil.which("nvcc") is None:
        sys.exit("nvcc: found none, expected it on PATH; install a CUDA toolkit")
    rows = [
        row
        for source in sorted((ROOT / "cpp").rglob("*_cuda.cu"))
        for arch in options.arch
        for row in report(source, arch)
    ]
    table = [list(rows[0]), *([str(v) for v in row.values()] for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
    bad = [row for row in rows if row["spilled"] or row["stack"]]
    if bad:
        sys.exit(f"{len(bad)} kernels spill or have a stack frame")


if __name__ == "__main__":
    main()
