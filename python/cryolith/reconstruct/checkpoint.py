# SPDX-License-Identifier: BSD-3-Clause
"""What an iterative solver would need to go on where it was: written every few minutes, read back after a kill."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .._fields import Field, FileField, Shape3
from ..files.atomic import sha256, write_json
from .cut import Cut
from .device import DeviceField, on_host

__all__ = ["EVERY", "Checkpoint", "Kept", "Saved", "key_of"]

EVERY = 180.0  # [s]
# Saving takes at most this share of the time, however slow the disk is.
SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What the next iterations of a solver depend on, besides the volume.

    Attributes
    ----------
    volumes, stacks : mapping of name to Field
        Of the shape of the volume (or a multiple of its layers) and of the images.
    arrays : mapping of name to (n,) float64
    numbers : mapping
        What JSON holds; floats come back to the bit.
    """

    volumes: Mapping[str, Field] = field(default_factory=dict)
    stacks: Mapping[str, Field] = field(default_factory=dict)
    arrays: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A checkpoint that was verified.

    Attributes
    ----------
    iteration : int
    history : tuple of float
        Of the iterations before this one.
    numbers : mapping
    """

    folder: Path
    iteration: int
    history: tuple[float, ...]
    numbers: Mapping[str, Any]

    def volume_into(self, name: str, target: Field, cut: Cut) -> None:
        """Fill a field of the shape of the volume."""
        with self._open(name, target.shape) as source:
            if isinstance(target, DeviceField):
                target.fill(source.layers(0, target.shape[0]))
                return
            for first, last in cut.row_parts(target.shape[1]):
                window = (first, last, 0, target.shape[2])
                rows = target.window(window)
                rows[:] = source.window(window)
                target.put_window(window, rows)

    def stack_into(self, name: str, target: Field, cut: Cut) -> None:
        """Fill a field of the shape of the images."""
        with self._open(name, target.shape) as source:
            if isinstance(target, DeviceField):
                target.fill(source.layers(0, target.shape[0]))
                return
            for first, last in cut.layer_parts(target.shape[0]):
                images = target.layers(first, last)
                images[:] = source.layers(first, last)
                target.put_layers(first, images)

    def array(self, name: str) -> npt.NDArray[np.float64]:
        """Return an array."""
        return np.fromfile(self.folder / name, "<f8").astype(np.float64)

    @contextlib.contextmanager
    def _open(self, name: str, shape: Shape3) -> Iterator[FileField]:
        descriptor = os.open(self.folder / name, os.O_RDONLY)
        try:
            yield FileField(descriptor, shape)
        finally:
            os.close(descriptor)


class Checkpoint:
    """Two places that take turns: a save never touches the last good one.

    Parameters
    ----------
    folder : path
        Of its own; made when it is needed.
    key : str
        Of all that the solver's result depends on: what was saved under another key does not count.
    every : float [s]
        At least so long from the end of one save to the next; longer where saving is slow. 0: after every iteration.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        key: str,
        *,
        every: float = EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._key, self._every, self._clock = Path(folder), key, every, clock
        self._last, self._took, self._turn = clock(), 0.0, 0

    @property
    def due(self) -> bool:
        """Whether it is time to save."""
        pause = max(self._every, self._took * (1 / SHARE - 1))
        return self._every == 0.0 or self._clock() - self._last >= pause

    def saved(self) -> Saved | None:
        """Return the latest checkpoint that holds: same key, every file with the sha256 that it had."""
        found = [s for s in map(self._read, (0, 1)) if s is not None]
        latest = max(found, key=lambda s: s.iteration, default=None)
        if latest is not None:
            self._turn = 1 - int(latest.folder.name)
        return latest

    def save(
        self, iteration: int, history: list[float], volume: Field, kept: Kept, cut: Cut
    ) -> None:
        """Write a checkpoint of the state after ``iteration``."""
        begun = self._clock()
        slot = self._folder / str(self._turn)
        shutil.rmtree(slot, ignore_errors=True)
        slot.mkdir(parents=True)
        for name, whole in {"volume": volume, **kept.volumes}.items():
            with _writing(slot / name, whole.shape) as target:
                _copy_rows(whole, target, cut)
        for name, whole in kept.stacks.items():
            with _writing(slot / name, whole.shape) as target:
                _copy_layers(whole, target, cut)
        for name, values in kept.arrays.items():
            (slot / name).write_bytes(values.astype("<f8").tobytes())
        names = ["volume", *kept.volumes, *kept.stacks, *kept.arrays]
        record = {
            "key": self._key,
            "iteration": iteration,
            "history": history[:iteration],
            "numbers": dict(kept.numbers),
            "files": {name: sha256(slot / name) for name in names},
        }
        write_json(slot / "state.json", record)
        self._turn = 1 - self._turn
        self._last = self._clock()
        self._took = self._last - begun

    def clear(self) -> None:
        """Remove everything that was saved."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self, turn: int) -> Saved | None:
        slot = self._folder / str(turn)
        try:
            record = json.loads((slot / "state.json").read_text(encoding="utf-8"))
            if record["key"] != self._key:
                return None
            if any(sha256(slot / name) != digest for name, digest in record["files"].items()):
                return None
            return Saved(
                folder=slot,
                iteration=record["iteration"],
                history=tuple(record["history"]),
                numbers=record["numbers"],
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


def key_of(parameters: Any) -> str:
    """Return the key of a result from all that it depends on."""
    return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def _writing(path: Path, shape: Shape3) -> Iterator[FileField]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        os.ftruncate(descriptor, 4 * math.prod(shape))
        yield FileField(descriptor, shape)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# In functions of their own, so that one part is let go before the next is read.
def _copy_rows(source: Field, target: FileField, cut: Cut) -> None:
    _, ny, nx = source.shape
    for first, last in cut.row_parts(ny):
        window = (first, last, 0, nx)
        target.put_window(window, on_host(source.window(window)))


def _copy_layers(source: Field, target: FileField, cut: Cut) -> None:
    for first, last in cut.layer_parts(source.shape[0]):
        target.put_layers(first, on_host(source.layers(first, last)))
