# SPDX-License-Identifier: BSD-3-Clause
"""The page: facts, pictures and diagrams poured into the template."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from ..datamodel import Alignment, TiltSeries
from ..defects import place_columns
from ..metrics import Fsc
from . import figures
from .content import ReportContent
from .facts import missing_wedge_deg
from .findings import Finding
from .layers import layer_cutouts
from .movie import Movie
from .pictures import Window, picture, reduce, sprite
from .rows import cutouts, show
from .slices import ScaleBar, central_planes, spread_planes
from .spectrum import binning, power_xz
from .verdict import Verdict
from .words import NONE, bytes_text, duration_text, heading, number, with_error

__all__ = ["environment", "flat", "render", "series_context"]


SIZE_COLUMNS = ("diameter_nm", "equivalent_diameter_nm", "diameter_px", "volume_nm3", "voxels")


def render(
    content: ReportContent,
    verdict: Verdict,
    findings: list[Finding],
    facts: dict[str, Any],
    movie: Movie,
    progress: Callable[[float], None],
) -> str:
    """Return the whole page as one string."""
    window = Window.of(content.volume.data)
    context: dict[str, Any] = {
        "facts": facts,
        "verdict": verdict,
        "findings": findings,
        "unknown": NONE,
        "flags": content.alignment.flags,
        "others": [n for n, table in content.defects.tables.items() if place_columns(table)],
    }
    context |= _slices(content, window)
    progress(0.5)
    context |= series_context(content.series, content.alignment, movie)
    progress(0.7)
    context |= _diagrams(content, movie)
    progress(0.9)
    context |= _tables(content, window, facts)
    return environment().get_template("report.html.j2").render(context)


@functools.cache
def environment() -> jinja2.Environment:
    """Return what makes pages from the templates; it keeps what it has compiled."""
    folder = resources.files(__package__) / "templates"

    def load(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(load),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "error": lambda v, sigma: with_error(float(v), float("nan") if sigma is None else sigma),
        "together": lambda text: text.replace(" ± ", "\u00a0±\u00a0"),
        "number": lambda v, digits=4: NONE if v is None else number(float(v), digits),
        "bytes": bytes_text,
        "duration": duration_text,
    }
    made.globals["inline"] = lambda name: Markup(load(name))
    return made


def _slices(content: ReportContent, window: Window) -> dict[str, Any]:
    return {
        "planes": central_planes(content.volume, window, content.defects),
        "spread": list(spread_planes(content.volume, window, content.defects)),
        "shape": content.volume.data.shape,
    }


def series_context(series: TiltSeries, alignment: Alignment, movie: Movie) -> dict[str, Any]:
    """Return what series.html.j2 shows: the animation, and every tilt."""
    angles = alignment.angles_deg[movie.order]
    before, columns, rows = sprite(movie.before)
    after, _, _ = sprite(movie.after)
    flags = alignment.flags
    thumb = 84 if len(angles) <= 100 else 60
    tilts = [
        {
            "index": int(i),
            "angle": f"{angles[k]:.4g}°",
            "thumbnail": picture(_bytes(reduce(movie.before[k], thumb))),
            "reason": flags.get(int(i)),
        }
        for k, i in enumerate(movie.order)
    ]
    psi = np.deg2rad(alignment.tilt_axis_deg)
    return {
        "movie": {"before": before, "after": after, "columns": columns, "rows": rows},
        "frame": {"height": movie.before.shape[1], "width": movie.before.shape[2]},
        "frame_bar": _frame_bar(series, movie.before.shape[2]),
        # the axis is the line u = 0, along v: (column, row) = (-sin psi, cos psi)
        "axis": (float(-np.sin(psi)), float(np.cos(psi))),
        "tilts": tilts,
        "tilt_words": [{"angle": t["angle"], "left_out": t["reason"] is not None} for t in tilts],
        "start": int(np.argmin(np.abs(angles))),
    }


def _frame_bar(series: TiltSeries, width: int) -> ScaleBar:
    size = series.pixel_size
    scale = series.images.shape[2] / width
    if size is not None:
        return ScaleBar.of(width, size * scale)
    bar = ScaleBar.of(width * scale, None)
    return ScaleBar(bar.length / scale, bar.text)


def _bytes(image: Any) -> Any:
    return np.clip(image, 0, 255).astype(np.uint8)


def _diagrams(content: ReportContent, movie: Movie) -> dict[str, Any]:
    kept = content.alignment.angles_deg[content.alignment.kept]
    limits = (float(kept.min()), float(kept.max())) if len(kept) else (0.0, 0.0)
    made = {**_alignment_figures(content, movie), "power": _power_figure(content, limits)}
    if len(content.convergence):
        made["convergence"] = figures.convergence(np.asarray(content.convergence, float))
    if content.halves is not None:
        made["correlation"] = _correlation_figure(content.halves, content)
    tall = dict.fromkeys(("power", "convergence", "correlation"), (5.0, 3.6))
    drawn = {
        name: Markup(figures.draw(name, paint, tall.get(name, (5.0, 2.7))))
        for name, paint in made.items()
    }
    return {
        "figures": drawn,
        "sizes": _sizes(content),
        "wedge": missing_wedge_deg(content),
        "limits": limits,
    }


def _alignment_figures(content: ReportContent, movie: Movie) -> dict[str, figures.Paint]:
    alignment, series = content.alignment, content.series
    angles, flags = alignment.angles_deg, sorted(alignment.flags)
    unit, scale = ("px", 1.0) if series.pixel_size is None else ("nm", series.pixel_size / 10)
    scale *= max(series.images.shape[1:]) / max(movie.before.shape[1:])
    half = (movie.sinogram_before.shape[1] - 1) / 2 * scale
    before, after = movie.sinogram_before, movie.sinogram_after
    return {
        "shifts": figures.shifts(
            angles, alignment.shifts_px, alignment.sigma_shifts_px, flags, "shift (px)"
        ),
        "residuals": figures.residuals(
            angles, alignment.residuals, flags, float(alignment.holdout_residual)
        ),
        "sinogram": figures.sinogram(angles[movie.order], before, after, half, unit),
    }


def _power_figure(content: ReportContent, limits: tuple[float, float]) -> figures.Paint:
    volume = content.volume
    unit, voxel = ("1/px", 1.0) if volume.pixel_size is None else ("1/nm", volume.pixel_size / 10)
    nyquist = 0.5 / binning(volume.data.shape) / voxel
    return figures.power(power_xz(volume.data), nyquist, limits, unit)


def _correlation_figure(curve: Fsc, content: ReportContent) -> figures.Paint:
    unit = "1/px" if content.volume.pixel_size is None else "1/nm"
    frequency = curve.frequency / curve.pixel_size
    return figures.correlation(
        frequency, curve.correlation, curve.sigma_correlation, curve.half_bit, unit
    )


def _sizes(content: ReportContent) -> list[tuple[str, Markup]]:
    out = []
    others = [n for n in content.defects.all_tables if n != "layers"]
    for what in others:
        table = content.defects.table(what)
        column = next((c for c in SIZE_COLUMNS if c in table), "")
        if not column:
            continue
        values = np.asarray(table[column], float)
        good = np.isfinite(values)
        sigma = table.get(f"sigma_{column}")
        if np.count_nonzero(good) > 1:
            words, unit = heading(column)
            paint = figures.sizes(
                values[good],
                None if sigma is None else np.asarray(sigma, float)[good],
                f"{words} ({unit})" if unit else words,
                what,
            )
            out.append((what, Markup(figures.draw(f"sizes-{what}", paint))))
    return out


def _tables(content: ReportContent, window: Window, facts: dict[str, Any]) -> dict[str, Any]:
    defects = content.defects
    shown = []
    signs = {"layers": 0, "voids": -1, "particles": 1}
    for name, columns in defects.all_tables.items():
        sign = signs.get(name, 0)
        table = show(columns, largest_first=name != "layers")
        pictures: dict[int, Any] = {}
        if name == "layers":
            pictures = layer_cutouts(content.volume, defects.layers, window, table.indices)
        if sign and defects.labels is not None and table.total:
            wanted = [sign * (i + 1) for i in table.indices]
            found = cutouts(content.volume, defects.labels, wanted, window)
            pictures = {abs(label) - 1: made for label, made in found.items()}
        shown.append(
            {
                "name": name,
                "table": table,
                "pictures": pictures,
                "searched": bool(columns),
                "numbered": "name" not in columns,
            }
        )
    return {"tables": shown, "parameters": list(flat(facts["parameters"]))}


def flat(values: dict[str, Any], head: str = "") -> Iterator[tuple[str, str]]:
    """Yield the settings as ("stage.name", value) in the order of their names."""
    for name, value in sorted(values.items()):
        if isinstance(value, dict):
            yield from flat(value, f"{head}{name}.")
        else:
            yield f"{head}{name}", json.dumps(value, ensure_ascii=False)
