"""``deconvnet project``: units of a network drawn in the pixels of a photo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("project")(project)


def project(
    network: Annotated[
        str, typer.Argument(help="A built-in network, a weights file, torchvision:NAME, timm:NAME or FILE.py:NAME.")
    ],
    photo: Annotated[Path, typer.Argument(help="A photo.")],
    unit: Annotated[list[str] | None, typer.Option(help="conv5:17 or conv5:17@6,4; may be repeated.")] = None,
    top: Annotated[int, typer.Option(help="Without --unit: so many strongest maps of each layer.")] = 9,
    layer: Annotated[list[str] | None, typer.Option(help="Layers for --top; may be repeated.")] = None,
    out: Annotated[Path, typer.Option(help="The picture to write (.png, .pdf, .svg).")] = Path("projection.png"),
    weights: Annotated[str, typer.Option(help="A weights file instead of the shipped weights.")] = "shipped",
    rule: Annotated[str, typer.Option(help="deconvnet, guided or gradient.")] = "deconvnet",
    unpool: Annotated[str, typer.Option(help="sum, place or mean: what overlapping pools add up to.")] = "sum",
    lrn: Annotated[str, typer.Option(help="identity (skipped, as in the paper) or grad.")] = "identity",
    activations: Annotated[str, typer.Option(help="Other activations than ReLU: refuse, gradient or relu.")] = "refuse",
) -> None:
    """Draw what units of a network respond to in a photo: projection and patch side by side."""
    from deconvnet.data import read_photo
    from deconvnet.errors import ModelError, OptionError
    from deconvnet.figures import save_figure
    from deconvnet.networks import load
    from deconvnet.photo_projections import project as projecting
    from deconvnet.terminal.pictures import check_picture

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
    shown = projecting.project(found, [pixels], units, rule=rule, unpool=unpool, lrn=lrn, activations=activations)
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
