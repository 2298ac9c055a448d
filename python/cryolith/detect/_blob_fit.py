# SPDX-License-Identifier: BSD-3-Clause
"""Blobs fitted together: their places, sizes and heights that leave the least of a volume, by its noise."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from .. import _core
from ._filter_bank import FilterBank
from ._gaussian_blobs import Blobs
from ._imaging import Imaging, Plain
from ._inputs import Float32, Float64
from ._spectrum import Complex64, Spectra

__all__ = ["BlobFit", "Errors", "Step"]

_STEP = 0.5  # of a blob's size: the farthest it moves at once
_STEP_SIZE = 0.2  # of log size
# Fitting ends where a step raises twice the log likelihood of nine blobs in ten by less than this: a move of 0.2 sigma.
_SETTLED, _SETTLED_SHARE = 0.04, 0.9


class Step(NamedTuple):
    """Blobs after a step, with what the volume held of each before it, the others taken out.

    ``z`` is that over the noise, signed; ``settled`` says that most blobs moved by a small part of their errors.
    """

    blobs: Blobs
    z: Float64
    settled: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Errors:
    """Standard deviations of fitted blobs by their noise: (n, 3) places [px], (n,) log sizes and heights."""

    places: Float64
    log_sizes: Float64
    heights: Float64


class BlobFit:
    """The likelihood of blobs in one volume.

    The volume is ``imaging`` of the blobs plus noise of the bank's spectrum; misfit is measured by
    sum |F - model|^2 U / R over Fourier terms, U and R the bank's. Derivatives by a blob's place and size are those of
    the filtered residual, sampled with a Gaussian of the blob's own width.
    """

    def __init__(self, bank: FilterBank, imaging: Imaging, volume: Float32) -> None:
        self.bank, self.imaging = bank, imaging
        self.spectra: Spectra = bank.spectra
        held = imaging.held()
        self.seen = bank.weight if held is None else bank.weight * held
        self.base = self.filtered(volume)
        self._work = self.spectra.padded()
        self._noise = _MomentTable(bank, bank.noise_sums)
        self._response = _MomentTable(bank, bank.response_sums)

    def by_templates(self) -> BlobFit:
        """Return this fit with blobs shown as templates say: a transform each round, no projection and reconstruction.

        Enough for small differences of blobs, such as a fit less the truth: of those, templates miss 1 to 3 %.
        """
        if isinstance(self.imaging, Plain):
            return self
        out = copy.copy(self)
        held = self.bank.held()
        out.imaging, out.seen = Plain(self.spectra, held), self.bank.weight * held
        return out

    def filtered(self, volume: Float32) -> Complex64:
        """Return the spectrum of a volume behind the filter that all sizes have in common."""
        spectrum = self.spectra.forward(volume)
        spectrum *= self.bank.weight
        return spectrum

    def without(self, base: Complex64, blobs: Blobs) -> Complex64:
        """Return a filtered spectrum less that of ``blobs``, in scratch that the next call takes again."""
        if not len(blobs):
            rest = self._work.view(np.complex64)
            rest[...] = base
            return rest
        self.imaging.draw(blobs, self._work)
        spectra = self.spectra
        rest = spectra.forward(self._work)
        _core.subtract_weighted(base, self.seen, rest, spectra.threads, spectra.cancel)
        return rest

    def refit(self, blobs: Blobs, rounds: int) -> Step:
        """Take Gauss-Newton steps with all blobs at once, ``rounds`` at most, until they have settled.

        A step solves for each blob by its own information matrix while the residual is that of all (block Jacobi), so
        neighbours and side lobes are shared out as the rounds go on.
        """
        found = Step(blobs, np.zeros(len(blobs)), not len(blobs))
        for _ in range(rounds):
            if found.settled:
                break
            found = self.step(found.blobs, self.without(self.base, found.blobs))
        return found

    def step(self, blobs: Blobs, rest: Complex64) -> Step:
        """Take one step from what :meth:`without` ``blobs`` is left; its memory is used up."""
        filtered = self.spectra.inverse_in_place(rest)
        score, places, change = self._slopes(filtered, blobs)
        info = self._moments(blobs.sizes, "response")
        a = blobs.heights
        z = self._significance(filtered, blobs, score)
        move = np.linalg.solve(info.tensor, places[..., None])[..., 0] / a[:, None]
        reach = np.maximum(np.linalg.norm(move, axis=1) / (_STEP * blobs.sizes), 1.0)
        both = info.zero * info.two - info.one**2
        raise_by = (info.two * score - info.one * change) / both
        grow = (info.zero * change - info.one * score) / both / a
        low, high = self.bank.fine[[0, -1]]
        sizes = blobs.sizes * np.exp(np.clip(grow, -_STEP_SIZE, _STEP_SIZE))
        heights = a + raise_by
        moved = Blobs(
            places=blobs.places + move / reach[:, None],
            sizes=np.clip(sizes, low, high),
            # A step may not turn a bright blob into a dark one.
            heights=np.where(heights * a > 0, heights, 0.5 * a),
        )
        gain = a * (move * places).sum(axis=1) + raise_by * score + grow * a * change
        return Step(moved, z, bool(np.quantile(gain, _SETTLED_SHARE) < _SETTLED))

    def _significance(self, filtered: Float32, blobs: Blobs, score: Float64) -> Float64:
        """Return what the volume holds of each blob, over the noise, by the nearest size that the bank looks for.

        The null counts extrema between the bank's first and last size: a fit may end beyond, its significance may not.
        """
        bank = self.bank
        near = np.clip(blobs.sizes, bank.sizes[0], bank.sizes[-1])
        far = np.flatnonzero(near != blobs.sizes)
        if len(far):
            limited = replace(blobs, sizes=near)
            score = score.copy()
            score[far] = self._slopes(filtered, limited.pick(far))[0]
        # <T(near), T(size)>, what the model took away at its own place: Gaussians multiply to one of the mean variance.
        square = (near**2 + blobs.sizes**2) / 2
        own = self._moments(np.sqrt(square), "response").zero
        own *= (near * blobs.sizes / square) ** 3
        noise = self._moments(near, "noise").zero
        out: Float64 = (score + blobs.heights * own) / np.sqrt(noise)
        return out

    def beside(self, sure: Blobs, others: Blobs) -> Float64:
        """Return what the volume holds of ``others``, over the noise, with the ``sure`` ones alone taken out."""
        filtered = self.spectra.inverse_in_place(self.without(self.base, sure))
        none_out = replace(others, heights=np.zeros(len(others)))
        return self._significance(filtered, none_out, self._slopes(filtered, none_out)[0])

    def _slopes(self, filtered: Float32, blobs: Blobs) -> tuple[Float64, Float64, Float64]:
        """Return the product of the residual with each blob's template, and its slopes by place and log size."""
        base = self.bank.reference_size**2
        widths = np.sqrt(blobs.sizes**2 - base)
        samples = np.empty((len(blobs), 7))
        spectra = self.spectra
        _core.gaussian_samples(
            filtered,
            spectra.shape[2],
            blobs.places,
            widths,
            samples,
            spectra.threads,
            spectra.cancel,
        )
        factor = (blobs.sizes**2 / base) ** 1.5
        samples *= factor[:, None]
        curvature = samples[:, 4:].sum(axis=1)
        # d/d(log s) of s^3 times a Gaussian of variance s^2: the heat equation.
        change = 3 * samples[:, 0] + blobs.sizes**2 * curvature
        return samples[:, 0], samples[:, 1:4], change

    def _moments(self, sizes: Float64, kind: str) -> _Moments:
        """Return products of blobs' templates and their derivatives, for peak values of 1."""
        table = self._noise if kind == "noise" else self._response
        zero, one, two, *six = table.at(sizes).T
        tensor = np.array(six)[[0, 3, 4, 3, 1, 5, 4, 5, 2]].T.reshape(-1, 3, 3)
        return _Moments(zero=zero, one=one, two=two, tensor=tensor)

    def unit_significance(self, sizes: Float64) -> Float64:
        """Return the significance of blobs of peak value 1."""
        info, noise = self._moments(sizes, "response"), self._moments(sizes, "noise")
        out: Float64 = info.zero / np.sqrt(noise.zero)
        return out

    def errors(self, blobs: Blobs) -> Errors:
        """Return closed-form errors: inverse information, widened where the filter is not that of the noise alone."""
        info, noise = self._moments(blobs.sizes, "response"), self._moments(blobs.sizes, "noise")
        a = np.abs(blobs.heights)
        inverse = np.linalg.inv(info.tensor)
        places = inverse @ noise.tensor @ inverse
        gain = np.linalg.inv(
            np.array([[info.zero, info.one], [info.one, info.two]]).transpose(2, 0, 1)
        )
        spread = np.array([[noise.zero, noise.one], [noise.one, noise.two]]).transpose(2, 0, 1)
        pair = gain @ spread @ gain
        return Errors(
            places=np.sqrt(np.einsum("nii->ni", places)) / a[:, None],
            log_sizes=np.sqrt(pair[:, 1, 1]) / a,
            heights=np.sqrt(pair[:, 0, 0]),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Moments:
    zero: Float64
    one: Float64
    two: Float64
    tensor: Float64


class _MomentTable:
    """Moments over a bank's sizes, between which a cubic in log size goes."""

    def __init__(self, bank: FilterBank, sums: Float64) -> None:
        base, sizes = bank.reference_size**2, bank.fine
        weight = np.exp(-np.multiply.outer(sizes**2 - base, bank.k2))
        weight *= ((sizes**2 / base) ** 3)[:, None]
        by_size = 3 - np.multiply.outer(sizes**2, bank.k2)
        plain = weight * sums[:, 0]
        scalars = [(plain * by_size**power).sum(axis=1) for power in range(3)]
        # No BLAS: its threads would wait for each other.
        self.values = np.column_stack([*scalars, np.einsum("sk,kc->sc", weight, sums[:, 1:])])
        self.first = np.log(sizes[0])
        self.step = np.log(sizes[1] / sizes[0])

    def at(self, sizes: Float64) -> Float64:
        """Return (n, 9): products with no, one and two slopes by log size, and the tensor of slopes by place."""
        place = (np.log(sizes) - self.first) / self.step
        left = np.clip(np.floor(place).astype(np.intp), 1, len(self.values) - 3)
        t = (place - left)[:, None]
        a, b, c, d = (self.values[left + i] for i in (-1, 0, 1, 2))
        out: Float64 = (
            -t * (t - 1) * (t - 2) / 6 * a
            + (t + 1) * (t - 1) * (t - 2) / 2 * b
            - (t + 1) * t * (t - 2) / 2 * c
            + (t + 1) * t * (t - 1) / 6 * d
        )
        return out
