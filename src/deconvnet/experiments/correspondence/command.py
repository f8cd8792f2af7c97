"""``deconvnet correspond``: Table 1 and Figure 8, whether a part is missed alike in photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deconvnet.terminal import options, panels

if TYPE_CHECKING:
    from deconvnet.experiments.correspondence import Correspondence


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("correspond", rich_help_panel=panels.PAPER)(correspond)


def correspond(
    network: options.NetworkArgument,
    data: Annotated[Path, options.data("A folder or zip in which the photos of the parts lie.")],
    parts: Annotated[
        Path | None,
        typer.Argument(
            help="A CSV file of photo, part, left, top, width, height; "
            "the faces and Dalmatians of Caltech-101 unless given."
        ),
    ] = None,
    layer: Annotated[list[str] | None, options.layers("The paper's fifth and seventh")] = None,
    part: Annotated[
        list[str] | None, typer.Option(help="A part to measure; may be repeated. All parts unless given.")
    ] = None,
    fill: Annotated[str, options.fill("hides a part")] = "mean",
    regions: Annotated[int, typer.Option(help="Number of random regions for each part of each photo.")] = 10,
    permutations: Annotated[int, typer.Option(help="Number of permutations of the permutation test.")] = 9999,
    seed: Annotated[int, options.seed("regions and permutations")] = 0,
    together: Annotated[
        bool, typer.Option("--together", help="Compare photos of different folders with each other too.")
    ] = False,
    shuffle: options.ShuffleOption = False,
    batch_size: options.BatchOption = 32,
    out: options.OutOption = Path("runs/correspond"),
    weights: options.WeightsOption = "shipped",
    overwrite: options.OverwriteOption = False,
) -> None:
    """Measure whether hiding the same part of photos has the same effect (Table 1, Figure 8)."""
    from deconvnet.data import open_photos
    from deconvnet.errors import UnknownNameError
    from deconvnet.experiments.correspondence import correspond, read_parts
    from deconvnet.experiments.correspondence.record import KIND
    from deconvnet.figures import save_figure
    from deconvnet.networks import load
    from deconvnet.networks.controls import with_shuffled_weights
    from deconvnet.terminal.outputs import check_run
    from deconvnet.terminal.progress import ProgressBar

    check_run(out, KIND, overwrite)
    marked = read_parts(parts)
    for name in part or ():
        if name not in {each.part for each in marked}:
            raise UnknownNameError("part", name, dict.fromkeys(each.part for each in marked))
    marked = tuple(each for each in marked if not part or each.part in part)
    photos = open_photos(data)
    found = load(network, weights)
    if shuffle:
        found = with_shuffled_weights(found)
    with ProgressBar("masking") as shown:
        result = correspond(
            found,
            marked,
            photos,
            layers=layer,
            fill=fill,
            regions=regions,
            permutations=permutations,
            seed=seed,
            together=together,
            batch_size=batch_size,
            progress=shown,
        )
    inputs = {
        "data": str(photos.root.resolve()),
        "parts": str(parts.resolve()) if parts else "deconvnet/parts/caltech101.csv",
        "weights_sha256": found.fingerprint,
    }
    run = result.save(out, inputs=inputs, overwrite=overwrite)
    picture = save_figure(result.plot(), run.path / "correspondence.png")
    _tell(result)
    typer.echo(f"The picture is {picture}.")


def _tell(result: Correspondence) -> None:
    for reason in result.left_out:
        typer.echo(f"left out: {reason}.")
    for group in result.groups:
        rows = [row for row in result.rows if row.group == group]
        counts = sorted({row.photos for row in rows})
        typer.echo(f"\n{group}: {' to '.join(str(c) for c in (counts[0], counts[-1])[: len(counts)])} photos")
        typer.echo(
            f"{'part':12} {'layer':10} {'sign change':>15} {'random regions':>15} {'p':>7} {'changed':>16} "
            f"{'opposite':>12} {'p':>7}"
        )
        for row in rows:
            own, other = (
                f"{mean:.3f} ± {std:.3f}" for mean, std in ((row.mean, row.std), (row.random_mean, row.random_std))
            )
            changed = f"{row.changed:.3f} ({row.random_changed:.3f})"
            some, rest = ("-" if v is None else f"{v:.2f}" for v in (row.opposite, row.random_opposite))
            typer.echo(
                f"{row.part:12} {row.layer:10} {own:>15} {other:>15} {row.p_value:7.4f} {changed:>16} "
                f"{f'{some} ({rest})':>12} {row.opposite_p:7.4f}"
            )
    typer.echo(
        "\nsign change: mean and deviation over pairs, as in Table 1; lower: missed alike. p: permutation test, not "
        "corrected for the number of lines."
    )
    typer.echo(
        "changed: share of features that masking changes; opposite: of those changed in both photos of a pair, the "
        "share in opposite directions (0.5 is chance); random regions in brackets."
    )
    typer.echo(
        f"{result.pictures} pictures in {result.passes} forward passes: {result.forward_seconds:.1f} s of "
        f"{result.seconds:.1f} s in all."
    )
