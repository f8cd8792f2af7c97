"""``deconvnet average``: several networks' class probabilities averaged (Table 2)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deconvnet.terminal import options, panels


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("average", rich_help_panel=panels.PAPER)(average)


def average(
    network: Annotated[list[str], typer.Argument(help="Two or more built-in networks or weights files.")],
    data: Annotated[
        Path, options.data("The data that the networks were trained on, of which the held-out photos are used.")
    ],
    exclude: options.ExcludeOption = None,
    centre: Annotated[
        bool, typer.Option("--centre", help="Use the centre crop only instead of the paper's ten crops.")
    ] = False,
    limit: Annotated[int | None, typer.Option(help="Use at most so many held-out photos, spread evenly.")] = None,
    out: options.OutOption = Path("average"),
    overwrite: options.OverwriteOption = False,
) -> None:
    """Average networks' class probabilities and print the error of each and of all (Table 2)."""
    import numpy as np

    from deconvnet.errors import DataError, OptionError, WeightsError
    from deconvnet.experiments.averaging.measure import average as measure
    from deconvnet.experiments.averaging.measure import check_classes
    from deconvnet.experiments.averaging.record import AVERAGE
    from deconvnet.figures import save_figure
    from deconvnet.networks import load
    from deconvnet.terminal.outputs import check_drawing, check_run
    from deconvnet.terminal.progress import ProgressBar
    from deconvnet.training.dataset import open_dataset

    if limit is not None and limit < 1:
        raise OptionError(f"--limit must be at least 1, not {limit}.")
    check_run(out, AVERAGE, overwrite)
    check_drawing()
    networks = [load(name) for name in network]
    check_classes(networks)
    splits = []
    for each in networks:
        recipe = each.card.get("recipe")
        if recipe is None:
            raise WeightsError(f"the card of {each.name} does not say how its photos were split: train it here.")
        splits.append((recipe["held_out"], recipe["seed"]))
    if len(set(splits)) > 1:
        other = next(split for split in splits if split != splits[0])
        raise DataError(
            f"the networks were trained on different splits (share held out and seed {splits[0]} and {other}), so that "
            "no photo is held out from all of them: average networks of one split."
        )
    share, seed = splits[0]
    dataset, card = open_dataset(networks[0].name, share, seed, data, exclude or [])
    indices = dataset.held_out
    if limit is not None and limit < len(indices):
        indices = indices[np.linspace(0, len(indices) - 1, limit).round().astype(int)]
    part = f"{len(indices)} of {len(dataset.held_out)} held-out photos" if limit else "held-out photos"
    crops = "centre crop" if centre else "ten crops"
    words = f"{card['data']}, {part} (share {share}, seed {seed}), {crops}"
    with ProgressBar() as shown:
        result = measure(
            networks,
            dataset,
            indices,
            ten_crops=not centre,
            data=words,
            progress=shown,
        )
    result.save(out, overwrite=overwrite)
    save_figure(result.plot(), out / "average.png")
    typer.echo(f"{words}: {result.rows[0].count} photos in {len(result.classes)} classes")
    typer.echo(result.table())
    typer.echo(f"The run and its picture are in {out}.")
