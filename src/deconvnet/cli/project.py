"""``deconvnet project``: units of a network drawn in the pixels of a photo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deconvnet.terminal import options, panels


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("project", rich_help_panel=panels.LOOK)(project)


def project(
    network: options.NetworkArgument,
    photo: Annotated[Path, typer.Argument(help="A photo.")],
    unit: Annotated[
        list[str] | None, typer.Option(help="A unit such as conv5:17 or conv5:17@6,4; may be repeated.")
    ] = None,
    top: Annotated[int, typer.Option(help="Number of strongest maps of each layer to draw without --unit.")] = 9,
    layer: Annotated[list[str] | None, options.layers("The last convolution")] = None,
    out: Annotated[Path, options.picture()] = Path("projection.png"),
    weights: options.WeightsOption = "shipped",
    rule: options.RuleOption = "deconvnet",
    unpool: options.UnpoolOption = "sum",
    lrn: options.LrnOption = "identity",
    nonlinearities: options.NonlinearitiesOption = "refuse",
) -> None:
    """Draw what units of a network respond to in a photo, projection beside patch."""
    from deconvnet.data import read_photo
    from deconvnet.errors import ModelError, OptionError
    from deconvnet.figures import save_figure
    from deconvnet.networks import load
    from deconvnet.networks.layers import convolutions
    from deconvnet.photo_projections.project import prepare
    from deconvnet.runs import Unit
    from deconvnet.terminal.outputs import check_picture

    if unit and layer:
        raise OptionError("give --unit for single units or --layer for the strongest maps of layers, not both.")
    if top < 1:
        raise OptionError(f"top must be at least 1, not {top}.")
    check_picture(out, photo)
    units = [Unit.parse(one) for one in unit or ()]
    found = load(network, weights)
    pixels = read_photo(photo)
    layers = list(dict.fromkeys([one.layer for one in units] or layer or convolutions(found)[-1:]))
    if not layers:
        raise ModelError(f"{network} has no convolutional layer that ran: name a layer with --layer.")
    prepared = prepare(found, pixels, layers, rule=rule, unpool=unpool, lrn=lrn, activations=nonlinearities)
    units = units or [one for name in layers for one in prepared.strongest(name, top)]
    if not units:
        raise OptionError(f"no map of {', '.join(layers)} is active in {photo}: choose another layer.")
    shown = prepared.project(units)
    guess = None
    if found.classes:
        probabilities = found.probabilities_of(prepared.output)[0]
        guess = found.classes[int(probabilities.argmax())], float(probabilities.max())
    title = f"{found.title} · {photo.name}" + ("" if guess is None else f" · {guess[0]} {guess[1]:.0%}")
    save_figure(shown.plot(title=title), out)
    for i, one in enumerate(shown.units):
        note = "" if shown.active[i] else "  not active: it projects to nothing"
        typer.echo(f"{one!s:20} activation {float(shown.activations[i]):9.4f}{note}")
    said = "" if guess is None else f"{found.title} says {guess[0]} ({guess[1]:.1%}). "
    typer.echo(f"{said}The picture is in {out}.")
