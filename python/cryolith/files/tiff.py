# SPDX-License-Identifier: BSD-3-Clause
"""Multi-page TIFF: memory-mapped where the pixels lie plainly in the file, else decoded."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from .findings import Notes, fail
from .tiff_pages import Page, tiff_pages

__all__ = ["TiffHead", "decode_page", "read_tiff_data", "read_tiff_head"]

# As for compressed MRC: more than this is a bomb, not an image.
_BOMB_RATIO = 200
_BOMB_FREE = 64 << 20


@dataclass(frozen=True)
class TiffHead:
    """What the directories of a TIFF stack say.

    Attributes
    ----------
    shape : (n_pages, ny, nx)
    step : int or None [bytes]
        Distance between pages when they lie evenly in the file and can be mapped.
    """

    path: str
    size: int
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    offset: int
    step: int | None
    pixel_size: float | None


def read_tiff_head(path: str, size: int, notes: Notes) -> TiffHead:
    """Check all pages against each other and against the file; reads no pixel.

    Raises
    ------
    FileFormatError
        See :func:`tiff_pages.tiff_pages`; pages of different size or type.
    """
    pages = tiff_pages(path)
    first = pages[0]
    for i, page in enumerate(pages):
        if (page.shape, page.dtype) != (first.shape, first.dtype):
            fail(
                path,
                f"TIFF page {i}",
                f"{page.shape[1]} x {page.shape[0]} px {page.dtype.name}",
                f"{first.shape[1]} x {first.shape[0]} px {first.dtype.name}, as page 0",
                "remove that page (a preview?) or save all images at one size",
            )
    if any(page.white_is_zero for page in pages):
        found, do = "0 (white is zero)", "the stored values are taken; turn them round if needed"
        notes.warn("PhotometricInterpretation", found, "1 (black is zero)", do)
    n, step = len(pages), _step(pages)
    if n == 1 and first.declared_images > 1 and first.offset is not None:
        n, step = _imagej_stack(path, size, first)
    _check_size(path, size, n * first.nbytes, any(page.compressed for page in pages))
    return TiffHead(
        path, size, (n, *first.shape), first.dtype, first.offset or 0, step, first.pixel_size
    )


def _check_size(path: str, size: int, need: int, compressed: bool) -> None:
    limit = _BOMB_FREE + _BOMB_RATIO * size if compressed else size
    if need <= limit:
        return
    if compressed:
        do = "save the images uncompressed if you trust the file"
        fail(
            path,
            "size after decompression",
            f"{need} bytes from {size}",
            f"at most {limit} bytes",
            do,
        )
    found = f"{need} bytes, some pages share them"
    fail(path, "TIFF pages", found, f"at most the {size} of the file", "save the images again")


def _step(pages: list[Page]) -> int | None:
    offsets = [p.offset for p in pages]
    if any(o is None for o in offsets):
        return None
    places = [int(o) for o in offsets if o is not None]
    steps = {b - a for a, b in pairwise(places)} or {pages[0].nbytes}
    step = steps.pop()
    return step if not steps and step >= pages[0].nbytes else None


def _imagej_stack(path: str, size: int, first: Page) -> tuple[int, int]:
    n, start = first.declared_images, first.offset or 0
    if start + n * first.nbytes > size:
        fail(
            path,
            "ImageJ images",
            f"{n} images of {first.nbytes} bytes declared",
            f"no more than the {size} bytes of the file hold",
            "the file is truncated; copy it again",
        )
    return n, first.nbytes


def read_tiff_data(head: TiffHead) -> npt.NDArray[Any]:
    """Return (n_pages, ny, nx): a read-only memory map, or decoded pages if compressed."""
    if head.step is None:
        return _decode(head)
    raw = np.memmap(head.path, np.uint8, mode="r")
    nx = head.shape[2]
    item = head.dtype.itemsize
    strides = (head.step, nx * item, item)
    return np.ndarray(head.shape, head.dtype, buffer=raw, offset=head.offset, strides=strides)


def _decode(head: TiffHead) -> npt.NDArray[Any]:
    out = np.empty(head.shape, head.dtype.newbyteorder("="))
    for i in range(head.shape[0]):
        out[i] = decode_page(head, i)
    return out


def decode_page(head: TiffHead, i: int) -> npt.NDArray[Any]:
    """Return page ``i`` (ny, nx), decoded.

    Raises
    ------
    FileFormatError
        Damaged, or a compression that nothing here decodes.
    """
    import tifffile

    try:
        page: npt.NDArray[Any] = tifffile.imread(head.path, key=i)
    except Exception as error:  # a decoder may raise anything on damaged data
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        do = "save the images again, uncompressed"
        fail(head.path, f"TIFF data of page {i}", reason, "pages that can be decoded", do)
    if page.shape != head.shape[1:]:
        fail(
            head.path,
            f"TIFF data of page {i}",
            f"{page.shape}",
            f"{head.shape[1:]}",
            "save it again",
        )
    return page
