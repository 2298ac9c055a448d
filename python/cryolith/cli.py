# SPDX-License-Identifier: BSD-3-Clause
"""The command line. Exit codes: 0 ok, 1 failed, 2 bad use, 130 interrupted."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import Annotated

import typer

from ._version import __version__
from .cli_align import align, score
from .cli_batch import batch
from .cli_convert import convert
from .cli_files import check, info
from .cli_motion import motion
from .cli_options import INTERRUPTED, guarded_command
from .cli_plan import plan
from .cli_run import demo, report, resume, run
from .cli_stages import detect, reconstruct
from .cli_watch import watch

__all__ = ["app", "main"]

app = typer.Typer(
    name="cryolith",
    help="From a raw electron-microscope tilt series to a table of what is inside the specimen.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cryolith {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Shown by --help."""


for _command in (
    run,
    batch,
    resume,
    plan,
    demo,
    check,
    info,
    motion,
    align,
    score,
    convert,
    reconstruct,
    detect,
    report,
    watch,
):
    app.command()(guarded_command(_command))


def main() -> None:
    """Entry point: ends with the process's exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        os._exit(INTERRUPTED)
    except SystemExit as e:
        if e.code != INTERRUPTED:
            raise
        # Where the interrupt came inside exec() of a text (a dataclass being made), Python would end by the signal.
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
