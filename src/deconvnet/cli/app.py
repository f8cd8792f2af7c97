"""The application: commands, the options that all share, and how errors are told."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from deconvnet.cli import networks, project, runs, train
from deconvnet.errors import DeconvnetError
from deconvnet.experiments.ablation import command as ablate
from deconvnet.experiments.averaging import command as average
from deconvnet.experiments.comparison import command as compare
from deconvnet.experiments.correspondence import command as correspond
from deconvnet.experiments.diagnosis import command as diagnose
from deconvnet.experiments.evolution import command as evolve
from deconvnet.experiments.invariance import command as invariance
from deconvnet.experiments.look import command as demo
from deconvnet.experiments.occlusion import command as occlude
from deconvnet.experiments.sanity import command as sanity
from deconvnet.experiments.top_nine import command as mine
from deconvnet.experiments.transfer import command as transfer
from deconvnet.reproduction import command as reproduce

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
