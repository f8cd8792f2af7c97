"""Composing many small pictures into one array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from deconvnet.errors import OptionError

WHITE = 255


def tile(images: Sequence[np.ndarray], columns: int, gap: int = 1, background: int = WHITE) -> np.ndarray:
    """Lay pictures out in rows, left to right, with a gap between and none around them.

    Parameters
    ----------
    images : sequence of uint8 ndarray, shape (H, W, 3)
        Every cell takes the largest height and width; smaller pictures are centred in theirs, never scaled.
    columns : int
        Pictures a row. A last row that is not full ends in ``background``.
    gap : int
        Pixels between neighbours.
    background : int
        Grey level, 0 to 255, of gaps and empty cells.

    Returns
    -------
    uint8 ndarray, shape (rows * (H + gap) - gap, columns * (W + gap) - gap, 3)

    Raises
    ------
    OptionError
        If there is no picture, one has another shape or type, ``columns`` is less than 1 or ``gap`` negative.
    """
    if not images:
        raise OptionError("there are no pictures to tile.")
    if columns < 1 or gap < 0:
        raise OptionError(f"cannot tile in {columns} columns with a gap of {gap}: at least 1 column and a gap of 0.")
    for number, image in enumerate(images):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise OptionError(f"picture {number} is {image.dtype} of shape {image.shape}: expected uint8 (H, W, 3).")
    height, width = max(i.shape[0] for i in images), max(i.shape[1] for i in images)
    rows = -(-len(images) // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), background, np.uint8)
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        top = row * (height + gap) + (height - image.shape[0]) // 2
        left = column * (width + gap) + (width - image.shape[1]) // 2
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet


def enlarge(image: np.ndarray, factor: int) -> np.ndarray:
    """Repeat each pixel ``factor`` times in both directions: (H, W, 3) to (H * factor, W * factor, 3)."""
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def shrink(image: np.ndarray, side: int) -> np.ndarray:
    """Scale a picture down so that its longer side is at most ``side`` pixels; smaller ones come back as they are."""
    height, width = image.shape[:2]
    if max(height, width) <= side:
        return image
    ratio = side / max(height, width)
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
