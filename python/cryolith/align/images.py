# SPDX-License-Identifier: BSD-3-Clause
"""From raw images to small, clean ones: hot pixels out, background off, low-passed and reduced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core, let_go
from .._stored import StoredArray
from ..errors import InputError
from ..files.lazy import OffsetStack

__all__ = [
    "CHUNK_BYTES",
    "chunks",
    "clean",
    "estimate_background",
    "reduce_images",
    "resample_images",
]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

CHUNK_BYTES = 2**26
_LANCZOS_LOBES = 3
_VACUUM_ROUNDS = 3
_LEVEL_BYTES = 14  # a pixel, of what is read at a time to find levels


def chunks(
    images: Any, cancel: _core.CancelToken | None, most: int = CHUNK_BYTES
) -> Iterator[slice]:
    """Yield slices of whole images that take about ``most`` bytes as float32."""
    step = max(1, most // max(1, 4 * images.shape[1] * images.shape[2]))
    for first in range(0, len(images), step):
        if cancel is not None and cancel.cancelled:
            return
        yield slice(first, min(first + step, len(images)))


def clean(
    images: npt.NDArray[Any], threads: int = 0, cancel: _core.CancelToken | None = None
) -> tuple[Float32, npt.NDArray[np.int64]]:
    """Return a float32 copy without hot pixels and without missing ones, and how many were replaced in each."""
    out: Float32 = np.array(images, np.float32, order="C")
    replaced = np.zeros(len(out), np.int64)
    if min(out.shape[1:]) >= 3:
        _core.despike(out, replaced, threads, cancel)
    bad = ~np.isfinite(out)
    if bad.any():
        for i in np.flatnonzero(bad.any(axis=(1, 2))):
            out[i] = _filled(out[i], bad[i])
            replaced[i] += int(bad[i].sum())
    return out, replaced


def _filled(image: Float32, bad: npt.NDArray[np.bool_]) -> Float32:
    """Fill missing pixels from the mean of the good ones in growing cells (a pyramid, coarse to fine)."""
    values = np.where(bad, 0, image).astype(np.float64)
    weights = (~bad).astype(np.float64)
    levels = [(values, weights)]
    while min(weights.shape) > 1 and (weights == 0).any():
        values, weights = (_pooled(a) for a in (values, weights))
        levels.append((values, weights))
    values, weights = levels.pop()
    total = weights.sum()
    whole = values.sum() / total if total else 0.0
    filled = np.where(weights > 0, values / np.maximum(weights, 1), whole)
    while levels:
        values, weights = levels.pop()
        ny, nx = values.shape
        coarse = filled.repeat(2, axis=0).repeat(2, axis=1)[:ny, :nx]
        filled = np.where(weights > 0, values / np.maximum(weights, 1), coarse)
    return filled.astype(np.float32)


def _pooled(a: Float64) -> Float64:
    a = np.pad(a, ((0, a.shape[0] % 2), (0, a.shape[1] % 2)))
    return np.asarray(a.reshape(a.shape[0] // 2, 2, -1, 2).sum(axis=(1, 3)))


def block_means(image: Float32) -> Float64:
    """Return the means of about 32 x 32 square blocks; pixels left over at the far edges are not used."""
    ny, nx = image.shape
    size = max(2, min(ny, nx) // 32) if min(ny, nx) >= 8 else 1
    by, bx = ny // size, nx // size
    cut = image[: by * size, : bx * size].astype(np.float64)
    return np.asarray(cut.reshape(by, size, bx, size).mean(axis=(1, 3)))


def _half_sample_mode(values: Float64) -> float:
    """Return the mode of sorted values: halve to the densest half until few are left (Bickel 2006)."""
    while len(values) > 3:
        half = (len(values) + 1) // 2
        first = int(np.argmin(values[half - 1 :] - values[: len(values) - half + 1]))
        values = values[first : first + half]
    return float(values.mean())


def vacuum(image: Float32) -> tuple[float, float, bool]:
    """Return the level of the darkest large flat area, the noise of a block mean there, and whether there is one.

    Without such an area (the specimen fills the image) the level is the darkest block's.
    """
    blocks = np.sort(block_means(image).ravel())
    level = _half_sample_mode(blocks[: max(1, len(blocks) // 2)])
    sigma, near = 0.0, np.ones(len(blocks), bool)
    # The mode of the darker half is a little low where the noise is wide: iterate to the mean of what is near.
    for _ in range(_VACUUM_ROUNDS):
        below = blocks[blocks <= level]
        # Noise is symmetric about the vacuum's level and the specimen is brighter: the lower side tells sigma.
        sigma = float(np.sqrt(np.mean((below - level) ** 2))) if len(below) else 0.0
        if sigma == 0.0:
            return level, 0.0, True
        near = np.abs(blocks - level) <= 3 * sigma
        level = float(blocks[near].mean())
    # A vacuum has nothing below its noise, and is narrow against the range of the image.
    real = (blocks < level - 4 * sigma).mean() <= 0.02 and near.mean() >= 0.04
    narrow = sigma < 0.05 * (blocks[-1] - blocks[0])
    return (level, sigma, True) if real and narrow else (float(blocks[0]), sigma, False)


def estimate_background(
    images: npt.ArrayLike,
    *,
    max_memory: int | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float64:
    """Estimate the level of the empty area of each dark-field image.

    Parameters
    ----------
    images : (n_tilts, ny, nx) array_like of real numbers [counts]
        HAADF images: vacuum is dark. NaN is a missing pixel.
    max_memory : int, optional [bytes]
        Read the images one by one, whatever it is, and let go of what is read of a file. The levels are the same.
    threads, cancel
        As everywhere.

    Returns
    -------
    (n_tilts,) float64 [counts]
        The mode of block means among the darker half, averaged over the blocks within 3 sigma of it. Where
        nothing is flat and dark (the specimen fills the image) the mean of the darkest block. Hot pixels are
        taken out before.

    Raises
    ------
    InputError
        Not three axes, or not real numbers.
    Cancelled
        ``cancel`` was set.
    """
    read = isinstance(images, (OffsetStack, StoredArray))  # where they are indexed
    stack: Any = images if read else np.asarray(images)
    if stack.ndim != 3 or stack.dtype.kind not in "biuf" or 0 in stack.shape:
        raise InputError(
            f"images: found {stack.dtype} {stack.shape}, expected real (n_tilts, ny, nx); "
            "for one image pass image[None]"
        )
    out = np.zeros(len(stack))
    for part in chunks(stack, cancel, CHUNK_BYTES if max_memory is None else 1):
        good, _ = clean(stack[part], threads, cancel)
        out[part] = [vacuum(image)[0] for image in good]
        if max_memory is not None:
            let_go(images)
    return out


def _axis_map(size: int, binning: int, softness: float) -> tuple[Float32, npt.NDArray[np.int64]]:
    """Weights and sources of a Lanczos low-pass and reduction that keeps the centre where it is."""
    if binning == 1 and softness == 1:
        return np.ones((size, 1), np.float32), np.arange(size, dtype=np.int64)[:, None]
    m = max(1, size // binning)
    centre = (size - 1) / 2 + (np.arange(m) - (m - 1) / 2) * binning
    width = softness * binning
    reach = int(np.ceil(_LANCZOS_LOBES * width))
    source = np.floor(centre).astype(np.int64)[:, None] + np.arange(1 - reach, reach + 1)
    t = (source - centre[:, None]) / width
    weight = np.where(np.abs(t) < _LANCZOS_LOBES, np.sinc(t) * np.sinc(t / _LANCZOS_LOBES), 0.0)
    weight /= weight.sum(axis=1, keepdims=True)
    folded = np.mod(source, 2 * size)  # mirrored at the edges
    return weight.astype(np.float32), np.where(folded < size, folded, 2 * size - 1 - folded)


def reduce_images(
    images: Float32,
    binning: int,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
    *,
    softness: float = 1.0,
) -> Float32:
    """Low-pass and reduce images (n, ny, nx) by ``binning`` about their centre; values stay means.

    ``softness`` above 1 puts the cut-off that much below the new pixels' Nyquist frequency.
    """
    rows, columns = (_axis_map(size, binning, softness) for size in images.shape[1:])
    out = np.empty((len(images), len(rows[0]), len(columns[0])), np.float32)
    _core.reduce_images(
        as_core(images, "images", ("n", "ny", "nx")), *rows, *columns, out, threads, cancel
    )
    return out


def resample_images(
    images: Float32,
    matrix: Float64,
    shift: Float64,
    shape: tuple[int, int],
    fill: npt.ArrayLike = 0.0,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float32:
    """Sample each image at ``centre + matrix[i] (p - out centre) + shift[i]``, p = (row, column), bilinear.

    ``matrix`` is (n, 2, 2) and ``shift`` (n, 2), both in (row, column) order; outside an image it is ``fill``.
    """
    n = len(images)
    middle = (np.array(images.shape[1:]) - 1) / 2
    out_middle = (np.array(shape) - 1) / 2
    maps = np.empty((n, 2, 3))
    maps[:, :, :2] = matrix
    maps[:, :, 2] = middle + shift - np.asarray(maps[:, :, :2] @ out_middle)
    fills = np.broadcast_to(np.asarray(fill, np.float32), (n,)).copy()
    out = np.empty((n, *shape), np.float32)
    _core.resample_images(np.ascontiguousarray(images), maps, fills, out, threads, cancel)
    return out
