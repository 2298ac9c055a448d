# SPDX-License-Identifier: BSD-3-Clause
"""Arrays that stay in a device's memory, and their way to and from other libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from .errors import InputError

__all__ = ["DeviceArray", "from_dlpack", "to_device"]

_CUDA, _CUDA_MANAGED = 2, 13  # device types of DLPack
_DEFAULT_STREAM = 1  # CUDA's, in the words of __dlpack__


class DeviceArray:
    """A C-ordered array in the memory of a device, which functions with ``device=`` take and return without a copy.

    Made by :func:`to_device`, :func:`from_dlpack` and by what computes on a device. CuPy, PyTorch and JAX take it as it
    lies, by ``from_dlpack(array)`` of theirs; NumPy takes one of an "emulated" device so, and copies of all by
    :meth:`numpy`.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    device : str
        "cuda:0", "emulated:0" ...
    read_only : bool
        Whether it may only be read: a memory that its owner lent so.
    """

    __slots__ = ("_tensor",)

    def __init__(self, tensor: _core.DeviceTensor) -> None:
        self._tensor = tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._tensor.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self._tensor.dtype)

    @property
    def device(self) -> str:
        return self._tensor.device

    @property
    def read_only(self) -> bool:
        return self._tensor.read_only

    @property
    def tensor(self) -> _core.DeviceTensor:
        """What the core takes."""
        return self._tensor

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without axes")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<DeviceArray {self.dtype} {self.shape} on {self.device}>"

    def numpy(self) -> npt.NDArray[Any]:
        """Return a copy in the host's memory, when all work on the array is done."""
        return self._tensor.numpy()

    def __array__(self, *_: object, **__: object) -> npt.NDArray[Any]:
        """Refuse to copy in silence."""
        raise InputError(
            f"array: found one in the memory of {self.device}, expected one in the host's; use .numpy()"
        )

    def __dlpack_device__(self) -> tuple[int, int]:
        """Return DLPack's type and number of the device."""
        return self._tensor.dlpack_device()

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """Return a DLPack capsule of the array as it lies, when all work on it is done.

        Parameters
        ----------
        stream : int, optional
            Of the consumer. It need not be waited for: nothing is under way when this returns.
        max_version : (int, int), optional
            The newest version of DLPack that the consumer knows; none means one before 1.0.
        dl_device : (int, int), optional
            Where the consumer wants the array: only where it lies.
        copy : bool, optional
            True is refused: there is :meth:`numpy` for a copy.

        Raises
        ------
        BufferError
            A copy or another device is asked for, or the array is read-only and the consumer's version cannot say so.
        """
        if copy or (dl_device is not None and tuple(dl_device) != self.__dlpack_device__()):
            raise BufferError(f"array on {self.device}: a copy was asked for; use .numpy()")
        versioned = max_version is not None and tuple(max_version) >= (1, 0)
        if self.read_only and not versioned:
            raise BufferError("array: it is read-only, which DLPack before version 1 cannot say")
        return self._tensor.dlpack(versioned)


def to_device(array: npt.ArrayLike | DeviceArray, device: str) -> DeviceArray:
    """Copy an array to a device.

    Parameters
    ----------
    array : array_like of real or complex numbers, or DeviceArray
        Its dtype stays as it is; the projectors want float32. One that lies there already is returned as it is.
    device : str
        "cuda", "cuda:1", "emulated" ... (:func:`cryolith.devices`).

    Returns
    -------
    DeviceArray

    Raises
    ------
    InputError
        An array of anything but numbers; an unknown name of a device.
    DeviceError
        There is no such device, or too little memory is free on it.
    """
    if isinstance(array, DeviceArray):
        if array.device == _core.device_name(device):
            return array
        array = array.numpy()
    host = np.asarray(array)
    if host.dtype.kind not in "biufc" or host.dtype.itemsize > 16:
        raise InputError(f"array: found dtype {host.dtype}, expected real or complex numbers")
    packed = np.require(host, host.dtype.newbyteorder("="), ["C", "A"])
    return DeviceArray(_core.to_device(packed.reshape(host.shape), device))


def from_dlpack(array: Any) -> DeviceArray:
    """Take an array of another library as it lies in a device's memory, without a copy.

    Parameters
    ----------
    array : object with ``__dlpack__`` and ``__dlpack_device__``
        For example of CuPy, PyTorch or JAX; C order. It is kept alive while the result lives, and whoever writes into
        one writes into both. An array in the host's memory comes to lie on the "emulated" device.

    Returns
    -------
    DeviceArray

    Raises
    ------
    InputError
        No such object; a memory order other than C; elements that are no numbers; a device that is neither the host nor
        CUDA's.
    DeviceError
        There is no CUDA here.

    Notes
    -----
    The array API's protocol, https://data-apis.org/array-api/latest/design_topics/data_interchange.html, DLPack 1.0 and
    before. Work that its library has begun on the array is done before ours begins.
    """
    if isinstance(array, DeviceArray):
        return array
    if not hasattr(array, "__dlpack__") or not hasattr(array, "__dlpack_device__"):
        raise InputError(
            f"array: found {type(array).__name__}, expected an object with __dlpack__ and __dlpack_device__"
        )
    kind, _ = array.__dlpack_device__()
    stream = _DEFAULT_STREAM if kind in (_CUDA, _CUDA_MANAGED) else None
    try:
        capsule = array.__dlpack__(stream=stream, max_version=(1, 0))
    except TypeError:  # a library older than DLPack 1.0
        try:
            capsule = array.__dlpack__(stream=stream)
        except BufferError as error:
            raise _refused(error) from None
    except BufferError as error:
        raise _refused(error) from None
    return DeviceArray(_core.from_dlpack(capsule))


def _refused(error: BufferError) -> InputError:
    return InputError(f"array: its library does not hand it out: {error}")
