# SPDX-License-Identifier: BSD-3-Clause
"""The whole search: layers, particles and voids of a volume in one call."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from .. import _core
from .._version import __version__
from ..datamodel import Defects, Provenance, Volume
from ..errors import InputError
from ..projection import Geometry
from ..reconstruct import Halves, ReconstructSettings
from ..settings import setting, settings, to_mapping
from ._binned import blobs_in_full_voxels
from ._imaged import Imaged
from ._inputs import Table, unit_of
from ._search import searching
from ._search_inputs import HalvesLike
from .blobs import blobs
from .inclusions import Found

__all__ = ["DetectSettings", "detect"]

_STEP = 1.25  # from one size of blobs to the next, at most


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
    blobs: bool = setting(False, "look for round blobs, bright and dark, at a false-discovery rate")
    fdr: float = setting(
        0.05, "share of false rows in the table of blobs", minimum=1e-6, maximum=0.5
    )
    smallest_blob: float = setting(
        1.5, "smallest blob's standard deviation", unit="px", minimum=1.0, maximum=1000.0
    )
    largest_blob: float = setting(
        6.0, "largest blob's standard deviation", unit="px", minimum=1.0, maximum=1000.0
    )


def detect(
    volume: Volume,
    settings: DetectSettings | None = None,
    *,
    halves: HalvesLike | None = None,
    geometry: Geometry | None = None,
    image_shape: tuple[int, int] | None = None,
    reconstruction: ReconstructSettings | None = None,
    max_memory: int | None = None,
    workspace: str | os.PathLike[str] | None = None,
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
    halves : Halves, or (first, second), optional
        Two reconstructions from halves of the data, whose difference tells :func:`blobs` the noise.
    geometry : Geometry, optional
        How the images were taken. Then every row of particles, voids and blobs says how well its directions were seen
        (``coverage``), and has axes freed from the missing wedge's elongation or says why not (``elongation_flag``):
        :func:`correct_elongation`.
    image_shape : (int, int), optional
        (height, width) of the images, for blobs; default what fits the volume.
    reconstruction : ReconstructSettings, optional
        How the volume was reconstructed from them; default ``wbp``. Where densities were bounded the errors of
        corrected axes are wider (5 %); where it is not linear (tv, mlem, dart) there are none.
    max_memory : int, optional [bytes]
        Where the search in memory would need more, the volume is gone through block by block: voids, particles and
        labels are the same to the bit; layers and blobs are looked for in a copy of averaged voxels, which ``notes``
        say. ``labels`` are then a :class:`StoredArray` in a file without a name. A volume that does not fit is best
        given as :func:`cryolith.files.open_volume` opens it.
    workspace : path, optional
        A folder for files without a name, of up to five times the volume's bytes.
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
        its bright regions are its layers. With ``settings.blobs`` also the tables ``blobs`` and
        ``blob_detectability``: by size, the peak value at which a half and nine tenths of the blobs are found.

    Raises
    ------
    InputError
        NaN in the volume.
    Cancelled
        ``cancel`` was used.
    """
    chosen = DetectSettings() if settings is None else settings
    imaged = Imaged(geometry, image_shape, reconstruction or ReconstructSettings(method="wbp"))
    tell = progress if progress is not None else _silent
    tell(0.0)
    search = searching(volume, chosen, threads, cancel, max_memory, workspace)
    notes: list[str] = list(search.notes)
    thresholds: dict[str, float] = {}
    layers: Table = {}
    if chosen.layers:
        layers = search.layers()
        notes.append(_layers_note(layers))
    _stop_if(cancel)
    tell(0.4)
    dark: Table = {}
    if chosen.voids:
        found = search.voids()
        dark = imaged.freed(found, threads, cancel)
        thresholds["void_depth"] = found.threshold
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
        found = search.particles()
        bright = imaged.freed(found, threads, cancel)
        thresholds["particle"] = found.threshold
        notes.append(_found_note("particle", found, chosen))
    more: dict[str, Table] = {}
    if chosen.blobs:
        factor = search.blobs_binned
        if factor > 1:
            volume, halves, imaged = _copies(search.averaged, volume, halves, imaged, factor)
        more = _blob_tables(volume, chosen, halves, imaged, factor, threads, cancel, notes)
        if factor > 1:
            shape = search.labels.shape
            more["blobs"] = blobs_in_full_voxels(more["blobs"], shape, factor, search.pixel_size)
    tell(1.0)
    thresholds = {k: v for k, v in thresholds.items() if np.isfinite(v)}
    return Defects(
        particles=bright,
        voids=dark,
        layers=layers,
        labels=search.labels,
        thresholds=thresholds,
        notes=tuple(notes),
        tables=more,
        pixel_size=search.pixel_size,
        provenance=Provenance(
            made_by="cryolith.detect.detect", version=__version__, settings=to_mapping(chosen)
        ),
    )


def _copies(
    averaged: Callable[[Any], Any],
    volume: Volume,
    halves: HalvesLike | None,
    imaged: Imaged,
    factor: int,
) -> tuple[Volume, HalvesLike | None, Imaged]:
    """Return a volume, its halves and how they were imaged, of averaged voxels."""
    pair = (halves.first, halves.second) if isinstance(halves, Halves) else halves
    edge = None if volume.pixel_size is None else volume.pixel_size * factor
    small = Volume(data=averaged(volume.data), pixel_size=edge)
    pixels = imaged.image_shape
    seen = replace(
        imaged,
        geometry=None if imaged.geometry is None else imaged.geometry.scaled(factor, pixels),
        image_shape=None if pixels is None else (pixels[0] // factor, pixels[1] // factor),
    )
    return small, None if pair is None else (averaged(pair[0]), averaged(pair[1])), seen


def _blob_tables(
    volume: Volume,
    chosen: DetectSettings,
    halves: HalvesLike | None,
    imaged: Imaged,
    factor: int,
    threads: int,
    cancel: _core.CancelToken | None,
    notes: list[str],
) -> dict[str, Table]:
    """Return the tables of blobs and of what could have been found."""
    if chosen.largest_blob <= chosen.smallest_blob:
        raise InputError(
            f"largest_blob: found {chosen.largest_blob:g} px, expected more than smallest_blob, "
            f"{chosen.smallest_blob:g} px"
        )
    steps = math.ceil(math.log(chosen.largest_blob / chosen.smallest_blob) / math.log(_STEP))
    sizes = np.geomspace(chosen.smallest_blob, chosen.largest_blob, steps + 1)
    if factor > 1:
        sizes = sizes[sizes >= factor]
        if not len(sizes):
            raise InputError(
                f"largest_blob: found {chosen.largest_blob:g} px, expected {factor} px or more where max_memory leaves "
                f"room for a copy of {factor} x {factor} x {factor} voxels averaged"
            )
        notes.append(
            f"blobs: looked for in a copy of {factor} x {factor} x {factor} voxels averaged, as the memory allows; "
            f"none of a standard deviation below {sizes[0]:.3g} px are looked for"
        )
    known = imaged.of_blobs(volume.data.shape, halves)
    found = blobs(
        volume, sizes=sizes / factor, fdr=chosen.fdr, **known, threads=threads, cancel=cancel
    )
    notes.append(f"blobs: {len(found.table['sign'])} at a false-discovery rate of {chosen.fdr:g}")
    shown = "what the reconstruction shows of a blob" if "solve" in known else "round"
    notes.append(f"blobs: templates are {shown}")
    notes.extend(f"blobs: {note}" for note in found.notes)
    seen = found.detectability
    unit, pixel = unit_of(volume.pixel_size)
    near = [int(np.abs(np.log(factor * seen.sizes / size)).argmin()) for size in sizes]
    pixel = pixel if unit == "px" else pixel / factor
    return {
        "blobs": imaged.told(found.table),
        "blob_detectability": {
            f"size_{unit}": sizes * pixel,
            "amplitude_half_found": seen.contrast_for(0.5)[near],
            "amplitude_most_found": seen.contrast_for(0.9)[near],
        },
    }


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
