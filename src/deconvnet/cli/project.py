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
    from deconvnet.photo_projections import project as projecting
    from deconvnet.terminal.outputs import check_picture

    if unit and layer:
        raise OptionError("give --unit for single units or --layer for the strongest maps of layers, not both.")
    check_picture(out, photo)
    found = load(network, weights)
    pixels = read_photo(photo)
    probabilities = found.probabilities([pixels])[0]
    best = int(probabilities.argmax()) if found.classes else None
    if unit:
        units: list = list(unit)
    else:
        layers = layer or projecting.convolutions(found)[-1:]
        if not layers:
            raise ModelError(f"{network} has no convolutional layer that ran: name a layer with --layer.")
        units = projecting.strongest_units(found, found.view(pixels), layers, top)
        if not units:
            raise OptionError(f"no map of {', '.join(layers)} is active in {photo}: choose another layer.")
    shown = projecting.project(found, [pixels], units, rule=rule, unpool=unpool, lrn=lrn, activations=nonlinearities)
    assert isinstance(shown, projecting.PhotoProjections)
    title = f"{found.title} · {photo.name}" + (
        "" if best is None else f" · {found.classes[best]} {probabilities[best]:.0%}"
    )
    save_figure(shown.plot(title=title), out)
    p = shown.projections
    for i, one in enumerate(p.units):
        note = "" if p.active[i] else "  not active: it projects to nothing"
        typer.echo(f"{one!s:20} activation {float(p.activations[i]):9.4f}{note}")
    said = "" if best is None else f"{found.title} says {found.classes[best]} ({probabilities[best]:.1%}). "
    typer.echo(f"{said}The picture is in {out}.")
