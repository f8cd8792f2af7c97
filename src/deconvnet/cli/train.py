"""``deconvnet train``, ``recipes`` and ``evaluate``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deconvnet.progress import ProgressReport, counter
from deconvnet.terminal import options, panels

if TYPE_CHECKING:
    from deconvnet.training.dataset import Dataset


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("train", rich_help_panel=panels.TRAIN)(train)
    app.command("recipes", rich_help_panel=panels.TRAIN)(recipes)
    app.command("evaluate", rich_help_panel=panels.TRAIN)(evaluate)


def train(
    recipe: options.RecipeArgument,
    data: Annotated[Path, options.data("A folder or zip of CLASS/photo.jpg, or a folder of MNIST's idx files.")],
    out: options.OutOption,
    network: options.RecipeNetworkOption = None,
    epochs: options.EpochsOption = None,
    size: options.TrainingSizeOption = None,
    batch_size: options.TrainingBatchOption = None,
    fc_width: options.WidthOption = None,
    exclude: options.ExcludeOption = None,
    seed: Annotated[int | None, options.seed("split, initial weights, order and crops")] = None,
    snapshot: Annotated[
        list[int] | None,
        typer.Option(
            help="An epoch whose weights are kept; may be repeated. The epochs of Figure 4, scaled, unless given."
        ),
    ] = None,
    start: Annotated[Path | None, typer.Option(help="A weights file to start from.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on after the last whole epoch of the run.")] = False,
    threads: options.ThreadsOption = None,
    device: options.DeviceOption = "cpu",
) -> None:
    """Train a network on photos, or LeNet-5 on MNIST.

    Ctrl-C loses at most one epoch; --resume goes on."""
    import torch

    from deconvnet.errors import DeconvnetError
    from deconvnet.figures import save_figure
    from deconvnet.networks import load
    from deconvnet.terminal.progress import ProgressBar
    from deconvnet.training import EpochReport, TrainingStep
    from deconvnet.training import recipe as find
    from deconvnet.training import train as run_training
    from deconvnet.training.figure import training_curve
    from deconvnet.training.loop import CHECKPOINT, NETWORK
    from deconvnet.training.record import TrainingRecord
    from deconvnet.training.snapshots import epochs_to_keep

    plan = find(recipe).changed(network=network, epochs=epochs, size=size, batch_size=batch_size, seed=seed)
    if fc_width is not None:
        plan = plan.changed(options={"fc_width": fc_width})
    if snapshot:
        plan = replace(plan, snapshots=epochs_to_keep(snapshot, plan.epochs))
    if threads is not None:
        torch.set_num_threads(threads)
    from deconvnet.training.dataset import open_dataset

    dataset, card = open_dataset(plan.network, plan.held_out, plan.seed, data, exclude or [])
    typer.echo(
        f"{plan.network}: {len(dataset.train)} training and {len(dataset.held_out)} held-out photos in "
        f"{len(dataset.classes)} classes, {plan.epochs} epochs."
    )
    with ProgressBar("reading photos") as shown:

        def tell(report: ProgressReport) -> None:
            if isinstance(report, EpochReport):
                shown.print(_epoch_line(report.metrics))
            elif isinstance(report, TrainingStep):
                left = report.seconds_left
                said = f"{left / 60:.0f} min left" if left >= 90 else f"{left:.0f} s left"
                shown(replace(report, note=f"{report.note}  {said}"))
            else:
                shown(report)

        try:
            run, _, accuracy = run_training(
                plan,
                dataset,
                out,
                start=load(str(start)) if start else None,
                resume=resume,
                card=card,
                device=device,
                progress=tell,
            )
        except KeyboardInterrupt:
            shown.stop()
            there = "the last whole epoch" if (out / CHECKPOINT).is_file() else "no whole epoch yet"
            typer.echo(f"interrupted; {there} is in {out}: the same command with --resume goes on.", err=True)
            raise typer.Exit(130) from None
    _tell_skipped(dataset)
    for empty in dataset.photos.empty_classes:
        typer.echo(f"the folder {empty} holds no photo and is no class.")
    typer.echo(
        f"held out ({accuracy.count} photos): top-1 {accuracy.top1:.2%}, top-5 {accuracy.top5:.2%}, "
        f"mean over classes {accuracy.per_class:.2%}"
    )
    typer.echo(f"The weights are in {out / NETWORK}.")
    try:
        curve = training_curve(TrainingRecord.read(run).metrics, title=f"{plan.network}, recipe {plan.name}")
        typer.echo(f"The training curve is in {save_figure(curve, out / 'curve.png')}.")
    except DeconvnetError as error:  # the training itself is done and stored
        typer.echo(f"The training curve is not drawn: {error}", err=True)


def _epoch_line(line: Mapping[str, Any]) -> str:
    return (
        f"epoch {line['epoch']:3}  {line['size']} px  loss {line['train_loss']:.3f}  held out: "
        f"loss {line['val_loss']:.3f}  top-1 {line['val_top1']:.1%}  per class {line['val_per_class']:.1%}  "
        f"{line['seconds']:.0f} s"
    )


def recipes() -> None:
    """List the training recipes."""
    from deconvnet.training.recipes import RECIPES

    for found in RECIPES.values():
        stages = ", ".join(f"{s.epochs} epochs at {s.size} px" for s in found.stages)
        typer.echo(f"{found.name:12} {found.about}\n{'':12} {found.network}; {stages}; batch {found.batch_size}")


def evaluate(
    network: Annotated[str, typer.Argument(help="A built-in network or a weights file.")],
    data: Annotated[
        Path, options.data("The data that the network was trained on, of which the held-out photos are used.")
    ],
    exclude: options.ExcludeOption = None,
    weights: options.WeightsOption = "shipped",
    ten_crops: Annotated[
        bool, typer.Option(help="Average the paper's ten crops instead of using the centre crop.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Measure on every photo, not only on the held-out ones.")
    ] = False,
) -> None:
    """Measure a network's accuracy on the photos that were held out from its training."""
    import numpy as np

    from deconvnet.data import none_readable
    from deconvnet.errors import DataError, WeightsError
    from deconvnet.networks import load
    from deconvnet.terminal.progress import ProgressBar
    from deconvnet.training.evaluation import accuracy as measure
    from deconvnet.training.evaluation import scores

    found = load(network, weights)
    stored = found.card.get("recipe")
    if stored is None and not everything:
        raise WeightsError(
            f"the card of these {found.name} weights does not say how the photos were split: "
            "measure on every photo with --all."
        )
    share, seed = (stored["held_out"], stored["seed"]) if stored else (0.2, 0)
    from deconvnet.training.dataset import open_dataset

    dataset, _ = open_dataset(found.name, share, seed, data, exclude or [])
    if tuple(dataset.classes) != tuple(found.classes):
        odd = sorted(set(dataset.classes) ^ set(found.classes))
        raise DataError(
            f"{data} has other classes than {found.name} was trained on ({', '.join(odd[:3])}): "
            "give the data that it learned from, or leave classes out with --exclude."
        )
    indices = np.concatenate([dataset.train, dataset.held_out]) if everything else dataset.held_out
    with ProgressBar("evaluating") as shown:
        values, kept = scores(found, dataset, indices, ten_crops, counter(shown, "evaluating"))
    if not len(kept):
        raise none_readable(dataset.photos.root, len(indices), dataset.skipped)
    result = measure(values, dataset.labels[kept])
    crops = "ten crops" if ten_crops else "centre crop"
    which = "all photos" if everything else "held-out photos"
    typer.echo(
        f"{found.name} on {result.count} {which} ({crops}): top-1 {result.top1:.2%}, top-5 {result.top5:.2%}, "
        f"mean over {len(found.classes)} classes {result.per_class:.2%}"
    )
    _tell_skipped(dataset)


def _tell_skipped(dataset: Dataset) -> None:
    if dataset.skipped:
        first = dataset.skipped[0]
        typer.echo(
            f"photos that could not be read and were left out: {len(dataset.skipped)}, "
            f"the first {first.name}: {first.why}"
        )
