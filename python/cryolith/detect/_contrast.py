# SPDX-License-Identifier: BSD-3-Clause
"""The contrast that all patches of a layer share, learned from those whose normals were well seen."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ._inputs import Float64, Mask
from ._layer_fit import STEP, Grid, Prior, chi_square
from ._layer_model import cubic

__all__ = ["learned_contrast"]

# px, of the thickness from patch to patch: down to next to none, or a lower contrast would be favoured, whose spread
# of contrast times thickness is smaller.
_SPREADS = (0.05, 0.1, 0.17, 0.25, 0.4, 0.65, 1.0, 1.7, 3.0)
_MEANS = 0.05  # px between the means
_FINER = 5  # points of thickness that likelihoods are taken at, over those tried: spreads are no less than their step
Int64 = npt.NDArray[np.int64]
_TRIED = 41
_GROUPS = 10
_MOST_PATCHES = 200


def learned_contrast(grid: Grid, well: Mask) -> Prior:
    """Return the contrast of greatest likelihood and its jackknife error over ten groups of patches.

    Patches are numbered in a random order (``patches_of``), so a group lies all over the layer: what neighbours share,
    beyond the noise that each has of its own, is not in the error.

    Thin layers hold only contrast times thickness, and the thickness that each patch would choose for itself pulls the
    contrast up (Neyman & Scott, Econometrica 16 (1948) 1). So thicknesses are taken as drawn from one normal
    distribution, whose mean and spread are fitted too, and summed over. Places of the layer are at their best: summed
    over, they would favour thicker layers of less contrast, whose places are less certain.
    """
    used = np.flatnonzero(well)
    used = used[:: math.ceil(len(used) / _MOST_PATCHES)]
    start = _first_guess(grid, used)
    contrasts = start * np.exp(np.linspace(math.log(0.4), math.log(2.5), _TRIED))
    table = _likelihoods(grid, contrasts, used)  # (contrast, patch, t)
    weights = _populations(table.shape[2])
    # (contrast, patch, population)
    patch = np.stack([np.log(np.maximum(t @ weights.T, 1e-300)) for t in table])
    whole = _best(contrasts, patch)
    index = np.arange(patch.shape[1]) * _GROUPS // patch.shape[1]
    parts = np.array([_best(contrasts, patch[:, index != g]) for g in range(_GROUPS)])
    sigma = math.sqrt((_GROUPS - 1) / _GROUPS * float(((parts - parts.mean()) ** 2).sum()))
    return Prior(whole, max(sigma, 0.003 * abs(whole)))


def _first_guess(grid: Grid, used: Int64) -> float:
    chi2, contrast = chi_square(grid, None)
    best = chi2.argmin(axis=1)
    return float(np.median(contrast[used, best[used]]))


def _likelihoods(grid: Grid, contrasts: Float64, used: Int64) -> Float64:
    """Return (n_contrasts, n_patches, n_thicknesses) likelihoods at the best place of the layer.

    Relative to the greatest of each patch; between the thicknesses that are tried, cubics through the logs.
    """
    chi2 = np.stack([chi_square(grid, Prior(float(a), 0.0))[0][used] for a in contrasts])
    chi2 -= chi2.min(axis=(0, 2), keepdims=True)
    group = np.rint(grid.thickness / STEP).astype(np.int64) - 1
    out = np.zeros((*chi2.shape[:2], int(group.max()) + 1))
    for k in range(out.shape[2]):
        mine = np.flatnonzero(group == k)
        mine = mine[np.argsort(grid.middle[mine])]
        out[:, :, k] = np.exp(-_least(chi2[:, :, mine]) / 2)
    logs = np.log(np.maximum(out, 1e-300))
    return np.exp(cubic(logs, np.arange((out.shape[2] - 1) * _FINER + 1) / _FINER))


def _least(values: Float64) -> Float64:
    """Return the least of the last axis between its samples: the parabola through three."""
    if values.shape[-1] < 3:
        return np.asarray(values.min(axis=-1), np.float64)
    k = np.clip(values.argmin(axis=-1), 1, values.shape[-1] - 2)[..., None]
    a, b, c = (np.take_along_axis(values, k + i, -1)[..., 0] for i in (-1, 0, 1))
    bend = a + c - 2 * b
    step = np.clip(np.where(bend > 0, (a - c) / (2 * np.where(bend > 0, bend, 1)), 0.0), -1, 1)
    out: Float64 = np.minimum(b + step * (c - a) / 2 + step**2 * bend / 2, values.min(axis=-1))
    return out


def _populations(count: int) -> Float64:
    """Return (n, count) normal distributions over thickness."""
    t = STEP + np.arange(count) * STEP / _FINER
    means = np.arange(2 * STEP, t[-1], _MEANS)
    rows = []
    for spread in _SPREADS:
        w = np.exp(-0.5 * ((t - means[:, None]) / spread) ** 2)
        rows.append(w / w.sum(axis=1, keepdims=True))
    return np.concatenate(rows)


def _best(contrasts: Float64, patch: Float64) -> float:
    """Return the contrast at the greatest sum of log likelihoods over patches: the parabola through three."""
    total = patch.sum(axis=1).max(axis=1)
    k = int(np.clip(total.argmax(), 1, len(total) - 2))
    low, mid, high = total[k - 1 : k + 2]
    bend = low + high - 2 * mid
    step = float(np.clip((low - high) / (2 * bend), -1, 1)) if bend < 0 else 0.0
    logs = np.log(contrasts)
    return float(np.exp(logs[k] + step * (logs[1] - logs[0])))
