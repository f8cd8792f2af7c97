"""``deconvnet sanity``: how much of a projection comes from the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sanity")(sanity)


def sanity(
    network: Annotated[str, typer.Argument(help="A built-in network, or a weights file.")],
    photo: Annotated[Path, typer.Argument(help="A photo.")],
    layer: Annotated[str | None, typer.Option(help="The units' layer; the last convolution unless given.")] = None,
    units: Annotated[int, typer.Option(help="So many strongest maps; results are means over them.")] = 8,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/sanity"),
    weights: Annotated[str, typer.Option(help="A weights file instead of the shipped weights.")] = "shipped",
    seed: Annotated[int, typer.Option(help="Decides the random weights and the noise.")] = 0,
    overwrite: Annotated[bool, typer.Option(help="Replace an earlier run in this folder.")] = False,
) -> None:
    """Randomise weights, units and photo, and see whether the projections change."""
    from deconvnet.cli.progress import bar
    from deconvnet.data import read_photo
    from deconvnet.experiments.sanity import sanity as check
    from deconvnet.figures import save_figure
    from deconvnet.networks import load

    found = load(network, weights)
    with bar() as shown:
        task = shown.add_task("projecting", total=None, note="")
        result = check(
            found,
            read_photo(photo),
            layer=layer,
            units=units,
            seed=seed,
            progress=lambda done, total: shown.update(task, completed=done, total=total),
        )
    run = result.save(out, overwrite=overwrite)
    save_figure(result.plot(), run.path / "sanity.png")
    typer.echo(f"{'test':13} {'layer':8} {'rule':10} {'SSIM':>6} {'rank':>6}  units")
    for s in result.similarities:
        typer.echo(f"{s.test:13} {s.layer:8} {s.rule:10} {s.ssim:6.2f} {s.rank_correlation:6.2f}  {s.units}")
    typer.echo(f"SSIM and rank correlation to the trained picture; 1 is equal. The figure is in {run.path}/sanity.png.")
