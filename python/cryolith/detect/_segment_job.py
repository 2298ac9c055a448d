# SPDX-License-Identifier: BSD-3-Clause
"""One segmentation done over and over: with other thresholds, more noise, other reconstructions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .._arrays import as_core
from ..datamodel import Volume
from ..errors import InputError
from ._inputs import AXES, Float32, Float64, Mask, Table
from ._masks import Cut, Masker, Source, fit_cut
from ._phases import Levels, Measured, Measurer, smoothed
from ._uncertainty import Moves, slopes_by

__all__ = ["Job", "Steps", "as_part", "object_table", "total_table"]


def as_part(volume: Volume | npt.ArrayLike, name: str, shape: tuple[int, ...]) -> Float32:
    """Return another volume of the same specimen as (nz, ny, nx) float32."""
    part: Float32 = as_core(volume.data if isinstance(volume, Volume) else volume, name, AXES)
    if part.shape != shape:
        raise InputError(f"{name}: found shape {part.shape}, expected that of the volume, {shape}")
    return part


@dataclass(frozen=True)
class Steps:
    """What follows from the errors of threshold and levels: slopes by the threshold, and standard deviations."""

    slopes: dict[str, float]
    sigmas: dict[str, float]
    object_slopes: Table
    object_sigmas: Table


@dataclass(frozen=True)
class Job:
    """How a volume is segmented. ``sign`` is -1 where the phase is dark: all work is on a bright one."""

    masker: Masker
    measurer: Measurer
    valid: Mask
    sign: int
    smoothing: float
    threshold: Source | float
    seed: int
    tell: Callable[[], None]

    def prepared(self, data: Float32) -> Float32:
        """Return the values that are compared with the threshold."""
        return smoothed(data * np.float32(self.sign), self.valid, self.smoothing)

    def cut(self, values: Float32) -> Cut:
        threshold = self.threshold
        if not isinstance(threshold, str):
            threshold = self.sign * threshold
        return fit_cut(values, self.valid, threshold, self.seed, self.measurer.threads)

    def measured(self, values: Float32, threshold: float, levels: Levels) -> Measured:
        found = self.measurer(values, self.masker(values, self.valid, threshold, levels), levels)
        self.tell()
        return found

    def at(self, data: Float32, cut: Cut) -> Measured:
        """Measure another volume of the same specimen at the same threshold."""
        return self.measured(self.prepared(data), cut.threshold, cut.levels)

    def anew(self, volumes: Iterable[Volume | npt.ArrayLike]) -> Iterator[Measured]:
        """Measure other reconstructions, each with a threshold of its own."""
        for volume in volumes:
            yield self._alone(volume, "realisations")[0]

    def _alone(self, volume: Volume | npt.ArrayLike, name: str) -> tuple[Measured, Cut]:
        """Measure another reconstruction with a threshold of its own."""
        part = as_part(volume, name, self.valid.shape)
        if not np.isfinite(part[self.valid]).all():
            raise InputError(
                f"{name}: found NaN where the volume has none, expected finite numbers there"
            )
        values = self.prepared(part)
        cut = self.cut(values)
        return self.measured(values, cut.threshold, cut.levels), cut

    def imaged(
        self, data: Float32, cut: Cut, imaging: Callable[[Float32], npt.ArrayLike]
    ) -> tuple[dict[str, float], Cut]:
        """Return what imaging does to the numbers: of a body of two levels like the one found, seen and as it is.

        The threshold and levels of the one seen come with it.
        """
        there = np.isfinite(data)
        bright = smoothed(data * np.float32(self.sign), there, self.smoothing) > cut.threshold
        low, high = (np.float32(self.sign * v) for v in (cut.levels.low, cut.levels.high))
        model: Float32 = np.where(bright & there, high, low)
        seen, own = self._alone(np.asarray(imaging(model)), "imaging")
        exact = cut.levels._replace(low=0.0, high=1.0, reach=0.0)
        truth = self.measurer(bright.astype(np.float32), bright & self.valid, exact)
        return {name: seen.totals[name] - truth.totals[name] for name in truth.totals}, own

    def steps(
        self,
        values: Float32,
        cut: Cut,
        base: Measured,
        columns: tuple[str, ...],
        imaged: Cut | None,
    ) -> Steps:
        """Move threshold and levels each by its error, both ways, and add up by their covariance.

        The step is 1 % of the contrast at least: below it, counts of voxels make the slope. Totals that are corrected
        by what imaging does move less: the levels of what it shows of the body move with those of the data.
        """
        covariance, left = cut.covariance(), cut.covariance(imaged)
        sigmas = np.sqrt(np.diag(covariance))
        slopes: list[tuple[dict[str, float], Table]] = []
        for k, sigma in enumerate(sigmas):
            step = max(float(sigma), 0.01 * cut.levels.contrast)
            pair = [self._moved(values, cut, k, side * step) for side in (-1, 1)]
            slopes.append(slopes_by(base, columns, pair[0], pair[1], step))
        names = list(base.totals)
        total = np.array([[s[0][n] for n in names] for s in slopes])
        spread = np.sqrt(np.maximum(np.einsum("in,ij,jn->n", total, left, total), 0))
        objects: Table = {}
        for name in columns:
            each: Float64 = np.stack([s[1][name] for s in slopes])
            square = np.einsum("in,ij,jn->n", each, covariance, each)
            objects[name] = np.sqrt(np.maximum(square, 0))
        signed = {n: self.sign * v for n, v in slopes[0][0].items()}
        return Steps(
            signed,
            dict(zip(names, spread.tolist(), strict=True)),
            {n: self.sign * v for n, v in slopes[0][1].items()},
            objects,
        )

    def _moved(self, values: Float32, cut: Cut, k: int, step: float) -> Measured:
        levels, threshold = cut.levels, cut.threshold
        if k == 0:
            threshold += step
        elif k == 1:
            levels = levels._replace(low=levels.low + step)
        else:
            levels = levels._replace(high=levels.high + step)
        return self.measured(values, threshold, levels)


def total_table(
    base: Measured,
    steps: Steps,
    moves: dict[str, Moves | None],
    halves: list[Measured],
    imaged: dict[str, float] | None,
) -> Table:
    """Return one row per number of the whole segmentation."""
    names = list(base.totals)
    value = np.array([base.totals[n] for n in names])
    table: Table = {"number": np.array(names), "value": value}
    parts = {"threshold": np.array([steps.sigmas[n] for n in names])}
    unknown = np.full(len(names), np.nan)
    for source, move in moves.items():
        parts[source] = unknown if move is None else np.array([move.totals[n] for n in names])
    bias = unknown
    if imaged is not None:
        bias = np.array([imaged[n] for n in names])
        table["value"] = value - bias
    parts["imaging"] = np.abs(bias) / 2
    table["sigma"] = root_sum(parts)
    table |= {f"sigma_{source}": part for source, part in parts.items()}
    table["d_threshold"] = np.array([steps.slopes[n] for n in names])
    for source, move in moves.items():
        table[f"bias_{source}"] = (
            unknown if move is None else np.array([move.bias[n] for n in names])
        )
    table["bias_imaging"] = bias
    table["corrected"] = table["value"] - np.nan_to_num(table["bias_halves"])
    for k, side in enumerate(("first", "second")):
        table[side] = np.array([halves[k].totals[n] for n in names]) if halves else unknown
    return table


def object_table(
    base: Measured, steps: Steps, moves: dict[str, Moves | None], columns: tuple[str, ...]
) -> Table:
    """Return the objects' columns with those of their errors."""
    table = dict(base.table)
    unknown = np.full(len(table["label"]), np.nan)
    for name in columns:
        parts = {"threshold": steps.object_sigmas[name]}
        for source, move in moves.items():
            parts[source] = unknown if move is None else move.objects[name]
        table[f"sigma_{name}"] = root_sum(parts)
        table |= {f"sigma_{source}_{name}": part for source, part in parts.items()}
        table[f"d_threshold_{name}"] = steps.object_slopes[name]
    for source, move in moves.items():
        table[f"seen_{source}"] = unknown if move is None else move.seen
    return table


def root_sum(parts: dict[str, Float64]) -> Float64:
    """Return the root of the sum of squares of what is known; NaN where nothing is."""
    squares = np.stack(list(parts.values())) ** 2
    total = np.sqrt(np.nansum(squares, axis=0))
    total[np.isnan(squares).all(axis=0)] = np.nan
    return np.asarray(total, np.float64)
