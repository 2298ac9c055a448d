# SPDX-License-Identifier: BSD-3-Clause
"""Volumes that grow row by row (y) over several processes and lives of a job, and get their name when they are whole.

What a slab was is told by digests of parts that do not depend on how the volume is cut: bands of 16 rows of MRC, chunk
files of OME-Zarr. A job keeps them; after a kill they say which slabs are whole, and in the end they make up the digest
of the volume, without reading it again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .atomic import move_in, sha256
from .disk import clear_errors
from .growing_stores import BAND, MrcStore, Store, ZarrStore, mrc_digest, zarr_digest
from .statistics import Statistics
from .volume import is_mrc, is_zarr, placed

__all__ = ["BAND", "GrowingVolume", "SlabWritten", "volume_digest", "writing"]


@dataclass(frozen=True, kw_only=True)
class SlabWritten:
    """What one written slab was.

    Attributes
    ----------
    first, last : int
        Rows ``first`` to ``last - 1``.
    digests : mapping of str to str
        SHA-256 of its parts: bands by their first row, chunk files by name, with those of smaller copies that the slab
        filled.
    statistics : Statistics
        Of its finite voxels.
    """

    first: int
    last: int
    digests: Mapping[str, str]
    statistics: Statistics

    def to_mapping(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return {
            "first": self.first,
            "last": self.last,
            "digests": dict(self.digests),
            "statistics": self.statistics.to_mapping(),
        }

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> SlabWritten:
        """Return what :meth:`to_mapping` was given."""
        return cls(
            first=int(values["first"]),
            last=int(values["last"]),
            digests={str(k): str(v) for k, v in values["digests"].items()},
            statistics=Statistics.from_mapping(values["statistics"]),
        )


class GrowingVolume:
    """A float32 volume on its way to disk, under a name of its own until it is whole.

    Made by :meth:`create`, and by :meth:`open` in every other process and life; a context manager that closes it. The
    finished file has the bytes that :func:`cryolith.files.write_volume` gives the whole array, for any cut, order and
    number of processes.

    Parameters
    ----------
    path : path
        Of the work file or folder; the suffix chooses the format, as in :func:`cryolith.files.write_volume`.
    shape : (nz, ny, nx)
    pixel_size, origin, labels, chunks
        As in :func:`cryolith.files.open_slabs`; the same in every process.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        shape: tuple[int, int, int],
        *,
        new: bool,
        pixel_size: float | None = None,
        origin: npt.ArrayLike = (0.0, 0.0, 0.0),
        labels: Iterable[str] = (),
        chunks: tuple[int, int, int] = (64, 64, 64),
    ) -> None:
        about = (pixel_size, placed(shape, pixel_size, origin), tuple(labels))
        self.path, self.shape = Path(path), shape
        self._store: Store
        with clear_errors(path):
            if is_mrc(path):
                self._store = MrcStore(self.path, shape, about, new=new)
            else:
                self._store = ZarrStore(self.path, shape, about, chunks, new=new)

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], shape: tuple[int, int, int], **about: Any
    ) -> GrowingVolume:
        """Begin a volume, in place of one that had begun under this name, and keep its room on the disk.

        Raises
        ------
        InputError
            A shape, place, suffix or chunks that no file can have.
        FileFormatError
            The folder is missing, or the disk too full.
        """
        return cls(path, shape, new=True, **about)

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], shape: tuple[int, int, int], **about: Any
    ) -> GrowingVolume:
        """Go on with a volume that has begun; the arguments are those of :meth:`create`.

        Raises
        ------
        FileFormatError
            There is none, or one of another size.
        """
        return cls(path, shape, new=False, **about)

    @property
    def edge(self) -> int:
        """Slabs begin at multiples of this number of rows, and end there or with the volume."""
        return self._store.edge

    def write(self, first: int, slab: npt.NDArray[np.float32]) -> SlabWritten:
        """Write rows ``first`` to ``first + slab.shape[1]`` of a slab (nz, rows, nx).

        In any order and from any process; the same rows again are allowed.

        Raises
        ------
        InputError
            A slab that does not fit.
        FileFormatError
            The disk is full; what was written before stays.
        """
        self._require_fits(first, slab)
        last = first + slab.shape[1]
        with clear_errors(self.path):
            digests = self._store.write(first, slab)
        statistics = Statistics.of(slab)
        return SlabWritten(first=first, last=last, digests=digests, statistics=statistics)

    def holds(self, written: SlabWritten) -> bool:
        """Whether the rows that are on disk are still those that were written; reads them."""
        if not (0 <= written.first < written.last <= self.shape[1]):
            return False
        if set(written.digests) != set(self._store.names(written.first, written.last)):
            return False
        try:
            return all(self._store.digest(name) == was for name, was in written.digests.items())
        except OSError:
            return False

    def publish(
        self,
        written: Iterable[SlabWritten],
        path: str | os.PathLike[str],
        *,
        announce: Callable[[str], None] | None = None,
    ) -> str:
        """Finish the volume, sync it and give it its final name; the work file is gone then.

        Parameters
        ----------
        written : iterable of SlabWritten
            Slabs that cover every row once. They are trusted: ask :meth:`holds` of those from an earlier life.
        path : path
            On the same file system. What is there is replaced.
        announce : callable, optional
            Hears the digest before the name is given, so that a job that is killed right after knows its file again.

        Returns
        -------
        str
            What :func:`volume_digest` gives for the finished file.

        Raises
        ------
        InputError
            Rows are missing or there twice.
        FileFormatError
            The disk is full, or the final name cannot be written; the work file stays.
        """
        slabs = sorted(written, key=lambda slab: slab.first)
        self._require_all(slabs)
        if is_mrc(path) != is_mrc(self.path):
            raise InputError(
                f"path: found {os.fspath(path)}, expected the format of {self.path.name}"
            )
        digests = {name: digest for slab in slabs for name, digest in slab.digests.items()}
        statistics = Statistics.merged(slab.statistics for slab in slabs)
        with clear_errors(path):
            digest = self._store.finish(digests, statistics)
            if announce is not None:
                announce(digest)
            move_in(self.path, path)
        self.close()
        return digest

    def close(self) -> None:
        """Let go of the file; it stays."""
        self._store.close()

    def __enter__(self) -> GrowingVolume:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _require_fits(self, first: int, slab: npt.NDArray[np.float32]) -> None:
        nz, ny, nx = self.shape
        rows = slab.shape[1] if slab.ndim == 3 else 0
        last = first + rows
        if slab.shape != (nz, rows, nx) or not (0 <= first < last <= ny):
            raise InputError(
                f"slab: found shape {slab.shape} at row {first}, expected ({nz}, rows, {nx}) within {ny} rows"
            )
        if slab.dtype != np.float32:
            raise InputError(f"slab: found dtype {slab.dtype}, expected float32")
        if first % self.edge or (last % self.edge and last != ny):
            raise InputError(
                f"slab: found rows {first} to {last}, expected multiples of {self.edge} rows"
            )

    def _require_all(self, slabs: list[SlabWritten]) -> None:
        row = 0
        for slab in slabs:
            if slab.first != row:
                what = "missing" if slab.first > row else "there twice"
                low, high = sorted((row, slab.first))
                raise InputError(f"slabs: rows {low} to {high} are {what}, expected each once")
            row = slab.last
        if row != self.shape[1]:
            raise InputError(
                f"slabs: rows {row} to {self.shape[1]} are missing, expected each once"
            )


Put = Callable[[int, npt.NDArray[np.float32]], None]


@contextmanager
def writing(
    volume: GrowingVolume, *, done: Callable[[SlabWritten], None] | None = None
) -> Iterator[Put]:
    """Write slabs in the background while the next one is computed.

    Parameters
    ----------
    volume : GrowingVolume
    done : callable, optional
        Hears of each slab when it is written, in the writing thread.

    Yields
    ------
    callable
        ``put(first, slab)``, as :meth:`GrowingVolume.write`. It waits for the slab before, so that no more than two are
        in memory, and raises what went wrong with that. The slab must not be changed afterwards: give a new array each
        time, or wait for ``done``.

    Raises
    ------
    InputError, FileFormatError, OSError
        On leaving, what went wrong with the last slab.
    """

    def work(first: int, slab: npt.NDArray[np.float32]) -> None:
        slab_written = volume.write(first, slab)
        if done is not None:
            done(slab_written)

    pending: list[Future[None]] = []

    def put(first: int, slab: npt.NDArray[np.float32]) -> None:
        wait()
        pending.append(thread.submit(work, first, slab))

    def wait() -> None:
        while pending:
            pending.pop().result()

    with ThreadPoolExecutor(1, thread_name_prefix="cryolith-writer") as thread:
        yield put
        wait()


def volume_digest(path: str | os.PathLike[str], *, check: Callable[[], None] | None = None) -> str:
    """Return the digest of a volume on disk: for a file of ours what :meth:`GrowingVolume.publish` returned.

    One sequential pass. Other files, and damaged ones, have the digest of :func:`.sha256`, which is never the same.

    Parameters
    ----------
    path : path
    check : callable, optional
        Called every few MiB; may raise to stop (cancelling).
    """
    if is_zarr(path):
        return zarr_digest(Path(path), check)
    with suppress(InputError):
        if is_mrc(path):
            found = mrc_digest(Path(path), check)
            if found is not None:
                return found
    return sha256(path, check=check)
