"""Figure 2: the nine strongest activations of every feature map over a dataset, projected, beside their patches.

Commands: ``deconvnet mine NETWORK --data FOLDER --out RUN``, then ``deconvnet top RUN LAYER``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deconvnet.data import Photos
from deconvnet.errors import OptionError, RunError
from deconvnet.experiments.top_nine.figure import TopBlock, top_grid
from deconvnet.experiments.top_nine.measure import KIND as KIND
from deconvnet.experiments.top_nine.tile_figure import caption, dead_block, tile_block
from deconvnet.experiments.top_nine.tiles import write_tiles as write_tiles
from deconvnet.experiments.top_nine.tiles_record import Tiles, tile_name
from deconvnet.mining.record import LayerTop
from deconvnet.mining.run_record import MiningRecord
from deconvnet.networks import Network
from deconvnet.photo_projections.project import project
from deconvnet.progress import Progress, report
from deconvnet.reopening import PhotosGone, reopen
from deconvnet.runs import Run, Unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DRAWN = 9  # 3 x 3, Fig. 2
_DECILES = tuple(tenth / 10 for tenth in range(1, 10))


def draw_top_nine(
    run: Run,
    layer: str,
    *,
    channels: Sequence[int] | None = None,
    maps: int = 16,
    seed: int = 0,
    rule: str = "deconvnet",
    unpool: str = "sum",
    lrn: str = "identity",
    activations: str = "refuse",
    ordinary: bool = False,
    data: Path | str | None = None,
    network: Network | str | None = None,
    progress: Progress | None = None,
) -> Figure:
    """Draw Figure 2 for one layer of a mining run.

    Where the photos are gone, it is drawn from the run's own tiles, if :func:`write_tiles` made any.

    Parameters
    ----------
    run : Run
        What :func:`mine` wrote.
    layer : str
        One of its layers.
    channels : sequence of int, optional
        Feature maps; a random subset of ``maps`` by ``seed`` unless given, as in the paper. A map that no photo
        activates is drawn empty, and its title says that it is dead.
    maps, seed : int
        Size of the random subset, and its seed.
    rule, unpool, lrn, activations : str
        Settings of the deconvnet.
    ordinary : bool
        Draw ordinary photos beside which to judge the strongest: at the deciles of the map's maximum over all photos
        that activate it, one photo each, drawn at random (see :class:`deconvnet.mining.histogram.LayerSpread`).
    data : path, optional
        Where the photos lie now, if they moved.
    network : Network or str, optional
        The network or its name; the run says it unless a Python file or a program of yours built it.
    progress : Progress, optional

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    RunError
        If the run is unfinished, or its photos or weights are gone or changed.
    UnknownNameError, OptionError
        If the layer was not mined, or a map does not exist.
    """
    if not run.finished:
        raise RunError(f"{run.path} is unfinished: mine again (a killed run does not hold all photos).")
    mined = MiningRecord.read(run).mined
    found = mined[layer]
    if maps < 1 or seed < 0:
        raise OptionError(f"maps must be at least 1 and seed at least 0, not {maps} and {seed}.")
    if channels is None:
        subset = np.random.default_rng(seed).permutation(found.channels)[:maps]
        channels = sorted(int(c) for c in subset)
    for channel in channels:
        if not 0 <= channel < found.channels:
            raise OptionError(f"{layer} has maps 0 to {found.channels - 1}; there is no map {channel}.")
    if ordinary and found.spread is None:
        raise RunError(f"{run.path} holds no random photos, being of an earlier deconvnet: mine again.")
    settings = {"rule": rule, "unpool": unpool, "lrn": lrn, "activations": activations}
    gone: PhotosGone | None = None
    opened: Network | None = None
    photos: Photos | None = None
    try:
        opened, photos = reopen(run, data, network)
    except PhotosGone as error:
        if ordinary or not _has_tiles(run, found, layer, channels, settings):
            raise
        gone = error
    blocks: list[TopBlock] = []
    for done, channel in enumerate(channels, start=1):
        if opened is None or photos is None:
            blocks.append(tile_block(run, found, layer, channel))
        else:
            drawn = _sampled(found, channel) if ordinary else _strongest(found, channel)
            blocks.append(_block(opened, photos, found, layer, channel, drawn, settings, run.inputs["classes"]))
        report(progress, done, len(channels), f"projecting {layer}")
    dead = len(found.dead)
    if ordinary:
        note = (
            f"{len(channels)} of {found.channels} maps, random photos near the deciles of the maximum over those of "
            f"{found.count} photos that activate the map, the weakest first"
        )
    else:
        note = f"{len(channels)} of {found.channels} maps, top {min(found.k, _DRAWN)} of {found.count} photos"
    note += f"; {dead} maps of this layer are dead on these photos" if dead else ""
    note += "; drawn from the run's tiles, as the photos are gone" if gone else ""
    name = opened.title if opened else run.inputs["network"]
    title = f"{name} {layer}, ordinary photos" if ordinary else f"{name} {layer}"
    return top_grid(blocks, title=title, note=note, selection=not ordinary)


def _strongest(found: LayerTop, channel: int) -> list[tuple[int, tuple[int, int] | None]]:
    """The photos and positions of a map's nine."""
    winners = [w for w in found.winners(channel) if w.active][:_DRAWN]
    return [(w.photo, w.position if found.spatial else None) for w in winners]


def _sampled(found: LayerTop, channel: int) -> list[tuple[int, tuple[int, int] | None]]:
    """Random photos at the deciles of those that activate a map; each at the map's strongest position."""
    assert found.spread is not None
    photos = [s.photo for s in found.spread.at_quantiles(channel, _DECILES, active=True)]
    return [(photo, None) for photo in dict.fromkeys(photos)]


def _block(
    network: Network,
    photos: Photos,
    found: LayerTop,
    layer: str,
    channel: int,
    drawn: list[tuple[int, tuple[int, int] | None]],
    settings: dict[str, Any],
    classes: Sequence[str],
) -> TopBlock:
    if not drawn:
        nothing = np.zeros((1, *network.input_shape[1:]), np.float32)
        return dead_block(layer, channel, nothing)
    pixels = [photos.read(photo) for photo, _ in drawn]
    units = [Unit(layer, channel, position) for _, position in drawn]
    shown = project(network, pixels, units, per_photo=range(len(units)), **settings)
    return TopBlock(
        f"{layer}:{channel}",
        [shown.projection(i) for i in range(len(shown))],
        [shown.patch(i) for i in range(len(shown))],
        caption(found, channel, classes),
    )


def _has_tiles(run: Run, found: LayerTop, layer: str, channels: Sequence[int], settings: dict[str, str]) -> bool:
    if not Tiles.exist(run):
        return False
    tiles = Tiles.read(run)
    same = all(tiles.settings.get(key) == value for key, value in settings.items())
    files = (run.path / tile_name(layer, c, w) for c in channels if found.active[c] for w in ("projections", "patches"))
    return same and all(path.is_file() for path in files)
