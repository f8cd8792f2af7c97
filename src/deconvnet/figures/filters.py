"""First-layer filters, drawn as the small pictures that they are (Fig. 6 b, c of the paper)."""

from __future__ import annotations

from math import ceil, sqrt
from typing import TYPE_CHECKING

import numpy as np

from deconvnet.errors import OptionError
from deconvnet.figures.canvas import Sheet
from deconvnet.figures.display import display
from deconvnet.figures.lettering import NOTE_LINE, wrapped
from deconvnet.figures.tiles import enlarge, tile

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def filters_image(weights: np.ndarray, columns: int | None = None, gap: int = 1, zoom: int = 1) -> np.ndarray:
    """All first-layer filters in one picture, each on its own display scale.

    Parameters
    ----------
    weights : float ndarray, shape (O, C, h, w)
        The first convolution's weights; C is 3 or 1.
    columns : int, optional
        Filters a row; by default such that the picture is about half again as wide as high, without a ragged end
        where one can be avoided.
    gap : int
        White pixels, before zooming, between filters.
    zoom : int
        Screen pixels, in each direction, for one weight.

    Returns
    -------
    uint8 ndarray, shape (H, W, 3)

    Raises
    ------
    OptionError
        If the filters do not see 1 or 3 channels.
    """
    if weights.ndim != 4 or weights.shape[1] not in (1, 3) or len(weights) == 0:
        raise OptionError(
            f"weights of shape {weights.shape} cannot be drawn as filters: expected (filters, 3 or 1, h, w), "
            "the weights of a convolution that sees the photo."
        )
    picture = tile([display(one) for one in weights], columns or _columns(len(weights)), gap)
    return enlarge(picture, zoom)


def filters_picture(weights: np.ndarray, title: str | None = None, columns: int | None = None) -> Figure:
    """The filters of the first layer as a figure.

    Parameters
    ----------
    weights : float ndarray, shape (O, C, h, w)
        The first convolution's weights.
    title : str, optional
        By default the count and size of the filters.
    columns : int, optional
        Filters a row.

    Returns
    -------
    matplotlib.figure.Figure
    """
    picture = filters_image(weights, columns)
    number, _, height, width = weights.shape
    inches = min(7.2, picture.shape[1] * 0.09)
    margin, head = 0.25, 0.38
    tall = inches * picture.shape[0] / picture.shape[1]
    room = max(inches, 4.2)
    notes = wrapped("Mid-grey is zero; each filter has its own scale.", room)
    sheet = Sheet(room + 2 * margin, tall + 2 * margin + head + 0.15 + NOTE_LINE * len(notes))
    sheet.text(title or f"{number} first-layer filters, {height} × {width}", margin, margin, size=11, room=room)
    sheet.picture(picture, margin, margin + head, inches, tall)
    sheet.notes(notes, margin, margin)
    return sheet.figure


def _columns(number: int) -> int:
    """A divisor of ``number`` near 1.5 times as wide as high, or failing that, the width alone."""
    ideal = sqrt(number * 1.5)
    divisors = [c for c in range(ceil(ideal * 0.65), int(ideal * 1.6) + 1) if c and number % c == 0]
    return min(divisors, key=lambda c: abs(c - ideal)) if divisors else ceil(ideal)
