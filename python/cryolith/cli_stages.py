# SPDX-License-Identifier: BSD-3-Clause
"""``cryolith reconstruct`` and ``cryolith detect``: one stage alone."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._version import __version__
from .cli_options import (
    Angles,
    Binning,
    Device,
    Frames,
    Halves,
    Iterations,
    JobFile,
    MaxMemory,
    Method,
    Pixel,
    Series,
    Thickness,
    Threads,
    make_job,
    read_series,
)
from .errors import ConfigError
from .units import parse_bytes

if TYPE_CHECKING:
    from .datamodel import Defects, Volume
    from .projection import Geometry

__all__ = ["detect", "reconstruct"]

TABLE_FORMS = (".json", ".csv", ".parquet", ".star")
SURFACE_FORMS = (".ply", ".vtp")


def reconstruct(
    series: Series,
    alignment: Annotated[
        Path,
        typer.Option(
            "-a", "--alignment", help="From `cryolith align`, or a file that `convert` reads."
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Volume, .mrc or .zarr.")],
    config: JobFile = None,
    angles: Angles = None,
    pixel: Pixel = None,
    method: Method = None,
    iterations: Iterations = None,
    thickness: Thickness = None,
    binning: Binning = None,
    halves: Halves = None,
    frames: Frames = None,
    device: Device = None,
    threads: Threads = 0,
    max_memory: MaxMemory = None,
) -> None:
    """Only reconstruct, with an alignment made before; the same command goes on after a kill."""
    from . import files, half_volumes
    from .align import estimate_background
    from .limits import memory_limit
    from .settings import to_mapping
    from .stages import reconstruct_files

    job = make_job(
        series, None, config, angles=angles, pixel=pixel, method=method, n_iter=iterations,
        thickness=thickness, binning=binning, halves=halves, frames=frames, device=device,
    )  # fmt: skip
    data = read_series(job)
    found = files.read_alignment(alignment, known=files.Known.of_series(data))
    work = out.with_name(f".{out.name}.work")
    read = [series, alignment, *map(Path, half_volumes.frame_files(job))]
    memory = memory_limit(parse_bytes(max_memory, "--max-memory") if max_memory else None).bytes
    made = reconstruct_files(
        out,
        data,
        found,
        job.reconstruct,
        key=[[files.atomic.sha256(path) for path in read], to_mapping(job)],
        work=work,
        label=f"cryolith {__version__} {job.reconstruct.method}",
        max_memory=memory,
        background=estimate_background(data.images, max_memory=memory),
        frames=half_volumes.read_frames(job, data),
        threads=threads,
    )
    shutil.rmtree(work, ignore_errors=True)
    typer.echo(f"volume {made.shape} (z, y, x): {out}")
    if job.reconstruct.halves is not None:
        for path in half_volumes.half_paths(out):
            typer.echo(f"half volume: {path}")
        from .report.findings import resolution  # matplotlib: only now

        volume = files.read_volume(out)
        typer.echo(resolution(half_volumes.correlate_halves(out), volume).text)


def detect(
    volume: Annotated[Path, typer.Argument(help="Volume, .mrc or .zarr.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for tables, .csv.")
    ] = None,
    table: Annotated[
        list[Path] | None,
        typer.Option(
            help="Tables as NAME.json (all in one), NAME.csv, NAME.parquet (NAME_voids.csv ...) or NAME.star."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Labels: .mrc, .zarr, or IMAGE.zarr/labels/NAME inside an OME-Zarr."),
    ] = None,
    surface: Annotated[
        Path | None,
        typer.Option(
            help="Surface of the bright phase as a mesh: .ply or .vtp; takes the extra `surfaces`."
        ),
    ] = None,
    blobs: Annotated[
        bool, typer.Option("--blobs", help="Also look for round blobs down to the noise.")
    ] = False,
    fdr: Annotated[
        float | None, typer.Option(help="Share of false blobs in their table.", show_default="0.05")
    ] = None,
    halves: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Two volumes from halves of the data: the noise, for blobs."),
    ] = None,
    alignment: Annotated[
        Path | None,
        typer.Option(
            "-a",
            "--alignment",
            help="The tilts that the volume was reconstructed from (how: [reconstruct] of --config): sizes freed from "
            "the missing wedge, and how well each direction was seen.",
        ),
    ] = None,
    config: JobFile = None,
    threads: Threads = 0,
) -> None:
    """Only detect: layers, voids and particles of a volume, and blobs if asked for, as tables, labels and a surface."""
    from . import files
    from .config import job_from_mapping, read_toml
    from .detect import detect as find

    if not (out or table or labels or surface):
        raise ConfigError(
            "detect: found nothing to write, expected -o, --table, --labels or --surface"
        )
    _check_forms("--table", table or [], TABLE_FORMS)
    _check_forms("--surface", [surface] if surface else [], SURFACE_FORMS)
    job = job_from_mapping(read_toml(config) if config else {})
    data = files.read_volume(volume)
    chosen = replace(job.detect, blobs=blobs or job.detect.blobs)
    chosen = chosen if fdr is None else replace(chosen, fdr=fdr)
    if not chosen.blobs and (fdr is not None or halves is not None):
        raise ConfigError("detect: found --fdr or --halves, expected --blobs beside them")
    pair = None
    if halves is not None:
        pair = files.read_volume(halves[0]).data, files.read_volume(halves[1]).data
    if alignment is not None and config is None:
        raise ConfigError(
            "detect: found --alignment alone, expected -c job.toml beside it, which says how the volume was made"
        )
    geometry = _geometry(alignment, job.reconstruct.binning)
    found = find(
        data,
        chosen,
        halves=pair,
        geometry=geometry,
        reconstruction=job.reconstruct,
        threads=threads,
    )
    read = (volume, *(halves or ()), *([alignment] if alignment else ()))
    inputs = {path.name: files.atomic.sha256(path) for path in read}
    found = replace(found, provenance=replace(found.provenance, inputs=inputs))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for name, columns in found.all_tables.items():
            files.write_table(out / f"{name}.csv", columns)
    for path in table or ():
        _write_found(path, found, data)
    if surface is not None:
        from .detect.surfaces import surface as mesh_of

        files.write_surface(surface, mesh_of(data, job.detect.particle_threshold, threads=threads))
    if labels is not None:
        _write_labels(labels, found, data)
    for name, columns in found.all_tables.items():
        typer.echo(f"{name}: {len(next(iter(columns.values()), ()))}")


def _check_forms(option: str, paths: list[Path], forms: tuple[str, ...]) -> None:
    for path in paths:
        if path.suffix.lower() not in forms:
            raise ConfigError(f"{option}: found {path}, expected {', '.join(forms)}")


def _geometry(alignment: Path | None, binning: int) -> Geometry | None:
    if alignment is None:
        return None
    from . import files, projection

    tilts = projection.Geometry.from_alignment(files.read_alignment(alignment))
    return tilts.scaled(binning)


def _write_found(path: Path, found: Defects, volume: Volume) -> None:
    """Write the tables of a detection in the form that the suffix says, beside each other where it holds only one."""
    from . import files

    suffix = path.suffix.lower()
    if suffix == ".json":
        files.write_defects(path, found)
        return
    placed = ("z_px", "y_px", "x_px")
    tables = {n: t for n, t in found.all_tables.items() if t}
    if suffix == ".star":
        tables = {n: t for n, t in tables.items() if all(c in t for c in placed)}
        if volume.pixel_size is None:
            raise ConfigError(
                f"--table: found {path}, but the volume tells no pixel size, which STAR needs"
            )
    for name, columns in tables.items():
        target = path.with_name(f"{path.stem}_{name}{path.suffix}")
        if suffix == ".star":
            files.write_particles(
                target,
                columns,
                shape=volume.data.shape,
                pixel_size=volume.pixel_size or 0.0,
                tomogram=Path(volume.source.path).stem,
            )
        else:
            files.write_table(target, columns)


def _write_labels(path: Path, found: Defects, volume: Volume) -> None:
    from . import files

    assert found.labels is not None  # detect makes them
    data = replace(volume, data=found.labels, halves=None)
    texts = [f"cryolith {__version__} labels"]
    if path.suffix.lower() in (".mrc", ".rec", ".map", ".st"):
        files.write_labels(path, data, texts=texts)
    else:
        files.write_labels(path, data, properties=found.label_properties(), texts=texts)
