"""``deconvnet mine`` and ``deconvnet top``: the strongest activations of every feature map, and Figure 2 of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("mine")(mine)
    app.command("top")(top)


def mine(
    network: Annotated[
        str, typer.Argument(help="A built-in network, a weights file, torchvision:NAME, timm:NAME or FILE.py:NAME.")
    ],
    data: Annotated[Path, typer.Option(help="A folder or zip of photos.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    layers: Annotated[
        list[str] | None,
        typer.Option("--layer", "--layers", help="A layer; may be repeated. All convolutions unless given."),
    ] = None,
    k: Annotated[int, typer.Option(help="Photos to keep for each map.")] = 9,
    score: Annotated[str, typer.Option(help="max, sum or mean.")] = "max",
    batch_size: Annotated[int, typer.Option(help="Photos a pass.")] = 32,
    weights: Annotated[str, typer.Option(help="A weights file instead of the shipped weights.")] = "shipped",
    overwrite: Annotated[bool, typer.Option(help="Replace an earlier run in this folder.")] = False,
) -> None:
    """Find the strongest activations of every feature map over a dataset."""
    from deconvnet.cli.progress import bar
    from deconvnet.data import open_photos
    from deconvnet.experiments.top import mine_photos
    from deconvnet.networks import load
    from deconvnet.runs.top import Mined

    found = load(network, weights)
    if network.endswith(".safetensors"):
        weights = network
    if found.card.get("title", "").endswith("random weights"):
        typer.echo(f"{found.title}: the strongest photos of such maps show what chance does.")
    photos = open_photos(data)
    with bar() as shown:
        task = shown.add_task("mining", total=len(photos), note="")
        run = mine_photos(
            found,
            photos,
            out,
            layers=layers,
            k=k,
            score=score,
            batch_size=batch_size,
            weights=weights,
            overwrite=overwrite,
            progress=lambda done, total: shown.update(task, completed=done),
        )
    mined = Mined.from_arrays(run.arrays("top"))
    for name, layer in mined.layers.items():
        dead = [int(c) for c in layer.dead]
        listed = f": {', '.join(map(str, dead[:12]))}{' ...' if len(dead) > 12 else ''}" if dead else ""
        typer.echo(f"{name:8} {layer.channels:5} maps, {len(dead)} dead{listed}")
    skipped = run.json("photos")["skipped"]
    if skipped:
        first = skipped[0]
        typer.echo(
            f"photos that could not be read and were left out: {len(skipped)} of {len(photos)}, "
            f"the first {first['name']}: {first['why']}"
        )
    typer.echo(f"{mined.count} photos mined into {out}. Next: deconvnet top {out} {list(mined.layers)[-1]}")


def top(
    run: Annotated[Path, typer.Argument(help="A run of `deconvnet mine`.")],
    layer: Annotated[str, typer.Argument(help="One of its layers.")],
    map: Annotated[list[int] | None, typer.Option(help="A feature map; may be repeated.")] = None,
    maps: Annotated[int, typer.Option(help="Without --map: size of a random subset.")] = 16,
    seed: Annotated[int, typer.Option(help="Seed of the random subset.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The picture to write; RUN/LAYER.png unless given.")] = None,
    data: Annotated[Path | None, typer.Option(help="Where the photos lie now, if they moved.")] = None,
    rule: Annotated[str, typer.Option(help="deconvnet, guided or gradient.")] = "deconvnet",
    unpool: Annotated[str, typer.Option(help="sum, place or mean.")] = "sum",
    lrn: Annotated[str, typer.Option(help="identity or grad.")] = "identity",
    activations: Annotated[str, typer.Option(help="Other activations than ReLU: refuse, gradient or relu.")] = "refuse",
) -> None:
    """Draw the paper's Figure 2: for each map 3 x 3 projections beside 3 x 3 patches."""
    from deconvnet.cli.pictures import check_picture
    from deconvnet.cli.progress import bar
    from deconvnet.experiments.top import KIND, top_figure
    from deconvnet.figures import save_figure
    from deconvnet.runs import Run

    opened = Run.open(run, KIND)
    path = out or run / f"{layer}.png"
    check_picture(path)
    with bar() as shown:
        task = shown.add_task(f"projecting {layer}", total=len(map) if map else maps, note="")
        figure = top_figure(
            opened,
            layer,
            channels=map,
            maps=maps,
            seed=seed,
            rule=rule,
            unpool=unpool,
            lrn=lrn,
            activations=activations,
            data=data,
            progress=lambda done, total: shown.update(task, completed=done, total=total),
        )
    save_figure(figure, path)
    typer.echo(f"The picture is in {path}.")
