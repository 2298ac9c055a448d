# SPDX-License-Identifier: BSD-3-Clause
"""The report of movies: how each moved, what its correction gained, and what deserves a look."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from .._version import __version__
from ..files import read_volume
from ..files.atomic import write_text
from .figures import draw, standalone
from .motion_figures import drifts, power_of, powers, radial, spectra_picture, track
from .page import environment, flat
from .pictures import Window, picture, reduce
from .slices import ScaleBar
from .verdict import Check, Verdict, grade, worst
from .words import NONE, plain

if TYPE_CHECKING:
    from ..align import MovieAlignment
    from ..motion_plan import MotionPlan
    from ..records import Record

__all__ = ["motion_facts", "spectra_picture", "track_picture", "write_motion_report"]

SCHEMA_VERSION = 1
MOST_SHOWN = 12  # movies with pictures and diagrams of their own; the rest stand in the table
SIDE = 420
TRACK_SIZE = (6.4, 2.7)
# A third of a pixel blurs nothing that a sum of frames shows; beyond one pixel the correction may do harm.
SIGMA_PX = (0.33, 1.0)
UNEVEN = 0.3  # of the median mean of the frames: a shutter or a beam that changed
FLAGGED = (0.0, 0.2)


def motion_facts(
    found: MovieAlignment, table: Mapping[str, npt.NDArray[Any]], pixel_size: float | None
) -> dict[str, Any]:
    """Return what the record of a movie keeps: the track, its errors, and the power before and after."""
    frequency, before = radial(power_of(found.unaligned))
    _, after = radial(power_of(found.total))
    facts: dict[str, Any] = plain(
        {
            "first_frame": int(table["frame"][0]),
            "shape": list(found.total.shape),
            "pixel_size_nm": None if pixel_size is None else pixel_size / 10,
            "shifts_px": found.shifts_px,
            "sigma_px": found.sigma_px,
            "correlation": found.peaks,
            "mean_counts": found.mean_counts,
            "transitivity_px": found.transitivity_px,
            "frequency_per_px": frequency,
            "power_before": before,
            "power_after": after,
        }
    )
    return facts


def track_picture(name: str, facts: Mapping[str, Any]) -> str:
    """Return the track of a movie as an SVG file."""
    pixel = facts["pixel_size_nm"]
    unit, scale = ("px", 1.0) if pixel is None else ("nm", pixel)
    return standalone(f"{name}-track", track(dict(facts), unit, scale), TRACK_SIZE)


def write_motion_report(
    folder: Path,
    plan: MotionPlan,
    made: Sequence[Record],
    parameters: Mapping[str, Any],
    inputs: Sequence[Mapping[str, Any]],
) -> Verdict:
    """Write report.html and report.json from the records of the movies and their files in ``folder``.

    ``inputs`` name each input file with its ``sha256`` and ``bytes``.
    """
    movies = [_movie(record, plan, i) for i, record in enumerate(made)]
    verdict = _judge(movies)
    facts: dict[str, Any] = plain(
        {
            "schema_version": SCHEMA_VERSION,
            "kind": "cryolith motion report",
            "cryolith_version": __version__,
            "name": plan.series or (plan.names[0] if len(plan.names) == 1 else "movies"),
            "stack": f"{plan.series}.mrc" if plan.series else None,
            "verdict": {"word": verdict.word, "meaning": verdict.meaning},
            "movies": movies,
            "warnings": list(plan.warnings),
            "parameters": dict(parameters),
            "inputs": inputs,
            "command": "cryolith motion -c motion.toml -o NEW_FOLDER",
        }
    )
    page = _page(folder, plan, movies, made, verdict, facts)
    text = json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(folder / "report.json", text + "\n")
    write_text(folder / "report.html", page)
    return verdict


def _movie(record: Record, plan: MotionPlan, i: int) -> dict[str, Any]:
    """One row: how far, how fast, how sure, and what is odd."""
    facts = record.facts
    shifts = np.asarray(facts["shifts_px"], float)
    sigma = np.array(facts["sigma_px"], dtype=float)  # null, for infinity, becomes NaN
    steps = np.hypot(*np.diff(shifts, axis=0).T)
    means = np.asarray(facts["mean_counts"], float)
    usual = float(np.median(means))
    first, flags = facts["first_frame"], {}
    for k in range(len(shifts)):
        if not np.isfinite(sigma[k]).all():
            flags[first + k] = "nothing in common with the other frames: its shift is not known"
        elif abs(means[k] - usual) > UNEVEN * abs(usual):
            flags[first + k] = f"mean of {means[k]:.4g} counts/px, the others {usual:.4g}"
    finite = sigma[np.isfinite(sigma)]
    return {
        "name": plan.names[i],
        "file": Path(plan.movies[i]).name,
        "angle_deg": None if plan.angles_deg is None else float(plan.angles_deg[i]),
        "frames": len(shifts),
        "way_px": float(steps.sum()),
        "largest_step_px": float(steps.max()),
        "largest_step_frame": first + int(steps.argmax()) + 1,
        "sigma_px": float(np.sqrt(np.mean(finite**2))) if finite.size else float("inf"),
        "mean_counts": usual,
        "flags": {str(k): reason for k, reason in flags.items()},
    }


def _judge(movies: list[dict[str, Any]]) -> Verdict:
    sigma = max(m["sigma_px"] for m in movies)
    flagged, frames = sum(len(m["flags"]) for m in movies), sum(m["frames"] for m in movies)
    many = len(movies) > 1
    return worst(
        [
            Check(
                name="Error of a shift" + (", worst movie" if many else ""),
                value=sigma,
                text=f"{sigma:.2g} px",
                word=grade(sigma, SIGMA_PX),
                rule=f"OK to {SIGMA_PX[0]:g} px, BAD above {SIGMA_PX[1]:g} px; from noise alone",
                target="movies",
            ),
            Check(
                name="Frames that stand out",
                value=float(flagged),
                text=f"{flagged} of {frames}",
                word=grade(flagged / frames, FLAGGED),
                rule=f"OK if none, BAD above {FLAGGED[1]:.0%}; mean off by {UNEVEN:.0%}, or no common signal",
                target="flags",
            ),
        ]
    )


def _page(
    folder: Path,
    plan: MotionPlan,
    movies: list[dict[str, Any]],
    made: Sequence[Record],
    verdict: Verdict,
    facts: dict[str, Any],
) -> str:
    pixel = plan.pixel_size
    unit, scale = ("px", 1.0) if pixel is None else ("nm", pixel / 10)
    order = [int(i) for i in plan.order]
    worst_first = sorted(order, key=lambda i: (-len(movies[i]["flags"]), -movies[i]["way_px"]))
    chosen = set(worst_first[:MOST_SHOWN])
    shown = [
        _shown(folder, movies[i], dict(made[i].facts), f"m{i}", unit, scale)
        for i in order
        if i in chosen
    ]
    overview = None
    if len(movies) > 1:
        x = np.arange(len(order)) if plan.angles_deg is None else plan.angles_deg[order]
        label = "movie, in the order given" if plan.angles_deg is None else "tilt (°)"
        ways, steps = (
            np.array([movies[i][name] for i in order]) * scale
            for name in ("way_px", "largest_step_px")
        )
        overview = Markup(draw("drifts", drifts(np.asarray(x, float), label, ways, steps, unit)))
    context = {
        "facts": facts,
        "verdict": verdict,
        "rows": [movies[i] for i in order],
        "shown": shown,
        "overview": overview,
        "unknown": NONE,
        "unit": unit,
        "scale": scale,
        "shape": plan.shapes[0][1:],
        "pixel_nm": None if pixel is None else pixel / 10,
        "parameters": list(flat(facts["parameters"])),
    }
    return environment().get_template("motion.html.j2").render(context)


def _shown(
    folder: Path, movie: dict[str, Any], facts: dict[str, Any], key: str, unit: str, scale: float
) -> dict[str, Any]:
    """Pictures and diagrams of one movie."""
    total = read_volume(folder / f"{movie['name']}.mrc")
    small = reduce(total.data[0], SIDE)
    shown = picture(Window.of(small, 0.5, 99.5).bytes_of(small))
    pixel = total.pixel_size
    width = total.data.shape[2]
    bar = ScaleBar.of(width, pixel)
    spectra = (folder / f"{movie['name']}_spectra.png").read_bytes()
    return {
        **movie,
        "picture": shown,
        "bar": {"percent": 100 * bar.length / width, "text": bar.text},
        "spectra": "data:image/png;base64," + base64.b64encode(spectra).decode("ascii"),
        "track": Markup(draw(f"{key}-track", track(facts, unit, scale), TRACK_SIZE)),
        "power": Markup(draw(f"{key}-power", powers(facts, f"1/{unit}", scale), (5.0, 2.7))),
    }
