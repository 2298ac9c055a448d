# SPDX-License-Identifier: BSD-3-Clause
"""The verdict: OK, LOOK or BAD from three numbers whose rules stand beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .content import ReportContent
from .words import number

__all__ = ["FLAGGED", "RESIDUAL", "Check", "Verdict", "grade", "judge", "worst"]

WORDS = ("OK", "LOOK", "BAD")
MEANING = {
    "OK": "No number asks for a second look.",
    "LOOK": "Usable, but look at the marked numbers before you rely on it.",
    "BAD": "Do not rely on this result before the marked numbers are understood.",
}

# Held-out residual of the shipped needle series (77 tilts, 6.72 nm pixels): aligned 0.024, then with
# shifts off by 0.5 px rms 0.08, 1 px 0.17, 2 px 0.21, not aligned 0.39. An axis wrong by 10 deg shows
# little (0.04). Noise counts as well: added as strong as the signal, 0.86.
RESIDUAL = (0.15, 0.35)
# A tilt in twenty lost widens a gap; one in five lost is a series with another geometry than
# planned.
FLAGGED = (0.05, 0.20)
# A size known to a tenth answers most questions; worse than a third, "twice as thick" is no longer
# sure.
SIZE_ERROR = (0.10, 0.33)
# Range of tilts: elongation along the beam is 1.3 at 140 deg, 1.55 at 120 deg, 2.4 at 80 deg
# (Radermacher 1988, J. Electron Microsc. Tech. 9, 359).
RANGE_DEG = (120.0, 80.0)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One number that decides, what it says, and the rule that says so.

    ``value`` is None where the number is not known; ``word`` is "OK", "LOOK" or "BAD".
    """

    name: str
    value: float | None
    text: str
    word: str
    rule: str
    target: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The worst word of the checks, and the checks."""

    word: str
    meaning: str
    checks: tuple[Check, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """The checks that are not OK, in words."""
        return tuple(f"{c.name}: {c.text}" for c in self.checks if c.word != "OK")


def judge(content: ReportContent) -> Verdict:
    """Return the verdict on a result.

    The three numbers are the held-out residual (mean of \\|measured - predicted\\| /
    \\|measured\\| over tilts that the reconstruction has not seen), the share of flagged tilts,
    and the median relative error of the measured sizes (of layers, else voids, else particles);
    without measured sizes the range of tilts takes its place. A volume with non-finite voxels is
    BAD whatever they say.
    """
    checks = [_residual(content), _flagged(content), _sizes(content) or _range(content)]
    planes = (content.volume.data[z] for z in range(len(content.volume.data)))
    bad_voxels = sum(int(np.count_nonzero(~np.isfinite(plane))) for plane in planes)
    if bad_voxels:
        checks.append(
            Check(
                name="Non-finite voxels",
                value=float(bad_voxels),
                text=f"{bad_voxels} of {content.volume.data.size} voxels are NaN or infinite",
                word="BAD",
                rule="every voxel must be finite",
                target="slices",
            )
        )
    return worst(checks)


def worst(checks: list[Check]) -> Verdict:
    """Return the verdict of checks: their worst word."""
    word = max((c.word for c in checks), key=WORDS.index)
    return Verdict(word=word, meaning=MEANING[word], checks=tuple(checks))


def grade(value: float, limits: tuple[float, float]) -> str:
    """Grade by two limits; they rise where small is good and fall where large is."""
    sign = 1.0 if limits[0] < limits[1] else -1.0
    return WORDS[sum(sign * value > sign * limit for limit in limits)]


def _residual(content: ReportContent) -> Check:
    value = float(content.alignment.holdout_residual)
    rule = f"OK to {RESIDUAL[0]:.2f}, BAD above {RESIDUAL[1]:.2f}; noise raises it too"
    name = "Held-out residual"
    if not math.isfinite(value):
        return Check(
            name=name, value=None, text="not computed", word="LOOK", rule=rule, target="alignment"
        )
    text = f"{number(value, 3)} of the signal"
    return Check(
        name=name,
        value=value,
        text=text,
        word=grade(value, RESIDUAL),
        rule=rule,
        target="alignment",
    )


def _flagged(content: ReportContent) -> Check:
    flagged, count = len(content.alignment.flags), len(content.series)
    return Check(
        name="Flagged tilts",
        value=float(flagged),
        text=f"{flagged} of {count}",
        word=grade(flagged / count, FLAGGED),
        rule=f"OK to {FLAGGED[0]:.0%} of the tilts, BAD above {FLAGGED[1]:.0%}",
        target="thumbnails",
    )


SIZES = (
    ("layers", "layer thickness", ("thickness_nm", "thickness_px")),
    ("voids", "void volume", ("volume_nm3", "volume_px3", "diameter_nm", "diameter_px")),
    ("particles", "particle volume", ("volume_nm3", "volume_px3", "diameter_nm", "diameter_px")),
)


def _sizes(content: ReportContent) -> Check | None:
    for table, what, columns in SIZES:
        error = _relative_error(getattr(content.defects, table), columns)
        if error is not None:
            return Check(
                name="Size error (median)",
                value=error,
                text=f"{100 * error:.2g} % of {what}",
                word=grade(error, SIZE_ERROR),
                rule=f"OK to {SIZE_ERROR[0]:.0%}, BAD above {SIZE_ERROR[1]:.0%}",
                target="tables",
            )
    return None


def _relative_error(table: Mapping[str, Any], columns: tuple[str, ...]) -> float | None:
    for column in columns:
        if column in table and f"sigma_{column}" in table:
            size = np.asarray(table[column], float)
            sigma = np.asarray(table[f"sigma_{column}"], float)
            good = np.isfinite(size) & np.isfinite(sigma) & (size > 0)
            if good.any():
                return float(np.median(sigma[good] / size[good]))
    return None


def _range(content: ReportContent) -> Check:
    angles = content.alignment.angles_deg[content.alignment.kept]
    value = float(np.ptp(angles)) if len(angles) else 0.0
    return Check(
        name="Range of tilts",
        value=value,
        text=f"{number(value, 3)}° covered",
        word=grade(value, RANGE_DEG),
        rule=f"no size was measured; OK from {RANGE_DEG[0]:.0f}°, BAD below {RANGE_DEG[1]:.0f}°",
        target="power",
    )
