"""Pictures of every map of a mining run, kept in the run: 3 x 3 projections and 3 x 3 patches of each.

Command: ``deconvnet top RUN --all``. Killed and started again, it goes on with the maps that have no pictures yet. The
run then shows itself without photos, weights or torch: see docs/run-format.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deconvnet.data import Photos
from deconvnet.data.batches import one_ahead
from deconvnet.errors import OptionError, RunError
from deconvnet.experiments.top_nine.tiles_record import SIDE, Tiles, tile_name
from deconvnet.figures.display import display
from deconvnet.figures.patches import cut_patch
from deconvnet.figures.tiles import shrink, tile
from deconvnet.mining.record import LayerTop, TopActivations
from deconvnet.mining.run_record import MiningRecord
from deconvnet.networks import Network
from deconvnet.progress import Progress, report
from deconvnet.projection import Projections
from deconvnet.projection import project as project_tensor
from deconvnet.reopening import reopen
from deconvnet.runs import Run, Unit
from deconvnet.tracing.receptive import receptive_fields

_PHOTOS = 192  # views in memory at once, about; twice that with those that are read ahead
_DECODERS = 2


def write_tiles(
    run: Run,
    layers: Sequence[str] | None = None,
    *,
    cell: int = 96,
    rule: str = "deconvnet",
    unpool: str = "sum",
    lrn: str = "identity",
    activations: str = "refuse",
    data: Path | str | None = None,
    network: Network | str | None = None,
    progress: Progress | None = None,
) -> Tiles:
    """Draw every active map of mined layers into the run.

    Parameters
    ----------
    run : Run
        What :func:`mine` wrote.
    layers : sequence of str, optional
        Layers to draw; all mined ones unless given.
    cell : int
        Longest side of a projection or patch in pixels; larger receptive fields are scaled down, smaller stay exact.
    rule, unpool, lrn, activations : str
        Settings of the deconvnet.
    data : path, optional
        Where the photos lie now, if they moved.
    network : Network or str, optional
        The network or its name; the run says it unless a Python file or a program of yours built it.
    progress : Progress, optional
        In maps.

    Returns
    -------
    Tiles
        What is in the run now, also from earlier calls.

    Raises
    ------
    RunError
        If the run is unfinished, its photos or weights are gone or changed, it holds tiles of other settings, or the
        disk is full: what was drawn stays, and a later call goes on.
    UnknownNameError, OptionError
        If a layer was not mined, or ``cell`` is less than 8.
    """
    if cell < 8:
        raise OptionError(f"a cell has at least 8 pixels, not {cell}.")
    if not run.finished:
        raise RunError(f"{run.path} is unfinished: go on with `deconvnet mine --resume` first.")
    mined = MiningRecord.read(run).mined
    wanted = list(mined.layers) if layers is None else list(dict.fromkeys(layers))
    tops = {layer: mined[layer] for layer in wanted}
    settings = {"rule": rule, "unpool": unpool, "lrn": lrn, "activations": activations, "cell": cell}
    before = Tiles.read(run) if Tiles.exist(run) else None
    if before is not None and before.settings != settings:
        raise RunError(
            f"{run.path} holds tiles of other settings ({before.settings}): delete its folder tiles to draw others."
        )
    network, photos = reopen(run, data, network)
    tiles = _plan(network, mined, settings)
    tiles.write(run)
    missing = [
        (layer, channel)
        for layer, top in tops.items()
        for channel in range(top.channels)
        if top.active[channel] and not _is_drawn(run, layer, channel)
    ]
    total = sum(int((top.active > 0).sum()) for top in tops.values())
    done = total - len(missing)
    report(progress, done, total, "drawing maps")
    options = {key: value for key, value in settings.items() if key != "cell"}
    with ThreadPoolExecutor(_DECODERS, thread_name_prefix="tiles") as pool:
        drawing: list[Future[None]] = []
        for block in one_ahead(_blocks(network, photos, tops, missing)):
            units = [Unit(w.layer, w.channel, w.position) for w in block.winners]
            places = [block.place[w.photo] for w in block.winners]
            found = project_tensor(network.module, block.inputs, units, photos=places, **options)
            for earlier in drawing:
                earlier.result()  # an error of writing stops here
            drawing = [pool.submit(_draw, run, found, block, first, end, cell) for first, end in block.maps()]
            done += len(drawing)
            report(progress, done, total, "drawing maps")
        for last in drawing:
            last.result()
    return tiles


@dataclass(frozen=True)
class _Cell:
    """A winner of a map."""

    layer: str
    channel: int
    photo: int
    position: tuple[int, int] | None


@dataclass(frozen=True)
class _Block:
    """Winners of a few maps of one layer, with the photos they need."""

    winners: list[_Cell]
    views: list[np.ndarray]
    place: dict[int, int]
    inputs: Any

    def maps(self) -> Iterator[tuple[int, int]]:
        """The winners of each map: first, and one past the last."""
        first = 0
        for end in range(1, len(self.winners) + 1):
            if end == len(self.winners) or self.winners[end].channel != self.winners[first].channel:
                yield first, end
                first = end


def _plan(network: Network, mined: TopActivations, settings: dict[str, Any]) -> Tiles:
    fields = receptive_fields(network.module, network.input_shape)
    size = network.preprocessing.input_size
    layers: dict[str, Any] = {}
    for name, top in mined.layers.items():
        field = fields[name]
        rows, columns = field.rows, field.columns
        known = rows is not None and columns is not None and not field.whole
        layers[name] = {
            "channels": top.channels,
            "field": [[a.size, a.stride, a.start] for a in (rows, columns) if a is not None] if known else None,
            "drawn": np.flatnonzero(top.active > 0),
            "count": np.minimum((top.values > 0).sum(axis=1), SIDE * SIDE),
        }
    return Tiles(settings, size, layers)


def _is_drawn(run: Run, layer: str, channel: int) -> bool:
    return all((run.path / tile_name(layer, channel, what)).is_file() for what in ("projections", "patches"))


def _blocks(
    network: Network, photos: Photos, tops: dict[str, LayerTop], missing: list[tuple[str, int]]
) -> Iterator[_Block]:
    waiting: list[_Cell] = []
    for number, (layer, channel) in enumerate(missing):
        top = tops[layer]
        winners = [w for w in top.winners(channel) if w.active][: SIDE * SIDE]
        waiting += [_Cell(layer, channel, w.photo, w.position if top.spatial else None) for w in winners]
        at_end = number + 1 == len(missing) or missing[number + 1][0] != layer
        if at_end or len({w.photo for w in waiting}) >= _PHOTOS:
            yield _block(network, photos, waiting)
            waiting = []


def _block(network: Network, photos: Photos, winners: list[_Cell]) -> _Block:
    order = sorted({w.photo for w in winners})
    views: list[np.ndarray] = []
    for batch in photos.batches(network.view, 8, indices=order, fill=False, threads=_DECODERS, at_least_one=False):
        for unreadable in batch.unreadable.values():
            raise RunError(f"{unreadable.name} can no longer be read ({unreadable.why}): mine again.")
        views += batch.views
    place = {photo: number for number, photo in enumerate(order)}
    return _Block(winners, views, place, network.preprocessing.tensor(views))


def _draw(run: Run, found: Projections, block: _Block, first: int, end: int, cell: int) -> None:
    """The two pictures of one map; the patches come last, so that a map with both is whole."""
    projections = [shrink(display(found.projection(index)), cell) for index in range(first, end)]
    patches = [
        shrink(cut_patch(block.views[block.place[block.winners[index].photo]], found.boxes[index]), cell)
        for index in range(first, end)
    ]
    where = block.winners[first]
    run.save_picture(tile_name(where.layer, where.channel, "projections"), tile(projections, SIDE, gap=0))
    run.save_picture(tile_name(where.layer, where.channel, "patches"), tile(patches, SIDE, gap=0))
