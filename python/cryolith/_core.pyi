# SPDX-License-Identifier: BSD-3-Clause
# Written by tools/stubs.py; do not edit.
"""
The compiled core of cryolith; use the packages around it.
"""
from __future__ import annotations
__all__: list[str] = ['CancelToken', 'available_threads', 'isa']
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
def available_threads() -> int:
    """
    Processors this process may use.
    """
def isa() -> str:
    """
    Instruction set in use: baseline, x86-64-v3 or x86-64-v4.
    """
