"""The paper's Figure 2: for each feature map, nine projections beside the nine patches that caused them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deconvnet.errors import OptionError
from deconvnet.figures.canvas import Sheet
from deconvnet.figures.display import display
from deconvnet.figures.lettering import NOTE_LINE, wrapped
from deconvnet.figures.palette import QUIET
from deconvnet.figures.tiles import enlarge, shrink, tile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELL = 96  # pixels of one projection or patch, at most; more would not be seen and would cost memory
_EMPTY = 236  # grey level of a place for which there is no activation


@dataclass(frozen=True)
class TopBlock:
    """One feature map's strongest activations, the strongest first.

    Parameters
    ----------
    title : str
        What stands above the block, for example ``"conv4:17"``.
    projections : sequence of float ndarray, shape (C, h, w)
        Up to nine projections, each cut to its receptive field; or of uint8 ndarray, shape (h, w, 3), already drawn.
    patches : sequence of uint8 ndarray, shape (h, w, 3)
        The patches of the photos, in the same order.
    caption : str
        A second, quieter line above the block.
    """

    title: str
    projections: Sequence[np.ndarray]
    patches: Sequence[np.ndarray]
    caption: str = ""


def top_block_image(block: TopBlock, side: int = 3, cell: int = _CELL) -> np.ndarray:
    """Compose one feature map's block: projections at the left, patches at the right.

    Parameters
    ----------
    block : TopBlock
        What to draw; places that it does not fill stay light grey.
    side : int
        Projections a row, and rows: 3 for the paper's nine.
    cell : int
        Largest side, in pixels, of one cell. Larger pictures are scaled down; smaller ones up by a whole factor.

    Returns
    -------
    uint8 ndarray, shape (H, W, 3)

    Raises
    ------
    OptionError
        If the block is empty, or holds as many projections as patches no more.
    """
    if len(block.projections) != len(block.patches):
        raise OptionError(
            f"{block.title} has {len(block.projections)} projections and {len(block.patches)} patches: "
            "each projection needs its patch."
        )
    if not block.projections:
        raise OptionError(f"{block.title} has no projections to draw: leave it out.")
    count = side * side
    left = [_fit(pixels if pixels.dtype == np.uint8 else display(pixels), cell) for pixels in block.projections[:count]]
    right = [_fit(patch, cell) for patch in block.patches[:count]]
    height = max(picture.shape[0] for picture in left + right)
    width = max(picture.shape[1] for picture in left + right)
    empty = np.full((height, width, 3), _EMPTY, np.uint8)
    gap = max(1, width // 40)
    halves = [tile(half + [empty] * (count - len(half)), side, gap) for half in (left, right)]
    return tile(halves, 2, 3 * gap)


def top_grid(
    blocks: Sequence[TopBlock],
    title: str = "",
    columns: int | None = None,
    side: int = 3,
    note: str | None = None,
    selection: bool = True,
) -> Figure:
    """Draw the blocks of many feature maps in a grid.

    Parameters
    ----------
    blocks : sequence of TopBlock
        One for each feature map.
    title : str
        The layer's name, and whatever else should stand above the figure.
    columns : int, optional
        Blocks a row: by default 4, and 8 above 64 blocks.
    side : int
        Projections a row in each block: 3 for the paper's nine.
    note : str, optional
        A line below, before how to read the figure.
    selection : bool
        Whether the blocks show the strongest activations, which the figure then warns of.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    OptionError
        If there is no block to draw.
    """
    if not blocks:
        raise OptionError("there is no feature map to draw: give at least one.")
    across = min(len(blocks), columns or (4 if len(blocks) <= 64 else 8))
    pictures = [top_block_image(block, side) for block in blocks]
    aspect = max(picture.shape[0] / picture.shape[1] for picture in pictures)
    margin, between = 0.25, 0.16
    caption = 0.33 if any(block.caption for block in blocks) else 0.19
    head = 0.4 if title else 0.0
    width = 3.0
    height = width * aspect
    down = -(-len(blocks) // across)
    words = (f"{note}. " if note else "") + (
        "Left: projections, each on its own scale, mid-grey is zero. Right: the patches, in the same order."
        + (" The strongest activations are a selection, not what the map always does." if selection else "")
    )
    room = across * (width + between) - between
    notes = wrapped(words, room)
    sheet = Sheet(
        2 * margin + room,
        2 * margin + head + down * (caption + height + between) - between + 0.12 + NOTE_LINE * len(notes),
    )
    if title:
        sheet.text(title, margin, margin, size=12, bold=True, room=room)
    for number, (block, picture) in enumerate(zip(blocks, pictures, strict=True)):
        row, column = divmod(number, across)
        x = margin + column * (width + between)
        y = margin + head + row * (caption + height + between)
        sheet.text(block.title, x, y, size=8, room=width)
        if block.caption:
            sheet.text(block.caption, x, y + 0.155, size=6.5, colour=QUIET, room=width)
        sheet.picture(picture, x, y + caption, width, height)
    sheet.notes(notes, margin, margin)
    return sheet.figure


def _fit(picture: np.ndarray, cell: int) -> np.ndarray:
    """Near ``cell`` pixels: down by resampling, up by whole factors, so that small receptive fields stay exact."""
    longest = max(picture.shape[:2])
    return shrink(picture, cell) if longest > cell else enlarge(picture, cell // longest)
