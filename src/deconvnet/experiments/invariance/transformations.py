"""Photos moved, enlarged, turned, brightened and blurred, as a network then sees them (Fig. 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from deconvnet.errors import OptionError
from deconvnet.networks import Network
from deconvnet.networks.preprocessing import INTERPOLATIONS, Photo, center_crop, shortest_side
from deconvnet.perturbations.fills import make_fill

PAPER_SIDE = 224  # px; the paper's ranges in pixels are for this input
PAPER = ("vertical", "scale", "rotation")  # Fig. 5, rows a to c


@dataclass(frozen=True)
class _Kind:
    title: str
    unit: str
    identity: float
    lowest: float
    highest: float
    step: float
    pixels: bool = False  # the range is for 224 px, and scales with the input
    least: float = -math.inf  # what a user may ask for
    most: float = math.inf


# Fig. 5: -60 to 60 px, 1 to 1.8 and 0 to 350 degrees are the axes; the paper does not state the steps.
KINDS = {
    "vertical": _Kind("vertical translation", "px, down is positive", 0, -60, 60, 5, True, least=-4096, most=4096),
    "horizontal": _Kind("horizontal translation", "px, right is positive", 0, -60, 60, 5, True, least=-4096, most=4096),
    "scale": _Kind("scale", "factor", 1, 1, 1.8, 0.05, least=0.1, most=10),
    "rotation": _Kind("rotation", "degrees, counterclockwise", 0, 0, 350, 10, least=-3600, most=3600),
    "brightness": _Kind("brightness", "factor on pixel values", 1, 0.5, 1.5, 0.1, least=0, most=255),
    "blur": _Kind("Gaussian blur", "sigma, px", 0, 0, 5, 0.5, True, least=0, most=1000),
}


@dataclass(frozen=True)
class Transformation:
    """One kind of change, and its steps.

    Attributes
    ----------
    name : {"vertical", "horizontal", "scale", "rotation", "brightness", "blur"}
    values : tuple of float
        Ascending. Translations are whole pixels of the network's input.
    """

    name: str
    values: tuple[float, ...]

    @property
    def title(self) -> str:
        return KINDS[self.name].title

    @property
    def unit(self) -> str:
        return KINDS[self.name].unit

    @property
    def identity(self) -> float:
        """The value that leaves a photo as it is."""
        return KINDS[self.name].identity

    @classmethod
    def parse(cls, text: str, input_size: int) -> Transformation:
        """Read ``NAME``, for the paper's range, or ``NAME:FIRST:LAST:STEP``.

        Parameters
        ----------
        text : str
        input_size : int
            Side of the network's input in pixels. The paper's ranges in pixels (translation, and ours of blur) are for
            224 px and are scaled by ``input_size / 224``, in as many steps.

        Raises
        ------
        OptionError
            If there is no such transformation, or its range is none.
        """
        name, *numbers = text.split(":")
        if name not in KINDS:
            raise OptionError(f"{name!r} is no transformation: choose from {', '.join(KINDS)}.")
        kind = KINDS[name]
        if numbers:
            values = _given(text, name, numbers)
        else:
            factor = input_size / PAPER_SIDE if kind.pixels else 1.0
            count = round((kind.highest - kind.lowest) / kind.step) + 1
            values = np.linspace(kind.lowest * factor, kind.highest * factor, count)
        if name in ("vertical", "horizontal"):
            values = np.unique(np.rint(values)) + 0.0  # whole pixels; -0 becomes 0
        if values.min() < kind.least or values.max() > kind.most:
            raise OptionError(f"{text!r} leaves the range of {name}: {kind.least:g} to {kind.most:g}.")
        values = np.round(values, 6)
        if (values == kind.identity).all():
            raise OptionError(f"{text!r} leaves photos as they are: give at least one other step.")
        return cls(name, tuple(float(v) for v in values))


def parse_all(texts: Sequence[str], input_size: int) -> tuple[Transformation, ...]:
    """Transformations by their texts; each kind once."""
    found = tuple(Transformation.parse(text, input_size) for text in texts)
    if not found:
        raise OptionError("no transformation to apply: name at least one.")
    names = [each.name for each in found]
    for name in names:
        if names.count(name) > 1:
            raise OptionError(f"{name} is asked for twice: give each transformation once.")
    return found


class TransformablePhoto:
    """A photo that is about to be transformed.

    The photo is resized as the network's preprocessing does, then transformed, and only then cropped: what moves into
    the crop is the photo itself as far as it reaches, and the fill beyond. An enlarged photo is resized to that size
    straight from its own pixels. Rotation, about the centre of the crop, interpolates bicubically (Pillow); translation
    moves by whole pixels and interpolates nothing.

    Parameters
    ----------
    network : Network
    photo : PIL image, or uint8 array (H, W, 3) or (H, W)
    fill : str
        What lies beyond the photo: ``"mean"``, the colour that the preprocessing subtracts; ``"edge"``, its outermost
        pixels repeated; ``"reflect"``, its mirror image; or a colour that
        :func:`deconvnet.perturbations.fills.make_fill` knows.
    """

    def __init__(self, network: Network, photo: Photo, fill: str = "mean") -> None:
        p = network.preprocessing
        self.view = network.view(photo)
        image = photo if isinstance(photo, Image.Image) else Image.fromarray(np.ascontiguousarray(photo))
        self._image = image.convert("RGB" if p.channels == 3 else "L")
        self._side, self._shortest, self._interpolation = p.crop, p.resize, INTERPOLATIONS[p.interpolation]
        self._finish = replace(p, resize=p.crop).view
        self._fill = fill if fill in ("edge", "reflect") else _colour(network, self.view, fill)
        self._resized = shortest_side(self._image, self._shortest, self._interpolation)

    def at(self, name: str, value: float) -> tuple[npt.NDArray[np.uint8], float]:
        """The photo transformed, as the network sees it, and the share of it (0 to 1) that is fill.

        Returns
        -------
        ndarray of uint8, (input_size, input_size, 3)
        float
        """
        if value == KINDS[name].identity:
            return self.view, 0.0
        pixels, filled = getattr(self, f"_{name}")(value)
        return self._finish(pixels), filled

    def _vertical(self, value: float) -> tuple[npt.NDArray[np.uint8], float]:
        return self._crop(self._resized, down=-int(value))

    def _horizontal(self, value: float) -> tuple[npt.NDArray[np.uint8], float]:
        return self._crop(self._resized, right=-int(value))

    def _scale(self, value: float) -> tuple[npt.NDArray[np.uint8], float]:
        side = max(1, round(self._shortest * value))
        return self._crop(shortest_side(self._image, side, self._interpolation))

    def _rotation(self, value: float) -> tuple[npt.NDArray[np.uint8], float]:
        side = math.ceil(self._side * math.sqrt(2)) + 4  # holds the crop at every angle, and the filter's reach
        side += (side - self._side) % 2
        around, _ = self._crop(self._resized, side=side)
        inside, _ = self._crop(np.full(self._resized.shape[:2], 255, np.uint8), side=side, fill=0)
        # the crop's centre; that of an odd crop in an even photo lies off the photo's by half a pixel, as in the view
        turned = Image.fromarray(around).rotate(value, Image.Resampling.BICUBIC)
        kept = Image.fromarray(inside).rotate(value, Image.Resampling.NEAREST)
        share = float((center_crop(np.asarray(kept), self._side) == 0).mean())
        return center_crop(np.asarray(turned), self._side), share

    def _brightness(self, value: float) -> tuple[npt.NDArray[np.uint8], float]:
        pixels = np.rint(center_crop(self._resized, self._side) * np.float64(value)).clip(0, 255)
        return pixels.astype(np.uint8), 0.0

    def _blur(self, value: float) -> tuple[npt.NDArray[np.uint8], float]:
        blurred = Image.fromarray(self._resized).filter(ImageFilter.GaussianBlur(value))
        return self._crop(np.asarray(blurred))

    def _crop(
        self,
        pixels: npt.NDArray[np.uint8],
        *,
        down: int = 0,
        right: int = 0,
        side: int | None = None,
        fill: int | None = None,
    ) -> tuple[npt.NDArray[np.uint8], float]:
        """A square about the centre, moved, and the share of it that lies outside of the photo."""
        own = self._side
        side = side or own
        height, width = pixels.shape[:2]
        top = (height - own) // 2 - (side - own) // 2 + down
        left = (width - own) // 2 - (side - own) // 2 + right
        before = max(0, -top), max(0, -left)
        after = max(0, top + side - height), max(0, left + side - width)
        covered = max(0, side - before[0] - after[0]) * max(0, side - before[1] - after[1])
        padded = _pad(pixels, before, after, self._fill if fill is None else (fill,) * 3)
        top, left = top + before[0], left + before[1]
        return padded[top : top + side, left : left + side], 1 - covered / (side * side)


def _pad(
    pixels: npt.NDArray[np.uint8], before: tuple[int, int], after: tuple[int, int], fill: str | tuple[int, ...]
) -> npt.NDArray[np.uint8]:
    if not any(before) and not any(after):
        return pixels
    widths = [(before[0], after[0]), (before[1], after[1])] + [(0, 0)] * (pixels.ndim - 2)
    if fill == "edge":
        return np.pad(pixels, widths, mode="edge")
    if fill == "reflect":
        return np.pad(pixels, widths, mode="symmetric")
    padded = np.empty([n + b + a for n, (b, a) in zip(pixels.shape, widths, strict=True)], np.uint8)
    padded[:] = np.array(fill if pixels.ndim == 3 else fill[0], np.uint8)
    padded[before[0] : before[0] + pixels.shape[0], before[1] : before[1] + pixels.shape[1]] = pixels
    return padded


def _colour(network: Network, view: npt.NDArray[np.uint8], fill: str) -> tuple[int, ...]:
    if fill.strip().lower().partition(":")[0] in ("blur", "noise"):
        raise OptionError(f"what lies beyond a photo cannot be {fill!r}: give mean, edge, reflect, grey or a colour.")
    picture = make_fill(network, view, fill, (1, 1))[0].picture
    return tuple(int(v) for v in np.rint(picture.reshape(-1, 3).mean(0)))


def _given(text: str, name: str, numbers: Sequence[str]) -> npt.NDArray[np.float64]:
    try:
        first, last, step = (float(n) for n in numbers)
    except ValueError:
        first, last, step = 0.0, -1.0, 0.0
    if not (step > 0 and math.isfinite(first) and math.isfinite(last) and last > first):
        raise OptionError(f"{text!r} is no range: write {name}:FIRST:LAST:STEP, for example vertical:-20:20:2.")
    count = math.floor((last - first) / step + 1e-9) + 1
    if count > 1000:
        raise OptionError(f"{text!r} has {count} steps, and at most 1000 are taken: choose a larger step.")
    return np.array([first + step * i for i in range(count)], np.float64)
