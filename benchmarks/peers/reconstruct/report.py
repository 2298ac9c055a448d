# SPDX-License-Identifier: BSD-3-Clause
"""The results as Markdown, JSON and a plot, with what they were made on."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.roofline import Roofline
from benchmarks.tables import ROOT, write_table

import cryolith
from cryolith import _core

from .runs import Row

PACKAGES = (
    *("numpy", "scipy", "astra-toolbox", "ducc0", "finufft", "scikit-image", "algotom"),
    *("etspy", "svmbir", "mbirjax", "tomviz-kernels"),
)
TITLES = {"backproject": "back-projection", "project": "projection", "wbp": "WBP", "sirt": "SIRT"}
OURS = "cryolith"


def header(roofline: Roofline, at: str) -> dict[str, str]:
    """Return machine, instruction set, commit (``at``), versions and bound in words."""
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    bounds = ", ".join(
        f"{name} {found.multiply_add:.1f} (from L1 {found.with_load:.1f})"
        for name, found in roofline.widths.items()
    )
    return {
        "machine": f"{processor()}, {os.cpu_count()} cores, load averages {load}",
        "cryolith": f"{cryolith.__version__}, commit {at}, vector instructions {_core.isa()}",
        "versions": ", ".join(f"{p} {v}" for p in PACKAGES if (v := version(p))),
        "bound": f"multiply-adds of one core, 1e9 linear-interpolation updates/s: {bounds}",
    }


def processor() -> str:
    """Return the processor's name and family: a virtual machine may not tell the model."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    facts = dict(
        tuple(part.strip() for part in line.split(":", 1))
        for line in text.split("\n\n")[0].splitlines()
        if ":" in line
    )
    name = facts.get("model name", platform.processor() or platform.machine())
    family = f" (family {facts['cpu family']}, model {facts['model']})" if "model" in facts else ""
    return name + family


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def commit() -> str:
    """Return the short hash; "+" stands for changes that are in no commit."""
    words = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=7", "--dirty=+"]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def times(value: float) -> str:
    return f"{value:.2g} x" if value < 100 else f"{value:.0f} x"


def write_rows(rows: list[Row]) -> None:
    """Write one table per size, axis and number of threads."""
    groups = dict.fromkeys((r.size, r.threads, r.axis_deg) for r in rows)
    head = (
        "task | program | wall s | CPU s | ours = 1 | GUPS | GUPS/core | of bound | peak MB | error"
    )
    for group in groups:
        chosen = [r for r in rows if (r.size, r.threads, r.axis_deg) == group]
        ours = {r.task: r.cpu_s for r in chosen if r.program == OURS}
        size, threads, axis = group
        title = f"{size}, {threads} thread{'s' * (threads > 1)}"
        title += f", tilt axis at {axis:g} degrees" * bool(axis)
        table = [cells(r, ours.get(r.task, float("nan"))) for r in chosen if not r.failed]
        write_table(title, head.split(" | "), table)
        reasons = dict.fromkeys((r.program, r.failed) for r in chosen if r.failed)
        for program, reason in reasons:
            tasks = ", ".join(r.task for r in chosen if (r.program, r.failed) == (program, reason))
            print(f"\n{program} ({tasks}) has no numbers: {reason}")  # noqa: T201
    notes = {r.program: r.note for r in rows if not r.failed}
    print("\n" + "\n".join(f"- {program}: {note}" for program, note in notes.items()))  # noqa: T201


def cells(row: Row, ours: float) -> list[object]:
    return [
        row.task,
        row.program,
        f"{row.wall_s:.3g}",
        f"{row.cpu_s:.3g}",
        times(row.cpu_s / ours),
        f"{row.rate:.3g}",
        f"{row.rate_core:.3g}",
        f"{100 * row.rate_core / row.bound:.2g} %",
        f"{row.peak_mb:.0f}",
        f"{row.error:.4f}" + " WRONG" * row.wrong,
    ]


def write_json(path: Path, facts: dict[str, str], rows: list[Row]) -> None:
    path.write_text(json.dumps({"facts": facts, "rows": [r.to_mapping() for r in rows]}, indent=1))


def read_json(paths: list[Path]) -> tuple[dict[str, str], list[Row]]:
    """Return the facts of the first file and the rows of all."""
    found: list[dict[str, Any]] = [json.loads(path.read_text()) for path in paths]
    return found[0]["facts"], [Row(**row) for one in found for row in one["rows"]]


def plot(path: Path, facts: dict[str, str], rows: list[Row]) -> None:
    """Draw rates per CPU second of every program, one panel per size and task, with the machine's bound."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [r for r in rows if not r.failed and r.axis_deg == 0.0]
    panels = {(r.size, r.task): (r.bound, {}) for r in rows}
    for r in rows:
        best = panels[r.size, r.task][1]
        best[r.program] = max(best.get(r.program, 0.0), r.rate_core)
    matplotlib.rcParams.update({"font.size": 8, "svg.fonttype": "none", "svg.hashsalt": "cryolith"})
    lines = (len(panels) + 1) // 2
    most = max(len(best) for _, best in panels.values())
    figure, axes = pyplot.subplots(
        lines,
        2,
        squeeze=False,
        figsize=(8.5, lines * (0.6 + 0.17 * most) + 0.4),
        layout="constrained",
    )
    for ax in axes.flat[len(panels) :]:
        ax.remove()
    for ax, ((size, task), (bound, best)) in zip(axes.flat, panels.items(), strict=False):
        draw_panel(ax, f"{TITLES[task]}, {size}", bound, best, most)
    figure.supxlabel(
        "1e9 voxel updates a CPU second (dotted: all that the core's multiply-adds allow)\n"
        f"{facts['machine'].split(', load')[0]}; cryolith {facts['cryolith']}",
        fontsize=7,
    )
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=120)


def draw_panel(ax: Any, title: str, bound: float, best: dict[str, float], lines: int) -> None:
    """Draw one bar per program, the fastest on top, with room for ``lines`` of them."""
    names = sorted(best, key=lambda name: best[name])
    colours = ["#c44" if name.startswith(OURS) else "#88a" for name in names]
    bars = ax.barh(names, [best[n] for n in names], color=colours)
    ax.bar_label(bars, [f" {best[n]:.2g}" for n in names], fontsize=7)
    ax.axvline(bound, color="k", lw=0.8, ls=":")
    ax.set(xscale="log", xlim=(min(0.01, *best.values()), 2 * bound))
    ax.set_ylim(len(names) - lines - 0.6, len(names) - 0.4)
    ax.tick_params(which="minor", bottom=False)
    ax.set_title(title, loc="left", fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
