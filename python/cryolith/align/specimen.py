# SPDX-License-Identifier: BSD-3-Clause
"""What kind of specimen it is, and images that are linear in its density."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from .. import _core
from .images import CHUNK_BYTES, block_means, chunks, clean, reduce_images, vacuum

__all__ = ["Prepared", "prepare"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

# Border blocks that show specimen: 1 for a slab, 0 for a particle, about 0.2 for a needle that leaves at one edge.
_MOST_BORDER = 0.5
# Mass of an isolated specimen stays; that of a slab grows as 1 / cos (growth 1).
_MOST_GROWTH = 0.4
# The same with what the level that was taken for vacuum gains by tilt, which a film that fills the images has and a
# vacuum has not. A particle on a support has both: which weighs more, decides.
_MOST_FILM = 0.7
_NOISE_SIGMAS = 5.0
_FAINT = 0.1  # of the specimen's bright blocks: below it a border block counts as empty
# Bright field of a slab falls with tilt as the path grows; dark field rises.
_LEAST_RATIO = 0.02


class Images(Protocol):
    """Images read where they are looked at: an array, a memory map or a selection of one."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, part: slice, /) -> npt.NDArray[Any]: ...


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Reduced images linear in the density (zero in vacuum for an isolated specimen), and what was decided."""

    images: Float32
    binning: int
    isolated: bool
    replaced: npt.NDArray[np.int64]
    contrast: Float64
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Level:
    level: float
    sigma: float
    fill: float


def _side(image: Float32) -> _Level:
    """Vacuum level of a dark-field image, and the fraction of border blocks that show specimen."""
    level, sigma, real = vacuum(image)
    if not real:
        return _Level(level, sigma, 1.0)
    blocks = block_means(image)
    border = np.concatenate([blocks[0], blocks[-1], blocks[1:-1, 0], blocks[1:-1, -1]])
    bright = float(np.percentile(blocks, 95)) - level
    limit = level + max(_NOISE_SIGMAS * sigma, _FAINT * bright)
    return _Level(level, sigma, float((border > limit).mean()))


def prepare(
    images: Images,
    angles_deg: Float64,
    binning: int,
    kind: Literal["auto", "slab", "particle"],
    threads: int,
    cancel: _core.CancelToken | None,
    chunk_bytes: int = CHUNK_BYTES,
) -> Prepared:
    """Read every image once: clean, reduce, decide the specimen's kind and take the background off."""
    n = len(images)
    small: Float32 | None = None
    dark, bright, replaced = [], [], np.zeros(n, np.int64)
    contrast = np.zeros(n)
    for part in chunks(images, cancel, chunk_bytes):
        good, replaced[part] = clean(images[part], threads, cancel)
        contrast[part] = good.std(axis=(1, 2), dtype=np.float64)
        dark += [_side(image) for image in good]
        bright += [_side(-image) for image in good]
        reduced = reduce_images(good, binning, threads, cancel)
        small = np.empty((n, *reduced.shape[1:]), np.float32) if small is None else small
        small[part] = reduced
    assert small is not None  # chunks() yields at least one part
    fill_dark = float(np.median([d.fill for d in dark]))
    fill_bright = float(np.median([d.fill for d in bright]))
    sign, sides = (1.0, dark) if fill_dark <= fill_bright else (-1.0, bright)
    levels = np.array([side.level for side in sides])
    signal = np.float32(sign) * small - levels[:, None, None]
    mass = signal.mean(axis=(1, 2), dtype=np.float64)
    growth = _growth(mass, angles_deg)
    film = _growth(mass + _film(levels, angles_deg), angles_deg)
    fill = min(fill_dark, fill_bright)
    isolated = (
        fill < _MOST_BORDER and growth < _MOST_GROWTH and film < _MOST_FILM
        if kind == "auto"
        else kind == "particle"
    )
    why = (
        f"{fill:.0%} of the border shows specimen, mass grows with {growth:.0%} of the path in a slab, "
        f"with its surroundings {film:.0%}"
    )
    notes = [
        f"specimen: {'isolated' if isolated else 'slab'} ({why if kind == 'auto' else 'given'})"
    ]
    if isolated:
        notes.append(
            f"contrast: {'dark' if sign > 0 else 'bright'} field, vacuum level taken off each image"
        )
        small = signal.astype(np.float32)
    else:
        small, note = _slab_density(small, angles_deg)
        notes.append(note)
    scale = float(np.sqrt(np.mean(np.square(small, dtype=np.float64))))
    small /= np.float32(scale if scale > 0 else 1.0)
    return Prepared(
        images=small,
        binning=binning,
        isolated=isolated,
        replaced=replaced,
        contrast=contrast,
        notes=tuple(notes),
    )


def _path(angles_deg: Float64) -> Float64:
    """Return the path through a slab at each tilt, over its thickness."""
    return np.asarray(1 / np.maximum(np.cos(np.deg2rad(angles_deg)), 0.1))


def _growth(mass: Float64, angles_deg: Float64) -> float:
    """Growth of the mass in view from low to high tilt, as a fraction of that of a slab (1 / cos)."""
    path = _path(angles_deg)
    if np.ptp(path) < 0.1 or mass.mean() <= 0:
        return 0.0
    slope, start = np.polyfit(path - 1, mass, 1)
    return float(np.clip(slope / max(start, 0.01 * mass.mean()), -1, 1))


def _film(levels: Float64, angles_deg: Float64) -> Float64:
    """The part of the surroundings' level (n,) that grows as the path in a slab; 0 where it does not follow it."""
    path = _path(angles_deg)
    if np.ptp(path) < 0.1:
        return np.zeros(len(path))
    slope, start = np.polyfit(path, levels, 1)
    # A vacuum's level wanders; a film's follows the path at all tilts.
    rough = levels - start - slope * path
    sure = slope**2 * path.var() > 4 * rough.var()
    return path * slope if slope > 0 and sure else np.zeros(len(path))


def _slab_density(small: Float32, angles_deg: Float64) -> tuple[Float32, str]:
    """Absorption -log(I) of a bright-field slab; a dark-field one as it is, less its darkest level."""
    means = small.mean(axis=(1, 2), dtype=np.float64)
    path = _path(angles_deg)
    falls = (
        np.polyfit(path, means / max(abs(means.mean()), 1e-30), 1)[0] < 0
        if len(small) > 1
        else False
    )
    if falls and means.min() > 0:
        top = float(np.percentile(small, 99.9))
        out = -np.log(np.maximum(small, np.float32(_LEAST_RATIO * top)) / np.float32(top))
        return out.astype(
            np.float32
        ), "contrast: bright field (mean falls with tilt), -log of the images"
    level = np.float32(max(0.0, float(np.percentile(small, 0.1))))
    return small - level, "contrast: dark field (mean does not fall with tilt)"
