# SPDX-License-Identifier: BSD-3-Clause
"""The main job: read, align, reconstruct, detect, report; each stage recorded, so that any may be resumed."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import records
from ._version import __version__
from .align import align_tilt_series, estimate_background
from .config import Job, job_from_mapping, job_to_toml, read_toml
from .datamodel import Alignment, Defects, TiltSeries, Volume
from .detect import detect
from .errors import Cancelled, InputError
from .files import (
    read_alignment,
    read_tilt_series,
    read_volume,
    write_alignment,
    write_volume,
)
from .files.atomic import sha256, write_text
from .files.defects import read_defects, write_defects
from .half_volumes import (
    correlate_halves,
    frame_files,
    half_paths,
    read_frames,
    write_halves,
)
from .listener import Listener
from .planning import Plan, plan_job
from .reconstruct import Reconstruction, ReconstructSettings, check_halves, reconstruct
from .settings import to_mapping

if TYPE_CHECKING:
    from ._core import CancelToken

__all__ = ["STAGES", "Listener", "Result", "plan", "resume", "run"]

STAGES = ("align", "reconstruct", "detect", "report")
JOB_FILE = "job.toml"
REPORT_FILES = (
    "report.html",
    "report.json",
    "layers.csv",
    "voids.csv",
    "particles.csv",
    "tilts.csv",
)
VOLUME = "volume.mrc"


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """What a run has found, read back from its folder."""

    folder: Path
    series: TiltSeries
    alignment: Alignment
    volume: Volume
    defects: Defects


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One run in progress: what every stage needs."""

    folder: Path
    job: Job
    series: TiltSeries
    frames: tuple[TiltSeries, TiltSeries] | None
    digest: str
    threads: int
    max_memory: int | None
    cancel: CancelToken | None
    listener: Listener

    @property
    def series_name(self) -> str:
        return Path(self.job.series.path).name

    @property
    def volumes(self) -> tuple[str, ...]:
        """The files of the volume, and of its halves where the job asks for them."""
        halves = half_paths(Path(VOLUME)) if self.job.reconstruct.halves else ()
        return (VOLUME, *map(str, halves))

    def facts_of_series(self) -> dict[str, Any]:
        """What the files beside the series decide; a change of theirs is a change of parameters."""
        s = self.series
        return {
            "angles_deg": s.angles_deg.tolist(),
            "pixel_size": s.pixel_size,
            "tilt_axis_deg": s.tilt_axis_deg,
        }

    def on_progress(self, stage: str) -> Callable[[float], None]:
        return lambda fraction: self.listener.progress(stage, fraction)


def plan(job: Job) -> Plan:
    """Return what a job would do: stages, shapes, memory, disk and time; reads headers only."""
    return plan_job(job, _read(job))


def run(
    job: Job,
    *,
    threads: int = 0,
    max_memory: int | None = None,
    cancel: CancelToken | None = None,
    listener: Listener | None = None,
    overwrite: bool = False,
) -> Result:
    """Run a job into ``job.output``; stages whose record holds are skipped, so this also resumes.

    Parameters
    ----------
    job : Job
        ``job.series.path`` and ``job.output`` must be set.
    threads : int, default 0
        0 uses what the process may use. Results do not depend on it.
    max_memory : int [bytes], optional
        Refuse before the start, or tile, when the plan needs more.
    overwrite : bool, default False
        Allow a folder that holds the results of another series.

    Raises
    ------
    InputError
        The folder is not empty and not a run of this series, or is in use.
    FileFormatError
        The series cannot be read.
    """
    if not job.series.path or not job.output:
        raise InputError("job: series.path and output must be set before it can run")
    folder, listener = Path(job.output), listener or Listener()
    _refuse_foreign(folder, job, overwrite)
    # A series that cannot be read leaves no folder behind: it would refuse the right series later.
    series = _read(job)
    frames = read_frames(job, series)
    check_halves(series, frames, job.reconstruct)
    plan_job(job, series).require_fits(max_memory, folder)
    with records.lock(folder):
        records.sweep_partials(folder)
        _publish_job(folder, job)
        for line in series.source.warnings:
            listener.message(f"warning: {line}")
        state = _Run(
            folder=folder,
            job=job,
            series=series,
            frames=frames,
            digest=sha256(job.series.path),
            threads=threads,
            max_memory=max_memory,
            cancel=cancel,
            listener=listener,
        )
        for stage in STAGES:
            _execute(state, stage)
        return _result(state)


def resume(folder: str | Path, **how: Any) -> Result:
    """Go on with the run in ``folder`` from the first stage whose record does not hold.

    ``how`` takes the keywords of :func:`run`.
    """
    job_file = Path(folder) / JOB_FILE
    if not job_file.exists():
        raise InputError(
            f"{folder}: found no {JOB_FILE}, expected the folder of a run; start one with `cryolith run`"
        )
    job = job_from_mapping({**read_toml(job_file), "output": str(folder)})
    series = Path(job.series.path)
    if not series.is_absolute() and not series.exists():
        raise InputError(
            f"{folder}: found no {series} from here, expected the series of this run; resume where the run was "
            f"started, or use `cryolith run` with the new path, -c {job_file}, -o {folder} and --overwrite"
        )
    return run(job, **how)


def rewrite_report(folder: str | Path) -> Result:
    """Write the report of a run again; stages whose record no longer holds are run first."""
    (Path(folder) / records.FOLDER / "report.json").unlink(missing_ok=True)
    return resume(folder)


def _read(job: Job) -> TiltSeries:
    s = job.series
    return read_tilt_series(
        s.path, angles=s.angles, pixel_size=s.pixel_size, tilt_axis_deg=s.tilt_axis
    )


def _refuse_foreign(folder: Path, job: Job, overwrite: bool) -> None:
    """A folder may be new, empty, or a run of the same series; nothing else is written over."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: found a file, expected a folder for the results; name another")
    if overwrite or not folder.exists():
        return
    entries = [p.name for p in folder.iterdir() if p.name != records.FOLDER]
    if JOB_FILE in entries:
        other = read_toml(folder / JOB_FILE).get("series", {}).get("path")
        if other != job.series.path:
            raise InputError(
                f"{folder}: holds the results of {other}; choose another folder or pass --overwrite"
            )
    elif [name for name in entries if not name.endswith(".partial")]:
        raise InputError(
            f"{folder}: is not empty and not a cryolith run; choose another folder or pass --overwrite"
        )


def _publish_job(folder: Path, job: Job) -> None:
    text = job_to_toml(job)
    path = folder / JOB_FILE
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def _execute(state: _Run, stage: str) -> None:
    inputs, parameters = _inputs(state, stage), _parameters(state, stage)
    why = records.why_stale(state.folder, stage, inputs, parameters)
    if not why:
        state.listener.skipped(stage)
        return
    state.listener.started(stage, why)
    start = time.monotonic()
    outputs, facts = _WORK[stage](state)
    records.write_record(
        state.folder,
        records.Record(
            stage=stage,
            inputs=inputs,
            parameters=parameters,
            outputs={name: sha256(state.folder / name) for name in outputs},
            facts=facts,
        ),
    )
    state.listener.finished(stage, time.monotonic() - start, _peak_bytes())


def _inputs(state: _Run, stage: str) -> dict[str, str]:
    made = {
        "align": (),
        "reconstruct": ("alignment.json",),
        "detect": (VOLUME,),
        "report": (
            "alignment.json",
            *state.volumes,
            "labels.mrc",
            "defects.json",
        ),
    }[stage]
    inputs = {name: sha256(state.folder / name) for name in made}
    if stage == "reconstruct":
        frames = dict(zip(("odd frames", "even frames"), frame_files(state.job), strict=False))
        inputs |= {name: sha256(path) for name, path in frames.items()}
    if stage != "detect":
        inputs[state.series_name] = state.digest
    return inputs


def _parameters(state: _Run, stage: str) -> dict[str, Any]:
    job = to_mapping(state.job)
    if stage == "report":
        job.pop("output", None)
        return {**job, **state.facts_of_series()}
    if stage == "detect":
        return dict(job["detect"])
    return {**job[stage], **state.facts_of_series()}


def _align(state: _Run) -> tuple[list[str], dict[str, Any]]:
    alignment = align_tilt_series(
        state.series,
        settings=state.job.align,
        threads=state.threads,
        cancel=state.cancel,
        progress=state.on_progress("align"),
    )
    write_alignment(state.folder / "alignment.json", alignment)
    return ["alignment.json"], {}


def reconstruct_series(
    series: TiltSeries, alignment: Alignment, settings: ReconstructSettings, **how: Any
) -> tuple[Volume, list[float]]:
    """Reconstruct with each tilt's background level removed; return the volume and the convergence.

    ``how`` takes ``frames``, ``threads``, ``max_memory``, ``workspace``, ``cancel`` and ``progress``.
    """
    background = estimate_background(series.images)
    volume = reconstruct(series, alignment, settings, background=background, **how)
    if settings.halves and volume.halves is None:
        raise Cancelled("cancelled by the caller")
    data = volume.data
    if not isinstance(data, Reconstruction):
        return volume, []
    if (
        data.stopped == "cancelled"
    ):  # a file is whole or absent: part of the iterations is for callers with arrays
        raise Cancelled("cancelled by the caller")
    return volume, list(data.history)


def _reconstruct(state: _Run) -> tuple[list[str], dict[str, Any]]:
    volume, convergence = reconstruct_series(
        state.series,
        read_alignment(state.folder / "alignment.json"),
        state.job.reconstruct,
        frames=state.frames,
        threads=state.threads,
        max_memory=state.max_memory,
        workspace=state.folder,
        cancel=state.cancel,
        progress=state.on_progress("reconstruct"),
    )
    label = f"cryolith {__version__} {state.job.reconstruct.method}; series {state.digest[:16]}"
    write_volume(state.folder / VOLUME, volume, labels=[label])
    if volume.halves is not None:
        write_halves(state.folder / VOLUME, volume, label)
    return list(state.volumes), {"convergence": convergence}


def _detect(state: _Run) -> tuple[list[str], dict[str, Any]]:
    volume = read_volume(state.folder / VOLUME)
    found = detect(
        volume,
        state.job.detect,
        threads=state.threads,
        cancel=state.cancel,
        progress=state.on_progress("detect"),
    )
    if found.labels is None:
        raise AssertionError("detect returns labels")
    labels = Volume(data=found.labels, pixel_size=volume.pixel_size, origin=volume.origin)
    write_volume(state.folder / "labels.mrc", labels, labels=[f"cryolith {__version__} labels"])
    write_defects(state.folder / "defects.json", found)
    return ["labels.mrc", "defects.json"], {}


def _report(state: _Run) -> tuple[list[str], dict[str, Any]]:
    from .report import (  # matplotlib: only now, so that a run starts at once
        ReportContent,
        write_report,
    )

    result = _result(state)
    facts = records.read_record(state.folder, "reconstruct")
    job = to_mapping(state.job)
    job.pop("output", None)
    content = ReportContent(
        series=result.series,
        alignment=result.alignment,
        volume=result.volume,
        defects=result.defects,
        convergence=tuple(facts.facts.get("convergence", ())) if facts else (),
        halves=correlate_halves(state.folder / VOLUME) if len(state.volumes) > 1 else None,
        parameters=job,
        inputs=((state.series_name, state.digest, Path(state.job.series.path).stat().st_size),),
        command=f"cryolith run {_quoted(state.job.series.path)} -c job.toml -o NEW_FOLDER",
        plan=plan_job(state.job, state.series).by_stage(),
        version=__version__,
    )
    verdict = write_report(content, state.folder, progress=state.on_progress("report"))
    files = [*REPORT_FILES, *(["fsc.csv"] if content.halves is not None else [])]
    return files, {"verdict": verdict.word}


_WORK: Mapping[str, Callable[[_Run], tuple[list[str], dict[str, Any]]]] = {
    "align": _align,
    "reconstruct": _reconstruct,
    "detect": _detect,
    "report": _report,
}


def _result(state: _Run) -> Result:
    """Read everything back, so that a resumed run continues from the same bytes as an undisturbed one."""
    folder = state.folder
    labels = read_volume(folder / "labels.mrc").data
    return Result(
        folder=folder,
        series=state.series,
        alignment=read_alignment(folder / "alignment.json"),
        volume=read_volume(folder / VOLUME),
        defects=read_defects(folder / "defects.json", labels),
    )


def _quoted(path: str) -> str:
    return shlex.quote(path)


def _peak_bytes() -> int:
    try:
        import resource
    except ImportError:
        return 0
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024
