"""``deconvnet transfer``: Tables 4 to 7 and Figure 9, new classes told apart by the features of each layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deconvnet.terminal import options, panels

if TYPE_CHECKING:
    from deconvnet.data import Photos
    from deconvnet.experiments.transfer import Scratch, Transfer
    from deconvnet.networks import Network


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("transfer", rich_help_panel=panels.PAPER)(transfer)


def transfer(
    network: options.NetworkArgument,
    data: Annotated[Path, options.data("A folder or zip of CLASS/photo.jpg, or with --labels of any photos.")],
    per_class: Annotated[
        list[int] | None,
        typer.Option(
            "--per-class",
            "-k",
            help="Number of training photos of each class; may be repeated. 15 and 30 unless given.",
        ),
    ] = None,
    folds: Annotated[int, typer.Option(help="Number of random splits into training and test photos.")] = 5,
    layer: Annotated[list[str] | None, options.layers("The end of each stage")] = None,
    classifier: Annotated[
        list[str] | None, typer.Option(help="A classifier: svm or softmax; may be repeated. Both unless given.")
    ] = None,
    test: Annotated[int, typer.Option(help="Largest number of test photos of each class.")] = 50,
    exclude: options.ExcludeOption = None,
    unseen: Annotated[
        bool, typer.Option("--unseen", help="Leave out the classes that the network was trained on.")
    ] = False,
    seen: Annotated[
        Path | None,
        typer.Option(
            help="The photos that the network was trained on; photos that are in both, or nearly so, are left out."
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option(help="Normalised correlation from which on two photos count as one.")
    ] = 0.95,
    labels: Annotated[
        Path | None,
        typer.Option(help="A CSV file of photo, label for several labels a photo, measured by mean average precision."),
    ] = None,
    share: Annotated[float, typer.Option(help="Share of the photos to test on, with --labels.")] = 0.5,
    scratch: Annotated[
        str | None,
        typer.Option(
            help="A recipe by which the same network is trained on these photos alone, for comparison; costly."
        ),
    ] = None,
    scratch_epochs: Annotated[int | None, typer.Option(help="Number of epochs instead of that recipe's.")] = None,
    scratch_folds: Annotated[int, typer.Option(help="Number of splits on which it is trained.")] = 1,
    most_features: Annotated[
        int, typer.Option(help="Largest number of features of a layer; larger maps are averaged over space.")
    ] = 25_000,
    shuffle: options.ShuffleOption = False,
    seed: Annotated[int, options.seed("the splits")] = 0,
    batch_size: options.BatchOption = 32,
    threads: options.ThreadsOption = None,
    out: options.OutOption = Path("runs/transfer"),
    weights: options.WeightsOption = "shipped",
    overwrite: options.OverwriteOption = False,
) -> None:
    """Train linear classifiers on the features of each layer (Tables 4 to 7, Figure 9)."""
    import torch

    from deconvnet.data import open_photos
    from deconvnet.errors import OptionError
    from deconvnet.experiments.transfer import read_labels, transfer_labels
    from deconvnet.experiments.transfer import transfer as measure
    from deconvnet.experiments.transfer.record import KIND
    from deconvnet.figures import save_figure
    from deconvnet.networks import load
    from deconvnet.networks.controls import with_shuffled_weights
    from deconvnet.terminal.outputs import check_run
    from deconvnet.terminal.progress import ProgressBar

    check_run(out, KIND, overwrite)
    if threads is not None:
        torch.set_num_threads(threads)
    given = read_labels(labels) if labels else None
    if given is not None and (per_class or scratch or unseen or exclude):
        raise OptionError("--labels takes photos by its table: drop --per-class, --scratch, --unseen and --exclude.")
    found = load(network, weights)
    photos = open_photos(data)
    if given is None:
        photos = _chosen(photos, found, exclude or [], unseen)
    training = _scratch(scratch, scratch_epochs, scratch_folds, out)
    common = {
        "folds": folds,
        "layers": layer,
        "classifiers": tuple(classifier or ()) or ("svm", "softmax"),
        "seen": _familiar(open_photos(seen), found) if seen else None,
        "threshold": threshold,
        "most_features": most_features,
        "batch_size": batch_size,
        "seed": seed,
    }
    if shuffle:
        found = with_shuffled_weights(found)
    with ProgressBar("reading") as shown:
        if given is not None:
            result = transfer_labels(found, photos, given, share=share, progress=shown, **common)
        else:
            result = measure(
                found,
                photos,
                per_class=per_class or (15, 30),
                test=test,
                scratch=training,
                progress=shown,
                **common,
            )
    inputs = {"data": str(photos.root.resolve()), "weights_sha256": found.fingerprint}
    if labels:
        inputs["labels"] = str(labels.resolve())
    if seen:
        inputs["seen"] = str(seen.resolve())
    run = result.save(out, inputs=inputs, overwrite=overwrite)
    picture = save_figure(result.plot(), run.path / "transfer.png")
    _tell(result)
    typer.echo(f"The picture is {picture}.")


def _chosen(photos: Photos, network: Network, exclude: list[str], unseen: bool) -> Photos:
    """The photos of the classes that are asked for."""
    photos = photos.exclude(exclude)
    return photos.exclude([name for name in photos.classes if name in network.classes]) if unseen else photos


def _familiar(seen: Photos, network: Network) -> Photos:
    """Of photos in class folders those of the network's classes, where it names any of the folders."""
    import numpy as np

    known = np.array([name in network.classes for name in seen.classes], bool)
    return seen.subset((seen.labels >= 0) & known[seen.labels]) if known.any() else seen


def _scratch(recipe: str | None, epochs: int | None, folds: int, out: Path) -> Scratch | None:
    from deconvnet.experiments.transfer import Scratch
    from deconvnet.training import recipe as find

    if recipe is None:
        return None
    return Scratch(find(recipe).changed(epochs=epochs), out.with_name(out.name + "-scratch"), folds)


def _tell(result: Transfer) -> None:
    from deconvnet.experiments.transfer.record import ACCURACY

    typer.echo(
        f"{result.network} on {result.photos:,} photos in {len(result.classes)} "
        f"{'classes' if result.measure == ACCURACY else 'labels'} of {result.data}, "
        f"{result.folds} fold{'s' * (result.folds > 1)}: {result.measure}, %"
    )
    typer.echo(result.table())
    for layer in result.layers:
        if layer.pooled:
            typer.echo(f"{layer}: the map was too large.")
    if result.seen:
        typer.echo(
            f"{len(result.duplicates)} photos were left out because they lie among the {result.seen:,} that the "
            f"network has seen (normalised correlation of at least {result.threshold:g}); transfer.json names all"
            f"{':' if result.duplicates else '.'}"
        )
        for each in result.duplicates[:5]:
            mirrored = ", mirrored" if each.mirrored else ""
            typer.echo(f"  {each.photo} and {each.seen}: {each.correlation:.3f}{mirrored}")
    if result.unreadable:
        typer.echo(f"{result.unreadable} photos could not be read and were left out.")
    if result.known:
        first = ", ".join(result.known[:3]) + (", ..." if len(result.known) > 3 else "")
        typer.echo(
            f"Careful: the network was trained on {len(result.known)} of these classes ({first}), so this is no "
            "transfer to them: --unseen leaves them out."
        )
    if result.scratch_words:
        typer.echo(f"From scratch: {result.scratch_words}.")
    typer.echo(f"{result.forward_seconds:.0f} s of {result.seconds:.0f} s in forward passes.")
