# SPDX-License-Identifier: BSD-3-Clause
"""A series that is being recorded: each new tilt is checked, placed, and added to a coarse volume."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datamodel import Alignment
from ..errors import FileFormatError, InputError
from ..projection import Geometry
from ..reconstruct import GrowingWbp, wbp
from .alerts import Alert
from .checks import Steps, intensity_step, is_blank, levels, nearest
from .folder import Stamp
from .measures import Measured, measure
from .placing import place_against
from .records import Record
from .settings import WatchSettings
from .sources import Source, Tilt

__all__ = ["LiveSeries"]

Float32 = npt.NDArray[np.float32]

_EDGE = 256  # px of the images that the live volume is made of
_LEAST_EDGE = 16
# The first tilts are judged together, when there are so many: any of them may be the one that is off.
_FIRST = 4
_FEWEST_LOG = -30.0
_SIGMAS = 3.0


@dataclass(frozen=True, kw_only=True)
class _View:
    """Of one image what is held in memory."""

    small: Float32
    clean: Float32


class LiveSeries:
    """Takes the tilts of one series as they come.

    Parameters
    ----------
    name : str
    settings : WatchSettings
    tilt_axis_deg : float, optional [deg]
        Overrides what the files tell.
    pixel_size : float, optional [angstrom]
        Overrides what the files tell.
    thickness : float, optional [angstrom]
        Of the live volume; as thick as wide when it or the pixel size is not known.
    remembered : sequence of Record
        What an earlier watch has found: not judged again.
    threads : int, default 0

    Attributes
    ----------
    records : list of Record
        In the order in which they were taken.
    """

    def __init__(
        self,
        name: str,
        settings: WatchSettings,
        *,
        tilt_axis_deg: float | None = None,
        pixel_size: float | None = None,
        thickness: float | None = None,
        remembered: Sequence[Record] = (),
        threads: int = 0,
    ) -> None:
        self.name, self.settings, self.threads = name, settings, threads
        self._given = (tilt_axis_deg, pixel_size, thickness)
        self._remembered = {record.key: record for record in remembered}
        self.records: list[Record] = []
        self.pixel_size: float | None = None
        self.tilt_axis_deg: float | None = None
        self.image_shape: tuple[int, int] | None = None
        self.binning = 1
        self._views: dict[str, _View] = {}
        self._stamps: dict[str, Stamp] = {}
        self._inside: list[str] = []
        self._shapes = ((0, 0, 0), (0, 0))
        self._growing: GrowingWbp | None = None
        self._final: Float32 | None = None
        self._judged = 0

    # -- what there is

    @property
    def volume(self) -> Float32 | None:
        """The coarse volume (nz, ny, nx) of the tilts so far; None while there is none."""
        if self._final is not None:
            return self._final
        return self._growing.volume if self._growing is not None and len(self._growing) else None

    @property
    def voxel_size(self) -> float | None:
        """Of the coarse volume [angstrom]."""
        return None if self.pixel_size is None else self.pixel_size * self.binning

    @property
    def growing(self) -> GrowingWbp | None:
        """The volume with the views that it was made of."""
        return self._growing

    def taken(self, tilt: Tilt) -> bool:
        """Whether a tilt has been taken, with the same angle."""
        return any(r.key == tilt.key and r.angle_deg == tilt.angle_deg for r in self.records)

    # -- tilts

    def take(self, source: Source) -> tuple[list[Record], list[Alert]]:
        """Take the tilts that are whole, whose angle is known, and that have not been taken.

        Returns
        -------
        taken : list of Record
            Without those that are remembered.
        alerts : list of Alert
            In the order of the tilts; some of earlier ones may be among them.
        """
        if self._is_another(source):
            self.forget()
        self._settle_facts(source)
        new: list[Record] = []
        for place, tilt in enumerate(source.tilts):
            if tilt.angle_deg is None or self.taken(tilt):
                continue
            measured = self._read(tilt)
            if measured is None:
                break  # gone, or being replaced: the next look tells
            view, look, check = measured
            record = Record(
                key=tilt.key, tilt=place, angle_deg=tilt.angle_deg, check=check, look=look
            )
            self._views[tilt.key], self._stamps[tilt.key] = view, tilt.file.stamp
            self.records.append(record)
            new.append(record)
        alerts = self._go_on()
        keys = {record.key for record in new if not self._is_remembered(record)}
        return [r for r in self.records if r.key in keys], alerts

    def finish(self) -> list[Alert]:
        """Judge what there is, if only a few tilts: no more will come."""
        return self._go_on(all_of_it=True)

    def forget(self) -> None:
        """Begin anew: the files hold another series under the same name."""
        self.records, self._views, self._judged = [], {}, 0
        self._remembered, self._growing, self._final, self.image_shape = {}, None, None, None

    def release(self) -> None:
        """Let the images go; should more tilts come, all are read again and judged as they were."""
        self._remembered = {record.key: record for record in self.records}
        self.records, self._views, self._judged, self._growing = [], {}, 0, None

    def _is_another(self, source: Source) -> bool:
        """Whether tilts that were taken are gone, have another angle, or are other images."""
        if not self.records:
            return False
        now = {tilt.key: tilt for tilt in source.tilts}
        if source.tilts and source.tilts[0].file.shape != self.image_shape:
            return True
        changed: dict[str, list[Record]] = {}
        for record in self.records:
            tilt = now.get(record.key)
            if tilt is None and source.path is None:
                continue  # moved away after it was taken
            if tilt is None or tilt.angle_deg != record.angle_deg:
                return True
            if tilt.file.stamp != self._stamps[record.key]:
                changed.setdefault(tilt.file.path, []).append(record)
                self._stamps[record.key] = tilt.file.stamp
        # Of a stack that has grown the first and the last of its images say whether it is still the same.
        probes = [
            r for records in changed.values() for r in {0: records[0], 1: records[-1]}.values()
        ]
        return any(
            (found := _image_of(now[r.key])) is not None and _check(found) != r.check
            for r in probes
        )

    def _settle_facts(self, source: Source) -> None:
        axis, pixel, thickness = self._given
        self.pixel_size = pixel if pixel is not None else source.pixel_size
        if self.image_shape is not None or not source.tilts:
            return
        self.tilt_axis_deg = axis if axis is not None else source.tilt_axis_deg
        height, width = self.image_shape = source.tilts[0].file.shape
        if min(height, width) < _LEAST_EDGE:
            raise InputError(
                f"images: found {height} x {width} px, expected at least {_LEAST_EDGE}"
            )
        self.binning = self.settings.binning or max(1, -(-max(height, width) // _EDGE))
        self.binning = min(self.binning, max(1, min(height, width) // _LEAST_EDGE))
        small = (height // self.binning, width // self.binning)
        flat = Geometry.single_axis([0.0], tilt_axis_deg=self.tilt_axis_deg or 0.0)
        nz = flat.volume_shape(small, 1)[2]
        if thickness is not None and self.voxel_size is not None:
            nz = max(1, round(thickness / self.voxel_size))
        self._shapes = (flat.volume_shape(small, nz), small)

    def _read(self, tilt: Tilt) -> tuple[_View, Any, int] | None:
        image = _image_of(tilt)
        if image is None:
            return None
        measured: Measured = measure(image, self.binning, self.threads)
        small = measured.small - np.float32(measured.look.vacuum)
        return _View(small=small, clean=measured.clean), measured.look, _check(image)

    # -- judging

    def _go_on(self, *, all_of_it: bool = False) -> list[Alert]:
        """Judge, place and add the tilts that have not been; the first few together."""
        alerts: list[Alert] = []
        if self._judged < len(self.records) and (len(self.records) >= _FIRST or all_of_it):
            if self._judged < _FIRST:
                self._judged, self._growing = 0, None
                self._find_early_blanks()
            while self._judged < len(self.records):
                alerts += self._judge(self._judged)
                self._judged += 1
        elif self._judged < len(self.records):
            self._provisional()
        self._fill()
        return alerts

    def _find_early_blanks(self) -> None:
        """Among the first tilts a blank one is held against those that came after it."""
        for i in range(min(_FIRST, len(self.records))):
            others = self.records[:i] + self.records[i + 1 :]
            why = self._why_blank(self.records[i], others[: max(_FIRST - 1, i)])
            if why:
                self.records[i] = replace(self.records[i], alerts={"blank": why})

    def _why_blank(self, record: Record, others: Sequence[Record]) -> str:
        seen = [r for r in others if not r.blank]
        near = sorted(seen, key=lambda r: abs(r.angle_deg - record.angle_deg))
        return is_blank(record.look, [r.look for r in near], self.settings.blank)

    def _judge(self, i: int) -> list[Alert]:
        """Judge tilt ``i`` by those before it; an image that was judged by an earlier watch stays as it was."""
        record = self.records[i]
        if self._is_remembered(record):
            self.records[i] = replace(self._remembered[record.key], tilt=record.tilt)
            return self._as_alerts(self.records[i])
        before = [r for r in self.records[:i] if not r.blank]
        found = dict(record.alerts)
        record = replace(record, position_px=(0.0, 0.0), placed=True)
        if not found and (why := self._why_blank(record, before)):
            found["blank"] = why
        if "blank" not in found and before:
            record, jumped = self._with_intensity(record, before)
            record, moved = self._with_place(record, before)
            found |= {
                kind: text for kind, text in (("intensity", jumped), ("drift", moved)) if text
            }
        self.records[i] = replace(record, alerts=found)
        return self._as_alerts(self.records[i])

    def _is_remembered(self, record: Record) -> bool:
        old = self._remembered.get(record.key)
        return old is not None and (old.check, old.angle_deg) == (record.check, record.angle_deg)

    def _as_alerts(self, record: Record) -> list[Alert]:
        return [
            Alert(
                series=self.name,
                kind=kind,
                text=text,
                tilt=record.tilt,
                angle_deg=record.angle_deg,
                about=f"{record.key}:{record.check}",
            )
            for kind, text in record.alerts.items()
        ]

    def _with_intensity(self, record: Record, before: Sequence[Record]) -> tuple[Record, str]:
        steps = Steps.followed(
            [(r.jump,) for r in before], [("intensity" in r.alerts) for r in before]
        )
        light = levels([*(r.look for r in before), record.look])
        logs = np.log(np.maximum(light[:-1], 1e-30)) - np.array([r.jump for r in before])
        angles = np.array([r.angle_deg for r in before])
        step, off = intensity_step(record.angle_deg, float(light[-1]), angles, logs, steps)
        if step > np.log1p(self.settings.jump):
            off = max(off, _FEWEST_LOG)
            was = steps.nearer([off]) or (0.0,)
            text = f"{np.exp(off - was[0]):.2f} times what the tilts before say"
            return replace(record, jump=off), text
        return replace(record, jump=(steps.nearer([off]) or (0.0,))[0]), ""

    def _with_place(self, record: Record, before: Sequence[Record]) -> tuple[Record, str]:
        placed = [r for r in before if r.placed]
        beside = placed[nearest(record.angle_deg, [r.angle_deg for r in placed])]
        at, sigma = place_against(
            self._views[beside.key].clean,
            np.array(beside.position_px) / self.binning,
            beside.angle_deg,
            self._views[record.key].clean,
            record.angle_deg,
            self.tilt_axis_deg or 0.0,
            self.threads,
        )
        at, sigma = at * self.binning, sigma * self.binning
        record = replace(
            record, position_px=(float(at[0]), float(at[1])), placed=np.isfinite(sigma)
        )
        steps = Steps.followed(
            [r.position_px for r in placed], ["drift" in r.alerts for r in placed]
        )
        away = min(
            steps.distance(record.position_px),
            float(np.linalg.norm(at - np.array(beside.position_px))),
        )
        if not away - _SIGMAS * sigma > self.drift_limit_px:
            return record, ""
        long = "" if self.pixel_size is None else f", {away * self.pixel_size / 10:.3g} nm"
        return record, f"moved by {away:.3g} px{long}; the limit is {self.drift_limit_px:.3g} px"

    @property
    def drift_limit_px(self) -> float:
        """Of the images as recorded."""
        assert self.image_shape is not None
        if self.settings.drift is not None and self.pixel_size is not None:
            return self.settings.drift / self.pixel_size
        return self.settings.drift_field * min(self.image_shape)

    # -- the volume

    def _provisional(self) -> None:
        """Place the first tilts, so that there is something to see before they are judged."""
        for i, record in enumerate(self.records):
            if i:
                self.records[i], _ = self._with_place(record, self.records[:i])

    def _fill(self) -> None:
        """Add the tilts that are not in the volume yet: those that came together in one go."""
        if self.image_shape is None:
            return
        if self._growing is None:
            shape, small = self._shapes
            axis = self.tilt_axis_deg or 0.0
            self._growing = GrowingWbp(shape, small, tilt_axis_deg=axis, threads=self.threads)
            self._inside = []
        self._final = None if self.records else self._final
        some = [r for r in self.records if not r.blank and r.key not in self._inside]
        if some:
            self._growing.add(
                np.stack([self._views[r.key].small for r in some]),
                [r.angle_deg for r in some],
                np.array([r.position_px for r in some]) / self.binning,
            )
            self._inside += [r.key for r in some]

    def adopt(self, alignment: Alignment, keys: Sequence[str]) -> None:
        """Make the coarse volume anew with the alignment of the finished run; ``keys`` are its images."""
        assert self.image_shape is not None
        kept = [int(i) for i in np.flatnonzero(alignment.kept)]
        use = [i for i in kept if keys[i] in self._views]
        every = Geometry.from_alignment(alignment, keep=False)
        geometry = every.subset(np.array(use)).scaled(self.binning, self.image_shape)
        images = np.stack([self._views[keys[i]].small for i in use])
        _, small = self._shapes
        shape = geometry.volume_shape(small, self._shapes[0][0])
        self._final = wbp(images, geometry, shape=shape, threads=self.threads)


def _image_of(tilt: Tilt) -> npt.NDArray[Any] | None:
    try:
        return tilt.image()
    except FileFormatError:
        return None


def _check(image: npt.NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(image).tobytes())
