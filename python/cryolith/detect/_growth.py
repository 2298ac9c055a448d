# SPDX-License-Identifier: BSD-3-Clause
"""How fast tracked objects grow: a straight line through each one's sizes."""

from __future__ import annotations

import numpy as np

from ._inputs import Float64, Table
from ._moments import Moment, chance_above
from ._uncertainty import widened

__all__ = ["growth_columns"]


def growth_columns(tracks: Table, links: Table, moments: list[Moment], when: Float64) -> Table:
    """Return slope, mean, their errors and the misfit of weighted lines through the sizes of each track."""
    n = len(tracks["track"])
    at, size, variance = _sizes(links, moments, when)
    known = np.bincount(links["track"], ~(variance > 0), n) == 0
    weight = np.where(known[links["track"]], 1 / np.where(variance > 0, variance, 1.0), 1.0)

    def total(values: Float64) -> Float64:
        return np.asarray(np.bincount(links["track"], values, n), np.float64)

    with np.errstate(divide="ignore", invalid="ignore"):
        norm = total(weight)
        time, mean = total(weight * at) / norm, total(weight * size) / norm
        lag = at - time[links["track"]]
        square = total(weight * lag**2)
        square[tracks["count"] < 2] = np.nan
        slope = total(weight * lag * size) / square
        rest = size - mean[links["track"]] - np.nan_to_num(slope)[links["track"]] * lag
        chi2 = total(weight * rest**2)
        dof = np.maximum(tracks["count"] - 2, 0)
        scale = np.where(known, 1.0, np.sqrt(chi2 / dof) * widened(dof + 1.0))
        sigma, sigma_mean = scale / np.sqrt(square), scale / np.sqrt(norm)
    chi2 = np.where(known, chi2, np.nan)
    chance = [
        chance_above(c, int(d)) if k else np.nan for c, d, k in zip(chi2, dof, known, strict=True)
    ]
    return {
        "growth": slope,
        "sigma_growth": sigma,
        "size_mean": mean,
        "sigma_size_mean": sigma_mean,
        "time_mean": time,
        "chi2_growth": chi2,
        "dof_growth": dof,
        "p_growth": np.array(chance, np.float64),
    }


def _sizes(links: Table, moments: list[Moment], when: Float64) -> tuple[Float64, Float64, Float64]:
    """Return time, size and its variance for each row of the links."""
    at, size, variance = (np.empty(len(links["track"])) for _ in range(3))
    for i, moment in enumerate(moments):
        here = links["frame"] == i
        back = np.argsort(moment.row)  # from rows of the table to the order of the moment
        place = back[links["row"][here]]
        at[here], size[here], variance[here] = (
            when[i],
            moment.size[place],
            moment.size_variance[place],
        )
    return at, size, variance
