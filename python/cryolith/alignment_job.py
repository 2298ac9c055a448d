# SPDX-License-Identifier: BSD-3-Clause
"""The alignment alone, scored and reported, in a folder that `cryolith resume` can go on with."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import files, records
from ._version import __version__
from .align import AlignmentScore, aligned_images, score_alignments, unaligned
from .config import Job
from .datamodel import Alignment, TiltSeries, Volume
from .errors import Cancelled, InputError
from .files.atomic import sha256
from .listener import Listener
from .pipeline import open_run
from .settings import to_mapping
from .stages import Run, carry_out

if TYPE_CHECKING:
    from ._core import CancelToken

__all__ = ["AlignmentResult", "align_job", "read_others", "with_none"]

OURS, BEFORE = "cryolith", "unaligned"


@dataclass(frozen=True, kw_only=True, eq=False)
class AlignmentResult:
    """An alignment (``cryolith``), beside others by the names of their files, and none (``unaligned``)."""

    folder: Path
    series: TiltSeries
    alignments: dict[str, Alignment]


def read_others(series: TiltSeries, paths: Sequence[str | Path]) -> dict[str, Alignment]:
    """Read alignments of these images by any program, by name: that of the file.

    Raises
    ------
    InputError
        Two files of one name.
    FileFormatError
        A file that cannot be read.
    """
    found: dict[str, Alignment] = {}
    known = files.Known.of_series(series)
    for path in paths:
        name = Path(path).name
        if name in (*found, OURS, BEFORE):
            raise InputError(
                f"{path}: found another alignment of the name {name}, expected different names"
            )
        found[name] = files.read_alignment(path, known=known)
    return found


def with_none(alignments: dict[str, Alignment]) -> dict[str, Alignment]:
    """Put no alignment at all, with the axis of the first, beside others."""
    return {**alignments, BEFORE: unaligned(next(iter(alignments.values())))}


def align_job(
    job: Job,
    *,
    others: Sequence[str | Path] = (),
    aligned: bool = False,
    threads: int = 0,
    cancel: CancelToken | None = None,
    listener: Listener | None = None,
    overwrite: bool = False,
) -> AlignmentResult:
    """Align a series into ``job.output``, score the alignment and report it.

    Parameters
    ----------
    job : Job
        ``job.series.path`` and ``job.output`` must be set.
    others : sequence of path
        Alignments of the same series by other programs, to be scored beside it.
    aligned : bool, default False
        Also write the aligned images, ``aligned.mrc``, which takes the memory of the series in float32 twice.
    threads, cancel, listener, overwrite
        As in :func:`cryolith.pipeline.run`.

    Returns
    -------
    AlignmentResult
        The folder holds ``alignment.json``, ``alignment.csv``, ``alignment.html`` and ``score.json``.

    Raises
    ------
    InputError
        As in :func:`cryolith.pipeline.run` and :func:`cryolith.align.score_alignment`.
    FileFormatError
        A file cannot be read.
    """
    with open_run(
        job, threads=threads, cancel=cancel, listener=listener, overwrite=overwrite, whole=False
    ) as state:
        theirs = read_others(state.series, others)  # before the work: a wrong name costs no minutes
        carry_out(state, "align")
        ours = files.read_alignment(state.folder / "alignment.json")
        alignments = with_none({OURS: ours, **theirs})
        inputs = {
            "alignment.json": sha256(state.folder / "alignment.json"),
            state.series_name: state.digest,
        }
        if aligned:
            records.carry_out(
                state.folder,
                "aligned images",
                inputs=inputs,
                parameters=state.facts_of_series(),
                work=lambda: _write_aligned(state, ours),
                listener=state.listener,
            )
        digests = {Path(path).name: sha256(path) for path in others}
        records.carry_out(
            state.folder,
            "score",
            inputs={**inputs, **digests},
            parameters={**to_mapping(job)["align"], **state.facts_of_series()},
            work=lambda: _score(state, alignments, others, digests),
            listener=state.listener,
        )
        return AlignmentResult(folder=state.folder, series=state.series, alignments=alignments)


def _write_aligned(state: Run, ours: Alignment) -> tuple[list[str], dict[str, Any]]:
    images = aligned_images(state.series, ours, threads=state.threads, cancel=state.cancel)
    if state.cancel is not None and state.cancel.cancelled:
        raise Cancelled("cancelled by the caller")
    label = f"cryolith {__version__} aligned; series {state.digest[:16]}"
    stack = Volume(data=images, pixel_size=state.series.pixel_size)
    files.write_volume(state.folder / "aligned.mrc", stack, labels=[label])
    files.write_angle_file(state.folder / "aligned.rawtlt", ours.angles_deg)
    return ["aligned.mrc", "aligned.rawtlt"], {}


def _score(
    state: Run,
    alignments: dict[str, Alignment],
    others: Sequence[str | Path],
    digests: dict[str, str],
) -> tuple[list[str], dict[str, Any]]:
    scores: dict[str, AlignmentScore] = score_alignments(
        state.series,
        alignments,
        threads=state.threads,
        cancel=state.cancel,
        progress=state.on_progress("score"),
    )
    from .report.alignment import AlignmentContent, write_alignment_report  # matplotlib: only now

    series = Path(state.job.series.path)
    inputs = [(series.name, state.digest, series.stat().st_size)]
    inputs += [
        (Path(path).name, digests[Path(path).name], Path(path).stat().st_size) for path in others
    ]
    compared = "".join(f" --compare {shlex.quote(str(path))}" for path in others)
    content = AlignmentContent(
        series=state.series,
        alignments=alignments,
        scores=scores,
        parameters={"align": to_mapping(state.job)["align"]},
        inputs=tuple(inputs),
        command=f"cryolith align {shlex.quote(str(series))} -c job.toml -o NEW_FOLDER{compared}",
    )
    verdict = write_alignment_report(content, state.folder)
    return ["alignment.html", "alignment.csv", "score.json"], {"verdict": verdict.word}
