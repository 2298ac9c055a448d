# SPDX-License-Identifier: BSD-3-Clause
"""Simultaneous iterative reconstruction, and its ordered-subsets form down to one tilt at a time."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import Unpack

from .. import _core
from .._fields import Field
from .checkpoint import Kept, Saved
from .cut import Part
from .halves import with_halves
from .inputs import Float32, ProjectionsLike, ViewsLike
from .iterate import Exact, Reconstruction, Setup, Sums, added, iterate
from .options import Options, checked_count, checked_number
from .settings import ITERATIONS
from .setup import as_setup
from .subsets import Subset, Turns, ordered_subsets, subsets_of

__all__ = ["sart", "sirt"]


@with_halves()
def sirt(
    stack: ProjectionsLike,
    angles_deg: ViewsLike = None,
    *,
    n_iter: int = ITERATIONS["sirt"],
    relaxation: float = 1.0,
    **options: Unpack[Options],
) -> Reconstruction:
    """Reconstruct by SIRT: x <- x + relaxation C A' R W (b - A x).

    Parameters
    ----------
    stack : (n_tilts, height, width) array_like or TiltSeries
        Raw images: shifts and rotations are applied inside the projector. NaN is a missing pixel.
    angles_deg : (n_tilts,) [deg], Geometry or Alignment
        Angles alone mean a tilt axis along y through the centre. None takes them from the series.
    n_iter : int, default 30
    relaxation : float, default 1
        Factor to each step, at most 2.
    **options
        Those of :class:`Options`. The default of ``lower`` is 0, which needs data whose background is 0.

    Returns
    -------
    Reconstruction
        (nz, ny, nx) float32.

    Raises
    ------
    InputError
        A wrong shape or value, by name.

    References
    ----------
    Gregor & Benson, IEEE Trans. Med. Imaging 27 (2008) 918, eq. 3: C and R are the inverse column and row sums of
    W A and A; rays and voxels whose sum is below 1/2 are left out, those below 1 count as 1.
    """
    setup = as_setup(stack, angles_deg, options).moved("sirt")
    step = checked_number(relaxation, "relaxation", 0.0, 2.0)
    return iterate(setup, checked_count(n_iter, "n_iter"), _Relaxed(setup, 1, step))


@with_halves()
def sart(
    stack: ProjectionsLike,
    angles_deg: ViewsLike = None,
    *,
    n_iter: int = ITERATIONS["sart"],
    subsets: int | None = None,
    relaxation: float = 0.5,
    **options: Unpack[Options],
) -> Reconstruction:
    """Reconstruct by ordered subsets: a SIRT step with each subset of the tilts in turn.

    Parameters
    ----------
    stack, angles_deg
        As in :func:`sirt`.
    n_iter : int, default 5
        Rounds over all subsets.
    subsets : int, optional
        How many; 1 is SIRT, a few are OS-SIRT. Default one a tilt: SART.
    relaxation : float, default 0.5
        Factor to each step, at most 2. Smaller ones end nearer to the least-squares solution of noisy data.
    **options
        Those of :class:`Options`. The default of ``lower`` is 0.

    Returns
    -------
    Reconstruction
        The residual in its history is that which each subset found in its turn.

    Raises
    ------
    InputError
        A wrong shape or value, by name.

    References
    ----------
    Andersen & Kak, Ultrasonic Imaging 6 (1984) 81, eq. 29; blocks: Censor & Elfving, SIAM J. Matrix Anal. Appl. 24
    (2002) 40, algorithm 3.1. C is the inverse of the largest column sum that a subset has: no voxel is over-relaxed,
    and one volume of them suffices.
    """
    setup = as_setup(stack, angles_deg, options)
    count = subsets_of(setup, setup.measured.shape[0] if subsets is None else subsets)
    setup = setup.moved("sirt", subsets=count)
    step = checked_number(relaxation, "relaxation", 0.0, 2.0)
    return iterate(setup, checked_count(n_iter, "n_iter"), _Relaxed(setup, count, step))


class _Relaxed:
    """SIRT with ``count`` subsets in the volume of its set-up, for :func:`iterate`."""

    def __init__(self, setup: Setup, count: int, relaxation: float) -> None:
        self.setup, self.count, self.relaxation = setup, count, relaxation

    def steps(self, saved: Saved | None) -> Iterator[Sums]:
        """Yield the residual sums."""
        volume, started = self.setup.volume, self.setup.started or saved is not None
        self.solver = Sirt(self.setup, self.count)
        yield from self.solver.steps(
            volume, self.solver.voxels, self.relaxation, started=started, saved=saved
        )

    def state(self) -> Kept:
        """Return what the next round depends on besides the volume."""
        return self.solver.turns.state()


class Sirt:
    """SIRT with ``count`` subsets: what all its iterations share.

    Attributes
    ----------
    voxels : Field of (nz, ny, nx)
        C, 0 outside the mask.
    subsets : list of Subset
    """

    def __init__(self, setup: Setup, count: int) -> None:
        self.setup, self.subsets = setup, ordered_subsets(setup, count)
        self.turns = Turns(setup, self.subsets)
        self.space, self.piece = self.turns.space, self.subsets[0].pair.piece_space()
        self.voxels = setup.cut.volume(setup.volume.shape)
        parts = self.subsets[0].pair.parts
        for part in parts:
            rows = part.rows_of(self.voxels, self.space)
            _core.fill_step(1.0, rows, setup.on)
            part.put_rows(self.voxels, rows)
        self.rays = [self._inverse_rows(s) for s in self.subsets]
        for i in range(len(parts)):
            self._invert_columns(i)

    def steps(
        self,
        volume: Field,
        voxels: Field,
        relaxation: float,
        *,
        started: bool,
        saved: Saved | None = None,
    ) -> Iterator[Sums]:
        """Yield the residual sums of ``volume``, then of its iterates with the weights ``voxels``."""
        setup, low, high = self.setup, self.setup.lower, self.setup.upper

        def residual(
            measured: Float32, weights: Float32, gain: Float32, projected: Float32
        ) -> Exact:
            return _core.residual_step(measured, weights, gain, projected, setup.on)

        def compare(k: int) -> Sums:
            s = self.subsets[k]
            read = [s.measured, s.weights, self.rays[k]]
            return added(setup.over_layers(residual, read, [s.projected]))

        def update(k: int, part: Part, correction: Float32, rows: Float32) -> None:
            for weights, change, voxel in part.pieces(voxels, self.piece, correction, rows):
                _core.update_step(change, weights, relaxation, low, high, voxel, setup.on)

        return self.turns.steps(volume, compare, update, started=started, saved=saved)

    def _inverse_rows(self, subset: Subset) -> Field:
        """Return R of a subset's rays; ``voxels`` is 1 everywhere."""
        rays = self.setup.cut.stack(subset.projected.shape)
        self.setup.project(subset.pair, self.voxels, rays, self.space)
        on = self.setup.on
        self.setup.over_layers(lambda sums: _core.invert_step(sums, on), [], [rays])
        return rays

    def _invert_columns(self, i: int) -> None:
        """Set slab ``i`` of ``voxels`` to the inverse of the largest column sum that a subset has there."""
        setup, first = self.setup, self.subsets[0].pair
        part = first.parts[i]
        largest = part.rows_of(self.voxels, self.space)
        _core.fill_step(0.0, largest, setup.on)
        for s in self.subsets:
            sums = setup.backproject(s.pair, s.pair.parts[i], s.weights, self.turns.scratch)
            _core.raise_step(sums, largest, setup.on)
        first.invert_columns(largest, setup.on)
        setup.keep_inside(part, largest)
        part.put_rows(self.voxels, largest)
