# SPDX-License-Identifier: BSD-3-Clause
"""The stages of the main job: what each reads, does and writes."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import records
from ._version import __version__
from .align import align_needs, align_tilt_series, estimate_background
from .config import Job, absolute
from .datamodel import Alignment, Defects, TiltSeries, Volume
from .detect import detect, detect_needs
from .files import (
    open_volume,
    read_alignment,
    read_volume,
    write_alignment,
    write_labels,
)
from .files.defects import read_defects, write_defects
from .files.growing import BAND, SlabWritten
from .half_volumes import (
    LARGEST_EDGE,
    correlate_halves,
    frame_files,
    half_paths,
    largest_edge,
)
from .limits import array_budget
from .listener import Listener
from .planning import PROGRAM_BYTES, plan_job
from .projection import Geometry
from .reconstruct import ReconstructSettings
from .reconstruct.checkpoint import EVERY, key_of
from .reconstruct.cut import Cut
from .reconstruct.store import Store, Target
from .reconstruct.to_disk import Reconstructed, reconstruct_to_disk
from .settings import to_mapping
from .slab_tasks import SLABS_A_WORKER, SlabJob, spread_slabs

if TYPE_CHECKING:
    from ._core import CancelToken
    from .schedule import Scheduler

__all__ = ["STAGES", "Result", "Run", "carry_out", "read_result", "reconstruct_files"]

STAGES = ("align", "reconstruct", "detect", "report")
REPORT_FILES = (
    "report.html",
    "report.json",
    "layers.csv",
    "voids.csv",
    "particles.csv",
    "tilts.csv",
)
VOLUME = "volume.mrc"
WORK = f"{records.FOLDER}/reconstruct"


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """What a run has found, read back from its folder."""

    folder: Path
    series: TiltSeries
    alignment: Alignment
    volume: Volume
    defects: Defects


@dataclass(frozen=True, kw_only=True)
class Run:
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
    checkpoint_seconds: float = EVERY
    engine: Scheduler | None = None
    """Makes slabs of a weighted back-projection."""
    again: tuple[str, ...] = ()
    """Stages that are done whatever their records say."""

    @property
    def series_name(self) -> str:
        return Path(self.job.series.path).name

    @property
    def room(self) -> int | None:
        """Bytes that a stage may take beside the program itself; None: as many as it likes."""
        return None if self.max_memory is None else max(1, self.max_memory - PROGRAM_BYTES)

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


def carry_out(state: Run, stage: str) -> None:
    """Do a stage, unless its record holds; what it needed to go on after a kill is removed once there is one."""
    records.carry_out(
        state.folder,
        stage,
        inputs=_inputs(state, stage),
        parameters=_parameters(state, stage),
        work=lambda: _WORK[stage](state),
        listener=state.listener,
        asked=stage in state.again,
    )
    if stage == "reconstruct":
        shutil.rmtree(state.folder / WORK, ignore_errors=True)


def _inputs(state: Run, stage: str) -> dict[str, str]:
    made = {
        "align": (),
        "reconstruct": ("alignment.json",),
        "detect": (
            "alignment.json",
            *(state.volumes if state.job.detect.blobs else (VOLUME,)),
        ),
        "report": (
            "alignment.json",
            *state.volumes,
            "labels.mrc",
            "defects.json",
        ),
    }[stage]
    inputs = {name: records.digest_of(state.folder / name) for name in made}
    if stage == "reconstruct":
        frames = dict(zip(("odd frames", "even frames"), frame_files(state.job), strict=False))
        inputs |= {name: records.digest_of(Path(path)) for name, path in frames.items()}
    if stage != "detect":
        inputs[state.series_name] = state.digest
    return inputs


def _parameters(state: Run, stage: str) -> dict[str, Any]:
    job = to_mapping(state.job)
    if stage == "report":
        job.pop("output", None)
        return {**job, **state.facts_of_series(), **_copies(state, stage)}
    if stage == "detect":
        # How the volume was made decides what it shows of an object.
        return {**job["detect"], "reconstruct": job["reconstruct"], **_copies(state, stage)}
    return {**job[stage], **state.facts_of_series(), **_copies(state, stage)}


def _copies(state: Run, stage: str) -> dict[str, int]:
    """Return what is coarser for want of memory, by how much: a result depends on that, not on the limit."""
    binned: dict[str, int] = {}
    if stage == "report" and len(state.volumes) > 1:
        edge = largest_edge(state.room)
        return {} if edge == LARGEST_EDGE else {"halves_edge": edge}
    if stage == "align":
        n, height, width = state.series.images.shape
        needs = align_needs((n, height, width), state.job.align, state.room)
        binned = {"copy_binned": needs.binned}
    elif stage == "detect":
        chosen, shape = state.job.detect, open_volume(state.folder / VOLUME).data.shape
        found = detect_needs(
            (shape[0], shape[1], shape[2]),
            layers=chosen.layers,
            blobs=chosen.blobs,
            max_memory=state.room,
        )
        binned = {"layers_binned": found.layers_binned, "blobs_binned": found.blobs_binned}
    return {name: factor for name, factor in binned.items() if factor > 1}


def _align(state: Run) -> records.Made:
    alignment = align_tilt_series(
        state.series,
        settings=state.job.align,
        max_memory=state.room,
        threads=state.threads,
        cancel=state.cancel,
        progress=state.on_progress("align"),
    )
    write_alignment(state.folder / "alignment.json", alignment)
    return ["alignment.json"], {}


def reconstruct_files(
    out: Path,
    series: TiltSeries,
    alignment: Alignment,
    settings: ReconstructSettings,
    *,
    key: Any,
    work: Path,
    label: str,
    every: float = EVERY,
    max_memory: int | None = None,
    **how: Any,
) -> Reconstructed:
    """Reconstruct into a file, and into its halves' beside it, with each tilt's background level removed.

    Goes on from what an earlier call with the same ``key`` has left in the folder ``work``, which stays until the
    caller removes it. ``how`` takes ``background``, ``frames``, ``threads``, ``cancel``, ``progress`` and ``spread``.
    """
    return reconstruct_to_disk(
        series,
        alignment,
        settings,
        paths=(out, *half_paths(out)) if settings.halves else (out,),
        store=Store(work, key_of([key, __version__]), labels=[label], every=every),
        max_memory=array_budget(max_memory),
        **how,
    )


def _reconstruct(state: Run) -> records.Made:
    if "reconstruct" in state.again:
        shutil.rmtree(state.folder / WORK, ignore_errors=True)
    levels = estimate_background(state.series.images, max_memory=state.max_memory)
    made = reconstruct_files(
        state.folder / VOLUME,
        state.series,
        read_alignment(state.folder / "alignment.json"),
        state.job.reconstruct,
        key=[_inputs(state, "reconstruct"), _parameters(state, "reconstruct")],
        work=state.folder / WORK,
        label=f"cryolith {__version__} {state.job.reconstruct.method}; series {state.digest[:16]}",
        every=state.checkpoint_seconds,
        max_memory=state.max_memory,
        frames=state.frames,
        threads=state.threads,
        cancel=state.cancel,
        progress=state.on_progress("reconstruct"),
        background=levels,
        spread=None if state.engine is None else _Workers(state, levels),
    )
    digests = {path.name: digest for path, digest in made.files.items()}
    return digests, {"convergence": list(made.history)}


@dataclass(frozen=True, eq=False)
class _Workers:
    """The workers of a run's scheduler, for :func:`reconstruct_to_disk`."""

    state: Run
    levels: npt.NDArray[np.float64]

    def cut(self, planned: Cut, shape: tuple[int, int, int]) -> Cut:
        """Return slabs that each worker has a few of, no larger than what is planned."""
        engine = self._engine()
        share = -(-shape[1] // (max(1, engine.workers) * SLABS_A_WORKER))
        rows = min(planned.rows or shape[1], -(-share // BAND) * BAND)
        return replace(planned, rows=rows, layers=planned.layers or 1)

    def slabs(
        self, index: int, target: Target, cut: Cut, missing: list[tuple[int, int]]
    ) -> Iterator[SlabWritten]:
        """Yield slabs as the workers have written them."""
        engine, folder = self._engine(), self.state.folder.absolute()
        job = SlabJob(
            job=replace(self.state.job, series=absolute(self.state.job.series)),
            alignment=str(folder / "alignment.json"),
            background=tuple(map(float, self.levels)),
            index=index,
            work=target.work,
            cut=replace(cut, folder=None),
            threads=engine.threads,
        )
        return spread_slabs(engine, job, missing)

    def _engine(self) -> Scheduler:
        if self.state.engine is None:
            raise AssertionError("made for a run with a scheduler only")
        return self.state.engine


def _detect(state: Run) -> records.Made:
    read = _reader(state)
    volume = read(state.folder / VOLUME)
    halved = state.job.detect.blobs and len(state.volumes) > 1
    halves = [read(half).data for half in half_paths(state.folder / VOLUME)] if halved else []
    alignment = read_alignment(state.folder / "alignment.json")
    height, width = state.series.images.shape[1:]
    binning = state.job.reconstruct.binning
    found = detect(
        volume,
        state.job.detect,
        halves=(halves[0], halves[1]) if halved else None,
        geometry=Geometry.from_alignment(alignment).scaled(binning, (height, width)),
        image_shape=(height // binning, width // binning),
        reconstruction=state.job.reconstruct,
        max_memory=state.room,
        workspace=state.folder,
        threads=state.threads,
        cancel=state.cancel,
        progress=state.on_progress("detect"),
    )
    if found.labels is None:
        raise AssertionError("detect returns labels")
    labels = Volume(data=found.labels, pixel_size=volume.pixel_size, origin=volume.origin)
    write_labels(state.folder / "labels.mrc", labels, texts=[f"cryolith {__version__} labels"])
    made = replace(found.provenance, inputs=_inputs(state, "detect"))
    write_defects(state.folder / "defects.json", replace(found, provenance=made))
    return ["labels.mrc", "defects.json"], {}


def _report(state: Run) -> records.Made:
    from .report import (  # matplotlib: only now, so that a run starts at once
        ReportContent,
        write_report,
    )

    result, edge = read_result(state), largest_edge(state.room)
    facts = records.read_record(state.folder, "reconstruct")
    job = to_mapping(state.job)
    job.pop("output", None)
    content = ReportContent(
        series=result.series,
        alignment=result.alignment,
        volume=result.volume,
        defects=result.defects,
        convergence=tuple(facts.facts.get("convergence", ())) if facts else (),
        halves=correlate_halves(state.folder / VOLUME, edge) if len(state.volumes) > 1 else None,
        parameters=job,
        inputs=((state.series_name, state.digest, Path(state.job.series.path).stat().st_size),),
        command=f"cryolith run {shlex.quote(state.job.series.path)} -c job.toml -o NEW_FOLDER",
        plan=plan_job(state.job, state.series).by_stage(),
        version=__version__,
    )
    verdict = write_report(content, state.folder, progress=state.on_progress("report"))
    files = [*REPORT_FILES, *(f"{name}.csv" for name in result.defects.tables)]
    files += ["fsc.csv"] if content.halves is not None else []
    return files, {"verdict": verdict.word}


_WORK: Mapping[str, Callable[[Run], records.Made]] = {
    "align": _align,
    "reconstruct": _reconstruct,
    "detect": _detect,
    "report": _report,
}


def _reader(state: Run) -> Callable[[Path], Volume]:
    """Return what volumes are read with: as maps, or slice by slice where memory is limited."""
    return read_volume if state.max_memory is None else open_volume


def read_result(state: Run) -> Result:
    """Read everything back, so that a resumed run continues from the same bytes as an undisturbed one."""
    folder, read = state.folder, _reader(state)
    labels = read(folder / "labels.mrc").data
    return Result(
        folder=folder,
        series=state.series,
        alignment=read_alignment(folder / "alignment.json"),
        volume=read(folder / VOLUME),
        defects=read_defects(folder / "defects.json", labels),
    )
