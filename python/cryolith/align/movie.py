# SPDX-License-Identifier: BSD-3-Clause
"""Motion of whole frames of a movie, and their sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core
from ..errors import Cancelled, InputError
from .stack import register_frames

__all__ = ["MovieAlignment", "align_movie"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class MovieAlignment:
    """The motion of a movie and its corrected sums.

    Attributes
    ----------
    shifts_px, sigma_px : (n_frames, 2) float64 [px]
        As in :class:`StackRegistration`.
    peaks : (n_frames,) float64
        Normalised correlation of each frame with the sum of all others.
    transitivity_px : float [px]
    total, odd, even : (ny, nx) float32 [counts]
        Sum of all frames, of those numbered 1, 3, ... and 0, 2, ..., each moved back by its shift. Within the largest
        shift of the border the other side's pixels come in.
    unaligned : (ny, nx) float32 [counts]
        Sum of all frames where they lie: what there was before.
    mean_counts : (n_frames,) float64 [counts/px]
        Of the pixels that are not missing, gain applied.
    """

    shifts_px: Float64
    sigma_px: Float64
    peaks: Float64
    transitivity_px: float
    total: Float32
    odd: Float32
    even: Float32
    unaligned: Float32
    mean_counts: Float64


class _Frames:
    """Frames read one at a time, gain and defects applied."""

    def __init__(
        self, frames: Any, gain: npt.ArrayLike | None, defects: npt.ArrayLike | None
    ) -> None:
        self.frames = frames
        first = as_core(frames[0], "frames[0]", ("ny", "nx"))
        self.shape = (first.shape[0], first.shape[1])
        self.gain = None if gain is None else as_core(gain, "gain", ("ny", "nx"))
        if self.gain is not None and self.gain.shape != self.shape:
            raise InputError(
                f"gain: found shape {self.gain.shape}, expected {self.shape}, that of a frame"
            )
        self.bad = None if defects is None else np.asarray(defects)
        if self.bad is not None and (self.bad.dtype != np.bool_ or self.bad.shape != self.shape):
            raise InputError(
                f"defects: found {self.bad.dtype} {self.bad.shape}, expected bool {self.shape}, True for bad pixels"
            )

    def read(self, i: int) -> Float32:
        frame: Float32 = as_core(self.frames[i], f"frames[{i}]", ("ny", "nx"))
        if frame.shape != self.shape:
            raise InputError(f"frames[{i}]: found shape {frame.shape}, expected {self.shape}")
        if self.gain is not None:
            frame = frame * self.gain
        if self.bad is not None:
            frame = np.where(self.bad, np.float32(np.nan), frame)
        if not np.isfinite(frame).any():
            raise InputError(
                f"frames[{i}]: found no finite pixel, expected an image; leave that frame out"
            )
        return frame


def align_movie(
    frames: npt.ArrayLike | Sequence[npt.ArrayLike],
    *,
    gain: npt.ArrayLike | None = None,
    defects: npt.ArrayLike | None = None,
    max_shift: float | None = None,
    device: str = "cpu",
    threads: int = 0,
    progress: Callable[[float], None] | None = None,
    cancel: _core.CancelToken | None = None,
) -> MovieAlignment:
    """Find the motion of the whole frames of a movie, and add them up without it.

    Parameters
    ----------
    frames : (n_frames, ny, nx) array_like, or a sequence of (ny, nx) array_like [counts]
        Read one at a time, three to five times over: a memory-mapped or lazy stack need not fit in memory. NaN is a
        missing pixel: filled by the mean of those around.
    gain : (ny, nx) array_like, optional
        Each frame is multiplied by it.
    defects : (ny, nx) array_like of bool, optional
        True for pixels to replace by the mean of those around.
    max_shift : float, optional [px]
        Between any two frames; an eighth of the shorter edge when not given.
    device : str, default "cpu"
        Where frames are compared, moved and added up (:func:`cryolith.devices`): equal to the CPU's shifts and sums to
        rounding.
    threads : int, default 0
    progress : callable, optional
        Called with the part done, 0 to 1.
    cancel : CancelToken, optional

    Returns
    -------
    MovieAlignment

    Raises
    ------
    InputError
        Fewer than two frames, different shapes, smaller than 4 x 4 pixels, or a frame without a finite pixel.
    Cancelled
        ``cancel`` was set.
    DeviceError
        There is no such device, it has too little memory, or failed its self-test.

    Notes
    -----
    The iteration of each frame against the sum of the others is that of X. Li et al., Nat. Methods 10 (2013) 584, and
    of T. Grant and N. Grigorieff, eLife 4 (2015) e06980; the weights replace their B factor
    (design/012-registration.md, eq. 5).
    """
    n = len(frames)  # type: ignore[arg-type]
    if n < 2:
        raise InputError(f"frames: found {n}, expected at least two")
    source = _Frames(frames, gain, defects)
    if min(source.shape) < 4:
        raise InputError(f"frames: found {source.shape} pixels, expected at least 4 x 4")
    passes = 0

    def one_by_one() -> Iterator[tuple[int, Float32]]:
        nonlocal passes
        for i in range(n):
            if cancel is not None and cancel.cancelled:
                raise Cancelled("align_movie: cancelled")
            yield i, source.read(i)[None]
            if progress is not None:
                progress(
                    1 - 0.5 ** (passes + (i + 1) / n)
                )  # how many passes it takes is not known before
        passes += 1

    farthest = min(source.shape) / 8 if max_shift is None else max_shift
    found = register_frames(one_by_one, n, source.shape, farthest, device, threads, cancel)
    even, odd, unaligned, means = _sums(
        one_by_one(), found.shifts_px, source.shape, device, threads, cancel
    )
    if progress is not None:
        progress(1.0)
    return MovieAlignment(
        shifts_px=found.shifts_px,
        sigma_px=found.sigma_px,
        peaks=found.peaks,
        transitivity_px=found.transitivity_px,
        total=even + odd,
        odd=odd,
        even=even,
        unaligned=unaligned,
        mean_counts=means,
    )


def _sums(
    frames: Iterator[tuple[int, Float32]],
    shifts: Float64,
    shape: tuple[int, int],
    device: str,
    threads: int,
    cancel: _core.CancelToken | None,
) -> tuple[Float32, Float32, Float32, Float64]:
    """Add up the even frames and the odd ones moved back, all where they lie; and the mean of each."""
    sums = [
        _core.FrameSum(*shape) if device == "cpu" else _core.DeviceFrameSum(device, *shape)
        for _ in range(2)
    ]
    unaligned, means = np.zeros(shape, np.float32), np.zeros(len(shifts))
    for i, frame in frames:
        row, column = shifts[i]
        sums[i % 2].add(frame[0], row, column, threads, cancel)
        means[i] = _add_where_it_lies(frame[0], unaligned)
    even, odd = (np.empty(shape, np.float32) for _ in range(2))
    for total, out in zip(sums, (even, odd), strict=True):
        total.write(out, threads, cancel)
    return even, odd, unaligned, means


def _add_where_it_lies(frame: Float32, total: Float32) -> float:
    """Add a frame, its mean in missing pixels; return the mean."""
    good = np.isfinite(frame)
    mean = float(frame.mean(where=good, dtype=np.float64))
    total += np.where(good, frame, np.float32(mean))
    return mean
