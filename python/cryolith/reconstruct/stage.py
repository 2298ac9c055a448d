# SPDX-License-Identifier: BSD-3-Clause
"""The reconstruction stage: from a tilt series and its alignment to a volume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..datamodel import Alignment, Source, TiltSeries, Volume
from ..errors import Cancelled, InputError
from ..projection import Geometry
from .dart import dart
from .inputs import Float32
from .iterate import Callback, Reconstruction
from .krylov import cgls, lsqr
from .mlem import mlem
from .options import Options
from .planning import plan
from .settings import ReconstructSettings
from .sirt import sart, sirt
from .thickness import estimate_thickness_px
from .variation import tv
from .wbp import wbp

__all__ = ["bin_images", "reconstruct"]


def reconstruct(
    series: TiltSeries,
    alignment: Alignment,
    settings: ReconstructSettings | None = None,
    *,
    background: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    max_memory: int | None = None,
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
    background : (n_tilts,), optional
        Level of the empty area of every image of the series, subtracted when ``settings.background`` is "auto";
        default the 2nd percentile of each image. Positivity is only right on data whose background is 0.
    mask : (nz, ny, nx), optional
        For the iterative methods: voxels where it is 0 are 0.
    max_memory : int, optional [bytes]
        Refuse, before anything is allocated, what would need more.
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
        its data are a :class:`Reconstruction`, with the residuals.

    Raises
    ------
    InputError
        The alignment does not belong to the series, or ``max_memory`` does not suffice.
    Cancelled
        ``cancel`` was set before there was a volume to keep.
    """
    settings = settings or ReconstructSettings()
    if len(alignment.angles_deg) != len(series):
        raise InputError(
            f"alignment: found {len(alignment.angles_deg)} tilts, expected {len(series)}, one per image"
        )
    kept = np.flatnonzero(alignment.kept)
    full = series.images.shape[1:]
    geometry = Geometry.from_alignment(alignment).scaled(settings.binning, (full[0], full[1]))
    levels = _background(series, kept, settings, background)
    images = bin_images(series.images, kept, settings.binning)
    nz = _thickness(series, settings, images, geometry, levels)
    height, width = images.shape[1:]
    shape = geometry.volume_shape((height, width), nz)
    _check_memory(full, len(kept), settings, shape, max_memory, threads)
    images -= levels.astype(np.float32)[:, None, None]
    data: Float32
    if settings.method == "wbp":
        n = settings.iterations
        data = wbp(
            images,
            geometry,
            filter=settings.filter,
            n_iter=n,
            cutoff=settings.cutoff,
            order=settings.order,
            shape=shape,
            threads=threads,
            cancel=cancel,
            progress=progress,
        )
    else:
        options: Options = {
            "shape": shape,
            "mask": mask,
            "callback": callback,
            "threads": threads,
            "cancel": cancel,
            "progress": progress,
        }
        data = _iterate(images, geometry, settings, options)
    pixel = None if series.pixel_size is None else series.pixel_size * settings.binning
    facts = {
        "method": settings.method,
        "thickness": f"{nz} px, "
        + ("given" if settings.thickness else "estimated from the images"),
        "tilts": f"{len(kept)} of {len(series)} used",
    }
    if isinstance(data, Reconstruction):
        facts["iterations"] = _iterations(data, settings)
    return Volume(data=data, pixel_size=pixel, source=Source(path=series.source.path, facts=facts))


def _iterate(
    images: Float32, geometry: Geometry, settings: ReconstructSettings, options: Options
) -> Reconstruction:
    """Run the iterative method of the settings."""
    if settings.lower is not None:
        options["lower"] = settings.lower
    if settings.upper is not None:
        options["upper"] = settings.upper
    if settings.noise is not None:
        options["noise"] = settings.noise
    n, subsets = settings.iterations, settings.subsets
    solvers: dict[str, Callable[[], Reconstruction]] = {
        "sirt": lambda: sirt(images, geometry, n_iter=n, **options),
        "sart": lambda: sart(images, geometry, n_iter=n, subsets=subsets, **options),
        "cgls": lambda: cgls(images, geometry, n_iter=n, **options),
        "lsqr": lambda: lsqr(images, geometry, n_iter=n, damp=settings.damp, **options),
        "tv": lambda: tv(images, geometry, n_iter=n, strength=settings.strength, **options),
        "mlem": lambda: mlem(images, geometry, n_iter=n, subsets=subsets or 1, **options),
        "dart": lambda: dart(images, geometry, n_iter=n, levels=settings.levels, **options),
    }
    data = solvers[settings.method]()
    if data.stopped == "cancelled" and not data.iterations:
        raise Cancelled("cancelled by the caller")
    return data


def _iterations(data: Reconstruction, settings: ReconstructSettings) -> str:
    why = {
        "iterations": "",
        "noise": ", stopped at the noise",
        "tolerance": ", stopped at the tolerance",
        "callback": ", stopped by the caller",
        "cancelled": ", cancelled",
    }
    return f"{data.iterations} of {settings.iterations}{why[data.stopped]}"


def bin_images(images: npt.NDArray[Any], index: npt.NDArray[np.int64], binning: int) -> Float32:
    """Return the chosen images as float32, averaged over ``binning`` x ``binning`` pixels.

    Pixels left over at the end of rows and columns are dropped. A NaN makes its bin NaN.
    """
    height, width = (n // binning for n in images.shape[1:])
    if not (height and width):
        raise InputError(f"binning: found {binning}, expected at most {min(images.shape[1:])}")
    out = np.empty((len(index), height, width), np.float32)
    for i, j in enumerate(index):
        image = np.asarray(images[j][: height * binning, : width * binning], dtype=np.float32)
        out[i] = (
            image.reshape(height, binning, width, binning).mean((1, 3)) if binning > 1 else image
        )
    return out


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
        image = np.asarray(series.images[j], dtype=np.float32)
        good = image[np.isfinite(image)]
        levels[i] = np.percentile(good, 2) if good.size else 0.0
    return levels


def _thickness(
    series: TiltSeries,
    settings: ReconstructSettings,
    images: Float32,
    geometry: Geometry,
    levels: npt.NDArray[np.float64],
) -> int:
    if settings.thickness is None:
        return estimate_thickness_px(images, geometry, background=levels)
    if series.pixel_size is None:
        raise InputError(
            "thickness: found no pixel size in the series, expected one; give it with pixel_size"
        )
    return max(1, round(settings.thickness / (series.pixel_size * settings.binning)))


def _check_memory(
    full: tuple[int, ...],
    n_tilts: int,
    settings: ReconstructSettings,
    shape: tuple[int, int, int],
    max_memory: int | None,
    threads: int,
) -> None:
    need = plan(
        (full[0], full[1]), n_tilts, settings, volume_shape=shape, threads=threads
    ).bytes_peak
    if max_memory is not None and need > max_memory:
        raise InputError(
            f"max_memory: found {max_memory / 1e9:.3g} GB, expected at least {need / 1e9:.3g} GB for a "
            f"volume of {shape}; allow more, bin the images or give a smaller thickness"
        )
