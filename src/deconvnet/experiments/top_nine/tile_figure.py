"""Figure 2 from a run's tiles, and how many photos activate each map: drawn without the network and torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deconvnet.experiments.top_nine.figure import TopBlock, top_grid
from deconvnet.experiments.top_nine.tiles_record import Tiles
from deconvnet.figures.axes import Page, dress, legend
from deconvnet.figures.palette import depth_colour
from deconvnet.mining.record import LayerTop
from deconvnet.mining.run_record import MiningRecord
from deconvnet.runs.directory import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NOTHING = 236  # grey level of a dead map's block
_MAPS = 16  # of a layer, in a figure


def dead_block(layer: str, channel: int, nothing: np.ndarray) -> TopBlock:
    """The block of a map that no photo activates."""
    patch = np.full((*nothing.shape[1:], 3), _NOTHING, np.uint8)
    return TopBlock(f"{layer}:{channel} (dead)", [nothing], [patch])


def tile_block(run: Run, found: LayerTop, layer: str, channel: int) -> TopBlock:
    """A map's block from the run's tiles."""
    if not found.active[channel]:
        return dead_block(layer, channel, np.zeros((1, 32, 32), np.float32))
    tiles = Tiles.read(run)
    return TopBlock(
        f"{layer}:{channel}",
        tiles.cells(run, layer, channel, "projections"),
        tiles.cells(run, layer, channel, "patches"),
        caption(found, channel, run.inputs["classes"]),
    )


def caption(found: LayerTop, channel: int, classes: Sequence[str]) -> str:
    """What a map does to all photos, in a line: how many activate it, and which classes do so most."""
    share = 100 * float(found.active[channel]) / max(found.count, 1)
    said = f"active in {share:.3g} % of photos"
    if found.spread is not None and classes:
        strongest = found.spread.strongest_classes(channel, 2)
        said += "".join(f", {classes[number]} {mean:.3g}" for number, mean in strongest)
    return said


def activity_figure(record: MiningRecord, title: str) -> Figure:
    """Draw for each layer which share of the photos activates its maps, the most active map first.

    Parameters
    ----------
    record : MiningRecord
    title : str
        A line above the figure.

    Returns
    -------
    matplotlib.figure.Figure
    """
    page = Page(7.5, 3.5, title, notes=[f"{record.mined.count} photos; ranked by {record.mined.score}."])
    axes = page.axes(0.6, 0.3, 6.6, 2.7)
    layers = record.mined.layers
    for number, (name, top) in enumerate(layers.items()):
        shares = np.sort(100 * top.active_share)[::-1]
        colour = depth_colour(number, len(layers))
        axes.plot(np.linspace(0, 100, len(shares)), shares, color=colour, label=f"{name}, {len(top.dead)} dead")
    axes.set_ylim(-2, 102)
    dress(axes, "photos that activate the map, %", below="maps, the most active first, %")
    legend(axes)
    return page.figure


def figures(record: MiningRecord, run: Run) -> dict[str, Figure]:
    """The figures of a run, by name: how active the maps are, and Figure 2 of every layer that has tiles."""
    name = str(run.inputs.get("network", ""))
    found = {"activity": activity_figure(record, f"{name}: how many photos activate the maps")}
    if Tiles.exist(run):
        tiles = Tiles.read(run)
        for layer, top in record.mined.layers.items():
            drawn = [int(channel) for channel in tiles.drawn(layer)][:_MAPS] if layer in tiles.layers else []
            if drawn:
                blocks = [tile_block(run, top, layer, channel) for channel in drawn]
                note = f"the first {len(drawn)} of {top.channels - len(top.dead)} active maps, of {top.count} photos"
                found[f"top-{layer}"] = top_grid(blocks, title=f"{name} {layer}", note=note)
    return found
