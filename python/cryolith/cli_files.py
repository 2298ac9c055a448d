# SPDX-License-Identifier: BSD-3-Clause
"""``cryolith check`` and ``cryolith info``: what a file holds, before any work."""

from __future__ import annotations

import json

import typer

from .cli_options import FAILED, Angles, AsJson, Pixel, Series

__all__ = ["check", "info"]


def check(
    series: Series, angles: Angles = None, pixel: Pixel = None, as_json: AsJson = False
) -> None:
    """Say whether a tilt series is sound: header, size, angles, pixels. Exit code 1 if not."""
    from . import files
    from .units import parse_length

    size = parse_length(pixel, "--pixel") if pixel else None
    findings = files.check(series, angles=angles, pixel_size=size)
    if as_json:
        typer.echo(json.dumps([f.to_mapping() for f in findings], sort_keys=True))
    else:
        for finding in findings:
            typer.echo(f"{finding.level}: {finding}")
    if any(f.level == "error" for f in findings):
        raise typer.Exit(FAILED)


def info(path: Series, as_json: AsJson = False) -> None:
    """Show what a file's header says; never reads the data."""
    from . import files

    facts = files.info(path)
    if as_json:
        typer.echo(json.dumps(facts, sort_keys=True, default=str))
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        typer.echo(f"{name:<{width}}  {value}")
