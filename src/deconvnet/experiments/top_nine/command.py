"""``deconvnet mine`` and ``deconvnet top``: the strongest activations of every feature map, and Figure 2 of them."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deconvnet.progress import Progress, ProgressReport
from deconvnet.terminal import options, panels

if TYPE_CHECKING:
    from deconvnet.runs import Run


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("mine", rich_help_panel=panels.PAPER)(mine)
    app.command("top", rich_help_panel=panels.PAPER)(top)


def mine(
    network: options.NetworkArgument,
    data: Annotated[str, options.data("Photos: a folder, a zip, a tar, shard-{000..009}.tar or hf:FOLDER.")],
    out: options.OutOption,
    layers: Annotated[list[str] | None, options.layers("All convolutions")] = None,
    k: Annotated[int, typer.Option(help="Number of photos to keep for each map.")] = 9,
    score: Annotated[str, typer.Option(help="What makes a photo strong: the map's max, sum or mean.")] = "max",
    batch_size: options.BatchOption = 16,
    weights: options.WeightsOption = "shipped",
    seed: Annotated[int, options.seed("sampling photos beside the strongest")] = 0,
    threads: options.DecodersOption = 2,
    state_every: Annotated[int, typer.Option(help="Number of photos after which progress is saved.")] = 10_000,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the unfinished run in this folder.")] = False,
    shard: Annotated[
        str | None, typer.Option(help="Mine one part of the photos, such as 1/8; the process that ends last merges.")
    ] = None,
    overwrite: options.OverwriteOption = False,
) -> None:
    """Find the photos that activate each feature map most strongly.

    Under torchrun the processes share the photos, and the answer is that of a single one.
    """
    from deconvnet.data import open_photos
    from deconvnet.errors import OptionError
    from deconvnet.experiments.top_nine import mine
    from deconvnet.experiments.top_nine.shards import Worker
    from deconvnet.networks import load
    from deconvnet.terminal.progress import ProgressBar

    if resume and overwrite:
        raise OptionError("a run cannot be both overwritten and resumed: choose --overwrite or --resume.")
    worker = Worker.parse(shard) if shard else Worker.from_environment()
    found = load(network, weights)
    if network.endswith(".safetensors"):
        weights = network
    if found.card.get("title", "").endswith("random weights") and worker.rank == 0:
        typer.echo(f"{found.title}: the strongest photos of such maps show what chance does.")
    photos = open_photos(data)
    part = f"{worker.rank + 1}/{worker.count} " if worker.count > 1 else ""
    with ProgressBar("mining", part) as shown:
        run = mine(
            found,
            photos,
            out,
            layers=layers,
            k=k,
            score=score,
            batch_size=batch_size,
            weights=weights,
            seed=seed,
            threads=threads,
            state_every=state_every,
            overwrite=overwrite,
            resume=resume,
            worker=worker,
            progress=_Pace(shown, "photos"),
        )
    if not run.finished:
        _tell_unfinished(run, worker.rank)
    else:
        _tell(run, len(photos), out)


class _Pace:
    """Reports with a note on the photos, or other things, a second in this session."""

    def __init__(self, tell: Progress, what: str) -> None:
        self._tell, self._what = tell, what
        self._first: tuple[float, int] | None = None

    def __call__(self, report: ProgressReport) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now, report.done
        began, before = self._first
        note = f"{(report.done - before) / (now - began):.1f} {self._what}/s" if now > began else ""
        self._tell(replace(report, note=note))


def _tell_unfinished(run: Run, rank: int) -> None:
    from deconvnet.experiments.top_nine.shards import unfinished

    count = run.manifest["shards"]
    batch = run.settings["batch_size"]
    others = [
        f"{shard + 1}/{count} ({'not begun' if state is None else f'{state.done * batch} photos done'})"
        for shard, state in unfinished(run, count)
    ]
    typer.echo(
        f"shard {rank + 1}/{count} is done; the run is whole once these are too: {', '.join(others)}. "
        "If their processes are gone, go on with --resume."
    )


def _tell(run: Run, photos: int, out: Path) -> None:
    from deconvnet.mining.run_record import MiningRecord

    record = MiningRecord.read(run)
    mined = record.mined
    for name, layer in mined.layers.items():
        dead = [int(c) for c in layer.dead]
        listed = f": {', '.join(map(str, dead[:12]))}{' ...' if len(dead) > 12 else ''}" if dead else ""
        typer.echo(f"{name:8} {layer.channels:5} maps, {len(dead)} dead{listed}")
    skipped = record.skipped
    if skipped:
        first = skipped[0]
        typer.echo(
            f"photos that could not be read and were left out: {len(skipped)} of {photos}, "
            f"the first {first.name}: {first.why}"
        )
    if run.settings["k"] > mined.count:
        typer.echo(f"there are fewer photos ({mined.count}) than the {run.settings['k']} asked for each map.")
    typer.echo(_stages(record.seconds, mined.count))
    typer.echo(f"{mined.count} photos mined into {out}. Next: deconvnet top {out} {list(mined.layers)[-1]}")


def _stages(seconds: dict[str, float], photos: int) -> str:
    """Where the time went: each stage's milliseconds a photo, and its share of the forward pass."""
    forward = seconds.get("forward", 0) or 1e-9
    told = [f"forward {1e3 * forward / photos:.1f} ms a photo"]
    words = {"mining": "mining beside it", "waiting": "waiting for photos", "saving": "saving"}
    told += [f"{said} {100 * seconds.get(stage, 0) / forward:.1f} %" for stage, said in words.items()]
    return ", ".join(told) + " of the forward pass"


def top(
    run: Annotated[Path, typer.Argument(help="A run of `deconvnet mine`.")],
    layer: Annotated[str | None, typer.Argument(help="A layer of the run.")] = None,
    map: Annotated[list[int] | None, typer.Option(help="Number of a feature map; may be repeated.")] = None,
    maps: Annotated[int, typer.Option(help="Number of random maps to draw without --map.")] = 16,
    seed: Annotated[int, options.seed("choosing maps")] = 0,
    out: Annotated[Path | None, options.picture("; RUN/LAYER.png unless given")] = None,
    ordinary: Annotated[
        bool, typer.Option("--ordinary", help="Draw random photos at the deciles instead of the nine strongest.")
    ] = False,
    every: Annotated[
        bool,
        typer.Option(
            "--all", help="Write tiles of every map into the run instead of one picture, for LAYER or for all layers."
        ),
    ] = False,
    data: options.MovedDataOption = None,
    network: Annotated[
        str | None, typer.Option(help="The network, needed where a Python file builds it: FILE.py:NAME.")
    ] = None,
    rule: options.RuleOption = "deconvnet",
    unpool: options.UnpoolOption = "sum",
    lrn: options.LrnOption = "identity",
    nonlinearities: options.NonlinearitiesOption = "refuse",
) -> None:
    """Draw the nine strongest projections and patches of each map (Figure 2).

    With --all, tiles of every map are written into the run, which then shows itself without the photos.
    """
    from deconvnet.errors import OptionError
    from deconvnet.experiments.top_nine.measure import KIND
    from deconvnet.runs import Run
    from deconvnet.terminal.outputs import check_picture
    from deconvnet.terminal.progress import ProgressBar

    opened = Run.open(run, KIND)
    settings = {"rule": rule, "unpool": unpool, "lrn": lrn, "activations": nonlinearities}
    if every:
        if map or out or ordinary:
            raise OptionError("--all draws every map into the run: leave out --map, --out and --ordinary.")
        _every(opened, [layer] if layer else None, data, network, settings)
        return
    if layer is None:
        known = ", ".join(opened.settings["layers"])
        raise OptionError(f"name a layer to draw ({known}), or --all for tiles of every map.")
    path = out or run / f"{layer}{'-ordinary' if ordinary else ''}.png"
    check_picture(path)
    from deconvnet.experiments.top_nine import draw_top_nine
    from deconvnet.figures import save_figure

    with ProgressBar(f"projecting {layer}") as shown:
        figure = draw_top_nine(
            opened,
            layer,
            channels=map,
            maps=maps,
            seed=seed,
            ordinary=ordinary,
            data=data,
            network=network,
            progress=shown,
            **settings,
        )
    save_figure(figure, path)
    typer.echo(f"The picture is in {path}.")


def _every(
    run: Run, layers: list[str] | None, data: Path | None, network: str | None, settings: dict[str, str]
) -> None:
    from deconvnet.experiments.top_nine import write_tiles
    from deconvnet.terminal.progress import ProgressBar

    with ProgressBar("drawing maps") as shown:
        tiles = write_tiles(
            run,
            layers,
            data=data,
            network=network,
            progress=_Pace(shown, "maps"),
            **settings,  # pyright: ignore[reportArgumentType]
        )
    count = sum(len(tiles.layers[layer]["drawn"]) for layer in layers or tiles.layers)
    typer.echo(f"{count} maps are drawn in {run.path / 'tiles'}; the run shows them also without the photos.")
