# SPDX-License-Identifier: BSD-3-Clause
"""Whether memory and disk hold a job, asked before it starts; and which setting would do where they do not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InputError
from .limits import MemoryLimit
from .planning import Plan, free_bytes, plan_job, size_words
from .reconstruct.settings import Method
from .units import format_length

if TYPE_CHECKING:
    from .config import Job
    from .datamodel import TiltSeries

__all__ = ["fitting_plan", "require_fits"]

_BINNINGS = (2, 3, 4, 6, 8)
_LIGHTER: tuple[Method, ...] = ("wbp",)
_THINNEST = 16  # voxels: less is no volume
_STEPS = 7  # of a bisection: to one part in a hundred

Fits = Callable[["Job"], bool]


def fitting_plan(job: Job, series: TiltSeries, limit: MemoryLimit) -> Plan | None:
    """Return the plan of a job: uncut if that fits, else cut to the limit; None where nothing does."""
    whole = plan_job(job, series)
    if whole.bytes_memory <= limit.bytes:
        return whole
    try:
        cut = plan_job(job, series, max_memory=limit.bytes)
    except InputError:
        return None
    return cut if cut.bytes_memory <= limit.bytes else None


def require_fits(job: Job, series: TiltSeries, limit: MemoryLimit) -> Plan:
    """Return the plan of a job that its memory and disk hold.

    Raises
    ------
    InputError
        They do not; names the settings that would do, the smallest change first.
    """
    made = fitting_plan(job, series, limit)
    folder = Path(job.output)
    if made is None:
        need = _least(job, series, limit)
        words = [_more_memory(need, limit)] if need is not None else []
        words += _changes(job, series, lambda j: fitting_plan(j, series, limit) is not None)
        needs = f"needs at least {size_words(need)}" if need is not None else "needs more"
        raise InputError(
            f"memory: the job {needs}, {limit.source} allows {size_words(limit.bytes)}; {_or(words)}"
        )
    free = free_bytes(folder)
    if made.bytes_disk > free:
        words = [f"make {size_words(made.bytes_disk - free)} of room or choose another disk"]
        words += _changes(job, series, lambda j: _disk(j, series, limit) <= free)
        raise InputError(
            f"{folder}: the job writes {size_words(made.bytes_disk)}, free are {size_words(free)}; {_or(words)}"
        )
    return made


def _or(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _more_memory(need: int, limit: MemoryLimit) -> str:
    if limit.source == "--max-memory":
        return f"allow more (--max-memory '{need / 1e9:.3g} GB')"
    return f"raise that limit to {need / 1e9:.3g} GB or take a machine that has it"


def _disk(job: Job, series: TiltSeries, limit: MemoryLimit) -> float:
    made = fitting_plan(job, series, limit)
    return float("inf") if made is None else made.bytes_disk


def _least(job: Job, series: TiltSeries, limit: MemoryLimit) -> int | None:
    """The least memory that does, to one part in a hundred."""
    low, high = limit.bytes, plan_job(job, series).bytes_memory
    if high <= low:
        return None
    while high - low > max(high // 100, 1_000_000):
        middle = (low + high) // 2
        if fitting_plan(job, series, MemoryLimit(middle, limit.source)) is not None:
            high = middle
        else:
            low = middle
    return high


def _changes(job: Job, series: TiltSeries, fits: Fits) -> list[str]:
    """What to change of the job, each alone, in the order of how little that changes of the result."""
    return [
        words
        for words in (
            _thinner(job, series, fits),
            *_first(_binned(job), fits),
            *_first(_lighter(job), fits),
        )
        if words
    ] or ["no thickness, binning or method alone would do"]


def _with(job: Job, **changes: object) -> Job:
    return replace(job, reconstruct=replace(job.reconstruct, **changes))  # type: ignore[arg-type]


def _first(candidates: Iterator[tuple[str, Job]], fits: Fits) -> list[str]:
    return next(([words] for words, changed in candidates if fits(changed)), [])


def _binned(job: Job) -> Iterator[tuple[str, Job]]:
    for binning in _BINNINGS:
        if binning > job.reconstruct.binning:
            yield f"--binning {binning}", _with(job, binning=binning)


def _lighter(job: Job) -> Iterator[tuple[str, Job]]:
    for method in _LIGHTER:
        if method != job.reconstruct.method:
            yield f"--method {method}", _with(job, method=method)


def _thinner(job: Job, series: TiltSeries, fits: Fits) -> str:
    """The largest thickness that fits, to one part in a hundred."""
    pixel = series.pixel_size
    if pixel is None:
        return ""
    edge = pixel * job.reconstruct.binning
    low, high = _THINNEST * edge, plan_job(job, series).volume_shape[0] * edge
    if low >= high or not fits(_with(job, thickness=low)):
        return ""
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(_with(job, thickness=middle)) else (low, middle)
    step = 10.0 ** (math.floor(math.log10(low)) - 2)
    return f"--thickness '{format_length(math.floor(low / step) * step)}'"
