"""``deconvnet sanity``: how much of a projection comes from the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sanity")(sanity)


def sanity(
    network: Annotated[
        str, typer.Argument(help="A built-in network, a weights file, torchvision:NAME, timm:NAME or FILE.py:NAME.")
    ],
    photo: Annotated[list[Path] | None, typer.Argument(help="Photos; three sample photos unless given.")] = None,
    layer: Annotated[str | None, typer.Option(help="The units' layer; unless given the last one with weights.")] = None,
    units: Annotated[int, typer.Option(help="So many strongest maps in each photo.")] = 4,
    stages: Annotated[int, typer.Option(help="Layers get random weights in so many groups at most.")] = 8,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/sanity"),
    weights: Annotated[str, typer.Option(help="A weights file instead of the shipped weights.")] = "shipped",
    seed: Annotated[int, typer.Option(help="Decides the random weights, the other maps and the noise.")] = 0,
    unpool: Annotated[str, typer.Option(help="sum, place or mean.")] = "sum",
    lrn: Annotated[str, typer.Option(help="identity or grad.")] = "identity",
    activations: Annotated[str, typer.Option(help="Other activations than ReLU: refuse, gradient or relu.")] = "refuse",
    overwrite: Annotated[bool, typer.Option(help="Replace an earlier run in this folder.")] = False,
) -> None:
    """Make weights random, and change map and photo: do the projections change?"""
    from deconvnet.data import read_photo, sample_photos
    from deconvnet.errors import RunError
    from deconvnet.experiments.sanity.measure import KIND
    from deconvnet.experiments.sanity.measure import sanity as check
    from deconvnet.figures import save_figure
    from deconvnet.figures.canvas import new_figure
    from deconvnet.networks import load
    from deconvnet.runs import Run
    from deconvnet.terminal.progress import bar

    new_figure(1, 1)  # refuses where matplotlib is missing, before the work
    if out.exists() and (out.is_file() or any(out.iterdir())):
        if overwrite:
            Run.open(out, KIND)  # refuses what is no such run
        else:
            if not out.is_dir():
                raise RunError(f"{out} is a file: choose a folder with --out.")
            raise RunError(
                f"{out} is not empty: choose another folder with --out, or replace a run there with --overwrite."
            )
    found = load(network, weights)
    if photo:
        names, pixels = [path.name for path in photo], [read_photo(path) for path in photo]
    else:
        samples = [sample for sample in sample_photos() if sample.name in ("astronaut", "chelsea", "coffee")]
        names, pixels = [sample.name for sample in samples], [sample.pixels for sample in samples]
    with bar() as shown:
        task = shown.add_task("projecting", total=None, note="")
        result = check(
            found,
            pixels,
            names=names,
            layer=layer,
            units=units,
            stages=stages,
            seed=seed,
            unpool=unpool,
            lrn=lrn,
            activations=activations,
            progress=lambda done, total: shown.update(task, completed=done, total=total),
        )
    run = result.save(out, overwrite=overwrite)
    save_figure(result.plot(), run.path / "sanity.png")
    typer.echo(f"{'test':12} {'random or other':24} {'rule':10} {'SSIM':>6} {'rank':>6} {'|rank|':>6}  empty")
    for rule, tests in result.similarities.items():
        for test in tests:
            steps = result.stage_names if test in ("cascade", "alone") else ("",)
            for step, (ssim, signed, size), each in zip(steps, result.mean(rule, test), tests[test], strict=True):
                empty = int((each == 0).all(1).sum())
                row = f"{ssim:6.2f} {signed:6.2f} {size:6.2f}  {empty or ''}"
                typer.echo(f"{test:12} {step:24} {rule:10} {row}".rstrip())
    finding = result.finding()
    typer.echo(f"Means over {len(result.units)} units; 1 is unchanged. {finding[:1].upper()}{finding[1:]}.")
    typer.echo(f"The figure is in {run.path / 'sanity.png'}.")
