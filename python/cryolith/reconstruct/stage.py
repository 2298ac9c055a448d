# SPDX-License-Identifier: BSD-3-Clause
"""The reconstruction stage: from a tilt series and its alignment to a volume."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import let_go
from .._fields import fresh
from ..datamodel import Alignment, Source, TiltSeries, Volume
from ..errors import Cancelled, InputError
from ..projection import Geometry
from .dart import dart
from .halves import Halved, dose_before, half_volumes, halved, in_turn
from .inputs import Float32
from .iterate import Callback, Reconstruction
from .krylov import cgls, lsqr
from .mlem import mlem
from .planning import plan
from .settings import ReconstructSettings
from .sirt import sart, sirt
from .thickness import estimate_thickness_px, slab_thickness_px
from .variation import tv
from .wbp import wbp

__all__ = ["BinnedImages", "check_halves", "linear_solver", "reconstruct"]

# Time of the solve of all data and of each half.
SHARES = {None: [1.0], "tilts": [2.0, 1.0, 1.0], "dose": [2.0, 1.0, 1.0], "frames": [1.0, 1.0, 1.0]}
# Share of the mean by which sums of odd and of even frames may differ from the series: other gains, lost frames.
SAME_MEAN = 0.2


def reconstruct(
    series: TiltSeries,
    alignment: Alignment,
    settings: ReconstructSettings | None = None,
    *,
    frames: tuple[TiltSeries, TiltSeries] | None = None,
    background: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    max_memory: int | None = None,
    workspace: str | os.PathLike[str] | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
    progress: Callable[[float], None] | None = None,
    callback: Callback | None = None,
) -> Volume:
    """Reconstruct the volume of a tilt series; flagged tilts of the alignment are left out.

    Parameters
    ----------
    series : TiltSeries
    alignment : Alignment
        Of these images, unbinned.
    settings : ReconstructSettings, optional
    frames : (TiltSeries, TiltSeries), optional
        For ``settings.halves = "frames"``: sums of the odd and of the even frames of each image of the series.
    background : (n_tilts,), optional
        Level of the empty area of every image of the series, subtracted when ``settings.background`` is "auto";
        default the 2nd percentile of each image. Positivity is only right on data whose background is 0.
    mask : (nz, ny, nx), optional
        For the iterative methods: voxels where it is 0 are 0.
    max_memory : int, optional [bytes]
        Work in slabs along the tilt axis that need no more of the host's memory, nor of each other device's, with the
        same bytes in the result (where devices project slabs that share pixels, to rounding); refuse, before anything
        is allocated, what cannot be cut far enough. A volume that does not fit is a map of a file without a name.
    workspace : path, optional
        A folder for what is then not in memory; default the system's for temporary files.
    threads, progress
        As in :func:`wbp`.
    cancel : CancelToken, optional
        The iterative methods keep the volume of the last whole iteration; the facts say so.
    callback : callable, optional
        As in :class:`Options`, for the iterative methods.

    Returns
    -------
    Volume
        y along the tilt axis; the centre of the array is the origin of the alignment's frame. From an iterative method
        its data are a :class:`Reconstruction`, with the residuals. With ``settings.halves`` it has ``halves``, or the
        facts say that these were cancelled; its data do not depend on that.

    Raises
    ------
    InputError
        The alignment does not belong to the series, or ``max_memory`` does not suffice.
    DeviceError
        The device of the settings is not there, has failed, or is too small.
    Cancelled
        ``cancel`` was set before there was a volume to keep.
    """
    settings = settings or ReconstructSettings()
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
    )
    options = {"shape": shape, "cut": needs.cut, "threads": threads, "cancel": cancel}
    if settings.device != "cpu" and settings.method != "dart":
        options["max_memory"] = max_memory
    if settings.method != "wbp":
        options |= {"mask": mask, "callback": callback}
    divided = None
    if settings.halves is not None:
        stacks = images if frames is None else _binned_frames(frames, kept, settings)
        dose = dose_before(series, None, kept)
        divided = halved(stacks, geometry, settings.halves, dose, shape=shape, background=levels)
    solve, tell = _solver(settings), in_turn(progress, SHARES[settings.halves])
    data = solve(images, geometry, background=levels, progress=tell[0], **options)
    cancelled = isinstance(data, Reconstruction) and data.stopped == "cancelled"
    if isinstance(data, Reconstruction) and cancelled and not data.iterations:
        raise Cancelled("cancelled by the caller")
    halves = None
    if divided is not None and not cancelled:
        halves = _halves(solve, divided, options, settings.method == "wbp", tell[1:])
    pixel = None if series.pixel_size is None else series.pixel_size * settings.binning
    facts = {
        "method": settings.method,
        "thickness": f"{nz} px, " + _origin_of_thickness(settings, alignment),
        "tilts": f"{len(kept)} of {len(series)} used",
    }
    if isinstance(data, Reconstruction):
        facts["iterations"] = _iterations(data, settings)
    if settings.halves is not None:
        facts["halves"] = f"by {settings.halves}" + ("" if halves else ", cancelled")
    source = Source(path=series.source.path, facts=facts)
    return Volume(data=data, pixel_size=pixel, source=source, halves=halves)


def _solver(settings: ReconstructSettings) -> Callable[..., Float32]:
    """Return the method of the settings with its own options."""
    own: dict[str, Any] = {"n_iter": settings.iterations, "device": settings.device}
    if settings.method == "wbp":
        for name in ("filter", "cutoff", "order"):
            own[name] = getattr(settings, name)
        return functools.partial(wbp, **own)
    for name in ("lower", "upper", "noise"):
        if getattr(settings, name) is not None:
            own[name] = getattr(settings, name)
    more: dict[str, tuple[Callable[..., Float32], dict[str, Any]]] = {
        "sirt": (sirt, {}),
        "sart": (sart, {"subsets": settings.subsets}),
        "cgls": (cgls, {}),
        "lsqr": (lsqr, {"damp": settings.damp}),
        "tv": (tv, {"strength": settings.strength}),
        "mlem": (mlem, {"subsets": settings.subsets or 1}),
        "dart": (dart, {"levels": settings.levels}),
    }
    solve, special = more[settings.method]
    return functools.partial(solve, **own, **special)


def linear_solver(settings: ReconstructSettings) -> tuple[Callable[..., Any] | None, bool]:
    """Return the linear part of a reconstruction, and whether it is all of it: no bounds held on densities.

    None where there is no such part (tv, mlem, dart).
    """
    if settings.method in ("tv", "mlem", "dart"):
        return None, False
    if settings.method == "wbp":
        return _solver(settings), True
    # cgls and lsqr hold no bounds unless they are told to.
    lower = settings.lower
    if lower is None:
        lower = -np.inf if settings.method in ("cgls", "lsqr") else 0.0
    bounded = lower > -np.inf or settings.upper is not None
    free = replace(settings, lower=-np.inf, upper=None, noise=None)
    return _solver(free), not bounded


def _halves(
    solve: Callable[..., Float32],
    divided: Halved,
    options: dict[str, Any],
    linear: bool,
    progress: list[Callable[[float], None] | None],
) -> tuple[Float32, Float32] | None:
    """Return both half volumes; None where the caller cancels, who keeps the volume of all data."""
    try:
        return half_volumes(solve, divided, options, linear=linear, progress=progress)
    except Cancelled:
        return None


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


def _iterations(data: Reconstruction, settings: ReconstructSettings) -> str:
    why = {
        "iterations": "",
        "noise": ", stopped at the noise",
        "tolerance": ", stopped at the tolerance",
        "callback": ", stopped by the caller",
        "cancelled": ", cancelled",
    }
    return f"{data.iterations} of {settings.iterations}{why[data.stopped]}"


class BinnedImages:
    """Chosen images as float32, averaged over ``binning`` x ``binning`` pixels, made when they are indexed.

    Pixels left over at the end of rows and columns are dropped. A NaN makes its bin NaN.
    """

    dtype = np.dtype(np.float32)
    ndim = 3

    def __init__(
        self, source: npt.NDArray[Any], index: npt.NDArray[np.int64], binning: int
    ) -> None:
        height, width = (n // binning for n in source.shape[1:])
        if not (height and width):
            raise InputError(f"binning: found {binning}, expected at most {min(source.shape[1:])}")
        self._source, self._index, self._binning = source, index, binning
        self.shape = (len(index), height, width)

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, key: Any) -> Float32:
        index = np.atleast_1d(self._index[key])
        out = fresh((len(index), *self.shape[1:]))
        for image, i in zip(out, index, strict=True):
            self._read(int(i), image)
        return out if np.ndim(self._index[key]) else out[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self[:].astype(self.dtype if dtype is None else dtype, copy=False)

    def _read(self, i: int, out: Float32) -> None:
        b, (_, height, width) = self._binning, self.shape
        source = self._source[i][: height * b, : width * b]
        if b > 1:
            image = fresh((1, *source.shape))
            image[0] = source
            image.reshape(height, b, width, b).mean((1, 3), out=out)
        else:
            out[:] = source
        let_go(self._source)


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
