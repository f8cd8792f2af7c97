"""``deconvnet sanity``: how much of a projection comes from the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deconvnet.terminal import options, panels


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sanity", rich_help_panel=panels.PAPER)(sanity)


def sanity(
    network: options.NetworkArgument,
    photo: Annotated[
        list[Path] | None, typer.Argument(metavar="[PHOTO...]", help="Photos; three sample photos unless given.")
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="Layer of the units; the last layer with weights unless given.")
    ] = None,
    units: Annotated[int, typer.Option(help="Number of strongest maps to test in each photo.")] = 4,
    stages: Annotated[int, typer.Option(help="Largest number of stages in which layers get random weights.")] = 8,
    out: options.OutOption = Path("runs/sanity"),
    weights: options.WeightsOption = "shipped",
    seed: Annotated[int, options.seed("random weights, other maps and noise")] = 0,
    unpool: options.UnpoolOption = "sum",
    lrn: options.LrnOption = "identity",
    nonlinearities: options.NonlinearitiesOption = "refuse",
    overwrite: options.OverwriteOption = False,
) -> None:
    """Test whether projections depend on the weights, the map and the photo."""
    from deconvnet.data import read_photo, sample_photos
    from deconvnet.experiments.sanity.measure import KIND
    from deconvnet.experiments.sanity.measure import check_sanity as check
    from deconvnet.figures import save_figure
    from deconvnet.networks import load
    from deconvnet.terminal.outputs import check_drawing, check_run
    from deconvnet.terminal.progress import ProgressBar

    check_drawing()
    check_run(out, KIND, overwrite)
    found = load(network, weights)
    if photo:
        names, pixels = [path.name for path in photo], [read_photo(path) for path in photo]
    else:
        samples = [sample for sample in sample_photos() if sample.name in ("astronaut", "chelsea", "coffee")]
        names, pixels = [sample.name for sample in samples], [sample.pixels for sample in samples]
    with ProgressBar("projecting") as shown:
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
            activations=nonlinearities,
            progress=shown,
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
