# SPDX-License-Identifier: BSD-3-Clause
"""The diagrams: drawn by matplotlib as vectors that take the page's colours, light or dark."""

from __future__ import annotations

import io
import math
import re
import threading
from collections.abc import Callable
from typing import Any

import matplotlib.style
import numpy as np
import numpy.typing as npt
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

__all__ = [
    "ACCENT",
    "BAD",
    "GRID",
    "INK",
    "MUTED",
    "SECOND",
    "Paint",
    "convergence",
    "correlation",
    "cross",
    "draw",
    "logarithmic",
    "power",
    "residuals",
    "say",
    "shifts",
    "sinogram",
    "sizes",
    "standalone",
]

Paint = Callable[[Figure], None]

# Colours drawn by matplotlib, each replaced by a variable of the style sheet.
INK, GRID, ACCENT, SECOND, BAD, MUTED, CARD = (f"#01020{i}" for i in range(1, 8))
_VARIABLES = {
    INK: "currentColor", GRID: "var(--grid)", ACCENT: "var(--accent)", SECOND: "var(--second)",
    BAD: "var(--bad)", MUTED: "var(--muted)", CARD: "var(--card)",
}  # fmt: skip
_LIGHT = {
    INK: "#1b2330", GRID: "#e4e8ee", ACCENT: "#2563a8", SECOND: "#c2570c", BAD: "#c0282d",
    MUTED: "#5d6878", CARD: "#ffffff",
}  # fmt: skip
_STYLE: dict[str, Any] = {
    "svg.fonttype": "path", "svg.image_inline": True, "font.family": "DejaVu Sans",
    "font.size": 8.5, "axes.titlesize": 8.5, "axes.labelsize": 8.5,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK,
    "ytick.color": INK, "axes.titlecolor": INK, "grid.color": GRID, "axes.grid": True,
    "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False,
    "axes.linewidth": 0.7, "grid.linewidth": 0.6,
    "xtick.major.width": 0.7, "ytick.major.width": 0.7,
    "lines.linewidth": 1.2, "lines.markersize": 3, "errorbar.capsize": 0, "legend.frameon": False,
    "legend.fontsize": 8, "figure.facecolor": "none", "axes.facecolor": "none",
    "savefig.facecolor": "none", "image.cmap": "gray", "axes.titlelocation": "left",
}  # fmt: skip
MOST_NAMES = 8  # more would cover the points
_lock = threading.Lock()  # matplotlib's settings are global


def draw(name: str, paint: Paint, size: tuple[float, float] = (5.0, 2.7)) -> str:
    """Return a figure of ``size`` [inch] as inline SVG whose ids begin with ``name``."""
    return _inline(_svg(name, paint, size), name)


def standalone(name: str, paint: Paint, size: tuple[float, float] = (5.0, 2.7)) -> str:
    """Return a figure as an SVG file of its own, in the page's light colours on white."""
    svg = _svg(name, paint, size)
    for colour, value in _LIGHT.items():
        svg = svg.replace(colour, value)
    return re.sub(
        r"(<svg[^>]*>)", r'\1\n<rect width="100%" height="100%" fill="#ffffff"/>', svg, count=1
    )


def _svg(name: str, paint: Paint, size: tuple[float, float]) -> str:
    with _lock, matplotlib.style.context(["default", {**_STYLE, "svg.hashsalt": name}]):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure)
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", dpi=160, metadata=nothing)
    return buffer.getvalue()


def _inline(svg: str, name: str) -> str:
    """Cut the file's head off, make ids unique in the page, hand colours to the style sheet."""
    svg = svg[svg.index("<svg") :]
    # The style in it would hold for the whole page; report.css has it for diagrams only.
    svg = re.sub(r"<(metadata|style)\b.*?</\1>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\s(xmlns(:\w+)?|version)="[^"]*"', "", svg)
    svg = svg.replace("xlink:href=", "href=")
    svg = re.sub(r'(\sid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(
        r'<svg[^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', svg
    )
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return re.sub(r"\n\s*", "\n", svg).strip()


def shifts(
    angles: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    sigma: npt.NDArray[np.float64] | None,
    flags: list[int],
    label: str,
) -> Paint:
    """Shift of each image in row and column, flagged ones crossed."""

    def paint(figure: Figure) -> None:
        ax = figure.subplots()
        order = np.argsort(angles, kind="stable")
        for column, (name, colour) in enumerate((("row", ACCENT), ("column", SECOND))):
            error = None if sigma is None else np.nan_to_num(sigma[order, column])
            ax.errorbar(
                angles[order],
                values[order, column],
                error,
                fmt="o-",
                color=colour,
                label=name,
                lw=0.8,
            )
            cross(ax, angles, values[:, column], flags, named=column == 0)
        ax.set(xlabel="tilt (°)", ylabel=label)
        ax.margins(y=0.12)
        ax.legend(loc="best", ncols=2)

    return paint


def residuals(
    angles: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64] | None,
    flags: list[int],
    holdout: float,
) -> Paint:
    """Residual of each image, the held-out mean as a line."""

    def paint(figure: Figure) -> None:
        ax = figure.subplots()
        known = values if values is not None else np.full(len(angles), np.nan)
        if np.isfinite(known).any():
            ax.plot(angles, known, "o", color=ACCENT, label="used in the fit")
            cross(ax, angles, known, flags)
        if np.isfinite(holdout):
            ax.axhline(holdout, color=SECOND, ls="--", label=f"held-out mean {holdout:.3g}")
        if np.isfinite(known).any() or np.isfinite(holdout):
            ax.margins(y=0.15)
            ax.set_ylim(bottom=0)
            ax.legend(loc="best")
        else:
            say(ax, "no residual was computed")
        ax.set(xlabel="tilt (°)", ylabel="residual / signal")

    return paint


def convergence(values: npt.NDArray[np.float64]) -> Paint:
    """Data residual after each iteration, logarithmic."""

    def paint(figure: Figure) -> None:
        ax = figure.subplots()
        iteration = np.arange(1, len(values) + 1)
        ax.plot(iteration, values, "o-", color=ACCENT)
        if (values > 0).all() and values.max() > 5 * values.min():
            logarithmic(ax)
        ax.set(xlabel="iteration", ylabel="residual / signal")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))

    return paint


def correlation(
    frequency: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    sigma: npt.NDArray[np.float64],
    half_bit: npt.NDArray[np.float64],
    unit: str,
) -> Paint:
    """Fourier shell correlation of two halves with its error, and the thresholds."""

    def paint(figure: Figure) -> None:
        ax = figure.subplots()
        low, high = values - sigma, values + sigma
        ax.fill_between(frequency, low, high, color=ACCENT, alpha=0.25, lw=0)
        ax.plot(frequency, values, color=ACCENT, label="correlation")
        ax.plot(frequency, half_bit, color=SECOND, ls="--", label="half-bit")
        ax.axhline(0.143, color=MUTED, ls=":", label="0.143")
        ax.set(xlabel=f"spatial frequency ({unit})", ylabel="correlation of halves")
        ax.set_ylim(min(-0.05, float(np.nanmin(values, initial=0.0))), 1.05)
        ax.legend(loc="best")

    return paint


def sinogram(
    angles: npt.NDArray[np.float64],
    before: npt.NDArray[np.float32],
    after: npt.NDArray[np.float32],
    half_width: float,
    unit: str,
) -> Paint:
    """One line across the axis in every image, before and after."""

    def paint(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, sharey=True)
        low, high = np.nanpercentile(before, [1, 99.8]) if np.isfinite(before).any() else (0, 1)
        edges = _edges(angles)
        u = np.linspace(-half_width, half_width, before.shape[1] + 1)
        for ax, lines, title in ((left, before, "before"), (right, after, "after")):
            ax.pcolormesh(u, edges, lines, vmin=low, vmax=max(high, low + 1e-9), rasterized=True)
            ax.set(title=title, xlabel=f"across the axis ({unit})")
            ax.grid(False)
            ax.set_facecolor(GRID)
        left.set_ylabel("tilt (°)")

    return paint


def power(
    spectrum: npt.NDArray[np.float64], nyquist: float, limits: tuple[float, float], unit: str
) -> Paint:
    """Logarithmic power over (kz, kx), the lines of the first and last tilt drawn in."""

    def paint(figure: Figure) -> None:
        ax = figure.subplots()
        low, high = np.percentile(spectrum, [5, 99.9])
        extent = (-nyquist, nyquist, nyquist, -nyquist)
        ax.imshow(spectrum, vmin=low, vmax=high, extent=extent, interpolation="nearest")
        for angle in limits:
            # A projection at tilt a holds the line of frequencies along (kx, kz) = (cos a, sin a).
            c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
            r = nyquist / max(abs(c), abs(s))
            ax.plot([-r * c, r * c], [-r * s, r * s], color=SECOND, lw=1.0, ls="--")
        wedge = 180 - (limits[1] - limits[0])
        if wedge > 0:
            middle = np.deg2rad((limits[0] + limits[1]) / 2 + 90)
            x, z = 0.86 * nyquist * np.cos(middle), 0.86 * nyquist * np.sin(middle)
            halo = [patheffects.withStroke(linewidth=2, foreground="black")]
            text = f"missing\n{wedge:.4g}°"
            ax.text(-x, -z, text, ha="center", va="center", color="#ffb27a", path_effects=halo)
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.yaxis.set_major_locator(MaxNLocator(5))
        ax.set(xlabel=f"kx ({unit})", ylabel=f"kz ({unit})")
        ax.grid(False)

    return paint


FEW = 12


def sizes(
    values: npt.NDArray[np.float64], sigma: npt.NDArray[np.float64] | None, label: str, what: str
) -> Paint:
    """Histogram of the sizes; up to twelve objects are drawn one by one with their errors.

    The error of a bar is what the errors of the sizes make of it: objects near an edge may belong to the next bar,
    each by its own chance.
    """

    def paint(figure: Figure) -> None:
        ax = figure.subplots()
        median = float(np.median(values))
        if len(values) > FEW:
            bins = np.histogram_bin_edges(
                values, bins=int(np.clip(np.sqrt(len(values)) * 2, 5, 40))
            )
            counts, _, _ = ax.hist(values, bins=list(bins), color=ACCENT, rwidth=0.92)
            if sigma is not None and np.isfinite(sigma).any():
                ax.errorbar(
                    (bins[1:] + bins[:-1]) / 2,
                    np.asarray(counts),
                    _count_errors(values, sigma, bins),
                    fmt="none",
                    ecolor=SECOND,
                    lw=1.0,
                )
                ax.set_ylim(bottom=0)
            ax.yaxis.set_major_locator(MaxNLocator(integer=True))
            ax.set_ylabel(f"number of {what}")
        else:
            order = np.argsort(values, kind="stable")
            error = None if sigma is None else np.nan_to_num(sigma[order])
            ax.errorbar(
                values[order], np.arange(1, len(order) + 1), xerr=error, fmt="o", color=ACCENT
            )
            ax.yaxis.set_major_locator(MaxNLocator(integer=True))
            ax.set_ylabel(f"{what} in order of size")
        ax.axvline(median, color=SECOND, ls="--", label=f"median {median:.4g}")
        ax.set_xlabel(label)
        ax.legend(loc="best")

    return paint


def _count_errors(
    values: npt.NDArray[np.float64], sigma: npt.NDArray[np.float64], bins: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the standard deviation of the count in each bin: of objects that lie in it with chance p each, p (1 - p).

    An object without a known error is where it is.
    """
    width = np.where(np.isfinite(sigma) & (sigma > 0), sigma, 1e-12 * (np.ptp(bins) or 1.0))
    below = np.frompyfunc(lambda x: 0.5 * math.erfc(-x / math.sqrt(2)), 1, 1)
    edges = below((bins[:, None] - values) / width).astype(np.float64)
    chance = np.diff(edges, axis=0)
    out: npt.NDArray[np.float64] = np.sqrt((chance * (1 - chance)).sum(axis=1))
    return out


def cross(
    ax: Axes,
    angles: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    flags: list[int],
    named: bool = True,
) -> None:
    """Cross the flagged tilts, and name them where there are few."""
    halo = [patheffects.withStroke(linewidth=2.5, foreground=CARD)]
    for index in flags:
        if np.isfinite(values[index]):
            ax.plot(angles[index], values[index], "x", color=BAD, ms=7, mew=1.6, zorder=5)
            if not named or len(flags) > MOST_NAMES:
                continue
            ax.annotate(
                f"{angles[index]:.4g}°",
                (angles[index], values[index]),
                xytext=(4, 4),
                textcoords="offset points",
                color=BAD,
                fontsize=7.5,
                path_effects=halo,
                zorder=6,
            )


def logarithmic(ax: Axes) -> None:
    """Make the values of a diagram logarithmic, with ticks at 1, 2 and 5 in plain numbers."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:.2g}")
    ax.yaxis.set_minor_locator(NullLocator())


def say(ax: Axes, text: str) -> None:
    """Write in an empty diagram why it is empty."""
    ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes, color=MUTED)


def _edges(centres: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the n + 1 edges of the cells around n sorted centres; equal ones share a degree."""
    if np.ptp(centres) == 0:
        cell: npt.NDArray[np.float64] = centres[0] + np.linspace(-0.5, 0.5, len(centres) + 1)
        return cell
    middle = (centres[1:] + centres[:-1]) / 2
    ends = 2 * centres[[0, -1]] - middle[[0, -1]]
    edges: npt.NDArray[np.float64] = np.concatenate([ends[:1], middle, ends[1:]])
    return edges
