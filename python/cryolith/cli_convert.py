# SPDX-License-Identifier: BSD-3-Clause
"""``cryolith convert``: an alignment from the files of one program to those of another."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .errors import ConfigError, CryolithWarning

if TYPE_CHECKING:
    from .datamodel import Alignment
    from .files import Known

__all__ = ["convert"]

_SIZE = re.compile(r"\s*(\d+)\s*[x×,]\s*(\d+)\s*")
_FORMS = "json imod imod-com imod-pre angles aretomo3 aretomo2 relion5 warp tomostar etspy hyperspy"


Input = Annotated[
    Path,
    typer.Argument(
        help="Alignment: .json .xf .prexf .prexg tilt.com .aln .star .xml .tomostar, or shifts (--from)."
    ),
]
Output = Annotated[
    Path, typer.Option("-o", "--out", help="File to write; its ending says the form.")
]
From = Annotated[
    str | None,
    typer.Option("--from", help=f"Form of the input, where its ending does not say it: {_FORMS}."),
]
To = Annotated[
    str | None, typer.Option("--to", help="Form of the output, where its ending does not say it.")
]
Series = Annotated[
    Path | None,
    typer.Option(help="The images: tells their size, number, angles, pixel size and dose."),
]
Angles = Annotated[
    Path | None, typer.Option(help="Tilts of all images: .tlt .rawtlt .mdoc or text, degrees.")
]
Pixel = Annotated[
    str | None, typer.Option(help='Pixel size of the images with its unit, as in "0.34 nm".')
]
ImageSize = Annotated[
    str | None, typer.Option(help='Width and height of the images, as in "4096x4096".')
]
Tilts = Annotated[int | None, typer.Option(min=1, help="Number of images, excluded ones too.")]
Axis = Annotated[
    float | None,
    typer.Option(
        help="Tilt axis [deg], counter-clockwise from the image's +y, for files that hold only shifts."
    ),
]
Name = Annotated[
    str, typer.Option(help="Name of the data set: for files that name others, or hold several.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.")]


def convert(
    alignment: Input,
    out: Output,
    source: From = None,
    target: To = None,
    series: Series = None,
    angles: Angles = None,
    pixel: Pixel = None,
    image_size: ImageSize = None,
    tilts: Tilts = None,
    tilt_axis: Axis = None,
    name: Name = "",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Convert an alignment between IMOD, AreTomo, RELION 5, Warp, ETSpy, HyperSpy and our JSON.

    What the new form cannot hold (x-tilt, magnification, local shifts, excluded tilts ...) is named by a warning.
    """
    from . import files

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CryolithWarning)
        known = _known(series, angles, pixel, image_size, tilts, tilt_axis, name)
        found = files.read_alignment(alignment, format=source, known=known)
        written = files.write_alignment(out, found, format=target, known=known, overwrite=overwrite)
    told = list(dict.fromkeys(str(w.message) for w in caught))
    if as_json:
        typer.echo(json.dumps(_facts(found, written, told), sort_keys=True))
    elif not quiet:
        for line in told:
            typer.echo(f"warning: {line}", err=True)
        typer.echo(
            f"{len(found.angles_deg)} tilts, {len(found.flags)} excluded, tilt axis {found.tilt_axis_deg:.4f} deg: "
            + ", ".join(map(str, written))
        )


def _known(
    series: Path | None,
    angles: Path | None,
    pixel: str | None,
    image_size: str | None,
    tilts: int | None,
    tilt_axis: float | None,
    name: str,
) -> Known:
    """Gather what the options say."""
    from . import files
    from .units import parse_length

    size = parse_length(pixel, "--pixel") if pixel else None
    given: dict[str, Any] = {"tilt_axis_deg": tilt_axis, "name": name, "n_tilts": tilts}
    if image_size is not None:
        match = _SIZE.fullmatch(image_size)
        if not match or "0" in (match.group(1), match.group(2)):
            raise ConfigError(
                f'--image-size: found {image_size!r}, expected pixels as in "4096x4096"'
            )
        given["image_shape"] = int(match.group(2)), int(match.group(1))
    if series is not None:
        images = files.read_tilt_series(series, angles=angles, pixel_size=size)
        return files.Known.of_series(images, **{k: v for k, v in given.items() if v is not None})
    if angles is not None:
        is_mdoc = angles.suffix.lower() == ".mdoc"
        tilt_list = files.read_mdoc(angles).angles_deg if is_mdoc else files.read_angle_file(angles)
        given.update(angles_deg=tilt_list, n_tilts=tilts or len(tilt_list))
    return files.Known(pixel_size=size, **given)


def _facts(found: Alignment, written: tuple[Path, ...], told: list[str]) -> dict[str, Any]:
    return {
        "event": "done",
        "tilts": len(found.angles_deg),
        "excluded": sorted(found.flags),
        "tilt_axis_deg": round(found.tilt_axis_deg, 6),
        "facts": dict(found.source.facts),
        "files": [str(p) for p in written],
        "warnings": told,
    }
