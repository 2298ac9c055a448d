# SPDX-License-Identifier: BSD-3-Clause
"""From traced tubes and sheets to tables with p- and q-values, the check of the null, what could have been found."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ._blob_table import NullCheck, agree
from ._calls import benjamini_hochberg, decoy_rate
from ._inputs import Float32, Float64, Table, unit_of
from ._oriented_bank import Kind, OrientedBank, extent_spectrum
from ._oriented_objects import Traced, mean_amplitude
from ._oriented_search import OrientedOutcome, OrientedSearch

__all__ = ["OrientedDetectability", "oriented_detectability", "oriented_null", "oriented_table"]

_NOISE_LEVELS = np.array([1.0, 0.5, 0.25, 0.12, 0.06])  # of the extrema of noise that are counted
_STRONG = 0.15
_FREE = 5  # place and direction
_FWHM = 2 * math.sqrt(2 * math.log(2))


@dataclass(frozen=True, kw_only=True, eq=False)
class OrientedDetectability:
    """How well tubes or sheets of each direction could have been found in this volume.

    Attributes
    ----------
    kind : {"tubes", "sheets"}
    axes : (n, 3) float64
        Directions of tubes or normals of sheets: z, y, x.
    widths : (n_widths,) float64 [px]
    coverage : (n_widths, n) float64
        Share of the power of a tube or sheet of that direction that the data hold.
    level : float
        Significance from which on objects are in the table.
    """

    kind: Kind
    axes: Float64
    widths: Float64
    coverage: Float64
    level: float
    _bank: OrientedBank

    def unit_significance(self, extent: float, width: float | None = None) -> Float64:
        """Return (n,) significances in the middle of a straight tube of a length [px], or of a flat round sheet of an
        area [px^2], of peak value 1 and one of the widths (default: the first)."""
        at = 0 if width is None else int(np.abs(np.log(self.widths / width)).argmin())
        return np.asarray(self._bank.response(extent)[at])

    def recall(self, amplitude: float, extent: float, width: float | None = None) -> Float64:
        """Return (n,): the chance to find such an object of each direction, away from others.

        Phi(sqrt(d^2 + 5) - level), d = amplitude x unit significance, Phi the normal distribution function: the search
        takes the highest over place and direction, and each of these five adds 1 to the square of a significance.
        Noise has more than one place to lift an object much longer or wider than the filter: of these more are found.
        """
        d = np.sqrt((amplitude * self.unit_significance(extent, width)) ** 2 + _FREE)
        phi = np.frompyfunc(lambda x: 0.5 * math.erfc(-x / math.sqrt(2)), 1, 1)
        out: Float64 = phi(d - self.level).astype(np.float64)
        return out


def oriented_null(search: OrientedSearch, outcome: OrientedOutcome) -> NullCheck:
    """Count extrema of noise, or of what is left, against their expectation."""
    wanted = float(search.expected(np.array([search.floor]))[0]) * _NOISE_LEVELS
    heights, beyond = outcome.decoys, 0.0
    if heights is None:
        beyond = float(search.expected(np.array([search.level]))[0])
        heights = outcome.rest[outcome.rest < search.level]
        wanted = np.maximum(wanted, 2 * beyond)
    levels = np.array([search.level_of(e) for e in wanted])
    spread = _spread(search.bank, outcome.residual)
    # What is left was searched: too much noise shows in its strength more than in extrema that were not traced.
    strong = outcome.decoys is None and float(np.abs(spread - 1).max()) > _STRONG
    expected = search.expected(levels) - beyond
    observed = np.array([np.count_nonzero(heights > u) for u in levels], dtype=np.int64)
    return NullCheck(
        levels=levels,
        expected=expected,
        observed=observed,
        source="rest" if outcome.decoys is None else "decoys",
        spread=spread,
        passed=agree(int(observed[0]), float(expected[0])) and not strong,
    )


def _spread(bank: OrientedBank, residual: Float32) -> Float64:
    """Return, of each width, the standard deviation of what is left over that of the noise."""
    n = bank.spectra.voxels
    power = (np.abs(bank.filtered(residual)) ** 2 / np.float32(n) / np.float32(n)).astype(
        np.float32
    )
    out = []
    for width, sd in zip(bank.widths, bank.sd, strict=True):
        sums, _ = bank.integrals(power, 2 * bank.shapes(bank.axes, float(width)), 1)
        out.append(math.sqrt(float((sums[:, 0] / sd**2).mean())))
    return np.array(out)


def _q_values(search: OrientedSearch, outcome: OrientedOutcome, fdr: float) -> Float64:
    """Return the false-discovery rate of a table that ends with each object.

    Expected extrema of noise over objects found, each counted by its highest point (Benjamini & Hochberg with as many
    tests as noise has extrema); with decoys the larger of that and their rate, or scaled by how many they are.
    """
    height = np.array([o.peak for o in outcome.objects])
    if not len(height):
        return height
    q = benjamini_hochberg(search.expected(height), 1)
    if outcome.decoys is None:
        return q
    if np.count_nonzero(q <= fdr) >= 2 / fdr:
        return np.maximum(q, decoy_rate(height, outcome.decoys))
    at_floor = float(search.expected(np.array([search.floor]))[0])
    return np.minimum(q * max(1.0, len(outcome.decoys) / at_floor), 1.0)


def oriented_table(
    search: OrientedSearch,
    outcome: OrientedOutcome,
    null: NullCheck,
    fdr: float,
    pixel_size: float | None,
) -> tuple[Table, list[Traced]]:
    """Return the rows that stay at ``fdr`` (by family-wise p-values where the null check failed) and their objects."""
    bank = search.bank
    peaks = np.array([o.peak for o in outcome.objects])
    p = -np.expm1(-search.expected(peaks)) if len(peaks) else peaks
    q = _q_values(search, outcome, fdr)
    kept = np.flatnonzero((q if null.passed else p) <= fdr)
    kept = kept[np.argsort(-peaks[kept], kind="stable")]
    objects = [outcome.objects[i] for i in kept]
    table, column = _measures(search, objects, pixel_size)
    table["sign"] = column["sign"].astype(np.int64)
    table["significance"] = peaks[kept]
    table["p_value"] = p[kept]
    table["q_value"] = q[kept] if null.passed else np.full(len(kept), np.nan)
    table["coverage"] = column["coverage"]
    if bank.kind == "tubes":
        table["network"] = column["group"].astype(np.int64)
    return table, objects


def _measures(
    search: OrientedSearch, objects: list[Traced], pixel_size: float | None
) -> tuple[Table, dict[str, Float64]]:
    """Return the columns that are lengths, directions and amplitudes, and all numbers in pixels."""
    bank = search.bank
    rows = [_row(search, o) for o in objects]
    unit, pixel = unit_of(pixel_size)
    tubes = bank.kind == "tubes"
    column = {
        name: np.array([row[name] for row in rows], dtype=np.float64) for name in _row_names()
    }
    table: Table = {}
    if unit == "nm":
        centre = (np.array(bank.spectra.shape) - 1) / 2
        for i, axis in enumerate("zyx"):
            table[f"{axis}_nm"] = (column[axis] - centre[i]) * pixel
            table[f"sigma_{axis}_nm"] = column[f"sigma_{axis}"] * pixel
    for axis in "zyx":
        table[f"{axis}_px"] = column[axis]
        table[f"sigma_{axis}_px"] = column[f"sigma_{axis}"]
    name, power = (f"length_{unit}", 1) if tubes else (f"area_{unit}2", 2)
    table[name] = column["extent"] * pixel**power
    table[f"sigma_{name}"] = column["sigma_extent"] * pixel**power
    for axis in "zyx":
        table[f"{'direction' if tubes else 'normal'}_{axis}"] = column[f"axis_{axis}"]
    table["sigma_direction_deg" if tubes else "sigma_normal_deg"] = column["sigma_axis"]
    for name, factor in (
        ("width", pixel),
        ("thickness" if not tubes else "diameter", _FWHM * pixel),
    ):
        table[f"{name}_{unit}"] = column["width"] * factor
        table[f"sigma_{name}_{unit}"] = column["sigma_width"] * factor
    table["amplitude"], table["sigma_amplitude"] = column["amplitude"], column["sigma_amplitude"]
    return table, column


def _row_names() -> tuple[str, ...]:
    places = [f"{s}{a}" for a in "zyx" for s in ("", "sigma_")]
    axes = [f"axis_{a}" for a in "zyx"]
    rest = "extent sigma_extent sigma_axis width sigma_width amplitude sigma_amplitude sign coverage group"
    return (*places, *axes, *rest.split())


def _row(search: OrientedSearch, o: Traced) -> dict[str, float]:
    """Return an object's numbers, in pixels."""
    bank = search.bank
    spatial, angular = bank.metric_at(o.axis, o.width)
    axis = o.axis * (1 if tuple(o.axis) > tuple(-o.axis) else -1)
    places = np.sqrt(np.diag(np.linalg.inv(spatial))) / o.peak
    width, sigma_width = search.width_of(o)
    one = o.axis[None], np.array([o.width])
    mean = extent_spectrum(bank.kind, bank.frequencies, o.extent) / o.extent
    share = float(bank.at(bank.noise_profiles @ mean**2 / bank.sd**2, *one)[0])
    amplitude = o.sign * mean_amplitude(o)
    row = {
        "extent": o.extent,
        "sigma_extent": o.sigma_extent,
        "width": width,
        "sigma_width": sigma_width,
    }
    for i, name in enumerate("zyx"):
        row |= {name: o.place[i], f"sigma_{name}": places[i], f"axis_{name}": axis[i]}
    return row | {
        "sigma_axis": math.degrees(1 / (math.sqrt(angular) * o.peak)),
        "amplitude": amplitude,
        "sigma_amplitude": math.sqrt(share) / float(bank.at(bank.wide_response, *one)[0]),
        "sign": o.sign,
        "coverage": float(bank.at(bank.coverages, *one)[0]),
        "group": o.group,
    }


def oriented_detectability(
    search: OrientedSearch, null: NullCheck, rows: int, fdr: float
) -> OrientedDetectability:
    """Return the map for the level at which q-values pass ``fdr``, or p-values where there are none."""
    bank = search.bank
    return OrientedDetectability(
        kind=bank.kind,
        axes=bank.axes,
        widths=bank.widths,
        coverage=bank.coverages,
        level=search.level_of(fdr * (rows + 1) if null.passed else fdr),
        _bank=bank,
    )
