# SPDX-License-Identifier: BSD-3-Clause
"""Where a detection looks: in a volume in memory, or in one that is gone through block by block."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from .. import _core
from ..datamodel import Volume
from ..errors import InputError
from ._binned import averaged, in_full_voxels
from ._inputs import Table, as_volume
from ._needs import DetectNeeds, detect_needs
from ._scan import Scan
from ._scan_objects import Objects
from .inclusions import Found, find_particles, find_voids
from .interfaces import interfaces

if TYPE_CHECKING:
    from .detection import DetectSettings

__all__ = ["Search", "searching"]


class Search(Protocol):
    """Finds what a detection asks for, in the order layers, voids, particles."""

    pixel_size: float | None
    notes: tuple[str, ...]
    blobs_binned: int

    def averaged(self, volume: Any, /) -> Any:
        """Return a volume of this shape in averaged voxels, as many as ``blobs_binned`` says."""

    @property
    def labels(self) -> Any:
        """(nz, ny, nx) int32 of the voids and particles found so far."""

    def layers(self) -> Table:
        """Return the table of layers."""

    def voids(self) -> Found:
        """Find voids and enter their labels, below 0."""

    def particles(self) -> Found:
        """Find particles and enter their labels where there is no void."""


def searching(
    volume: Volume,
    chosen: DetectSettings,
    threads: int,
    cancel: _core.CancelToken | None,
    max_memory: int | None,
    workspace: str | os.PathLike[str] | None,
) -> Search:
    """Return a search in memory where ``max_memory`` allows it, else one in blocks."""
    shape = volume.data.shape
    needs = detect_needs(
        (shape[0], shape[1], shape[2]),
        layers=chosen.layers,
        blobs=chosen.blobs,
        max_memory=max_memory,
    )
    if not needs.in_blocks:
        return _InMemory(volume, chosen, threads, cancel)
    if max_memory is not None and needs.bytes_memory > max_memory:
        raise InputError(
            f"max_memory: found {max_memory / 1e6:.0f} MB, expected at least {needs.bytes_memory / 1e6:.0f} MB for "
            f"a volume of {' x '.join(map(str, shape))}"
        )
    scan = Scan(volume.data, workspace, threads, cancel, needs.block, needs.flooded)
    return _InBlocks(volume, chosen, needs, scan)


class _InMemory:
    def __init__(
        self,
        volume: Volume,
        chosen: DetectSettings,
        threads: int,
        cancel: _core.CancelToken | None,
    ) -> None:
        self._data, self.pixel_size = as_volume(volume, None)
        self._chosen, self._threads, self._cancel = chosen, threads, cancel
        self.labels: npt.NDArray[np.int32] = np.zeros(self._data.shape, np.int32)
        self.notes: tuple[str, ...] = ()
        self.blobs_binned = 1

    def averaged(self, volume: Any) -> Any:
        return volume

    def layers(self) -> Table:
        return interfaces(
            self._data,
            axis=None if self._chosen.axis == "auto" else self._chosen.axis,
            pixel_size=self.pixel_size,
            min_contrast=self._chosen.min_contrast,
            threads=self._threads,
        )

    def voids(self) -> Found:
        c = self._chosen
        found = find_voids(
            self._data, None, None, c.min_size, c.void_contrast, c.alpha, self.pixel_size, self._threads, self._cancel
        )  # fmt: skip
        self.labels -= found.labels
        return found

    def particles(self) -> Found:
        c = self._chosen
        found = find_particles(
            self._data, c.particle_threshold, c.min_size, c.alpha, self.pixel_size, self._threads, self._cancel
        )  # fmt: skip
        # A void inside a particle stays a void.
        self.labels = np.where(self.labels == 0, found.labels, self.labels)
        return found


class _InBlocks:
    def __init__(
        self, volume: Volume, chosen: DetectSettings, needs: DetectNeeds, scan: Scan
    ) -> None:
        self.pixel_size, self._chosen, self._needs, self._scan = (
            volume.pixel_size, chosen, needs, scan,
        )  # fmt: skip
        scan.require_finite()
        self.blobs_binned = needs.blobs_binned
        self._found: Objects | None = None
        self.notes: tuple[str, ...] = ()
        if chosen.layers and needs.layers_binned > 1:
            self.notes = (
                f"layers: looked for in a copy of {needs.layers_binned} x {needs.layers_binned} x "
                f"{needs.layers_binned} voxels averaged, as the memory allows; thinner ones than some "
                f"{3 * needs.layers_binned} px are not seen",
            )

    def averaged(self, volume: Any) -> Any:
        scan = self._scan
        return averaged(Scan(volume, scan.folder, scan.threads, scan.cancel), self.blobs_binned)

    @property
    def labels(self) -> Any:
        return self._objects().labels

    def layers(self) -> Table:
        chosen, factor, scan = self._chosen, self._needs.layers_binned, self._scan
        edge = None if self.pixel_size is None else self.pixel_size * factor
        found = interfaces(
            averaged(scan, factor),
            axis=None if chosen.axis == "auto" else chosen.axis,
            pixel_size=edge,
            min_contrast=chosen.min_contrast,
            threads=scan.threads,
        )
        return in_full_voxels(found, scan.shape, factor, self.pixel_size)

    def voids(self) -> Found:
        return self._objects().voids(self._chosen.void_contrast)

    def particles(self) -> Found:
        return self._objects().particles(self._chosen.particle_threshold)

    def _objects(self) -> Objects:
        if self._found is None:
            c = self._chosen
            self._found = Objects(self._scan, c.alpha, c.min_size, self.pixel_size)
        return self._found
