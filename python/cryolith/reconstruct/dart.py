# SPDX-License-Identifier: BSD-3-Clause
"""Discrete reconstruction: a specimen of few grey levels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from typing_extensions import Unpack

from .. import _core
from .._arrays import as_core
from .._fields import Field, MemoryField
from ..errors import InputError
from .checkpoint import Kept, Saved
from .halves import with_halves
from .inputs import Float32, ProjectionsLike, ViewsLike
from .iterate import Exact, Reconstruction, Setup, Sums, added, iterate, weighted_dot
from .options import Options, checked_count, checked_number
from .settings import FIRST, INNER, ITERATIONS
from .setup import as_setup
from .sirt import Sirt
from .subsets import Subset

__all__ = ["dart"]

MOST_LEVELS = 256
LLOYD_ROUNDS = 50


@with_halves()
def dart(
    stack: ProjectionsLike,
    angles_deg: ViewsLike = None,
    *,
    n_iter: int = ITERATIONS["dart"],
    levels: npt.ArrayLike | int = 2,
    first: int = FIRST,
    inner: int = INNER,
    chance: float = 0.15,
    smoothing: float = 0.1,
    seed: int = 0,
    **options: Unpack[Options],
) -> Reconstruction:
    """Reconstruct a specimen of few grey levels: only borders between them move (DART).

    Parameters
    ----------
    stack, angles_deg
        As in :func:`sirt`.
    n_iter : int, default 20
        Rounds of segmenting and correcting.
    levels : (n,) or int, default 2
        The grey levels, empty space (0) included; or how many there are: then they are estimated, the lowest is 0, and
        each round fits the others to the data.
    first : int, default 50
        SIRT iterations before the first segmentation.
    inner : int, default 10
        SIRT iterations of each round on the free voxels: those beside another level, and some drawn by chance.
    chance : float, default 0.15
        Share of the other voxels that are free.
    smoothing : float, default 0.1
        Share of the neighbours' mean in each free voxel after a round.
    seed : int, default 0
        Of the draws.
    **options
        Those of :class:`Options`. The default of ``lower`` is 0; bounds hold for SIRT, the result has the levels
        themselves.

    Returns
    -------
    Reconstruction
        Every voxel is one of the levels, or 0 outside the mask; ``cancel`` in the first SIRT leaves its grey volume.

    Raises
    ------
    InputError
        A wrong shape or value, by name.

    References
    ----------
    Batenburg & Sijbers, IEEE Trans. Image Process. 20 (2011) 2542, section III; levels: van Aarle, Batenburg &
    Sijbers, ibid. 21 (2012) 4608, eq. 8 (the levels that fit the data best for a given segmentation).
    """
    if options.get("device", "cpu") not in ("cpu", "auto"):
        raise InputError(
            f"device: found {options['device']!r} for dart, expected 'cpu': take another method"
        )
    setup = as_setup(stack, angles_deg, {**options, "device": "cpu"})
    solver = _Dart(
        setup,
        levels,
        checked_count(inner, "inner"),
        checked_number(chance, "chance", 0.0, 1.0),
        checked_number(smoothing, "smoothing", 0.0, 1.0),
        checked_count(seed, "seed", 0),
        checked_count(first, "first"),
    )
    return iterate(setup, checked_count(n_iter, "n_iter"), solver)


class _Dart:
    """The grey volume that SIRT works on, its segments and their levels."""

    def __init__(
        self,
        setup: Setup,
        levels: npt.ArrayLike | int,
        inner: int,
        chance: float,
        smoothing: float,
        seed: int,
        first: int,
    ) -> None:
        if setup.cut.on_disk:
            raise InputError(
                "max_memory: dart works on the whole volume, which does not fit; allow more memory or take tv"
            )
        self.setup, self.inner = setup, inner
        self.chance, self.smoothing, self.seed, self.first = chance, smoothing, seed, first
        self.given = np.ndim(levels) > 0
        self.levels = _given_levels(levels) if self.given else np.zeros(_count(levels))
        self.volume = setup.volume.whole()
        self.support = None if setup.mask is None else np.asarray(setup.mask) != 0

    def steps(self, saved: Saved | None) -> Iterator[Sums]:
        """Yield the residual sums of the segmented volume, for :func:`iterate`."""
        setup = self.setup
        self.sirt = Sirt(setup, 1)
        if saved is None:
            self._sirt(self.volume, self.sirt.voxels, setup.started, self.first)
        self.grey = self.volume.copy()
        self.labels = np.empty(self.grey.shape, np.uint8)
        free, smoothed = np.empty_like(self.grey), np.empty_like(self.grey)
        if not self.given:
            shape = setup.measured.shape
            self.parts = [setup.cut.stack(shape) for _ in self.levels[1:]]
        self.round = 0
        if saved is None:
            if not self.given:
                inside = self.grey if self.support is None else self.grey[self.support]
                self.levels = _lloyd(inside, len(self.levels))
            self._segment(self.grey, free)
        else:
            saved.volume_into("grey", MemoryField(self.grey), setup.cut)
            self.levels, self.round = saved.array("levels"), saved.numbers["round"]
            self._label(self.grey)
        while True:
            setup.project(self.subset.pair, setup.volume, self.subset.projected)
            yield self._residual()
            self._free(free)
            np.copyto(self.grey, self.volume, where=free == 0)
            # Where the smoothed volume will be, the weights of the free voxels can be until then.
            free_weights = np.multiply(self.sirt.voxels.whole(), free, out=smoothed)
            self._sirt(self.grey, MemoryField(free_weights), True, self.inner)
            _core.smooth_step(self.grey, free, self.smoothing, smoothed, setup.threads)
            self.grey, smoothed = smoothed, self.grey
            self._segment(self.grey, free)
            self.round += 1

    def state(self) -> Kept:
        """Return what the next rounds depend on besides the volume."""
        return Kept(
            volumes={"grey": MemoryField(self.grey)},
            arrays={"levels": np.asarray(self.levels, np.float64)},
            numbers={"round": self.round},
        )

    def _free(self, free: Float32) -> None:
        """Set 1 where a voxel is free in this round, else 0."""
        _core.free_step(self.labels, self.chance, self.seed + self.round, free, self.setup.threads)
        if self.support is not None:
            free *= self.support

    @property
    def subset(self) -> Subset:
        """All tilts, with the images that SIRT and the segments are projected into in turn."""
        return self.sirt.subsets[0]

    def _residual(self) -> Sums:
        setup = self.setup

        def step(measured: Float32, weights: Float32, projected: Float32) -> Exact:
            return _core.residual_step(measured, weights, None, projected, setup.threads)

        read = [setup.measured, setup.weights]
        return added(setup.over_layers(step, read, [self.subset.projected]))

    def _sirt(self, volume: Float32, weights: Field, started: bool, n_iter: int) -> None:
        """Run SIRT in ``volume`` with these weights of the voxels."""
        steps = self.sirt.steps(MemoryField(volume), weights, 1.0, started=started)
        for _ in range(n_iter + 1):
            next(steps)

    def _segment(self, grey: Float32, scratch: Float32) -> None:
        """Set the volume to the level nearest to each grey voxel; estimated levels are fitted to the data first."""
        self._label(grey)
        if not self.given:
            self._fit_levels(scratch)
            self._label(grey)
        levels = self.levels.astype(np.float32)
        for plane, labels in zip(
            self.volume, self.labels, strict=True
        ):  # all at once needs three volumes
            plane[:] = levels[labels]
        if self.support is not None:
            self.volume *= self.support

    def _label(self, grey: Float32) -> None:
        thresholds = ((self.levels[1:] + self.levels[:-1]) / 2).astype(np.float32)
        _core.segment_step(grey, thresholds, self.labels, self.setup.threads)

    def _fit_levels(self, segment: Float32) -> None:
        """Find the levels above the lowest, 0, whose projections fit the data best, if they keep their order."""
        setup, parts = self.setup, self.parts
        for k, part in enumerate(parts, start=1):
            np.equal(self.labels, k, out=segment, casting="unsafe")
            if self.support is not None:
                segment *= self.support
            setup.project(self.subset.pair, MemoryField(segment), part)
        normal = np.array([[weighted_dot(setup.weights, a, b) for b in parts] for a in parts])
        right = np.array([weighted_dot(setup.weights, a, setup.measured) for a in parts])
        fitted = np.concatenate([[0.0], np.linalg.lstsq(normal, right, rcond=None)[0]])
        if (np.diff(fitted) > 0).all():
            self.levels = fitted


def _count(levels: npt.ArrayLike | int) -> int:
    count = checked_count(levels, "levels", 2)  # type: ignore[arg-type]
    if count > MOST_LEVELS:
        raise InputError(f"levels: found {count}, expected at most {MOST_LEVELS}")
    return count


def _given_levels(levels: npt.ArrayLike) -> npt.NDArray[np.float64]:
    given: npt.NDArray[np.float64] = as_core(levels, "levels", ("n",), np.float64)
    sorted_ = np.sort(given)
    if (
        not 2 <= len(given) <= MOST_LEVELS
        or not np.isfinite(given).all()
        or not np.diff(sorted_).all()
    ):
        raise InputError(
            f"levels: found {levels!r}, expected 2 to {MOST_LEVELS} different finite numbers"
        )
    return sorted_


def _lloyd(values: Float32, count: int) -> npt.NDArray[np.float64]:
    """Return ``count`` levels, the lowest 0, that are the means of the values nearest to them (Lloyd's algorithm)."""
    flat = np.sort(values.reshape(-1)[:: max(1, values.size // 10**6)]).astype(np.float64)
    levels = np.linspace(0.0, max(float(np.quantile(flat, 0.99)), 1e-30), count)
    total = np.concatenate([[0.0], np.cumsum(flat)])
    for _ in range(LLOYD_ROUNDS):
        cuts = np.searchsorted(flat, (levels[1:] + levels[:-1]) / 2, side="right")
        ends = np.append(cuts[1:], len(flat))
        n = ends - cuts
        means = np.divide(total[ends] - total[cuts], n, out=levels[1:].copy(), where=n > 0)
        levels = np.concatenate([[0.0], means])
    return levels
