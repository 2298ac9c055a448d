# SPDX-License-Identifier: BSD-3-Clause
"""From the caller's arguments to a checked set-up that a solver can iterate on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._arrays import as_core, as_output
from .._fields import Field, MemoryField, Shape3, fresh
from ..errors import InputError
from ..projection.on_devices import Devices as Names
from .cut import WHOLE, Cut
from .device import Devices, chosen_devices
from .inputs import Float32, Problem, ProjectionsLike, ViewsLike, as_problem
from .iterate import Setup
from .options import Options, checked_bounds, checked_number, refuse_unknown

__all__ = ["as_setup", "devices_of", "volume_target"]


def as_setup(
    stack: ProjectionsLike, views: ViewsLike, options: Options, *, lower: float = 0.0
) -> Setup:
    """Return what a solver needs, or refuse an argument by name.

    ``lower`` is the solver's own default of that bound.
    """
    refuse_unknown(options)
    problem = as_problem(
        stack,
        views,
        thickness=options.get("thickness"),
        shape=options.get("shape"),
        background=options.get("background"),
    )
    low, high = checked_bounds(options, lower)
    cut = options.get("cut", WHOLE)
    devices = devices_of(problem, options.get("device", "cpu"), options.get("max_memory"))
    given, heaviest = _ray_weights(options.get("weights"), problem.images.shape)
    measured, weights, rays = _rays(problem, given, heaviest, cut)
    mask = _checked_mask(options.get("mask"), problem.shape)
    volume, started = _start(options, problem.shape, mask, low, high, cut)
    return Setup(
        problem=problem,
        cut=cut,
        measured=measured,
        weights=weights,
        heaviest=heaviest,
        rays=rays,
        volume=volume,
        started=started,
        mask=mask,
        lower=low,
        upper=high,
        tol=checked_number(options.get("tol", 0.0), "tol"),
        noise=checked_number(options.get("noise", 0.0), "noise"),
        callback=options.get("callback"),
        threads=options.get("threads", 0),
        cancel=options.get("cancel"),
        progress=options.get("progress"),
        devices=devices,
        checkpoint=options.get("checkpoint"),
    )


def devices_of(problem: Problem, device: Names, max_memory: int | None) -> Devices:
    """Return the devices that are to solve a problem, with ``auto`` decided, or refuse them."""
    height, width = problem.images.shape[1:]
    views = problem.views
    return chosen_devices(device, max_memory, views.geometry, (height, width), views.among)


def _ray_weights(
    weights: npt.ArrayLike | None, shape: Shape3
) -> tuple[npt.NDArray[Any] | None, float]:
    """Return the caller's weights, (n, 1, 1) or (n, height, width), and their largest."""
    if weights is None:
        return None, 1.0
    given = np.asarray(weights)
    if given.ndim == 1:
        given = given[:, None, None]
    if given.shape not in (shape, (shape[0], 1, 1)):
        raise InputError(
            f"weights: found shape {np.shape(weights)}, expected ({shape[0]},) or {shape}"
        )
    heaviest = 0.0
    for part in given:
        if not (np.isfinite(part).all() and (part >= 0).all()):
            raise InputError("weights: found a negative or non-finite weight, expected 0 or more")
        heaviest = max(heaviest, float(np.float32(part.max())))
    return given, heaviest or 1.0


def _rays(
    problem: Problem, given: npt.NDArray[Any] | None, heaviest: float, cut: Cut
) -> tuple[Field, Field, int]:
    """Return b, 0 where a pixel is missing, W, 0 there too and 1 at most, and how many weights are above 0."""
    shape = problem.images.shape
    weights = cut.stack(shape)

    # In a function of its own, so that one part is let go before the next is read.
    def known(first: int, last: int) -> tuple[Float32, int]:
        images, w = problem.images[first:last], weights.layers(first, last)
        np.isfinite(images, out=w, casting="unsafe")
        if not w.all():
            kept = fresh(images.shape)
            np.copyto(kept, images, where=w > 0)
            images = kept
        if given is not None:
            np.multiply(w, given[first:last], out=w, casting="same_kind")
            w /= np.float32(heaviest)
        weights.put_layers(first, w)
        return images, int(np.count_nonzero(w))

    if not cut.on_disk:  # one part, and often the caller's own array
        images, rays = known(0, shape[0])
        return MemoryField(images), weights, rays
    measured, rays = cut.stack(shape), 0
    for first, last in cut.layer_parts(shape[0]):
        images, count = known(first, last)
        measured.put_layers(first, images)
        del images
        rays += count
    return measured, weights, rays


def _checked_mask(mask: npt.ArrayLike | None, shape: Shape3) -> npt.NDArray[Any] | None:
    if mask is None:
        return None
    given = _of_shape(mask, "mask", shape)
    if not any(np.any(section != 0) for section in given):
        raise InputError("mask: found no voxel inside, expected at least one")
    return given


def _start(
    options: Options,
    shape: Shape3,
    mask: npt.NDArray[Any] | None,
    low: float,
    high: float,
    cut: Cut,
) -> tuple[Field, bool]:
    """Return the start volume, inside mask and bounds, and whether any of it is not 0."""
    init, out = options.get("init"), options.get("out")
    given = None if init is None else _of_shape(init, "init", shape)
    volume = volume_target(out, shape, cut)
    if given is None and out is None and low <= 0.0 <= high:
        return volume, False  # zeros, and no page of it touched yet

    def start(first: int, last: int) -> bool:
        window = (first, last, 0, shape[2])
        rows = volume.window(window)
        rows[:] = 0.0 if given is None else given[:, first:last]
        np.clip(rows, np.float32(low), np.float32(high), out=rows)
        if mask is not None:
            rows *= mask[:, first:last] != 0
        volume.put_window(window, rows)
        return bool(rows.any())

    return volume, any([start(first, last) for first, last in cut.row_parts(shape[1])])


def volume_target(out: Float32 | Field | None, shape: Shape3, cut: Cut) -> Field:
    """Return the field that a result goes into."""
    if out is None:
        return cut.volume(shape)
    if isinstance(out, np.ndarray):
        return MemoryField(np.asarray(as_output(out, shape)))
    if getattr(out, "shape", None) != shape:
        raise InputError(f"out: found shape {getattr(out, 'shape', None)}, expected {shape}")
    return out


def _of_shape(value: npt.ArrayLike, name: str, shape: Shape3) -> npt.NDArray[Any]:
    """Return a volume of real numbers, section by section checked and not converted."""
    array: Any = value if hasattr(value, "dtype") else np.asarray(value)
    found = getattr(array, "shape", ())
    if found != shape:
        as_core(value, name, ("nz", "ny", "nx"))
        raise InputError(f"{name}: found shape {found}, expected {shape}")
    for z in range(shape[0]):
        section = as_core(array[z : z + 1], name, ("nz", "ny", "nx"))
        if not np.isfinite(section).all():
            raise InputError(f"{name}: found NaN or infinity, expected finite values")
    checked: npt.NDArray[Any] = array
    return checked
