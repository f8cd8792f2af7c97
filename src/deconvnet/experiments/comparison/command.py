"""``deconvnet compare``: networks side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deconvnet.terminal import options, panels


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare", rich_help_panel=panels.PAPER)(compare)


def compare(
    network: Annotated[
        list[str], typer.Argument(help="Built-in networks, weights files, torchvision:NAME, timm:NAME or FILE.py:NAME.")
    ],
    data: Annotated[
        Path | None, options.data("A folder or zip of photos, which dead maps and aliasing of the first layer need.")
    ] = None,
    exclude: options.ExcludeOption = None,
    photos: Annotated[int, typer.Option(help="Number of photos to sample at random.")] = 100,
    seed: Annotated[int, options.seed("sampling photos")] = 0,
    rounds: Annotated[int, typer.Option(help="How many times to time each network, taking turns.")] = 15,
    batch: Annotated[int, typer.Option(help="Number of inputs in a timed forward pass.")] = 1,
    threads: options.ThreadsOption = None,
    out: options.OutOption = Path("comparison"),
    overwrite: options.OverwriteOption = False,
) -> None:
    """Compare networks by size, work, memory, speed, accuracy and first layers.

    Networks without trained weights get random weights."""
    import torch

    from deconvnet.data import open_photos
    from deconvnet.errors import OptionError
    from deconvnet.experiments.comparison.measure import compare as measure
    from deconvnet.experiments.comparison.record import COMPARE
    from deconvnet.figures import save_figure
    from deconvnet.networks import load, names
    from deconvnet.networks.weights import shipped
    from deconvnet.terminal.outputs import check_drawing, check_run
    from deconvnet.terminal.progress import ProgressBar

    check_run(out, COMPARE, overwrite)
    if exclude and data is None:
        raise OptionError("--exclude leaves classes of the photos out: give photos with --data.")
    check_drawing()
    networks = [load(n, weights=None) if n in names() and not shipped(n) else load(n) for n in network]
    found = None if data is None else open_photos(data)
    if found is not None and exclude:
        found = found.exclude(exclude)
    if threads is not None:
        torch.set_num_threads(threads)
    with ProgressBar() as shown:
        result = measure(
            networks,
            found,
            sample=photos,
            seed=seed,
            rounds=rounds,
            batch=batch,
            progress=shown,
        )
    result.save(out, overwrite=overwrite)
    save_figure(result.plot(), out / "comparison.png")
    typer.echo(result.table())
    for row in result.rows:
        a = row.accuracy
        said = (
            f"accuracy on {a['count']:,} held out, {a['data']}; split: {a['split']}" if a else "no accuracy on a card"
        )
        typer.echo(f"{row.title}: {said}{'' if row.trained else '; the weights are random'}.")
    typer.echo(f"The run and its picture are in {out}.")
