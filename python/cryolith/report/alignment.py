# SPDX-License-Identifier: BSD-3-Clause
"""The report of an alignment: what was found, how it predicts tilts that were held out, and beside which others."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from .._version import __version__
from ..align import AlignmentScore
from ..datamodel import Alignment, TiltSeries
from ..errors import InputError
from ..files import write_table
from ..files.atomic import write_text
from . import alignment_figures, figures
from .movie import Movie, make_movie
from .page import environment, flat, series_context
from .verdict import FLAGGED, RESIDUAL, Check, Verdict, grade, worst
from .words import NONE, number, plain, with_error

__all__ = ["AlignmentContent", "compared_table", "write_alignment_report"]

SCHEMA_VERSION = 1
UNPREDICTED = (0.0, 0.05)


@dataclass(frozen=True, kw_only=True, eq=False)
class AlignmentContent:
    """What the page is made from.

    Attributes
    ----------
    series : TiltSeries
    alignments, scores : mapping
        By name, the reported one first.
    parameters : mapping
    inputs : sequence of (name, sha256, bytes)
    command : str
    """

    series: TiltSeries
    alignments: Mapping[str, Alignment]
    scores: Mapping[str, AlignmentScore]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: Sequence[tuple[str, str, int]] = ()
    command: str = ""

    def __post_init__(self) -> None:
        if list(self.alignments) != list(self.scores) or not self.scores:
            raise InputError(
                f"scores: found {list(self.scores)}, expected those of {list(self.alignments)}"
            )

    @property
    def alignment(self) -> Alignment:
        """The one that is reported."""
        return next(iter(self.alignments.values()))

    @property
    def score(self) -> AlignmentScore:
        """Its score."""
        return next(iter(self.scores.values()))

    @property
    def name(self) -> str:
        """What to call the specimen."""
        path = self.series.source.path.replace("\\", "/").rstrip("/")
        return path.rsplit("/", 1)[-1] or "tilt series"


def compared_table(scores: Mapping[str, AlignmentScore]) -> list[dict[str, Any]]:
    """Return a row for each alignment, the means over the tilts that all of them keep and can be scored."""
    among = np.logical_and.reduce([s.kept & np.isfinite(s.holdout) for s in scores.values()])
    return [
        {
            "name": name,
            "tilts_kept": int(score.kept.sum()),
            "tilts_compared": int(among.sum()),
            "holdout": score.mean_holdout(among),
            "random": score.mean_random(among),
            "unpredicted": int(score.unpredicted.sum()),
        }
        for name, score in scores.items()
    ]


def write_alignment_report(content: AlignmentContent, folder: Path) -> Verdict:
    """Write alignment.html, alignment.csv (a row for each tilt) and score.json into an existing folder."""
    verdict = _judge(content)
    table = _tilts(content)
    facts = _facts(content, verdict)
    page = _page(content, verdict, facts, make_movie(content.series, content.alignment))
    write_table(folder / "alignment.csv", table)
    text = json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(folder / "score.json", text + "\n")
    write_text(folder / "alignment.html", page)
    return verdict


def _judge(content: AlignmentContent) -> Verdict:
    score, count = content.score, len(content.series)
    mean = score.mean_holdout()
    flagged, lost = len(content.alignment.flags), int(score.unpredicted.sum())
    return worst(
        [
            Check(
                name="Held-out residual",
                value=mean,
                text=f"{number(mean, 3)} of the signal; random poses {number(score.mean_random(), 3)}",
                word=grade(mean, RESIDUAL),
                rule=f"OK to {RESIDUAL[0]:.2f}, BAD above {RESIDUAL[1]:.2f}; noise raises it too",
                target="prediction",
            ),
            Check(
                name="Flagged tilts",
                value=float(flagged),
                text=f"{flagged} of {count}",
                word=grade(flagged / count, FLAGGED),
                rule=f"OK to {FLAGGED[0]:.0%} of the tilts, BAD above {FLAGGED[1]:.0%}",
                target="thumbnails",
            ),
            Check(
                name="Tilts no better than random",
                value=float(lost),
                text=f"{lost} of {count - flagged}",
                word=grade(lost / count, UNPREDICTED),
                rule=f"OK if none, BAD above {UNPREDICTED[1]:.0%} of the tilts",
                target="prediction",
            ),
        ]
    )


def _tilts(content: AlignmentContent) -> dict[str, npt.NDArray[Any]]:
    a, score = content.alignment, content.score
    n = len(a.angles_deg)
    table: dict[str, npt.NDArray[Any]] = {"image": np.arange(n), "angle_deg": a.angles_deg}
    for k, axis in enumerate(("row", "column")):
        table[f"shift_{axis}_px"] = a.shifts_px[:, k]
        if a.sigma_shifts_px is not None:
            table[f"sigma_shift_{axis}_px"] = a.sigma_shifts_px[:, k]
    if a.rotations_deg is not None:
        table["rotation_deg"] = a.rotations_deg
    table |= {
        "residual": score.residuals,
        "holdout": score.holdout,
        "random": score.random,
        "sigma_random": score.sigma_random,
        "p_random": score.p_random,
    }
    for name, other in list(content.scores.items())[1:]:
        table[f"holdout of {name}"] = other.holdout
    table["used"] = a.kept
    table["reason"] = np.array([a.flags.get(i, "") for i in range(n)], dtype=object)
    return table


def _facts(content: AlignmentContent, verdict: Verdict) -> dict[str, Any]:
    a, series = content.alignment, content.series
    sources = (series.source, a.source)
    facts: dict[str, Any] = plain(
        {
            "schema_version": SCHEMA_VERSION,
            "kind": "cryolith alignment report",
            "cryolith_version": __version__,
            "name": content.name,
            "verdict": {
                "word": verdict.word,
                "meaning": verdict.meaning,
                "checks": [
                    {"name": c.name, "value": c.value, "word": c.word} for c in verdict.checks
                ],
            },
            "n_tilts": len(series),
            "image_shape_px": list(series.images.shape[1:]),
            "pixel_size_nm": None if series.pixel_size is None else series.pixel_size / 10,
            "angle_min_deg": float(a.angles_deg.min()),
            "angle_max_deg": float(a.angles_deg.max()),
            "tilt_axis_deg": a.tilt_axis_deg,
            "sigma_tilt_axis_deg": a.sigma_tilt_axis_deg,
            "axis_offset_px": a.axis_offset_px,
            "sigma_axis_offset_px": a.sigma_axis_offset_px,
            "method": list(a.method),
            "flags": {str(i): reason for i, reason in sorted(a.flags.items())},
            "compared": compared_table(content.scores),
            "warnings": list(dict.fromkeys(line for s in sources for line in s.warnings)),
            "parameters": dict(content.parameters),
            "inputs": [{"name": n, "sha256": s, "bytes": b} for n, s, b in content.inputs],
            "command": content.command,
        }
    )
    return facts


def _page(content: AlignmentContent, verdict: Verdict, facts: dict[str, Any], movie: Movie) -> str:
    a, flags = content.alignment, sorted(content.alignment.flags)
    series, angles = content.series, content.alignment.angles_deg
    unit, scale = ("px", 1.0) if series.pixel_size is None else ("nm", series.pixel_size / 10)
    scale *= max(series.images.shape[1:]) / max(movie.before.shape[1:])
    half = (movie.sinogram_before.shape[1] - 1) / 2 * scale
    before, after = movie.sinogram_before, movie.sinogram_after
    shifts, sigma = a.shifts_px, a.sigma_shifts_px
    paints = {
        "holdout": alignment_figures.holdout(angles, content.score, flags),
        "compared": alignment_figures.compared(angles, content.scores),
        "shifts": figures.shifts(angles, shifts, sigma, flags, "shift (px)"),
        "specimen": alignment_figures.motion_of_specimen(a, flags),
        "axes": alignment_figures.axes(_with_axes(content), series.tilt_axis_deg),
        "sinogram": figures.sinogram(angles[movie.order], before, after, half, unit),
    }
    if a.local is not None and a.local.good.any():
        paints["local"] = alignment_figures.local_shifts(a, a.local)
    context: dict[str, Any] = {
        "facts": facts,
        "verdict": verdict,
        "unknown": NONE,
        "flags": a.flags,
        "figures": {name: Markup(figures.draw(name, paint)) for name, paint in paints.items()},
        "rows": _rows(content),
        "parameters": list(flat(facts["parameters"])),
        **series_context(series, a, movie),
    }
    return environment().get_template("alignment.html.j2").render(context)


def _with_axes(content: AlignmentContent) -> dict[str, Alignment]:
    """The alignments that found an axis: not the one that stands for none."""
    listed = list(content.alignments.items())
    return dict(listed[:-1] if len(listed) > 1 else listed)


def _rows(content: AlignmentContent) -> list[dict[str, Any]]:
    """The table of the page, in order of tilt."""
    a, score = content.alignment, content.score
    sigma = np.full_like(a.shifts_px, np.nan) if a.sigma_shifts_px is None else a.sigma_shifts_px
    return [
        {
            "image": int(i),
            "angle": float(a.angles_deg[i]),
            "shifts": [
                (float(a.shifts_px[i, k]), with_error(float(a.shifts_px[i, k]), float(sigma[i, k])))
                for k in range(2)
            ],
            "values": [
                float(v[i]) for v in (score.residuals, score.holdout, score.random, score.p_random)
            ],
            "reason": a.flags.get(int(i), ""),
        }
        for i in np.argsort(a.angles_deg, kind="stable")
    ]
