# SPDX-License-Identifier: BSD-3-Clause
"""What can compute on this machine and, for what cannot, why."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Device", "devices"]


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
