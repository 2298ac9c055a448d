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
__all__: list[str] = ['CancelToken', 'Components', 'CudaDevice', 'DeviceComponents', 'DeviceFrameStack', 'DeviceFrameSum', 'DevicePlan', 'DeviceSteps', 'DeviceTensor', 'ExactSum', 'FftPlan', 'Flow', 'FrameStack', 'FrameSum', 'FreePlan', 'LabelDistanceSlabs', 'MaskDistanceSlabs', 'ProjectionPlan', 'RandomWalker', 'RegionColumns', 'SlabCut', 'add_gaussians', 'ahead_step', 'assign', 'available_threads', 'bend', 'conjugate_step', 'copy_step', 'count_missing', 'cuda_devices', 'cufft_version', 'descent_step', 'despike', 'device_distance', 'device_name', 'device_names', 'displacement_sums', 'distance', 'divide_step', 'empty_on', 'emulated_memory', 'extrapolate_step', 'factor_step', 'fft_good_size', 'fill_basins', 'fill_missing', 'fill_step', 'filter_length', 'filter_lengths', 'filter_stack', 'filter_stack_on', 'filter_stack_there', 'free_step', 'from_dlpack', 'gaussian_samples', 'geodesic', 'gradient_step', 'graze_step', 'halve', 'invert_step', 'isa', 'local_scratch_bytes', 'local_thickness', 'log_polar', 'lose_emulated_after', 'multiply_step', 'oriented_maxima', 'oriented_samples', 'oriented_sums', 'overlap_weights', 'poisson_step', 'put_step', 'raise_step', 'read_into', 'reciprocal_step', 'reduce_images', 'region_sums', 'register_pairs', 'register_pairs_there', 'resample_images', 'residual_step', 'roughness_step', 'scale_space_maxima', 'scale_space_maxima_on', 'scale_step', 'segment_step', 'smooth_step', 'spectrum_sums', 'spline_samples', 'split_pores', 'square_step', 'statistics', 'straighten', 'subtract_step', 'subtract_weighted', 'take_step', 'thin', 'to_device', 'trace_branches', 'update_step', 'uphill', 'variation_step', 'volume_extrema', 'walk_step', 'warp_image', 'warp_volume', 'wbp', 'wbp_slabs', 'weighted_sum']
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
class ExactSum:
    """
    A sum without rounding: sums of pieces add up to that of the whole, in any order.
    """
    def __add__(self, arg0: ExactSum) -> ExactSum:
        ...
    def __float__(self) -> float:
        ...
    @typing.overload
    def __init__(self) -> None:
        ...
    @typing.overload
    def __init__(self, parts: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex]) -> None:
        ...
    @property
    def parts(self) -> list[float]:
        """
        Numbers that add up to it, to make it again elsewhere.
        """
class CudaDevice:
    """
    One CUDA device.
    """
    @property
    def major(self) -> int:
        ...
    @property
    def memory_bytes(self) -> int:
        ...
    @property
    def minor(self) -> int:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def processors(self) -> int:
        ...
class DeviceTensor:
    """
    An array in a device's memory.
    """
    def dlpack(self, versioned: bool) -> typing.Any:
        """
        A capsule, when all work on the array is done.
        """
    def dlpack_device(self) -> tuple[int, int]:
        ...
    def numpy(self) -> numpy.ndarray:
        """
        A copy of it.
        """
    @property
    def device(self) -> str:
        ...
    @property
    def dtype(self) -> str:
        ...
    @property
    def read_only(self) -> bool:
        ...
    @property
    def shape(self) -> list[int]:
        ...
class FftPlan:
    """
    Transform of the last `axes` dimensions of an array of this shape, float32, or float64 if `wide`: to a half
    spectrum (real), or complex. Conventions of numpy.fft; inverses are times `scale`. Arrays may have any strides:
    other axes are a matter of numpy.moveaxis. `array` is kept, unless `out` begins where it does: in place, a complex
    array as itself, a real one in rows that have room for their half spectrum. Scratch is kept for the next call.
    """
    def __init__(self, shape: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], axes: typing.SupportsInt | typing.SupportsIndex, real: bool = True, wide: bool = False) -> None:
        ...
    @typing.overload
    def fft(self, array: numpy.typing.NDArray[numpy.complex64], out: numpy.typing.NDArray[numpy.complex64], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        """
        Complex forward transform of `array` into `out`.
        """
    @typing.overload
    def fft(self, array: numpy.typing.NDArray[numpy.complex128], out: numpy.typing.NDArray[numpy.complex128], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        """
        Complex forward transform of `array` into `out`.
        """
    @typing.overload
    def ifft(self, array: numpy.typing.NDArray[numpy.complex64], out: numpy.typing.NDArray[numpy.complex64], scale: typing.SupportsFloat | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        """
        Complex inverse transform times `scale` of `array` into `out`.
        """
    @typing.overload
    def ifft(self, array: numpy.typing.NDArray[numpy.complex128], out: numpy.typing.NDArray[numpy.complex128], scale: typing.SupportsFloat | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        """
        Complex inverse transform times `scale` of `array` into `out`.
        """
    @typing.overload
    def irfft(self, array: numpy.typing.NDArray[numpy.complex64], out: numpy.typing.NDArray[numpy.float32], scale: typing.SupportsFloat | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        """
        Real inverse transform times `scale` of `array` into `out`.
        """
    @typing.overload
    def irfft(self, array: numpy.typing.NDArray[numpy.complex128], out: numpy.typing.NDArray[numpy.float64], scale: typing.SupportsFloat | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        """
        Real inverse transform times `scale` of `array` into `out`.
        """
    @typing.overload
    def rfft(self, array: numpy.typing.NDArray[numpy.float32], out: numpy.typing.NDArray[numpy.complex64], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        """
        Real forward transform of `array` into `out`.
        """
    @typing.overload
    def rfft(self, array: numpy.typing.NDArray[numpy.float64], out: numpy.typing.NDArray[numpy.complex128], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        """
        Real forward transform of `array` into `out`.
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
    def __init__(self, poses: numpy.typing.NDArray[numpy.float64], volume_shape: typing.Annotated[collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], "FixedSize(3)"], image_shape: typing.Annotated[collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], "FixedSize(2)"], among: numpy.typing.NDArray[numpy.float64] | None = None) -> None:
        """
        poses: (n_tilts, 8) cos tilt, sin tilt, cos axis, sin axis, shift row, shift column, axis offset [px], scale; among: those of the whole series, where it is to be projected as there.
        """
    def backproject(self, stack: numpy.typing.NDArray[numpy.float32], out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None, fixed16: bool = False) -> None:
        """
        Sets out (nz, ny, nx) to the back-projection of stack.
        """
    def backproject_bytes(self, threads: typing.SupportsInt | typing.SupportsIndex) -> int:
        """
        Memory that backproject holds besides its arguments.
        """
    def project(self, volume: numpy.typing.NDArray[numpy.float32], out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None, add: bool = False) -> None:
        """
        Sets out (n_tilts, height, width) to the projections of volume, or adds them to it.
        """
    def scratch_bytes(self, threads: typing.SupportsInt | typing.SupportsIndex) -> int:
        """
        Memory that either holds besides its arguments.
        """
    def seen_by(self, first: typing.SupportsInt | typing.SupportsIndex, last: typing.SupportsInt | typing.SupportsIndex) -> typing.Annotated[list[int], "FixedSize(4)"]:
        """
        The window of the slab of those rows.
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
    def table_bytes(self) -> int:
        """
        Memory that its tables take.
        """
    @property
    def window(self) -> typing.Annotated[list[int], "FixedSize(4)"]:
        """
        First row, last row, first column, last column of the pixels that it takes.
        """
class SlabCut:
    """
    How host arrays go through devices.
    """
    @property
    def device_bytes(self) -> int:
        ...
    @property
    def pinned_bytes(self) -> int:
        ...
    @property
    def rows(self) -> int:
        ...
    @property
    def slabs(self) -> int:
        ...
    @property
    def slots(self) -> int:
        ...
class DevicePlan:
    """
    The projector pair of a plan on devices.
    """
    def __init__(self, plan: ProjectionPlan, devices: collections.abc.Sequence[str], max_memory: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
        """
        devices: emulated, cuda, cuda:1 ...; max_memory: bytes of each that slabs take, 0: what is free.
        """
    @typing.overload
    def backproject(self, stack: numpy.typing.NDArray[numpy.float32], out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None, fixed16: bool = False) -> None:
        """
        Sets out (nz, ny, nx) to the back-projection of stack.
        """
    @typing.overload
    def backproject(self, stack: DeviceTensor, out: DeviceTensor, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        """
        The same for arrays on the device.
        """
    def free_bytes(self) -> int:
        """
        Memory of the device that has the least.
        """
    @typing.overload
    def project(self, volume: numpy.typing.NDArray[numpy.float32], out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None, add: bool = False) -> None:
        """
        Sets out (n_tilts, height, width) to the projections of volume, or adds them to it.
        """
    @typing.overload
    def project(self, volume: DeviceTensor, out: DeviceTensor, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None, add: bool = False) -> None:
        """
        The same for arrays on the device.
        """
    def share_memory(self, other: DevicePlan) -> None:
        """
        From now on both have slabs in the same memory.
        """
    def slab(self, first: typing.SupportsInt | typing.SupportsIndex, last: typing.SupportsInt | typing.SupportsIndex) -> DevicePlan:
        """
        The pair of the volume's rows first to last alone, on the images' pixels of window.
        """
    def slabs(self, more: typing.SupportsInt | typing.SupportsIndex = 0) -> SlabCut:
        """
        The slabs of host arrays, as things stand; more: bytes of other tables that are to come.
        """
    @property
    def scratch_bytes(self) -> int:
        """
        What arrays that lie on the device take besides themselves and the tables.
        """
    @property
    def table_bytes(self) -> int:
        """
        Of each device.
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
    def backproject(self, stack: numpy.typing.NDArray[numpy.float32], out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None, fixed16: bool = False) -> None:
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
class FrameStack:
    """
    Small spectra of frames of one scene, and their shifts.
    """
    def __init__(self, n: typing.SupportsInt | typing.SupportsIndex, ny: typing.SupportsInt | typing.SupportsIndex, nx: typing.SupportsInt | typing.SupportsIndex, max_shift: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    def look(self, first: typing.SupportsInt | typing.SupportsIndex, frames: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
        """
        Take frames for `pairs`.
        """
    def pairs(self, pairs: numpy.typing.NDArray[numpy.int64], out: numpy.typing.NDArray[numpy.float64], threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
        """
        Rough shift of the second frame of each pair against the first.
        """
    def place(self, first: typing.SupportsInt | typing.SupportsIndex, frames: numpy.typing.NDArray[numpy.float32], shifts: numpy.typing.NDArray[numpy.float64], threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
        """
        Take frames for `refine`, windows on what all share at `shifts`.
        """
    def refine(self, out: numpy.typing.NDArray[numpy.float64], threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
        """
        Each frame against the sum of all others, until none moves.
        """
class DeviceFrameStack:
    """
    The same in the memory of a device.
    """
    def __init__(self, device: str, n: typing.SupportsInt | typing.SupportsIndex, ny: typing.SupportsInt | typing.SupportsIndex, nx: typing.SupportsInt | typing.SupportsIndex, max_shift: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    def look(self, first: typing.SupportsInt | typing.SupportsIndex, frames: typing.Any, threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
        """
        Take frames for `pairs`.
        """
    def pairs(self, pairs: numpy.typing.NDArray[numpy.int64], out: numpy.typing.NDArray[numpy.float64], threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
        """
        Rough shift of the second frame of each pair against the first.
        """
    def place(self, first: typing.SupportsInt | typing.SupportsIndex, frames: typing.Any, shifts: numpy.typing.NDArray[numpy.float64], threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
        """
        Take frames for `refine`, windows on what all share at `shifts`.
        """
    def refine(self, out: numpy.typing.NDArray[numpy.float64], threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
        """
        Each frame against the sum of all others, until none moves.
        """
class FrameSum:
    """
    Sum of frames moved back by their shifts, in Fourier space.
    """
    def __init__(self, ny: typing.SupportsInt | typing.SupportsIndex, nx: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def add(self, frame: numpy.typing.NDArray[numpy.float32], row: typing.SupportsFloat | typing.SupportsIndex, column: typing.SupportsFloat | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
        """
        Add a frame.
        """
    def write(self, out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
        """
        Write the sum.
        """
class DeviceFrameSum:
    """
    The same in the memory of a device.
    """
    def __init__(self, device: str, ny: typing.SupportsInt | typing.SupportsIndex, nx: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def add(self, frame: numpy.typing.NDArray[numpy.float32], row: typing.SupportsFloat | typing.SupportsIndex, column: typing.SupportsFloat | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
        """
        Add a frame.
        """
    def write(self, out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
        """
        Write the sum.
        """
class DeviceSteps:
    """
    What steps on a device's arrays take in place of a number of threads.
    """
    def __init__(self, device: str) -> None:
        """
        device: emulated, cuda, cuda:1 ...
        """
    def empty(self, shape: typing.Annotated[collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], "FixedSize(3)"]) -> DeviceTensor:
        """
        A float32 array on the device that nobody has written.
        """
    @property
    def device(self) -> str:
        ...
class RegionColumns:
    """
    Where sums over regions go; None where they are not wanted.
    """
    def __init__(self, extent: numpy.typing.NDArray[numpy.int64] | None, moments: numpy.typing.NDArray[numpy.int64] | None, exits: numpy.typing.NDArray[numpy.int64] | None, euler: numpy.typing.NDArray[numpy.int64] | None, intensity: numpy.typing.NDArray[numpy.float64] | None) -> None:
        ...
class Components:
    """
    Connected components of slabs of slices, and their sums.
    """
    def __init__(self, shape: typing.Annotated[collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], "FixedSize(3)"], connectivity: typing.SupportsInt | typing.SupportsIndex, wanted: typing.Annotated[collections.abc.Sequence[bool], "FixedSize(5)"], nested: bool, kind: str | None, delta: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    def add_between(self, volume: numpy.typing.NDArray[numpy.float32], low: typing.SupportsFloat | typing.SupportsIndex, high: typing.SupportsFloat | typing.SupportsIndex, intensity: numpy.typing.NDArray[numpy.float32] | None, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        ...
    def add_mask(self, mask: numpy.typing.NDArray[numpy.uint8], intensity: numpy.typing.NDArray[numpy.float32] | None, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        ...
    @typing.overload
    def add_values(self, values: numpy.typing.NDArray[numpy.float32], intensity: numpy.typing.NDArray[numpy.float32] | None, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        ...
    @typing.overload
    def add_values(self, values: numpy.typing.NDArray[numpy.uint8], intensity: numpy.typing.NDArray[numpy.float32] | None, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        ...
    @typing.overload
    def add_values(self, values: numpy.typing.NDArray[numpy.uint16], intensity: numpy.typing.NDArray[numpy.float32] | None, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        ...
    @typing.overload
    def add_values(self, values: numpy.typing.NDArray[numpy.int32], intensity: numpy.typing.NDArray[numpy.float32] | None, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        ...
    def contacts(self, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> tuple[numpy.typing.NDArray[numpy.int32], numpy.typing.NDArray[numpy.int64]]:
        """
        Return the pairs of components that meet (n, 2) and how often in each of 13 directions (n, 13).
        """
    def finish(self) -> int:
        """
        After the last slab: number the components and return how many.
        """
    def nesting(self, enclosing: numpy.typing.NDArray[numpy.int32], holes: numpy.typing.NDArray[numpy.int64]) -> None:
        ...
    def sums(self, columns: RegionColumns, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        ...
    @typing.overload
    def write(self, labels: numpy.typing.NDArray[numpy.uint8], z0: typing.SupportsInt | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        """
        Write the labels from slice z0 on.
        """
    @typing.overload
    def write(self, labels: numpy.typing.NDArray[numpy.uint16], z0: typing.SupportsInt | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        """
        Write the labels from slice z0 on.
        """
    @typing.overload
    def write(self, labels: numpy.typing.NDArray[numpy.int32], z0: typing.SupportsInt | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        """
        Write the labels from slice z0 on.
        """
class DeviceComponents:
    """
    Connected components of a mask on a device.
    """
    def __init__(self, mask: numpy.typing.NDArray[numpy.uint8], connectivity: typing.SupportsInt | typing.SupportsIndex, device: str) -> None:
        """
        device: emulated, cuda, cuda:1 ...
        """
    def count(self) -> int:
        ...
    def write(self, labels: numpy.typing.NDArray[numpy.int32]) -> None:
        ...
class MaskDistanceSlabs:
    def __init__(self, shape: typing.Annotated[collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], "FixedSize(3)"], spacing: typing.Annotated[collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], "FixedSize(3)"], border: bool, all_labels: bool) -> None:
        ...
    def finish(self, first: typing.SupportsInt | typing.SupportsIndex, values: numpy.typing.NDArray[numpy.uint8], out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        ...
    def scan(self, first: typing.SupportsInt | typing.SupportsIndex, values: numpy.typing.NDArray[numpy.uint8], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        ...
class LabelDistanceSlabs:
    def __init__(self, shape: typing.Annotated[collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], "FixedSize(3)"], spacing: typing.Annotated[collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], "FixedSize(3)"], border: bool, all_labels: bool) -> None:
        ...
    def finish(self, first: typing.SupportsInt | typing.SupportsIndex, values: numpy.typing.NDArray[numpy.int32], out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        ...
    def scan(self, first: typing.SupportsInt | typing.SupportsIndex, values: numpy.typing.NDArray[numpy.int32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        ...
class Flow:
    """
    Steady diffusion through mask (nz, ny, nx) between the two faces across an axis.
    """
    def __init__(self, mask: numpy.typing.NDArray[numpy.uint8], along: typing.SupportsInt | typing.SupportsIndex, bonds: typing.Annotated[collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], "FixedSize(3)"], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        ...
    def step(self, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> float:
        """
        One step of the solver; by how much the dissipation went down.
        """
    @property
    def dissipation(self) -> float:
        ...
class RandomWalker:
    def __init__(self, values: numpy.typing.NDArray[numpy.float32], seeds: numpy.typing.NDArray[numpy.int32], beta: typing.SupportsFloat | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
        ...
    def solve(self, label: typing.SupportsInt | typing.SupportsIndex, tolerance: typing.SupportsFloat | typing.SupportsIndex, chance: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> int:
        """
        Write the chances (nz, ny, nx) of one label and return the iterations.
        """
def add_gaussians(places: numpy.typing.NDArray[numpy.float64], widths: numpy.typing.NDArray[numpy.float64], heights: numpy.typing.NDArray[numpy.float64], volume: numpy.typing.NDArray[numpy.float32], nx: typing.SupportsInt | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
    """
    Add Gaussian blobs to volume (nz, ny, nx or more).
    """
@typing.overload
def ahead_step(momentum: typing.SupportsFloat | typing.SupportsIndex, volume: numpy.typing.NDArray[numpy.float32], earlier: numpy.typing.NDArray[numpy.float32], ahead: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
    """
    ahead <- volume + momentum (volume - earlier), earlier <- volume.
    """
@typing.overload
def ahead_step(momentum: typing.SupportsFloat | typing.SupportsIndex, volume: DeviceTensor, earlier: DeviceTensor, ahead: DeviceTensor, threads: DeviceSteps) -> None:
    ...
def assign(begins: numpy.typing.NDArray[numpy.int64], columns: numpy.typing.NDArray[numpy.int64], costs: numpy.typing.NDArray[numpy.float64], alone: numpy.typing.NDArray[numpy.float64], n_columns: typing.SupportsInt | typing.SupportsIndex, partner: numpy.typing.NDArray[numpy.int64], cancel: CancelToken | None = None) -> None:
    """
    Give each row a column of its own or none at the least sum of costs; partner (rows) int64, -1 for none.
    """
def available_threads() -> int:
    """
    Processors this process may use.
    """
def bend(stack: numpy.typing.NDArray[numpy.float32], nodes: numpy.typing.NDArray[numpy.float32], spacing: typing.SupportsInt | typing.SupportsIndex, out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
    """
    The transpose of straighten.
    """
@typing.overload
def conjugate_step(descent: numpy.typing.NDArray[numpy.float32], factor: typing.SupportsFloat | typing.SupportsIndex, direction: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> tuple[ExactSum, ExactSum]:
    """
    direction <- descent + factor direction where the descent is not 0; returns <p, p> and <descent, p>.
    """
@typing.overload
def conjugate_step(descent: DeviceTensor, factor: typing.SupportsFloat | typing.SupportsIndex, direction: DeviceTensor, threads: DeviceSteps) -> tuple[ExactSum, ExactSum]:
    ...
@typing.overload
def copy_step(other: numpy.typing.NDArray[numpy.float32], array: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
    """
    array <- other.
    """
@typing.overload
def copy_step(other: DeviceTensor, array: DeviceTensor, threads: DeviceSteps) -> None:
    ...
def count_missing(stack: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> int:
    """
    Number of NaN or infinite values.
    """
def cuda_devices() -> tuple[list[CudaDevice], str]:
    """
    The CUDA devices that can be used and, where there are none, why.
    """
def cufft_version() -> int:
    """
    Version of cuFFT, 12001 for 12.0.1; DeviceError where there is none.
    """
@typing.overload
def descent_step(volume: numpy.typing.NDArray[numpy.float32], damping: typing.SupportsFloat | typing.SupportsIndex, lower: typing.SupportsFloat | typing.SupportsIndex, upper: typing.SupportsFloat | typing.SupportsIndex, descent: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> ExactSum:
    """
    descent <- descent - damping volume where it may move; returns the sum of its squares.
    """
@typing.overload
def descent_step(volume: DeviceTensor, damping: typing.SupportsFloat | typing.SupportsIndex, lower: typing.SupportsFloat | typing.SupportsIndex, upper: typing.SupportsFloat | typing.SupportsIndex, descent: DeviceTensor, threads: DeviceSteps) -> ExactSum:
    ...
def despike(images: numpy.typing.NDArray[numpy.float32], replaced: numpy.typing.NDArray[numpy.int64], threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
    """
    Replace hot pixels by the median of their neighbours, in place.
    """
@typing.overload
def device_distance(values: numpy.typing.NDArray[numpy.uint8], spacing: typing.Annotated[collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], "FixedSize(3)"], border: bool, all_labels: bool, out: numpy.typing.NDArray[numpy.float32], device: str) -> None:
    """
    The same on a device: emulated, cuda, cuda:1 ...
    """
@typing.overload
def device_distance(values: numpy.typing.NDArray[numpy.int32], spacing: typing.Annotated[collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], "FixedSize(3)"], border: bool, all_labels: bool, out: numpy.typing.NDArray[numpy.float32], device: str) -> None:
    """
    The same on a device: emulated, cuda, cuda:1 ...
    """
def device_name(device: str) -> str:
    """
    emulated:0 for emulated, cuda:0 for cuda.
    """
def device_names(devices: collections.abc.Sequence[str]) -> list[str]:
    """
    The same of several, at least one and each once.
    """
def displacement_sums(a: numpy.typing.NDArray[numpy.float32], b: numpy.typing.NDArray[numpy.float32], axes: numpy.typing.NDArray[numpy.float64], out: numpy.typing.NDArray[numpy.float64], threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
    """
    Slopes and bends of a correlation under affine displacements.
    """
@typing.overload
def distance(values: numpy.typing.NDArray[numpy.uint8], spacing: typing.Annotated[collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], "FixedSize(3)"], border: bool, all_labels: bool, out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
    """
    Distance of each voxel of values (nz, ny, nx) to the nearest one of another value, to out float32.
    """
@typing.overload
def distance(values: numpy.typing.NDArray[numpy.int32], spacing: typing.Annotated[collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], "FixedSize(3)"], border: bool, all_labels: bool, out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
    """
    Distance of each voxel of values (nz, ny, nx) to the nearest one of another value, to out float32.
    """
@typing.overload
def divide_step(divisor: typing.SupportsFloat | typing.SupportsIndex, array: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
    """
    array <- array / divisor.
    """
@typing.overload
def divide_step(divisor: typing.SupportsFloat | typing.SupportsIndex, array: DeviceTensor, threads: DeviceSteps) -> None:
    ...
def empty_on(device: str, shape: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex]) -> DeviceTensor:
    """
    A float32 array that nobody has written yet.
    """
def emulated_memory(device: typing.SupportsInt | typing.SupportsIndex, bytes: typing.SupportsInt | typing.SupportsIndex, largest: typing.SupportsInt | typing.SupportsIndex = 1099511627776) -> None:
    """
    For tests: the memory of emulated:device from now on, and the largest piece of it.
    """
@typing.overload
def extrapolate_step(measured: numpy.typing.NDArray[numpy.float32], weights: numpy.typing.NDArray[numpy.float32], projected: numpy.typing.NDArray[numpy.float32], momentum: typing.SupportsFloat | typing.SupportsIndex, earlier: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> tuple[ExactSum, ExactSum]:
    """
    earlier <- W (b - projected - momentum (projected - earlier)); returns the sums of W (b - projected)^2 and W b^2.
    """
@typing.overload
def extrapolate_step(measured: DeviceTensor, weights: DeviceTensor, projected: DeviceTensor, momentum: typing.SupportsFloat | typing.SupportsIndex, earlier: DeviceTensor, threads: DeviceSteps) -> tuple[ExactSum, ExactSum]:
    ...
@typing.overload
def factor_step(other: numpy.typing.NDArray[numpy.float32], array: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
    """
    array <- array other.
    """
@typing.overload
def factor_step(other: DeviceTensor, array: DeviceTensor, threads: DeviceSteps) -> None:
    ...
def fft_good_size(n: typing.SupportsInt | typing.SupportsIndex) -> int:
    """
    Smallest length >= n that the transforms are fast for.
    """
def fill_basins(values: numpy.typing.NDArray[numpy.float32], outlet: numpy.typing.NDArray[numpy.uint8], filled: numpy.typing.NDArray[numpy.float32], cancel: CancelToken | None = None) -> None:
    """
    Fill what is enclosed in values (nz, ny, nx) up to the level at which it runs off to an outlet or a face.
    """
def fill_missing(images: numpy.typing.NDArray[numpy.float32], filled: numpy.typing.NDArray[numpy.float32], weight: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> bool:
    """
    Fill pixels that are not finite from those around, with weights that fade there; whether all are counts.
    """
@typing.overload
def fill_step(value: typing.SupportsFloat | typing.SupportsIndex, array: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
    """
    array <- value.
    """
@typing.overload
def fill_step(value: typing.SupportsFloat | typing.SupportsIndex, array: DeviceTensor, threads: DeviceSteps) -> None:
    ...
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
def filter_stack_on(devices: collections.abc.Sequence[str], stack: numpy.typing.NDArray[numpy.float32], gains: numpy.typing.NDArray[numpy.float32], length: typing.SupportsInt | typing.SupportsIndex, out: numpy.typing.NDArray[numpy.float32], max_memory: typing.SupportsInt | typing.SupportsIndex = 0, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
    """
    The same on devices; max_memory: bytes of each, 0: what is free.
    """
def filter_stack_there(stack: DeviceTensor, gains: numpy.typing.NDArray[numpy.float32], length: typing.SupportsInt | typing.SupportsIndex, out: DeviceTensor) -> None:
    """
    The same where the stack lies.
    """
def free_step(labels: numpy.typing.NDArray[numpy.uint8], chance: typing.SupportsFloat | typing.SupportsIndex, seed: typing.SupportsInt | typing.SupportsIndex, free: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
    """
    free <- 1 at the borders of the labels and at voxels drawn by chance, else 0.
    """
def from_dlpack(capsule: typing.Any) -> DeviceTensor:
    """
    The array of a DLPack capsule, where it lies.
    """
def gaussian_samples(field: numpy.typing.NDArray[numpy.float32], nx: typing.SupportsInt | typing.SupportsIndex, places: numpy.typing.NDArray[numpy.float64], widths: numpy.typing.NDArray[numpy.float64], samples: numpy.typing.NDArray[numpy.float64], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
    """
    Smooth field (nz, ny, nx or more) by a Gaussian at each place: value, slopes and second derivatives into samples (n, 7).
    """
def geodesic(mask: numpy.typing.NDArray[numpy.uint8], spacing: typing.Annotated[collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], "FixedSize(3)"], length: numpy.typing.NDArray[numpy.float32], cancel: CancelToken | None = None) -> None:
    """
    Lengths of the shortest ways inside of mask from where length is finite, to length.
    """
@typing.overload
def gradient_step(ahead: numpy.typing.NDArray[numpy.float32], metric: numpy.typing.NDArray[numpy.float32], z: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
    """
    z <- ahead + metric z.
    """
@typing.overload
def gradient_step(ahead: DeviceTensor, metric: DeviceTensor, z: DeviceTensor, threads: DeviceSteps) -> None:
    ...
@typing.overload
def graze_step(sums: numpy.typing.NDArray[numpy.float32], least: typing.SupportsFloat | typing.SupportsIndex, weights: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
    """
    weights <- 0 where sums < least.
    """
@typing.overload
def graze_step(sums: DeviceTensor, least: typing.SupportsFloat | typing.SupportsIndex, weights: DeviceTensor, threads: DeviceSteps) -> None:
    ...
@typing.overload
def halve(volume: numpy.typing.NDArray[numpy.float32], half: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
    """
    half <- means of the finite values of boxes of 2 x 2 x 2 voxels, of what there is at the far edges.
    """
@typing.overload
def halve(volume: numpy.typing.NDArray[numpy.float64], half: numpy.typing.NDArray[numpy.float64], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
    """
    half <- means of the finite values of boxes of 2 x 2 x 2 voxels, of what there is at the far edges.
    """
@typing.overload
def invert_step(sums: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
    """
    sums <- 1 / max(sums, 1) where sums > 1/2, else 0.
    """
@typing.overload
def invert_step(sums: DeviceTensor, threads: DeviceSteps) -> None:
    ...
def isa() -> str:
    """
    Instruction set in use: baseline, x86-64-v3 or x86-64-v4.
    """
def local_scratch_bytes(height: typing.SupportsInt | typing.SupportsIndex, width: typing.SupportsInt | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex) -> int:
    """
    Memory that either holds besides its arguments.
    """
def local_thickness(distances: numpy.typing.NDArray[numpy.float32], spacing: typing.Annotated[collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], "FixedSize(3)"], out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
    """
    Diameter of the largest ball inside the phase that holds each voxel, from distances (nz, ny, nx).
    """
def log_polar(power: numpy.typing.NDArray[numpy.float32], nx: typing.SupportsInt | typing.SupportsIndex, low: typing.SupportsFloat | typing.SupportsIndex, high: typing.SupportsFloat | typing.SupportsIndex, out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
    """
    Sample a half spectrum along half a turn at radii in geometric progression.
    """
def lose_emulated_after(device: typing.SupportsInt | typing.SupportsIndex, operations: typing.SupportsInt | typing.SupportsIndex) -> None:
    """
    For tests: emulated:device is lost, for good, after that many launches, copies and allocations.
    """
@typing.overload
def multiply_step(correction: numpy.typing.NDArray[numpy.float32], weights: numpy.typing.NDArray[numpy.float32], lower: typing.SupportsFloat | typing.SupportsIndex, upper: typing.SupportsFloat | typing.SupportsIndex, volume: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
    """
    volume <- clamp(volume weights max(correction, 0)) where weights > 0.
    """
@typing.overload
def multiply_step(correction: DeviceTensor, weights: DeviceTensor, lower: typing.SupportsFloat | typing.SupportsIndex, upper: typing.SupportsFloat | typing.SupportsIndex, volume: DeviceTensor, threads: DeviceSteps) -> None:
    ...
def oriented_maxima(base: numpy.typing.NDArray[numpy.complex64], nx: typing.SupportsInt | typing.SupportsIndex, shapes: numpy.typing.NDArray[numpy.float64], gains: numpy.typing.NDArray[numpy.float64], value: numpy.typing.NDArray[numpy.float32], which: numpy.typing.NDArray[numpy.int32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
    """
    At each voxel the value of the largest magnitude over a half spectrum times anisotropic Gaussians, and whose.
    """
def oriented_samples(field: numpy.typing.NDArray[numpy.float32], places: numpy.typing.NDArray[numpy.float64], shapes: numpy.typing.NDArray[numpy.float64], samples: numpy.typing.NDArray[numpy.float64], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
    """
    A field smoothed by an anisotropic Gaussian at each of some places.
    """
def oriented_sums(weight: numpy.typing.NDArray[numpy.float32], nx: typing.SupportsInt | typing.SupportsIndex, shapes: numpy.typing.NDArray[numpy.float64], axes: numpy.typing.NDArray[numpy.float64], across: bool, reach: typing.SupportsFloat | typing.SupportsIndex, sums: numpy.typing.NDArray[numpy.float64], profile: numpy.typing.NDArray[numpy.float64], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
    """
    Sums of an even weight times anisotropic Gaussians: moments of k, and by |k| along or across an axis.
    """
def overlap_weights(slope: numpy.typing.NDArray[numpy.float64], length: numpy.typing.NDArray[numpy.float64], columns: typing.SupportsInt | typing.SupportsIndex, out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
    """
    How much views measure at the frequencies (rows, columns/2 + 1) of one view's section.
    """
@typing.overload
def poisson_step(measured: numpy.typing.NDArray[numpy.float32], weights: numpy.typing.NDArray[numpy.float32], least: typing.SupportsFloat | typing.SupportsIndex, projected: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> tuple[ExactSum, ExactSum]:
    """
    projected <- W max(b, 0) / max(projected, least); returns the sums of residual_step.
    """
@typing.overload
def poisson_step(measured: DeviceTensor, weights: DeviceTensor, least: typing.SupportsFloat | typing.SupportsIndex, projected: DeviceTensor, threads: DeviceSteps) -> tuple[ExactSum, ExactSum]:
    ...
def put_step(places: DeviceTensor, values: DeviceTensor, stack: DeviceTensor, threads: DeviceSteps) -> None:
    """
    stack[places] <- values, flat.
    """
@typing.overload
def raise_step(other: numpy.typing.NDArray[numpy.float32], array: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
    """
    array <- max(array, other).
    """
@typing.overload
def raise_step(other: DeviceTensor, array: DeviceTensor, threads: DeviceSteps) -> None:
    ...
def read_into(array: DeviceTensor, out: numpy.typing.NDArray[numpy.float32]) -> None:
    """
    Copy a float32 array of three axes into one in the host's memory.
    """
@typing.overload
def reciprocal_step(least: typing.SupportsFloat | typing.SupportsIndex, array: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
    """
    array <- 1 / max(array, least).
    """
@typing.overload
def reciprocal_step(least: typing.SupportsFloat | typing.SupportsIndex, array: DeviceTensor, threads: DeviceSteps) -> None:
    ...
def reduce_images(images: numpy.typing.NDArray[numpy.float32], row_weight: numpy.typing.NDArray[numpy.float32], row_source: numpy.typing.NDArray[numpy.int64], column_weight: numpy.typing.NDArray[numpy.float32], column_source: numpy.typing.NDArray[numpy.int64], out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
    """
    Apply one sparse linear map along rows and one along columns.
    """
@typing.overload
def region_sums(labels: numpy.typing.NDArray[numpy.uint8], regions: typing.SupportsInt | typing.SupportsIndex, intensity: numpy.typing.NDArray[numpy.float32] | None, columns: RegionColumns, contacts: bool, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> tuple[numpy.typing.NDArray[numpy.int32], numpy.typing.NDArray[numpy.int64]] | None:
    """
    Sum over the voxels of each label; return the pairs that meet (n, 2) and how often (n, 13) if asked.
    """
@typing.overload
def region_sums(labels: numpy.typing.NDArray[numpy.uint16], regions: typing.SupportsInt | typing.SupportsIndex, intensity: numpy.typing.NDArray[numpy.float32] | None, columns: RegionColumns, contacts: bool, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> tuple[numpy.typing.NDArray[numpy.int32], numpy.typing.NDArray[numpy.int64]] | None:
    """
    Sum over the voxels of each label; return the pairs that meet (n, 2) and how often (n, 13) if asked.
    """
@typing.overload
def region_sums(labels: numpy.typing.NDArray[numpy.int32], regions: typing.SupportsInt | typing.SupportsIndex, intensity: numpy.typing.NDArray[numpy.float32] | None, columns: RegionColumns, contacts: bool, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> tuple[numpy.typing.NDArray[numpy.int32], numpy.typing.NDArray[numpy.int64]] | None:
    """
    Sum over the voxels of each label; return the pairs that meet (n, 2) and how often (n, 13) if asked.
    """
def register_pairs(reference: numpy.typing.NDArray[numpy.float32], moving: numpy.typing.NDArray[numpy.float32], out: numpy.typing.NDArray[numpy.float64], max_shift: typing.SupportsFloat | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
    """
    Shift of each moving image against its reference.
    """
def register_pairs_there(device: str, reference: typing.Any, moving: typing.Any, out: numpy.typing.NDArray[numpy.float64], max_shift: typing.SupportsFloat | typing.SupportsIndex) -> None:
    """
    The same on a device, for images of the host or of the device.
    """
def resample_images(images: numpy.typing.NDArray[numpy.float32], map: numpy.typing.NDArray[numpy.float64], fill: numpy.typing.NDArray[numpy.float32], out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
    """
    Resample each image through an affine map, bilinear.
    """
@typing.overload
def residual_step(measured: numpy.typing.NDArray[numpy.float32], weights: numpy.typing.NDArray[numpy.float32], gain: numpy.typing.NDArray[numpy.float32] | None, projected: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> tuple[ExactSum, ExactSum]:
    """
    projected <- gain W (b - projected); returns the sums of W (b - projected)^2 and W b^2.
    """
@typing.overload
def residual_step(measured: DeviceTensor, weights: DeviceTensor, gain: DeviceTensor | None, projected: DeviceTensor, threads: DeviceSteps) -> tuple[ExactSum, ExactSum]:
    ...
@typing.overload
def roughness_step(factor: typing.SupportsFloat | typing.SupportsIndex, volume: numpy.typing.NDArray[numpy.float32], descent: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> ExactSum:
    """
    descent <- descent - factor D'D volume; returns |D volume|^2.
    """
@typing.overload
def roughness_step(factor: typing.SupportsFloat | typing.SupportsIndex, volume: DeviceTensor, descent: DeviceTensor, threads: DeviceSteps) -> ExactSum:
    ...
def scale_space_maxima(base: numpy.typing.NDArray[numpy.complex64], nx: typing.SupportsInt | typing.SupportsIndex, decays: numpy.typing.NDArray[numpy.float64], gains: numpy.typing.NDArray[numpy.float64], fields: numpy.typing.NDArray[numpy.float32], margin: typing.SupportsInt | typing.SupportsIndex, threshold: typing.SupportsFloat | typing.SupportsIndex, middle: typing.SupportsFloat | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> tuple[numpy.typing.NDArray[numpy.float64], numpy.typing.NDArray[numpy.float64]]:
    """
    Extrema over place and scale of a half spectrum times Gaussians: (n, 5) height, scale index, z, y, x; and the share of voxels within `middle` of 0 at each scale. Scratch: fields (up to 3 scales, nz, ny, 2 (nx // 2 + 1)).
    """
def scale_space_maxima_on(device: str, base: numpy.typing.NDArray[numpy.complex64], nx: typing.SupportsInt | typing.SupportsIndex, decays: numpy.typing.NDArray[numpy.float64], gains: numpy.typing.NDArray[numpy.float64], margin: typing.SupportsInt | typing.SupportsIndex, threshold: typing.SupportsFloat | typing.SupportsIndex, middle: typing.SupportsFloat | typing.SupportsIndex) -> tuple[numpy.typing.NDArray[numpy.float64], numpy.typing.NDArray[numpy.float64]]:
    """
    The same on a device.
    """
@typing.overload
def scale_step(factor: typing.SupportsFloat | typing.SupportsIndex, upper: typing.SupportsFloat | typing.SupportsIndex, array: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
    """
    array <- min(upper, factor array).
    """
@typing.overload
def scale_step(factor: typing.SupportsFloat | typing.SupportsIndex, upper: typing.SupportsFloat | typing.SupportsIndex, array: DeviceTensor, threads: DeviceSteps) -> None:
    ...
def segment_step(volume: numpy.typing.NDArray[numpy.float32], thresholds: numpy.typing.NDArray[numpy.float32], labels: numpy.typing.NDArray[numpy.uint8], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
    """
    labels <- how many thresholds lie below each voxel.
    """
def smooth_step(volume: numpy.typing.NDArray[numpy.float32], free: numpy.typing.NDArray[numpy.float32], share: typing.SupportsFloat | typing.SupportsIndex, smoothed: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
    """
    smoothed <- volume, with a share of the neighbours' mean where free > 0.
    """
def spectrum_sums(weight: numpy.typing.NDArray[numpy.float32], nx: typing.SupportsInt | typing.SupportsIndex, sums: numpy.typing.NDArray[numpy.float64], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
    """
    Sum weight (nz, ny, nx / 2 + 1), alone and times products of k, in bins of |k| into sums (bins, 7).
    """
def spline_samples(coefficients: numpy.typing.NDArray[numpy.float32], places: numpy.typing.NDArray[numpy.float64], samples: numpy.typing.NDArray[numpy.float64], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
    """
    A periodic sum of cubic B-splines at each of some places.
    """
def split_pores(distances: numpy.typing.NDArray[numpy.float32], mask: numpy.typing.NDArray[numpy.uint8], least: typing.SupportsFloat | typing.SupportsIndex, share: typing.SupportsFloat | typing.SupportsIndex, labels: numpy.typing.NDArray[numpy.int32], cancel: CancelToken | None = None) -> numpy.typing.NDArray[numpy.int64]:
    """
    Part a phase into the catchment areas of the maxima of its distances; returns where those are.
    """
@typing.overload
def square_step(weights: numpy.typing.NDArray[numpy.float32], values: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> ExactSum:
    """
    Returns the sum of W v^2.
    """
@typing.overload
def square_step(weights: DeviceTensor, values: DeviceTensor, threads: DeviceSteps) -> ExactSum:
    ...
def statistics(volume: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> tuple[float, float, int, ExactSum, ExactSum]:
    """
    Of the finite values: lowest, highest, count, sum and sum of squares; the same for any cut into whole rows.
    """
def straighten(stack: numpy.typing.NDArray[numpy.float32], nodes: numpy.typing.NDArray[numpy.float32], spacing: typing.SupportsInt | typing.SupportsIndex, out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
    """
    Sets out to the images sampled where nodes (n_tilts, 2, rows, columns) [px] say that each pixel lies.
    """
@typing.overload
def subtract_step(weights: numpy.typing.NDArray[numpy.float32], step: typing.SupportsFloat | typing.SupportsIndex, residual: numpy.typing.NDArray[numpy.float32], projected: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> ExactSum:
    """
    residual <- residual - step projected, projected <- W residual; returns the sum of W residual^2.
    """
@typing.overload
def subtract_step(weights: DeviceTensor, step: typing.SupportsFloat | typing.SupportsIndex, residual: DeviceTensor, projected: DeviceTensor, threads: DeviceSteps) -> ExactSum:
    ...
def subtract_weighted(base: numpy.typing.NDArray[numpy.complex64], weight: numpy.typing.NDArray[numpy.float32], rest: numpy.typing.NDArray[numpy.complex64], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> None:
    """
    Replace the half spectrum rest by base - rest times weight.
    """
def take_step(places: DeviceTensor, stack: DeviceTensor, values: DeviceTensor, threads: DeviceSteps) -> None:
    """
    values <- stack[places], flat.
    """
def thin(distances: numpy.typing.NDArray[numpy.float32], spacing: typing.Annotated[collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], "FixedSize(3)"], mask: numpy.typing.NDArray[numpy.uint8], cancel: CancelToken | None = None) -> None:
    """
    Thin mask (nz, ny, nx; 0 and 1) to lines in place, in the order of distances, keeping its topology.
    """
def to_device(array: numpy.ndarray, device: str) -> DeviceTensor:
    """
    A copy on a device.
    """
def trace_branches(skeleton: numpy.typing.NDArray[numpy.uint8]) -> tuple[numpy.typing.NDArray[numpy.int64], numpy.typing.NDArray[numpy.int64], numpy.typing.NDArray[numpy.int32], numpy.typing.NDArray[numpy.int32], numpy.typing.NDArray[numpy.int64], numpy.typing.NDArray[numpy.int64]]:
    """
    The graph of a skeleton: places and first of branches, their start and end nodes, places and first of nodes.
    """
@typing.overload
def update_step(correction: numpy.typing.NDArray[numpy.float32], weights: numpy.typing.NDArray[numpy.float32], step: typing.SupportsFloat | typing.SupportsIndex, lower: typing.SupportsFloat | typing.SupportsIndex, upper: typing.SupportsFloat | typing.SupportsIndex, volume: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
    """
    volume <- clamp(volume + step weights correction) where weights > 0.
    """
@typing.overload
def update_step(correction: DeviceTensor, weights: DeviceTensor, step: typing.SupportsFloat | typing.SupportsIndex, lower: typing.SupportsFloat | typing.SupportsIndex, upper: typing.SupportsFloat | typing.SupportsIndex, volume: DeviceTensor, threads: DeviceSteps) -> None:
    ...
@typing.overload
def uphill(ahead: numpy.typing.NDArray[numpy.float32], volume: numpy.typing.NDArray[numpy.float32], earlier: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> ExactSum:
    """
    Returns <ahead - volume, volume - earlier>.
    """
@typing.overload
def uphill(ahead: DeviceTensor, volume: DeviceTensor, earlier: DeviceTensor, threads: DeviceSteps) -> ExactSum:
    ...
@typing.overload
def variation_step(axis: typing.Annotated[collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], "FixedSize(3)"], strength: typing.SupportsFloat | typing.SupportsIndex, huber: typing.SupportsFloat | typing.SupportsIndex, metric: numpy.typing.NDArray[numpy.float32], z: numpy.typing.NDArray[numpy.float32], lower: typing.SupportsFloat | typing.SupportsIndex, upper: typing.SupportsFloat | typing.SupportsIndex, rounds: typing.SupportsInt | typing.SupportsIndex, dual: numpy.typing.NDArray[numpy.float32], volume: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
    """
    volume <- the proximal map of total variation at z, from dual.
    """
@typing.overload
def variation_step(axis: typing.Annotated[collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], "FixedSize(3)"], strength: typing.SupportsFloat | typing.SupportsIndex, huber: typing.SupportsFloat | typing.SupportsIndex, metric: DeviceTensor, z: DeviceTensor, lower: typing.SupportsFloat | typing.SupportsIndex, upper: typing.SupportsFloat | typing.SupportsIndex, rounds: typing.SupportsInt | typing.SupportsIndex, dual: DeviceTensor, volume: DeviceTensor, threads: DeviceSteps) -> None:
    ...
def volume_extrema(field: numpy.typing.NDArray[numpy.float32], margin: typing.SupportsInt | typing.SupportsIndex, threshold: typing.SupportsFloat | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None) -> numpy.typing.NDArray[numpy.float64]:
    """
    Extrema of a field beyond a threshold in magnitude: (n, 4) height, z, y, x.
    """
@typing.overload
def walk_step(direction: numpy.typing.NDArray[numpy.float32], step: typing.SupportsFloat | typing.SupportsIndex, lower: typing.SupportsFloat | typing.SupportsIndex, upper: typing.SupportsFloat | typing.SupportsIndex, volume: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> int:
    """
    volume <- clamp(volume + step direction); returns how many voxels a bound stopped.
    """
@typing.overload
def walk_step(direction: DeviceTensor, step: typing.SupportsFloat | typing.SupportsIndex, lower: typing.SupportsFloat | typing.SupportsIndex, upper: typing.SupportsFloat | typing.SupportsIndex, volume: DeviceTensor, threads: DeviceSteps) -> int:
    ...
def warp_image(image: numpy.typing.NDArray[numpy.float32], map: numpy.typing.NDArray[numpy.float64], out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
    """
    Sample an image through an affine map, by the projector's windowed sinc.
    """
def warp_volume(volume: numpy.typing.NDArray[numpy.float32], map: numpy.typing.NDArray[numpy.float64], out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex, cancel: CancelToken | None = None) -> None:
    """
    Sample a volume through an affine map, by the projector's windowed sinc.
    """
@typing.overload
def wbp(plan: ProjectionPlan, stack: numpy.typing.NDArray[numpy.float32], gains: numpy.typing.NDArray[numpy.float32], lengths: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None, fixed16: bool = False) -> None:
    """
    Filtered back-projection.
    """
@typing.overload
def wbp(plan: DevicePlan, stack: numpy.typing.NDArray[numpy.float32], gains: numpy.typing.NDArray[numpy.float32], lengths: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], out: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0, cancel: CancelToken | None = None, fixed16: bool = False) -> None:
    """
    Filtered back-projection on devices.
    """
def wbp_slabs(plan: DevicePlan, lengths: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex]) -> SlabCut:
    """
    The slabs of filtered back-projection on devices, as things stand.
    """
@typing.overload
def weighted_sum(weights: numpy.typing.NDArray[numpy.float32], values: numpy.typing.NDArray[numpy.float32], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> ExactSum:
    """
    Returns the sum of W v.
    """
@typing.overload
def weighted_sum(weights: DeviceTensor, values: DeviceTensor, threads: DeviceSteps) -> ExactSum:
    ...
