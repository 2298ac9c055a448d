# SPDX-License-Identifier: BSD-3-Clause
"""The whole search: layers, particles and voids of a volume in one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from .. import _core
from .._version import __version__
from ..datamodel import Defects, Provenance, Volume
from ..settings import setting, settings, to_mapping
from ._inputs import Table, as_volume
from .inclusions import Found, find_particles, find_voids
from .interfaces import interfaces

__all__ = ["DetectSettings", "detect"]


@settings
class DetectSettings:
    """What to look for and how strictly."""

    layers: bool = setting(True, "look for layers")
    particles: bool = setting(True, "look for particles")
    voids: bool = setting(True, "look for voids")
    axis: Literal["auto", "z", "y", "x"] = setting("auto", "layering direction in the volume")
    min_contrast: float = setting(
        0.05,
        "smallest step between layers, share of the specimen's level",
        minimum=1e-3,
        maximum=0.999,
    )
    void_contrast: float = setting(
        0.2, "least depth of a void, share of the specimen's level", minimum=1e-3, maximum=0.999
    )
    particle_threshold: float | None = setting(
        None, "threshold of particles, automatic if not given"
    )
    alpha: float = setting(
        0.01, "chance that noise alone makes one object or more", minimum=1e-12, maximum=0.999
    )
    min_size: int | None = setting(
        None, "smallest object, by default what the resolution allows", unit="voxels", minimum=1
    )


def detect(
    volume: Volume,
    settings: DetectSettings | None = None,
    *,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
    progress: Callable[[float], None] | None = None,
) -> Defects:
    """Find layers, particles and voids in a reconstructed volume.

    Parameters
    ----------
    volume : Volume
        Density with specimen bright on dark; NaN is refused. Its pixel size makes the tables' nanometres.
    settings : DetectSettings, optional
        What to look for and how strictly.
    threads : int, default 0
        0 uses all processors the process may use; the result does not depend on it.
    cancel : CancelToken, optional
        Stops the work from another thread.
    progress : callable, optional
        Called with the finished share, 0 to 1.

    Returns
    -------
    Defects
        Tables of :func:`interfaces`, :func:`particles` and :func:`voids`; ``labels``; ``thresholds``; ``notes``
        that say what was decided. In a layered specimen particles are not looked for unless a threshold is given:
        its bright regions are its layers.

    Raises
    ------
    InputError
        NaN in the volume.
    Cancelled
        ``cancel`` was used.
    """
    chosen = DetectSettings() if settings is None else settings
    data, pixel_size = as_volume(volume, None)
    tell = progress if progress is not None else _silent
    tell(0.0)
    notes: list[str] = []
    thresholds: dict[str, float] = {}
    labels = np.zeros(data.shape, np.int32)
    layers: Table = {}
    if chosen.layers:
        axis = None if chosen.axis == "auto" else chosen.axis
        layers = interfaces(
            data,
            axis=axis,
            pixel_size=pixel_size,
            min_contrast=chosen.min_contrast,
            threads=threads,
        )
        notes.append(_layers_note(layers))
    _stop_if(cancel)
    tell(0.4)
    dark: Table = {}
    if chosen.voids:
        found = find_voids(
            data, None, None, chosen.min_size, chosen.void_contrast, chosen.alpha, pixel_size, threads, cancel
        )  # fmt: skip
        dark = found.table
        thresholds["void_depth"] = found.threshold
        labels -= found.labels
        notes.append(_found_note("void", found, chosen))
    _stop_if(cancel)
    tell(0.7)
    bright: Table = {}
    layered = bool(layers) and bool(layers["complete"].any())
    if chosen.particles and layered and chosen.particle_threshold is None:
        notes.append(
            "particles: not looked for; the bright regions of a layered specimen are its layers"
        )
    elif chosen.particles:
        found = find_particles(
            data,
            chosen.particle_threshold,
            chosen.min_size,
            chosen.alpha,
            pixel_size,
            threads,
            cancel,
        )
        bright = found.table
        thresholds["particle"] = found.threshold
        labels = np.where(
            labels == 0, found.labels, labels
        )  # a void inside a particle stays a void
        notes.append(_found_note("particle", found, chosen))
    tell(1.0)
    thresholds = {k: v for k, v in thresholds.items() if np.isfinite(v)}
    return Defects(
        particles=bright,
        voids=dark,
        layers=layers,
        labels=labels,
        thresholds=thresholds,
        notes=tuple(notes),
        pixel_size=pixel_size,
        provenance=Provenance(
            made_by="cryolith.detect.detect", version=__version__, settings=to_mapping(chosen)
        ),
    )


def _silent(_: float) -> None:
    return None


def _stop_if(cancel: _core.CancelToken | None) -> None:
    if cancel is not None and cancel.cancelled:
        from ..errors import Cancelled

        raise Cancelled("cancelled by the caller")


def _layers_note(layers: Table) -> str:
    count = len(layers["name"])
    if count == 0:
        return "layers: none; no step that all parts of the cross-section agree on"
    whole = int(layers["complete"].sum())
    return f"layers: {count}, {whole} of them with both boundaries measured"


def _found_note(what: str, found: Found, chosen: DetectSettings) -> str:
    count = len(found.table["label"])
    return f"{what}s: {count} with a family-wise chance of {chosen.alpha:g} that noise made one"
