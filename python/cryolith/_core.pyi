# SPDX-License-Identifier: BSD-3-Clause
# Written by tools/stubs.py; do not edit.
"""
The compiled core of cryolith; use the packages around it.
"""
from __future__ import annotations
import collections.abc
import numpy
import numpy.typing
import typing
__all__: list[str] = ['CancelToken', 'FftPlan', 'FreePlan', 'ProjectionPlan', 'available_threads', 'count_missing', 'despike', 'fft_good_size', 'fill_basins', 'filter_length', 'filter_lengths', 'filter_stack', 'invert_step', 'isa', 'label', 'overlap_weights', 'reduce_images', 'region_sums', 'register_pairs', 'resample_images', 'residual_step', 'update_step', 'wbp']
class CancelToken:
    """
    Ask long work to stop: pass it in, call cancel() from any thread.
    """
    def __init__(self) -> None:
        ...
    def cancel(self) -> None:
        """
        Stop the work at its next block; it raises cryolith.Cancelled.
        """
    @property
    def cancelled(self) -> bool:
        """
        Whether cancel() was called.
        """
class FftPlan:
    """
    Transform of the last `axes` dimensions of a C-ordered array of this shape: float32 to a half
    spectrum (real) or complex64 in place. Conventions of numpy.fft; inverses are times `scale`.
    """
    def __init__(self, shape: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], axes: typing.SupportsInt | typing.SupportsIndex, real: bool = True) -> None:
        ...
    def fft_in_place(self, data: numpy.typing.NDArray[numpy.complex64], inverse: bool, scale: typing.SupportsFloat | typing.SupportsIndex = 1.0, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        """
        Complex transform in place; `scale` multiplies the inverse only.
        """
    def irfft(self, array: numpy.typing.NDArray[numpy.complex64], out: numpy.typing.NDArray[numpy.float32], scale: typing.SupportsFloat | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        """
        Real inverse transform times `scale` into `out`; `array` is kept.
        """
    def rfft(self, array: numpy.typing.NDArray[numpy.float32], out: numpy.typing.NDArray[numpy.complex64], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        """
        Real forward transform into `out`.
        """
    @property
    def count(self) -> int:
        """
        Product of the transformed extents.
        """
    @property
    def shape(self) -> list[int]:
        """
        Of the array.
        """
    @property
    def spectrum(self) -> list[int]:
        """
        Of its transform: real: the last axis is n // 2 + 1.
        """
class ProjectionPlan:
    """
    Tables of one geometry for one volume shape and one image shape.
    """
    slab_rows: typing.ClassVar[int] = 16
    def __init__(self, poses: numpy.typing.NDArray[numpy.float64], volume_shape: typing.Annotated[collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], "FixedSize(3)"], image_shape: typing.Annotated[collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], "FixedSize(2)"]) -> None:
        """
        poses: (n_tilts, 8) cos tilt, sin tilt, cos axis, sin axis, shift row, shift column, axis offset [px], scale.
        """
    def backproject(self, stack: numpy.typing.NDArray[numpy.float32], out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        """
        Sets out (nz, ny, nx) to the back-projection of stack.
        """
    def project(self, volume: numpy.typing.NDArray[numpy.float32], out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None, add: bool = False) -> None:
        """
        Sets out (n_tilts, height, width) to the projections of volume, or adds them to it.
        """
    def slab(self, first: typing.SupportsInt | typing.SupportsIndex, last: typing.SupportsInt | typing.SupportsIndex) -> ProjectionPlan:
        """
        The plan of the volume's rows first to last alone, on the images' pixels of window.
        """
    def spacing(self, tilt: typing.SupportsInt | typing.SupportsIndex) -> float:
        """
        Spacing of the samples of one tilt's rows [px].
        """
    @property
    def window(self) -> typing.Annotated[list[int], "FixedSize(4)"]:
        """
        First row, last row, first column, last column of the pixels that it takes.
        """
class FreePlan:
    """
    Views at free poses for one volume shape and one image shape.
    """
    def __init__(self, poses: numpy.typing.NDArray[numpy.float64], volume_shape: typing.Annotated[collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], "FixedSize(3)"], image_shape: typing.Annotated[collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], "FixedSize(2)"]) -> None:
        """
        poses: (n_views, 2, 4), (row, column) from the image's centre [px] = pose (z, y, x, 1), voxels from the volume's centre.
        """
    def backproject(self, stack: numpy.typing.NDArray[numpy.float32], out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        """
        Sets out (nz, ny, nx) to the back-projection of stack.
        """
    def project(self, volume: numpy.typing.NDArray[numpy.float32], out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None, add: bool = False) -> None:
        """
        Sets out (n_views, height, width) to the projections of volume, or adds them to it.
        """
    def scratch_bytes(self, threads: typing.SupportsInt | typing.SupportsIndex) -> int:
        """
        Memory that either holds besides its arguments.
        """
def available_threads() -> int:
    """
    Processors this process may use.
    """
def count_missing(stack: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> int:
    """
    Number of NaN or infinite values.
    """
def despike(images: numpy.typing.NDArray[numpy.float32], replaced: numpy.typing.NDArray[numpy.int64], threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
    """
    Replace hot pixels by the median of their neighbours, in place.
    """
def fft_good_size(n: typing.SupportsInt | typing.SupportsIndex) -> int:
    """
    Smallest length >= n that the transforms are fast for.
    """
def fill_basins(values: numpy.typing.NDArray[numpy.float32], outlet: numpy.typing.NDArray[numpy.uint8], filled: numpy.typing.NDArray[numpy.float32], cancel: CancelToken | None = None) -> None:
    """
    Fill what is enclosed in values (nz, ny, nx) up to the level at which it runs off to an outlet or a face.
    """
def filter_length(count: typing.SupportsInt | typing.SupportsIndex) -> int:
    """
    Transform length that filters count samples without wrap.
    """
def filter_lengths(plan: ProjectionPlan) -> list[int]:
    """
    Transform length that each tilt's rows need.
    """
def filter_stack(stack: numpy.typing.NDArray[numpy.float32], gains: numpy.typing.NDArray[numpy.float32], length: typing.SupportsInt | typing.SupportsIndex, out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
    """
    Filters a stack along its last axis; gains (n_tilts, length/2 + 1).
    """
def invert_step(sums: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
    """
    sums <- 1 / max(sums, 1) where sums > 1/2, else 0.
    """
def isa() -> str:
    """
    Instruction set in use: baseline, x86-64-v3 or x86-64-v4.
    """
def label(mask: numpy.typing.NDArray[numpy.uint8], connectivity: typing.SupportsInt | typing.SupportsIndex, labels: numpy.typing.NDArray[numpy.int32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> int:
    """
    Number the connected components of mask (nz, ny, nx) uint8 into labels int32; return how many.
    """
def overlap_weights(slope: numpy.typing.NDArray[numpy.float64], length: numpy.typing.NDArray[numpy.float64], columns: typing.SupportsInt | typing.SupportsIndex, out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
    """
    How much views measure at the frequencies (rows, columns/2 + 1) of one view's section.
    """
def reduce_images(images: numpy.typing.NDArray[numpy.float32], row_weight: numpy.typing.NDArray[numpy.float32], row_source: numpy.typing.NDArray[numpy.int64], column_weight: numpy.typing.NDArray[numpy.float32], column_source: numpy.typing.NDArray[numpy.int64], out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
    """
    Apply one sparse linear map along rows and one along columns.
    """
def region_sums(labels: numpy.typing.NDArray[numpy.int32], intensity: numpy.typing.NDArray[numpy.float32] | None, centre: typing.SupportsFloat | typing.SupportsIndex, sums: numpy.typing.NDArray[numpy.int64], intensities: numpy.typing.NDArray[numpy.float64], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
    """
    Sum coordinates, box, exits and intensity over the voxels of each label into sums (n, 29) and intensities (n, 4).
    """
def register_pairs(reference: numpy.typing.NDArray[numpy.float32], moving: numpy.typing.NDArray[numpy.float32], out: numpy.typing.NDArray[numpy.float64], low: typing.SupportsFloat | typing.SupportsIndex, high: typing.SupportsFloat | typing.SupportsIndex, taper: typing.SupportsFloat | typing.SupportsIndex, max_shift: typing.SupportsFloat | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
    """
    Shift of each moving image against its reference.
    """
def resample_images(images: numpy.typing.NDArray[numpy.float32], map: numpy.typing.NDArray[numpy.float64], fill: numpy.typing.NDArray[numpy.float32], out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
    """
    Resample each image through an affine map, bilinear.
    """
def residual_step(measured: numpy.typing.NDArray[numpy.float32], weights: numpy.typing.NDArray[numpy.float32], projected: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> tuple[float, float]:
    """
    projected <- weights (measured - projected); returns the sums of r^2 and of b^2 where weights > 0.
    """
def update_step(correction: numpy.typing.NDArray[numpy.float32], weights: numpy.typing.NDArray[numpy.float32], lower: typing.SupportsFloat | typing.SupportsIndex, volume: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
    """
    volume <- max(lower, volume + weights correction).
    """
def wbp(plan: ProjectionPlan, stack: numpy.typing.NDArray[numpy.float32], gains: numpy.typing.NDArray[numpy.float32], lengths: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
    """
    Filtered back-projection.
    """
