"""``deconvnet compare``: networks side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare")(compare)


def compare(
    network: Annotated[
        list[str], typer.Argument(help="Built-in networks, weights files, torchvision:NAME, timm:NAME, FILE.py:NAME.")
    ],
    data: Annotated[Path | None, typer.Option(help="Photos, for dead maps and aliasing of the first layer.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="A class folder to leave out; may be repeated.")] = None,
    photos: Annotated[int, typer.Option(help="So many photos, drawn at random.")] = 100,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    rounds: Annotated[int, typer.Option(help="So often each network is timed, in turns.")] = 15,
    batch: Annotated[int, typer.Option(help="Inputs at once while timing.")] = 1,
    threads: Annotated[int | None, typer.Option(help="Threads of torch; all cores unless given.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run; the picture is in it.")] = Path("comparison"),
    overwrite: Annotated[bool, typer.Option(help="Replace an earlier run in this folder.")] = False,
) -> None:
    """Compare parameters, work, memory, speed, accuracy and first layers. Untrained networks get random weights."""
    import torch

    from deconvnet.data import open_photos
    from deconvnet.errors import OptionError, RunError
    from deconvnet.experiments.comparison.measure import compare as measure
    from deconvnet.figures import save_figure
    from deconvnet.networks import load, names
    from deconvnet.networks.weights import shipped
    from deconvnet.terminal.pictures import check_picture
    from deconvnet.terminal.progress import bar

    if threads is not None and threads < 1:
        raise OptionError(f"--threads must be at least 1, not {threads}.")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise RunError(f"{out} is not empty: name another folder with --out, or replace a run with --overwrite.")
    if exclude and data is None:
        raise OptionError("--exclude leaves classes of the photos out: give photos with --data.")
    check_picture(Path("comparison.png"))
    networks = [load(n, weights=None) if n in names() and not shipped(n) else load(n) for n in network]
    found = None if data is None else open_photos(data)
    if found is not None and exclude:
        found = found.exclude(exclude)
    if threads is not None:
        torch.set_num_threads(threads)
    with bar() as shown:
        task = shown.add_task("", total=None, note="")
        result = measure(
            networks,
            found,
            sample=photos,
            seed=seed,
            rounds=rounds,
            batch=batch,
            progress=lambda what, done, total: shown.update(task, description=what, completed=done, total=total),
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
