# SPDX-License-Identifier: BSD-3-Clause
"""Of what size, sign and profile the beads of a series are, from its images of lowest tilt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .beads import Fits, Padded, ProfileSums, fit_spots, maxima, robust_scale, spots
from .beads_profile import Noise, Profile

__all__ = ["Kind", "kinds", "round_spots"]

Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

_LEAST_DIAMETER_PX = 5.0
_MOST_DIAMETER = 0.1  # of the shorter edge
_RATIO = 1.15
_WIDTH = 0.08  # of the peaks in the logarithm of the diameter
_HEIGHT, _LIKENESS = 6.0, 0.35
_KINDS = 3  # of each sign, at most
_MOST_SPOTS = 60
_SCREEN_ROUNDS = 4
_PROFILE_ROUNDS = 2
_ROUND = 0.15  # growth and stretch of a spot that may be a bead among others, and 2.5 sigma
_ALIKE = 0.2  # of the logarithm of their brightness
_ENOUGH = 12  # beads; more do not make a kind likelier
_LEAST_ROUND = 3  # spots in an image, in the median
_SURE = 6.0  # brightness over its error
_AMPLITUDES = (0.5, 1.8)  # of the median of the kind


@dataclass(frozen=True, kw_only=True, eq=False)
class Kind:
    """One kind of spot: sign (1 bright, -1 dark), profile, signed brightness of its middle, and how many an image."""

    sign: int
    profile: Profile
    amplitude: float
    count: float


def _ladder(shape: tuple[int, int], diameter_px: float | None) -> Float64:
    if diameter_px is not None:
        return diameter_px * _RATIO ** np.arange(-1.0, 2.0)
    most = max(_MOST_DIAMETER * min(shape), 2 * _LEAST_DIAMETER_PX)
    steps = int(np.ceil(np.log(most / _LEAST_DIAMETER_PX) / np.log(_RATIO)))
    return _LEAST_DIAMETER_PX * _RATIO ** np.arange(steps + 1.0)


def _scale_maxima(image: Float32, diameters: Float64) -> Float64:
    """Spots (k, 4) of an image, maxima over place and size: logarithm of the diameter, response, likeness, sign."""
    padded = Padded(image, int(np.ceil(diameters[-1])) + 2)
    both = [padded.filtered(Profile.soft_disc(d / 2)) for d in diameters]
    stack, likes = (np.stack(part) for part in zip(*both, strict=True))
    found = [np.zeros((0, 4))]
    for k in range(1, len(diameters) - 1):
        least = _HEIGHT * robust_scale(stack[k])
        for sign in (1, -1):
            y, x = maxima(sign * stack[k], least).T
            before, after = (
                sign * _around(stack[k - 1], y, x, sign),
                sign * _around(stack[k + 1], y, x, sign),
            )
            middle, like = sign * stack[k, y, x], sign * likes[k, y, x]
            top = (middle >= before) & (middle > after) & (like > _LIKENESS)
            move = 0.5 * (before - after)[top] / (before - 2 * middle + after)[top]
            size = np.log(diameters[k]) + move * np.log(_RATIO)
            found.append(np.stack([size, middle[top], like[top], np.full(top.sum(), sign)], axis=1))
    return np.concatenate(found)


def _around(response: Float64, y: Float64, x: Float64, sign: int) -> Float64:
    """The greatest response of a sign in the nine pixels about each place."""
    near = [response[y + dy, x + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return np.asarray(sign * (sign * np.stack(near)).max(axis=0))


def _peaks(found: Float64) -> list[float]:
    """The diameters of the most and strongest spots (k, 4): first that of the greatest weight."""
    logs, weights = found[:, 0], found[:, 1] * found[:, 2]
    return [float(np.exp(x)) for x in _modes(logs, weights, _WIDTH)[:_KINDS]]


def _modes(values: Float64, weights: Float64, width: float) -> Float64:
    """The modes of weighted values, smoothed by a normal distribution, the highest first."""
    if not len(values):
        return np.zeros(0)
    grid = np.arange(values.min() - 3 * width, values.max() + 4 * width, width / 4)
    density = np.exp(-0.5 * ((grid[:, None] - values) / width) ** 2) @ weights
    top = np.flatnonzero((density[1:-1] >= density[:-2]) & (density[1:-1] > density[2:])) + 1
    return np.asarray(grid[top[np.argsort(-density[top], kind="stable")]])


def round_spots(fits: Fits, sign: int, amplitude: float | None) -> Bool:
    """Which spots (k,) may be beads: placed, of that sign and about that brightness, and round."""
    odd = np.sqrt((fits.shape**2).sum(axis=1))
    doubt = np.sqrt((fits.sigma_shape**2).sum(axis=1))
    good = np.isfinite(fits.sigma) & (sign * fits.amplitude > 0) & (odd < _ROUND + 2.5 * doubt)
    good &= (doubt < 2 * _ROUND) & (np.abs(fits.amplitude) > _SURE * fits.sigma_amplitude)
    if amplitude is not None:
        relative = fits.amplitude / amplitude
        good &= (relative > _AMPLITUDES[0]) & (relative < _AMPLITUDES[1])
    return np.asarray(good)


def _settled(images: Float32, noises: list[Noise], sign: int, diameter: float) -> Kind | None:
    """Measure the profile of spots of about one diameter; None where too few of them are round and alike."""
    profile = Profile.soft_disc(diameter / 2)
    kind = None
    for _ in range(_PROFILE_ROUNDS):
        sums, amplitudes, growth, counts = ProfileSums(profile, noises[0]), [], [], []
        fitted = []
        for image, noise in zip(images, noises, strict=True):
            found = spots(Padded(image, profile.reach), profile, sign, _HEIGHT - 1, _MOST_SPOTS)
            fitted.append(fit_spots(image, found.places, profile, noise, _SCREEN_ROUNDS))
            amplitudes.append(fitted[-1].amplitude[round_spots(fitted[-1], sign, None)])
        every = np.concatenate(amplitudes)
        if not len(every):
            return None
        # Beads are alike, and stronger than what else looks round.
        usual = sign * float(np.exp(_modes(np.log(np.abs(every)), np.abs(every), _ALIKE)[0]))
        for image, fits in zip(images, fitted, strict=True):
            use = round_spots(fits, sign, usual)
            counts.append(int(use.sum()))
            growth.append(fits.shape[use, 0])
            if use.any():
                sums.add(image, fits, use)
        count = float(np.median(counts))
        if count < _LEAST_ROUND:
            return None
        kind = Kind(sign=sign, profile=sums.solved(), amplitude=usual, count=count)
        profile = kind.profile
    return kind


def kinds(images: Float32, noises: list[Noise], diameter_px: float | None) -> list[Kind]:
    """Find the kinds of spots that may be beads, the most prominent first, three at most.

    Parameters
    ----------
    images : (k, ny, nx) float32
        Clean images of the lowest tilts.
    noises : list of Noise
    diameter_px : float, optional
        Known diameter; else found, from 5 px to a tenth of the shorter edge.
    """
    shape = (images.shape[1], images.shape[2])
    diameters = _ladder(shape, diameter_px)
    every = np.concatenate([_scale_maxima(image, diameters) for image in images])
    found = [
        _settled(images, noises, sign, size)
        for sign in (1, -1)
        for size in _peaks(every[every[:, 3] == sign])
    ]
    good = [k for k in found if k is not None]
    out: list[Kind] = []
    for kind in sorted(good, key=lambda k: -abs(k.amplitude) * min(k.count, _ENOUGH)):
        if not any(_same(kind, other) for other in out):
            out.append(kind)
    return out[:_KINDS]


def _same(a: Kind, b: Kind) -> bool:
    """Whether two kinds are one, started from two diameters: the first profile was too wide for one of them."""
    sizes = abs(np.log(a.profile.radius_px / b.profile.radius_px))
    return (
        a.sign == b.sign and abs(np.log(a.amplitude / b.amplitude)) < _ALIKE and bool(sizes < 0.8)
    )
