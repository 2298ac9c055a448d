# SPDX-License-Identifier: BSD-3-Clause
"""Segmentation into two phases whose every number says how far it can be trusted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core
from ..datamodel import Volume
from ..errors import InputError
from ..metrics import NoisePower
from ..reconstruct import Halves
from ._inputs import AXES, Float32, Mask, Table, as_mask
from ._masks import Cut, Masker, Method, Source
from ._phases import Measured, Measurer
from ._segment_job import Job, as_part, object_table, total_table
from ._uncertainty import Moves, noise_volumes, spread_of

__all__ = ["Segmentation", "segment"]

HalvesLike = Halves | tuple[npt.ArrayLike, npt.ArrayLike]
_PLACES = ("z_px", "y_px", "x_px", "z_nm", "y_nm", "x_nm")
_SIZES = ("volume_", "diameter_", "surface_")


@dataclass(frozen=True, kw_only=True, eq=False)
class Segmentation:
    """What :func:`segment` found.

    Attributes
    ----------
    labels : (nz, ny, nx) int32
        Object ``i`` of the table has label ``i + 1``.
    totals : dict of str to (n,) array
        One row per number of the whole segmentation, its name in ``number``; columns as of :func:`segment`.
    objects : dict of str to (n,) array
        One row per object, columns as of :func:`segment`.
    threshold, sigma_threshold : float
        In the volume's units.
    interval : (float, float)
        That holds the threshold with 95 % chance (bootstrap over parts of the volume).
    levels, sigma_levels : (float, float)
        Of the background and of the phase, and their errors.
    edge_px : float
        How far from an edge its blur reaches.
    notes : tuple of str
        What the errors rest on and what is missing.
    """

    labels: npt.NDArray[np.int32]
    totals: Table
    objects: Table
    threshold: float
    sigma_threshold: float
    interval: tuple[float, float]
    levels: tuple[float, float]
    sigma_levels: tuple[float, float]
    edge_px: float
    notes: tuple[str, ...]

    def total(self, name: str) -> tuple[float, float]:
        """Return a number of the whole segmentation and its total error."""
        names = list(self.totals["number"])
        if name not in names:
            raise InputError(f"name: found {name!r}, expected one of {', '.join(names)}")
        row = names.index(name)
        return float(self.totals["value"][row]), float(self.totals["sigma"][row])


def segment(
    volume: Volume | npt.ArrayLike | None,
    method: Method | Callable[[Float32, float], npt.ArrayLike] = "threshold",
    *,
    threshold: Source | float = "levels",
    phase: Literal["bright", "dark"] = "bright",
    where: npt.ArrayLike | None = None,
    smoothing: float = 1.0,
    min_voxels: int = 7,
    radius: int = 15,
    halves: HalvesLike | None = None,
    noise: NoisePower | npt.ArrayLike | None = None,
    realisations: Iterable[Volume | npt.ArrayLike] | None = None,
    imaging: Callable[[Float32], npt.ArrayLike] | None = None,
    draws: int = 16,
    numbers: Mapping[str, Callable[[Mask], float]] | None = None,
    pixel_size: float | None = None,
    seed: int = 0,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
    progress: Callable[[float], None] | None = None,
) -> Segmentation:
    """Segment a volume into a phase and its surroundings, and say how every number moves.

    Parameters
    ----------
    volume : (nz, ny, nx) real, or Volume
        NaN is missing: it belongs to nothing. With ``halves`` their sum is segmented, and this may be None.
    method : {"threshold", "hysteresis", "local", "random-walker"} or callable, default "threshold"
        ``hysteresis``: objects above the threshold that somewhere reach 3/4 of the contrast. ``local``: the threshold
        follows the mean over ``radius``. ``random-walker``: what lies a quarter of the contrast or more beyond the
        threshold is a seed, :func:`random_walker` decides on the rest. A callable gets the smoothed volume, of which
        the phase is bright, and the threshold, and returns a mask.
    threshold : "levels", "otsu" or float, default "levels"
        ``levels``: half-way between the levels of the two phases, measured away from edges. ``otsu``: :func:`otsu`.
    phase : {"bright", "dark"}
        What the objects are.
    where : (nz, ny, nx) bool, optional
        The part of the volume to be segmented.
    smoothing : float, default 1 [px]
        Standard deviation of a Gaussian that the volume is smoothed by first; 0: none.
    min_voxels : int, default 7
        Smaller components are no objects; what they hold still counts in the volume fraction.
    radius : int, default 15 [px]
        Of the window of ``local``.
    halves : Halves or (first, second), optional
        Two reconstructions that add up to the volume and whose noise is independent: their difference is the noise.
    noise : float, NoisePower or (nz, ny, nx // 2 + 1), optional
        In place of halves, as for :func:`blobs`.
    realisations : iterable of volumes, optional
        The same specimen from other alignments, such as :func:`pose_volumes` makes.
    imaging : callable, optional
        What the reconstruction shows of a volume without noise: its projection and reconstruction, (nz, ny, nx) to the
        same. It is tried on two levels like the found ones, and ``totals`` are corrected for what it did to them.
    draws : int, default 16
        Volumes of noise that are added.
    numbers : mapping of str to callable, optional
        More numbers of the whole segmentation, each from the mask of its objects: ``{"name": function}``.
    pixel_size : float [angstrom], optional
        Taken from a Volume; without it lengths are in pixels (``_px``).
    seed : int, default 0
        Of the noise and of the bootstrap.
    threads, cancel
        As for :func:`label`.
    progress : callable, optional
        Called with the share done.

    Returns
    -------
    Segmentation
        Rows of ``totals``: ``volume_fraction``, ``volume_nm3``, ``surface_nm2``, ``components`` and ``numbers``, each
        with

        - ``value``; ``sigma``: root of the sum of squares of the next four, as far as they are known;
        - ``sigma_threshold``: from the threshold and the levels, with ``imaging`` as far as it does not move them
          alike; ``d_threshold``: change per unit of threshold;
        - ``sigma_halves``: from the noise; ``bias_halves``: how far noise as strong once more moves the number, and
          so, about, how far the noise in the data has moved it; ``corrected``: ``value`` less that;
        - ``sigma_alignment`` and ``bias_alignment``: the same from ``realisations``;
        - ``bias_imaging``: what ``imaging`` did; it was taken off ``value``, and half of it is ``sigma_imaging``;
        - ``first``, ``second``: the number in each half alone, at twice the noise variance.

        ``objects``: the columns of :func:`regions` without its errors, with ``volume`` and ``diameter`` from grey
        values (Notes), and for volume, diameter, surface and centroid the columns
        ``d_threshold_``, ``sigma_threshold_``, ``sigma_halves_``, ``sigma_alignment_`` and ``sigma_``;
        ``seen_halves``, ``seen_alignment``: share of the draws with an object that is mostly this one and no other.
        What is not known is NaN.

    Raises
    ------
    InputError
        One phase only, no finite voxel, shapes that do not fit, an unknown method.
    Cancelled
        ``cancel`` was set.

    Notes
    -----
    Volumes count (v - low) / (high - low) near edges and 1 inside. That is linear in the values: a ball blurred by s
    keeps its volume, where the half-level alone loses 3 s^2 / r^2 of it, and noise adds none. Surfaces and centroids
    are those of the mask. What the missing wedge does to all reconstructions alike is in no error without ``imaging``.

    References
    ----------
    Noise added once more: Cook & Stefanski, J. Am. Stat. Assoc. 89 (1994) 1314, section 2 (SIMEX). Bootstrap over
    blocks: Kunsch, Ann. Stat. 17 (1989) 1217. How and how well: design/024-segmentation.md.
    """
    data, pair, pixel_size = _volumes(volume, halves, pixel_size)
    _check(threshold, phase, smoothing, draws, min_voxels, pair, noise)
    valid = np.isfinite(data)
    if where is not None:
        valid &= as_mask(where, "where", data.shape)
    if not valid.any():
        raise InputError("volume: found no finite voxel, expected some; look at where= and at NaN")
    noisy = pair is not None or noise is not None
    job = Job(
        masker=Masker(method, radius, threads, cancel),
        measurer=Measurer(valid, pixel_size, min_voxels, dict(numbers or {}), threads, cancel),
        valid=valid,
        sign=1 if phase == "bright" else -1,
        smoothing=smoothing,
        threshold=threshold,
        seed=seed,
        tell=_counter(progress, 7 + noisy * draws + 2 * (pair is not None) + (imaging is not None)),
    )
    values = job.prepared(data)
    cut = job.cut(values)
    base = job.measured(values, cut.threshold, cut.levels)
    columns = tuple(n for n in base.table if n.startswith(_SIZES) or n in _PLACES)
    imaged, shown = (None, None) if imaging is None else job.imaged(data, cut, imaging)
    steps = job.steps(values, cut, base, columns, shown)
    moves: dict[str, Moves | None] = {"halves": None, "alignment": None}
    halved: list[Measured] = []
    if noisy:
        difference = None if pair is None else np.where(valid, pair[0] - pair[1], np.float32(0))
        fields = noise_volumes(data.shape, difference, noise, draws, seed, threads, cancel)
        moves["halves"] = spread_of(base, columns, (job.at(data + f, cut) for f in fields))
        halved = [job.at(2 * half, cut) for half in pair or ()]
    if realisations is not None:
        moves["alignment"] = spread_of(base, columns, job.anew(realisations))
    totals = total_table(base, steps, moves, halved, imaged)
    return _result(job, cut, base, totals, object_table(base, steps, moves, columns), moves)


def _result(
    job: Job,
    cut: Cut,
    base: Measured,
    totals: Table,
    objects: Table,
    moves: dict[str, Moves | None],
) -> Segmentation:
    low, high = sorted(job.sign * end for end in cut.interval)
    sigmas = [float(s) for s in np.sqrt(np.diag(cut.covariance()))]
    words = [
        f"sigma_{source}: unknown, as there are no {given}"
        for source, given in (("halves", "halves and no noise"), ("alignment", "realisations"))
        if moves[source] is None
    ]
    return Segmentation(
        labels=base.labels,
        totals=totals,
        objects=objects,
        threshold=job.sign * cut.threshold,
        sigma_threshold=sigmas[0],
        interval=(low, high),
        levels=(job.sign * cut.levels.low, job.sign * cut.levels.high),
        sigma_levels=(sigmas[1], sigmas[2]),
        edge_px=cut.levels.reach,
        notes=(*cut.notes, *words),
    )


def _counter(progress: Callable[[float], None] | None, count: int) -> Callable[[], None]:
    """Return what is called after each of ``count`` measurements."""
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(min(1.0, done / count))

    return tell


def _volumes(
    volume: Volume | npt.ArrayLike | None, halves: HalvesLike | None, pixel_size: float | None
) -> tuple[Float32, tuple[Float32, Float32] | None, float | None]:
    """Return what is segmented, the halves that add up to it, and the pixel size."""
    if isinstance(volume, Volume):
        pixel_size = volume.pixel_size if pixel_size is None else pixel_size
        halves = volume.halves if halves is None else halves
        volume = volume.data
    if halves is None and volume is None:
        raise InputError("volume: found None, expected a volume, or halves=")
    data: Float32 | None = None if volume is None else as_core(volume, "volume", AXES)
    pair = None
    if halves is not None:
        both = (halves.first, halves.second) if isinstance(halves, Halves) else tuple(halves)
        if len(both) != 2:
            raise InputError(f"halves: found {len(both)} volumes, expected two")
        shape = np.shape(both[0]) if data is None else data.shape
        pair = (as_part(both[0], "halves", shape), as_part(both[1], "halves", shape))
        data = pair[0] + pair[1] if data is None else data
    assert data is not None
    if np.isinf(data).any():
        raise InputError("volume: found infinite values, expected finite numbers or NaN")
    if pixel_size is not None and not (math.isfinite(pixel_size) and pixel_size > 0):
        raise InputError(f"pixel_size: found {pixel_size}, expected a positive length in angstrom")
    return data, pair, pixel_size


def _check(
    threshold: Source | float,
    phase: str,
    smoothing: float,
    draws: int,
    min_voxels: int,
    pair: object,
    noise: object,
) -> None:
    known = (
        threshold in get_args(Source) if isinstance(threshold, str) else math.isfinite(threshold)
    )
    if not known:
        raise InputError(f"threshold: found {threshold!r}, expected 'levels', 'otsu' or a number")
    if phase not in ("bright", "dark"):
        raise InputError(f"phase: found {phase!r}, expected 'bright' or 'dark'")
    if not (math.isfinite(smoothing) and smoothing >= 0):
        raise InputError(f"smoothing: found {smoothing}, expected 0 or more pixels")
    if draws < 2 or min_voxels < 1:
        raise InputError(
            f"draws, min_voxels: found {draws} and {min_voxels}, expected 2 or more and 1 or more"
        )
    if pair is not None and noise is not None:
        raise InputError("noise: found beside halves, expected one of them")
