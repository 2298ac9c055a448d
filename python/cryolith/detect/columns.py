# SPDX-License-Identifier: BSD-3-Clause
"""How many columns make the wall of a tube, counted from its cross-section."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ._inputs import Float64, unit_of
from .cross_sections import CrossSection

__all__ = ["ColumnCount", "count_columns"]

Complex128 = npt.NDArray[np.complex128]

_POINTS = 360  # of the curve along which arc length is measured
_ROUNDS = 25
_PHASES, _STARTS = 8, 2  # places of the first column that are looked at, and that a fit starts from
_LEAST = 40  # frequencies
_MOST_ELONGATED = 0.3  # of the radius
_MOST_DAMPING, _ENOUGH, _TINY = 1e6, 1e-3, 1e-300
_STEP = np.array([1e-4, 1e-4, 1e-4, 1e-5, 1e-5, 1e-4])


@dataclass(frozen=True, kw_only=True, eq=False)
class ColumnCount:
    """What :func:`count_columns` found.

    Attributes
    ----------
    best : int
        The number that explains the section best; 0 where none does better than a wall without columns.
    counts : (n,) int64
        Those that were tried.
    gain : (n,) float64
        Log-likelihood of each over that of a wall without columns, in the noise of the section.
    margin, sigma_margin : float
        Gain of the best over that of the runner-up (another number, or no columns), and its jackknife error over the
        stretches.
    runner_up : int
        0: no columns.
    votes : (k,) int64
        The best number of each stretch by itself, with the walls found for the whole.
    radius, sigma_radius : float [nm, or px without a pixel size]
        Mean radius of the wall, and its error from the noise.
    elongation : float
        Longest over shortest diameter of the wall.
    spacing, sigma_spacing : float [nm or px]
        From column to column along the wall.
    unit : str
    places_px : (best, 2) float64 [px]
        (row, column) of the columns from the middle of the section.
    """

    best: int
    counts: npt.NDArray[np.int64]
    gain: Float64
    margin: float
    sigma_margin: float
    runner_up: int
    votes: npt.NDArray[np.int64]
    radius: float
    sigma_radius: float
    elongation: float
    spacing: float
    sigma_spacing: float
    unit: str
    places_px: Float64


def count_columns(
    section: CrossSection,
    counts: Iterable[int] = range(8, 21),
    *,
    radius_px: float,
    tilts_deg: tuple[float, float] | None = None,
    resolution_px: float = 3.0,
) -> ColumnCount:
    """Count the columns in the wall of a tube, such as the protofilaments of a microtubule.

    Parameters
    ----------
    section : CrossSection
        Of two stretches or more. Columns must run along the axis: what turns about it by more than half a column along
        the whole length is blurred away.
    counts : iterable of int
        Numbers to try, of 2 and more.
    radius_px : float [px]
        About the radius of the wall; within a column's width.
    tilts_deg : (float, float), optional [deg]
        First and last tilt of the images that the volume was made from, tilt axis along y: only the frequencies that
        they hold are compared, so that a missing wedge costs evidence and biases nothing. All when not given.
    resolution_px : float, default 3 [px]
        Period of the finest frequencies that are compared.

    Returns
    -------
    ColumnCount

    Raises
    ------
    InputError
        Fewer than two stretches, a radius outside of the section, numbers below 2, a range of tilts that is none, a
        resolution below 2 px, or too few frequencies left.

    Notes
    -----
    A wall of n equal columns at equal distances along an ellipse has the transform

        F(k) = A(|k|) sum_j exp(-2 pi i k . p_j),

    with A, real and free at each of the radii of the transform's grid, for the shape of a column and the transfer of
    the instrument. Centre, radius, elongation and its direction, and the first column's place are fitted for each n
    by Gauss-Newton with A projected out. The noise at each radius is that of the mean of the stretches. A wall without
    columns is n -> infinity.

    References
    ----------
    Golub & Pereyra, Inverse Problems 19 (2003) R1, section 2 (A projected out; Kaufman's approximation); jackknife:
    Efron, The Jackknife, the Bootstrap and Other Resampling Plans (SIAM 1982), eq. 3.5.
    """
    tried = _checked(section, counts, radius_px, tilts_deg, resolution_px)
    data = _Data.of(section, tilts_deg, resolution_px)
    # Twice the columns that the finest frequency tells apart, and some: then a wall is as good as closed.
    closed = int(4 * math.pi * radius_px / resolution_px) + 24
    ring = _fit(data, closed, np.array([0.0, 0.0, radius_px, 0.0, 0.0, 0.0]), free=5)
    models = {0: _Model(closed, ring)} | {n: _Model(n, _best_fit(data, n, ring)) for n in tried}
    gain = {n: data.explained(model) - data.explained(models[0]) for n, model in models.items()}
    best, second = sorted(gain, key=lambda n: -gain[n])[:2]
    spread = _jackknife(data, models[best], models[second])
    return _result(section, data, models, gain, (best, second, spread))


def _checked(
    section: CrossSection,
    counts: Iterable[int],
    radius: float,
    tilts: tuple[float, float] | None,
    resolution: float,
) -> list[int]:
    tried = sorted({int(n) for n in counts})
    if not tried or tried[0] < 2:
        raise InputError(f"counts: found {tried}, expected whole numbers of 2 and more")
    if len(section.stretches) < 2:
        raise InputError(
            f"section: found {len(section.stretches)} stretch, expected 2 or more for the noise"
        )
    if not 1 < radius < section.stretches.shape[1] // 2:
        raise InputError(
            f"radius_px: found {radius}, expected a length from 1 to half the section, "
            f"{section.stretches.shape[1] // 2}"
        )
    if tilts is not None and not -90 <= tilts[0] < tilts[1] <= 90:
        raise InputError(
            f"tilts_deg: found {tilts}, expected the first and the last tilt within -90 to 90"
        )
    if not resolution >= 2:
        raise InputError(f"resolution_px: found {resolution}, expected a period of 2 px or more")
    return tried


@dataclass(frozen=True)
class _Model:
    """``n`` columns along a wall: centre (2), mean radius, elongation as cosine and sine of twice the angle, place of
    the first column in columns.
    """

    n: int
    wall: Float64

    def places(self) -> tuple[Float64, float]:
        """Return (n, 2) places (row, column) at equal distances along the wall, and its length."""
        turn = np.linspace(0, 2 * math.pi, _POINTS + 1)
        centre, (radius, cosine, sine, first) = self.wall[:2], self.wall[2:]
        distance = radius * (1 + cosine * np.cos(2 * turn) + sine * np.sin(2 * turn))
        curve = distance[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
        at = (np.arange(self.n) + first) / self.n % 1 * along[-1]
        points = np.stack([np.interp(at, along, curve[:, i]) for i in range(2)], axis=1)
        return centre + points, float(along[-1])

    def transform(self, frequencies: Float64) -> Complex128:
        out: Complex128 = np.exp(-2j * math.pi * (frequencies @ self.places()[0].T)).mean(axis=1)
        return out


@dataclass(frozen=True)
class _Data:
    """Frequencies (m, 2) [1/px], transforms of the stretches (k, m), shell of each frequency, weight 1 / variance."""

    frequencies: Float64
    stretches: Complex128
    shell: npt.NDArray[np.intp]
    weight: Float64

    @classmethod
    def of(
        cls, section: CrossSection, tilts: tuple[float, float] | None, resolution: float
    ) -> _Data:
        frequencies, values = section.spectrum()
        n = section.stretches.shape[1]
        size = np.linalg.norm(frequencies, axis=1)
        used = (size > 0.5 / n) & (size < 1 / resolution)
        if tilts is not None:
            seen = section.tilts_of(frequencies)
            used &= (seen >= tilts[0]) & (seen <= tilts[1])
        shell = np.rint(size[used] * n).astype(np.intp)
        k, part = len(values), values[:, used]
        if part.shape[1] < _LEAST:
            raise InputError(
                f"section: found {part.shape[1]} frequencies within tilts_deg and resolution_px, "
                f"expected {_LEAST} or more"
            )
        noise = (np.abs(part - part.mean(axis=0)) ** 2).sum(axis=0) / (k - 1) / k
        mean: Float64 = np.bincount(shell, noise) / np.maximum(np.bincount(shell), 1)
        return cls(frequencies[used], part, shell, 1 / np.maximum(mean, _TINY)[shell])

    @property
    def mean(self) -> Complex128:
        out: Complex128 = self.stretches.mean(axis=0)
        return out

    def shells(self, values: Float64) -> Float64:
        """Return weighted sums over each shell."""
        return np.bincount(self.shell, self.weight * values).astype(np.float64, copy=False)

    def explained(self, model: _Model, values: Complex128 | None = None) -> float:
        """Return the log-likelihood of a model over that of nothing, each shell's factor free."""
        shape = model.transform(self.frequencies)
        cross = self.shells(((self.mean if values is None else values) * shape.conj()).real)
        return float((cross**2 / np.maximum(self.shells(np.abs(shape) ** 2), _TINY)).sum())


def _fit(data: _Data, n: int, start: Float64, free: int) -> Float64:
    """Return the wall near ``start`` that explains most: Levenberg-Marquardt, factors of the shells projected out."""
    wall, reached, damping = start.copy(), data.explained(_Model(n, start)), 1e-2
    for _ in range(_ROUNDS):
        slope, curvature = _normal_equations(data, _Model(n, wall), free)
        step = np.zeros(6)
        while damping < _MOST_DAMPING:
            step[:free] = np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)), slope)
            tried = wall + step
            sane = abs(tried[3]) + abs(tried[4]) < _MOST_ELONGATED and tried[2] > 1
            value = data.explained(_Model(n, tried)) if sane else -math.inf
            if value > reached:
                break
            damping *= 4
        else:
            break
        gained, wall, reached, damping = value - reached, tried, value, damping / 4
        if gained < _ENOUGH:
            break
    return wall


def _normal_equations(data: _Data, model: _Model, free: int) -> tuple[Float64, Float64]:
    shape = model.transform(data.frequencies)
    power = np.maximum(data.shells(np.abs(shape) ** 2), _TINY)
    factor = (data.shells((data.mean * shape.conj()).real) / power)[data.shell]
    slopes = []
    for i in range(free):
        step = np.zeros(6)
        step[i] = _STEP[i]
        ahead, behind = (
            _Model(model.n, model.wall + s * step).transform(data.frequencies) for s in (1, -1)
        )
        slope = (ahead - behind) / (2 * _STEP[i])
        shared = (data.shells((slope * shape.conj()).real) / power)[data.shell]
        slopes.append(factor * (slope - shared * shape))
    columns = np.stack(slopes, axis=1)
    weighted = columns.conj().T * data.weight
    return (weighted @ (data.mean - factor * shape)).real, (weighted @ columns).real


def _best_fit(data: _Data, n: int, ring: Float64) -> Float64:
    starts = np.repeat(ring[None], _PHASES, axis=0)
    starts[:, 5] = np.arange(_PHASES) / _PHASES
    explained = [data.explained(_Model(n, start)) for start in starts]
    walls = [_fit(data, n, starts[i], free=6) for i in np.argsort(explained)[-_STARTS:]]
    return max(walls, key=lambda wall: data.explained(_Model(n, wall)))


def _jackknife(data: _Data, one: _Model, other: _Model) -> float:
    """Return the standard error of the difference of two log-likelihoods, from leaving each stretch out in turn."""
    total, k = data.stretches.sum(axis=0), len(data.stretches)
    means = [(total - part) / (k - 1) for part in data.stretches]
    left = np.array([data.explained(one, m) - data.explained(other, m) for m in means])
    return math.sqrt((k - 1) / k * ((left - left.mean()) ** 2).sum())


def _result(
    section: CrossSection,
    data: _Data,
    models: dict[int, _Model],
    gain: dict[int, float],
    judged: tuple[int, int, float],
) -> ColumnCount:
    best, second, spread = judged
    unit, pixel = unit_of(section.pixel_size)
    wall = models[best].wall
    _, curvature = _normal_equations(data, models[best], 6 if best else 5)
    # A step p takes p C p off the log-likelihood of complex values of variance 1 / weight: covariance (2 C)^-1.
    sigma = math.sqrt(float(np.linalg.inv(2 * curvature)[2, 2]))
    places, length = models[best].places()
    stretched = math.hypot(wall[3], wall[4])
    spacing = length / best * pixel if best else math.nan
    names = np.array(list(models))
    votes = [[data.explained(m, part) for m in models.values()] for part in data.stretches]
    return ColumnCount(
        best=best,
        counts=names[1:],
        gain=np.array([gain[int(n)] for n in names[1:]]),
        margin=gain[best] - gain[second],
        sigma_margin=spread,
        runner_up=second,
        votes=names[np.argmax(votes, axis=1)],
        radius=float(wall[2]) * pixel,
        sigma_radius=sigma * pixel,
        elongation=(1 + stretched) / (1 - stretched),
        spacing=spacing,
        sigma_spacing=spacing * sigma / float(wall[2]),
        unit=unit,
        places_px=places if best else np.zeros((0, 2)),
    )
