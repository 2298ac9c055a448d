# SPDX-License-Identifier: BSD-3-Clause
"""What the validations and the peers' scripts share: means with their errors, and tables in Markdown."""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent


def shared_folder() -> Path | None:
    """Return the folder of real data and reference scripts, or None where it is absent."""
    folder = Path(os.environ.get("CRYOLITH_SHARED") or ROOT.parent / "shared")
    return folder if (folder / "data").is_dir() else None


def mean_error(values: Iterable[float], digits: int = 3) -> str:
    """Return "mean ± standard error" of independent repetitions; "none" where one of them gives no number."""
    v = np.asarray(list(values), np.float64)
    if not np.isfinite(v).all():
        return "none"
    error = v.std(ddof=1) / np.sqrt(len(v)) if len(v) > 1 else float("nan")
    return f"{v.mean():.{digits}f} ± {error:.{digits}f}"


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927)."""
    p, z = hits / count, 1.96
    middle = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return middle - half, middle + half


def share_of(hits: int, count: int) -> str:
    """Return a share with its 95 % interval, "-" of nothing."""
    if not count:
        return "-"
    low, high = wilson(hits, count)
    return f"{hits / count:.3f} [{low:.3f}, {high:.3f}]"


def write_table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write one Markdown table to standard output."""
    lines = [f"\n### {title}\n", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def write_machine() -> None:
    """Say what the numbers were made on; load matters to wall times, hardly to CPU seconds."""
    from cryolith import _core

    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    sys.stdout.write(
        f"{platform.machine()}, {os.cpu_count()} cores, vector instructions {_core.isa()}, "
        f"load averages {load}\n"
    )
