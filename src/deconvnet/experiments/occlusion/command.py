"""``deconvnet occlude``: Figure 7, a square slides over a photo."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deconvnet.progress import ProgressReport
from deconvnet.terminal import options, panels

if TYPE_CHECKING:
    from deconvnet.experiments.occlusion import Occlusion
    from deconvnet.experiments.occlusion.faithfulness_record import Faithfulness
    from deconvnet.experiments.occlusion.record import OccludedPhoto, OcclusionMap
    from deconvnet.networks import Network


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("occlude", rich_help_panel=panels.PAPER)(occlude)


def occlude(
    network: options.NetworkArgument,
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="One photo or several.")],
    size: Annotated[
        str | None, typer.Option(help="Side of the square in pixels, or HEIGHTxWIDTH; 50 of 224 unless given.")
    ] = None,
    stride: Annotated[
        str | None, typer.Option(help="Pixels between two positions, or DOWNxACROSS; 8 of 224 unless given.")
    ] = None,
    fill: Annotated[
        list[str] | None, options.fill("fills the square", "; may be repeated, for a row of panels each")
    ] = None,
    border: Annotated[
        str, typer.Option(help="Where squares may lie at the border: inside, cut or partial.")
    ] = "inside",
    layer: Annotated[
        str | None, typer.Option(help="Layer of the feature map; the last convolution unless given.")
    ] = None,
    map: Annotated[int | None, typer.Option(help="Number of the feature map; the strongest unless given.")] = None,
    strongest: Annotated[str, typer.Option(help="What makes a map the strongest: max or sum.")] = "max",
    label: Annotated[list[str] | None, options.label("The predicted class")] = None,
    score: Annotated[str, typer.Option(help="Which score of the class to draw: probability or logit.")] = "probability",
    run: Annotated[
        Path | None, typer.Option(help="A run of `deconvnet mine`, in whose strongest photos the map is projected.")
    ] = None,
    data: options.MovedDataOption = None,
    out: Annotated[
        Path,
        typer.Option(help="The picture to write (.png, .pdf or .svg), or a folder for a run with the numbers too."),
    ] = Path("occlusion.png"),
    memory: Annotated[int, typer.Option(help="Memory that activations may take, in MiB.")] = 2048,
    faithfulness: Annotated[
        bool, typer.Option("--faithfulness", help="Measure deletion and insertion curves too, beside random orders.")
    ] = False,
    steps: Annotated[int, typer.Option(help="Number of points of a deletion or insertion curve.")] = 32,
    seeds: Annotated[int, typer.Option(help="How many times to repeat each random order.")] = 5,
    input_size: options.InputSizeOption = None,
    weights: options.WeightsOption = "shipped",
    overwrite: Annotated[bool, typer.Option(help="Replace an earlier run in this folder.")] = False,
) -> None:
    """Slide a square over photos and measure what the network misses (Figure 7)."""
    from deconvnet.data import read_photo
    from deconvnet.errors import OptionError
    from deconvnet.experiments import occlusion
    from deconvnet.experiments.occlusion import OcclusionReport
    from deconvnet.experiments.occlusion.faithfulness_figure import faithfulness_curves
    from deconvnet.experiments.occlusion.record import KIND, SCORES, OcclusionRecord
    from deconvnet.figures import save_figure
    from deconvnet.networks import load
    from deconvnet.runs import Run, places
    from deconvnet.terminal.progress import ProgressBar

    if score not in SCORES:
        raise OptionError(f"--score is {' or '.join(SCORES)}, not {score!r}.")
    if memory < 1:
        raise OptionError(f"--memory must be at least 1 MiB, not {memory}.")
    if faithfulness and (steps < 1 or seeds < 1):
        raise OptionError(f"--steps and --seeds must be at least 1, not {steps} and {seeds}.")
    sizes, strides = _pair("--size", size), _pair("--stride", stride)
    picture, curves, folder = _places(out, photos)
    mined = None if run is None else Run.open(run, "mine")
    found = load(network, weights, **({} if input_size is None else {"input_size": input_size}))
    pixels = [(path.name, read_photo(path)) for path in photos]
    record: Run | None = None

    def ready(settings: Any, inputs: Any) -> None:
        nonlocal record
        if folder is not None:
            notes = {} if weights == "shipped" else {"places": places(folder, weights=str(Path(weights).resolve()))}
            record = Run.create(folder, KIND, {**settings, "score": score}, inputs, notes=notes, overwrite=overwrite)

    with ProgressBar("covering") as shown:
        note = ""

        def tell(report: ProgressReport) -> None:
            nonlocal note
            if isinstance(report, OcclusionReport) and report.map is not None:
                note = _so_far(report.map)
            shown(replace(report, note=note))

        result = occlusion.occlude(
            found,
            pixels,
            size=sizes,
            stride=strides,
            fills=fill or ["mean"],
            border=border,
            layer=layer,
            channel=map,
            strongest=strongest,
            labels=label or [],
            mined=mined,
            data=data,
            memory=memory << 20,
            ready=ready,
            progress=tell,
        )
    if record is not None:
        OcclusionRecord(found.title, result.photos, (), score).write(record)
    save_figure(result.plot(score), picture)
    for photo in result.photos:
        _tell(photo)
    for note in result.notes:
        typer.echo(note)
    measured = _faithfulness(found, result, steps, seeds) if faithfulness else []
    if measured:
        save_figure(faithfulness_curves(measured, f"{found.title}: deletion and insertion"), curves)
    if record is not None:
        if measured:
            OcclusionRecord(found.title, result.photos, tuple(measured), score).write(record)
        record.finish()
    typer.echo(result.photos[0].maps[0].grid.about)
    typer.echo(
        f"The picture is in {picture}"
        + (f", the curves in {curves}" if measured else "")
        + (f", the numbers in {folder}." if folder is not None else ".")
    )


def _pair(option: str, text: str | None) -> tuple[int, int] | None:
    """``50`` or ``50x30``."""
    from deconvnet.errors import OptionError

    if text is None:
        return None
    match = re.fullmatch(r"(\d+)(?:[x×](\d+))?", text.strip())
    if not match or min(int(part) for part in match.groups() if part) < 1:
        raise OptionError(f"{option} is a number of pixels of at least 1, or HEIGHTxWIDTH such as 50x30, not {text!r}.")
    return int(match[1]), int(match[2] or match[1])


def _places(out: Path, photos: list[Path]) -> tuple[Path, Path, Path | None]:
    """Where the two pictures go, and the folder of the run if there is one."""
    from deconvnet.errors import OptionError
    from deconvnet.terminal.outputs import check_drawing, check_picture

    if out.suffix and not out.is_dir():
        curves = out.with_name(f"{out.stem}-faithfulness{out.suffix}")
        for photo in photos:
            check_picture(out, photo)
            check_picture(curves, photo)
        return out, curves, None
    check_drawing()
    for photo in photos:
        if photo.resolve().is_relative_to(out.resolve()):
            raise OptionError(f"the photo {photo} lies in the run's own folder {out}: give the run another.")
    return out / "occlusion.png", out / "faithfulness.png", out


def _so_far(found: OcclusionMap) -> str:
    label = found.predicted
    lowest = float(found.score(label).min())
    every = "all positions" if found.step == 1 else f"every {found.step}. position"
    return f"{every}: {found.classes[label]} {found.clean_score(label):.2f}, covered at least {lowest:.2f}"


def _tell(photo: OccludedPhoto) -> None:
    from deconvnet.experiments.occlusion.record import rank_correlation

    first = photo.maps[0]
    for i, found in enumerate(photo.maps):
        values = found.score(photo.label)
        row, column = divmod(int(values.argmin()), values.shape[1])
        down, across = (float(each[j]) for each, j in zip(found.grid.centres, (row, column), strict=True))
        changed = int((found.most_probable != found.predicted).sum())
        activity = found.sums[..., photo.channel]
        agreement = photo.agreement(i)
        logits = rank_correlation(values, found.score(photo.label, "logit"))
        fills = rank_correlation(values, first.score(photo.label)) if i else None
        typer.echo(f"{photo.name}, {found.fill.about}:")
        typer.echo(
            f"  {photo.label_name} {found.clean_score(photo.label):.3f} uncovered, {float(values.min()):.3f} with the "
            f"square at row {down:g}, column {across:g}; another class than {found.classes[found.predicted]} wins at "
            f"{changed} of {len(found.grid)} positions"
        )
        if logits is not None:
            typer.echo(
                f"  rank correlation of the map of its probability with that of its logit {logits:.2f}"
                + ("" if fills is None else f", with that by {first.fill.name} {fills:.2f}")
            )
        typer.echo(
            f"  {photo.unit} total activity {found.clean_sums[photo.channel]:.4g} uncovered, down to "
            f"{float(activity.min()):.4g}"
            + (
                ""
                if agreement is None
                else f"; rank correlation of its loss with what the square covers of its projection {agreement:.2f}"
            )
        )


def _faithfulness(network: Network, result: Occlusion, steps: int, seeds: int) -> list[Faithfulness]:
    from deconvnet.experiments.occlusion import measure_faithfulness
    from deconvnet.terminal.progress import ProgressBar

    measured = []
    with ProgressBar() as shown:
        for photo in result.photos:
            for found in photo.maps:
                one = measure_faithfulness(
                    network,
                    found,
                    photo.label,
                    photo=photo.name,
                    steps=steps,
                    seeds=seeds,
                    progress=shown,
                )
                measured.append(one)
    for one in measured:
        for curve in ("deletion", "insertion"):
            areas = {order: one.area(curve, order) for order in one.deletion}
            said = ", ".join(
                f"{order} {area.mean():.3f}" + (f" ± {area.std():.3f}" if len(area) > 1 else "")
                for order, area in areas.items()
            )
            typer.echo(f"{one.photo}, {one.fill}, {curve} area: {said}")
    return measured
