"""``deconvnet ablate``: Table 3, what removing or resizing layers does to the errors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deconvnet.progress import ProgressReport
from deconvnet.terminal import options, panels

if TYPE_CHECKING:
    from deconvnet.data import Photos


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ablate", rich_help_panel=panels.PAPER)(ablate)


def ablate(
    recipe: options.RecipeArgument,
    data: Annotated[Path, options.data("A folder or zip of CLASS/photo.jpg.")],
    out: Annotated[
        Path, typer.Option(help="Folder of the run; trainings that it already holds are not repeated.")
    ] = Path("runs/ablate"),
    seeds: Annotated[
        int, typer.Option(help="How many times to train each variant, each time with another random seed.")
    ] = 3,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            help="A variant to train: base, remove-3-4, remove-7, remove-6-7, remove-3-4-6-7, "
            "fc-half, fc-double, wide or wide-fc-double; may be repeated. All unless given."
        ),
    ] = None,
    network: options.RecipeNetworkOption = None,
    epochs: options.EpochsOption = None,
    size: options.TrainingSizeOption = None,
    batch_size: options.TrainingBatchOption = None,
    fc_width: options.WidthOption = None,
    classes: Annotated[
        int | None, typer.Option(help="Use only so many classes, spread evenly over the alphabet.")
    ] = None,
    exclude: options.ExcludeOption = None,
    threads: options.ThreadsOption = None,
    device: options.DeviceOption = "cpu",
    overwrite: Annotated[
        bool, typer.Option(help="Remove an earlier run in this folder with all its trainings.")
    ] = False,
) -> None:
    """Train a network with layers removed or resized (Table 3).

    Ctrl-C loses at most one epoch; the same command goes on."""
    import torch

    from deconvnet.data import open_photos
    from deconvnet.experiments.ablation.measure import VariantReport
    from deconvnet.experiments.ablation.measure import ablate as run_all
    from deconvnet.figures import save_figure
    from deconvnet.terminal.progress import ProgressBar
    from deconvnet.training import EpochReport
    from deconvnet.training import recipe as find

    plan = find(recipe).changed(network=network, epochs=epochs, size=size, batch_size=batch_size)
    if fc_width is not None:
        plan = plan.changed(options={"fc_width": fc_width})
    if threads is not None:
        torch.set_num_threads(threads)
    photos = _some(open_photos(data).exclude(exclude or []), classes)
    with ProgressBar("reading photos") as shown:

        def tell(report: ProgressReport) -> None:
            if isinstance(report, VariantReport):
                shown.prefix = f"{report.done + 1}/{report.total} {report.variant}, seed {report.seed}: "
            elif isinstance(report, EpochReport):
                if report.done == report.total:
                    shown.print(f"{shown.prefix}held out top-1 {report.metrics['val_top1']:.1%}")
            else:
                shown(report)

        try:
            result = run_all(
                plan,
                photos,
                out,
                seeds=seeds,
                names=variant,
                device=device,
                overwrite=overwrite,
                progress=tell,
            )
        except KeyboardInterrupt:
            shown.stop()
            typer.echo(f"interrupted; the trainings are in {out}: the same command goes on.", err=True)
            raise typer.Exit(130) from None
    typer.echo(
        f"{result.network}, recipe {result.recipe}, {result.epochs} epochs at {result.size} px: "
        f"{result.train_photos:,} training and {result.held_out_photos:,} held-out photos in {result.classes} "
        f"classes of {result.data}, "
        f"{len(result.seeds)} seed{'s' * (len(result.seeds) > 1)}"
    )
    typer.echo(result.table())
    typer.echo(
        "to base: change of the held-out error, seed by seed; paper: ImageNet 2012 validation, its own network where "
        "it printed the row, else its replication of Krizhevsky et al."
    )
    typer.echo(f"{result.seconds.sum() / 60:.1f} minutes of training.")
    typer.echo(f"The picture is {save_figure(result.plot(), out / 'ablation.png')}.")


def _some(photos: Photos, count: int | None) -> Photos:
    """Photos of so many classes, evenly taken in alphabetical order."""
    import numpy as np

    from deconvnet.errors import OptionError

    if count is None:
        return photos
    if not 2 <= count <= len(photos.classes):
        raise OptionError(f"--classes lies between 2 and the {len(photos.classes)} that there are, not {count}.")
    chosen = set(np.linspace(0, len(photos.classes) - 1, count).round().astype(int).tolist())
    return photos.exclude([name for i, name in enumerate(photos.classes) if i not in chosen])
