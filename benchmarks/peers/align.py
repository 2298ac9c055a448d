# SPDX-License-Identifier: BSD-3-Clause
"""cryolith beside ETSpy on the real needle: CPU time, and residual of tilts that were held out.

    PYTHONPATH=benchmarks python benchmarks/peers/align.py

Needs ``pip install etspy pystackreg`` beside cryolith (ETSpy brings hyperspy and ASTRA: an environment of its own). All
get the same background-subtracted images; the judge is needle.held_out, not cryolith. The authors' reference is
ETSpy's too.
"""

from __future__ import annotations

import logging
import time
import warnings
from typing import Any

import etspy.api as etspy
import needle
import numpy as np
from tables import write_machine, write_table

from cryolith import align

logging.disable(logging.ERROR)


def etspy_stack() -> Any:
    """Return ETSpy's own stack, its images replaced by those that everyone gets."""
    images = needle.unsigned()
    images -= np.percentile(images, 5, axis=(1, 2), keepdims=True).astype(np.float32)
    stack = etspy.load(str(needle.path()))
    stack.data = np.maximum(images, 0)
    stack.tilts.data = needle.series().angles_deg.reshape(-1, 1)
    return stack


def by_etspy(method: str, axis: str) -> needle.Etspy:
    """Return the shifts of ``stack_register`` and the axis of ``tilt_align``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        moved = etspy_stack().stack_register(method)
        turned = moved.tilt_align(axis)
    facts = turned.metadata.Tomography
    return needle.Etspy(np.array(moved.shifts.data), float(facts.tiltaxis), float(facts.yshift))


def by_cryolith() -> needle.Etspy:
    return needle.Etspy.of(align.align_tilt_series(needle.series(), threads=1))


def main() -> None:
    write_machine()
    shifts, axis = needle.reference().ours()
    angles = needle.series().angles_deg
    runs = {
        "cryolith": by_cryolith,
        "ETSpy StackReg + centre of mass": lambda: by_etspy("StackReg", "CoM"),
        "ETSpy phase correlation + centre of mass": lambda: by_etspy("PC", "CoM"),
        "ETSpy centre of mass + common line": lambda: by_etspy("COM-CL", "CoM"),
        "authors' reference": needle.reference,
    }
    rows: list[list[object]] = []
    for name, run in runs.items():
        start = time.process_time()
        found = run()
        seconds = time.process_time() - start
        score = needle.held_out(found)
        difference = needle.without_gauge(found.ours()[0] - shifts, angles, axis)
        rms = np.sqrt(sum((d**2).mean() for d in difference))
        took = f"{seconds:.1f}" if name != "authors' reference" else "-"
        rows.append(
            [
                name,
                took,
                f"{found.axis:.2f}",
                f"{rms:.2f}",
                f"{score['mean']:.4f}",
                f"{score['worst']:.4f}",
            ]
        )
    head = ["program", "CPU s", "axis deg", "rms to reference px", "held-out residual", "worst"]
    write_table("The real needle, 77 x 256 x 256", head, rows)


if __name__ == "__main__":
    main()
