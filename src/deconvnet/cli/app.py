"""The application: commands, the options that all share, and how errors are told."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from deconvnet.cli import (
    ablate,
    average,
    compare,
    correspond,
    demo,
    diagnose,
    evolve,
    invariance,
    mine,
    networks,
    occlude,
    project,
    reproduce,
    runs,
    sanity,
    sweep,
    train,
    transfer,
)
from deconvnet.errors import DeconvnetError

app = typer.Typer(
    name="deconvnet",
    help="See what a convolutional network has learned: the experiments of Zeiler & Fergus (2013).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for module in (
    demo,
    networks,
    project,
    mine,
    runs,
    occlude,
    sanity,
    diagnose,
    compare,
    average,
    sweep,
    train,
    invariance,
    correspond,
    evolve,
    transfer,
    ablate,
    reproduce,
):
    module.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"deconvnet {version('deconvnet')}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def run(arguments: Sequence[str]) -> int:
    """Run one command line and give its exit code.

    Parameters
    ----------
    arguments : sequence of str
        Without the program's name. ``--debug`` may stand anywhere: it shows an error's traceback as well.

    Returns
    -------
    int
        0 done, 2 refused (one sentence on stderr), 130 interrupted.
    """
    try:
        app([a for a in arguments if a != "--debug"], prog_name="deconvnet")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    except DeconvnetError as error:
        if "--debug" in arguments:
            import traceback

            traceback.print_exc()
        print(f"deconvnet: {error}", file=sys.stderr)
        return 2
    return 0
