# SPDX-License-Identifier: BSD-3-Clause
"""Angles of a stack that grows, from whatever tells them so far; what is not told stays unknown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..files.mdoc import Mdoc
from .growing import GrowingFile

__all__ = ["Told", "angles_of"]

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Told:
    """Files beside a stack that tell of its images, as far as they have been written.

    Attributes
    ----------
    lists : tuple of (name, (n,) [deg])
        Angles, one line an image, in the order of belief.
    log : Mdoc or None
    """

    lists: tuple[tuple[str, Float64], ...] = ()
    log: Mdoc | None = None
    log_name: str = ""
    given: tuple[str, Float64] | None = None

    @property
    def sections(self) -> int:
        """How many images the longest of them speaks of."""
        counts = [len(angles) for _, angles in self.lists]
        counts += [len(self.given[1])] if self.given is not None else []
        counts += [len(self.log.sections)] if self.log is not None else []
        return max(counts, default=0)


def angles_of(file: GrowingFile, told: Told) -> tuple[Float64, str]:
    """Return the angles (file.whole,) [deg], NaN where unknown, and where they come from.

    One source tells all of them: given > extended header > .tlt, .rawtlt > .mdoc, as for a finished series. A header
    that holds nothing but zeros tells none, which can be seen from the second image on.
    """
    n = file.whole
    for origin, angles in _sources(file, told):
        some = np.full(n, np.nan)
        count = min(n, len(angles))
        some[:count] = angles[:count]
        some[~(np.abs(some) <= 360)] = np.nan
        # From the second image on a source of zeros only is one that was left unset.
        unset = not np.nan_to_num(some).any()
        if np.isfinite(some).any() and not (unset and (n > 1 or "header" in origin)):
            return some, origin
    return np.full(n, np.nan), ""


def _sources(file: GrowingFile, told: Told) -> Iterable[tuple[str, Float64]]:
    if told.given is not None:
        yield told.given
    if file.extended is not None and file.extended.angles_deg is not None:
        yield f"{file.extended.name} extended header", file.extended.angles_deg
    yield from told.lists
    if told.log is not None:
        log = told.log
        angles = np.full(file.whole, np.nan)
        inside = (log.sections >= 0) & (log.sections < file.whole)
        angles[log.sections[inside]] = log.angles_deg[inside]
        yield told.log_name, angles
