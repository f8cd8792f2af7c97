"""``deconvnet diagnose``: what is wrong with a network's filters and maps (Sec. 4.1, Fig. 6)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deconvnet.terminal import options, panels

if TYPE_CHECKING:
    from deconvnet.experiments.diagnosis.record import DiagnosisRecord


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("diagnose", rich_help_panel=panels.PAPER)(diagnose)


def diagnose(
    network: Annotated[
        list[str],
        typer.Argument(
            help="One to four built-in networks, weights files, torchvision:NAME, timm:NAME or FILE.py:NAME."
        ),
    ],
    data: Annotated[
        Path | None, options.data("A folder or zip of photos; only the filters are looked at unless given.")
    ] = None,
    exclude: options.ExcludeOption = None,
    photos: Annotated[int, typer.Option(help="Number of photos to sample at random.")] = 300,
    probe: Annotated[int, typer.Option(help="Number of those photos to use for strided layers and for shifts.")] = 48,
    seed: Annotated[int, options.seed("sampling photos")] = 0,
    weights: Annotated[
        str, typer.Option(help="A weights file to use instead of the shipped weights, with one network.")
    ] = "shipped",
    out: options.OutOption = Path("diagnosis"),
    overwrite: options.OverwriteOption = False,
) -> None:
    """Find dead maps, aliasing and other faults of filters, and say what helps (Section 4.1)."""
    from deconvnet.data import open_photos
    from deconvnet.errors import OptionError
    from deconvnet.experiments.diagnosis.figure import MOST, diagnosis_figure
    from deconvnet.experiments.diagnosis.measure import diagnose as measure
    from deconvnet.experiments.diagnosis.measure import save_diagnoses
    from deconvnet.experiments.diagnosis.record import KIND
    from deconvnet.figures import save_figure
    from deconvnet.networks import load
    from deconvnet.terminal.outputs import check_drawing, check_run
    from deconvnet.terminal.progress import ProgressBar

    if len(network) > MOST:
        raise OptionError(f"at most {MOST} networks are diagnosed side by side, not {len(network)}.")
    if weights != "shipped" and len(network) > 1:
        raise OptionError("--weights belongs to one network: name weights files in place of the networks.")
    check_run(out, KIND, overwrite)
    if exclude and data is None:
        raise OptionError("--exclude leaves classes of the photos out: give photos with --data.")
    check_drawing()
    networks = [load(name, weights) for name in network]
    found = None if data is None else open_photos(data)
    if found is not None and exclude:
        found = found.exclude(exclude)
    records = []
    with ProgressBar() as shown:
        for each in networks:
            shown.prefix = f"{each.name}: "
            records.append(measure(each, found, sample=photos, probe=probe, seed=seed, progress=shown))
    save_diagnoses(records, out, overwrite=overwrite)
    save_figure(diagnosis_figure(records), out / "diagnosis.png")
    for record in records:
        _tell(record)
    if data is None:
        typer.echo("Without --data only filters were looked at: dead maps, aliasing and shifts need photos.")
    typer.echo(f"The run and its picture are in {out}.")


def _tell(record: DiagnosisRecord) -> None:
    typer.echo(record.title)
    for finding in record.findings:
        typer.echo(f"  {'ok ' if finding.healthy else '!! '} {finding.topic}: {finding.says} {finding.remedy}".rstrip())
    for layer in record.maps:
        if len(layer.dead):
            listed = ", ".join(str(int(c)) for c in layer.dead[:12]) + (" ..." if len(layer.dead) > 12 else "")
            typer.echo(f"      dead in {layer.layer}: {listed}")
