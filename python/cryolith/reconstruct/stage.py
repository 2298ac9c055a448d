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
from ..datamodel import Alignment, Source, TiltSeries, Volume
from ..errors import Cancelled
from .dart import dart
from .halves import Halved, half_volumes, in_turn
from .inputs import Float32
from .iterate import Callback, Reconstruction
from .krylov import cgls, lsqr
from .mlem import mlem
from .prepare import prepare
from .settings import ReconstructSettings
from .sirt import sart, sirt
from .variation import tv
from .wbp import wbp

__all__ = ["SHARES", "linear_solver", "reconstruct", "solver_of", "told_iterations"]

# Time of the solve of all data and of each half.
SHARES = {None: [1.0], "tilts": [2.0, 1.0, 1.0], "dose": [2.0, 1.0, 1.0], "frames": [1.0, 1.0, 1.0]}


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
    ready = prepare(
        series,
        alignment,
        settings or ReconstructSettings(),
        frames=frames,
        background=background,
        max_memory=max_memory,
        workspace=workspace,
        threads=threads,
        cancel=cancel,
    )
    settings, options, divided = ready.settings, ready.options, ready.divided
    if settings.method != "wbp":
        options |= {"mask": mask, "callback": callback}
    solve, tell = solver_of(settings), in_turn(progress, SHARES[settings.halves])
    data = solve(ready.images, ready.geometry, background=ready.levels, progress=tell[0], **options)
    cancelled = isinstance(data, Reconstruction) and data.stopped == "cancelled"
    if isinstance(data, Reconstruction) and cancelled and not data.iterations:
        raise Cancelled("cancelled by the caller")
    halves = None
    if divided is not None and not cancelled:
        halves = _halves(solve, divided, options, settings.method == "wbp", tell[1:])
    facts = dict(ready.facts)
    if isinstance(data, Reconstruction):
        facts["iterations"] = told_iterations(data.iterations, data.stopped, settings)
    if settings.halves is not None:
        facts["halves"] = f"by {settings.halves}" + ("" if halves else ", cancelled")
    source = Source(path=series.source.path, facts=facts)
    return Volume(data=data, pixel_size=ready.pixel_size, source=source, halves=halves)


def solver_of(settings: ReconstructSettings) -> Callable[..., Float32]:
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
        return solver_of(settings), True
    # cgls and lsqr hold no bounds unless they are told to.
    lower = settings.lower
    if lower is None:
        lower = -np.inf if settings.method in ("cgls", "lsqr") else 0.0
    bounded = lower > -np.inf or settings.upper is not None
    free = replace(settings, lower=-np.inf, upper=None, noise=None)
    return solver_of(free), not bounded


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


def told_iterations(iterations: int, stopped: str, settings: ReconstructSettings) -> str:
    """Return how many iterations were done, of how many, and why not all."""
    why = {
        "iterations": "",
        "noise": ", stopped at the noise",
        "tolerance": ", stopped at the tolerance",
        "callback": ", stopped by the caller",
        "cancelled": ", cancelled",
    }
    return f"{iterations} of {settings.iterations}{why[stopped]}"
