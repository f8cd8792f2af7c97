"""``deconvnet reproduce``: the whole paper at one scale, and each of its claims judged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deconvnet.terminal import options, panels


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reproduce", rich_help_panel=panels.PAPER)(reproduce)


def reproduce(
    data: Annotated[Path, options.data("A folder or zip of CLASS/photo.jpg.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; parts that it already holds are not repeated.")] = Path(
        "runs/reproduction"
    ),
    scale: Annotated[str, typer.Option(help="How large the experiments are: smoke, laptop or full.")] = "laptop",
    exclude: options.ExcludeOption = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="A part to do, with the parts that it needs; may be repeated. All parts unless given."),
    ] = None,
    parts: Annotated[
        Path | None, typer.Option(help="A CSV file of marked parts of photos; those of Caltech-101 unless given.")
    ] = None,
    target: Annotated[
        Path | None, typer.Option(help="Photos to transfer to; every second class goes to the others unless given.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the parts with their estimated cost.")] = False,
    threads: options.ThreadsOption = None,
    device: options.DeviceOption = "cpu",
    overwrite: Annotated[
        bool, typer.Option(help="Remove an earlier reproduction in this folder with all its parts.")
    ] = False,
) -> None:
    """Run all of the paper's experiments at one scale and judge its claims.

    If it is interrupted, the same command goes on."""
    import torch

    from deconvnet import reproduction
    from deconvnet.data import open_photos
    from deconvnet.experiments.correspondence import read_parts
    from deconvnet.reproduction import scale_named
    from deconvnet.reproduction.record import PartTime
    from deconvnet.terminal.outputs import check_drawing
    from deconvnet.terminal.progress import ProgressBar

    chosen = scale_named(scale)
    if threads is not None:
        torch.set_num_threads(threads)
    check_drawing()
    read_parts(parts)
    photos = open_photos(data).exclude(exclude or [])
    photos = photos.subset(photos.labels >= 0)
    aim = None if target is None else open_photos(target)
    paper = reproduction.PaperInputs(chosen, photos, out, parts, aim, device)
    if dry_run:
        _tell_plan(reproduction.plan(paper), chosen.about)
        return
    with ProgressBar() as shown:

        def began(part: reproduction.PaperPart) -> None:
            shown.prefix = f"{part.name}: "
            shown.begin(part.name)

        def ended(part: PartTime) -> None:
            told = f"{part.seconds:.0f} s" if part.seconds is not None else f"not done: {part.why}"
            shown.print(f"{part.name}: {told}")

        paper = reproduction.PaperInputs(chosen, photos, out, parts, aim, device, shown)
        inputs = {"data": str(photos.root.resolve()), "excluded": sorted(exclude or [])}
        inputs |= {"parts": str(parts.resolve())} if parts else {}
        inputs |= {"target": str(target.resolve())} if target else {}
        try:
            record = reproduction.reproduce(
                paper, only=only or (), overwrite=overwrite, inputs=inputs, began=began, ended=ended
            )
        except KeyboardInterrupt:
            shown.stop()
            typer.echo(f"interrupted; what is done is in {out}: the same command goes on.", err=True)
            raise typer.Exit(130) from None
    typer.echo(record.table())
    typer.echo("")
    typer.echo(record.times())
    typer.echo(f"\n{record.about}\n{record.summary()} The rules, and all of it, are in {out / 'claims.md'}.")


def _tell_plan(planned: tuple, about: str) -> None:
    typer.echo(about)
    for each in planned:
        state = "done" if each.done else f"{each.minutes:,.1f} min"
        typer.echo(f"{each.part.name:22} {state:>16}  {each.part.title}")
    left = sum(each.minutes for each in planned if not each.done)
    typer.echo(
        f"About {left:,.0f} minutes of one core are left ({left / 60 / 24:,.1f} days): an estimate from the number of "
        "forward passes, each of 9 ms for a photo of 128 px."
    )
