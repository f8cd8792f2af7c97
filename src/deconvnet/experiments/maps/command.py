"""``deconvnet maps``: feature maps' activations laid over a photo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deconvnet.terminal import options, panels


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("maps", rich_help_panel=panels.LOOK)(maps)


def maps(
    network: options.NetworkArgument,
    photo: Annotated[Path, typer.Argument(help="A photo.")],
    layer: Annotated[str, typer.Option(help="The layer whose maps are drawn.")],
    channel: Annotated[list[int] | None, typer.Option("--map", help="The number of a map; may be repeated.")] = None,
    top: Annotated[int, typer.Option(help="Number of strongest maps to draw without --map.")] = 9,
    smooth: Annotated[bool, typer.Option("--smooth", help="Interpolate between the centres of cells.")] = False,
    out: Annotated[Path, options.picture()] = Path("maps.png"),
    run: Annotated[Path | None, typer.Option(help="Folder of a run to write as well.")] = None,
    weights: options.WeightsOption = "shipped",
    overwrite: options.OverwriteOption = False,
) -> None:
    """Draw where in a photo feature maps are active."""
    from deconvnet.data import read_photo
    from deconvnet.experiments.maps.measure import draw_maps
    from deconvnet.experiments.maps.record import MAPS
    from deconvnet.figures import save_figure
    from deconvnet.networks import load
    from deconvnet.terminal.outputs import check_picture, check_run

    check_picture(out, photo)
    if run is not None:
        check_run(run, MAPS, overwrite)
    found = draw_maps(
        load(network, weights), read_photo(photo), layer, channel or (), top=top, smooth=smooth, name=photo.name
    )
    if run is not None:
        found.save(run, overwrite=overwrite)
    save_figure(found.plot(), out)
    for index, number in enumerate(found.channels):
        active = (found.values[index] > 0).mean()
        typer.echo(f"{layer}:{number:<6} largest {found.values[index].max():9.4f}  active in {active:.0%} of its cells")
    typer.echo(f"The picture is in {out}." + (f" The run is in {run}." if run else ""))
