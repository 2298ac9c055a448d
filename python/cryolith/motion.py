# SPDX-License-Identifier: BSD-3-Clause
"""Movies from files: aligned one by one, each recorded; those of a tilt series become a stack in the order of tilt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import tomli_w

from . import files, records
from ._version import __version__
from .align import MovieAlignment, align_movie
from .datamodel import Volume
from .errors import InputError
from .files.atomic import sha256, write_text
from .files.mdoc import Mdoc, render_mdoc
from .listener import Listener
from .motion_plan import MotionPlan, MotionSettings, plan_movies
from .settings import to_mapping

if TYPE_CHECKING:
    from ._core import CancelToken

__all__ = ["align_movies"]

JOB_FILE = "motion.toml"
ROWS = 256  # of the stack, written at a time


def align_movies(
    movies: Sequence[str | Path],
    folder: str | Path,
    given: MotionSettings | None = None,
    *,
    threads: int = 0,
    cancel: CancelToken | None = None,
    listener: Listener | None = None,
    overwrite: bool = False,
) -> MotionPlan:
    """Align movies into ``folder``; those whose record holds are skipped, so this also goes on with a stopped job.

    Parameters
    ----------
    movies : sequence of path
        One exposure each; frames are read one at a time.
    folder : path
        Gets, for each movie, ``NAME.mrc`` (the sum), ``NAME_motion.csv``, ``NAME_track.svg``, ``NAME_spectra.png``
        and, with ``halves``, ``NAME_odd.mrc`` and ``NAME_even.mrc``; where the tilts are known, the stack in their
        order with its ``.rawtlt`` and ``.mrc.mdoc``; ``report.html`` and ``report.json``.
    given : MotionSettings, optional
    threads, cancel
        As in :func:`cryolith.align.align_movie`; results do not depend on ``threads``.
    listener : Listener, optional
    overwrite : bool, default False
        Allow a folder that holds something else.

    Raises
    ------
    InputError
        As :func:`plan_movies`; a gain or defects of another size; the folder holds something else or is in use.
    FileFormatError
        A file cannot be read.
    """
    given, listener, folder = given or MotionSettings(), listener or Listener(), Path(folder)
    plan = plan_movies(movies, given)
    _refuse_foreign(folder, overwrite)
    corrections = _corrections(plan, given)
    with records.lock(folder) as taken_over:
        if taken_over:
            listener.message(taken_over)
        records.sweep_partials(folder)
        write_text(
            folder / JOB_FILE, tomli_w.dumps({"movies": list(plan.movies), **to_mapping(given)})
        )
        for line in plan.warnings:
            listener.message(f"warning: {line}")
        job = _Job(folder, plan, given, corrections, threads, cancel, listener)
        for i in range(len(movies)):
            job.align(i)
        if plan.series:
            job.stack()
        job.report()
    return plan


def _refuse_foreign(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: found a file, expected a folder for the results; name another")
    if overwrite or not folder.exists():
        return
    names = [p.name for p in folder.iterdir() if p.name != records.FOLDER]
    foreign = [name for name in names if not name.endswith(".partial")]
    if foreign and JOB_FILE not in foreign:
        raise InputError(
            f"{folder}: is not empty and no folder of `cryolith motion`; choose another or pass --overwrite"
        )


@dataclass(frozen=True)
class _Corrections:
    gain: npt.NDArray[np.float32] | None
    bad: npt.NDArray[np.bool_] | None
    inputs: dict[str, str]


def _corrections(plan: MotionPlan, given: MotionSettings) -> _Corrections:
    shape = plan.shapes[0][1:]
    gain = bad = None
    inputs = {}
    if given.gain is not None:
        gain = files.read_gain(given.gain, rotate=given.gain_rotate, flip=given.gain_flip)
        inputs["gain"] = sha256(given.gain)
        if gain.shape != shape:
            turn = "; turn it with --gain-rotate 90" if gain.shape == shape[::-1] else ""
            raise InputError(
                f"{given.gain}: gain: found {gain.shape[0]} x {gain.shape[1]}, expected {shape[0]} x {shape[1]}, as "
                f"the frames{turn or '; give the reference of this detector and binning'}"
            )
    if given.defects is not None:
        bad = files.read_bad_pixels(given.defects, shape)
        inputs["defects"] = sha256(given.defects)
    return _Corrections(gain, bad, inputs)


@dataclass(frozen=True)
class _Job:
    """A job in progress."""

    folder: Path
    plan: MotionPlan
    given: MotionSettings
    corrections: _Corrections
    threads: int
    cancel: CancelToken | None
    listener: Listener

    def _parameters(self) -> dict[str, Any]:
        """What results depend on; files count by their content, not by their place."""
        kept = to_mapping(self.given)
        return {k: v for k, v in kept.items() if k not in ("gain", "defects", "mdoc", "angles")}

    def ends(self) -> tuple[str, ...]:
        """What the names of the sums end in."""
        return ("", "_odd", "_even") if self.given.halves else ("",)

    def align(self, i: int) -> None:
        """Align a movie and write its sums and track."""
        path, name = Path(self.plan.movies[i]), self.plan.names[i]
        digest = sha256(path)
        stage = f"motion {name}"

        def work() -> tuple[list[str], dict[str, Any]]:
            movie = files.open_movie(path, pixel_size=self.given.pixel_size)
            first, last = self.given.frame_range or (0, len(movie) - 1)
            found = align_movie(
                _Range(movie.frames, first, last),
                gain=self.corrections.gain,
                defects=self.corrections.bad,
                max_shift=self.given.max_shift,
                threads=self.threads,
                cancel=self.cancel,
                progress=lambda done: self.listener.progress(stage, done),
            )
            return self._write(name, found, movie.pixel_size, digest, first)

        records.carry_out(
            self.folder,
            stage,
            inputs={path.name: digest, **self.corrections.inputs},
            parameters=self._parameters(),
            work=work,
            listener=self.listener,
        )

    def _write(
        self, name: str, found: MovieAlignment, pixel: float | None, digest: str, first: int
    ) -> tuple[list[str], dict[str, Any]]:
        from .report.motion import (  # matplotlib: only now
            motion_facts,
            spectra_picture,
            track_picture,
        )

        label = f"cryolith {__version__} motion; movie {digest[:16]}"
        written = []
        for end, image in zip(self.ends(), (found.total, found.odd, found.even), strict=False):
            written.append(f"{name}{end}.mrc")
            files.write_volume(
                self.folder / written[-1],
                Volume(data=image[None], pixel_size=pixel),
                labels=[label + end.replace("_", "; ")],
            )
        table = _track_table(found, first, pixel, self.given.dose_per_frame)
        files.write_table(self.folder / f"{name}_motion.csv", table)
        files.atomic.write_bytes(
            self.folder / f"{name}_spectra.png", spectra_picture(found.unaligned, found.total)
        )
        facts = motion_facts(found, table, pixel)
        write_text(self.folder / f"{name}_track.svg", track_picture(name, facts))
        more = ("motion.csv", "spectra.png", "track.svg")
        return [*written, *(f"{name}_{end}" for end in more)], facts

    def stack(self) -> None:
        """Write the sums in the order of tilt as one stack, with its angles and .mdoc."""
        plan, order, angles = self.plan, self.plan.order, self.plan.angles_deg
        assert angles is not None
        sums = [f"{plan.names[i]}{end}.mrc" for end in self.ends() for i in order]

        def work() -> tuple[list[str], dict[str, Any]]:
            written = []
            for end in self.ends():
                written.append(f"{plan.series}{end}.mrc")
                self._write_stack(self.folder / written[-1], end)
                written.append(f"{plan.series}{end}.rawtlt")
                files.write_angle_file(self.folder / written[-1], angles[order])
            if plan.log is not None:
                written.append(f"{plan.series}.mrc.mdoc")
                write_text(self.folder / written[-1], self._mdoc(plan.log))
            return written, {}

        records.carry_out(
            self.folder,
            "stack",
            inputs={name: sha256(self.folder / name) for name in sums},
            parameters={
                "order": order.tolist(),
                "angles_deg": angles.tolist(),
                "log": "" if plan.log is None else self._mdoc(plan.log),
            },
            work=work,
            listener=self.listener,
        )

    def _write_stack(self, path: Path, end: str) -> None:
        sums = [
            files.read_volume(self.folder / f"{self.plan.names[i]}{end}.mrc")
            for i in self.plan.order
        ]
        _, ny, nx = self.plan.shapes[0]
        labels = [f"cryolith {__version__} motion; sums in the order of tilt"]
        pixel = sums[0].pixel_size
        with files.open_slabs(path, (len(sums), ny, nx), pixel_size=pixel, labels=labels) as out:
            for row in range(0, ny, ROWS):
                out.write(row, np.concatenate([s.data[:, row : row + ROWS] for s in sums]))

    def _mdoc(self, log: Mdoc) -> str:
        plan, given = self.plan, self.given
        changed = {}
        if plan.pixel_size is not None:
            changed["PixelSpacing"] = f"{plan.pixel_size:g}"
        if given.dose_per_frame is not None:
            changed["ExposureDose"] = f"{given.dose_per_frame * plan.shapes[0][0]:g}"
        sections = np.array(plan.sections)[plan.order]
        return render_mdoc(log, sections, changed, f"{plan.series}.mrc")

    def report(self) -> None:
        """Write the page and its facts from what lies in the folder."""
        made = [records.read_record(self.folder, f"motion {name}") for name in self.plan.names]
        done = [record for record in made if record is not None]

        def work() -> tuple[list[str], dict[str, Any]]:
            from .report.motion import write_motion_report  # matplotlib: only now

            write_motion_report(
                self.folder, self.plan, done, self._parameters(), self._inputs(done)
            )
            return ["report.html", "report.json"], {}

        records.carry_out(
            self.folder,
            "report",
            inputs={name: digest for record in done for name, digest in record.outputs.items()},
            parameters={
                **self._parameters(),
                "order": self.plan.order.tolist(),
                "title": self.plan.series,
            },
            work=work,
            listener=self.listener,
        )

    def _inputs(self, made: list[records.Record]) -> list[dict[str, Any]]:
        """Name, digest and size of each file that went in, each once."""
        places = {Path(path).name: path for path in self.plan.movies}
        places |= {"gain": self.given.gain or "", "defects": self.given.defects or ""}
        digests = {name: digest for record in made for name, digest in record.inputs.items()}
        return [
            {
                "name": Path(places[name]).name,
                "sha256": digest,
                "bytes": Path(places[name]).stat().st_size,
            }
            for name, digest in digests.items()
        ]


class _Range(Sequence[Any]):
    """Some of the frames of a movie."""

    def __init__(self, frames: Any, first: int, last: int) -> None:
        self._frames, self._first, self._count = frames, first, last - first + 1

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, i: Any) -> Any:
        return self._frames[self._first + i]


def _track_table(
    found: MovieAlignment, first: int, pixel: float | None, dose: float | None
) -> dict[str, npt.NDArray[Any]]:
    """One row for each frame; the dose is that received when the frame ends."""
    n = len(found.shifts_px)
    table: dict[str, npt.NDArray[Any]] = {"frame": np.arange(first, first + n)}
    if dose is not None:
        table["dose_e_per_angstrom2"] = dose * np.arange(first + 1, first + n + 1)
    for k, axis in enumerate(("row", "column")):
        table[f"shift_{axis}_px"] = found.shifts_px[:, k]
        table[f"sigma_shift_{axis}_px"] = found.sigma_px[:, k]
        if pixel is not None:
            table[f"shift_{axis}_nm"] = found.shifts_px[:, k] * pixel / 10
    table["correlation"] = found.peaks
    table["mean_counts"] = found.mean_counts
    return table
