# SPDX-License-Identifier: BSD-3-Clause
"""Centre lines by likelihood: where a line runs and ends such that what the reconstruction shows of it fits best.

A line is a row of beads, each the same Gaussian. With B(x) the matched filter's output for a bead at x and K(d) the
filter's response to a bead at a distance d, the log likelihood of a line of the best amplitude over none is
S^2 / (2 Q), S = sum s_i B(x_i) and Q = sum s_i s_j K(x_i - x_j), s_i the length that a bead stands for. Of several
lines together it is S^T Q^-1 S / 2, with an S for each and a Q for each two.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _core
from ._inputs import Float32, Float64
from ._oriented_bank import OrientedBank
from ._oriented_peaks import newton_step

__all__ = [
    "KNOT",
    "BeadFields",
    "Beads",
    "LineFit",
    "Rows",
    "best_piece",
    "fit_line",
    "fit_together",
    "likeliest",
    "through",
]

_BEAD = 1.2  # widths between beads: their row ripples by less than 0.1 %
_FEWEST = 3  # beads
_MOVE = 0.5  # px: of differences, and twice that the farthest that one round moves
_TRIAL_ROUNDS, _ROUNDS = 4, 8
_SETTLED = 0.02  # of log likelihood
KNOT = 4.0  # log likelihood that a further knot has to bring: noise alone brings 1 on average
# Lines that a length's error is made of: of widths that suit a longer tail.
_DRAWS, _WIDE = 256, 1.15
_APART = 1.5  # filter lengths between knots, at least
_COUNTS = (2, 3, 4, 6, 8, 11, 15)  # of knots


class LineFit(NamedTuple):
    """A fitted line.

    Attributes
    ----------
    knots : (n, 3) float64
        A natural cubic spline goes through them, evenly spaced in its parameter; the first and last are the ends.
    length, sigma_length : float
        [px]
    amplitude : float
        Positive.
    gain : float
        Log likelihood over no line, less what its knots owe to noise.
    """

    knots: Float64
    length: float
    sigma_length: float
    amplitude: float
    gain: float

    def points(self, step: float) -> tuple[Float64, Float64, Float64]:
        """Return (n, 3) points about ``step`` apart, the unit vectors along the line there, and the length of each."""
        count = max(3, math.ceil(self.length / step))
        return spline_points(self.knots, count)


def spline_points(knots: Float64, count: int) -> tuple[Float64, Float64, Float64]:
    """Return the middles of ``count`` equal pieces of a spline's parameter, unit tangents, and their lengths."""
    value, slope = _basis(len(knots), count)
    run = slope @ knots
    norm = np.linalg.norm(run, axis=1)
    return value @ knots, run / np.maximum(norm, 1e-9)[:, None], norm / count


def _basis(knots: int, count: int) -> tuple[Float64, Float64]:
    """Return (count, knots) values and slopes of natural cubic splines over a parameter from 0 to 1."""
    t = (np.arange(count) + 0.5) / count * (knots - 1)
    low = np.minimum(t.astype(int), knots - 2)
    b = t - low
    a = 1 - b
    bend = np.zeros((knots, knots))
    if knots > 2:
        inner = knots - 2
        left = np.eye(inner) * 4 + np.eye(inner, k=1) + np.eye(inner, k=-1)
        right = 6 * (np.eye(inner, knots) - 2 * np.eye(inner, knots, 1) + np.eye(inner, knots, 2))
        bend[1:-1] = np.linalg.solve(left, right)
    one = np.eye(knots)
    a, b = a[:, None], b[:, None]
    value: Float64 = a * one[low] + b * one[low + 1]
    value += ((a**3 - a) * bend[low] + (b**3 - b) * bend[low + 1]) / 6
    slope = one[low + 1] - one[low]
    slope = slope + (-(3 * a**2 - 1) * bend[low] + (3 * b**2 - 1) * bend[low + 1]) / 6
    return value, slope * (knots - 1)


class Beads:
    """A row of beads of one width in one filtered volume: how likely it is."""

    def __init__(self, bank: OrientedBank, field: Float32, width: float) -> None:
        self.bank, self.spectra, self.width, self.length = bank, bank.spectra, width, bank.length
        self.scale = (math.sqrt(2 * math.pi) * width) ** (-1 if bank.kind == "tubes" else -2)
        self.last = np.array(field.shape) - 1.0
        self.field = bank.bead_signal(field, width)

    def inside(self, places: Float64) -> npt.NDArray[np.bool_]:
        """Return which places (..., 3) are in the volume: it repeats beyond its faces."""
        return np.asarray(((places >= 0) & (places <= self.last)).all(axis=-1))

    def signal(self, places: Float64) -> Float64:
        """Return the filter's output (n,) for unit lengths of a line, or areas of a sheet, of amplitude 1."""
        return self.scale * self._sampled(self.field, places)

    def overlaps(self, gaps: Float64, other: Beads) -> Float64:
        """Return the filter's response (n,) between unit lengths or areas of these and others at distances (n, 3)."""
        kernel = self.bank.bead_overlap(self.width, other.width)
        return self.scale * other.scale * self._sampled(kernel, gaps)

    def _sampled(self, coefficients: Float32, places: Float64) -> Float64:
        out = np.empty(len(places))
        _core.spline_samples(
            coefficients,
            np.ascontiguousarray(places),
            out,
            self.spectra.threads,
            self.spectra.cancel,
        )
        return out

    def gram(self, places: Float64) -> Float64:
        """Return the (n, n) overlaps of beads."""
        n = len(places)
        first, second = np.triu_indices(n)
        out = np.empty((n, n))
        out[first, second] = out[second, first] = self.overlaps(
            places[first] - places[second], self
        )
        return out

    def count(self, length: float) -> int:
        """Return how many make a line of a length."""
        return max(3, math.ceil(length / (_BEAD * self.width)))


class Rows:
    """Rows of beads in one filtered volume, each along its own spline: how likely they are together.

    Knots of all lines are one (n, 3) array, ``counts`` of them for each.
    """

    def __init__(self, beads: Sequence[Beads], signs: Sequence[int], counts: Sequence[int]) -> None:
        self.beads, self.signs = beads, np.array(signs)
        self._cuts = np.cumsum(counts)[:-1]

    def parts(self, knots: Float64) -> list[Float64]:
        """Return the knots of each line."""
        return np.split(knots, self._cuts)

    def sums(self, knots: Float64) -> tuple[Float64, Float64]:
        """Return S (n,) and Q (n, n): Q^-1 S are the amplitudes that fit best."""
        rows = []
        for beads, part in zip(self.beads, self.parts(knots), strict=True):
            length = float(np.linalg.norm(np.diff(part, axis=0), axis=1).sum())
            rows.append(spline_points(part, beads.count(length)))
        n = len(rows)
        total, power = np.empty(n), np.empty((n, n))
        for i, (places, _, shares) in enumerate(rows):
            beads = self.beads[i]
            total[i] = shares @ beads.signal(places)
            power[i, i] = max(float(shares @ beads.gram(places) @ shares), 1e-30)
            for j, (others, _, weights) in enumerate(rows[:i]):
                gaps = (places[:, None] - others[None]).reshape(-1, 3)
                between = beads.overlaps(gaps, self.beads[j]).reshape(len(places), -1)
                power[i, j] = power[j, i] = shares @ between @ weights
        return total, power

    def amplitudes(self, knots: Float64) -> Float64:
        """Return the signed amplitudes that fit best."""
        total, power = self.sums(knots)
        return _solved(power, total)

    def of(self, knots: Float64) -> float:
        """Return the log likelihood over no line. One that would be of the other sign takes off what it would bring."""
        total, power = self.sums(knots)
        right = self.signs * _solved(power, total) > 0
        gain = 0.5 * total[right] @ _solved(power[np.ix_(right, right)], total[right])
        wrong = 0.5 * (total[~right] ** 2 / np.diagonal(power)[~right]).sum()
        return float(gain - wrong)

    def inside(self, knots: Float64) -> bool:
        """Return whether all knots are in the volume."""
        return bool(self.beads[0].inside(knots).all())

    def moves(self, knots: Float64) -> Float64:
        """Return (p, n, 3) unit moves: ends in all directions, knots between them across their line."""
        out, first = [], 0
        for part in self.parts(knots):
            for i, way in _moves(part):
                out.append(np.zeros_like(knots))
                out[-1][first + i] = way
            first += len(part)
        return np.array(out)


def _solved(power: Float64, total: Float64) -> Float64:
    """Return Q^-1 S; lines that lie on each other share what is there."""
    return np.asarray(np.linalg.lstsq(power, total, rcond=1e-9)[0], np.float64)


class BeadFields:
    """Rows of beads of all widths in one filtered volume; made when asked for."""

    def __init__(self, bank: OrientedBank, field: Float32) -> None:
        self.bank, self.field = bank, field
        self._made: dict[float, Beads] = {}

    def of(self, width: float) -> Beads:
        """Return those of a width."""
        if width not in self._made:
            self._made[width] = Beads(self.bank, self.field, width)
        return self._made[width]


def best_piece(beads: Beads, line: Float64, sign: int) -> tuple[Float64, float]:
    """Return the piece of a line of evenly spaced points that fits best, and its log likelihood."""
    step = float(np.linalg.norm(np.diff(line, axis=0), axis=1).mean())
    skip = max(1, round(_BEAD * beads.width / step))
    some = line[::skip]
    some = some[beads.inside(some)]
    if len(some) < _FEWEST:
        return some, -math.inf
    total = np.concatenate([[0.0], np.cumsum(sign * beads.signal(some))])
    square = np.zeros((len(some) + 1,) * 2)
    square[1:, 1:] = beads.gram(some).cumsum(axis=0).cumsum(axis=1)
    low, high = np.triu_indices(len(some) + 1, _FEWEST)
    signal = total[high] - total[low]
    power = square[high, high] - square[low, high] - square[high, low] + square[low, low]
    gain = np.where(signal > 0, signal**2 / (2 * np.maximum(power, 1e-12)), -math.inf)
    at = int(gain.argmax())
    return some[low[at] : high[at]], float(gain[at])


def fit_line(beads: Beads, line: Float64, sign: int) -> LineFit | None:
    """Return the spline of the fewest knots that fits, starting from the points of a line.

    None where the best line is of the other sign.
    """
    best: tuple[float, Float64] | None = None
    length = float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())
    for count in _COUNTS:
        if best is not None and length / (count - 1) < _APART * beads.length:
            break
        row = Rows([beads], [sign], [count])
        knots, gain = _climbed(row, through(line, count), _TRIAL_ROUNDS)
        gain -= KNOT * (count - 2)
        if best is None or gain > best[0]:
            best = gain, knots
    assert best is not None
    row = Rows([beads], [sign], [len(best[1])])
    knots, gain = _climbed(row, best[1], _ROUNDS)
    if gain <= 0:
        return None
    return _measured(row, knots, gain - KNOT * (len(knots) - 2))[0]


def fit_together(rows: Rows, knots: Float64) -> list[LineFit]:
    """Return lines fitted together, from knots near the top on: their errors are those of lines that may all move."""
    knots, gain = _climbed(rows, knots, _ROUNDS)
    return _measured(rows, knots, gain)


def likeliest(fits: Sequence[LineFit | None]) -> LineFit | None:
    """Return the likeliest of some fits, the error of its length that of all of them, each as much as it is likely."""
    tops = [f for f in fits if f is not None]
    if not tops:
        return None
    best = max(tops, key=lambda f: f.gain)
    square = [f.sigma_length**2 + (f.length - best.length) ** 2 for f in tops]
    share = [math.exp(f.gain - best.gain) for f in tops]
    return best._replace(sigma_length=math.sqrt(float(np.average(square, weights=share))))


def through(line: Float64, count: int) -> Float64:
    """Return the knots of the spline nearest to evenly spaced points."""
    value, _ = _basis(count, len(line))
    return np.asarray(np.linalg.lstsq(value, line, rcond=None)[0], np.float64)


def _moves(knots: Float64) -> Iterator[tuple[int, Float64]]:
    """Yield knots of one line with unit moves: ends in all directions, knots between them across the line."""
    n = len(knots)
    for i in range(n):
        ways = np.eye(3)
        if i not in (0, n - 1):
            ways = np.linalg.svd((knots[i + 1] - knots[i - 1])[None])[2][1:]
        for way in ways:
            yield i, way


def _climbed(rows: Rows, knots: Float64, rounds: int) -> tuple[Float64, float]:
    """Return knots and log likelihood after Newton steps uphill."""
    now = rows.of(knots)
    for _ in range(rounds):
        moves = _MOVE * rows.moves(knots)

        def value(step: Float64, knots: Float64 = knots, moves: Float64 = moves) -> Float64:
            return np.array([rows.of(knots + np.tensordot(step[0], moves, 1))])

        step = np.clip(newton_step(value, 1, len(moves))[0], -4, 4)
        for shorter in (1.0, 0.5, 0.2):
            trial = knots + np.tensordot(shorter * step, moves, 1)
            then = rows.of(trial) if rows.inside(trial) else -math.inf
            if then > now:
                break
        else:
            break
        gained, knots, now = then - now, trial, then
        if gained < _SETTLED:
            break
    return knots, now


def _measured(rows: Rows, knots: Float64, gain: float) -> list[LineFit]:
    """Return the lines with their lengths and the errors of these."""
    moves = _MOVE * rows.moves(knots)
    p = len(moves)

    def moved(step: Float64) -> Float64:
        return np.asarray(knots + np.tensordot(step, moves, 1))

    def at(step: Float64) -> float:
        return rows.of(moved(step))

    unit = np.eye(p)
    middle, up, down = at(np.zeros(p)), [at(e) for e in unit], [at(-e) for e in unit]
    bend = np.empty((p, p))
    for i in range(p):
        bend[i, i] = up[i] + down[i] - 2 * middle
        for j in range(i):
            bend[i, j] = bend[j, i] = at(unit[i] + unit[j]) - up[i] - up[j] + middle
    steps, free = _draws(bend)
    trials = [moved(step) for step in steps]
    held = np.array([rows.inside(t) for t in trials])
    share = np.where(held, np.array([rows.of(t) for t in trials]) - free, -math.inf)
    share = np.exp(share - share.max())
    out = []
    amplitudes = np.abs(rows.amplitudes(knots))
    for i, (part, amplitude) in enumerate(zip(rows.parts(knots), amplitudes, strict=True)):
        length = length_of(part)
        square = np.square([length_of(rows.parts(t)[i]) - length for t in trials])
        sigma = math.sqrt(float(np.average(square, weights=share)))
        out.append(LineFit(part, length, sigma, float(amplitude), gain))
    return out


def _draws(bend: Float64) -> tuple[Float64, Float64]:
    """Return (n, p) steps from a top of this curvature, and the logarithm of how often each is drawn.

    Weighted by likelihood over that (importance sampling) they have the errors of the top as it is: beside another line
    its curvature may be next to nothing, and the likelihood falls a few pixels on.
    """
    values, vectors = np.linalg.eigh(-bend)
    values = np.maximum(values, 0.02 * _MOVE**2)  # no move is known worse than to 7 px
    half = _WIDE * np.random.default_rng(0).standard_normal((_DRAWS // 2, len(bend)))
    normal = np.concatenate([half, -half])
    return (normal / np.sqrt(values)) @ vectors.T, -0.5 * (normal**2).sum(axis=1) / _WIDE**2


def length_of(knots: Float64) -> float:
    """Return the length of a spline."""
    return float(spline_points(knots, 16 * (len(knots) - 1))[2].sum())
