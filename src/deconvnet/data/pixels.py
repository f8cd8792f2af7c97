"""Photos at hand: PIL images, arrays of pixels and single files, as a collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from deconvnet.data.decoding import file_bytes
from deconvnet.errors import DataError

Photo = NDArray[np.uint8] | Image.Image
"""A decoded photo: a uint8 array (H, W, 3) or (H, W), or a PIL image."""


@dataclass(frozen=True)
class PixelStore:
    """Photos by name; a file is read when asked for."""

    photos: Mapping[str, Photo | Path]

    def read(self, name: str) -> bytes | NDArray[np.uint8]:
        """A file's bytes, or pixels: an image is turned upright as its Exif says."""
        photo = self.photos[name]
        if isinstance(photo, Path):
            return file_bytes(photo)
        if isinstance(photo, Image.Image):
            image = ImageOps.exif_transpose(photo)
            return np.array(image if image.mode in ("L", "RGB") else image.convert("RGB"))
        return photo

    def locate(self, name: str) -> str:
        """The path of a file, or the name, for messages."""
        photo = self.photos[name]
        return str(photo) if isinstance(photo, Path) else name


def check_photo(photo: object) -> None:
    """Refuse what is no decoded photo.

    Raises
    ------
    DataError
        If it is neither a PIL image nor a uint8 array (H, W, 3) or (H, W) with pixels.
    """
    if isinstance(photo, Image.Image):
        return
    if isinstance(photo, np.ndarray):
        if photo.dtype == np.uint8 and (photo.ndim == 2 or (photo.ndim == 3 and photo.shape[2] == 3)) and photo.size:
            return
        given = f"an array of {photo.dtype} {photo.shape}"
    else:
        given = f"a {type(photo).__name__}"
    raise DataError(
        f"{given} is not a photo: give a PIL image or a uint8 array (H, W, 3), for example of deconvnet.read_photo, "
        "or a list of these."
    )
