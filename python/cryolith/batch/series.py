# SPDX-License-Identifier: BSD-3-Clause
"""Which files are the series of a batch, and under which names their results go."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..errors import InputError
from ..files.metadata import stem_of

__all__ = ["find_series", "name_series", "natural"]

SUFFIXES = (".mrc", ".mrcs", ".st", ".ali", ".tif", ".tiff", ".gz", ".bz2")
# Names in the batch's own folder that no series may take.
TAKEN = ("overview.html", "batch.sbatch", "logs")


def find_series(patterns: Sequence[str], out: Path) -> list[Path]:
    """Return the files that patterns and names stand for, absolute, each once, in natural order.

    A name stands for itself, there or not; of what a pattern matches, only images count, and nothing inside ``out``.

    Raises
    ------
    InputError
        Nothing matches.
    """
    own = os.path.abspath(out) + os.sep
    found: dict[str, None] = {}
    for pattern in patterns:
        path = os.path.abspath(pattern)
        if not glob.has_magic(pattern) or os.path.exists(path):
            found[path] = None
            continue
        for match in glob.iglob(path, recursive=True):
            if Path(match).suffix.lower() in SUFFIXES and os.path.isfile(match):
                found[match] = None
    series = sorted((p for p in found if not p.startswith(own)), key=natural)
    if not series:
        raise InputError(
            f"series: found no image file at {', '.join(patterns)}, expected tilt series ({' '.join(SUFFIXES)}); "
            "check the pattern, and put it in quotes"
        )
    return [Path(p) for p in series]


def natural(text: str | os.PathLike[str]) -> list[tuple[int, int | str]]:
    """Return a key that sorts ts_2 before ts_10."""
    parts = re.split(r"([0-9]+)", os.fspath(text))
    return [(0, int(p)) if p.isdecimal() else (1, p) for p in parts]


def name_series(paths: Iterable[Path], known: Mapping[str, str]) -> dict[Path, str]:
    """Give each file a name of its own for the folder of its results.

    Parameters
    ----------
    paths : iterable of Path
        Absolute.
    known : mapping of path to name
        Names given before; they stay, whatever is added.

    Returns
    -------
    dict of Path to str
        Mostly the stem. Where stems are equal, as much of the folders goes before it as tells them apart: a folder
        takes no notice of the case of letters on some systems, so neither do names.
    """
    paths = list(paths)
    names = {p: known[os.fspath(p)] for p in paths if os.fspath(p) in known}
    used = {name.casefold() for name in (*known.values(), *TAKEN)}
    new = [p for p in paths if p not in names]
    stems = Counter(stem_of(p).name.casefold() for p in new)
    for path in new:
        options = _options(path)
        alone = stems[options[0].casefold()] == 1
        name = next(n for n in (options if alone else options[1:]) if n.casefold() not in used)
        used.add(name.casefold())
        names[path] = name
    return names


def _options(path: Path) -> list[str]:
    """Names from short to long; the last, with every folder and suffix, belongs to one file only."""
    stem, parents = stem_of(path).name, [p for p in path.parent.parts if p != path.anchor]
    within = ["-".join((*parents[-n:], stem)) for n in range(1, len(parents) + 1)]
    whole = "-".join((*parents, path.name))
    return [stem, *within, path.name, whole, *(f"{whole}-{n}" for n in range(2, 1000))]
