# SPDX-License-Identifier: BSD-3-Clause
"""What can compute on this machine and, for what cannot, why."""

from __future__ import annotations

import ctypes
import importlib.util
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Device", "devices", "load_fft_library"]

# Where NVIDIA's wheels lay cuFFT, below the folder of the package "nvidia".
FFT_LIBRARIES = ("cu13/lib/libcufft.so.12", "cufft/lib/libcufft.so.12", "cufft/lib/libcufft.so.11")


@dataclass(frozen=True, kw_only=True)
class Device:
    """One device.

    Attributes
    ----------
    name : str
        What to pass as ``device=``.
    usable : bool
    description : str
        What it is or, if it cannot be used, why not and what would change that.
    threads : int
        Processors that this process may use; 0 where that means nothing.
    isa : str
        Instruction set that the tuned loops use; empty where that means nothing.
    """

    name: str
    usable: bool
    description: str
    threads: int = 0
    isa: str = ""


def devices() -> tuple[Device, ...]:
    """Return every kind of device that cryolith knows, usable or not, best first.

    Nothing is started: no CUDA context, no thread. "emulated" runs the GPU's code on the CPU, slowly, with every memory
    access and barrier checked: for tests.
    """
    return (*_cuda(), _cpu(), _emulated())


def _cpu() -> Device:
    from . import _core

    threads, isa = _core.available_threads(), _core.isa()
    return Device(
        name="cpu",
        usable=True,
        description=f"{threads} threads, {isa} (CRYOLITH_ISA lowers the instruction set)",
        threads=threads,
        isa=isa,
    )


def _cuda() -> tuple[Device, ...]:
    from . import _core

    found, why = _core.cuda_devices()
    if not found:
        return (Device(name="cuda", usable=False, description=f"{why}; use the CPU"),)
    return tuple(
        Device(
            name=f"cuda:{i}",
            usable=True,
            description=f"{d.name}, compute capability {d.major}.{d.minor}, {d.memory_bytes / 2**30:.0f} GiB",
        )
        for i, d in enumerate(found)
    )


def _emulated() -> Device:
    return Device(
        name="emulated",
        usable=True,
        description="the GPU's code on the CPU, slow and checked, for tests",
    )


def load_fft_library(device: str) -> None:
    """Load the cuFFT that the extra ``cuda`` brings, if it is there: the core, which asks for it by name, then has it.

    Where it is not, the core finds the system's, or says what is missing.
    """
    if not device.startswith("cuda"):
        return
    found = importlib.util.find_spec("nvidia")
    for folder in (found and found.submodule_search_locations) or ():
        for name in FFT_LIBRARIES:
            if (Path(folder) / name).exists():
                ctypes.CDLL(str(Path(folder) / name))
                return
