# SPDX-License-Identifier: BSD-3-Clause
"""The same specimen reconstructed from poses that the alignment might as well have found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from .. import _core
from ..datamodel import Alignment, Covariance, TiltSeries, Volume
from ..errors import InputError
from ..reconstruct import ReconstructSettings, reconstruct
from ._inputs import Float64

__all__ = ["draw_alignments", "pose_volumes"]

_FIELDS = {  # of a name in the covariance: the field of the alignment, its column, what stands for None
    "shift_row_px": ("shifts_px", 0, 0.0),
    "shift_column_px": ("shifts_px", 1, 0.0),
    "rotation_deg": ("rotations_deg", None, 0.0),
    "magnification": ("magnifications", None, 1.0),
    "angle_deg": ("angles_deg", None, 0.0),
}


def draw_alignments(alignment: Alignment, draws: int, *, seed: int = 0) -> tuple[Alignment, ...]:
    """Draw alignments about one, as its covariance says (normal).

    Parameters
    ----------
    alignment : Alignment
        With a ``covariance``.
    draws : int
        At least 1.
    seed : int, default 0

    Returns
    -------
    (draws,) tuple of Alignment
        What the covariance does not name stays as it is.

    Raises
    ------
    InputError
        No covariance, fewer than 1 draw.
    """
    covariance = alignment.covariance
    if covariance is None:
        raise InputError(
            "alignment: found no covariance, expected one; align with cryolith.align.align_tilt_series"
        )
    if draws < 1:
        raise InputError(f"draws: found {draws}, expected 1 or more")
    # What moving the specimen does has variance 0: the matrix is singular, and has no Cholesky factor.
    values, vectors = np.linalg.eigh(covariance.matrix)
    root = vectors * np.sqrt(np.maximum(values, 0))
    rng = np.random.default_rng(seed)
    steps = rng.standard_normal((draws, len(values))) @ root.T
    return tuple(_moved(alignment, covariance, step) for step in steps)


def _moved(alignment: Alignment, covariance: Covariance, step: Float64) -> Alignment:
    """Return an alignment with every named parameter moved."""
    axis = alignment.tilt_axis_deg
    changed: dict[str, Float64] = {}
    for name, move in zip(covariance.names, step, strict=True):
        tilt = Covariance.tilt_of(name)
        if tilt is None:
            axis += float(move)
            continue
        field, column, default = _FIELDS[name.partition("[")[0]]
        if field not in changed:
            held = getattr(alignment, field)
            n = len(alignment.angles_deg)
            changed[field] = np.full(n, default) if held is None else held.copy()
        place = (tilt,) if column is None else (tilt, column)
        changed[field][place] += move
    return replace(alignment, tilt_axis_deg=axis, covariance=None, **changed)  # type: ignore[arg-type]


def pose_volumes(
    series: TiltSeries,
    alignment: Alignment,
    settings: ReconstructSettings | None = None,
    *,
    draws: int = 8,
    seed: int = 0,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Iterator[Volume]:
    """Reconstruct a series with poses drawn from the covariance of its alignment: ``realisations`` of :func:`segment`.

    Parameters
    ----------
    series, alignment
        As for :func:`cryolith.reconstruct.reconstruct`; the alignment with its covariance.
    settings : ReconstructSettings, optional
        Those of the volume that is segmented. Give its ``thickness``: else each draw finds its own.
    draws : int, default 8
    seed : int, default 0
    threads, cancel
        As for :func:`cryolith.reconstruct.reconstruct`.

    Yields
    ------
    Volume
        One at a time, made when it is asked for; no half volumes.

    Raises
    ------
    InputError
        As for :func:`draw_alignments` and :func:`cryolith.reconstruct.reconstruct`.
    """
    chosen = replace(settings or ReconstructSettings(), halves=None)
    drawn = draw_alignments(alignment, draws, seed=seed)
    return (reconstruct(series, pose, chosen, threads=threads, cancel=cancel) for pose in drawn)
