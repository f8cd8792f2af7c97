"""``deconvnet evolve``: Figure 4, how features develop through training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deconvnet.terminal import options, panels

if TYPE_CHECKING:
    from deconvnet.experiments.evolution import Evolution


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evolve", rich_help_panel=panels.PAPER)(evolve)


def evolve(
    source: Annotated[
        list[Path] | None,
        typer.Argument(help="A run of `deconvnet train`, a folder of weights files, or weights files, oldest first."),
    ] = None,
    weights: Annotated[list[Path] | None, typer.Option(help="A weights file that comes before the others.")] = None,
    network: Annotated[
        str | None,
        typer.Option(help="The network of weights files that do not name it: torchvision:NAME, FILE.py:NAME, ..."),
    ] = None,
    classes: Annotated[
        int | None, typer.Option(help="Number of classes that the network of --network was built with.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Side of the input of the network of --network in pixels.")] = None,
    data: Annotated[
        str | None, options.data("A folder, zip or tar of photos; the photos of the training run unless given.")
    ] = None,
    sample: Annotated[int | None, typer.Option(help="Number of photos to sample at random; all unless given.")] = None,
    layer: Annotated[list[str] | None, options.layers("All convolutions")] = None,
    unit: Annotated[
        list[str] | None,
        typer.Option("--unit", help="A map such as conv5:17 to draw instead of random maps; may be repeated."),
    ] = None,
    maps: Annotated[int, typer.Option(help="Number of random maps to draw for each layer.")] = 6,
    compare: Annotated[int, typer.Option(help="Number of maps of each layer whose projections are compared.")] = 24,
    seed: Annotated[int, options.seed("choosing maps, and photos with --sample")] = 0,
    batch_size: options.BatchOption = 32,
    threads: options.DecodersOption = 2,
    rule: options.RuleOption = "deconvnet",
    unpool: options.UnpoolOption = "sum",
    lrn: options.LrnOption = "identity",
    nonlinearities: options.NonlinearitiesOption = "refuse",
    out: options.OutOption = Path("runs/evolution"),
    overwrite: options.OverwriteOption = False,
) -> None:
    """Draw how features develop in training and how fast each layer settles (Figure 4)."""
    from deconvnet.errors import OptionError
    from deconvnet.experiments.evolution import evolve
    from deconvnet.experiments.evolution.record import KIND
    from deconvnet.figures import save_figure
    from deconvnet.terminal.outputs import check_run
    from deconvnet.terminal.progress import ProgressBar
    from deconvnet.training.snapshots import find_snapshots, load_snapshots

    check_run(out, KIND, overwrite)
    sources = [*(weights or []), *(source or [])]
    if not sources:
        raise OptionError("nothing to follow: name a training run, a folder of weights files, or several of these.")
    found = find_snapshots(sources)
    given: dict[str, Any] = {"num_classes": classes, "input_size": size}
    options = {key: value for key, value in given.items() if value is not None}
    photos, address, photo_set = _photos(sources[0], data, sample, seed)
    networks = load_snapshots(found, network, **options)
    typer.echo(f"{len(networks)} snapshots of {networks[-1].title}: {found.axis} {', '.join(found.labels)}.")
    with ProgressBar("searching") as shown:
        result = evolve(
            networks,
            photos,
            labels=found.labels,
            axis=found.axis,
            layers=layer,
            units=unit,
            maps=maps,
            compare=compare,
            seed=seed,
            batch_size=batch_size,
            threads=threads,
            photo_set=photo_set,
            rule=rule,
            unpool=unpool,
            lrn=lrn,
            activations=nonlinearities,
            progress=shown,
        )
    files = {str(each.path.resolve()): net.fingerprint for each, net in zip(found.files, networks, strict=True)}
    run = result.save(out, inputs={"weights_sha256": files, "data": address}, overwrite=overwrite)
    pictures = [
        save_figure(result.plot(), run.path / "evolution.png"),
        save_figure(result.plot_convergence(), run.path / "convergence.png"),
    ]
    _tell(result)
    typer.echo(f"The pictures are {pictures[0]} and {pictures[1]}.")


def _photos(source: Path, data: str | None, sample: int | None, seed: int) -> tuple[Any, str, str]:
    """Photos, where they lie, and what to call them."""
    import numpy as np

    from deconvnet.data import open_photos
    from deconvnet.errors import OptionError
    from deconvnet.experiments.evolution import training_photos
    from deconvnet.runs import Run

    if sample is not None and sample < 1:
        raise OptionError(f"--sample must be at least 1, not {sample}.")
    if (source / "manifest.json").is_file():
        found = training_photos(Run.open(source, "train"), data)
        photos, address, said = found.photos, found.address, "training photos"
    elif data is None:
        raise OptionError("weights files do not say what they learned from: name photos with --data.")
    else:
        photos, said = open_photos(data), "photos"
        address = photos.address
    if sample is not None and sample < len(photos):
        chosen = np.sort(np.random.default_rng(seed).permutation(len(photos))[:sample])
        photos = photos.subset(chosen)
    return photos, address, said


def _tell(result: Evolution) -> None:
    def cell(value: float | str | None, form: str, width: int) -> str:
        words = "-" if value is None else value if isinstance(value, str) else format(value, form)
        return f" {words:>{width}}"

    typer.echo("")
    typer.echo(f"{'':14} {'weights':>15} {'same unit':>15} {'two':>6} {'photo changed':>13} {'strongest':>15}")
    typer.echo(
        f"{'layer':14} {'first':>7} {'settled':>7} {'first':>7} {'settled':>7} {'maps':>6} {'mean':>6} {'last':>6} "
        f"{'stayed':>7} {'changed':>7} {'dead':>5}"
    )
    for each in result.summary():
        typer.echo(
            f"{each.layer:14}"
            + cell(each.weights_first, ".2f", 7)
            + cell(each.weights, "", 7)
            + cell(each.projections_first, ".2f", 7)
            + cell(each.projections, "", 7)
            + cell(each.floor, ".2f", 6)
            + cell(each.jumps, ".0%", 6)
            + cell(each.last_jumps, ".0%", 6)
            + cell(each.stayed, ".2f", 7)
            + cell(each.changed, ".2f", 7)
            + f" {each.dead:>5}"
        )
    typer.echo(
        f"\nfirst: cosine of the first snapshot with the last; settled: the {result.axis} from which on it stays at "
        "0.9 or above; same unit: its projections of one photo and position; two maps: the same cosine between "
        "different maps; photo changed: share of maps whose strongest photo is another than a snapshot before; "
        "strongest: cosine of a map's strongest projection with the one before, where its photo stayed and where it "
        "changed; dead: maps that no photo activates at the end."
    )
    if result.skipped:
        typer.echo(f"photos that could not be read: {len(result.skipped)}, the first {result.skipped[0]}")
    typer.echo(
        f"{result.photos} {result.photo_set} in {len(result.snapshots)} snapshots: {result.forward_seconds:.1f} s in "
        f"the search of {result.seconds:.1f} s in all."
    )
