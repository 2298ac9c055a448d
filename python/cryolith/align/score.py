# SPDX-License-Identifier: BSD-3-Clause
"""How well an alignment, whoever made it, predicts the tilts that a reconstruction has not seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..datamodel import Alignment, TiltSeries
from ..errors import Cancelled, InputError
from ..projection import Geometry
from .axis import moved_along
from .bends import inner_weights
from .coarse import frame
from .images import reduce_images
from .joint import Model, Pose, solve
from .levels import extent, round_support, seen_edges, slab_support, with_ridge
from .specimen import Prepared, prepare

__all__ = ["AlignmentScore", "score_alignment", "score_alignments", "unaligned"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

_EDGE = 128  # of the reduced images, as in the alignment's last refinement
_FOLDS = 4
_ITERATIONS = 20
_LEAST_KEPT = 5
# Another program may put the specimen elsewhere in depth: twice what the alignment itself allows a slab.
_SLAB_THICKNESS = 0.3
_SOFTNESS = 2.0


@dataclass(frozen=True, kw_only=True, eq=False)
class AlignmentScore:
    """How well each tilt is predicted, and how well poses dealt out at random would predict it.

    A residual is |image - g prediction| / |image|, g the factor of least residual: 0 is perfect, 1 no better than
    nothing. NaN where an image has no signal or no finite pose.

    Attributes
    ----------
    residuals : (n_tilts,) float64
        Predicted from a reconstruction of all tilts that the alignment keeps.
    holdout : (n_tilts,) float64
        Predicted from a reconstruction that has not seen the tilt; of flagged tilts the same as ``residuals``.
    random, sigma_random : (n_tilts,) float64
        Mean and standard deviation of what the same reconstruction leaves of the image when it is projected at the
        poses of the other tilts.
    p_random : (n_tilts,) float64
        Share of all poses that predict the image at least as well as its own, itself included: 1 / n_tilts at best.
    kept : (n_tilts,) bool
        Tilts that the alignment does not flag; the means are over these.
    """

    residuals: Float64
    holdout: Float64
    random: Float64
    sigma_random: Float64
    p_random: Float64
    kept: npt.NDArray[np.bool_]

    def mean_holdout(self, among: npt.NDArray[np.bool_] | None = None) -> float:
        """Return the mean held-out residual of the kept tilts, or of those ``among`` them."""
        return _mean(self.holdout, self.kept if among is None else self.kept & among)

    def mean_random(self, among: npt.NDArray[np.bool_] | None = None) -> float:
        """Return the mean level of random poses for the same tilts."""
        return _mean(self.random, self.kept if among is None else self.kept & among)

    @property
    def unpredicted(self) -> npt.NDArray[np.bool_]:
        """(n_tilts,) bool: kept tilts that a random pose predicts as well as their own, on the average."""
        return self.kept & ~(self.holdout < self.random)


def _mean(values: Float64, part: npt.NDArray[np.bool_]) -> float:
    good = part & np.isfinite(values)
    return float(values[good].mean()) if good.any() else float("nan")


@dataclass(frozen=True)
class _Fixed(Model):
    """A model whose geometry is that of an alignment."""

    views: Geometry | None = None

    def geometry(self, pose: Pose) -> Geometry:
        """Return the alignment's geometry, whatever the pose."""
        assert self.views is not None
        return self.views


def unaligned(alignment: Alignment) -> Alignment:
    """Return what was there before: the same axis, angles and flags, nothing else."""
    return Alignment(
        angles_deg=alignment.angles_deg,
        tilt_axis_deg=alignment.tilt_axis_deg,
        shifts_px=np.zeros_like(alignment.shifts_px),
        flags=alignment.flags,
    )


def score_alignment(
    series: TiltSeries | npt.NDArray[Any],
    alignment: Alignment,
    *,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
    progress: Callable[[float], None] | None = None,
) -> AlignmentScore:
    """Score an alignment, ours or another program's, by the tilts that it predicts.

    Parameters
    ----------
    series : TiltSeries or (n_tilts, ny, nx) array of real numbers
        Raw images, in the order of the alignment.
    alignment : Alignment
        Of these images, local shifts included.
    threads : int, default 0
        0 uses all processors of this process; the result has the same bits for any number.
    cancel : CancelToken, optional
    progress : callable, optional
        Called with the fraction done, 0 to 1.

    Returns
    -------
    AlignmentScore

    Raises
    ------
    InputError
        Another number or size of images than the alignment's, or fewer than 5 tilts that it keeps.
    Cancelled
        ``cancel`` was set.

    Notes
    -----
    Images are reduced to about 128 px and made linear in the density, which depends on the images alone. Every fourth
    of the kept tilts, in the order of their angles, is held out in turn. The volume is as wide as the images say, and
    as deep as wide for an isolated specimen, so that a specimen off the middle costs little. Where one of the
    alignments has local shifts, the borders of the images are left out for all. Noise raises the residual of every
    alignment alike: compare alignments of one series.
    """
    return score_alignments(
        series, {"": alignment}, threads=threads, cancel=cancel, progress=progress
    )[""]


def score_alignments(
    series: TiltSeries | npt.NDArray[Any],
    alignments: Mapping[str, Alignment],
    *,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
    progress: Callable[[float], None] | None = None,
) -> dict[str, AlignmentScore]:
    """Score several alignments of one series, which is read once; see :func:`score_alignment`."""
    images = series.images if isinstance(series, TiltSeries) else np.asarray(series)
    for name, alignment in alignments.items():
        _check(images, alignment, f"alignments[{name!r}]" if name else "alignment")
    height, width = images.shape[1:]
    binning = max(1, min(round(max(height, width) / _EDGE), min(height, width) // 16))
    tell = progress or (lambda fraction: None)
    first = next(iter(alignments.values()))
    ready = prepare(images, first.angles_deg, binning, "auto", threads, cancel)
    # All alignments of a call are asked for the same pixels.
    bent = any(a.local is not None and a.local.good.any() for a in alignments.values())
    found = {}
    for i, (name, alignment) in enumerate(alignments.items()):

        def part(fraction: float, done: int = i) -> None:
            if cancel is not None and cancel.cancelled:
                raise Cancelled("cancelled by the caller")
            tell(0.2 + 0.8 * (done + fraction) / len(alignments))

        part(0.0)
        found[name] = _scored(_model(ready, alignment, threads, cancel), alignment, part, bent)
    tell(1.0)
    return found


def _check(images: npt.NDArray[Any], alignment: Alignment, name: str) -> None:
    if images.ndim != 3 or images.dtype.kind not in "biuf" or min(images.shape[1:]) < 16:
        raise InputError(
            f"series: found {images.dtype} {images.shape}, expected real images of at least 16 x 16 px"
        )
    if len(alignment.angles_deg) != len(images):
        raise InputError(
            f"{name}: found {len(alignment.angles_deg)} tilts, expected {len(images)}, one per image"
        )
    if alignment.image_shape not in (None, images.shape[1:]):
        raise InputError(
            f"{name}: found an alignment of images of {alignment.image_shape} px, expected {images.shape[1:]}; "
            "score it on the images that it was made for"
        )
    if alignment.kept.sum() < _LEAST_KEPT:
        raise InputError(
            f"{name}: found {alignment.kept.sum()} tilts that it keeps, expected at least {_LEAST_KEPT}"
        )
    lost = np.flatnonzero(alignment.kept & ~np.isfinite(alignment.shifts_px).all(axis=1))
    if lost.size:
        raise InputError(
            f"{name}: found no finite shift of tilt {lost[0]}, expected one; flag that tilt"
        )


def _model(
    ready: Prepared, alignment: Alignment, threads: int, cancel: _core.CancelToken | None
) -> _Fixed:
    """The volume and geometry of an alignment, wide enough for any gauge."""
    softness = _SOFTNESS if ready.isolated else 1.0
    images = reduce_images(ready.images, 1, threads, cancel, softness=softness)
    n, height, width = images.shape
    whole = replace(alignment, shifts_px=np.nan_to_num(alignment.shifts_px))
    views = Geometry.from_alignment(whole, keep=False).scaled(ready.binning)
    along, across = seen_edges((height, width), alignment.tilt_axis_deg)
    kept = alignment.kept
    moved = moved_along(views.shifts_px[kept], alignment.tilt_axis_deg)
    ny = int(np.ceil(along + min(moved, along))) + 4
    if ready.isolated:
        support = round_support(min(extent(images[kept], _pose(views, kept), threads), across))
    else:
        thickness = _SLAB_THICKNESS * max(height, width)
        support = slab_support(thickness, across, alignment.angles_deg)
    nz, _, nx = support.shape
    return _Fixed(
        images=images,
        angles_deg=alignment.angles_deg,
        shape=(nz, ny, nx),
        support=support,
        weights=np.ones((n, 1, 1), np.float32),
        ridge=0.01,
        softness=softness,
        threads=threads,
        cancel=cancel,
        views=views,
    )


def _pose(views: Geometry, part: npt.NDArray[np.bool_]) -> Pose:
    """Shifts and rotations of some tilts, the offset of the axis put into the shifts."""
    offset = frame(views.tilt_axis_deg) @ np.array([0.0, views.axis_offset_px])
    shifted = Pose.of_shifts(views.shifts_px[part] + offset, views.tilt_axis_deg)
    return replace(shifted, rotations_deg=views.rotations_deg[part])


def _scored(
    model: _Fixed, alignment: Alignment, tell: Callable[[float], None], bent: bool
) -> AlignmentScore:
    """One reconstruction of all kept tilts, one without each fold; every image against every pose."""
    kept, n = alignment.kept, len(alignment.angles_deg)
    assert model.views is not None
    pose = _pose(model.views, np.ones(n, bool))
    fold = np.full(n, -1)
    order = np.argsort(alignment.angles_deg, kind="stable")
    fold[order[kept[order]]] = np.arange(kept.sum()) % _FOLDS
    inside = inner_weights(model) if bent else np.float32(1)
    model = replace(model, weights=_weights(kept) * inside)
    ridge = with_ridge(model, pose)[0].ridge
    model = replace(model, ridge=ridge)
    against = _left(model, pose)
    residuals = np.diag(against).copy()
    for k in range(_FOLDS):  # flagged tilts, of no fold, were never seen
        left = _left(replace(model, weights=_weights(kept & (fold != k)) * inside), pose)
        against[fold == k] = left[fold == k]
        tell((k + 1) / _FOLDS)
    lost = ~np.isfinite(alignment.shifts_px).all(axis=1)
    residuals[lost] = np.nan
    against[lost] = against[:, lost] = np.nan
    return _compared(residuals, against, kept)


def _compared(residuals: Float64, against: Float64, kept: npt.NDArray[np.bool_]) -> AlignmentScore:
    """Set what each pose (column) leaves of each image (row) against what its own leaves."""
    holdout = np.diag(against).copy()
    others = np.where(np.eye(len(against), dtype=bool), np.nan, against)
    known = np.isfinite(others)
    count = known.sum(axis=1)
    some = np.where(count > 0, count, np.nan)
    random = np.where(known, others, 0).sum(axis=1) / some
    spread = np.where(known, (others - random[:, None]) ** 2, 0).sum(axis=1) / some
    better = (np.where(known, others, np.inf) <= holdout[:, None]).sum(axis=1)
    return AlignmentScore(
        residuals=residuals,
        holdout=holdout,
        random=random,
        sigma_random=np.sqrt(spread),
        p_random=np.where(np.isfinite(holdout), (1 + better) / (1 + some), np.nan),
        kept=kept,
    )


def _weights(used: npt.NDArray[np.bool_]) -> Float32:
    return used.astype(np.float32)[:, None, None]


def _left(model: Model, pose: Pose) -> Float64:
    """(n, n): what the projection at pose j, scaled to fit, leaves of image i; density from the weighted images."""
    density = solve(model, pose, None, _ITERATIONS).density
    predicted = model.operator(pose).project(density)
    counted = (model.weights > 0).any(axis=0)
    predicted *= counted
    images = model.images * counted
    # float64 and one fixed order: the same bits for any number of threads.
    dots = np.einsum("ihw,jhw->ij", images, predicted, dtype=np.float64)
    power = np.einsum("jhw,jhw->j", predicted, predicted, dtype=np.float64)
    whole = np.einsum("ihw,ihw->i", images, images, dtype=np.float64)
    gain = np.where(power > 0, dots / np.where(power > 0, power, 1), 0)
    left = np.sqrt(np.maximum(whole[:, None] - gain * dots, 0))
    # Near zero the difference of squares has no digits left: its own prediction is compared pixel by pixel.
    for i, image in enumerate(images):
        rest = image - np.float32(gain[i, i]) * predicted[i]
        left[i, i] = np.sqrt(np.einsum("hw,hw->", rest, rest, dtype=np.float64))
    size = np.sqrt(whole)[:, None]
    return np.where(size > 0, left / np.where(size > 0, size, 1), np.nan)
