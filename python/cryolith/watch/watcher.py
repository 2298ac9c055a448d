# SPDX-License-Identifier: BSD-3-Clause
"""The watch: looks at a folder, step by step, and carries each series from its first tilt to its finished run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .. import records as run_records
from ..config import Job
from ..errors import CryolithError, InputError
from ..files import read_alignment, read_angle_file
from ..files.atomic import sweep
from .alerts import Alert, Ledger
from .folder import Folder
from .live import LiveSeries
from .outputs import COARSE, KEPT, write_coarse
from .page import write_page
from .records import Kept, read_kept, write_kept
from .running import ProcessRunner, Runner
from .settings import WatchSettings
from .settling import job_of
from .sources import Source, Sources

__all__ = ["State", "Watch", "WatchedSeries"]

State = Literal["collecting", "complete", "running", "settled", "failed"]

LIVE, ALERTS, PAGE = "live", "alerts.json", "overview.html"
_RETRY_S = 5.0  # where another process runs a series


@dataclass
class WatchedSeries:
    """How far a series is.

    Attributes
    ----------
    state : {"collecting", "complete", "running", "settled", "failed"}
    reason : str
        Why it failed.
    taken, promised : int
        Tilts in the live volume or left out of it as blank, and those to come to; 0: not known.
    last_deg : float or None
        The tilt that came last.
    """

    live: LiveSeries
    folder: Path
    source: Source
    state: State = "collecting"
    reason: str = ""
    taken: int = 0
    promised: int = 0
    last_deg: float | None = None
    last_new: float = 0.0
    settled: int = 0
    keys: list[str] = field(default_factory=list)
    waiting: dict[str, float] = field(default_factory=dict)
    signature: object = None
    retry: float = 0.0


class Watch:
    """Watches a folder into which tilt series are being recorded.

    Parameters
    ----------
    folder : path
        Where the images appear; only read.
    out : path
        Where results go: ``overview.html``, ``alerts.json``, ``live/NAME/`` (coarse volume and what is kept of the
        tilts) and, of complete series, ``NAME/``, the folder of their run.
    job : Job, optional
        Settings of the runs; ``series.path`` and ``output`` are set for each.
    settings : WatchSettings, optional
    runner : Runner, optional
        What runs complete series; default ``cryolith run`` in a process of its own.
    clock : callable, optional
        Returns seconds that only grow.
    threads : int, default 0

    Raises
    ------
    InputError
        ``folder`` is no folder, or another watch writes to ``out``.
    """

    def __init__(
        self,
        folder: str | Path,
        out: str | Path,
        *,
        job: Job | None = None,
        settings: WatchSettings | None = None,
        runner: Runner | None = None,
        clock: Callable[[], float] = time.monotonic,
        threads: int = 0,
    ) -> None:
        self.folder, self.out = Path(folder), Path(out)
        if not self.folder.is_dir():
            raise InputError(f"{folder}: found no folder, expected the one that images appear in")
        if self.out.resolve() == self.folder.resolve():
            raise InputError(f"{out}: is the watched folder; choose another for the results")
        self.job, self.settings = job or Job(), settings or WatchSettings()
        self.runner = runner or ProcessRunner(threads)
        self.clock, self.threads = clock, threads
        (self.out / LIVE).mkdir(parents=True, exist_ok=True)
        self._held = contextlib.ExitStack()
        self._held.enter_context(run_records.lock(self.out))
        run_records.sweep_partials(self.out)
        self.ledger = Ledger(self.out / ALERTS)
        self.series: dict[str, WatchedSeries] = {}
        self.running: str | None = None
        given = self.job.series.angles
        self._sources = Sources(
            Folder(self.folder, self.settings.stable_s, clock),
            self.settings,
            given=None if given is None else (Path(given).name, read_angle_file(given)),
        )
        self._shown: object = None

    def close(self) -> None:
        """End a run that is going on, and let the folder go."""
        self.runner.stop()
        self._held.close()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def done(self) -> bool:
        """Whether there are series, and all of them have ended: settled or failed."""
        states = {s.state for s in self.series.values()}
        return bool(states) and states <= {"settled", "failed"}

    def poll(self) -> list[dict[str, Any]]:
        """Look once and do what is to be done now.

        Returns
        -------
        list of dict
            What happened, in order, ready for JSON: ``event`` is "tilt", "alert" or "state".
        """
        events: list[dict[str, Any]] = []
        found = self._sources.look()
        for name, source in found.items():
            events += self._follow(name, source)
        events += self._refusals()
        events += self._step_run()
        for name, watched in self.series.items():
            events += self._close_if_complete(name, watched)
        events += self._step_run()
        self._show()
        return events

    # -- collecting

    def _follow(self, name: str, source: Source) -> list[dict[str, Any]]:
        watched = self.series.get(name) or self._begin(name, source)
        signature = tuple((t.key, t.angle_deg, t.file.stamp) for t in source.tilts)
        watched.source = source
        if source.promised:
            watched.promised = source.promised
        if len(source.tilts) > watched.promised:
            watched.promised = 0  # it was no promise
        watched.promised = self.settings.tilts or watched.promised
        if signature == watched.signature:
            return self._alert(self._angles_missing(watched))
        if self.running == name:
            return []  # its files are being read: what is new is taken after the run
        watched.signature = signature
        try:
            taken, alerts = watched.live.take(source)
        except InputError as error:
            return self._set(watched, "failed", str(error))
        alerts += self._angles_missing(watched)
        watched.taken = len(watched.live.records)
        events: list[dict[str, Any]] = []
        if taken:
            watched.last_deg, watched.last_new = taken[-1].angle_deg, self.clock()
            if watched.taken > watched.settled:
                events += self._set(watched, "collecting")
            for record in taken:
                events.append(
                    {
                        "event": "tilt",
                        "series": name,
                        "tilt": record.tilt,
                        "angle_deg": record.angle_deg,
                        "blank": record.blank,
                    }
                )
        events += self._alert(alerts)
        if taken or alerts:
            self._keep(watched)
        return events

    def _begin(self, name: str, source: Source) -> WatchedSeries:
        folder = self.out / LIVE / name
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        kept = read_kept(folder / KEPT)
        s = self.job.series
        live = LiveSeries(
            name,
            self.settings,
            tilt_axis_deg=s.tilt_axis,
            pixel_size=s.pixel_size,
            thickness=self.job.reconstruct.thickness,
            remembered=kept.records,
            threads=self.threads,
        )
        watched = WatchedSeries(live=live, folder=folder, source=source, last_new=self.clock())
        if kept.settled and (self.out / name / "report.json").exists():
            watched.settled = kept.settled
        self.series[name] = watched
        return watched

    def _angles_missing(self, watched: WatchedSeries) -> list[Alert]:
        """Tell of whole tilts that have waited for their angle for long."""
        now = self.clock()
        unknown = [t.key for t in watched.source.tilts if t.angle_deg is None]
        watched.waiting = {key: watched.waiting.get(key, now) for key in unknown}
        late = [k for k, t in watched.waiting.items() if now - t >= self.settings.patience_s]
        if not late:
            return []
        text = (
            f"no angle is known of {len(unknown)} of {len(watched.source.tilts)} tilts: they wait for an .mdoc, a "
            ".rawtlt or an extended header that tells it"
        )
        return [Alert(series=watched.source.name, kind="angle", text=text, about="angles")]

    def _refusals(self) -> list[dict[str, Any]]:
        return self._alert(
            [
                Alert(series=name, kind="file", text=why, about=why)
                for name, why in self._sources.refused.items()
            ]
        )

    # -- completing

    def _close_if_complete(self, name: str, watched: WatchedSeries) -> list[dict[str, Any]]:
        if watched.state != "collecting":
            return []
        idle = self.clock() - watched.last_new >= 60 * self.settings.idle_min
        full = 0 < watched.promised == len(watched.source.tilts) == watched.taken
        again = 0 < watched.settled == watched.taken
        if not (idle or full or again):
            return []
        events = self._alert(watched.live.finish())
        if again:
            return events + self._settled(name, watched)
        return events + self._set(watched, "complete")

    def _step_run(self) -> list[dict[str, Any]]:
        """See how the run that goes on stands; begin the next."""
        events: list[dict[str, Any]] = []
        if self.running is not None:
            outcome = self.runner.outcome()
            if outcome is None:
                return events
            name, self.running = self.running, None
            watched = self.series[name]
            if outcome.busy:
                watched.retry = self.clock() + _RETRY_S
                events += self._set(watched, "complete")
            elif outcome.ok:
                events += self._settled(name, watched)
            else:
                events += self._set(watched, "failed", outcome.reason)
        ready = [n for n, s in self.series.items() if s.state == "complete"]
        ready = [n for n in ready if self.clock() >= self.series[n].retry]
        if ready:
            events += self._start(ready[0])
        return events

    def _start(self, name: str) -> list[dict[str, Any]]:
        watched = self.series[name]
        try:
            job, watched.keys = job_of(watched.source, self.job, watched.folder, self.out / name)
            self.runner.start(job, watched.folder)
        except (CryolithError, OSError) as error:
            return self._set(watched, "failed", str(error))
        self.running = name
        return self._set(watched, "running")

    def _settled(self, name: str, watched: WatchedSeries) -> list[dict[str, Any]]:
        """Make the coarse volume anew with the alignment of the run."""
        try:
            keys = watched.keys or [t.key for t in watched.source.tilts]
            watched.live.adopt(read_alignment(self.out / name / "alignment.json"), keys)
        except (CryolithError, OSError) as error:
            return self._set(watched, "failed", str(error))
        watched.settled = watched.taken
        self._keep(watched)
        watched.live.release()
        return self._set(watched, "settled")

    # -- telling

    def _set(self, watched: WatchedSeries, state: State, reason: str = "") -> list[dict[str, Any]]:
        if (watched.state, watched.reason) == (state, reason):
            return []
        watched.state, watched.reason = state, reason
        event = {"event": "state", "series": watched.source.name, "state": state}
        return [{**event, "reason": reason} if reason else event]

    def _alert(self, alerts: list[Alert]) -> list[dict[str, Any]]:
        return [
            {
                "event": "alert",
                "series": a.series,
                "kind": a.kind,
                "tilt": a.tilt,
                "angle_deg": a.angle_deg,
                "text": a.text,
            }
            for a in self.ledger.raise_new(alerts)
        ]

    def _keep(self, watched: WatchedSeries) -> None:
        live = watched.live
        write_kept(
            watched.folder / KEPT, Kept(records=tuple(live.records), settled=watched.settled)
        )
        if live.volume is not None:
            write_coarse(watched.folder, np.asarray(live.volume), live.voxel_size, watched.taken)

    def _show(self) -> None:
        """Write the page where it has changed."""
        shown = [
            (n, s.state, s.reason, s.taken, s.promised, len(self.ledger.alerts))
            for n, s in self.series.items()
        ]
        if shown != self._shown:
            write_page(self.out, self.folder, self.series, self.ledger, COARSE)
            self._shown = shown
