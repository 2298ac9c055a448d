# SPDX-License-Identifier: BSD-3-Clause
"""How a volume was made, for those who ask what it shows of an object."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..datamodel import Alignment, TiltSeries
from ..errors import InputError
from ..projection import Geometry
from .halves import Halves, Split, dose_before, split_tilts
from .inputs import Float32, Int64
from .settings import ReconstructSettings
from .stage import BinnedImages, solver_of

__all__ = ["Recipe", "recipe_of"]

_LINEAR = ("wbp", "sirt", "sart")  # in the images, with bounds off


@dataclass(frozen=True, kw_only=True, eq=False)
class Recipe:
    """The linear way from images to a volume: what :func:`cryolith.detect.blobs` and its kin want to know.

    Attributes
    ----------
    geometry : Geometry
        Of the images that were used, at their binning.
    image_shape : (int, int)
        Their (height, width).
    solve : callable
        The solver with its options bound, and without bounds on the density.
    split : {"tilts", "frames", "dose"} or None
        How halves were made.
    index : ((n_first,), (n_second,)) int64, or None
        Images in each half.
    """

    geometry: Geometry
    image_shape: tuple[int, int]
    solve: Callable[..., Any]
    split: Split | None
    index: tuple[Int64, Int64] | None

    def halves(self, first: Float32, second: Float32) -> Halves:
        """Return two half volumes with what is known of them.

        Raises
        ------
        InputError
            A recipe without a ``split``.
        """
        if self.split is None or self.index is None:
            raise InputError(
                "halves: found two for a volume that was not made in halves, expected settings with halves"
            )
        return Halves(
            first=first, second=second, full=first + second, split=self.split, index=self.index
        )


def recipe_of(
    series: TiltSeries, alignment: Alignment, settings: ReconstructSettings | None = None
) -> Recipe | None:
    """Return how :func:`reconstruct` makes a volume of this series, None where that is not linear in the images.

    Parameters
    ----------
    series : TiltSeries
    alignment : Alignment
    settings : ReconstructSettings, optional
        Those of the volume. ``wbp``, ``sirt`` and ``sart`` have a recipe, unless ``noise`` decides when to stop. It
        leaves bounds out: they do nothing to what lies within them, such as a blob on a specimen.
    """
    settings = settings or ReconstructSettings()
    if settings.method not in _LINEAR or settings.noise is not None:
        return None
    kept = np.flatnonzero(alignment.kept)
    height, width = series.images.shape[1:]
    geometry = Geometry.from_alignment(alignment).scaled(settings.binning, (height, width))
    images = BinnedImages(series.images, kept, settings.binning)
    solve = solver_of(replace(settings, lower=-np.inf, upper=None))
    index = None
    if settings.halves == "frames":
        index = (np.arange(len(kept)), np.arange(len(kept)))
    elif settings.halves is not None:
        dose = dose_before(series, None, kept) if settings.halves == "dose" else None
        index = split_tilts(geometry.angles_deg, settings.halves, dose=dose)
        solve = solve if dose is None else functools.partial(solve, dose=dose)
    return Recipe(
        geometry=geometry,
        image_shape=(images.shape[1], images.shape[2]),
        solve=solve,
        split=settings.halves,
        index=index,
    )
