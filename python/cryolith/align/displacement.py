# SPDX-License-Identifier: BSD-3-Clause
"""The transform between two arrays by Gauss-Newton steps on their weighted correlation, with its covariance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import _core
from .shells import MOST_COHERENT, Shells, Spectra, Weights, crop

__all__ = ["Found", "Subject", "Transform", "basis", "covered", "refine", "warped"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Complex64 = npt.NDArray[np.complex64]

_ROUNDS = 16
# After a step below this many sigmas one more is made, the last.
_SMALL_STEP = 0.1
_MOST_MOVED_PX = 4.0  # at the border in one step: what is further away has lost its phase
_LEAST_BEND = (
    0.1  # of what the spectrum alone tells: a bend below is one of a place far from the maximum
)
_NO_BEND = 1e-4  # of the same: along fringes nothing is known, and errors are that large
_RIDGE = 1e-9  # where few frequencies are held by both their bends may lie in a plane
_LEAST_OVERLAP = 0.02
_SAME_TURN = 1e-3  # of a matrix: the wedge moves by less than a coefficient
_BORDER = 4  # px that are repeated around an array, as many as the kernel reaches


@dataclass(frozen=True)
class Transform:
    """What lies at p in the first array lies at ``matrix p + shift`` in the second, from the centres of both [px]."""

    matrix: Float64
    shift: Float64

    @staticmethod
    def unity(axes: int) -> Transform:
        return Transform(np.eye(axes), np.zeros(axes))

    def after(self, step: Float64) -> Transform:
        """Return self after the small displacement ``step`` (d, 1 + d), which stretches by the exponential."""
        matrix = np.eye(len(step))
        term = np.eye(len(step))
        for k in range(1, 12):
            term = term @ step[:, 1:] / k
            matrix = matrix + term
        return Transform(self.matrix @ matrix, self.shift + self.matrix @ step[:, 0])


@dataclass(frozen=True)
class Subject:
    """An array to register: finite everywhere; its weights fall to 0 at the border and where pixels are missing."""

    values: Float32
    weight: Float32
    coverage: Float32 | None = None  # centred, the whole spectrum; None: it holds all frequencies


@dataclass(frozen=True)
class Found:
    """Where a refinement ended: covariance (d (1 + d), d (1 + d)) is that of the last displacement (i, m)."""

    transform: Transform
    covariance: Float64
    peak: float
    top: float  # highest frequency of any weight [cycles/px]
    evidence: float  # log of how much likelier the arrays are as two views of one scene than as two of two


def basis(model: str, axes: int) -> Float64:
    """Return the displacements that a model allows, (parameters, d (1 + d)) in the order (i, m), m of 1 and p."""
    out = []
    for i in range(axes):  # shifts
        out.append(_single(axes, i, 0))
    if model in ("rigid", "similarity"):
        for i in range(axes):
            for j in range(i + 1, axes):
                out.append(_single(axes, i, 1 + j) - _single(axes, j, 1 + i))
    if model == "similarity":
        out.append(np.asarray(sum(_single(axes, i, 1 + i) for i in range(axes))))
    if model == "affine":
        for i in range(axes):
            for j in range(axes):
                out.append(_single(axes, i, 1 + j))
    return np.array([o.ravel() for o in out])


def _single(axes: int, i: int, m: int) -> Float64:
    out = np.zeros((axes, 1 + axes))
    out[i, m] = 1
    return out


def warped(
    values: Float32,
    transform: Transform,
    shape: tuple[int, ...],
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float32:
    """Return ``values`` seen from the first array: at p what lies at ``matrix p + shift``; the border is continued."""
    padded = np.pad(values, _BORDER, mode="edge")
    middle = (np.array(padded.shape) - 1) / 2
    map_ = np.empty((len(shape), len(shape) + 1))
    map_[:, :-1] = transform.matrix
    map_[:, -1] = middle + transform.shift - transform.matrix @ ((np.array(shape) - 1) / 2)
    out = np.empty(shape, np.float32)
    warp = _core.warp_image if len(shape) == 2 else _core.warp_volume
    warp(padded, map_, out, threads, cancel)
    return out


def covered(
    subject: Subject,
    matrix: Float64,
    shape: tuple[int, ...],
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float32:
    """Return how much the subject, seen through ``matrix``, holds of each coefficient of a half spectrum.

    What holds f in the subject is at the transpose of the matrix times f in what is seen.
    """
    half = (*shape[:-1], shape[-1] // 2 + 1)
    if subject.coverage is None:
        return np.ones(half, np.float32)
    size = np.array(subject.coverage.shape)
    step = size[:, None] * np.linalg.inv(matrix).T / np.array(shape)
    first = np.array([-(n // 2) for n in shape[:-1]] + [0])
    map_ = np.ascontiguousarray(np.column_stack([step, size // 2 + step @ first]))
    seen = np.empty(half, np.float32)
    _core.warp_volume(subject.coverage, map_, seen, threads, cancel)
    seen = np.clip(np.fft.ifftshift(seen, axes=range(len(shape) - 1)), 0, 1)
    return np.ascontiguousarray(seen)


def moments(weights: Float32) -> Float64:
    """Return the sums of weights m n over m, n of 1 and the coordinates from the centre, (1 + d, 1 + d)."""
    d = weights.ndim
    out = np.zeros((1 + d, 1 + d))
    axes = [np.arange(n) - (n - 1) / 2 for n in weights.shape]
    for i in range(d):
        line = weights.sum(axis=tuple(k for k in range(d) if k != i), dtype=np.float64)
        out[0, 0] = line.sum()
        out[0, 1 + i] = out[1 + i, 0] = line @ axes[i]
        out[1 + i, 1 + i] = line @ axes[i] ** 2
        for j in range(i + 1, d):
            plane = weights.sum(
                axis=tuple(k for k in range(d) if k not in (i, j)), dtype=np.float64
            )
            out[1 + i, 1 + j] = out[1 + j, 1 + i] = axes[i] @ plane @ axes[j]
    return out


class Pair:
    """Two subjects, compared at any transform."""

    def __init__(
        self, a: Subject, b: Subject, threads: int = 0, cancel: _core.CancelToken | None = None
    ) -> None:
        self.a, self.b, self.threads, self.cancel = a, b, threads, cancel
        self.shape = a.values.shape
        self.axes = len(self.shape)
        self.padded = tuple(_core.fft_good_size(n) for n in self.shape)
        self.plan = _core.FftPlan(self.padded, self.axes)
        self._shells: tuple[Float64, Shells, Float64] | None = None

    def shells(self, transform: Transform) -> tuple[Shells, Float64]:
        """Return shells and their tensors; those of what both hold are made anew where the second has turned."""
        whole = self.a.coverage is None and self.b.coverage is None
        if self._shells is None or not (whole or _near(transform.matrix, self._shells[0])):
            both = None
            if not whole:
                run = self.padded, self.threads, self.cancel
                both = covered(self.a, np.eye(self.axes), *run) * covered(
                    self.b, transform.matrix, *run
                )
            shells = Shells(self.padded, both)
            self._shells = transform.matrix, shells, shells.tensors()
        return self._shells[1], self._shells[2]

    def shared(self, transform: Transform) -> tuple[list[Float32], Float32]:
        """Return both on the first's pixels, less their mean under one window, and the window."""
        b = warped(self.b.values, transform, self.shape, self.threads, self.cancel)
        seen = warped(self.b.weight, transform, self.shape, self.threads, self.cancel)
        window = self.a.weight * np.clip(seen, 0, 1)
        total = max(float(window.sum(dtype=np.float64)), 1e-30)
        out = []
        for values in (self.a.values, b):
            mean = np.float32(np.vdot(window, values) / total)
            out.append(values - mean)
        return out, window

    def spectrum(self, values: Float32) -> Complex64:
        room = np.zeros(self.padded, np.float32)
        room[tuple(slice(0, n) for n in self.shape)] = values
        out = np.empty(self.plan.spectrum, np.complex64)
        self.plan.rfft(room, out, self.threads, self.cancel)
        return out

    def kept(
        self, half: Complex64, shells: Shells, weights: Weights
    ) -> tuple[Complex64, tuple[int, ...]]:
        """Return a spectrum times the root of its weights, as far as they reach, and the grid that holds that."""
        filtered = half * np.sqrt(weights.weight).astype(np.float32)[shells.of]
        if shells.coverage is not None:
            filtered *= np.sqrt(shells.coverage)
        return crop(filtered, self.padded, (weights.top + 0.5) / shells.longest)

    def inverse(self, half: Complex64, sizes: tuple[int, ...]) -> Float32:
        out = np.empty(sizes, np.float32)
        plan = _core.FftPlan(sizes, self.axes)
        plan.irfft(half, out, 1 / self.plan.count, self.threads, self.cancel)
        return out

    def filtered(self, half: Complex64, shells: Shells, weights: Weights) -> Float32:
        """Return value and derivatives [1/px] of a weighted spectrum on its grid, (1 + d, nz or 1, ny, nx)."""
        half, sizes = self.kept(half, shells, weights)
        out = np.empty((1 + self.axes, *sizes), np.float32)
        out[0] = self.inverse(half, sizes)
        for axis, (n, m) in enumerate(zip(self.padded, sizes, strict=True)):
            last = axis == self.axes - 1
            f = (np.fft.rfftfreq(m) if last else np.fft.fftfreq(m)) * m / n
            ramp = (2j * np.pi * f).astype(np.complex64)
            ramp = ramp.reshape([-1 if k == axis else 1 for k in range(self.axes)])
            out[1 + axis] = self.inverse(half * ramp, sizes)
        return out.reshape(1 + self.axes, *((1,) * (3 - self.axes)), *sizes)

    def step(self, transform: Transform, directions: Float64, last: bool = False) -> Step | None:
        """Return the step from ``transform`` to the maximum of the correlation, and what is known there.

        The window stays while the scene moves: its slopes do not belong to the bend. They are taken out at the
        ``last`` step only, as they make the others a little short and the covariance up to 40 % too small.
        """
        values, window = self.shared(transform)
        squares = window * window
        second, fourth = moments(squares), moments(squares * squares)
        if second[0, 0] < _LEAST_OVERLAP * self.a.values.size:
            return None
        halves = [self.spectrum(window * v) for v in values]
        shells, tensors = self.shells(transform)
        spectra = Spectra.of(shells, *halves)
        independent = second[0, 0] ** 2 / fourth[0, 0] / self.plan.count
        weights = Weights.of(shells, spectra, independent)
        if weights.top == 0:
            return None
        fields = [self.filtered(half, shells, weights) for half in halves]
        if last:
            for axis, slope in enumerate(np.gradient(window)):
                for v, field in zip(values, fields, strict=True):
                    edge, sizes = self.kept(self.spectrum(v * slope), shells, weights)
                    field[1 + axis] -= self.inverse(edge, sizes).reshape(field.shape[1:])
        slopes, bends = self.sums(fields)
        density = _Density.of(tensors, spectra, weights, second[0, 0], self.plan.count)
        return Step.of(directions, slopes, bends, density, second, fourth, weights, shells)

    def sums(self, fields: list[Float32]) -> tuple[Float64, Float64]:
        """Return slopes (d (1 + d)) and bends (d (1 + d), d (1 + d)) of the weighted correlation."""
        d = self.axes
        spacing = np.array(self.padded) / np.array(fields[0].shape[-d:])
        axes = np.column_stack([-(np.array(self.shape) - 1) / 2, spacing])
        out = np.empty(d * (1 + d) + d * (d + 1) // 2 * ((1 + d) * (2 + d) // 2))
        _core.displacement_sums(fields[0], fields[1], axes, out, self.threads, self.cancel)
        out *= spacing.prod()
        return out[: d * (1 + d)], _unpacked(out[d * (1 + d) :], d)


def _near(one: Float64, other: Float64) -> bool:
    return bool(np.abs(one - other).max() < _SAME_TURN)


def _unpacked(packed: Float64, d: int) -> Float64:
    out = np.empty((d, 1 + d, d, 1 + d))
    values = iter(packed)
    for i in range(d):
        for j in range(i, d):
            for m in range(1 + d):
                for n in range(m, 1 + d):
                    v = next(values)
                    out[i, m, j, n] = out[i, n, j, m] = out[j, m, i, n] = out[j, n, i, m] = v
    return out.reshape(d * (1 + d), d * (1 + d))


@dataclass(frozen=True)
class _Density:
    """Bend, and variance of a slope by noise with signal and by noise with noise, per pixel; (d, d) each."""

    bend: Float64
    mixed: Float64
    noise: Float64

    @staticmethod
    def of(tensors: Float64, s: Spectra, weights: Weights, window: float, count: float) -> _Density:
        shared = np.maximum(s.ab, 0) / window
        least = 1 - MOST_COHERENT**2  # of equal arrays, which have no noise
        own_a, own_b = (np.maximum(v - s.ab, least * v) / window for v in (s.aa, s.bb))
        w = weights.weight
        values = w * shared, w**2 * shared * (own_a + own_b), w**2 * own_a * own_b
        return _Density(*(np.einsum("s,sij->ij", v, tensors) / count for v in values))


@dataclass(frozen=True)
class Step:
    displacement: Float64  # (d, 1 + d)
    covariance: Float64
    sigmas: float  # length of the step in sigmas
    moved: float  # px at the border
    peak: float
    top: float
    evidence: float

    @staticmethod
    def of(
        directions: Float64,
        slope: Float64,
        bend: Float64,
        density: _Density,
        second: Float64,
        fourth: Float64,
        weights: Weights,
        shells: Shells,
    ) -> Step:
        d = len(density.bend)

        def spread(tensor: Float64, over: Float64) -> Float64:
            whole = np.einsum("ij,mn->imjn", tensor, over).reshape(d * (1 + d), -1)
            return np.asarray(directions @ whole @ directions.T)

        expected = spread(density.bend, second)
        bend = directions @ bend @ directions.T
        step = -np.linalg.solve(_at_least(bend, expected, _LEAST_BEND), directions @ slope)
        bend = _at_least(bend, expected, _NO_BEND)
        # Noise meets signal where the signal is, which the bend knows; noise meets noise everywhere.
        share = np.trace(density.mixed) / max(np.trace(density.bend), 1e-300)
        variance = share * fourth[0, 0] / second[0, 0] * bend + spread(density.noise, fourth)
        inverse = np.linalg.inv(bend * weights.certain)
        covariance = inverse @ variance @ inverse
        sigmas = float(np.sqrt(step @ np.linalg.solve(covariance, step) / len(step)))
        reach = np.sqrt(np.maximum(np.diag(second), 0) / second[0, 0])
        displacement = (step @ directions).reshape(d, 1 + d)
        moved = float(np.linalg.norm(np.abs(displacement) @ (2 * reach)))
        return Step(
            displacement,
            directions.T @ covariance @ directions,
            sigmas,
            moved,
            weights.peak,
            (weights.top + 0.5) / shells.longest,
            weights.evidence,
        )


def _at_least(bend: Float64, expected: Float64, part: float) -> Float64:
    """Return ``bend`` with no direction below a part of the expected bend."""
    root = np.linalg.cholesky(expected + _RIDGE * np.diag(np.diag(expected)))
    inverse = np.linalg.inv(root)
    values, vectors = np.linalg.eigh(inverse @ bend @ inverse.T)
    side = root @ vectors
    return np.asarray(side @ np.diag(np.maximum(values, part)) @ side.T)


def refine(pair: Pair, start: Transform, model: str, rounds: int = _ROUNDS) -> Found:
    """Follow Gauss-Newton steps from ``start``; infinite covariance where the arrays have nothing in common."""
    directions = basis(model, pair.axes)
    transform, settled = start, False
    for number in range(rounds):
        last = settled or number == rounds - 1
        step = pair.step(transform, directions, last)
        if step is None:
            break
        transform = transform.after(
            step.displacement * min(1.0, _MOST_MOVED_PX / max(step.moved, 1e-30))
        )
        if last:
            break
        settled = step.sigmas < _SMALL_STEP
    if step is None:
        return Found(start, np.full((pair.axes * (1 + pair.axes),) * 2, np.inf), 0.0, 0.0, 0.0)
    return Found(transform, step.covariance, step.peak, step.top, step.evidence)
