"""The application: finds the commands, holds the options that all share, and tells errors."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from deconvnet import experiments
from deconvnet.cli import networks, project, runs, train
from deconvnet.errors import DeconvnetError
from deconvnet.reproduction import command as reproduction
from deconvnet.terminal.panels import PanelGroup, today

app = typer.Typer(
    name="deconvnet",
    cls=PanelGroup,
    help="See what a convolutional network has learned: the experiments of Zeiler & Fergus (2013).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"token_normalize_func": today},
)


def command_modules() -> Iterator[ModuleType]:
    """The modules of all commands: that of each experiment's folder, and those that are no experiment."""
    for folder in sorted(path for place in experiments.__path__ for path in Path(place).iterdir()):
        if (folder / "command.py").is_file():
            yield importlib.import_module(f"{experiments.__name__}.{folder.name}.command")
    yield from (reproduction, networks, project, runs, train)


for module in command_modules():
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


def run(arguments: Sequence[str], commands: typer.Typer = app) -> int:
    """Run one command line and give its exit code.

    Parameters
    ----------
    arguments : sequence of str
        Without the program's name. ``--debug`` may stand anywhere: it shows an error's traceback as well.
    commands : Typer
        The commands to choose from.

    Returns
    -------
    int
        0 done, 2 refused (one sentence on stderr), 130 interrupted.
    """
    try:
        commands([a for a in arguments if a != "--debug"], prog_name="deconvnet")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    except DeconvnetError as error:
        if "--debug" in arguments:
            import traceback

            traceback.print_exc()
        print(f"deconvnet: {error}", file=sys.stderr)
        return 2
    return 0
