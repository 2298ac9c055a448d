# SPDX-License-Identifier: BSD-3-Clause
"""Arrays to small grey pictures inside the page: scaled, encoded, as data URIs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, features

from .._stored import StoredArray

__all__ = ["Picture", "Window", "picture", "plane_at", "reduce", "sprite"]

Float32 = npt.NDArray[np.float32]

_FORMAT = "WEBP" if features.check("webp") else "JPEG"
_QUALITIES = (75, 50, 25)
# 77 real frames of 128 px take 0.1 MB; 121 frames of 204 px of pure noise 2.7 MB at quality 75.
# Sums to less than 5 MB with two sheets, nine planes with their outlines, thumbnails, cut-outs, diagrams.
SHEET_BYTES, PLANE_BYTES = 850_000, 90_000
MAX_SIDE = 16000  # WebP cannot hold more than 16383


@dataclass(frozen=True)
class Picture:
    """A picture as data URI with its size [px]."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Window:
    """The grey values shown as black and white."""

    low: float
    high: float

    @classmethod
    def of(
        cls, values: npt.NDArray[Any] | StoredArray, low: float = 0.5, high: float = 99.95
    ) -> Window:
        """Take percentiles of at most 2^20 finite, evenly chosen values.

        A bright specimen may fill less than a hundredth of the field, hence the high upper end.
        """
        flat = _evenly(values, max(1, values.size >> 20)).astype(np.float64)
        flat = flat[np.isfinite(flat)]
        if not flat.size:
            return cls(0.0, 1.0)
        a, b = (float(v) for v in np.percentile(flat, [low, high]))
        return cls(a, b if b > a else a + (abs(a) or 1.0))

    def bytes_of(self, image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Map to 0..255; NaN is black."""
        scaled = (np.asarray(image, np.float32) - self.low) * (255.0 / (self.high - self.low))
        grey: npt.NDArray[np.uint8] = np.clip(np.nan_to_num(scaled, nan=0.0), 0, 255).astype(
            np.uint8
        )
        return grey


def plane_at(data: npt.NDArray[Any], axis: int, index: int) -> npt.NDArray[Any]:
    """Return the plane at ``index`` of an axis; of a file nothing else stays in memory."""
    before: tuple[Any, ...] = (slice(None),) * axis
    return np.asarray(data[(*before, index)])


def _evenly(values: npt.NDArray[Any] | StoredArray, step: int) -> npt.NDArray[Any]:
    """Return every ``step``-th value in raster order; of a file slice by slice."""
    if not isinstance(values, StoredArray):
        return np.asarray(values).reshape(-1)[::step]
    size = values.size // len(values)
    parts = (plane.reshape(-1)[-z * size % step :: step] for z, plane in enumerate(values))
    return np.concatenate([part.copy() for part in parts])


def reduce(image: npt.NDArray[Any], side: int) -> Float32:
    """Average an image down so that its longer side is at most ``side``; NaN takes the median."""
    out = np.array(image, np.float32)
    bad = ~np.isfinite(out)
    if bad.any():
        out[bad] = np.median(out[~bad]) if not bad.all() else 0.0
    scale = side / max(out.shape)
    if scale >= 1:
        return out
    size = (max(1, round(out.shape[1] * scale)), max(1, round(out.shape[0] * scale)))
    return np.asarray(Image.fromarray(out).resize(size, Image.Resampling.BOX), np.float32)


def picture(grey: npt.NDArray[np.uint8], most: int = PLANE_BYTES) -> Picture:
    """Encode an 8-bit image, (ny, nx) grey or (ny, nx, 3) colour, coarser until its URI fits ``most``."""
    image = Image.fromarray(np.ascontiguousarray(grey))
    text = _encode(image, most)
    while len(text) > most and min(image.size) > 32:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
        text = _encode(image, most)
    return Picture(f"data:image/{_FORMAT.lower()};base64,{text}", grey.shape[1], grey.shape[0])


def _encode(image: Image.Image, most: int) -> str:
    text = ""
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, _FORMAT, quality=quality, method=2)
        text = base64.b64encode(buffer.getvalue()).decode("ascii")
        if len(text) <= most or len(text) > 2.5 * most:  # far off: no quality will do
            break
    return text


def sprite(frames: npt.NDArray[np.uint8]) -> tuple[Picture, int, int]:
    """Lay (n, ny, nx) frames out on one sheet; return it with its number of columns and rows."""
    n, ny, nx = frames.shape
    columns = int(np.ceil(np.sqrt(n * ny / nx)))
    columns = max(1, min(columns, n, MAX_SIDE // nx))
    rows = -(-n // columns)
    sheet = np.zeros((rows * columns, ny, nx), np.uint8)
    sheet[:n] = frames
    tiled = sheet.reshape(rows, columns, ny, nx).swapaxes(1, 2).reshape(rows * ny, columns * nx)
    return picture(tiled, SHEET_BYTES), columns, rows
