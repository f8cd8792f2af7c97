"""``deconvnet look``: the main job, on sample photos or on one's own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deconvnet.terminal import options, panels

if TYPE_CHECKING:
    from deconvnet.data import Photos
    from deconvnet.experiments.look.measure import LookPhoto


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("look", rich_help_panel=panels.LOOK)(look)


def look(
    photos: Annotated[
        Path | None, typer.Option(help="A photo, or a folder or zip of photos; sample photos unless given.")
    ] = None,
    network: options.NetworkOption = "zfnet",
    out: Annotated[Path, typer.Option(help="Folder of the run and its page.")] = Path("runs/look"),
    top: Annotated[int, typer.Option(help="Number of strongest maps to show for each layer.")] = 6,
    limit: Annotated[int, typer.Option(help="Show at most so many photos.", callback=options.at_least_one)] = 24,
    weights: options.WeightsOption = "shipped",
    nonlinearities: options.NonlinearitiesOption = "refuse",
) -> None:
    """Show what a network sees in photos: predictions, strongest maps and their projections on one page."""
    started = time.monotonic()
    from deconvnet.errors import OptionError

    if photos is not None and photos.resolve().is_relative_to(out.resolve()):
        raise OptionError(f"the photos {photos} lie in the run's own folder {out}: give another --out.")
    typer.echo("loading ...")
    from deconvnet.experiments.look import write_look_page
    from deconvnet.experiments.look.measure import LookReport
    from deconvnet.experiments.look.measure import look as look_at
    from deconvnet.experiments.look.record import Look
    from deconvnet.networks import load
    from deconvnet.progress import only

    found = load(network, weights)
    typer.echo(f"{found.title}: {found.parameters:,} parameters, {len(found.classes)} classes")

    def tell(report: LookReport) -> None:
        result = report.result
        said = ", ".join(f"{name} {value:.0%}" for name, value in result.predictions[:3])
        firsts: dict[str, str] = {}
        for unit in result.units:
            firsts.setdefault(unit.layer, str(unit))
        typer.echo(f"{result.photo.name:20} {said}")
        typer.echo(f"{'':20} strongest: {'  '.join(firsts.values()) or 'no map is active'}")

    shown = _photos(photos, limit)
    run = look_at(
        found, shown, out, top=top, activations=nonlinearities, overwrite=True, progress=only(LookReport, tell)
    )
    skipped = Look.read(run).skipped
    if skipped:
        typer.echo(f"photos that could not be read and were left out: {len(skipped)}")
    for name, why in skipped:
        typer.echo(f"  {name}: {why}")
    page = write_look_page(run)
    typer.echo(f"done in {time.monotonic() - started:.0f} s. Open {page.resolve()} in a browser.")


def _photos(source: Path | None, limit: int) -> Photos | list[LookPhoto]:
    from deconvnet.data import open_photos, sample_photos
    from deconvnet.experiments.look.measure import LookPhoto

    if source is None:
        return [LookPhoto(each.name, f"scikit-image: {each.source}", each.pixels) for each in sample_photos()]
    found = open_photos(source)
    if len(found) > limit:
        typer.echo(f"{source} holds {len(found)} photos; the first {limit} are shown (--limit for more).")
    return found.subset(range(min(limit, len(found))))
