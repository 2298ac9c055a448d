# SPDX-License-Identifier: BSD-3-Clause
"""How numbers of a segmentation move: with its threshold, with the noise, and from one reconstruction to another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _core
from ..metrics import NoisePower
from ._inputs import Float32, Float64, Table
from ._phases import Labels, Measured
from ._spectrum import Spectra, as_noise, measured_noise
from ._student import student

__all__ = ["Moves", "noise_volumes", "slopes_by", "spread_of", "widened"]


def widened(draws: Float64) -> Float64:
    """Return by how much a standard deviation from so many draws has to be widened; NaN from fewer than 2."""
    out = np.full(draws.shape, np.nan)
    enough = draws >= 2
    out[enough] = student(draws[enough] - 1)
    return out


class Moves(NamedTuple):
    """By how much numbers move: of all of the segmentation by name, and of its objects by column (n,).

    ``bias``: mean of the draws less the number itself. ``seen`` (n,): share of the draws that show the object.
    """

    totals: dict[str, float]
    bias: dict[str, float]
    objects: Table
    seen: Float64


def spread_of(base: Measured, columns: tuple[str, ...], draws: Iterable[Measured]) -> Moves:
    """Return standard deviations over draws, widened for how few they are."""
    rows: dict[str, list[float]] = {name: [] for name in base.totals}
    tables: dict[str, list[Float64]] = {name: [] for name in columns}
    for draw in draws:
        for name, value in draw.totals.items():
            rows[name].append(value)
        partner = _partners(base.labels, draw.labels, len(base.table["label"]))
        for name in columns:
            tables[name].append(_taken(draw.table[name], partner))
    totals = {}
    for name, values in rows.items():
        count = np.array([len(values)], float)
        totals[name] = float(np.std(values, ddof=1) * widened(count)[0])
    bias = {name: float(np.mean(values)) - base.totals[name] for name, values in rows.items()}
    objects, seen = {}, np.zeros(len(base.table["label"]))
    for name, each in tables.items():
        stacked = np.stack(each)
        there = np.isfinite(stacked)
        count = there.sum(axis=0).astype(float)
        mean = np.where(there, stacked, 0).sum(axis=0) / np.maximum(count, 1)
        square = np.where(there, (stacked - mean) ** 2, 0).sum(axis=0) / np.maximum(count - 1, 1)
        objects[name] = np.sqrt(square) * widened(count)
        seen = count / len(each)
    return Moves(totals, bias, objects, seen)


def slopes_by(
    base: Measured, columns: tuple[str, ...], below: Measured, above: Measured, step: float
) -> tuple[dict[str, float], Table]:
    """Return the slopes of numbers between two segmentations that lie 2 ``step`` apart; NaN where an object is lost."""
    totals = {n: (above.totals[n] - below.totals[n]) / (2 * step) for n in base.totals}
    count = len(base.table["label"])
    pairs = [(m, _partners(base.labels, m.labels, count)) for m in (below, above)]
    objects = {}
    for name in columns:
        low, high = (_taken(m.table[name], partner) for m, partner in pairs)
        objects[name] = (high - low) / (2 * step)
    return totals, objects


def _taken(values: npt.NDArray[np.float64], partner: npt.NDArray[np.int64]) -> Float64:
    """Return the values of the partners, labels from 1; NaN without one."""
    padded = np.concatenate([[np.nan], values])
    return np.asarray(padded[partner], np.float64)


def _partners(base: Labels, other: Labels, count: int) -> npt.NDArray[np.int64]:
    """Return for each object of ``base`` the label of the one in ``other`` that it shares most voxels with, if that
    one shares most with it too; else 0."""
    both = (base > 0) & (other > 0)
    partner = np.zeros(count, np.int64)
    if not both.any():
        return partner
    width = int(other.max()) + 1
    pairs, shared = np.unique(base[both].astype(np.int64) * width + other[both], return_counts=True)
    mine, theirs = pairs // width, pairs % width
    order = np.lexsort((theirs, -shared))  # the largest first; ties go to the lower label
    mine, theirs = mine[order], theirs[order]
    _, first = np.unique(mine, return_index=True)
    _, back = np.unique(theirs, return_index=True)
    mutual = np.intersect1d(first, back)
    partner[mine[mutual] - 1] = theirs[mutual]
    return partner


def noise_volumes(
    shape: tuple[int, int, int],
    difference: Float32 | None,
    noise: NoisePower | npt.ArrayLike | None,
    draws: int,
    seed: int,
    threads: int,
    cancel: _core.CancelToken | None,
) -> Iterator[Float32]:
    """Yield volumes of noise like that of the data: Gaussian, of the spectrum measured or given."""
    spectra = Spectra(shape, threads, cancel)
    if difference is not None:
        power = measured_noise(spectra, difference)
    else:
        assert noise is not None
        power = as_noise(spectra, noise)
    root = np.sqrt(np.maximum(power, 0)).astype(np.float32)
    for i in range(draws):
        rng = np.random.default_rng((seed, i))
        yield spectra.inverse(spectra.forward(rng.standard_normal(shape, np.float32)) * root)
