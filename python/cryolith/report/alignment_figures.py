# SPDX-License-Identifier: BSD-3-Clause
"""Diagrams of how well an alignment predicts, and of what it found."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from ..align import AlignmentScore
from ..datamodel import Alignment, LocalShifts
from .figures import ACCENT, BAD, MUTED, SECOND, Paint, cross, logarithmic

__all__ = ["axes", "compared", "holdout", "local_shifts", "motion_of_specimen"]

Float64 = npt.NDArray[np.float64]

# Of the alignments beside ours, in turn.
_COLOURS = (SECOND, BAD, MUTED)


def holdout(angles: Float64, score: AlignmentScore, flags: list[int]) -> Paint:
    """Residual of each tilt in the fit and held out, and the level of random poses."""

    def paint(figure: Figure) -> None:
        ax = figure.subplots()
        order = np.argsort(angles, kind="stable")
        x, level, spread = angles[order], score.random[order], score.sigma_random[order]
        ax.fill_between(x, level - spread, level + spread, color=MUTED, alpha=0.2, lw=0)
        ax.plot(x, level, color=MUTED, ls="--", label="held out, random poses")
        ax.plot(x, score.holdout[order], "o-", color=SECOND, lw=0.8, label="held out")
        ax.plot(x, score.residuals[order], "o", color=ACCENT, ms=2.5, label="in the fit")
        cross(ax, angles, score.holdout, flags)
        ax.set(xlabel="tilt (°)", ylabel="residual / signal")
        logarithmic(ax)
        ax.legend(loc="lower left", ncols=3, bbox_to_anchor=(0, 1))

    return paint


def compared(angles: Float64, scores: Mapping[str, AlignmentScore]) -> Paint:
    """Held-out residual of each tilt for several alignments."""

    def paint(figure: Figure) -> None:
        ax = figure.subplots()
        order = np.argsort(angles, kind="stable")
        for k, (name, score) in enumerate(scores.items()):
            colour = ACCENT if k == 0 else _COLOURS[(k - 1) % len(_COLOURS)]
            style = "-" if k <= len(_COLOURS) else ":"
            ax.plot(angles[order], score.holdout[order], style, color=colour, label=name)
        ax.set(xlabel="tilt (°)", ylabel="held-out residual / signal")
        logarithmic(ax)
        ax.legend(loc="lower left", ncols=3, bbox_to_anchor=(0, 1))

    return paint


def motion_of_specimen(alignment: Alignment, flags: list[int]) -> Paint:
    """Shift of each image across and along the tilt axis, with its error."""
    psi = np.deg2rad(alignment.tilt_axis_deg)
    c, s = np.cos(psi), np.sin(psi)
    row, column = alignment.shifts_px.T
    parts = (("across the axis", ACCENT, column * c + row * s, (s, c)),
             ("along the axis", SECOND, row * c - column * s, (c, s)))  # fmt: skip

    def paint(figure: Figure) -> None:
        ax = figure.subplots()
        order = np.argsort(alignment.angles_deg, kind="stable")
        for k, (name, colour, values, weights) in enumerate(parts):
            error = None
            if alignment.sigma_shifts_px is not None:
                sigma = np.nan_to_num(alignment.sigma_shifts_px[order])
                error = np.hypot(weights[0] * sigma[:, 0], weights[1] * sigma[:, 1])
            ax.errorbar(
                alignment.angles_deg[order],
                values[order],
                error,
                fmt="o-",
                color=colour,
                label=name,
                lw=0.8,
            )
            cross(ax, alignment.angles_deg, values, flags, named=k == 0)
        ax.set(xlabel="tilt (°)", ylabel="shift (px)")
        ax.margins(y=0.12)
        ax.legend(loc="best", ncols=2)

    return paint


def local_shifts(alignment: Alignment, local: LocalShifts) -> Paint:
    """Local shifts as arrows, of the kept tilts at both ends and in the middle, and their size at every tilt."""
    size = np.sqrt(
        np.where(local.good, (local.shifts_px**2).sum(axis=-1), 0).sum(axis=1)
        / np.maximum(local.good.sum(axis=1), 1)
    )
    order = np.argsort(alignment.angles_deg, kind="stable")
    order = order[local.good[order].any(axis=1)]

    def paint(figure: Figure) -> None:
        top, bottom = figure.subplots(2, 1, height_ratios=(1.0, 1.4))
        top.plot(alignment.angles_deg[order], size[order], "o-", color=ACCENT, lw=0.8)
        top.set(xlabel="tilt (°)", ylabel="local, rms (px)", ylim=(0, None))
        bottom.set_axis_off()
        shown = order[[0, len(order) // 2, -1]]
        for k, i in enumerate(shown):
            ax = bottom.inset_axes((k / 3 + 0.02, 0.0, 0.29, 0.85))
            good = local.good[i]
            at, by = local.points_px[i, good] + alignment.shifts_px[i], local.shifts_px[i, good]
            ax.quiver(at[:, 1], at[:, 0], by[:, 1], by[:, 0], angles="xy", color=ACCENT)
            ax.set(aspect="equal", xticks=[], yticks=[])
            ax.margins(0.15)
            ax.invert_yaxis()
            longest = np.linalg.norm(by, axis=1).max()
            ax.set_title(f"{alignment.angles_deg[i]:.0f}°, to {longest:.1f} px", fontsize="small")

    return paint


def axes(alignments: Mapping[str, Alignment], nominal: float | None) -> Paint:
    """Angle of the tilt axis with its error, of each alignment and as the microscope says."""
    rows = [(name, a.tilt_axis_deg, a.sigma_tilt_axis_deg) for name, a in alignments.items()]
    first = rows[0][1]
    if nominal is not None:
        rows.append(("nominal", nominal, float("nan")))

    def paint(figure: Figure) -> None:
        ax = figure.subplots()
        for k, (_, angle, sigma) in enumerate(rows):
            near = first + (angle - first + 180) % 360 - 180
            error = sigma if np.isfinite(sigma) else None
            ax.errorbar(near, k, xerr=error, fmt="o", color=ACCENT if k == 0 else SECOND)
        ax.set_yticks(range(len(rows)), [name for name, _, _ in rows])
        ax.invert_yaxis()
        ax.margins(x=0.15, y=0.3)
        ax.set(xlabel="tilt axis from the image's +y (°)")

    return paint
