"""``deconvnet average``: several networks' class probabilities averaged (Table 2)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("average")(average)


def average(
    network: Annotated[list[str], typer.Argument(help="Two or more built-in networks or weights files.")],
    data: Annotated[Path, typer.Option(help="The data they were trained on: its held-out photos are taken.")],
    exclude: Annotated[list[str] | None, typer.Option(help="A class folder to leave out; may be repeated.")] = None,
    centre: Annotated[bool, typer.Option("--centre", help="The centre crop only, not the paper's ten crops.")] = False,
    limit: Annotated[int | None, typer.Option(help="Only so many held-out photos, evenly taken.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run; the picture is in it.")] = Path("average"),
    overwrite: Annotated[bool, typer.Option(help="Replace an earlier run in this folder.")] = False,
) -> None:
    """Average the class probabilities of networks of the same classes; print the error of each and of the average."""
    import numpy as np

    from deconvnet.errors import DataError, OptionError, RunError, WeightsError
    from deconvnet.experiments.averaging.measure import average as measure
    from deconvnet.experiments.averaging.measure import check_classes
    from deconvnet.figures import save_figure
    from deconvnet.networks import load
    from deconvnet.terminal.pictures import check_picture
    from deconvnet.terminal.progress import bar
    from deconvnet.training.material import open_material

    if limit is not None and limit < 1:
        raise OptionError(f"--limit must be at least 1, not {limit}.")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise RunError(f"{out} is not empty: name another folder with --out, or replace a run with --overwrite.")
    check_picture(Path("average.png"))
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
    material, card = open_material(networks[0].name, share, seed, data, exclude or [])
    indices = material.held_out
    if limit is not None and limit < len(indices):
        indices = indices[np.linspace(0, len(indices) - 1, limit).round().astype(int)]
    part = f"{len(indices)} of {len(material.held_out)} held-out photos" if limit else "held-out photos"
    crops = "centre crop" if centre else "ten crops"
    words = f"{card['data']}, {part} (share {share}, seed {seed}), {crops}"
    with bar() as shown:
        task = shown.add_task("", total=len(indices), note="")
        result = measure(
            networks,
            material,
            indices,
            ten_crops=not centre,
            data=words,
            progress=lambda name, done, total: shown.update(task, description=name, completed=done, total=total),
        )
    result.save(out, overwrite=overwrite)
    save_figure(result.plot(), out / "average.png")
    typer.echo(f"{words}: {result.rows[0].count} photos in {len(result.classes)} classes")
    typer.echo(result.table())
    typer.echo(f"The run and its picture are in {out}.")
