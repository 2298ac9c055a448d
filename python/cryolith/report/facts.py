# SPDX-License-Identifier: BSD-3-Clause
"""The facts of a report as plain data: what report.json holds and the page shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datamodel import Defects, Source
from .content import ReportContent
from .verdict import Verdict
from .words import plain

__all__ = ["SCHEMA_VERSION", "collect", "fsc_table", "missing_wedge_deg", "tilt_table"]

SCHEMA_VERSION = 1


def collect(
    content: ReportContent, verdict: Verdict, findings: list[str], mean: npt.NDArray[np.float64]
) -> dict[str, Any]:
    """Return everything the report states, units in the names, NaN as None.

    Parameters
    ----------
    content, verdict
        What the report is about and how it was judged.
    findings : list of str
        The key results in words.
    mean : (n_tilts,) float64
        Mean grey value of each raw image.
    """
    tables = {"tilts": tilt_table(content, mean), **content.defects.all_tables}
    if content.halves is not None:
        tables["fsc"] = fsc_table(content)
    facts = {
        "schema_version": SCHEMA_VERSION,
        "kind": "cryolith report",
        "cryolith_version": content.version,
        "name": content.name,
        "verdict": _verdict(verdict),
        "findings": findings,
        "series": _series(content),
        "alignment": _alignment(content),
        "reconstruction": _reconstruction(content),
        "detection": _detection(content.defects),
        "tables": {name: dict(table) for name, table in tables.items()},
        "parameters": dict(content.parameters),
        "inputs": [{"name": n, "sha256": s, "bytes": int(b)} for n, s, b in content.inputs],
        "command": content.command,
        "plan": {
            stage: {"seconds": float(s), "bytes": float(b)}
            for stage, (s, b) in content.plan.items()
        },
        "provenance": _provenance(content),
        "warnings": warnings(content),
        "notes": list(content.notes),
    }
    made: dict[str, Any] = plain(facts)
    return made


def warnings(content: ReportContent) -> list[str]:
    """Return every warning of every stage once, in the order of the stages."""
    lines = [line for source in _sources(content).values() for line in source.warnings]
    return list(dict.fromkeys(lines))


def missing_wedge_deg(content: ReportContent) -> float:
    """Return the angle [deg] between the last and the first tilt used, half a turn on; 0 if full."""
    angles = content.alignment.angles_deg[content.alignment.kept]
    return float(np.clip(180.0 - np.ptp(angles), 0.0, 180.0)) if len(angles) else 180.0


def tilt_table(
    content: ReportContent, mean: npt.NDArray[np.float64]
) -> dict[str, npt.NDArray[Any]]:
    """Return one row per image: its angle, alignment, residual, and why it was left out."""
    series, alignment = content.series, content.alignment
    n = len(series)
    table: dict[str, npt.NDArray[Any]] = {
        "image": np.arange(n),
        "angle_deg": np.asarray(alignment.angles_deg, float),
        "mean_grey_value": mean,
        "shift_row_px": np.asarray(alignment.shifts_px[:, 0], float),
        "shift_column_px": np.asarray(alignment.shifts_px[:, 1], float),
    }
    if alignment.sigma_shifts_px is not None:
        table["sigma_shift_row_px"] = np.asarray(alignment.sigma_shifts_px[:, 0], float)
        table["sigma_shift_column_px"] = np.asarray(alignment.sigma_shifts_px[:, 1], float)
    optional = {
        "rotation_deg": alignment.rotations_deg,
        "sigma_rotation_deg": alignment.sigma_rotations_deg,
        "residual": alignment.residuals,
        "dose_e_per_angstrom2": series.dose,
        "order_in_time": series.order,
    }
    table |= {name: np.asarray(v) for name, v in optional.items() if v is not None}
    table["used"] = alignment.kept
    table["reason"] = np.array([alignment.flags.get(i, "") for i in range(n)], dtype=object)
    return table


def _rows(table: Mapping[str, npt.NDArray[Any]]) -> int:
    return len(next(iter(table.values()))) if table else 0


def _sources(content: ReportContent) -> dict[str, Source]:
    return {
        "series": content.series.source,
        "alignment": content.alignment.source,
        "volume": content.volume.source,
    }


def _provenance(content: ReportContent) -> dict[str, dict[str, str]]:
    """Return where each fact came from, by the first stage that says so."""
    found: dict[str, dict[str, str]] = {}
    said: set[tuple[str, str]] = set()
    for stage, source in _sources(content).items():
        found[stage] = {k: v for k, v in source.facts.items() if (k, v) not in said}
        said |= set(source.facts.items())
    return found


def _nm(angstrom: float | None) -> float | None:
    return None if angstrom is None else angstrom / 10.0


def _series(content: ReportContent) -> dict[str, Any]:
    series = content.series
    angles = np.sort(series.angles_deg)
    return {
        "n_tilts": len(series),
        "n_flagged": len(content.alignment.flags),
        "image_shape_px": list(series.images.shape[1:]),
        "dtype": str(series.images.dtype),
        "pixel_size_nm": _nm(series.pixel_size),
        "angle_min_deg": float(angles[0]),
        "angle_max_deg": float(angles[-1]),
        "median_increment_deg": float(np.median(np.diff(angles))) if len(angles) > 1 else None,
        "missing_wedge_deg": missing_wedge_deg(content),
        "total_dose_e_per_angstrom2": None if series.dose is None else float(np.sum(series.dose)),
    }


def _alignment(content: ReportContent) -> dict[str, Any]:
    a = content.alignment
    residuals = np.array([]) if a.residuals is None else a.residuals[np.isfinite(a.residuals)]
    return {
        "tilt_axis_deg": a.tilt_axis_deg,
        "sigma_tilt_axis_deg": a.sigma_tilt_axis_deg,
        "axis_offset_px": a.axis_offset_px,
        "sigma_axis_offset_px": a.sigma_axis_offset_px,
        "slab": None if a.slab is None else dataclasses.asdict(a.slab),
        "largest_shift_px": float(np.max(np.hypot(*a.shifts_px.T))) if len(a.shifts_px) else None,
        "holdout_residual": a.holdout_residual,
        "median_residual": float(np.median(residuals)) if residuals.size else None,
        "method": list(a.method),
        "flags": {str(int(i)): reason for i, reason in sorted(a.flags.items())},
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "word": verdict.word,
        "meaning": verdict.meaning,
        "reasons": list(verdict.reasons),
        "checks": [
            {"name": c.name, "value": c.value, "text": c.text, "word": c.word, "rule": c.rule}
            for c in verdict.checks
        ],
    }


def _detection(defects: Defects) -> dict[str, Any]:
    return {
        **{f"n_{name}": _rows(table) for name, table in defects.all_tables.items()},
        "thresholds": dict(defects.thresholds),
        "notes": list(defects.notes),
    }


def _reconstruction(content: ReportContent) -> dict[str, Any]:
    volume = content.volume
    voxel = _nm(volume.pixel_size)
    return {
        "shape_voxels": list(volume.data.shape),
        "voxel_size_nm": voxel,
        "size_nm": None if voxel is None else [n * voxel for n in volume.data.shape],
        "convergence": [float(v) for v in content.convergence],
        "resolution": _resolution(content),
    }


def fsc_table(content: ReportContent) -> dict[str, npt.NDArray[Any]]:
    """Return one row per shell of the correlation of halves; nothing without it."""
    curve = content.halves
    if curve is None:
        return {}
    unit = "px" if content.volume.pixel_size is None else "nm"
    return {
        f"frequency_per_{unit}": curve.frequency / curve.pixel_size,
        "correlation": curve.correlation,
        "sigma_correlation": curve.sigma_correlation,
        "half_bit": curve.half_bit,
        "count": curve.count,
    }


def _resolution(content: ReportContent) -> dict[str, Any] | None:
    curve = content.halves
    if curve is None:
        return None
    unit = "px" if content.volume.pixel_size is None else "nm"
    found: dict[str, Any] = {
        "halves": content.parameters.get("reconstruct", {}).get("halves"),
        "threshold": 0.143,
        f"resolution_{unit}": curve.resolution(0.143),
        f"sigma_resolution_{unit}": curve.sigma_resolution(0.143),
        f"resolution_half_bit_{unit}": curve.resolution("half-bit"),
        f"sigma_resolution_half_bit_{unit}": curve.sigma_resolution("half-bit"),
    }
    return found
