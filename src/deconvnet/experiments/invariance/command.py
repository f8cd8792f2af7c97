"""``deconvnet invariance``: Figure 5, what moving, enlarging and turning a photo does to a network's features."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deconvnet.terminal import options, panels

if TYPE_CHECKING:
    from deconvnet.experiments.invariance import Invariance


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("invariance", rich_help_panel=panels.PAPER)(invariance)


def invariance(
    network: options.NetworkArgument,
    photo: Annotated[
        list[str], typer.Argument(metavar="PHOTO...", help="Files of photos, or with --data names of photos in it.")
    ],
    data: Annotated[Path | None, options.data("A folder or zip in which the photos lie.")] = None,
    layer: Annotated[list[str] | None, options.layers("The paper's first and seventh")] = None,
    transform: Annotated[
        list[str] | None,
        typer.Option(
            help="A transformation: vertical, horizontal, scale, rotation, brightness or blur, "
            "or NAME:FIRST:LAST:STEP; may be repeated. The paper's vertical, scale and rotation unless given."
        ),
    ] = None,
    label: Annotated[list[str] | None, options.label("Its folder or the predicted class")] = None,
    fill: Annotated[
        str, typer.Option(help="What lies beyond a photo's border: mean, edge, reflect, grey or a colour.")
    ] = "mean",
    shuffle: options.ShuffleOption = False,
    batch_size: options.BatchOption = 32,
    out: options.OutOption = Path("runs/invariance"),
    weights: options.WeightsOption = "shipped",
    overwrite: options.OverwriteOption = False,
) -> None:
    """Measure how features change as photos are moved, enlarged and turned (Figure 5)."""
    from deconvnet.experiments.invariance import PAPER
    from deconvnet.experiments.invariance import measure_invariance as measure
    from deconvnet.experiments.invariance.record import KIND
    from deconvnet.figures import save_figure
    from deconvnet.networks import load
    from deconvnet.networks.controls import with_shuffled_weights
    from deconvnet.terminal.outputs import check_run
    from deconvnet.terminal.progress import ProgressBar

    check_run(out, KIND, overwrite)
    pixels, names = _read(photo, data)
    found = load(network, weights)
    if shuffle:
        found = with_shuffled_weights(found)
    options: dict[str, Any] = {"layers": layer, "labels": label, "fill": fill, "batch_size": batch_size}
    with ProgressBar("transforming") as shown:
        result = measure(
            found,
            pixels,
            names=names,
            transformations=transform or PAPER,
            progress=shown,
            **options,
        )
    place = {"data": str(data.resolve())} if data else {}
    run = result.save(out, inputs={"weights_sha256": found.fingerprint, **place}, overwrite=overwrite)
    picture = save_figure(result.plot(), run.path / "invariance.png")
    _tell(result)
    typer.echo(f"The picture is {picture}.")


def _read(photos: list[str], data: Path | None) -> tuple[list[Any], list[str]]:
    from deconvnet.data import open_photos, read_photo
    from deconvnet.errors import UnknownNameError

    if data is None:
        return [read_photo(path) for path in photos], [Path(path).resolve().as_posix() for path in photos]
    found = open_photos(data)
    place = {name: i for i, name in enumerate(found.names)}
    for name in photos:
        if name not in place:
            raise UnknownNameError("photo", name, found.names, f"Names are those inside {data}.")
    return [found.read(place[name]) for name in photos], photos


def _tell(result: Invariance) -> None:
    for name, label, source, start in zip(
        result.photos, result.labels, result.label_sources, result.baseline, strict=False
    ):
        typer.echo(f"{'/'.join(name.split('/')[-2:]):34} class {label} ({source}), probability {start:.1%}")
    typer.echo("")
    typer.echo(f"{'':24} {'layer':12} {'between':>8} {'relative':>8} {'onset':>6} {'linear':>6} {'class kept':>10}")
    for each in result.summary():
        cells = (each.between, each.relative, each.onset, each.linearity)
        numbers = "".join(
            f" {'-' if value is None else format(value, '.2f'):>{size}}"
            for value, size in zip(cells, (8, 8, 6, 6), strict=True)
        )
        kept = "-" if each.probability is None else f"{each.probability:.0%}"
        typer.echo(f"{each.transformation:24} {each.layer:12}{numbers} {kept:>10}")
    typer.echo(
        "\nbetween: mean distance / mean distance of two photos (0 invariant, 1 like another photo); relative: to the "
        "length of the photo's own features; onset: the smallest step's share of the largest distance; linear: r2 of "
        "distance and step; class kept: probability, of the untransformed photo's."
    )
    typer.echo(
        f"{result.pictures} pictures in {result.passes} forward passes: {result.forward_seconds:.1f} s of "
        f"{result.seconds:.1f} s in all."
    )
