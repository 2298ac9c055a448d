# SPDX-License-Identifier: BSD-3-Clause
"""A microscope that records a simulated series into a folder, as SerialEM does, one write at a time."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from cryolith import simulate

PIXEL = 20.0  # angstrom
AXIS = 4.0  # deg


def dose_symmetric(limit=60.0, step=6.0):
    angles = np.arange(-limit, limit + 1e-6, step)
    return angles[np.lexsort((-angles, np.abs(angles)))]


def series(kind="needle", angles=None, *, edge=48, dose=300.0, seed=7, jitter=1.0):
    """Images as recorded (int16 counts) and their angles, in the order of recording."""
    angles = dose_symmetric() if angles is None else np.asarray(angles, float)
    phantom = {
        "needle": lambda: simulate.needle((40, edge, 40), voids=1, seed=seed),
        "slab": lambda: simulate.slab((edge // 6, edge, edge), seed=seed),
        "particle": lambda: simulate.particle((40, 40, 40), seed=seed),
    }[kind]()
    rng = np.random.default_rng(seed + 1)
    shifts = rng.normal(0, jitter, (len(angles), 2))
    made, _ = simulate.tilt_series(
        phantom,
        angles,
        tilt_axis_deg=AXIS,
        shifts_px=shifts,
        dose_per_pixel=dose,
        background=0.5,
        seed=seed + 2,
        image_shape=(edge, edge),
    )
    counts = np.asarray(made.images) * (4000 / np.asarray(made.images).max())
    return np.rint(counts).astype(np.int16), angles


def header(nx, ny, nz, *, extended=b"", words=(0, 0), mode=1, pixel=PIXEL):
    record = np.zeros((), HEADER_DTYPE.newbyteorder("<"))
    record["nx"], record["ny"], record["nz"] = nx, ny, nz
    record["mx"], record["my"], record["mz"] = nx, ny, nz
    record["mode"] = mode
    record["cella"]["x"], record["cella"]["y"], record["cella"]["z"] = (
        nx * pixel,
        ny * pixel,
        nz * pixel,
    )
    record["mapc"], record["mapr"], record["maps"] = 1, 2, 3
    record["map"], record["machst"] = b"MAP ", (0x44, 0x44, 0, 0)
    record["nsymbt"] = len(extended)
    raw = bytearray(record.tobytes())
    raw[128:132] = np.array(words, "<i2").tobytes()
    if extended:
        raw[104:108] = b"SERI"
    return bytes(raw) + extended


def seri(angles, room):
    """SerialEM's extended header with the tilts only (flag 1, two bytes an image)."""
    words = np.zeros(room, "<i2")
    words[: len(angles)] = np.rint(np.asarray(angles) * 100)
    return words.tobytes()


def mdoc_text(angles, *, pixel=PIXEL, axis=AXIS, frames=None):
    lines = [f"PixelSpacing = {pixel}", "", f"[T =     Tilt axis angle = {axis}, binning = 1]"]
    for z, angle in enumerate(angles):
        lines += ["", f"[ZValue = {z}]", f"TiltAngle = {angle:.4f}"]
        lines += [f"DateTime = 28-Nov-26  10:{z // 60:02d}:{z % 60:02d}", "ExposureDose = 1.5"]
        if frames is not None:
            lines.append(f"SubFramePath = D:\\frames\\{frames[z]}")
    return "\n".join(lines) + "\n"


class Microscope:
    """Records ``images`` at ``angles``; ``record(n)`` writes the next n tilts.

    ``how`` is "stack" (one file that grows), "promised" (its header says nz from the beginning) or "files" (a file
    a tilt); ``told`` where the angles are: "mdoc", "header", "rawtlt", "name" or "" for nowhere.
    """

    def __init__(self, folder, images, angles, *, how="stack", told="mdoc", name="ts_01"):
        self.folder, self.images, self.angles = Path(folder), images, angles
        self.how, self.told, self.name = how, told, name
        self.done = 0

    @property
    def path(self):
        return self.folder / f"{self.name}.mrc"

    def file_name(self, i):
        angle = f"_{self.angles[i]:.1f}" if self.told == "name" else ""
        return f"{self.name}_{i:03d}{angle}.mrc"

    def record(self, n=1, *, tell=True):
        for _ in range(n):
            self.done += 1
            self.write_images()
            if tell:
                self.write_angles()

    def all(self):
        self.record(len(self.images) - self.done)

    def write_images(self):
        n, (_, ny, nx) = self.done, self.images.shape
        if self.how == "files":
            with mrcfile.new(self.folder / self.file_name(n - 1)) as mrc:
                mrc.set_data(self.images[n - 1])
                mrc.voxel_size = PIXEL
            return
        total = len(self.images)
        extended, words = b"", (0, 0)
        if self.told == "header":
            extended, words = seri(self.angles[:n], total), (2, 1)
        head = header(
            nx, ny, total if self.how == "promised" else n, extended=extended, words=words
        )
        if n == 1:
            self.path.write_bytes(head)
        with open(self.path, "r+b") as file:
            file.seek(0, 2)
            file.write(self.images[n - 1].astype("<i2").tobytes())
            file.seek(0)
            file.write(head)

    def write_angles(self):
        angles = self.angles[: self.done]
        if self.told == "mdoc":
            frames = [self.file_name(i) for i in range(self.done)] if self.how == "files" else None
            where = f"{self.name}.mdoc" if self.how == "files" else f"{self.name}.mrc.mdoc"
            (self.folder / where).write_text(mdoc_text(angles, frames=frames))
        elif self.told == "rawtlt":
            text = "".join(f"{a:.2f}\n" for a in angles)
            (self.folder / f"{self.name}.rawtlt").write_text(text)


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def looks(watch, clock, n=2, seconds=2.0):
    """Poll ``n`` times; return what happened."""
    events = []
    for _ in range(n):
        clock.now += seconds
        events += watch.poll()
    return events


def alerts(events):
    return [(e["tilt"], e["kind"]) for e in events if e["event"] == "alert"]


def states(events):
    return [e["state"] for e in events if e["event"] == "state"]
