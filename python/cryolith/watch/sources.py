# SPDX-License-Identifier: BSD-3-Clause
"""Which series lie in a watched folder, and which of their tilts are whole: stacks that grow, or a file a tilt."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..errors import FileFormatError
from ..files.angles import read_angle_file
from ..files.mdoc import Mdoc, axis_of_labels, read_mdoc
from .angles import Told, angles_of
from .folder import Folder, Stamp
from .growing import SUFFIXES, GrowingFile, look_at
from .names import listed_files, stem_of, tilt_name
from .settings import WatchSettings

__all__ = ["Source", "Sources", "Tilt"]

T = TypeVar("T")
_LISTS = (".tlt", ".rawtlt")


@dataclass(frozen=True, kw_only=True)
class Tilt:
    """One whole image of a series.

    Attributes
    ----------
    key : str
        Which one, for good: its place in the stack, or the name of its file.
    angle_deg : float or None
    origin : str
        What tells the angle.
    frames : (int, int)
        The first image of its file and the one behind the last: more than one are frames, to be summed.
    """

    key: str
    angle_deg: float | None
    origin: str
    file: GrowingFile
    frames: tuple[int, int]

    def image(self) -> npt.NDArray[Any]:
        """Return the image as stored, or the sum of its frames.

        Raises
        ------
        FileFormatError
            The file is gone, or another by now.
        """
        first, last = self.frames
        if last - first == 1:
            return self.file.image(first)
        total = np.zeros(self.file.shape, np.float32)
        for i in range(first, last):
            total += self.file.image(i)
        return total


@dataclass(frozen=True, kw_only=True)
class Source:
    """A series as its files tell it so far.

    Attributes
    ----------
    path : Path or None
        The stack; None where each tilt has a file of its own.
    tilts : tuple of Tilt
        In the order of recording, as far as that is known.
    promised : int
        Tilts that it will have, where its files speak of more than there are; else 0.
    log : Mdoc or None
        What SerialEM has written of it.
    """

    name: str
    path: Path | None
    tilts: tuple[Tilt, ...]
    promised: int
    pixel_size: float | None
    tilt_axis_deg: float | None
    log: Mdoc | None = None


@dataclass
class Sources:
    """Reads a folder into series; remembers what it has read of files that have not changed."""

    folder: Folder
    settings: WatchSettings
    given: tuple[str, npt.NDArray[np.float64]] | None = None
    refused: dict[str, str] = field(default_factory=dict)
    _files: dict[str, tuple[Stamp, GrowingFile | FileFormatError]] = field(default_factory=dict)
    _texts: dict[str, tuple[Stamp, Any]] = field(default_factory=dict)
    _whole: dict[str, int] = field(default_factory=dict)
    _roomy: set[str] = field(default_factory=set)

    def look(self) -> dict[str, Source]:
        """Return the series by name."""
        names = list(self.folder.look())
        self.refused = {n: why for n, why in self.refused.items() if n in names}
        logs = {n: log for n in names if (log := self._log(n)) is not None}
        images = [n for n in self.folder.matching(self.settings.pattern) if _is_image(n)]
        claimed, listings = _listed(images, logs)
        images = [n for n in images if n not in claimed]
        members: dict[str, list[str]] = {stem_of(n): [] for n in listings}
        lists = {stem_of(n): log for n, log in listings.items()}
        found: dict[str, Source] = {}
        for name in images:
            series = _series_of(name, lists)
            if series is not None:
                members.setdefault(series, []).append(name)
            elif (source := self._stack(name, logs)) is not None:
                # Two stacks that differ in their suffix only are two series.
                taken = source.name in found
                found[name if taken else source.name] = replace(
                    source, name=name if taken else source.name
                )
        for series, files in members.items():
            if files:
                free = series if series not in found else f"{series} (files)"
                made = self._files_of(free, files, lists.get(series), logs)
                found |= {free: made} if made.tilts else {}
        return found

    def _stack(self, name: str, logs: dict[str, Mdoc]) -> Source | None:
        file = self._file(name)
        if file is None or not file.whole:
            return None
        told = self._told(name, logs)
        angles, origin = angles_of(file, told)
        tilts = tuple(
            Tilt(
                key=str(i),
                angle_deg=None if np.isnan(angles[i]) else float(angles[i]),
                origin=origin,
                file=file,
                frames=(i, i + 1),
            )
            for i in range(file.whole)
        )
        # One more may be on its way in a series that says nothing of its end.
        raw = self._files[name][1]
        there = raw.whole if isinstance(raw, GrowingFile) else file.whole
        promised = max((n for n in (file.promised, told.sections) if n > there + 1), default=0)
        return self._made(stem_of(name), file, tilts, promised, told.log, self.folder.path / name)

    def _files_of(
        self, series: str, members: list[str], log: Mdoc | None, logs: dict[str, Mdoc]
    ) -> Source:
        listed = listed_files(log) if log is not None else {}
        tilts: list[tuple[int, str, Tilt]] = []
        first: GrowingFile | None = None
        for name in members:
            file = self._file(name)
            if file is None or not file.whole or file.whole < file.promised:
                continue
            first = first or file
            if file.shape != first.shape:
                self.refused[name] = f"found {file.shape} px, expected {first.shape} as the others"
                continue
            angle, origin = _angle_of(name, file, log, logs)
            made = Tilt(key=name, angle_deg=angle, origin=origin, file=file, frames=(0, file.whole))
            named = tilt_name(name)
            tilts.append((named.number if named else listed.get(name, len(listed)), name, made))
        done = tuple(tilt for _, _, tilt in sorted(tilts, key=lambda t: t[:2]))
        promised = len(listed) if len(listed) > len(done) + 1 else 0
        return self._made(series, first, done, promised, log, None)

    def _made(
        self,
        name: str,
        file: GrowingFile | None,
        tilts: tuple[Tilt, ...],
        promised: int,
        log: Mdoc | None,
        path: Path | None,
    ) -> Source:
        extended = file.extended if file is not None else None
        axis = pixel = None
        if extended is not None:
            axis, pixel = extended.tilt_axis_deg, extended.pixel_size
        if log is not None:
            axis = log.tilt_axis_deg if axis is None else axis
            pixel = log.pixel_size if pixel is None else pixel
        if file is not None:
            axis = axis_of_labels(file.labels) if axis is None else axis
            pixel = file.pixel_size if pixel is None else pixel
        return Source(
            name=name,
            path=path,
            tilts=tilts,
            promised=promised if promised > len(tilts) else 0,
            pixel_size=pixel,
            tilt_axis_deg=axis,
            log=log,
        )

    def _file(self, name: str) -> GrowingFile | None:
        """Return what a file holds that can be believed: looked at only when it has changed."""
        seen = self.folder.look_back(name)
        before = self._files.get(name)
        if before is None or before[0] != seen.stamp:
            try:
                now: GrowingFile | FileFormatError = look_at(
                    seen.path, preallocated=name in self._roomy
                )
            except FileFormatError as error:
                now = error
            self._files[name] = (seen.stamp, now)
        found = self._files[name][1]
        if isinstance(found, FileFormatError):
            if self.folder.clock() - seen.since >= self.settings.patience_s:
                self.refused[name] = str(found).removeprefix(f"{seen.path}: ")
            return None
        self.refused.pop(name, None)
        if found.unwritten:
            self._roomy.add(name)
        return replace(found, whole=self._believed(name, found, before), stamp=seen.stamp)

    def _believed(
        self,
        name: str,
        found: GrowingFile,
        before: tuple[Stamp, GrowingFile | FileFormatError] | None,
    ) -> int:
        """Images that are surely whole: all of a file at rest; of one that grows, those that were there before."""
        if self.folder.is_stable(name):
            believed = found.whole
        else:
            believed = min(self._whole.get(name, 0), found.whole)
            grown = before is not None and before[0][0] < self.folder.look_back(name).stamp[0]
            if grown and isinstance(before[1], GrowingFile) and name not in self._roomy:  # type: ignore[index]
                believed = max(believed, min(before[1].whole, found.whole))  # type: ignore[index]
        self._whole[name] = believed
        return believed

    def _told(self, name: str, logs: dict[str, Mdoc]) -> Told:
        stem = stem_of(name)
        lists = []
        for suffix in _LISTS:
            angles = self._text(stem + suffix, read_angle_file)
            if angles is not None:
                lists.append((stem + suffix, angles))
        log_name = next((n for n in (f"{name}.mdoc", f"{stem}.mdoc") if n in logs), "")
        return Told(lists=tuple(lists), log=logs.get(log_name), log_name=log_name, given=self.given)

    def _log(self, name: str) -> Mdoc | None:
        return self._text(name, read_mdoc) if name.lower().endswith(".mdoc") else None

    def _text(self, name: str, read: Callable[[Path], T]) -> T | None:
        """Return what a text file says, as it was when it last stood still; None if it says nothing yet."""
        before: tuple[Stamp, T | None] = self._texts.get(name, ((0, 0, 0), None))
        if not self.folder.is_stable(name):
            return before[1] if self.folder.holds(name) else None
        seen = self.folder.look_back(name)
        if before[0] != seen.stamp:
            try:
                self._texts[name] = (seen.stamp, read(seen.path))
            except FileFormatError:
                self._texts[name] = (seen.stamp, None)
        said: T | None = self._texts[name][1]
        return said


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def _listed(images: list[str], logs: dict[str, Mdoc]) -> tuple[set[str], dict[str, Mdoc]]:
    """Tell files that are frames of a stack's images from those that are the tilts of a series themselves."""
    claimed: set[str] = set()
    listings: dict[str, Mdoc] = {}
    for name, log in logs.items():
        listed = listed_files(log)
        image = name[: -len(".mdoc")]
        own = [n for n in images if n == image or stem_of(n) == stem_of(name)]
        if own == [image] and set(listed) <= {image}:
            continue  # SerialEM's .mdoc of one file of frames
        if own:
            claimed |= set(listed) - set(own)
        elif listed:
            listings[name] = log
    return claimed, listings


def _series_of(name: str, lists: dict[str, Mdoc]) -> str | None:
    """Return the series that a file is one tilt of, by an .mdoc that lists it or by its name."""
    listed = next((s for s, log in lists.items() if name in listed_files(log)), None)
    tilt = tilt_name(name)
    return listed if listed is not None or tilt is None else tilt.series


def _angle_of(
    name: str, file: GrowingFile, log: Mdoc | None, logs: dict[str, Mdoc]
) -> tuple[float | None, str]:
    """Return the angle of a file with one tilt: by the series' .mdoc, its header, its own .mdoc, its name."""
    told: list[tuple[str, float]] = []
    if log is not None and name in (listed := listed_files(log)):
        told.append((".mdoc of the series", float(log.angles_deg[listed[name]])))
    extended = file.extended
    if extended is not None and extended.angles_deg is not None and extended.angles_deg[0] != 0:
        told.append((f"{extended.name} extended header", float(extended.angles_deg[0])))
    own = logs.get(f"{name}.mdoc")
    if own is not None:
        told.append((f"{name}.mdoc", float(own.angles_deg[0])))
    named = tilt_name(name)
    if named is not None:
        told.append(("its name", named.angle_deg))
    return next(((a, o) for o, a in told if abs(a) <= 360), (None, ""))
