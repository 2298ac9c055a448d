# SPDX-License-Identifier: BSD-3-Clause
"""What every iterative solver shares: its options, its loop, when it stops, and what it returns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from .. import _core
from .._fields import Field, doubled
from ..errors import Cancelled
from .checkpoint import Checkpoint, Kept, Saved
from .cut import Cut, Pair, Part
from .device import CPU, Arrays, DeviceField, Devices
from .inputs import Float32, Problem

__all__ = [
    "Callback",
    "Exact",
    "Iterative",
    "Reconstruction",
    "Setup",
    "State",
    "Sums",
    "added",
    "exactly",
    "iterate",
    "weighted_dot",
]

Sum = TypeVar("Sum")
Sums = tuple[float, float]
"""The sums of W (b - Ax)^2 and of W b^2."""
Exact = tuple[_core.ExactSum, _core.ExactSum]
"""The same of a part of the rays."""


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """What a callback sees after an iteration.

    Attributes
    ----------
    volume : (nz, ny, nx) float32
        A read-only view of the volume so far.
    residual : float
        |b - Ax| / |b|, in the norm of the ray weights.
    sigma : float
        Standard deviation of b - Ax for a ray of weight 1, in the units of the images.
    """

    volume: Float32
    residual: float
    sigma: float


Callback = Callable[[int, State], bool | None]


class Reconstruction(np.ndarray[Any, np.dtype[np.float32]]):
    """A volume that knows how it was found. Its slices and copies know it too; what is computed from it is a plain
    array.

    Attributes
    ----------
    history : tuple of float
        |b - Ax| / |b| of the start volume and after each iteration, in the norm of the ray weights: the last is that
        of the volume.
    iterations : int
        How many were done.
    stopped : str
        What ended them: "iterations", "tolerance", "noise", "callback" or "cancelled".
    """

    history: tuple[float, ...]
    iterations: int
    stopped: str

    @classmethod
    def of(
        cls, volume: Float32, history: list[float], iterations: int, stopped: str
    ) -> Reconstruction:
        """Return a view of ``volume`` with these facts."""
        made = volume.view(cls)
        made.history, made.iterations, made.stopped = tuple(history), iterations, stopped
        return made

    def __array_finalize__(self, parent: Any) -> None:
        self.history = getattr(parent, "history", ())
        self.iterations = getattr(parent, "iterations", 0)
        self.stopped = getattr(parent, "stopped", "")

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        plain = np.asarray(array)
        return plain[()] if return_scalar else plain

    def __reduce__(self) -> tuple[Any, ...]:
        return (
            type(self).of,
            (np.asarray(self), list(self.history), self.iterations, self.stopped),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Setup:
    """One reconstruction, checked and ready to be iterated on.

    Attributes
    ----------
    problem : Problem
    cut : Cut
        What of the fields is in memory at once.
    measured : Field of (n_tilts, height, width)
        b, with 0 for missing pixels.
    weights : Field of (n_tilts, height, width)
        W, 0 for missing rays, 1 at most.
    heaviest : float
        What the largest of the caller's weights was before the division that made it 1.
    rays : int
        How many weights are above 0.
    volume : Field of (nz, ny, nx)
        The start volume inside mask and bounds; the solver works in it.
    started : bool
        Whether the start volume has a voxel that is not 0.
    mask : (nz, ny, nx) or None
        1 where the volume may differ from 0, else 0; any type.
    devices : Devices
        That :meth:`moved` moves the work to.
    target : Field, optional
        Where the result goes once the fields are on a device.
    checkpoint : Checkpoint, optional
        Where :func:`iterate` saves what is needed to go on, and what it goes on from.
    """

    problem: Problem
    cut: Cut
    measured: Field
    weights: Field
    heaviest: float
    rays: int
    volume: Field
    started: bool
    mask: npt.NDArray[Any] | DeviceField | None
    lower: float
    upper: float
    tol: float
    noise: float
    callback: Callback | None
    threads: int
    cancel: _core.CancelToken | None
    progress: Callable[[float], None] | None
    devices: Devices = CPU
    target: Field | None = None
    checkpoint: Checkpoint | None = None

    @property
    def on(self) -> Any:
        """What the steps run on: a number of threads, or the steps of a device."""
        return self.threads if self.cut.steps is None else self.cut.steps

    def moved(self, method: str, *, subsets: int = 1, more: int = 0) -> Setup:
        """Return the same on the devices that were asked for; itself for the CPU.

        The fields move to a device that holds them: as many as :func:`held` says, and ``more`` volumes. Else they stay,
        and the projector pair takes them through the devices in slabs.
        """
        if not self.devices.names:
            return self
        if not self._held_there(method, subsets, more):
            return replace(self, cut=replace(self.cut, devices=self.devices))
        steps = _core.DeviceSteps(self.devices.names[0])
        mask = None if self.mask is None else np.asarray(self.mask) != 0
        measured, weights = (
            DeviceField.of(field.whole(), steps) for field in (self.measured, self.weights)
        )
        if self.started:
            volume = DeviceField.of(self.volume.whole(), steps)
        else:
            volume = DeviceField.zeros(self.volume.shape, steps)
        return replace(
            self,
            cut=replace(self.cut, steps=steps),
            measured=measured,
            weights=weights,
            volume=volume,
            mask=None if mask is None else DeviceField.of(mask, steps),
            target=self.volume,
        )

    def _held_there(self, method: str, subsets: int, more: int) -> bool:
        through = replace(self, cut=replace(self.cut, devices=self.devices))
        pair = through.pair(slice(None, None, subsets)).plan
        if not isinstance(pair, _core.DevicePlan):
            raise AssertionError("chosen_devices lets no other geometry through")
        more += self.mask is not None
        shapes = self.measured.shape, self.volume.shape
        arrays = Arrays.of(method, *shapes, subsets=subsets, more=more)
        return not self.devices.plan(pair, arrays, whole=not self.cut.on_disk).pinned_bytes

    def result(self) -> Float32:
        """Return the volume as an array in the host's memory."""
        if self.target is None or not isinstance(self.volume, DeviceField):
            return self.volume.whole()
        out = self.target.whole()
        self.volume.read_into(out)
        return out

    def pair(self, index: Any = slice(None)) -> Pair:
        """Return the projector pair of some of the images."""
        height, width = self.measured.shape[1:]
        views = self.problem.views
        some = views.geometry.subset(index)
        return Pair(some, self.problem.shape, (height, width), self.cut, views.among)

    def project(self, pair: Pair, volume: Field, out: Field, space: Float32 | None = None) -> None:
        """Set ``out`` to the projections of ``volume``, whose slabs are read into ``space``."""
        pair.project(volume, out, self.threads, self.cancel, space)

    def backproject(self, pair: Pair, part: Part, stack: Field, scratch: Float32) -> Float32:
        """Return the back-projection of ``stack`` in a slab of the volume, in part of ``scratch``."""
        rows = part.cut_from(scratch)
        pair.backproject(part, stack, rows, self.threads, self.cancel)
        return rows

    def keep_inside(self, part: Part, rows: Float32) -> None:
        """Set a slab of a volume to 0 outside the mask."""
        if isinstance(self.mask, DeviceField):
            _core.factor_step(part.rows_of(self.mask), rows, self.on)
        elif self.mask is not None:
            rows *= self.mask[:, part.first : part.last] != 0

    def over_layers(
        self, step: Callable[..., Sum], read: list[Field], changed: list[Field] | None = None
    ) -> list[Sum]:
        """Run ``step`` on parts of the stacks that are read and of those that it changes; return what it returns."""
        targets = changed or []

        # In a function of its own, so that one part is let go before the next is read.
        def run(first: int, last: int) -> Sum:
            mine = [field.layers(first, last) for field in targets]
            found = step(*(field.layers(first, last) for field in read), *mine)
            for field, part in zip(targets, mine, strict=True):
                field.put_layers(first, part)
            return found

        count = [*read, *targets][0].shape[0]
        return [run(first, last) for first, last in self.cut.layer_parts(count)]


def exactly(sums: Iterable[_core.ExactSum]) -> float:
    """Return the sum of all parts."""
    return float(sum(sums, _core.ExactSum()))


def added(sums: Iterable[Exact]) -> Sums:
    """Return the residual sums of all parts."""
    residual, data = _core.ExactSum(), _core.ExactSum()
    for r, d in sums:
        residual, data = residual + r, data + d
    return float(residual), float(data)


class Iterative(Protocol):
    """A solver, for :func:`iterate`."""

    def steps(self, saved: Saved | None) -> Iterator[Sums]:
        """Yield the residual sums of the start volume, then those after each iteration.

        From a checkpoint, whose volume is in ``setup.volume`` already: the same sums as from its iteration on. What
        happens between leaves ``setup.volume`` whole at every place where a cancel token may stop it.
        """

    def state(self) -> Kept:
        """Return what the next iterations depend on besides the volume; asked for where :meth:`steps` has yielded."""


def iterate(setup: Setup, n_iter: int, solver: Iterative) -> Reconstruction:
    """Run a solver until something stops it, from its checkpoint where there is one."""
    checkpoint = setup.checkpoint
    saved = checkpoint.saved() if checkpoint else None
    if saved is not None:
        saved.volume_into("volume", setup.volume, setup.cut)
        setup = replace(setup, started=True)
    history = [] if saved is None else list(saved.history)
    stopped = "iterations"
    steps = solver.steps(saved)
    try:
        for iteration in range(len(history), n_iter + 1):
            residual, data = next(steps)
            history.append(math.sqrt(residual / data) if data > 0 else 0.0)
            if setup.progress and iteration:
                setup.progress(iteration / n_iter)
            why = _stop(setup, iteration, history[-1], residual)
            if why:
                stopped = why
                break
            if checkpoint and 0 < iteration < n_iter and checkpoint.due:
                checkpoint.save(iteration, history, setup.volume, solver.state(), setup.cut)
    except Cancelled:
        stopped = "cancelled"
    return Reconstruction.of(setup.result(), history, max(0, len(history) - 1), stopped)


def _stop(setup: Setup, iteration: int, relative: float, residual: float) -> str:
    """Return why to stop after this iteration, or nothing."""
    sigma = math.sqrt(residual * setup.heaviest / max(1, setup.rays))
    if setup.callback and iteration:
        view = setup.volume.whole().view()
        view.flags.writeable = False
        if setup.callback(iteration, State(volume=view, residual=relative, sigma=sigma)):
            return "callback"
    if setup.noise and sigma <= setup.noise:
        return "noise"
    if setup.tol and relative <= setup.tol:
        return "tolerance"
    return ""


def weighted_dot(weights: Field, a: Field, b: Field | None = None) -> float:
    """Return sum W a b in float64 (sum W a without ``b``), image by image: no temporary of the size of the stack."""
    total = 0.0
    for i in range(weights.shape[0]):
        product = doubled(a.layers(i, i + 1))
        product *= weights.layers(i, i + 1)
        if b is not None:
            product *= b.layers(i, i + 1)
        total += float(product.sum())
    return total
