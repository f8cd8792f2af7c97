"""Options that several commands share: each is written once, so that its name, type and help are the same everywhere.

A command gives the default. The functions make options whose help says what the command does with the value.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from deconvnet.errors import OptionError

_NETWORK = "A built-in network, a weights file, torchvision:NAME, timm:NAME or FILE.py:NAME."


def at_least_one(parameter: typer.CallbackParam, value: int | None) -> int | None:
    if value is not None and value < 1:
        raise OptionError(f"--{parameter.name.replace('_', '-')} must be at least 1, not {value}.")
    return value


NetworkArgument = Annotated[str, typer.Argument(help=_NETWORK)]
NetworkOption = Annotated[str, typer.Option("--network", help=_NETWORK)]
RecipeArgument = Annotated[str, typer.Argument(help="A recipe that `deconvnet recipes` lists.")]

WeightsOption = Annotated[str, typer.Option(help="A weights file to use instead of the shipped weights.")]
InputSizeOption = Annotated[int | None, typer.Option(help="Side of the network's input in pixels.")]
ClassCountOption = Annotated[int | None, typer.Option("--classes", help="Number of the network's classes.")]
ShuffleOption = Annotated[
    bool, typer.Option("--shuffle-weights", help="Put each layer's weights in random order first, as a control.")
]

ExcludeOption = Annotated[list[str] | None, typer.Option(help="A class folder to leave out; may be repeated.")]
MovedDataOption = Annotated[Path | None, typer.Option(help="Where the run's photos lie now, if they were moved.")]
BatchOption = Annotated[int, typer.Option("--batch-size", help="Pictures in one forward pass.")]
ThreadsOption = Annotated[
    int | None, typer.Option(help="Threads that torch may use; all cores unless given.", callback=at_least_one)
]
DecodersOption = Annotated[int, typer.Option("--threads", help="Threads that decode photos.")]
DeviceOption = Annotated[str, typer.Option(help="Device to train on: cpu, cuda, ...")]
LimitOption = Annotated[int | None, typer.Option(help="Use at most so many photos.", callback=at_least_one)]

RecipeNetworkOption = Annotated[
    str | None, typer.Option("--network", help="A network to train instead of the recipe's.")
]
EpochsOption = Annotated[int | None, typer.Option(help="Number of epochs instead of the recipe's.")]
TrainingSizeOption = Annotated[
    int | None, typer.Option("--size", help="Input size in pixels for all epochs instead of the recipe's.")
]
TrainingBatchOption = Annotated[
    int | None, typer.Option("--batch-size", help="Photos in one training step instead of the recipe's.")
]
WidthOption = Annotated[int | None, typer.Option("--fc-width", help="Number of units in fc6 and in fc7.")]

RuleOption = Annotated[str, typer.Option(help="What passes a ReLU on the way down: deconvnet, guided or gradient.")]
UnpoolOption = Annotated[str, typer.Option(help="How overlapping pools are undone: sum, place or mean.")]
LrnOption = Annotated[
    str, typer.Option(help="Local response normalisation on the way down: identity (skipped, as in the paper) or grad.")
]
NonlinearitiesOption = Annotated[
    str,
    typer.Option("--nonlinearities", help="What to do with nonlinearities other than ReLU: refuse, gradient or relu."),
]

OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in this folder.")]
RunArgument = Annotated[Path, typer.Argument(help="Folder of the run.")]
OutOption = Annotated[Path, typer.Option(help="Folder of the run, in which its pictures lie too.")]


def data(photos: str = "A folder or zip of photos.") -> Any:
    """The option ``--data``: where photos lie."""
    return typer.Option("--data", help=photos)


def picture(default: str = "") -> Any:
    """The option ``--out`` of a command that writes one picture."""
    return typer.Option("--out", help=f"The picture to write (.png, .pdf or .svg){default}.")


def layers(default: str) -> Any:
    """The option ``--layer``, for which ``--layers`` stands too; ``default`` says which layers unless given."""
    return typer.Option("--layer", "--layers", help=f"A layer; may be repeated. {default} unless given.")


def seed(purpose: str) -> Any:
    """The option ``--seed``: a random seed for ``purpose``."""
    return typer.Option("--seed", help=f"Random seed for {purpose}.")


def fill(place: str, more: str = "") -> Any:
    """The option ``--fill``: what stands in ``place``."""
    return typer.Option("--fill", help=f"What {place}: mean, grey, blur, noise or a colour{more}.")


def label(default: str) -> Any:
    """The option ``--class``: the class of photos; ``default`` says which class unless given."""
    return typer.Option(
        "--class",
        help=f"The photos' class, a name or a number; once for all photos or once for each. {default} unless given.",
    )
