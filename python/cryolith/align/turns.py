# SPDX-License-Identifier: BSD-3-Clause
"""About how far two arrays are turned, scaled and shifted: log-polar spectra, and correlations of turned copies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import Cancelled
from .displacement import Subject, Transform, covered, warped
from .shells import Shells

__all__ = ["Candidate", "Search", "binned", "fourier_mellin", "plane_turn", "rotations"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

# Log-polar maps. Speckles of a spectrum are 1 / (n f) wide: at the highest radius a sample is half of that for 200 px.
_ANGLES, _RADII = 512, 384
_LOW, _HIGH = 0.02, 0.4  # cycles/px
_DISC = 0.6  # of the radius; beyond, the round window falls off
_BRIGHT = 3.0  # times the mean: single bright coefficients must not decide
_SCALES = (0.65, 1.5)  # searched: 0.7 to 1.4 and a margin
_RIGID_SAMPLES = 3
# The search of shifts: as in search.cpp.
_TAPER, _SLOW, _NOISE_FROM, _NOISE_FLOOR = 0.12, 0.01, 0.1, 1e-4
_SEPARATE = 3  # px between maxima that are told apart
_PEAKS = 4


@dataclass(frozen=True)
class Candidate:
    """A transform and how far its correlation stands out: the maximum over the map's rms."""

    height: float
    transform: Transform

    def scaled(self, factor: float) -> Candidate:
        """Return the same for arrays that are ``factor`` times finer."""
        return Candidate(
            self.height, Transform(self.transform.matrix, factor * self.transform.shift)
        )


def binned(subject: Subject, binning: int) -> Subject:
    """Return means over blocks; what does not fill a block is left off at both ends."""
    if binning == 1:
        return subject

    def means(values: Float32) -> Float32:
        for axis, n in enumerate(values.shape):
            m = n // binning
            first = (n - m * binning) // 2
            cut = np.take(values, range(first, first + m * binning), axis)
            values = cut.reshape(*cut.shape[:axis], m, binning, *cut.shape[axis + 1 :]).mean(
                axis + 1
            )
        return np.ascontiguousarray(values)

    coverage = subject.coverage
    if coverage is not None:
        sizes = [max(2, n // binning) for n in coverage.shape]
        coverage = np.ascontiguousarray(
            coverage[
                tuple(
                    slice(n // 2 - m // 2, n // 2 - m // 2 + m)
                    for n, m in zip(coverage.shape, sizes, strict=True)
                )
            ]
        )
    return Subject(means(subject.values), means(subject.weight), coverage)


def plane_turn(degrees: float) -> Float64:
    """Return the rotation in (row, column) that turns +x towards +y."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, s], [-s, c]])


def rotations(most_deg: float, reach_deg: float) -> list[Float64]:
    """Return rotations of (z, y, x) such that each by at most ``most_deg`` is within ``reach_deg`` of one of them.

    A body-centred lattice of rotation vectors, the thinnest known covering of space; towards half a turn it is up to
    2.5 times denser than needed.
    """
    most, reach = np.deg2rad(min(most_deg, 180.0)), np.deg2rad(reach_deg)
    edge = reach * 4 / np.sqrt(5)  # of a body-centred cubic cell with this covering radius
    n = int(np.ceil(most / edge)) + 1
    cells = np.stack(np.meshgrid(*[np.arange(-n, n + 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
    points = np.concatenate([cells, cells + 0.5]) * edge
    length = np.linalg.norm(points, axis=1)
    points = points[(length <= most + reach / 2) & (length <= np.pi)]
    points = points[np.argsort(np.linalg.norm(points, axis=1), kind="stable")]
    return [_rotation(p) for p in points]


def _rotation(vector: Float64) -> Float64:
    """Rodrigues' formula for a rotation vector in (z, y, x): a right-handed turn about it."""
    angle = np.linalg.norm(vector)
    if angle == 0:
        return np.eye(3)
    z, y, x = vector / angle
    # In the order (z, y, x): w x v is negative to the formula of (x, y, z).
    cross = np.array([[0, x, -y], [-x, 0, z], [y, -z, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


class Search:
    """Shift of turned copies of ``b`` against ``a``, by one weighted correlation each."""

    def __init__(
        self,
        a: Subject,
        b: Subject,
        max_shift: float,
        threads: int = 0,
        cancel: _core.CancelToken | None = None,
    ) -> None:
        self.b, self.threads, self.cancel = b, threads, cancel
        shape = self.seen = a.values.shape
        self.axes = len(shape)
        self.shape = tuple(_core.fft_good_size(int(n + min(max_shift, n)) + 1) for n in shape)
        self.reach = [min(int(np.ceil(max_shift)), n // 2 - 1) for n in self.shape]
        self.plan = _core.FftPlan(self.shape, self.axes)
        self.shells = Shells(self.shape)
        self.windowed = [_faded(s) for s in (a, b)]
        self.flat = not all(v.any() for v in self.windowed)
        spectra = [self._spectrum(v) for v in self.windowed]
        held = covered(a, np.eye(self.axes), self.shape, threads, cancel)
        self.first = spectra[0].conj() * held
        self.weight = self._weights(spectra)[self.shells.of]

    def _spectrum(self, values: Float32) -> npt.NDArray[np.complex64]:
        room = np.zeros(self.shape, np.float32)
        room[tuple(slice(0, n) for n in values.shape)] = values
        out = np.empty(self.plan.spectrum, np.complex64)
        self.plan.rfft(room, out, self.threads, self.cancel)
        return out

    def _weights(self, spectra: list[npt.NDArray[np.complex64]]) -> Float32:
        """Return Hannan and Thomson's weight of each shell, signal being what stands above the lowest shell."""
        shells = self.shells
        f = np.arange(shells.count) / shells.longest
        signal, noise = [], []
        for s in spectra:
            power = shells.means(shells.sums(s.real**2 + s.imag**2))
            high = power[(f >= _NOISE_FROM) & (power > 0)]
            level = max(high.min(initial=power.max()), _NOISE_FLOOR * power.max())
            signal.append(np.maximum(power - level, 0))
            noise.append(level)
        s = np.sqrt(signal[0] * signal[1])
        if not s.any():
            s = np.ones_like(s)
        w = s / np.maximum(noise[0] * noise[1] + s * (noise[0] + noise[1]), 1e-300)
        w *= 1 - np.exp(-(f**2) / (2 * _SLOW**2))
        w[0] = 0
        return np.asarray(w / max(w.max(), 1e-300), np.float32)

    def best(self, matrices: Iterable[Float64], count: int) -> list[Candidate]:
        """Return the highest maxima of all, the highest first; of one map at most four."""
        found: list[Candidate] = []
        for matrix in matrices:
            if self.cancel is not None and self.cancel.cancelled:
                raise Cancelled("register: cancelled")
            found += self.maxima(matrix)
            found = sorted(found, key=lambda c: -c.height)[:count]
        return found

    def maxima(self, matrix: Float64) -> list[Candidate]:
        """Return the highest maxima of the correlation with ``b`` seen through ``matrix``."""
        if self.flat:
            return []
        turned = Transform(matrix, np.zeros(self.axes))
        # Zero around: the window has faded there.
        values = warped(self.windowed[1], turned, self.seen, self.threads, self.cancel)
        cross = self.first * self._spectrum(values)
        cross *= self.weight
        if self.b.coverage is not None:
            cross *= covered(self.b, matrix, self.shape, self.threads, self.cancel)
        map_ = np.empty(self.shape, np.float32)
        self.plan.irfft(cross, map_, 1.0, self.threads, self.cancel)
        rms = float(np.sqrt(np.vdot(map_, map_) / map_.size))
        if rms == 0:
            return []
        for axis, reach in enumerate(self.reach):
            map_ = np.take(map_, range(-reach, reach + 1), axis)
        out = []
        for _ in range(_PEAKS):
            at = np.unravel_index(int(map_.argmax()), map_.shape)
            if not map_[at] > 0:
                break
            shift = np.array(at) - np.array(self.reach)
            out.append(Candidate(float(map_[at]) / rms, Transform(matrix, matrix @ shift)))
            map_[tuple(slice(max(0, k - _SEPARATE), k + _SEPARATE + 1) for k in at)] = 0
        return out


def _faded(subject: Subject) -> Float32:
    """Return values less their mean under a wide window: one that stays in place pulls the shift towards zero."""
    window = subject.weight
    for axis, n in enumerate(window.shape):
        t = np.minimum(np.arange(n), n - 1 - np.arange(n)) / max(1.0, _TAPER * n)
        edge = (0.5 - 0.5 * np.cos(np.pi * np.clip(t, 0, 1))).astype(np.float32)
        window = window * edge.reshape([-1 if k == axis else 1 for k in range(window.ndim)])
    mean = np.vdot(window, subject.values) / max(float(window.sum()), 1e-30)
    return np.asarray(window * (subject.values - np.float32(mean)))


def fourier_mellin(
    a: Subject, b: Subject, *, scaled: bool, count: int, threads: int = 0
) -> list[Float64]:
    """Return matrices of likely turns (and scales) of image ``b`` against ``a``, half turns included.

    The power spectrum of a shifted, turned and scaled image is a turned and scaled one: on log-polar axes it is moved
    (B. S. Reddy and B. N. Chatterji, IEEE Trans. Image Process. 5 (1996) 1266). Each radius is divided by its mean
    and weighted by the square of its signal over its power, and by frequency, as speckles are as wide everywhere.
    """
    maps = [_log_polar(s, threads) for s in (a, b)]
    rows, columns = _ANGLES, _core.fft_good_size(2 * _RADII)
    spectra = []
    for m in maps:
        room = np.zeros((rows, columns), np.float32)
        room[:, :_RADII] = m
        spectra.append(np.fft.rfft2(room))
    map_ = np.fft.irfft2(spectra[0].conj() * spectra[1], s=(rows, columns))
    growth = np.log(_HIGH / _LOW) / (_RADII - 1)
    reach = int(np.log(_SCALES[1]) / growth) if scaled else _RIGID_SAMPLES
    map_ = np.roll(map_, reach, axis=1)[:, : 2 * reach + 1]
    out = []
    for _ in range(count):
        i, j = np.unravel_index(int(map_.argmax()), map_.shape)
        # b(rho) = a(rho + log m): a magnified image has a smaller spectrum.
        magnification = np.exp(-(j - reach) * growth) if scaled else 1.0
        for turn in (0.0, 180.0):
            out.append(magnification * plane_turn(180.0 * i / rows + turn))
        near = np.arange(i - _SEPARATE, i + _SEPARATE + 1) % rows
        map_[near, max(0, j - _SEPARATE) : j + _SEPARATE + 1] = -np.inf
    return out


def _log_polar(subject: Subject, threads: int) -> Float64:
    ny, nx = subject.values.shape
    radius = np.hypot(np.arange(ny)[:, None] - (ny - 1) / 2, np.arange(nx) - (nx - 1) / 2)
    fall = np.clip((radius / (min(ny, nx) / 2) - _DISC) / (1 - _DISC), 0, 1)
    window = subject.weight * (0.5 + 0.5 * np.cos(np.pi * fall))
    values = window * (subject.values - np.vdot(window, subject.values) / window.sum())
    py, px = (_core.fft_good_size(2 * n) for n in (ny, nx))
    room = np.zeros((py, px), np.float32)
    room[:ny, :nx] = values
    plan = _core.FftPlan((py, px), 2)
    half = np.empty(plan.spectrum, np.complex64)
    plan.rfft(room, half, threads)
    out = np.empty((_ANGLES, _RADII), np.float32)
    _core.log_polar(half.real**2 + half.imag**2, px, _LOW, _HIGH, out, threads)
    mean = out.mean(axis=0, dtype=np.float64)
    smooth = np.convolve(np.pad(mean, 8, mode="edge"), np.full(17, 1 / 17), "valid")
    signal = np.maximum(1 - smooth.min() / np.maximum(smooth, 1e-300), 0)
    f = _LOW * (_HIGH / _LOW) ** (np.arange(_RADII) / (_RADII - 1))
    even = np.minimum(out / np.maximum(mean, 1e-300), _BRIGHT)
    return np.asarray((even - even.mean(axis=0)) * signal * f)
