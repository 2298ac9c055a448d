# SPDX-License-Identifier: BSD-3-Clause
"""What a card does: ``python -m benchmarks.device [--device cuda:0] [--edge 1024] [--only NAME] [--once]``.

A row for each kernel: its time with the arrays on the card, its rate, the share of its bound, and how far its result is
from the CPU's. Bounds are those of docs/gpu.md: bytes over the bandwidth that a copy on this card reached in the same
run and, for the projector pair, updates over the rate that its machine code allows on the cards of that page. ASTRA and
CuPy are timed on the same card where they are installed. Without a card it says so and ends with 0, unless
CRYOLITH_REQUIRE_CUDA is set.

``--only NAME --once`` makes one call after a warm-up, for profilers:
``ncu --set full python -m benchmarks.device --only backproject --once``.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import cryolith
from cryolith import _core
from cryolith.align import register
from cryolith.detect import distance, label
from cryolith.projection import Geometry, backproject, plan_slabs, project
from cryolith.reconstruct import filter_projections, sirt, wbp

Float32 = npt.NDArray[np.float32]

# G updates/s that the pair's machine code allows (docs/gpu.md): back-projection, projection.
PAIR_BOUNDS = {"A100": (4854, 4829), "H100": (10581, 9911), "H200": (10581, 9911)}
N_TILTS = 41


@dataclass(frozen=True)
class Case:
    """A call on the device, what it moves or updates, and the same on the CPU."""

    name: str
    run: Callable[[], Any]
    read: Callable[[], npt.NDArray[Any]]
    on_cpu: Callable[[], npt.NDArray[Any]]
    amount: float
    unit: str  # of `amount`: "updates" or "bytes"
    bound_gups: float = 0.0
    of_memory: bool = False  # bound by the bandwidth of the card's memory


class Cases:
    """Arrays of one size on a device, and what is timed on them."""

    def __init__(self, device: cryolith.Device, edge: int) -> None:
        rng = np.random.default_rng(0)
        self.device = device.name
        self.shape = (edge // 2, edge, edge)
        self.geometry = Geometry.single_axis(np.linspace(-60, 60, N_TILTS))
        self.volume = rng.random(self.shape, dtype=np.float32)
        self.stack = rng.random((N_TILTS, edge, edge), dtype=np.float32)
        self.updates = N_TILTS * self.volume.size
        # What a copy from the card waits for: all that was asked of it before.
        self.wait = cryolith.to_device(np.zeros(1, np.float32), self.device).numpy
        known = (bound for name, bound in PAIR_BOUNDS.items() if name in device.description)
        self.bounds = next(known, (0.0, 0.0))

    def __iter__(self) -> Iterator[Case]:
        yield from (self.copy(), self.update(), self.square(), self.backproject(), self.project())
        yield self.register_there()
        yield from self.whole_calls()

    def copy(self) -> Case:
        """What a card's memory gives: a read and a write of each element."""
        steps = _core.DeviceSteps(self.device)
        here, there = cryolith.to_device(self.volume, self.device), steps.empty(self.shape)
        return Case(
            "copy",
            lambda: _core.copy_step(here.tensor, there, steps),
            there.numpy,
            lambda: self.volume,
            8.0 * self.volume.size,
            "bytes",
            of_memory=True,
        )

    def update(self) -> Case:
        """The update of SIRT by a step of 0: any number of calls ends alike, and the traffic is that of any step."""
        steps = _core.DeviceSteps(self.device)
        there = [cryolith.to_device(self.volume, self.device).tensor for _ in range(3)]
        return Case(
            "update_volume",
            lambda: _core.update_step(there[0], there[1], 0.0, -np.inf, np.inf, there[2], steps),
            there[2].numpy,
            lambda: self.volume,
            16.0 * self.volume.size,
            "bytes",
            of_memory=True,
        )

    def square(self) -> Case:
        """A sum over the volume, as CGLS takes them."""
        steps = _core.DeviceSteps(self.device)
        there = cryolith.to_device(self.volume, self.device).tensor
        found: list[float] = [0.0]

        def run() -> None:
            found[0] = float(_core.square_step(there, there, steps))

        return Case(
            "square",
            run,
            lambda: np.array(found),
            lambda: np.array([float(_core.square_step(self.volume, self.volume))]),
            8.0 * self.volume.size,
            "bytes",
            of_memory=True,
        )

    def backproject(self) -> Case:
        stack = cryolith.to_device(self.stack, self.device)
        out = cryolith.to_device(np.zeros(self.shape, np.float32), self.device)
        return Case(
            "backproject",
            lambda: backproject(stack, self.geometry, self.shape, out=out),
            out.numpy,
            lambda: backproject(self.stack, self.geometry, self.shape),
            self.updates,
            "updates",
            self.bounds[0],
        )

    def project(self) -> Case:
        volume = cryolith.to_device(self.volume, self.device)
        out = cryolith.to_device(np.zeros_like(self.stack), self.device)
        return Case(
            "project",
            lambda: project(volume, self.geometry, self.stack.shape[1:], out=out),
            out.numpy,
            lambda: project(self.volume, self.geometry, self.stack.shape[1:]),
            self.updates,
            "updates",
            self.bounds[1],
        )

    def sirt_in_slabs(self, **device: str) -> Any:
        """As of volumes that no card holds: with the memory that the pair takes in slabs."""
        limit = {}
        if device:
            image = self.stack.shape[1:]
            slabs = plan_slabs(self.geometry, self.shape, image, device=self.device)
            limit = {"max_memory": slabs.device_bytes}
        return sirt(self.stack, self.geometry, shape=self.shape, n_iter=5, **limit, **device)

    def pair(self) -> list[Float32]:
        """Two images of counts of one scene, 3 and -2 px apart."""
        rng, edge = np.random.default_rng(1), self.shape[1]
        scene = np.cumsum(np.cumsum(rng.normal(size=(edge + 3, edge + 2)), axis=0), axis=1)
        scene = 20 + 5 * (scene - scene.mean()) / scene.std()
        views = (scene[3:, :edge], scene[:edge, 2:])
        return [rng.poisson(np.clip(v, 0, None)).astype(np.float32) for v in views]

    def register_there(self) -> Case:
        """Two images that lie on the card: seen, binned, compared, windowed, transformed, compared again."""
        pair = self.pair()
        there = [cryolith.to_device(v, self.device) for v in pair]
        found: list[npt.NDArray[np.float64]] = []

        def run() -> None:
            found[:] = [register(there[0], there[1], max_shift=20).shift_px]

        return Case(
            "register, a pair",
            run,
            lambda: found[0],
            lambda: register(*pair, max_shift=20).shift_px,
            8.0 * pair[0].size,
            "bytes",
        )

    def whole_calls(self) -> Iterator[Case]:
        """From arrays of the host to arrays of the host."""
        mask = self.volume > 0.5
        pair = self.pair()
        angles = self.geometry
        calls: list[tuple[str, Callable[..., Any], float, str]] = [
            (
                "wbp",
                lambda **d: wbp(self.stack, angles, shape=self.shape, **d),
                self.updates,
                "updates",
            ),
            (
                "sirt, 5 iterations",
                lambda **d: sirt(self.stack, angles, shape=self.shape, n_iter=5, **d),
                10 * self.updates,
                "updates",
            ),
            ("sirt in slabs, 5 iterations", self.sirt_in_slabs, 10 * self.updates, "updates"),
            (
                "filter_projections",
                lambda **d: filter_projections(self.stack, angles, "hann", **d),
                8.0 * self.stack.size,
                "bytes",
            ),
            (
                "register, a pair",
                lambda **d: register(*pair, max_shift=20, **d).shift_px,
                8.0 * pair[0].size,
                "bytes",
            ),
            ("label", lambda **d: label(mask, **d), 5.0 * mask.size, "bytes"),
            ("distance", lambda **d: distance(mask, **d), 5.0 * mask.size, "bytes"),
        ]
        for name, call, amount, unit in calls:
            last: list[Any] = []

            def run(call: Callable[..., Any] = call, last: list[Any] = last) -> None:
                last[:] = [array_of(call(device=self.device))]

            def read(last: list[Any] = last) -> npt.NDArray[Any]:
                return np.asarray(last[0])

            def on_cpu(call: Callable[..., Any] = call) -> npt.NDArray[Any]:
                return np.asarray(array_of(call()))

            yield Case(f"{name}, from and to the host", run, read, on_cpu, amount, unit)


def array_of(found: Any) -> Any:
    """Return the array of what a function returns."""
    for name in ("volume", "labels", "data"):
        found = getattr(found, name, found) if not isinstance(found, np.ndarray) else found
    return found[0] if isinstance(found, tuple) else found


def seconds(case: Case, rounds: int, wait: Callable[[], Any]) -> float:
    """Return the least mean time of a call, of several in a row where they are short."""
    found = []
    repeats = 1
    for _ in range(rounds + 1):
        start = time.perf_counter()
        for _ in range(repeats):
            case.run()
        wait()
        found.append((time.perf_counter() - start) / repeats)
        repeats = max(1, min(20, round(0.05 / found[-1])))
    return min(found[1:])  # the first warms up


def difference(case: Case) -> float:
    """Return the relative rms difference from the CPU's result."""
    found, wanted = case.read().astype(np.float64), case.on_cpu().astype(np.float64)
    size = float(np.linalg.norm(wanted))
    return float(np.linalg.norm(found - wanted)) / size if size else float(np.abs(found).max())


def astra_seconds(cases: Cases) -> dict[str, float]:
    """Return ASTRA's times for the pair on the same card."""
    import astra

    nz, ny, nx = cases.shape
    angles = np.deg2rad(np.linspace(-60, 60, N_TILTS))
    volume = astra.create_vol_geom(nx, nz, ny)
    images = astra.create_proj_geom("parallel3d", 1.0, 1.0, ny, nx, angles)
    projector = astra.create_projector("cuda3d", images, volume)
    operator = astra.OpTomo(projector)
    data = np.ascontiguousarray(cases.volume.transpose(1, 0, 2))
    sinograms = operator.FP(data)
    out = {}
    for name, call in (
        ("project", lambda: operator.FP(data)),
        ("backproject", lambda: operator.BP(sinograms)),
    ):
        start = time.perf_counter()
        call()
        out[name] = time.perf_counter() - start
    return out


def cupy_copy_bandwidth(cases: Cases) -> float:
    """Return bytes a second of CuPy's copy of the volume."""
    import cupy

    here = cupy.asarray(cases.volume)
    there = cupy.empty_like(here)
    cupy.copyto(there, here)
    cupy.cuda.Device().synchronize()
    start = time.perf_counter()
    for _ in range(10):
        cupy.copyto(there, here)
    cupy.cuda.Device().synchronize()
    return float(80 * here.size / (time.perf_counter() - start))


def peers(cases: Cases) -> Iterator[str]:
    """Say what others do on the same card, or that they are not there."""
    try:
        for name, time_s in astra_seconds(cases).items():
            yield f"ASTRA {name}, with copies to and from the host: {cases.updates / time_s / 1e9:.0f} GUPS"
    except ImportError:
        yield "ASTRA: not installed"
    try:
        yield f"CuPy copy: {cupy_copy_bandwidth(cases) / 1e9:.0f} GB/s"
    except ImportError:
        yield "CuPy: not installed"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument(
        "--edge", type=int, default=1024, help="of the images; the volume is half as deep"
    )
    parser.add_argument("--only", help="the case of this name")
    parser.add_argument("--once", action="store_true", help="one call after a warm-up, no CPU")
    options = parser.parse_args()
    found = {d.name: d for d in cryolith.devices()}
    device = found.get(options.device)
    if device is None or not device.usable:
        said = found["cuda"].description if "cuda" in found else ", ".join(found)
        sys.stdout.write(f"{options.device}: no such card ({said}); nothing to measure\n")
        return 1 if os.environ.get("CRYOLITH_REQUIRE_CUDA", "") not in ("", "0") else 0
    cases = Cases(device, options.edge)
    sys.stdout.write(f"{device.name}: {device.description}\n")
    sys.stdout.write("case | ms | rate | of its bound | off the CPU\n")
    bandwidth = 0.0
    for case in cases:
        if options.only not in (None, case.name):
            continue
        if options.once:
            case.run()
            case.run()
            case.read()
            continue
        taken = seconds(case, 5, cases.wait)
        rate = case.amount / taken / 1e9
        if case.name == "copy":
            bandwidth = rate
        bound = bandwidth if case.of_memory else case.bound_gups
        share = f"{rate / bound:.0%}" if bound else "-"
        unit = "GUPS" if case.unit == "updates" else "GB/s"
        sys.stdout.write(
            f"{case.name} | {1e3 * taken:.3f} | {rate:.0f} {unit} | {share} | {difference(case):.1e}\n"
        )
    if options.only is None:
        sys.stdout.writelines(f"{line}\n" for line in peers(cases))
    return 0


if __name__ == "__main__":
    sys.exit(main())
