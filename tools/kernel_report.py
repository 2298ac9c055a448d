# SPDX-License-Identifier: BSD-3-Clause
"""Registers, warps and spills of every CUDA kernel, from ptxas: ``python tools/kernel_report.py``.

Warps: what registers and the most threads leave room for on one processor, of 64 (shared memory aside).

Ends with 1 where a kernel spills registers or has a stack frame. Needs nvcc, no GPU.
"""

from __future__ import annotations

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

from machine_code import ROOT, compile_kernels

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


def resident_warps(registers: int, threads: int) -> int:
    """Return how many warps of whole blocks the registers of one processor hold: 65,536, given out by 256 a warp."""
    of_warp = -(-registers * 32 // 256) * 256
    of_block = -(-threads // 32)
    return min(65536 // of_warp, 64) // of_block * of_block


def report(source: pathlib.Path, arch: str) -> list[dict[str, str | int]]:
    """Return a row for each kernel of a source file."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        keep = ("-Xptxas", "-v", "--keep", "--keep-dir", name)
        said = compile_kernels(source, arch, folder / "kernels.cubin", *keep)
        ptx = "".join(p.read_text() for p in folder.glob("*.ptx"))
    threads = dict(re.findall(r"\.entry (\w+)\([^)]*\)\s*\.maxntid (\d+)", ptx))
    rows = []
    for entry in ENTRY.finditer(said):
        registers = int(entry["registers"])
        shared = re.search(r"(\d+) bytes smem", entry["rest"])
        of_block = int(threads[entry["name"]])
        rows.append(
            {
                "kernel": kernel_name(entry["name"]),
                "arch": entry["arch"],
                "threads": of_block,
                "registers": registers,
                "warps": resident_warps(registers, of_block),
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
