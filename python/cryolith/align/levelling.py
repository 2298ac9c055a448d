# SPDX-License-Identifier: BSD-3-Clause
"""A slab laid level in the middle of the volume: the same alignment of a turned and moved specimen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..datamodel import Alignment, Beads, Slab
from ..projection import rotation_matrix
from .bundle import View, project_points
from .faces import Estimate, Faces, find_faces, growth_offset, through_points
from .images import reduce_images
from .joint import Pose, solve
from .levels import model_of, with_ridge
from .lie import Lie
from .specimen import Prepared
from .steps import Job

__all__ = ["levelled", "turned"]

Float64 = npt.NDArray[np.float64]

# Deep enough for a slab of a quarter of the edge that lies 12 degrees off.
_DEPTH = 0.4
_ITERATIONS = 30
_SIGMAS, _LEAST_DEG = 2.0, 0.5


def levelled(job: Job, ready: Prepared, alignment: Alignment, lie: Lie) -> Alignment:
    """Find how a slab lies and lay it level; what it says is in ``slab`` and ``method``.

    ``alignment`` is of the images ``job.keep``, with tilts that already hold the offset of ``lie``. An angle that is
    not plainly above its error is set to zero.
    """
    binning = ready.binning
    faces, why = find_faces(*_density(job, ready, alignment))
    if faces is None:
        back = turned(alignment, Lie(-lie.tilt_offset_deg, 0.0), 0.0)
        return _told(back, f"slab: its faces were not found ({why}); it lies as in the holder")
    faces = _scaled(faces, binning)
    faces, notes = _with_beads(faces, alignment.beads)
    tilt, told = _with_growth(job, ready, alignment, faces.tilt_offset, lie)
    notes += told
    offset = replace(tilt, value=tilt.value + lie.tilt_offset_deg)
    wanted = Lie(_plain(offset), _plain(faces.x_tilt))
    change = Lie(wanted.tilt_offset_deg - lie.tilt_offset_deg, wanted.x_tilt_deg)
    flat = turned(alignment, change, faces.height.value)
    notes.insert(0, _line(offset, faces, wanted))
    return _told(
        replace(
            flat,
            slab=Slab(
                tilt_offset_deg=offset.value,
                sigma_tilt_offset_deg=offset.sigma,
                x_tilt_deg=faces.x_tilt.value,
                sigma_x_tilt_deg=faces.x_tilt.sigma,
                thickness_px=faces.thickness.value,
                sigma_thickness_px=faces.thickness.sigma,
            ),
        ),
        *notes,
    )


def _plain(angle: Estimate) -> float:
    """An angle that is plainly above its error, else 0."""
    return angle.value if abs(angle.value) > max(_SIGMAS * angle.sigma, _LEAST_DEG) else 0.0


def _with_growth(
    job: Job, ready: Prepared, alignment: Alignment, tilt: Estimate, lie: Lie
) -> tuple[Estimate, list[str]]:
    """Tilt offset from the growth of the mass in view too, where it agrees."""
    means = ready.images.mean(axis=(1, 2), dtype=np.float64)
    mass = growth_offset(means, alignment.angles_deg[job.keep])
    if mass is None:
        return tilt, []
    found = _number(mass, lie.tilt_offset_deg)
    note = f"slab: its mass grows with tilt as at an offset of {found} deg"
    if tilt.agrees(mass):
        return tilt.with_(mass), [note]
    return tilt, [
        f"{note}, its faces lie at {_number(tilt, lie.tilt_offset_deg)} deg, which counts: it is not equally thick, "
        "or intensities change with tilt"
    ]


def _number(found: Estimate, more: float = 0.0) -> str:
    return f"{found.value + more:.2f} +- {found.sigma:.2f}"


def _line(offset: Estimate, faces: Faces, wanted: Lie) -> str:
    """What was found and what was done, in one line."""
    parts = []
    for name, found, used in (
        ("tilt offset", offset, wanted.tilt_offset_deg),
        ("x-tilt", faces.x_tilt, wanted.x_tilt_deg),
    ):
        done = "laid level" if used else "not plainly above its error: left"
        parts.append(f"{name} {_number(found)} deg ({done})")
    t = faces.thickness
    return f"slab: {', '.join(parts)}, thickness {t.value:.1f} +- {t.sigma:.1f} px"


def _told(alignment: Alignment, *notes: str) -> Alignment:
    return replace(alignment, method=(*alignment.method, *notes))


def _density(
    job: Job, ready: Prepared, alignment: Alignment
) -> tuple[npt.NDArray[np.float32], float]:
    """Density in a volume much deeper than the slab, and the radius [px] that images of any axis hold."""
    keep = job.keep
    ones = np.ones(len(alignment.angles_deg))
    magnifications = ones if alignment.magnifications is None else alignment.magnifications
    rotations = 0 * ones if alignment.rotations_deg is None else alignment.rotations_deg
    pose = Pose(
        shifts_px=alignment.shifts_px[keep],
        tilt_axis_deg=alignment.tilt_axis_deg,
        rotations_deg=rotations[keep],
        magnifications=magnifications[keep],
    ).scaled(1 / ready.binning)
    job = replace(job, angles_deg=alignment.angles_deg[keep], x_tilt_deg=0.0)
    images = reduce_images(ready.images, 1, job.threads, job.cancel)
    model, first = with_ridge(model_of(job, ready, images, pose, _DEPTH), pose)
    density = solve(model, pose, first.density, _ITERATIONS).density
    return density, min(images.shape[1:]) / 2


def _scaled(faces: Faces, binning: int) -> Faces:
    """Lengths in pixels of the raw images."""
    thickness, height = (
        Estimate(e.value * binning, e.sigma * binning) for e in (faces.thickness, faces.height)
    )
    return replace(faces, thickness=thickness, height=height)


def _with_beads(faces: Faces, beads: Beads | None) -> tuple[Faces, list[str]]:
    """Angles from beads on the faces too, where they agree."""
    if beads is None:
        return faces, []
    start = faces.tilt_offset.value, faces.x_tilt.value
    points, why = through_points(beads.points_px, start)
    if points is None:
        return faces, [f"slab: level not from the beads ({why})"]
    names = ("tilt_offset", "x_tilt")
    pairs = [(getattr(faces, name), getattr(points, name)) for name in names]
    seen = ", ".join(f"{p.value:.2f} +- {p.sigma:.2f}" for _, p in pairs)
    if not all(f.agrees(p) for f, p in pairs):
        return faces, [
            f"slab: its beads lie otherwise ({seen} deg): they are not on its faces, which count"
        ]
    both = {name: f.with_(p) for name, (f, p) in zip(names, pairs, strict=True)}
    return replace(faces, **both), [
        f"slab: tilt offset and x-tilt also from its beads ({seen} deg)"
    ]


def turned(alignment: Alignment, lie: Lie, height: float) -> Alignment:
    """Return the alignment of the specimen that lies level where it now lies at ``lie``.

    Parameters
    ----------
    alignment : Alignment
        Without x-tilts.
    lie : Lie
        The specimen point p of the new frame is now at R (p + height along z), R the turn of ``lie``.
    height : float [px]
        Of the new frame's origin along its z.

    Returns
    -------
    Alignment
        It puts every point of the specimen where it was in every image: the tilt offset is added to the tilts,
        the x-tilt is the same for all, and the shifts follow the origin. Errors stay those about the former one:
        the axis' error times ``height``, some 0.01 px, is not added.
    """
    n = len(alignment.angles_deg)
    turn = rotation_matrix(x_deg=lie.x_tilt_deg, y_deg=lie.tilt_offset_deg)
    origin = turn @ np.array([height, 0.0, 0.0])
    zero = np.zeros(n)
    now = View(
        angles_deg=alignment.angles_deg,
        tilt_axis_deg=alignment.tilt_axis_deg,
        shifts_px=alignment.shifts_px,
        rotations_deg=zero if alignment.rotations_deg is None else alignment.rotations_deg,
        magnifications=zero + 1 if alignment.magnifications is None else alignment.magnifications,
        x_tilts_deg=zero,
    )
    beads = alignment.beads
    if beads is not None:
        beads = replace(beads, points_px=(beads.points_px - origin) @ turn)
    shifts = project_points(now, origin[None])[:, 0]
    local = alignment.local
    return replace(
        alignment,
        angles_deg=alignment.angles_deg + lie.tilt_offset_deg,
        x_tilts_deg=np.full(n, lie.x_tilt_deg) if lie.x_tilt_deg else None,
        shifts_px=shifts,
        local=local and local.counted_from(shifts - alignment.shifts_px),
        beads=beads,
    )
