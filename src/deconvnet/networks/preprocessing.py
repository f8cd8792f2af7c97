"""From a photo to what a network reads: resize, crop, subtract the mean (Sec. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch import Tensor

from deconvnet.errors import DataError, OptionError

Photo = npt.NDArray[np.uint8] | Image.Image
INTERPOLATIONS = {filter.name.lower(): filter for filter in Image.Resampling}
LONGEST = 32  # sides longer than so many times the shorter are cut first: resized, they would fill the memory


@dataclass(frozen=True)
class Preprocessing:
    """Resize the shortest side, crop the centre, subtract the mean, divide.

    Attributes
    ----------
    input_size : int
        Side of the square that the network sees, in pixels.
    resize : int
        Length that the photo's shortest side is brought to before the crop, in pixels; at least ``input_size`` less
        twice ``border``.
    mean : ndarray of float32, (C, 1, 1) or (C, input_size, input_size)
        Subtracted from pixel values 0 to 255: one number a channel, or the paper's per-pixel mean.
    scale : float, or tuple of one float a channel
        Divides the difference; 1 leaves inputs in the paper's range of about -128 to 128.
    channels : int
        3 (RGB) or 1 (grey).
    border : int
        Black pixels added on each side after the crop (LeNet-5: 2, from 28 to 32).
    interpolation : {"bicubic", "bilinear", "nearest", "lanczos", "box", "hamming"}
        Pillow's filter with which photos are resized.
    """

    input_size: int
    resize: int
    mean: npt.NDArray[np.float32] = field(repr=False)
    scale: float | tuple[float, ...] = 1.0
    channels: int = 3
    border: int = 0
    interpolation: str = "bicubic"

    def __post_init__(self) -> None:
        if isinstance(self.scale, list | tuple):  # a list where it was read from JSON
            object.__setattr__(self, "scale", tuple(float(each) for each in self.scale))
        if self.channels not in (1, 3):
            raise OptionError(f"a network sees 1 channel (grey) or 3 (RGB), not {self.channels}.")
        if self.border < 0 or self.crop < 1:
            raise OptionError(f"nothing is left of {self.input_size} px inside a border of {self.border} px.")
        scales = self.scale if isinstance(self.scale, tuple) else (self.scale,)
        if not all(each > 0 for each in scales):
            raise OptionError(f"scale divides the inputs and must be positive, not {self.scale}.")
        if len(scales) not in (1, self.channels):
            raise OptionError(f"scale is one number or one for each of {self.channels} channels, not {self.scale}.")
        if self.interpolation not in INTERPOLATIONS:
            known = ", ".join(INTERPOLATIONS)
            raise OptionError(f"photos cannot be resized by {self.interpolation!r}: choose from {known}.")
        if self.resize < self.crop:
            raise OptionError(f"resize ({self.resize} px) must not be smaller than the crop ({self.crop} px).")
        if self.mean.shape not in ((self.channels, 1, 1), (self.channels, self.input_size, self.input_size)):
            raise OptionError(f"a mean of shape {self.mean.shape} does not fit {self.channels} x {self.input_size} px.")

    @property
    def divisor(self) -> float | Tensor:
        """``scale`` as inputs (N, C, H, W) are divided by it: a number, or a float32 tensor (C, 1, 1)."""
        return torch.tensor(self.scale).reshape(-1, 1, 1) if isinstance(self.scale, tuple) else self.scale

    @property
    def crop(self) -> int:
        """Side of the square cut from the resized photo, in pixels."""
        return self.input_size - 2 * self.border

    def view(self, photo: Photo) -> npt.NDArray[np.uint8]:
        """The pixels that the network sees.

        Parameters
        ----------
        photo : PIL image, or uint8 array (H, W, 3) or (H, W)
            An image is turned upright as its Exif says.

        Returns
        -------
        ndarray of uint8, (input_size, input_size, 3)
            Grey networks see (and show) three equal channels.

        Raises
        ------
        DataError
            If the photo is of another type or shape, or has no pixels.
        """
        return self._finish(center_crop(self._resized(photo), self.crop))

    def ten_crops(self, photo: Photo) -> list[npt.NDArray[np.uint8]]:
        """The corners and the centre of the resized centre square, then their mirror images (Sec. 3).

        Returns
        -------
        list of 10 ndarrays of uint8, (input_size, input_size, 3)
        """
        square = center_crop(self._resized(photo), self.resize)
        far, middle, side = self.resize - self.crop, (self.resize - self.crop) // 2, self.crop
        corners = ((0, 0), (0, far), (far, 0), (far, far), (middle, middle))
        five = [square[top : top + side, left : left + side] for top, left in corners]
        return [self._finish(crop) for crop in (*five, *(crop[:, ::-1] for crop in five))]

    def tensor(self, views: Sequence[npt.NDArray[np.uint8]] | npt.NDArray[np.uint8]) -> Tensor:
        """Views as the network reads them.

        Parameters
        ----------
        views : N arrays of uint8, (input_size, input_size, 3)

        Returns
        -------
        Tensor of float32, (N, channels, input_size, input_size)

        Raises
        ------
        DataError
            If a view has another size.
        """
        for view in views:
            if np.shape(view) != (self.input_size, self.input_size, 3):
                raise DataError(
                    f"a view of shape {np.shape(view)} does not fit a network that sees {self.input_size} x "
                    f"{self.input_size} px in 3 channels: make it with view()."
                )
        if not len(views):
            return torch.empty((0, self.channels, self.input_size, self.input_size))
        pixels = torch.from_numpy(np.stack([np.asarray(v) for v in views])).permute(0, 3, 1, 2)
        pixels = pixels[:, : self.channels].float()
        return (pixels - torch.from_numpy(self.mean)) / self.divisor

    def __call__(self, photos: Sequence[Photo]) -> Tensor:
        """Photos as the network reads them: :meth:`view`, then :meth:`tensor`."""
        return self.tensor([self.view(photo) for photo in photos])

    def record(self) -> dict[str, Any]:
        """Everything but the mean, as JSON can hold it."""
        record: dict[str, Any] = {
            "input_size": self.input_size,
            "resize": self.resize,
            "scale": list(self.scale) if isinstance(self.scale, tuple) else self.scale,
            "channels": self.channels,
            "border": self.border,
        }
        if self.interpolation != "bicubic":  # files from before there was a choice do not name it
            record["interpolation"] = self.interpolation
        return record

    def _resized(self, photo: Photo) -> npt.NDArray[np.uint8]:
        image = ImageOps.exif_transpose(photo) if isinstance(photo, Image.Image) else _image(photo)
        image = image.convert("RGB" if self.channels == 3 else "L")
        return shortest_side(image, self.resize, INTERPOLATIONS[self.interpolation])

    def _finish(self, crop: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        if crop.ndim == 2:
            crop = np.repeat(crop[:, :, None], 3, axis=2)
        edge = self.border
        return np.pad(crop, ((edge, edge), (edge, edge), (0, 0))) if edge else np.ascontiguousarray(crop)


def _image(pixels: npt.NDArray[np.uint8]) -> Image.Image:
    array = np.asarray(pixels)
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
        raise DataError(
            f"a photo is a PIL image or a uint8 array of shape (H, W, 3) or (H, W), not a {array.dtype} array of shape "
            f"{array.shape}: read it with deconvnet.data.read_photo."
        )
    if not array.size:
        raise DataError(f"a photo of shape {array.shape} has no pixels.")
    return Image.fromarray(np.ascontiguousarray(array))


def shortest_side(
    image: Image.Image, side: int, interpolation: Image.Resampling = Image.Resampling.BICUBIC
) -> npt.NDArray[np.uint8]:
    """Resize so that the shortest side has ``side`` pixels, keeping the shape.

    Of a photo more than 32 times as long as it is wide, the middle of the longer side is taken first.

    Returns
    -------
    ndarray of uint8, (H, W, 3) or (H, W)
    """
    width, height = image.size
    most = LONGEST * min(width, height)
    if max(width, height) > most:
        left, top = max(0, (width - most) // 2), max(0, (height - most) // 2)
        image = image.crop((left, top, left + min(width, most), top + min(height, most)))
        width, height = image.size
    ratio = side / min(width, height)
    size = (max(side, round(width * ratio)), max(side, round(height * ratio)))
    return np.asarray(image if size == image.size else image.resize(size, interpolation))


def center_crop(pixels: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """The central ``side`` x ``side`` square of an (H, W[, C]) array."""
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    return pixels[top : top + side, left : left + side]
