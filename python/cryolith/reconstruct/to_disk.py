# SPDX-License-Identifier: BSD-3-Clause
"""The reconstruction stage from a file to a file: in bounded memory, and to be gone on with after a kill."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .. import _core
from .._fields import Field, MemoryField, Shape3, scratch_field
from ..datamodel import Alignment, TiltSeries
from ..errors import Cancelled
from ..files.growing import SlabWritten
from ..projection.operators import ProjectorPair, make_plan
from .cut import Cut, streamed_rows
from .filters import Window
from .halves import in_turn
from .inputs import Float32, Problem, as_problem
from .iterate import Reconstruction
from .prepare import Prepared, prepare
from .settings import ReconstructSettings
from .stage import SHARES, solver_of, told_iterations
from .store import Store, Target
from .wbp_slabs import WbpSlabs

__all__ = ["Reconstructed", "SlabWork", "Spread", "reconstruct_to_disk", "works_of"]


class Spread(Protocol):
    """Has slabs of a volume made by other processes."""

    def cut(self, planned: Cut, shape: Shape3) -> Cut:
        """Return how the work is cut there."""

    def slabs(
        self, index: int, target: Target, cut: Cut, missing: list[tuple[int, int]]
    ) -> Iterator[SlabWritten]:
        """Yield slabs as they are written; ``index`` 0 is the volume of all data, 1 and 2 are its halves."""


@dataclass(frozen=True, kw_only=True)
class Reconstructed:
    """What was written.

    Attributes
    ----------
    files : dict of path to str
        The volume, and its halves where there are some, with their digests (:func:`.volume_digest`).
    shape : (nz, ny, nx)
    pixel_size : float or None [angstrom]
    history : tuple of float
        |b - Ax| / |b| of an iterative method, as :class:`Reconstruction` has it.
    facts : dict
    """

    files: dict[Path, str]
    shape: Shape3
    pixel_size: float | None
    history: tuple[float, ...]
    facts: dict[str, str]


def reconstruct_to_disk(
    series: TiltSeries,
    alignment: Alignment,
    settings: ReconstructSettings,
    *,
    paths: tuple[Path, ...],
    store: Store,
    frames: tuple[TiltSeries, TiltSeries] | None = None,
    background: npt.ArrayLike | None = None,
    max_memory: int | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
    progress: Callable[[float], None] | None = None,
    spread: Spread | None = None,
) -> Reconstructed:
    """Reconstruct a series into files, which have the bytes that :func:`reconstruct` and ``write_volume`` give.

    Slabs of ``wbp`` are written as they are made; iterative methods save their state every few minutes. A run that was
    killed, and begins again with the same store, goes on from what verifies.

    Parameters
    ----------
    paths : tuple of path
        Where the volume goes; with ``settings.halves`` also where both halves go.
    store : Store
        Its key must tell all that the result depends on. The caller clears it once it has noted the results.
    spread : Spread, optional
        Has slabs of ``wbp`` made elsewhere.
    series, alignment, settings, frames, background, max_memory, threads, cancel, progress
        As in :func:`reconstruct`.

    Raises
    ------
    InputError
        As :func:`reconstruct`.
    FileFormatError
        The disk is too full; the store stays.
    Cancelled
        ``cancel`` was set; the store stays.
    """
    ready = prepare(
        series,
        alignment,
        settings,
        frames=frames,
        background=background,
        max_memory=max_memory,
        workspace=store.folder,
        threads=threads,
        cancel=cancel,
        streamed=True,
    )
    targets = [store.target(path, ready.shape, pixel_size=ready.pixel_size) for path in paths]
    tell = in_turn(progress, SHARES[settings.halves])
    works = works_of(ready)
    for k, (work, target, told) in enumerate(zip(works, targets, tell, strict=True)):
        solve = _Solve(ready, work, target, told)
        if spread is not None and settings.method == "wbp":
            solve.spread(spread, k)
        else:
            solve.run()
    facts = dict(ready.facts)
    first = targets[0].facts or {}
    if "iterations" in first:
        facts["iterations"] = told_iterations(first["iterations"], first["stopped"], settings)
    if settings.halves is not None:
        facts["halves"] = f"by {settings.halves}"
    return Reconstructed(
        files={target.final: target.publish() for target in targets},
        shape=ready.shape,
        pixel_size=ready.pixel_size,
        history=tuple(first.get("history", ())),
        facts=facts,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Work:
    """One volume: what it is solved from, the solver's options, and a factor to the result."""

    problem: Problem
    options: Mapping[str, Any]
    factor: float = 1.0

    def problem_plan(self) -> ProjectorPair:
        """Return the projector pair's plan."""
        problem = self.problem
        return make_plan(problem.geometry, problem.shape, problem.images.shape[1:])

    def scaled(self, rows: Float32) -> Float32:
        """Multiply rows by the factor, in place."""
        if self.factor != 1.0:
            rows *= np.float32(self.factor)
        return rows


class SlabWork:
    """Slabs of a weighted back-projection, from images that are put on disk first."""

    def __init__(self, ready: Prepared, work: Work) -> None:
        s, self._work = ready.settings, work
        window = Window(filter=s.filter, n_iter=s.iterations, cutoff=s.cutoff, order=s.order)
        self._slabs = WbpSlabs(work.problem, window, ready.plan.cut)
        self._how = work.options["threads"], work.options["cancel"]
        self._slabs.take_images(*self._how)

    def rows(self, first: int, last: int) -> Float32:
        """Return rows ``first`` to ``last`` as they are to be written."""
        part = self._slabs.part(first, last)
        return self._work.scaled(self._slabs.rows(part, *self._how))


def works_of(ready: Prepared) -> list[Work]:
    """Return the volume of all data, and its halves where the settings ask for them."""
    whole = as_problem(
        ready.images, ready.geometry, thickness=None, shape=ready.shape, background=ready.levels
    )
    works = [Work(problem=whole, options=ready.options)]
    if ready.divided is not None:
        linear = ready.settings.method == "wbp"
        # As in halves.py: a linear solver gives tilts their weights among all, so that half of them give half.
        factor = 1.0 if linear and ready.divided.split != "frames" else 0.5
        works += [
            Work(problem=half, options=ready.divided.options(half, ready.options), factor=factor)
            for half in ready.divided.halves
        ]
    return works


class _Solve:
    """One volume, from images to its rows on disk."""

    def __init__(
        self,
        ready: Prepared,
        work: Work,
        target: Target,
        progress: Callable[[float], None] | None,
    ) -> None:
        self.ready, self.settings, self.work, self.target = ready, ready.settings, work, target
        self.cut: Cut = ready.plan.cut
        self.progress = progress or (lambda fraction: None)

    def run(self) -> None:
        """Write every row that is not on disk yet."""
        if self.settings.method == "wbp" and self._goes_by_slabs():
            if self.target.missing():
                self._wbp_slabs()
        elif self.target.missing() or self.target.facts is None:
            self._whole()
        self.progress(1.0)

    def _goes_by_slabs(self) -> bool:
        """Whether slabs are made one by one; also in memory, so that one is written while the next is made."""
        if self.cut.on_disk or self.settings.device != "cpu":
            return self.cut.on_disk
        return isinstance(self.work.problem_plan(), _core.ProjectionPlan)

    def spread(self, spread: Spread, index: int) -> None:
        """Have every row that is not on disk yet written by other processes."""
        cut = spread.cut(self.cut, self.target.shape)
        missing = self.target.missing(cut.rows)
        for done, slab in enumerate(spread.slabs(index, self.target, cut, missing), start=1):
            self.target.take(slab)
            self.progress(done / len(missing))
        self.progress(1.0)

    def _wbp_slabs(self) -> None:
        slabs = SlabWork(self.ready, self.work)
        missing = self.target.missing(self.cut.rows or streamed_rows(self.target.shape[1]))
        with self.target.writing() as put:
            for done, (first, last) in enumerate(missing):
                self.progress(done / len(missing))
                put(first, slabs.rows(first, last))

    def _whole(self) -> None:
        """Solve, then write what was found; memory or a scratch file holds it meanwhile."""
        problem, options = self.work.problem, dict(self.work.options)
        solve = solver_of(self.settings)
        iterative = self.settings.method != "wbp"
        checkpoint = self.target.store.checkpoint(self.target.name)
        field: Field = MemoryField(np.empty((0, 0, 0), np.float32))
        if iterative:
            options["checkpoint"] = checkpoint
        if self.cut.on_disk:
            field = scratch_field(problem.shape, self.cut.folder, mapped=False)
            options["out"] = field
        given = {**options, "shape": problem.shape, "progress": self.progress}
        found = solve(problem.images, problem.views, **given)
        if not self.cut.on_disk:
            field = MemoryField(np.asarray(found))
        facts: dict[str, Any] = {}
        if isinstance(found, Reconstruction):
            if found.stopped == "cancelled":
                raise Cancelled("cancelled by the caller")
            facts = {
                "history": list(found.history),
                "iterations": found.iterations,
                "stopped": found.stopped,
            }
        self._write(field)
        self.target.solved(facts)
        checkpoint.clear()

    def _write(self, field: Field) -> None:
        with self.target.writing() as put:
            for first, last in self.target.missing(self.cut.rows or streamed_rows(field.shape[1])):
                rows = field.window((first, last, 0, field.shape[2]))
                put(first, self.work.scaled(rows))
