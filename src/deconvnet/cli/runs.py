"""``deconvnet runs show`` and ``deconvnet runs list``: what a run is, told without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deconvnet.terminal import panels

if TYPE_CHECKING:
    from deconvnet.mining.record import LayerTop
    from deconvnet.runs import Run

_BARS = " ▁▂▃▄▅▆▇█"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="List runs, show what is in them, and draw it.", no_args_is_help=True, rich_markup_mode=None
    )
    group.command("list")(list_runs)
    group.command("show")(show)
    group.command("draw")(draw)
    app.add_typer(group, name="runs", rich_help_panel=panels.RUNS)


def show(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    unit: Annotated[
        str | None, typer.Argument(help="Of a mining run: a layer, or a map such as conv5:17, to tell more of.")
    ] = None,
) -> None:
    """Tell what a run is: made of what, finished or not, and its numbers."""
    from deconvnet.errors import OptionError, RunError
    from deconvnet.runs import Run
    from deconvnet.runs.kinds import kind_of

    opened = Run.open(run)
    if unit is not None:
        if opened.kind != "mine" or not (opened.has("record") or opened.has("top")):
            raise OptionError(f"{run} holds no mined layer: leave out {unit!r}.")
        _show_mined(opened, unit)
        return
    _show_manifest(opened)
    _show_shards(opened)
    try:
        told = kind_of(opened).table(opened)
    except RunError:
        if opened.finished:
            raise
        return  # what it is and how far it came is all that an unfinished run can tell
    typer.echo(f"\n{told}")


def draw(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the figures, or a picture's file (png, pdf, svg); the run's own by default."),
    ] = None,
) -> None:
    """Draw a run's figures again from what it holds, without the network and the photos."""
    from deconvnet.figures import save_figure
    from deconvnet.runs import Run
    from deconvnet.runs.kinds import kind_of
    from deconvnet.runs.record import telling

    opened = Run.open(run)
    figures = kind_of(opened).draw(opened)
    place = out or run
    for number, (name, figure) in enumerate(figures.items()):
        if place.suffix and not place.is_dir():
            target = place if not number else place.with_name(f"{place.stem}-{name}{place.suffix}")
        else:
            target = place / f"{name}.png"
        with telling(opened, "cannot be drawn: "):
            written = save_figure(figure, target)
        typer.echo(f"{written}")


def _show_mined(run: Run, unit: str) -> None:
    from deconvnet.mining.run_record import MiningRecord, layer_line
    from deconvnet.runs import Unit

    record = MiningRecord.read(run)
    classes = list(record.classes)
    if ":" in unit:
        address = Unit.parse(unit)
        _show_map(address.channel, record.mined[address.layer], list(record.names), classes)
        return
    top = record.mined[unit]
    typer.echo(layer_line(unit, top))
    for channel in range(top.channels):
        typer.echo(f"{channel:5} {_line(top, channel, classes)}")


def list_runs(folder: Annotated[Path, typer.Argument(help="A folder with runs in it.")]) -> None:
    """List the runs in a folder and below it, newest first."""
    from deconvnet.errors import RunError
    from deconvnet.runs import Run

    if not folder.is_dir():
        raise RunError(f"there is no folder {folder}: check the path.")
    found = []
    for path in folder.rglob("manifest.json"):
        try:
            found.append(Run.open(path.parent))
        except RunError:
            continue  # another program's manifest
    for run in sorted(found, key=lambda run: run.manifest["created"], reverse=True):
        state = "finished" if run.finished else "unfinished"
        of = run.inputs.get("network") or run.settings.get("network") or ""
        typer.echo(f"{run.manifest['created']}  {run.kind:8} {state:10} {of!s:24} {run.path}")
    if not found:
        typer.echo(f"no runs in {folder}")


def _show_manifest(run: Run) -> None:
    manifest = run.manifest
    typer.echo(f"{run.kind} run {run.path}, {'finished' if run.finished else 'NOT FINISHED'}")
    typer.echo(f"  made {manifest['created']} by deconvnet {manifest.get('deconvnet')}, schema {manifest['schema']}")
    for part in ("inputs", "settings"):
        for key, value in manifest[part].items():
            typer.echo(f"  {key}: {_short(value)}")
    for name in ("photos", "weights"):
        place = run.place(name)
        if place is not None:
            path = place.removeprefix("hf:").partition("#")[0]
            there = place == "shipped" or "{" in place or Path(path).exists()
            held = "" if there else "; the pictures in the run remain" if run.has("tiles/index") else ""
            typer.echo(f"  {name} at {place}{'' if there else ' (GONE' + held + ')'}")
    for line in _contents(run.path):
        typer.echo(f"  {line}")


def _show_shards(run: Run) -> None:
    count = run.manifest.get("shards")
    if run.kind != "mine" or run.finished or not isinstance(count, int):
        return
    import json

    for shard in range(count):
        name = f"state/{shard + 1}-of-{count}"
        if not run.has(name):
            typer.echo(f"  shard {shard + 1}/{count}: not begun")
            continue
        words = json.loads(run.arrays(name)["state"].tobytes())
        typer.echo(f"  shard {shard + 1}/{count}: {words['done']} of {words['total']} batches")
    typer.echo("  go on with the same command and --resume")


def _contents(folder: Path) -> list[str]:
    """Files by folder: how many, and how large."""
    sizes: dict[str, list[int]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            inside = path.relative_to(folder)
            key = inside.name if len(inside.parts) == 1 else f"{inside.parts[0]}/"
            sizes.setdefault(key, []).append(path.stat().st_size)
    return [
        f"{key}: {f'{len(found)} files, ' if key.endswith('/') else ''}{sum(found) / 1e6:.2f} MB"
        for key, found in sizes.items()
    ]


def _line(top: LayerTop, channel: int, classes: list[str]) -> str:
    if not top.active[channel]:
        return "dead"
    said = f"active in {100 * float(top.active_share[channel]):5.3g} %, mean {float(top.mean_maximum[channel]):8.3g}"
    said += f", strongest {float(top.values[channel, 0]):8.3g}"
    if top.spread is not None:
        strongest = top.spread.strongest_classes(channel, 3) if classes else []
        said += f"  {bars(top, channel)}"
        said += f"  {', '.join(f'{classes[number]} {mean:.3g}' for number, mean in strongest)}"
    return said


def bars(top: LayerTop, channel: int, width: int = 24) -> str:
    """The histogram of a map's positive maxima as one line of bars, over the bins that any photo of the layer fills."""
    import numpy as np

    assert top.spread is not None
    filled = np.flatnonzero(top.spread.histogram[:, 1:].sum(axis=0))
    counts = top.spread.histogram[channel, 1:][filled[0] : filled[-1] + 1]
    groups = np.array([part.sum() for part in np.array_split(counts, min(width, len(counts)))])
    most = max(int(groups.max()), 1)
    return "".join(_BARS[int(np.ceil((len(_BARS) - 1) * count / most))] for count in groups)


def _show_map(channel: int, top: LayerTop, names: list[str], classes: list[str]) -> None:
    from deconvnet.mining.histogram import QUANTILES, edges

    winners = top.winners(channel)  # refuses a map that does not exist
    typer.echo(_line(top, channel, classes))
    typer.echo("strongest:")
    for place, winner in enumerate(winners, start=1):
        at = f"at {winner.position[0]},{winner.position[1]}" if top.spatial else ""
        typer.echo(f"  {place:3} {winner.value:10.4g} {at:12} {names[winner.photo]}")
    if top.spread is None:
        return
    typer.echo("drawn at random near the quantiles of the photos that activate it:")
    for sampled in top.spread.at_quantiles(channel, QUANTILES, active=True):
        typer.echo(f"  {100 * sampled.quantile:3.0f} % {sampled.value:10.4g} {'':12} {names[sampled.photo]}")
    if classes:
        typer.echo("classes by mean maximum:")
        for number, mean in top.spread.strongest_classes(channel, 8):
            typer.echo(f"  {mean:10.4g} {classes[number]} ({int(top.spread.class_counts[number])} photos)")
    typer.echo("photos by maximum:")
    counts, low = top.spread.histogram[channel], edges()
    typer.echo(f"  {'not active':>21} {counts[0]}")
    for number in counts[1:].nonzero()[0]:
        typer.echo(f"  {low[number]:9.4g} - {low[number + 1]:9.4g} {counts[number + 1]}")


def _short(value: Any) -> str:
    if isinstance(value, list) and len(value) > 8:
        return f"{', '.join(map(str, value[:4]))}, ... ({len(value)})"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."
