# SPDX-License-Identifier: BSD-3-Clause
"""What every way to reconstruct a series begins with: its images, geometry, shape and plan."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import let_go
from .._fields import Shape3, fresh
from ..datamodel import Alignment, TiltSeries
from ..errors import InputError
from ..projection import Geometry
from .binned import BinnedImages
from .cut import Cut
from .halves import Halved, dose_before, halved
from .planning import Plan, plan
from .settings import ReconstructSettings
from .thickness import estimate_thickness_px, slab_thickness_px

__all__ = ["Prepared", "check_halves", "prepare"]

# Share of the mean by which sums of odd and of even frames may differ from the series: other gains, lost frames.
SAME_MEAN = 0.2


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A series ready to be reconstructed.

    Attributes
    ----------
    images : BinnedImages
        Those that the alignment keeps.
    geometry : Geometry
        Of these.
    levels : (n,) float64
        To be subtracted from each.
    shape : (nz, ny, nx)
    pixel_size : float or None [angstrom]
    plan : Plan
    divided : Halved or None
        The halves, where the settings ask for them.
    options : dict
        What the solver takes besides the images, the geometry and the levels.
    facts : dict
        What is told of the volume.
    """

    settings: ReconstructSettings
    images: BinnedImages
    geometry: Geometry
    levels: npt.NDArray[np.float64]
    shape: Shape3
    pixel_size: float | None
    plan: Plan
    divided: Halved | None
    options: dict[str, Any]
    facts: dict[str, str]


def prepare(
    series: TiltSeries,
    alignment: Alignment,
    settings: ReconstructSettings,
    *,
    frames: tuple[TiltSeries, TiltSeries] | None = None,
    background: npt.ArrayLike | None = None,
    max_memory: int | None = None,
    workspace: str | os.PathLike[str] | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
    shape: Shape3 | None = None,
    cut: Cut | None = None,
    streamed: bool = False,
) -> Prepared:
    """Check a series against its alignment and settings, and plan the work; arguments: :func:`reconstruct`.

    ``shape`` and ``cut``: of the volume and the work, where somebody else has found them. ``streamed``: as in
    :func:`plan`.
    """
    if len(alignment.angles_deg) != len(series):
        raise InputError(
            f"alignment: found {len(alignment.angles_deg)} tilts, expected {len(series)}, one per image"
        )
    check_halves(series, frames, settings)
    kept = np.flatnonzero(alignment.kept)
    full = series.images.shape[1:]
    geometry = Geometry.from_alignment(alignment).scaled(settings.binning, (full[0], full[1]))
    levels = _background(series, kept, settings, background)
    images = BinnedImages(series.images, kept, settings.binning)
    if shape is None:
        nz = _thickness(series, settings, alignment, images, geometry, levels)
        shape = geometry.volume_shape((images.shape[1], images.shape[2]), nz)
    needs = plan(
        (full[0], full[1]),
        len(kept),
        settings,
        volume_shape=shape,
        geometry=geometry,
        max_memory=max_memory,
        workspace=workspace,
        threads=threads,
        streamed=streamed,
    )
    needs = needs if cut is None else replace(needs, cut=cut)
    options = {"shape": shape, "cut": needs.cut, "threads": threads, "cancel": cancel}
    if settings.device != "cpu" and settings.method != "dart":
        options["max_memory"] = max_memory
    divided = None
    if settings.halves is not None:
        stacks = images if frames is None else _binned_frames(frames, kept, settings)
        dose = dose_before(series, None, kept)
        divided = halved(stacks, geometry, settings.halves, dose, shape=shape, background=levels)
    return Prepared(
        settings=settings,
        images=images,
        geometry=geometry,
        levels=levels,
        shape=shape,
        pixel_size=None if series.pixel_size is None else series.pixel_size * settings.binning,
        plan=needs,
        divided=divided,
        options=options,
        facts={
            "method": settings.method,
            "thickness": f"{shape[0]} px, " + _origin_of_thickness(settings, alignment),
            "tilts": f"{len(kept)} of {len(series)} used",
        },
    )


def check_halves(
    series: TiltSeries,
    frames: tuple[TiltSeries, TiltSeries] | None,
    settings: ReconstructSettings,
) -> None:
    """Refuse what cannot be halved as the settings say, before any work."""
    if settings.halves == "dose" and series.order is None:
        raise InputError(
            "halves: found a series that does not tell the order of its images, expected one for 'dose' (an .mdoc file "
            "beside it has it); take 'tilts'"
        )
    if (settings.halves == "frames") != (frames is not None):
        found = "none" if frames is None else f"two for halves = {settings.halves!r}"
        raise InputError(
            f"frames: found {found}, expected the sums of odd and of even frames with halves = 'frames', else none"
        )
    for half in frames or ():
        if half.images.shape != series.images.shape:
            raise InputError(
                f"frames: found shape {half.images.shape}, expected that of the series, {series.images.shape}"
            )
    if frames is not None:
        middle = len(series) // 2
        whole = float(np.nanmean(np.asarray(series.images[middle], np.float64)))
        both = sum(float(np.nanmean(np.asarray(f.images[middle], np.float64))) for f in frames)
        if abs(both - whole) > SAME_MEAN * abs(whole):
            raise InputError(
                f"frames: found images whose means add up to {both:.4g}, expected {whole:.4g} as in image {middle} of "
                "the series; sums of odd and of even frames are needed, not averages, of the same series"
            )


def _binned_frames(
    frames: tuple[TiltSeries, TiltSeries],
    kept: npt.NDArray[np.int64],
    settings: ReconstructSettings,
) -> list[BinnedImages]:
    return [BinnedImages(f.images, kept, settings.binning) for f in frames]


def _background(
    series: TiltSeries,
    kept: npt.NDArray[np.int64],
    settings: ReconstructSettings,
    background: npt.ArrayLike | None,
) -> npt.NDArray[np.float64]:
    if settings.background == "none":
        return np.zeros(len(kept))
    if background is not None:
        levels = np.asarray(background, dtype=np.float64)
        if levels.shape != (len(series),) or not np.isfinite(levels).all():
            raise InputError(
                f"background: found shape {levels.shape}, expected ({len(series)},) finite levels"
            )
        return levels[kept]
    levels = np.empty(len(kept))
    for i, j in enumerate(kept):
        image = fresh((1, *series.images.shape[1:])).reshape(-1)
        image[:] = series.images[j].reshape(-1)
        let_go(series.images)
        missing = ~np.isfinite(image)
        good = image[~missing] if missing.any() else image
        levels[i] = np.percentile(good, 2, overwrite_input=True) if good.size else 0.0
    return levels


def _origin_of_thickness(settings: ReconstructSettings, alignment: Alignment) -> str:
    if settings.thickness:
        return "given"
    return "estimated from the images" if alignment.slab is None else "of the slab's faces"


def _thickness(
    series: TiltSeries,
    settings: ReconstructSettings,
    alignment: Alignment,
    images: BinnedImages,
    geometry: Geometry,
    levels: npt.NDArray[np.float64],
) -> int:
    if settings.thickness is None and alignment.slab is not None:
        field = geometry.volume_shape((images.shape[1], images.shape[2]), 1)[2]
        return min(field, slab_thickness_px(alignment.slab, settings.binning))
    if settings.thickness is None:
        return estimate_thickness_px(images, geometry, background=levels)
    if series.pixel_size is None:
        raise InputError(
            "thickness: found no pixel size in the series, expected one; give it with pixel_size"
        )
    return max(1, round(settings.thickness / (series.pixel_size * settings.binning)))
